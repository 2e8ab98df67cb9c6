// What this peer receives: a consumer for every producer of the others.

import type { Device, types } from "mediasoup-client";
import { type Link, SignalingError } from "../signaling.ts";
import type { Connection } from "./connection.ts";

/** A consumer and when it went through its first steps (`performance.now()`, ms). */
export interface Received {
  consumer: types.Consumer;
  resumedAt?: number;
  firstFrameAt?: number;
}

export class Subscriber {
  /** By producer id. */
  readonly received = new Map<string, Received>();
  readonly #link: Link;
  readonly #isThere: (producerId: string) => boolean;
  readonly #changed: () => void;
  readonly #pending = new Set<string>();
  #device: Device | undefined;
  #connection: Connection | undefined;

  /** `isThere` tells whether a producer is still in the room; `changed` hears of every change. */
  constructor(link: Link, isThere: (producerId: string) => boolean, changed: () => void) {
    this.#link = link;
    this.#isThere = isThere;
    this.#changed = changed;
  }

  /** Where to receive from now on; `undefined` while there is no transport. */
  attach(device: Device | undefined, connection: Connection | undefined): void {
    this.#device = device;
    this.#connection = connection;
    this.#pending.clear();
    if (!connection) this.received.clear();
    this.#changed();
  }

  /** Consumes whichever of `producerIds` is not consumed yet. */
  async sync(producerIds: Iterable<string>): Promise<void> {
    await Promise.all([...producerIds].map((id) => this.#consume(id)));
  }

  /** The producers are gone, and their consumers with them. */
  dropProducers(producerIds: string[]): void {
    for (const id of producerIds) {
      this.received.get(id)?.consumer.close();
      this.received.delete(id);
    }
    if (producerIds.length > 0) this.#changed();
  }

  dropConsumers(consumerIds: string[]): void {
    this.dropProducers([...this.received].filter(([, it]) => consumerIds.includes(it.consumer.id)).map(([id]) => id));
  }

  async resume(received: Received): Promise<void> {
    received.resumedAt ??= performance.now();
    await this.#link.request("resumeConsumer", { consumerId: received.consumer.id });
  }

  async #consume(producerId: string): Promise<void> {
    const connection = this.#connection;
    const device = this.#device;
    if (!connection || !device || this.received.has(producerId) || this.#pending.has(producerId)) return;
    this.#pending.add(producerId);
    try {
      const answer = await this.#link.request("consume", {
        transportId: connection.id,
        producerId,
        rtpCapabilities: device.recvRtpCapabilities,
      });
      const { id, kind, rtpParameters } = answer;
      if (this.#connection !== connection) return;
      const consumer = await connection.transport.consume({ id, producerId, kind, rtpParameters });
      if (this.#connection !== connection || !this.#isThere(producerId)) return consumer.close();
      const received: Received = { consumer };
      this.received.set(producerId, received);
      await this.resume(received);
      this.#changed();
    } catch (error) {
      this.#forgive(producerId, error);
    } finally {
      if (this.#connection === connection) this.#pending.delete(producerId);
    }
  }

  /** A producer that ended meanwhile, or a connection that did, is nothing to speak of. */
  #forgive(producerId: string, error: unknown): void {
    if (error instanceof SignalingError && (error.isConnection || error.code === "not_found")) return;
    console.warn(`cannot receive ${producerId}:`, error);
  }
}
