// Cameras, microphones and screens: finding, opening, and saying why one could not be opened.

export interface CaptureWish {
  width: number;
  height: number;
  fps: number;
  /** Device id; "" is the browser's choice. */
  cameraId: string;
  microphoneId: string;
}

export interface DeviceChoice {
  id: string;
  label: string;
}

export interface DeviceList {
  cameras: DeviceChoice[];
  microphones: DeviceChoice[];
  speakers: DeviceChoice[];
}

/** Whether this page may ask for devices at all: browsers allow it on https and localhost only. */
export function captureAllowed(): boolean {
  return navigator.mediaDevices?.getUserMedia !== undefined;
}

export async function listDevices(): Promise<DeviceList> {
  const devices = captureAllowed() ? await navigator.mediaDevices.enumerateDevices() : [];
  const of = (kind: MediaDeviceKind, word: string) =>
    devices
      .filter((device) => device.kind === kind && device.deviceId !== "")
      .map((device, index) => ({ id: device.deviceId, label: device.label || `${word} ${index + 1}` }));
  return {
    cameras: of("videoinput", "Camera"),
    microphones: of("audioinput", "Microphone"),
    speakers: of("audiooutput", "Speaker"),
  };
}

/** Calls `changed` when a device is plugged in or out. */
export function watchDevices(changed: () => void): void {
  navigator.mediaDevices?.addEventListener?.("devicechange", changed);
}

export function openCamera(wish: CaptureWish): Promise<MediaStreamTrack> {
  return openOne("video", wish.cameraId, {
    width: { ideal: wish.width },
    height: { ideal: wish.height },
    frameRate: { ideal: wish.fps, max: wish.fps },
  });
}

export function openMicrophone(wish: CaptureWish): Promise<MediaStreamTrack> {
  return openOne("audio", wish.microphoneId, { echoCancellation: true, noiseSuppression: true, autoGainControl: true });
}

export async function openScreen(): Promise<MediaStreamTrack> {
  const stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 15 } } });
  const track = stream.getVideoTracks()[0];
  if (!track) throw new DOMException("no picture in the shared screen", "NotFoundError");
  track.contentHint = "detail";
  return track;
}

async function openOne(kind: "audio" | "video", id: string, wish: MediaTrackConstraints): Promise<MediaStreamTrack> {
  if (!captureAllowed()) throw new DOMException("the page is not on https or localhost", "SecurityError");
  const open = async (constraints: MediaTrackConstraints) => {
    const stream = await navigator.mediaDevices.getUserMedia({ [kind]: constraints });
    return stream.getTracks()[0] as MediaStreamTrack;
  };
  try {
    return await open(id ? { ...wish, deviceId: { exact: id } } : wish);
  } catch (error) {
    // The remembered device may be gone: any other is better than none.
    if (id && (error as DOMException).name === "OverconstrainedError") return open(wish);
    throw error;
  }
}

/** One sentence for people about a device that could not be opened. */
export function explain(what: "camera" | "microphone" | "screen", error: unknown): string {
  const name = error instanceof DOMException ? error.name : "";
  switch (name) {
    case "NotAllowedError":
      return what === "screen"
        ? "The screen is not shared: the browser was told not to."
        : `The ${what} is blocked. Allow it in the browser's address bar, then try again.`;
    case "NotFoundError":
    case "OverconstrainedError":
      return `No ${what} was found.`;
    case "NotReadableError":
    case "AbortError":
      return `The ${what} could not be started. Another program may be using it.`;
    case "SecurityError":
    case "TypeError":
      return `The ${what} needs a page on https or localhost.`;
    default:
      return `The ${what} could not be started (${error instanceof Error ? error.message : String(error)}).`;
  }
}

/** Loudness of a track, for a meter. */
export class LevelMeter {
  readonly #context: AudioContext;
  readonly #analyser: AnalyserNode;
  readonly #samples: Float32Array<ArrayBuffer>;

  constructor(track: MediaStreamTrack) {
    this.#context = new AudioContext();
    this.#analyser = this.#context.createAnalyser();
    this.#analyser.fftSize = 512;
    this.#samples = new Float32Array(this.#analyser.fftSize);
    this.#context.createMediaStreamSource(new MediaStream([track])).connect(this.#analyser);
  }

  /** 0 (silence) to 1; −60 dB and below count as silence. */
  level(): number {
    if (this.#context.state === "suspended") void this.#context.resume();
    this.#analyser.getFloatTimeDomainData(this.#samples);
    const power = this.#samples.reduce((sum, sample) => sum + sample * sample, 0) / this.#samples.length;
    const decibels = 10 * Math.log10(power + 1e-9);
    return Math.min(1, Math.max(0, (decibels + 60) / 55));
  }

  close(): void {
    void this.#context.close();
  }
}
