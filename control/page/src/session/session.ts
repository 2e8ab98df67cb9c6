// The call: joins a room, keeps it through lost connections, and holds what is sent and received.
//
//   idle ─ join() ─► connecting ─► joined ◄──► away          (media goes on while away)
//                        │            │          │
//                        └────────────┴──────────┴─► ended   (left, kicked, refused)

import { Device, type types } from "mediasoup-client";
import { Emitter } from "../emitter.ts";
import type { Codec } from "../params.ts";
import type { JoinAnswer, MediaKind, Source } from "../protocol.ts";
import { type Link, type Push, SignalingError } from "../signaling.ts";
import { Connection } from "./connection.ts";
import { Publisher } from "./publisher.ts";
import { type Local, type Plan, parseOwn, reconcile } from "./reconcile.ts";
import { Roster } from "./roster.ts";
import { Subscriber } from "./subscriber.ts";

/** Wait before asking again where the server answers but cannot do it yet. */
const RETRY_MS = 1_000;
/** A server that is well answers `join` in a moment; one that does not may know nothing of it. */
const JOIN_TIMEOUT_MS = 3_000;

export type Status = "idle" | "connecting" | "joined" | "away" | "ended";

export interface SessionOptions {
  roomId: string;
  displayName: string;
  token?: string;
  codec?: Codec;
  simulcast: boolean;
  scalability?: string;
  /** How the router's abilities are read; tests give a device without a browser. */
  makeDevice?: () => Promise<Device>;
}

interface SessionEvents {
  /** Anything a view shows may be different now. */
  change: void;
  /** Something failed that the user should know about; the call goes on. */
  trouble: { message: string };
}

export class Session extends Emitter<SessionEvents> {
  readonly options: SessionOptions;
  readonly roster = new Roster();
  readonly publisher: Publisher;
  readonly subscriber: Subscriber;
  status: Status = "idle";
  /** Why the call ended, or why the server is away. */
  reason = "";
  peerId = "";
  /** How often this page joined from scratch, and how often it resumed. */
  joins = 0;
  resumes = 0;

  readonly #link: Link;
  #resumeToken: string | undefined;
  #device: Device | undefined;
  #iceServers: RTCIceServer[] | undefined;
  #send: Connection | undefined;
  #recv: Connection | undefined;
  /** Steps that make or close transports run one after the other. */
  #steps: Promise<void> = Promise.resolve();

