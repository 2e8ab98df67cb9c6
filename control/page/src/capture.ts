// This peer's own camera, microphone and screen: on, off, changed, and handed to the session.

import { Emitter } from "./emitter.ts";
import { type CaptureWish, explain, openCamera, openMicrophone, openScreen } from "./media.ts";
import type { Source } from "./protocol.ts";
import type { Session } from "./session/session.ts";

interface CaptureEvents {
  change: void;
  /** A device could not be opened; the text is for people. */
  trouble: { source: Source; message: string };
}

export class Capture extends Emitter<CaptureEvents> {
  readonly wish: CaptureWish;
  camera: MediaStreamTrack | null = null;
  microphone: MediaStreamTrack | null = null;
  screen: MediaStreamTrack | null = null;
  muted = false;
  /** Devices being opened or closed just now. */
  readonly busy = new Set<Source>();
  #session: Session | undefined;

  constructor(wish: CaptureWish) {
    super();
    this.wish = wish;
  }

  /** Hands what is open to the session, and every later change. */
  attach(session: Session): void {
    this.#session = session;
    if (this.camera) void session.publish("camera", "video", this.camera);
    if (this.microphone) void session.publish("microphone", "audio", this.microphone, this.muted);
  }

  /** Turns the camera on, or off so that its light goes out. */
  async setCamera(on: boolean): Promise<void> {
    await this.#exclusively("camera", async () => {
      const track = on ? await openCamera(this.wish) : null;
      this.camera?.stop();
      this.camera = track;
      if (track) track.onended = () => void this.#lost("camera", "The camera was disconnected.");
      if (track || this.#publishes("camera")) await this.#session?.publish("camera", "video", track, !track);
    });
  }

  /** Opens the microphone where it is not open yet; afterwards only mutes, for a quick way back. */
  async setMicrophone(on: boolean): Promise<void> {
    await this.#exclusively("microphone", async () => {
      if (on && !this.microphone) await this.#openMicrophone();
      this.muted = !on;
      if (this.microphone) await this.#session?.publish("microphone", "audio", this.microphone, this.muted);
    });
  }

  async setScreen(on: boolean): Promise<void> {
    await this.#exclusively("screen", async () => {
      const track = on ? await openScreen() : null;
      this.screen?.stop();
      this.screen = track;
      if (track) {
        // The browser's own "stop sharing" button ends the track.
        track.onended = () => void this.setScreen(false);
        await this.#session?.publish("screen", "video", track);
      } else {
        await this.#session?.unpublish("screen");
      }
    });
  }

  /** Uses other devices from now on; those that are open are changed at once. */
  async choose(choice: { cameraId?: string; microphoneId?: string }): Promise<void> {
    Object.assign(this.wish, choice);
    if (choice.cameraId !== undefined && this.camera) await this.setCamera(true);
    if (choice.microphoneId !== undefined && this.microphone) {
      await this.#exclusively("microphone", async () => {
        await this.#openMicrophone();
        await this.#session?.publish("microphone", "audio", this.microphone, this.muted);
      });
    }
  }

  /** Closes every device. */
  close(): void {
    for (const track of [this.camera, this.microphone, this.screen]) track?.stop();
    this.camera = this.microphone = this.screen = null;
    this.#session = undefined;
    this.emit("change", undefined);
  }

  async #openMicrophone(): Promise<void> {
    // Some systems give the device out once only: the old track goes first.
    this.microphone?.stop();
    this.microphone = null;
    const track = await openMicrophone(this.wish);
    track.onended = () => void this.#lost("microphone", "The microphone was disconnected.");
    this.microphone = track;
  }

  async #lost(source: "camera" | "microphone", message: string): Promise<void> {
    this[source] = null;
    const kind = source === "camera" ? "video" : "audio";
    if (this.#publishes(source)) await this.#session?.publish(source, kind, null, true);
    this.emit("trouble", { source, message });
    this.emit("change", undefined);
  }

  #publishes(source: Source): boolean {
    return this.#session?.publisher.producers().some((it) => it.source === source) ?? false;
  }

  async #exclusively(source: Source, action: () => Promise<void>): Promise<void> {
    if (this.busy.has(source)) return;
    this.busy.add(source);
    this.emit("change", undefined);
    try {
      await action();
    } catch (error) {
      this.emit("trouble", { source, message: explain(source, error) });
    } finally {
      this.busy.delete(source);
      this.emit("change", undefined);
    }
  }
}
