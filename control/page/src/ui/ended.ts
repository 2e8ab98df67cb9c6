import { h } from "./dom.ts";

/** The screen after the call. */
export function endedScreen(reason: string, again: () => void, elsewhere: () => void): HTMLElement {
  return h(
    "main",
    { class: "ended" },
    h("h1", {}, "The call is over"),
    h("p", { role: "status" }, reason),
    h(
      "div",
      { class: "row" },
      h("button", { type: "button", class: "primary", onclick: again }, "Join again"),
      h("button", { type: "button", onclick: elsewhere }, "Another room"),
    ),
  );
}
