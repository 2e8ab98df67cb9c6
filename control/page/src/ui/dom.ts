type Child = Node | string | null | undefined | false;
type Props = Record<string, unknown>;

/**
 * Makes an element: `on…` functions become listeners, `class` and everything with a dash becomes an
 * attribute, the rest are properties.
 */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value as EventListener);
    else if (key === "class" || key === "for" || key === "role" || key.includes("-")) {
      element.setAttribute(key, String(value));
    } else (element as unknown as Props)[key] = value;
  }
  element.append(...children.filter((child): child is Node | string => Boolean(child)));
  return element;
}

/** Sets the source of a media element, and only where it changes: setting it again would blink. */
export function play(element: HTMLMediaElement, track: MediaStreamTrack | null | undefined): Promise<void> | undefined {
  const playing = (element.srcObject as MediaStream | null)?.getTracks()[0];
  if (playing === (track ?? undefined)) return undefined;
  element.srcObject = track ? new MediaStream([track]) : null;
  return track ? element.play() : undefined;
}
