// The Socket.IO connection: requests with answers, events of the server, coming back by itself.

import { io, type Socket } from "socket.io-client";
import { Emitter } from "./emitter.ts";
import type { Pushes, Requests } from "./protocol.ts";

const REQUEST_TIMEOUT_MS = 10_000;
const RECONNECT_DELAY_MS = 250;
const RECONNECT_DELAY_MAX_MS = 2_000;

/**
 * A request that failed: `code` is one of the server's codes, `disconnected` where the connection is
 * or went away, or `timeout`.
 */
export class SignalingError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.name = "SignalingError";
    this.code = code;
  }

  /** Whether the connection failed rather than the request. */
  get isConnection(): boolean {
    return this.code === "disconnected" || this.code === "timeout";
  }
}

/** One event of the server. */
export type Push = { [K in keyof Pushes]: { name: K; data: Pushes[K] } }[keyof Pushes];

interface SignalingEvents {
  up: void;
  down: { reason: string };
  /** A connection attempt failed; the next one follows by itself. */
  unreachable: { reason: string };
  push: Push;
}

/** What a session needs of its connection; a test puts a fake in its place. */
export interface Link {
  readonly connected: boolean;
  connect(): void;
  disconnect(): void;
  on: Emitter<SignalingEvents>["on"];
  request<K extends keyof Requests>(name: K, data: Requests[K][0], timeout?: number): Promise<Requests[K][1]>;
}

export class Signaling extends Emitter<SignalingEvents> implements Link {
  readonly #socket: Socket;
  readonly #failOnDown = new Set<(error: SignalingError) => void>();
  #wanted = false;

  constructor(path = new URL("socket.io", document.baseURI).pathname) {
    super();
    this.#socket = io({
      path,
      autoConnect: false,
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      reconnectionDelay: RECONNECT_DELAY_MS,
      reconnectionDelayMax: RECONNECT_DELAY_MAX_MS,
      timeout: 5_000,
    });
    this.#socket.on("connect", () => this.emit("up", undefined));
    this.#socket.on("connect_error", (error) => this.emit("unreachable", { reason: error.message }));
    this.#socket.on("disconnect", (reason) => this.#wentDown(reason));
    this.#socket.onAny((name: keyof Pushes, data: unknown) => this.emit("push", { name, data } as Push));
  }

  get connected(): boolean {
    return this.#socket.connected;
  }

  connect(): void {
    this.#wanted = true;
    // Also cuts short the wait before the next attempt.
    if (!this.#socket.connected) {
      this.#socket.disconnect();
      this.#socket.connect();
    }
  }

  disconnect(): void {
    this.#wanted = false;
    this.#socket.disconnect();
  }

  /**
   * Sends a request and waits for its answer. Nothing is kept for later: without a connection it
   * fails at once, since whatever is sent before the next `join` would come from a stranger.
   * `timeout` is in ms.
   */
  request<K extends keyof Requests>(
    name: K,
    data: Requests[K][0],
    timeout = REQUEST_TIMEOUT_MS,
  ): Promise<Requests[K][1]> {
    if (!this.#socket.connected) {
      return Promise.reject(new SignalingError("disconnected", "no connection to the server"));
    }
    return new Promise((resolve, reject) => {
      const fail = (error: SignalingError) => {
        this.#failOnDown.delete(fail);
        reject(error);
      };
      this.#failOnDown.add(fail);
      this.#socket.timeout(timeout).emit(name, data, (late: Error | null, answer?: unknown) => {
        if (late) return fail(new SignalingError("timeout", `no answer to ${name}`));
        const error = (answer as { error?: { code?: string; message?: string } } | undefined)?.error;
        if (error) return fail(new SignalingError(error.code ?? "error", error.message ?? `${name} failed`));
        this.#failOnDown.delete(fail);
        resolve((answer ?? {}) as Requests[K][1]);
      });
    });
  }

  #wentDown(reason: string): void {
    for (const fail of [...this.#failOnDown]) fail(new SignalingError("disconnected", reason));
    this.emit("down", { reason });
    // The client library does not come back by itself where the server closed the connection politely.
    if (this.#wanted && reason === "io server disconnect") {
      setTimeout(() => this.#wanted && this.connect(), RECONNECT_DELAY_MS);
    }
  }
}
