// scripts/run: control that dies is back, INT and TERM leave no process.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { freeTcpPort, freeUdpPort, udpPortRange } from "../lib/ports.mjs";
import { programFolder, ROOT } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

describe("scripts/run", () => {
  // Scripts start programs in the background with INT ignored.
  for (const [signal, prelude] of [
    ["INT", 'trap "" INT QUIT'],
    ["TERM", ":"],
  ]) {
    it(`brings control back and ends by ${signal}`, { timeout: 60_000 }, async () => {
      const run = await start(prelude);
      try {
        const page = await until("the URL of the page", () => /Call page: (\S+)/.exec(run.output())?.[1], { timeout: 30_000 });
        const [control] = run.processes("weirgate-control");
        process.kill(control, "SIGKILL");
        await until("control's end", () => !run.processes("weirgate-control").includes(control));
        const ready = () => fetch(new URL("/readyz", page)).then((answer) => answer.ok);
        // A second is the rule; the rest is for a machine that does other things too.
        await until("another control", ready, { timeout: 5_000, interval: 20 });
        process.kill(run.child.pid, `SIG${signal}`);
        assert.equal(await run.ended, 0, run.output());
        assert.deepEqual(run.processes(""), []);
      } finally {
        run.kill();
      }
    });
  }
});

async function start(prelude) {
  const folder = mkdtempSync(join(tmpdir(), "weirgate-run-"));
  // The programs are built already, as these tests have them.
  symlinkSync(programFolder(), join(folder, "release"));
  mkdirSync(join(folder, "bin"));
  writeFileSync(join(folder, "bin/cargo"), "#!/bin/sh\n", { mode: 0o755 });
  const plain = udpPortRange(10);
  const flags = [
    ["--http-listen", `127.0.0.1:${await freeTcpPort()}`],
    ["--media-listen", `127.0.0.1:${await freeUdpPort()}`],
    ["--plain-ports", `${plain.first}-${plain.last}`],
    ["--engine-socket", join(folder, "run/engine.sock")],
  ].flat();
  const child = spawn("bash", ["-c", `${prelude}; exec "$@"`, "bash", join(ROOT, "scripts/run"), "--", ...flags], {
    env: { ...process.env, CARGO_TARGET_DIR: folder, PATH: `${join(folder, "bin")}:${process.env.PATH}` },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.on("data", (data) => (output += data));
  child.stderr.on("data", (data) => (output += data));
  return {
    child,
    ended: new Promise((resolve) => child.once("exit", (code) => resolve(code))),
    output: () => output,
    processes: (name) => processesOf(folder, name),
    kill() {
      for (const pid of processesOf(folder, "")) process.kill(pid, "SIGKILL");
      rmSync(folder, { recursive: true });
    },
  };
}

/** Ids of running processes of the program `name` that name `folder` in their arguments. */
function processesOf(folder, name) {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        return existsSync(`/proc/${pid}/exe`) && words[0].includes(name) && words.some((word) => word.includes(folder));
      } catch {
        return false;
      }
    })
    .map(Number);
}