  constructor(link: Link, options: SessionOptions) {
    super();
    this.#link = link;
    this.options = options;
    this.publisher = new Publisher(link, options);
    this.subscriber = new Subscriber(
      link,
      (id) => this.roster.producer(id) !== undefined,
      () => this.#changed(),
    );
    link.on("up", () => this.#step(() => this.#enter()));
    link.on("down", ({ reason }) => this.#wentAway(reason));
    link.on("unreachable", ({ reason }) => this.#unreachable(reason));
    link.on("push", (push) => this.#pushed(push));
  }

  get connections(): Connection[] {
    return [this.#send, this.#recv].filter((it) => it !== undefined);
  }

  get device(): Device | undefined {
    return this.#device;
  }

  join(): void {
    this.#setStatus("connecting");
    this.#link.connect();
  }

  /** Tries the server at once instead of at the next turn. */
  retry(): void {
    if (this.status === "away" || this.status === "connecting") this.#link.connect();
  }

  async leave(): Promise<void> {
    if (this.status === "ended") return;
    const farewell = this.#link.request("leave", {}).catch(() => ({}));
    this.#end("You left the call.");
    await farewell;
    this.#link.disconnect();
  }

  /** Sends `track` as `source`, replaces it, or (`null`) keeps the producer without a track. */
  async publish(source: Source, kind: MediaKind, track: MediaStreamTrack | null, paused = false): Promise<void> {
    await this.#publishing(() => this.publisher.set(source, kind, track, paused));
    if (track) this.#step(() => this.#ensureConnections());
  }

  async setPaused(source: Source, paused: boolean): Promise<void> {
    await this.#publishing(() => this.publisher.setPaused(source, paused));
  }

  async unpublish(source: Source): Promise<void> {
    await this.#publishing(() => this.publisher.remove(source));
  }

  async #publishing(action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      this.#trouble("Your media could not be sent", error);
    }
    this.#changed();
  }

  // Joining ------------------------------------------------------------------------------------

  async #enter(): Promise<void> {
    if (this.status === "ended" || !this.#link.connected) return;
    const { roomId, displayName, token } = this.options;
    let answer: JoinAnswer;
    try {
      const request = { roomId, displayName, token, resumeToken: this.#resumeToken };
      answer = await this.#link.request("join", request, JOIN_TIMEOUT_MS);
    } catch (error) {
      return this.#joinFailed(error as SignalingError);
    }
    await this.#entered(answer);
  }

  async #entered(answer: JoinAnswer): Promise<void> {
    this.#resumeToken = answer.resumeToken;
    this.#iceServers = answer.iceServers;
    this.peerId = answer.peerId;
    if (answer.resumed && this.#device) {
      this.resumes += 1;
      this.subscriber.dropProducers(this.roster.replace(answer.peers, this.peerId).producerIds);
      await this.#carryOut(reconcile(this.#local(), parseOwn(answer.own)));
    } else {
      this.joins += 1;
      this.#dropConnections();
      this.roster.replace(answer.peers, this.peerId);
      try {
        this.#device = await this.#loadDevice(answer.routerRtpCapabilities);
      } catch (error) {
        return this.#end(`This browser cannot take part: ${text(error)}`);
      }
    }
    if (!this.#link.connected) return;
    this.#setStatus("joined");
    await this.#ensureConnections();
    for (const connection of this.connections) connection.checkAfterResume();
  }

  #joinFailed(error: SignalingError): void {
    if (error.code === "disconnected") return;
    if (error.code === "timeout") {
      // Whether it was taken is unknown, so it cannot be sent again on the same connection.
      this.#link.disconnect();
      return this.#link.connect();
    }
    const hopeless = ["unauthorized", "bad_request", "unsupported", "conflict"].includes(error.code);
    // A server that does not take the token is asked once more as a newcomer.
    if (this.#resumeToken && (hopeless || error.code === "not_found")) {
      this.#resumeToken = undefined;
      return void this.#step(() => this.#enter());
    }
    if (hopeless) return this.#end(`The server refused: ${error.message}`);
    this.reason = error.message;
    this.#changed();
    setTimeout(() => this.#step(() => this.#enter()), RETRY_MS);
  }

  async #loadDevice(routerRtpCapabilities: types.RtpCapabilities): Promise<Device> {
    const device = await (this.options.makeDevice?.() ?? Device.factory());
    await device.load({ routerRtpCapabilities });
    return device;
  }

  // Agreeing after a resume ---------------------------------------------------------------------

  #local(): Local {
    const of = (connection?: Connection) => connection && { id: connection.id, settled: connection.settled };
    return {
      send: of(this.#send),
      recv: of(this.#recv),
      producers: this.publisher.producers().map((it) => ({ id: it.producer.id, paused: it.paused })),
      consumers: [...this.subscriber.received.values()].map(({ consumer }) => ({
        id: consumer.id,
        producerId: consumer.producerId,
      })),
    };
  }

  async #carryOut(plan: Plan): Promise<void> {
    if (plan.dropSend) this.#dropSend();
    if (plan.dropRecv) this.#dropRecv();
    this.publisher.drop(plan.dropProducers);
    this.subscriber.dropConsumers(plan.dropConsumers);
    const received = [...this.subscriber.received.values()];
    await Promise.allSettled([
      ...plan.closeTransports.map((transportId) => this.#link.request("closeTransport", { transportId })),
      ...plan.closeProducers.map((producerId) => this.#link.request("closeProducer", { producerId })),
      ...plan.closeConsumers.map((consumerId) => this.#link.request("closeConsumer", { consumerId })),
      ...plan.pauseProducers.map((producerId) => this.#link.request("pauseProducer", { producerId })),
      ...plan.resumeProducers.map((producerId) => this.#link.request("resumeProducer", { producerId })),
      ...received
        .filter(({ consumer }) => plan.resumeConsumers.includes(consumer.id))
        .map((it) => this.subscriber.resume(it)),
    ]);
  }

  // Transports ----------------------------------------------------------------------------------

  /** Makes what is missing; where the server cannot, says so and asks again later. */
  async #ensureConnections(): Promise<void> {
    try {
      await this.#ensureRecv();
      await this.#ensureSend();
    } catch (error) {
      // After a lost connection the resumed session comes here again by itself.
      if (error instanceof SignalingError && error.code === "disconnected") return;
      this.#trouble("No connection for media", error);
      setTimeout(() => this.#step(() => this.#ensureConnections()), RETRY_MS);
    }
  }

  async #ensureRecv(): Promise<void> {
    if (this.status !== "joined" || !this.#device) return;
    if (!this.#recv) {
      this.#recv = await this.#connect("recv", this.#device);
      this.subscriber.attach(this.#device, this.#recv);
    }
    // Not waited for: one slow consumer must not hold back the rest.
    void this.subscriber.sync(this.roster.producerIds());
  }

  async #ensureSend(): Promise<void> {
    if (this.status !== "joined" || !this.#device) return;
    if (!this.#send) {
      if (!this.publisher.wants()) return;
      this.#send = await this.#connect("send", this.#device);
      this.publisher.attach(this.#device, this.#send);
    }
    await this.#publishing(() => this.publisher.sync());
  }

  async #connect(direction: "send" | "recv", device: Device): Promise<Connection> {
    const connection = await Connection.create(this.#link, device, direction, this.#iceServers);
    connection.on("state", () => this.#changed());
    connection.on("broken", () => this.#step(() => this.#rebuild(connection)));
    return connection;
  }

  async #rebuild(connection: Connection): Promise<void> {
    if (this.status !== "joined" || !this.connections.includes(connection)) return;
    await this.#link.request("closeTransport", { transportId: connection.id }).catch(() => ({}));
    if (connection === this.#send) this.#dropSend();
    else this.#dropRecv();
    await this.#ensureConnections();
  }

  #dropSend(): void {
    this.#send?.close();
    this.#send = undefined;
    this.publisher.attach(this.#device, undefined);
  }

  #dropRecv(): void {
    this.#recv?.close();
    this.#recv = undefined;
    this.subscriber.attach(this.#device, undefined);
  }

  #dropConnections(): void {
    this.#dropSend();
    this.#dropRecv();
  }

  // What the server and the connection say ------------------------------------------------------

  #pushed(push: Push): void {
    if (push.name === "kicked") return this.#end(push.data.reason || "You were removed from the call.");
    if (push.name === "producerWanted") {
      return this.publisher.setWantedLayers(push.data.producerId, push.data.spatialLayer);
    }
    if (push.name === "transportClosed") {
      const connection = this.connections.find((it) => it.id === push.data.transportId);
      if (connection) this.#step(() => this.#rebuild(connection));
      return;
    }
    if (push.name === "consumerClosed") {
      this.subscriber.dropConsumers([push.data.consumerId]);
    } else {
      this.subscriber.dropProducers(this.roster.apply(push).producerIds);
      if (push.name === "newProducer") this.#step(() => this.#ensureConnections());
    }
    this.#changed();
  }

  #wentAway(reason: string): void {
    this.reason = reason;
    if (this.status === "joined") this.#setStatus("away");
  }

  #unreachable(reason: string): void {
    this.reason = reason;
    this.#changed();
  }

  #end(reason: string): void {
    this.reason = reason;
    this.#dropConnections();
    this.roster.clear();
    this.#setStatus("ended");
    if (!this.#link.connected) this.#link.disconnect();
  }

  #step(action: () => Promise<void>): void {
    this.#steps = this.#steps.then(action).catch((error) => {
      if (error instanceof SignalingError && error.isConnection) return;
      this.#trouble("The server could not do that", error);
    });
  }

  #trouble(what: string, error: unknown): void {
    console.warn(what, error);
    this.emit("trouble", { message: `${what}: ${text(error)}` });
  }

  #setStatus(status: Status): void {
    if (this.status === "ended") return;
    this.status = status;
    if (status === "joined") this.reason = "";
    this.#changed();
  }

  #changed(): void {
    this.emit("change", undefined);
  }
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
