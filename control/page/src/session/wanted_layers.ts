// What of an own video the others take: the rest is not encoded, so that an unwatched sender costs
// nothing. Only the sender's `active` flags are touched; a pause by the user is the track's matter.

import type { types } from "mediasoup-client";

/** The highest layer that somebody takes, counted from 0; `null` where nobody takes any. */
export type Highest = number | null;

/**
 * A renegotiation (another track, an ICE restart) can switch every encoding of a simulcast sender on
 * again, and nothing tells; so flags are compared this often. In ms.
 */
const COMPARE_INTERVAL_MS = 1_000;

/** Keeps the encodings of own producers as the server last told. What it never told of is all sent. */
export class WantedLayers {
  readonly #wanted = new Map<string, Highest>();
  readonly #producers: () => types.Producer[];
  /** By producer: changes are made one after the other, each to what is wanted by then. */
  readonly #running = new Map<string, Promise<void>>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(producers: () => types.Producer[]) {
    this.#producers = producers;
  }

  /** The server told what is taken of `producerId`, which may still be being made. */
  set(producerId: string, highest: Highest): void {
    this.#wanted.set(producerId, highest);
    this.#timer ??= setInterval(() => this.applyAll(), COMPARE_INTERVAL_MS);
    this.applyAll();
  }

  get(producerId: string): Highest | undefined {
    return this.#wanted.get(producerId);
  }

  /** A producer is gone. */
  forget(producerId: string): void {
    this.#wanted.delete(producerId);
    if (this.#wanted.size === 0) this.clear();
  }

  clear(): void {
    this.#wanted.clear();
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  applyAll(): void {
    for (const producer of this.#producers()) {
      const before = this.#running.get(producer.id);
      if (before || !this.#wanted.has(producer.id)) continue;
      const running = this.#apply(producer).finally(() => this.#running.delete(producer.id));
      this.#running.set(producer.id, running);
    }
  }

  /** What is wanted may change while the browser is at work: then once more. */
  async #apply(producer: types.Producer): Promise<void> {
    const { rtpSender: sender, id } = producer;
    let highest: Highest | undefined;
    while (sender && !producer.closed && this.#wanted.get(id) !== highest) {
      highest = this.#wanted.get(id);
      if (highest === undefined) return;
      const changed = withLayers(sender.getParameters(), rids(producer), highest);
      try {
        if (changed) await sender.setParameters(changed);
      } catch (error) {
        // Compared again at the next turn.
        return console.warn("layers could not be switched:", error);
      }
    }
  }
}

/**
 * `parameters` with the encodings up to `highest` active and no other, or `undefined` where they are
 * so already. `rids` names the layers, lowest first: a browser may list its encodings in another
 * order. A lone encoding is on as long as somebody takes anything of it, be it layered or not.
 */
export function withLayers(
  parameters: RTCRtpSendParameters,
  rids: (string | undefined)[],
  highest: Highest,
): RTCRtpSendParameters | undefined {
  const isLone = parameters.encodings.length === 1;
  let isChanged = false;
  parameters.encodings.forEach((encoding, index) => {
    const named = encoding.rid === undefined ? -1 : rids.indexOf(encoding.rid);
    const layer = isLone ? 0 : named < 0 ? index : named;
    const active = highest !== null && layer <= highest;
    isChanged ||= (encoding.active ?? true) !== active;
    encoding.active = active;
  });
  return isChanged ? parameters : undefined;
}

function rids(producer: types.Producer): (string | undefined)[] {
  return producer.rtpParameters.encodings?.map((it) => it.rid) ?? [];
}
