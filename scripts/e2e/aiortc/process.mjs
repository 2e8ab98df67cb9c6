// client.py as a process of its own, and what it says.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { until } from "../lib/wait.mjs";

const FOLDER = dirname(fileURLToPath(import.meta.url));
export const PYTHON = join(FOLDER, ".venv/bin/python");
// Python takes a second of CPU until it is there, and browsers may be at work beside it.
const TIMEOUT = 60_000;
const KINDS = ["video", "audio"];

/** Why the client cannot run, or nothing. */
export function aiortcMissing() {
  return existsSync(PYTHON) ? undefined : "needs scripts/e2e/aiortc/install";
}

/**
 * Joins a room of `server`; gives an {@link AiortcClient} once it is in. `options`: the client's flags, and `python`,
 * another command that runs {@link PYTHON}.
 */
export async function joinWithAiortc(server, options) {
  const client = new AiortcClient(server, options);
  try {
    await until(`${client.name} to join`, () => client.peerId ?? client.hasEnded(), { timeout: TIMEOUT });
    // What made `until` stop may have been the end.
    client.check();
    return client;
  } catch (error) {
    await client.kill();
    throw error;
  }
}

class AiortcClient {
  constructor(server, { python = PYTHON, ...options }) {
    this.name = options.name;
    this.luma = options.luma;
    this.hertz = options.hertz;
    this.peerId = undefined;
    /** The last line of figures, and how many there were. */
    this.figures = undefined;
    this.reports = 0;
    this.errors = "";
    const flags = { url: server.url, ...options };
    const words = Object.entries(flags).flatMap(([key, value]) => [`--${key}`, String(value)]);
    this.process = spawn(python, [join(FOLDER, "client.py"), ...words], { stdio: ["pipe", "pipe", "pipe"] });
    this.ended = once(this.process, "exit").then(([code, signal]) => signal ?? code);
    this.process.stderr.on("data", (text) => (this.errors += text));
    createInterface({ input: this.process.stdout }).on("line", (line) => this.#take(JSON.parse(line)));
  }

  #take({ event, ...fields }) {
    if (event === "joined") this.peerId = fields.peerId;
    if (event === "stats") {
      this.figures = fields;
      this.reports += 1;
    }
  }

  hasEnded() {
    return this.process.exitCode !== null || this.process.signalCode !== null;
  }

  /** Throws if the process has ended by itself. */
  check() {
    if (!this.hasEnded()) return;
    throw new Error(`${this.name} ended (${this.process.signalCode ?? this.process.exitCode}): ${this.errors}`);
  }

  /** As a page's: for `Participant.receives`. */
  async state() {
    return { peerId: this.peerId };
  }

  /** Received streams, each under `peerId/kind`. */
  received() {
    return new Map((this.figures?.receiving ?? []).map((it) => [`${it.peerId}/${it.kind}`, it]));
  }

  /** Waits for a line of figures that is not there yet. */
  async nextReport() {
    const seen = this.reports;
    await until(`figures of ${this.name}`, () => this.reports > seen || this.hasEnded(), { timeout: TIMEOUT });
    this.check();
    return this.received();
  }

  /** Until everything of `peerIds`, and of nobody else, has been decoded. */
  async receives(peerIds) {
    const wanted = peerIds.flatMap((id) => KINDS.map((kind) => `${id}/${kind}`)).sort();
    await until(`${this.name} to receive ${wanted}`, () => {
      if (this.hasEnded()) return true;
      const received = this.received();
      const keys = [...received.keys()].sort();
      if (keys.join() === wanted.join() && keys.every((key) => received.get(key).frames > 0)) return true;
      throw new Error(`${JSON.stringify(this.figures)} ${this.errors}`);
    }, { timeout: TIMEOUT });
    this.check();
  }

  /** Says goodbye; gives the exit code. */
  async leave() {
    this.process.stdin.end();
    return this.ended;
  }

  /** Ends the process, whatever state it is in. */
  async kill() {
    this.process.kill("SIGKILL");
    await this.ended;
  }
}
