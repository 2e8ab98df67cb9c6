import { h, play } from "./dom.ts";
import { icon } from "./icons.ts";
import type { TileModel } from "./tiles.ts";

/** One participant's (or screen's) rectangle. */
export class Tile {
  readonly element: HTMLElement;
  model: TileModel;
  readonly #video = h("video", { muted: true, playsInline: true, autoplay: true });
  readonly #audio = h("audio", { autoplay: true });
  readonly #avatar = h("div", { class: "avatar", "aria-hidden": "true" });
  readonly #wait = h("div", { class: "wait" });
  readonly #name = h("span", { class: "name" });
  readonly #muted = h("span", { class: "muted", title: "Muted" }, icon("microphoneOff"));
  readonly #stats = h("pre", { class: "figures", hidden: true });
  readonly #soundBlocked: () => void;

  /** `soundBlocked` is called where the browser wants a click before it plays sound. */
  constructor(model: TileModel, soundBlocked: () => void) {
    this.model = model;
    this.#soundBlocked = soundBlocked;
    this.element = h(
      "figure",
      { class: "tile", "data-peer": model.peerId },
      this.#avatar,
      this.#video,
      this.#wait,
      h("figcaption", {}, this.#muted, this.#name),
      this.#stats,
      this.#audio,
    );
    this.#video.addEventListener("loadeddata", () => this.#firstFrame());
    this.update(model);
  }

  update(model: TileModel): void {
    this.model = model;
    const { element } = this;
    element.dataset.peer = model.peerId;
    element.classList.toggle("own", model.own);
    element.classList.toggle("screen", model.screen);
    element.classList.toggle("speaking", model.speaking);
    const label = model.own && !model.screen ? `${model.name} (you)` : model.name;
    if (this.#name.textContent !== label) this.#name.textContent = label;
    element.setAttribute("aria-label", `${label}${model.muted ? ", muted" : ""}${model.speaking ? ", speaking" : ""}`);
    this.#avatar.textContent = initials(model.name);
    this.#avatar.style.setProperty("--hue", String(hue(model.peerId + model.name)));
    this.#muted.hidden = !model.muted || model.screen;
    void play(this.#video, model.video)?.catch(() => undefined);
    this.#video.hidden = !model.video;
    this.#showWait();
    void play(this.#audio, model.audio)?.catch((error: DOMException) => {
      if (error.name === "NotAllowedError") this.#soundBlocked();
    });
  }

  showFigures(lines: string[] | null): void {
    this.#stats.hidden = lines === null;
    if (lines) this.#stats.textContent = lines.join("\n");
  }

  async setSpeaker(id: string): Promise<void> {
    await (this.#audio as { setSinkId?: (id: string) => Promise<void> }).setSinkId?.(id);
  }

  playSound(): void {
    if (this.#audio.srcObject) void this.#audio.play().catch(() => this.#soundBlocked());
  }

  close(): void {
    this.#video.srcObject = null;
    this.#audio.srcObject = null;
    this.element.remove();
  }

  #firstFrame(): void {
    if (this.model.received) this.model.received.firstFrameAt ??= performance.now();
    this.#showWait();
  }

  #showWait(): void {
    const { videoExpected, own } = this.model;
    const playing = this.#video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && !this.#video.hidden;
    this.#wait.hidden = own || !videoExpected || playing;
  }
}

function initials(name: string): string {
  const words = name.split(/[\s._-]+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  return letters.map((word) => [...(word ?? "?")][0]?.toUpperCase() ?? "?").join("");
}

function hue(text: string): number {
  return [...text].reduce((sum, letter) => (sum * 31 + (letter.codePointAt(0) ?? 0)) % 360, 7);
}
