// Far hosts: network namespaces, each behind a link (`weirgate-loadgen link`) of its own. Needs root.

import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { programFolder } from "./server.mjs";
import { until } from "./wait.mjs";

/** Why no far host can be made here, or nothing. */
export function farHostMissing() {
  if (process.getuid() !== 0) return "needs root";
  if (!existsSync("/dev/net/tun")) return "needs /dev/net/tun";
  try {
    execFileSync("ip", ["netns", "list"], { stdio: "ignore" });
  } catch {
    return "needs iproute2";
  }
  return undefined;
}

let made = 0;

/**
 * Makes a far host. `both`, `up` (from it) and `down` (to it) are settings as the link's `--help`
 * describes them, such as `rate=2M,delay=25ms,queue=100ms,loss=1%`; `flags`: further ones. TCP is
 * never lost, so that only media suffers. This host has the address `near` on the link, the far host
 * `far`.
 */
export async function makeFarHost({ both, up, down, seed = 1, flags = [] }) {
  made += 1;
  const host = new FarHost(`wg${process.pid}-${made}`, made);
  const settings = Object.entries({ both, up, down }).filter(([, value]) => value);
  await host.start([...settings.flatMap(([name, value]) => [`--${name}`, value]), "--seed", String(seed), ...flags]);
  return host;
}

class FarHost {
  constructor(namespace, number) {
    const subnet = `10.213.${process.pid % 250}.${(number * 4) % 256}`.split(".");
    const address = (last) => [...subnet.slice(0, 3), Number(subnet[3]) + last].join(".");
    this.namespace = namespace;
    this.near = address(1);
    this.far = address(2);
    this.folder = mkdtempSync(join(tmpdir(), "weirgate-far-"));
    /** The link's latest figures: `up` and `down`. */
    this.figures = undefined;
    this.changes = [];
  }

  async start(flags) {
    const words = ["link", "--create", "--json-lines", "--commands", "--spare-tcp", "--far", this.namespace];
    words.push("--near-address", `${this.near}/30`, "--far-address", `${this.far}/30`, ...flags);
    this.link = spawn(join(programFolder(), "weirgate-loadgen"), words, { stdio: ["pipe", "pipe", "inherit"] });
    this.ended = new Promise((resolve) => this.link.once("close", resolve));
    let ready = false;
    createInterface({ input: this.link.stdout }).on("line", (line) => {
      const { event, ...rest } = JSON.parse(line);
      if (event === "ready") ready = true;
      else if (event === "changed") this.changes.push(rest);
      else this.figures = rest;
    });
    await until("the link", () => {
      if (this.link.exitCode !== null) throw new Error(`the link ended with ${this.link.exitCode}`);
      return ready;
    }, { interval: 20 });
  }

  /** Puts other settings at once, such as `down:rate=500k`; the rest stays. */
  async change(settings) {
    const before = this.changes.length;
    this.link.stdin.write(`${settings}\n`);
    await until(`the link to take ${settings}`, () => this.changes.length > before, { interval: 5 });
  }

  /** A program that runs `command` on the far host. */
  wrap(command) {
    const path = join(this.folder, "run-far");
    writeFileSync(path, `#!/bin/sh\nexec ip netns exec ${this.namespace} ${command} "$@"\n`, { mode: 0o700 });
    return path;
  }

  /** Takes the host down; gives the link's last figures. */
  async stop() {
    this.link.kill("SIGTERM");
    await this.ended;
    rmSync(this.folder, { recursive: true, force: true });
    return this.figures;
  }
}
