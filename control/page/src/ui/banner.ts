import { h } from "./dom.ts";

export interface Notice {
  /** Notices with the same key replace each other. */
  key: string;
  kind: "info" | "warning" | "error";
  text: string;
  action?: { label: string; run: () => void };
  /** Without a duration it stays until it is taken away; ms. */
  duration?: number;
}

/** Messages above the call. Screen readers speak them as they come. */
export class Banner {
  readonly element = h("div", { class: "banner", role: "status", "aria-live": "polite" });
  readonly #shown = new Map<string, { notice: Notice; element: HTMLElement; timer?: ReturnType<typeof setTimeout> }>();

  show(notice: Notice): void {
    const shown = this.#shown.get(notice.key);
    // The same words again would be spoken again.
    if (shown && shown.notice.text === notice.text && notice.duration === undefined) return;
    this.hide(notice.key);
    const { action } = notice;
    const element = h(
      "div",
      { class: `notice ${notice.kind}` },
      h("span", {}, notice.text),
      action && h("button", { type: "button", class: "small", onclick: action.run }, action.label),
      h(
        "button",
        { type: "button", class: "close", "aria-label": "Dismiss", onclick: () => this.hide(notice.key) },
        "×",
      ),
    );
    const timer = notice.duration ? setTimeout(() => this.hide(notice.key), notice.duration) : undefined;
    this.#shown.set(notice.key, { notice, element, timer });
    this.element.append(element);
  }

  hide(key: string): void {
    const shown = this.#shown.get(key);
    if (!shown) return;
    clearTimeout(shown.timer);
    shown.element.remove();
    this.#shown.delete(key);
  }
}
