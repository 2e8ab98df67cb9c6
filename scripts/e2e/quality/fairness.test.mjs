// One queue of 2 Mbit/s and 100 ms, shared by two receivers, and by one and a TCP flow.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { judged } from "../lib/machine.mjs";
import { farHostMissing } from "../lib/network.mjs";
import { freeTcpPort } from "../lib/ports.mjs";
import { startShapedCall } from "../lib/shaped.mjs";
import { sleep } from "../lib/wait.mjs";

const RATE = 2_000_000;
const LINK = { both: "delay=10ms,queue=100ms", down: "rate=2M" };
const SENDER = { codec: "vp8", simulcast: "1" };
const SETTLE_MS = 15_000;
const WATCH_MS = 15_000;
const SHARE_MAX = 0.6;
const SHARE_WITH_TCP_MIN = 0.2;

describe("two receivers behind one queue", { skip: farHostMissing() }, () => {
  let call;

  before(async () => {
    call = await startShapedCall({ links: [LINK], pages: 2, sender: SENDER });
  });

  after(() => call?.stop());

  it("share it within 60:40", { timeout: 90_000 }, (t) => judged(t, async (tell) => {
    await sleep(SETTLE_MS);
    const { received } = await call.measure(WATCH_MS);
    const rates = received.map((it) => it.rate);
    const share = Math.max(...rates) / rates.reduce((sum, rate) => sum + rate, 0);
    tell({ received, share });
    assert.ok(share <= SHARE_MAX, `${rates} bit/s`);
  }));
});

// One is held back by losses, and one that heeds none is the default of some systems.
for (const control of ["cubic", "bbr"]) describe(`a receiver and a TCP flow (${control}) behind one queue`, { skip: farHostMissing() ?? iperfMissing(control) }, () => {
  let call;

  before(async () => {
    call = await startShapedCall({ links: [LINK], sender: SENDER });
  });

  after(() => call?.stop());

  it("each gets a fifth at least", { timeout: 120_000 }, (t) => judged(t, async (tell) => {
    const tcp = tcpFlow(control, call.hosts[0], await freeTcpPort(call.hosts[0].near), SETTLE_MS + WATCH_MS + 3_000);
    await sleep(SETTLE_MS);
    const { received: [figures] } = await call.measure(WATCH_MS);
    const tcpRate = await tcp;
    tell({ figures, tcpRate });
    assert.ok(figures.rate >= SHARE_WITH_TCP_MIN * RATE, `the call got ${figures.rate} bit/s`);
    assert.ok(tcpRate >= SHARE_WITH_TCP_MIN * RATE, `TCP got ${Math.round(tcpRate)} bit/s`);
  }));
});

function iperfMissing(control) {
  try {
    execFileSync("iperf3", ["--version"], { stdio: "ignore" });
  } catch {
    return "needs iperf3";
  }
  const known = readFileSync("/proc/sys/net/ipv4/tcp_available_congestion_control", "utf8").split(/\s+/);
  if (!known.includes(control)) return `needs TCP's ${control}`;
  return undefined;
}

/** A download of the far host; gives the bit/s of the time that is watched. */
async function tcpFlow(control, host, port, duration) {
  const server = spawn("iperf3", ["-s", "-1", "-B", host.near, "-p", `${port}`], { stdio: "ignore" });
  await sleep(500);
  const words = ["-c", host.near, "-p", `${port}`, "-R", "-J", "-C", control, "-t", `${Math.ceil(duration / 1000)}`];
  const client = spawn(host.wrap("iperf3"), words, { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  client.stdout.on("data", (text) => (said += text));
  await new Promise((resolve) => client.once("close", resolve));
  server.kill();
  const seconds = JSON.parse(said).intervals.map((it) => it.sum.bits_per_second);
  const watched = seconds.slice(SETTLE_MS / 1000, (SETTLE_MS + WATCH_MS) / 1000);
  return watched.reduce((sum, rate) => sum + rate, 0) / watched.length;
}
