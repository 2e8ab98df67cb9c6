// One mediasoup-client transport with the server's half of it, and its repair.

import type { Device, types } from "mediasoup-client";
import { Emitter } from "../emitter.ts";
import type { Source, TransportInfo } from "../protocol.ts";
import type { Link } from "../signaling.ts";

/** A short `disconnected` is ordinary (a lost consent check); act only if it lasts. */
const DISCONNECTED_GRACE_MS = 1_500;
const REPAIR_INTERVAL_MS = 5_000;
/** ICE restarts before the transport is given up and made anew. */
const RESTARTS_MAX = 2;

interface ConnectionEvents {
  state: types.ConnectionState;
  /** Beyond repair: close it and make another. */
  broken: void;
}

export class Connection extends Emitter<ConnectionEvents> {
  readonly direction: "send" | "recv";
  readonly transport: types.Transport;
  readonly #link: Link;
  #handshakeBegan = false;
  #everConnected = false;
  #restarts = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Asks the server for a transport and makes the browser's half of it. */
  static async create(link: Link, device: Device, direction: "send" | "recv", iceServers?: RTCIceServer[]) {
    const info = await link.request("createTransport", { direction });
    return new Connection(link, device, direction, { ...info, iceServers: info.iceServers ?? iceServers });
  }

  private constructor(link: Link, device: Device, direction: "send" | "recv", info: TransportInfo) {
    super();
    this.#link = link;
    this.direction = direction;
    this.transport = direction === "send" ? device.createSendTransport(info) : device.createRecvTransport(info);
    this.transport.on("connect", ({ dtlsParameters }, done, fail) => {
      this.#handshakeBegan = true;
      link.request("connectTransport", { transportId: this.id, dtlsParameters }).then(done, fail);
    });
    this.transport.on("produce", ({ kind, rtpParameters, appData }, done, fail) => {
      const { source, paused } = appData as { source: Source; paused: boolean };
      link
        .request("produce", { transportId: this.id, kind, rtpParameters, paused, appData: { source } })
        .then(done, fail);
    });
    this.transport.on("connectionstatechange", (state) => this.#stateChanged(state));
  }

  get id(): string {
    return this.transport.id;
  }

  /** False while a handshake began and was never seen to end: it may have died with the server. */
  get settled(): boolean {
    return !this.#handshakeBegan || this.#everConnected;
  }

  /** It worked, or should have, and does not. */
  get ailing(): boolean {
    return this.transport.connectionState === "disconnected" || this.transport.connectionState === "failed";
  }

  /** To be called once signaling works again; a repair that had to wait is done then. */
  checkAfterResume(): void {
    if (this.ailing) this.#repair();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.transport.close();
  }

  #stateChanged(state: types.ConnectionState): void {
    if (state === "connected") {
      clearTimeout(this.#timer);
      this.#everConnected = true;
      this.#restarts = 0;
    } else if (state === "disconnected") {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#repair(), DISCONNECTED_GRACE_MS);
    } else if (state === "failed") {
      this.#repair();
    }
    this.emit("state", state);
  }

  #repair(): void {
    clearTimeout(this.#timer);
    // Without signaling there is nothing to restart with; checkAfterResume() comes back to it.
    if (this.transport.closed || this.transport.connectionState === "connected" || !this.#link.connected) return;
    if (this.#restarts >= RESTARTS_MAX) return this.emit("broken", undefined);
    this.#restarts += 1;
    this.#timer = setTimeout(() => this.#repair(), REPAIR_INTERVAL_MS);
    this.#link
      .request("restartIce", { transportId: this.id })
      .then(({ iceParameters }) => this.transport.restartIce({ iceParameters }))
      .catch((error) => console.warn("ICE restart failed:", error));
  }
}
