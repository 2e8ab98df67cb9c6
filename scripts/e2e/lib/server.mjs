// One Weirgate (control and its engine) for a test: own ports, own folder, gone afterwards.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { freeTcpPort, freeUdpPort, udpPortRange } from "./ports.mjs";
import { until } from "./wait.mjs";

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../../..");
const PAGE_DIR = join(ROOT, "control/page/dist");
const LOG_LINES_MAX = 400;

/**
 * Where the programs are: `WEIRGATE_BIN_DIR`, else the newer of the release and the debug build.
 */
export function programFolder() {
  const target = process.env.CARGO_TARGET_DIR ?? join(ROOT, "target");
  const folders = [process.env.WEIRGATE_BIN_DIR ?? [], join(target, "release"), join(target, "debug")].flat();
  const usable = folders.filter((folder) =>
    ["weirgate-control", "weirgate-engine", "weirgate-loadgen"].every((name) => existsSync(join(folder, name))),
  );
  if (usable.length === 0) throw new Error("build first: cargo build --release -p weirgate-engine -p weirgate-control -p weirgate-loadgen");
  if (process.env.WEIRGATE_BIN_DIR) return usable[0];
  const age = (folder) => statSync(join(folder, "weirgate-control")).mtimeMs;
  return usable.sort((a, b) => age(b) - age(a))[0];
}

/**
 * Starts control and, through it, an engine, and waits until both are ready.
 *
 * `host`: address for HTTP and media (127.0.0.1), `mediaHost`: another one for media. `io`, `cores`: as the flags. `flags`: further ones.
 * `token`: API token, needed where `host` is not loopback. `plainPorts`: how many for plain transports.
 */
export async function startServer(options = {}) {
  if (!existsSync(join(PAGE_DIR, "index.html"))) {
    throw new Error("build the page first: cd control/page && npm ci && npm run build");
  }
  const server = new Server(options, await freeTcpPort(options.host), await freeUdpPort(options.host));
  await server.startControl();
  return server;
}

class Server {
  constructor(options, httpPort, mediaPort) {
    const { host = "127.0.0.1", mediaHost = host, io = "auto", cores = "0,1", flags = [], token, plainPorts = 40 } = options;
    const plain = udpPortRange(plainPorts);
    this.folder = mkdtempSync(join(tmpdir(), "weirgate-e2e-"));
    this.host = host;
    this.mediaPort = mediaPort;
    this.url = `http://${host}:${httpPort}`;
    this.socket = join(this.folder, "run/engine.sock");
    this.log = [];
    this.control = undefined;
    this.token = token;
    const programs = programFolder();
    this.program = join(programs, "weirgate-control");
    this.flags = [
      ["--http-listen", `${host}:${httpPort}`],
      ["--media-listen", `${mediaHost}:${mediaPort}`],
      ["--plain-ports", `${plain.first}-${plain.last}`],
      ["--engine-socket", this.socket],
      ["--engine-bin", join(programs, "weirgate-engine")],
      ["--page-dir", PAGE_DIR],
      ["--io", io],
      ["--cores", cores],
      token ? ["--api-token", token] : [],
      flags,
    ].flat();
  }

  /** Starts control; gives the time from its start until it is ready, in ms. */
  async startControl() {
    const started = performance.now();
    const control = spawn(this.program, this.flags, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, XDG_RUNTIME_DIR: this.folder, XDG_STATE_HOME: join(this.folder, "state") },
    });
    this.control = control;
    for (const stream of [control.stdout, control.stderr]) stream.on("data", (data) => this.#keep(data));
    control.once("exit", (code, signal) => this.#keep(`control ended: ${signal ?? code}\n`));
    await until("control to be ready", async () => {
      if (control.exitCode !== null) throw new Error(`control ended: ${this.lastLog()}`);
      return (await fetch(`${this.url}/readyz`)).ok;
    }, { interval: 20 }).catch((error) => {
      throw new Error(`${error.message}\n${this.lastLog()}`);
    });
    return performance.now() - started;
  }

  /** kill -9 of control alone; the engine goes on. */
  async killControl() {
    const { control } = this;
    const gone = new Promise((resolve) => control.once("exit", resolve));
    control.kill("SIGKILL");
    await gone;
  }

  /** JSON of an HTTP API call; throws what the API answers where it is an error. */
  async api(method, path, body) {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(this.token ? { authorization: `Bearer ${this.token}` } : {}),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  }

  get(path) {
    return this.api("GET", path);
  }

  /** Counters of `/metrics`: name with labels → value. */
  async metrics() {
    const headers = this.token ? { authorization: `Bearer ${this.token}` } : {};
    const text = await (await fetch(`${this.url}/metrics`, { headers })).text();
    const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]));
  }

  enginePid() {
    const lock = `${this.socket}.lock`;
    return existsSync(lock) ? Number(readFileSync(lock, "utf8")) : undefined;
  }

  /** Resident memory of the engine in bytes. */
  engineMemory() {
    const status = readFileSync(`/proc/${this.enginePid()}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)[1]) * 1024;
  }

  lastLog() {
    return this.log.slice(-40).join("\n");
  }

  /** Ends control and whatever engine is left. */
  async stop() {
    const { control } = this;
    const engine = this.enginePid();
    if (control && control.exitCode === null && control.signalCode === null) {
      const gone = new Promise((resolve) => control.once("exit", resolve));
      control.kill("SIGTERM");
      const late = setTimeout(() => control.kill("SIGKILL"), 10_000);
      await gone;
      clearTimeout(late);
    }
    // A control that was killed did not end its engine, and the next one only adopted it.
    if (engine && runs(engine)) {
      process.kill(engine, "SIGTERM");
      await until("the engine to end", () => !runs(engine)).catch(() => process.kill(engine, "SIGKILL"));
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  #keep(data) {
    this.log.push(...String(data).split("\n").filter(Boolean));
    this.log.splice(0, this.log.length - LOG_LINES_MAX);
    if (process.env.E2E_LOG) process.stderr.write(data);
  }
}

/** A process that is there and not a zombie. */
function runs(pid) {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
