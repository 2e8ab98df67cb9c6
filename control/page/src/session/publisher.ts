// What this peer sends: the tracks the user wants out, and the producers that carry them.

import type { Device, types } from "mediasoup-client";
import type { Codec } from "../params.ts";
import type { MediaKind, Source } from "../protocol.ts";
import { type Link, SignalingError } from "../signaling.ts";
import type { Connection } from "./connection.ts";
import { type Highest, WantedLayers } from "./wanted_layers.ts";

/** bit/s; enough for 720p camera and 1080p slides. */
const CAMERA_BITRATE_MAX = 1_800_000;
const SCREEN_BITRATE_MAX = 3_000_000;

interface Wanted {
  source: Source;
  kind: MediaKind;
  /** `null`: the device is off while the producer stays, paused. */
  track: MediaStreamTrack | null;
  paused: boolean;
  producer?: types.Producer;
  producing: boolean;
}

export interface PublishOptions {
  codec?: Codec;
  simulcast: boolean;
  /** Scalability mode of the camera where it is one stream, such as `L3T3_KEY`. */
  scalability?: string;
}

export class Publisher {
  readonly #link: Link;
  readonly #options: PublishOptions;
  readonly #wanted = new Map<Source, Wanted>();
  readonly #layers = new WantedLayers(() => this.producers().map((it) => it.producer));
  #device: Device | undefined;
  #connection: Connection | undefined;

  constructor(link: Link, options: PublishOptions) {
    this.#link = link;
    this.#options = options;
  }

  /** Where to send from now on; `undefined` while there is no transport. */
  attach(device: Device | undefined, connection: Connection | undefined): void {
    this.#device = device;
    this.#connection = connection;
    if (connection) return;
    for (const wanted of this.#wanted.values()) wanted.producer = undefined;
    this.#layers.clear();
  }

  wants(): boolean {
    return [...this.#wanted.values()].some((it) => it.track !== null);
  }

  producers(): { source: Source; kind: MediaKind; paused: boolean; producer: types.Producer }[] {
    return [...this.#wanted.values()].flatMap(({ source, kind, paused, producer }) =>
      producer && !producer.closed ? [{ source, kind, paused, producer }] : [],
    );
  }

  /** The server told the highest layer that others take of a producer: what is above is not sent. */
  setWantedLayers(producerId: string, highest: Highest): void {
    this.#layers.set(producerId, highest);
  }

  /** What the server told; `undefined` where it told nothing, so that all is sent. */
  wantedLayers(producerId: string): Highest | undefined {
    return this.#layers.get(producerId);
  }

  paused(source: Source): boolean {
    return this.#wanted.get(source)?.paused ?? true;
  }

  /**
   * Wants `track` sent as `source`; a track already sent is replaced without a new producer. `null`
   * stops sending but keeps the producer, so that it can go on later.
   */
  async set(source: Source, kind: MediaKind, track: MediaStreamTrack | null, paused: boolean): Promise<void> {
    const wanted = this.#wanted.get(source) ?? { source, kind, track: null, paused, producing: false };
    this.#wanted.set(source, Object.assign(wanted, { track, paused }));
    const { producer } = wanted;
    if (producer && !producer.closed) {
      if (producer.track !== track) await producer.replaceTrack({ track });
      await this.#applyPause(wanted);
    } else {
      await this.sync();
    }
  }

  /** Pauses or resumes without touching the track. */
  async setPaused(source: Source, paused: boolean): Promise<void> {
    const wanted = this.#wanted.get(source);
    if (!wanted) return;
    wanted.paused = paused;
    await this.#applyPause(wanted);
  }

  /** Stops sending `source` for good. */
  async remove(source: Source): Promise<void> {
    const wanted = this.#wanted.get(source);
    this.#wanted.delete(source);
    if (!wanted?.producer) return;
    const { id } = wanted.producer;
    wanted.producer.close();
    this.#layers.forget(id);
    await this.#tell("closeProducer", id);
  }

  /** Forgets producers that the server no longer has; {@link sync} makes them anew. */
  drop(ids: string[]): void {
    for (const wanted of this.#wanted.values()) {
      if (!wanted.producer || !ids.includes(wanted.producer.id)) continue;
      wanted.producer.close();
      this.#layers.forget(wanted.producer.id);
      wanted.producer = undefined;
    }
  }

  /** Produces whatever is wanted and not yet produced. */
  async sync(): Promise<void> {
    await Promise.all([...this.#wanted.values()].map((wanted) => this.#produce(wanted)));
  }

  async #produce(wanted: Wanted): Promise<void> {
    const connection = this.#connection;
    const device = this.#device;
    const { track, producer } = wanted;
    if (!connection || !device?.canProduce(wanted.kind) || !track || wanted.producing) return;
    if ((producer && !producer.closed) || connection.transport.closed || track.readyState === "ended") return;
    wanted.producing = true;
    try {
      wanted.producer = await connection.transport.produce({
        track,
        stopTracks: false,
        ...this.#encoding(wanted, device, track),
        appData: { source: wanted.source, paused: wanted.paused },
      });
    } catch (error) {
      // After a lost connection the resumed session calls sync() again.
      if (error instanceof SignalingError && error.isConnection) return;
      throw error;
    } finally {
      wanted.producing = false;
    }
    await this.#catchUp(wanted);
  }

  /** The user may have changed their mind while the producer was being made. */
  async #catchUp(wanted: Wanted): Promise<void> {
    const { producer } = wanted;
    if (!producer) return;
    if (this.#wanted.get(wanted.source) !== wanted) {
      producer.close();
      this.#layers.forget(producer.id);
      return this.#tell("closeProducer", producer.id);
    }
    this.#layers.applyAll();
    if (producer.track !== wanted.track) await producer.replaceTrack({ track: wanted.track });
    if (wanted.paused) producer.pause();
    if (wanted.paused !== (producer.appData as { paused: boolean }).paused) await this.#applyPause(wanted);
  }

  async #applyPause({ producer, paused }: Wanted): Promise<void> {
    if (!producer || producer.closed) return;
    if (paused) producer.pause();
    else producer.resume();
    await this.#tell(paused ? "pauseProducer" : "resumeProducer", producer.id);
  }

  /** Away from the server the change waits: the resumed session compares and tells it then. */
  async #tell(request: "pauseProducer" | "resumeProducer" | "closeProducer", producerId: string): Promise<void> {
    try {
      await this.#link.request(request, { producerId });
    } catch (error) {
      if (!(error instanceof SignalingError && error.isConnection)) throw error;
    }
  }

