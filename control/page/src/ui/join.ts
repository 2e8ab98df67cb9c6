// The screen before the call: who, where, and with which devices.

import type { Capture } from "../capture.ts";
import { captureAllowed, LevelMeter } from "../media.ts";
import type { Params } from "../params.ts";
import { recall, remember } from "../remembered.ts";
import { DevicePicker } from "./devices.ts";
import { h, play } from "./dom.ts";
import { icon } from "./icons.ts";

const METER_INTERVAL_MS = 80;

export class JoinScreen {
  readonly element: HTMLElement;
  readonly #capture: Capture;
  readonly #room: HTMLInputElement;
  readonly #name: HTMLInputElement;
  readonly #picker: DevicePicker;
  readonly #preview = h("video", { muted: true, playsInline: true, "aria-label": "Your camera" });
  readonly #placeholder = h("p", { class: "placeholder" });
  readonly #meter = h("meter", { min: 0, max: 1, value: 0, "aria-label": "Microphone level" });
  readonly #problems = h("ul", { class: "problems", role: "status", "aria-live": "polite" });
  readonly #cameraButton: HTMLButtonElement;
  readonly #microphoneButton: HTMLButtonElement;
  readonly #takenOff: (() => void)[];
  readonly #timer: ReturnType<typeof setInterval>;
  #level: { track: MediaStreamTrack; meter: LevelMeter } | undefined;

  constructor(capture: Capture, params: Params, join: (room: string, name: string) => void) {
    this.#capture = capture;
    this.#picker = new DevicePicker(capture);
    this.#room = h("input", {
      id: "room",
      required: true,
      maxLength: 64,
      autocomplete: "off",
      value: params.room || suggestRoom(),
    });
    this.#name = h("input", {
      id: "name",
      maxLength: 64,
      autocomplete: "name",
      value: params.name || recall("name"),
      placeholder: "Guest",
    });
    this.#cameraButton = toggle(() => void capture.setCamera(!capture.camera));
    this.#microphoneButton = toggle(() => void capture.setMicrophone(!capture.microphone || capture.muted));
    this.element = this.#layout(() => {
      remember("name", this.#name.value.trim());
      join(this.#room.value.trim(), this.#name.value.trim());
    });
    this.#takenOff = [
      capture.on("change", () => this.#update()),
      capture.on("trouble", ({ source, message }) => this.#problem(source, message)),
    ];
    this.#timer = setInterval(() => this.#measure(), METER_INTERVAL_MS);
    if (!captureAllowed()) this.#problem("all", "Camera and microphone need a page on https or localhost.");
    this.#update();
  }

  focus(): void {
    (this.#room.value && !this.#name.value ? this.#name : this.#room).focus();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#level?.meter.close();
    for (const takeOff of this.#takenOff) takeOff();
  }

  #layout(join: () => void): HTMLElement {
    return h(
      "main",
      { class: "join" },
      h("header", {}, h("h1", {}, "Weirgate"), h("p", {}, "A call in your browser. Choose a room and join.")),
      h(
        "section",
        { class: "preview", "aria-label": "Preview" },
        h("div", { class: "picture" }, this.#preview, this.#placeholder),
        h("div", { class: "row" }, this.#microphoneButton, this.#cameraButton, this.#meter),
        this.#picker.element,
      ),
      h(
        "form",
        {
          onsubmit: (event: Event) => {
            event.preventDefault();
            join();
          },
        },
        h("label", { for: "room" }, "Room"),
        this.#room,
        h("p", { class: "hint" }, "Everybody who opens the same room is in the same call."),
        h("label", { for: "name" }, "Your name"),
        this.#name,
        h("button", { type: "submit", class: "primary" }, "Join"),
        this.#problems,
      ),
    );
  }

  #update(): void {
    const { camera, microphone, muted, busy } = this.#capture;
    void play(this.#preview, camera)?.catch(() => undefined);
    this.#preview.hidden = !camera;
    this.#placeholder.hidden = camera !== null;
    this.#placeholder.textContent = busy.has("camera") ? "Starting the camera…" : "The camera is off";
    const listening = microphone !== null && !muted;
    showToggle(this.#cameraButton, camera !== null, busy.has("camera"), "camera");
    showToggle(this.#microphoneButton, listening, busy.has("microphone"), "microphone");
    if (camera) this.#solved("camera");
    if (microphone) this.#solved("microphone");
    this.#listenTo(listening ? microphone : null);
    if ((camera || microphone) && busy.size === 0) void this.#picker.refresh();
  }

  #listenTo(track: MediaStreamTrack | null): void {
    if (this.#level?.track === track) return;
    this.#level?.meter.close();
    this.#level = track ? { track, meter: new LevelMeter(track) } : undefined;
  }

  #measure(): void {
    this.#meter.value = this.#level?.meter.level() ?? 0;
  }

  #problem(key: string, message: string): void {
    this.#solved(key);
    this.#problems.append(h("li", { "data-key": key }, `${message} You can still join and listen.`));
  }

  #solved(key: string): void {
    this.#problems.querySelector(`[data-key="${key}"]`)?.remove();
  }
}

function toggle(run: () => void): HTMLButtonElement {
  return h("button", { type: "button", class: "round", onclick: run });
}

function showToggle(button: HTMLButtonElement, on: boolean, busy: boolean, what: "camera" | "microphone"): void {
  button.replaceChildren(icon(on ? what : `${what}Off`));
  button.disabled = busy;
  button.classList.toggle("off", !on);
  button.setAttribute("aria-pressed", String(on));
  const label = `${what === "camera" ? "Camera" : "Microphone"} ${on ? "on" : "off"}`;
  button.setAttribute("aria-label", label);
  button.title = label;
}

const FIRST = ["calm", "clear", "quick", "deep", "bright", "still", "green", "broad", "swift", "mild"];
const SECOND = ["river", "brook", "lake", "spring", "delta", "ford", "bay", "creek", "pond", "falls"];

/** A name that is easy to say aloud and unlikely to be taken. */
function suggestRoom(): string {
  const pick = (words: string[]) => words[Math.floor(Math.random() * words.length)];
  return `${pick(FIRST)}-${pick(SECOND)}-${Math.floor(Math.random() * 900) + 100}`;
}
