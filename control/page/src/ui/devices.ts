// The lists to choose a camera, a microphone and a speaker from; used before and during the call.

import type { Capture } from "../capture.ts";
import { type DeviceChoice, listDevices, watchDevices } from "../media.ts";
import { recall, remember } from "../remembered.ts";
import { h } from "./dom.ts";

export const canChooseSpeaker = "setSinkId" in HTMLMediaElement.prototype;

export class DevicePicker {
  readonly element: HTMLElement;
  readonly #capture: Capture;
  readonly #camera = h("select", { id: "camera-choice" });
  readonly #microphone = h("select", { id: "microphone-choice" });
  readonly #speaker = h("select", { id: "speaker-choice" });

  /** `speakerChosen` is given only where the choice of a speaker makes sense. */
  constructor(capture: Capture, speakerChosen?: (id: string) => void) {
    this.#capture = capture;
    this.element = h(
      "div",
      { class: "devices" },
      h("label", { for: "camera-choice" }, "Camera"),
      this.#camera,
      h("label", { for: "microphone-choice" }, "Microphone"),
      this.#microphone,
      ...(speakerChosen && canChooseSpeaker ? [h("label", { for: "speaker-choice" }, "Speaker"), this.#speaker] : []),
    );
    this.#camera.onchange = () => {
      remember("camera", this.#camera.value);
      void capture.choose({ cameraId: this.#camera.value });
    };
    this.#microphone.onchange = () => {
      remember("microphone", this.#microphone.value);
      void capture.choose({ microphoneId: this.#microphone.value });
    };
    this.#speaker.onchange = () => {
      remember("speaker", this.#speaker.value);
      speakerChosen?.(this.#speaker.value);
    };
    watchDevices(() => void this.refresh());
    void this.refresh();
  }

  /** Labels are known only once a device was allowed, so this is called again then. */
  async refresh(): Promise<void> {
    const { cameras, microphones, speakers } = await listDevices();
    fill(this.#camera, cameras, this.#capture.wish.cameraId, "No camera found");
    fill(this.#microphone, microphones, this.#capture.wish.microphoneId, "No microphone found");
    fill(this.#speaker, speakers, recall("speaker"), "The system's speaker");
  }
}

function fill(select: HTMLSelectElement, choices: DeviceChoice[], chosen: string, none: string): void {
  select.replaceChildren(...choices.map(({ id, label }) => h("option", { value: id }, label)));
  select.disabled = choices.length === 0;
  if (choices.length === 0) select.append(h("option", { value: "" }, none));
  if (choices.some(({ id }) => id === chosen)) select.value = chosen;
}
