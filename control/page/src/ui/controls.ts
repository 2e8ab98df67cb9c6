import type { Capture } from "../capture.ts";
import { h } from "./dom.ts";
import { type Icon, icon } from "./icons.ts";

export interface ControlActions {
  stats(): void;
  devices(): void;
  leave(): void;
}

interface State {
  icon: Icon;
  label: string;
  pressed?: boolean;
  off?: boolean;
  busy?: boolean;
}

/** The bar of buttons below the call, and their keys. */
export class Controls {
  readonly element: HTMLElement;
  readonly #capture: Capture;
  readonly #buttons: Record<"microphone" | "camera" | "screen" | "stats" | "devices" | "leave", HTMLButtonElement>;
  readonly #keys: Record<string, () => void>;
  statsShown = false;

  constructor(capture: Capture, actions: ControlActions) {
    this.#capture = capture;
    const microphone = () => void capture.setMicrophone(capture.muted || !capture.microphone);
    const camera = () => void capture.setCamera(!capture.camera);
    const screen = () => void capture.setScreen(!capture.screen);
    const button = (run: () => void, className = "") =>
      h("button", { type: "button", class: `control ${className}`, onclick: run });
    this.#buttons = {
      microphone: button(microphone),
      camera: button(camera),
      screen: button(screen),
      stats: button(actions.stats),
      devices: button(actions.devices),
      leave: button(actions.leave, "leave"),
    };
    this.#keys = { m: microphone, v: camera, s: screen, i: actions.stats };
    this.#buttons.screen.hidden = !navigator.mediaDevices || !("getDisplayMedia" in navigator.mediaDevices);
    this.element = h(
      "nav",
      { class: "controls", "aria-label": "Call controls" },
      ...Object.values(this.#buttons),
    );
    this.update();
  }

  /** Letters work as shortcuts unless something is being typed or chosen. */
  readonly key = (event: KeyboardEvent): void => {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, select, textarea, dialog")) return;
    this.#keys[event.key.toLowerCase()]?.();
  };

  update(): void {
    const { camera, microphone, screen, muted, busy } = this.#capture;
    const hearing = microphone !== null && !muted;
    show(this.#buttons.microphone, {
      icon: hearing ? "microphone" : "microphoneOff",
      label: hearing ? "Mute (M)" : microphone ? "Unmute (M)" : "Turn microphone on (M)",
      pressed: hearing,
      off: !hearing,
      busy: busy.has("microphone"),
    });
    show(this.#buttons.camera, {
      icon: camera ? "camera" : "cameraOff",
      label: camera ? "Turn camera off (V)" : "Turn camera on (V)",
      pressed: camera !== null,
      off: !camera,
      busy: busy.has("camera"),
    });
    show(this.#buttons.screen, {
      icon: "screen",
      label: screen ? "Stop sharing (S)" : "Share screen (S)",
      pressed: screen !== null,
      busy: busy.has("screen"),
    });
    show(this.#buttons.stats, { icon: "stats", label: "Statistics (I)", pressed: this.statsShown });
    show(this.#buttons.devices, { icon: "settings", label: "Devices" });
    show(this.#buttons.leave, { icon: "leave", label: "Leave" });
  }
}

function show(button: HTMLButtonElement, state: State): void {
  const caption = state.label.replace(/ \(.\)$/, "");
  button.replaceChildren(icon(state.icon), h("span", {}, caption));
  button.title = state.label;
  button.disabled = state.busy ?? false;
  button.classList.toggle("off", state.off ?? false);
  button.classList.toggle("active", state.pressed === true && !("off" in state));
  if (state.pressed !== undefined) button.setAttribute("aria-pressed", String(state.pressed));
}
