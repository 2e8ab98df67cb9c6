// A far host: a network namespace behind a lossy, slow link. Needs root.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { once } from "node:events";

const LINK = join(dirname(fileURLToPath(import.meta.url)), "link.py");
const ip = (...words) => execFileSync("ip", words, { stdio: ["ignore", "pipe", "pipe"] });

/** Why no far host can be made here, or nothing. */
export function farHostMissing() {
  if (process.getuid() !== 0) return "needs root";
  try {
    ip("netns", "list");
    execFileSync("python3", ["-c", "open('/dev/net/tun')"], { stdio: "ignore" });
  } catch {
    return "needs iproute2, python3 and /dev/net/tun";
  }
  return undefined;
}

/**
 * Makes the far host. `roundTripMs` and `loss` (each way, UDP only) are the link's. This host has the
 * address `near` on it, the far host `far`.
 */
export async function makeFarHost({ roundTripMs, loss, seed = 1 }) {
  const tag = `wg${process.pid % 10_000}`;
  const host = new FarHost(tag, 10 + (process.pid % 200));
  await host.start({ roundTripMs, loss, seed });
  return host;
}

class FarHost {
  constructor(tag, subnet) {
    this.namespace = tag;
    this.devices = [`${tag}n`, `${tag}f`];
    this.near = `10.213.${subnet}.1`;
    this.far = `10.213.${subnet}.2`;
    this.folder = mkdtempSync(join(tmpdir(), "weirgate-far-"));
    this.said = "";
  }

  async start({ roundTripMs, loss, seed }) {
    const words = [LINK, ...this.devices, "--delay-ms", roundTripMs / 2, "--loss", loss, "--seed", seed];
    this.link = spawn("python3", words.map(String), { stdio: ["ignore", "pipe", "inherit"] });
    await once(this.link.stdout, "data");
    this.link.stdout.on("data", (text) => (this.said += text));
    const [near, far] = this.devices;
    ip("netns", "add", this.namespace);
    ip("link", "set", far, "netns", this.namespace);
    ip("addr", "add", `${this.near}/30`, "dev", near);
    ip("link", "set", near, "up");
    const inside = (...words) => ip("-n", this.namespace, ...words);
    inside("link", "set", "lo", "up");
    inside("addr", "add", `${this.far}/30`, "dev", far);
    inside("link", "set", far, "up");
    // Browsers gather no candidates where there is no way out.
    inside("route", "add", "default", "via", this.near);
  }

  /** A program that runs `command` on the far host. */
  wrap(command) {
    const path = join(this.folder, "run-far");
    writeFileSync(path, `#!/bin/sh\nexec ip netns exec ${this.namespace} ${command} "$@"\n`, { mode: 0o700 });
    return path;
  }

  /** Takes the host down; gives the link's counts. */
  async stop() {
    const ended = once(this.link, "close");
    this.link.kill("SIGTERM");
    await ended;
    ip("netns", "delete", this.namespace);
    rmSync(this.folder, { recursive: true, force: true });
    return JSON.parse(this.said);
  }
}