  #encoding(wanted: Wanted, device: Device, track: MediaStreamTrack): Partial<types.ProducerOptions> {
    if (wanted.kind === "audio") {
      return { codecOptions: { opusStereo: false, opusDtx: false, opusFec: true } };
    }
    const maxBitrate = wanted.source === "screen" ? SCREEN_BITRATE_MAX : CAMERA_BITRATE_MAX;
    const codec = this.#codec(device);
    if (wanted.source === "screen") return { codec, encodings: [{ maxBitrate }] };
    if (!this.#options.simulcast) {
      return { codec, encodings: [{ maxBitrate, scalabilityMode: this.#options.scalability }] };
    }
    return { codec, encodings: simulcastEncodings(track.getSettings().height ?? 720, maxBitrate) };
  }

  #codec(device: Device): types.RtpCodecCapability | undefined {
    const mimeType = this.#options.codec && `video/${this.#options.codec}`;
    return mimeType
      ? device.sendRtpCapabilities.codecs?.find((codec) => codec.mimeType.toLowerCase() === mimeType)
      : undefined;
  }
}

/** Three layers, or fewer for pictures too small to halve twice. */
function simulcastEncodings(height: number, maxBitrate: number): types.RtpEncodingParameters[] {
  const scales = height >= 540 ? [4, 2, 1] : height >= 270 ? [2, 1] : [1];
  return scales.map((scaleResolutionDownBy) => ({
    scaleResolutionDownBy,
    maxBitrate: Math.round(maxBitrate / scaleResolutionDownBy ** 1.5),
    scalabilityMode: "L1T3",
  }));
}
