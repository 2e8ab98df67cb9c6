// A call over AF_XDP: Chromium in a network namespace of its own, a veth pair between it and the server.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { joinCall, launchChromium } from "../lib/chromium.mjs";
import { assertRising } from "../lib/rising.mjs";
import { startServer } from "../lib/server.mjs";

const DURATION = Number(process.env.E2E_SECONDS ?? 20) * 1000;
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const NAMESPACE = `wgx${process.pid}`;
const NEAR = "10.75.0.1";

function ip(words) {
  execFileSync("ip", words.split(" "), { stdio: ["ignore", "ignore", "pipe"] });
}

describe("a call of three on xdp", { skip: process.getuid() !== 0 && "needs root" }, () => {
  let folder;
  let server;
  let browser;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "weirgate-xdp-"));
    ip(`netns add ${NAMESPACE}`);
    // A queue for each shard.
    const queues = "numrxqueues 2 numtxqueues 2";
    ip(`link add ${NAMESPACE} ${queues} type veth peer name far ${queues} netns ${NAMESPACE}`);
    ip(`address add ${NEAR}/24 dev ${NAMESPACE}`);
    ip(`-n ${NAMESPACE} address add 10.75.0.2/24 dev far`);
    ip(`link set ${NAMESPACE} up`);
    ip(`-n ${NAMESPACE} link set far up`);
    ip(`-n ${NAMESPACE} link set lo up`);
    ip(`-n ${NAMESPACE} route add default via ${NEAR}`);
    server = await startServer({ host: NEAR, token: "e2e-secret", io: "xdp", cores: "0,1" });
    const executable = join(folder, "chromium");
    writeFileSync(executable, `#!/bin/sh\nexec ip netns exec ${NAMESPACE} ${CHROMIUM} "$@"\n`, { mode: 0o700 });
    // Cameras are for https and localhost only, unless the browser is told to trust the address.
    const flags = [`--unsafely-treat-insecure-origin-as-secure=${server.url}`];
    browser = await launchChromium({ executable, flags });
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
    ip(`netns delete ${NAMESPACE}`);
    rmSync(folder, { recursive: true });
  });

  it("runs at the interface that has the media address, and at no other", async () => {
    const engine = await server.get("/v1/engine");
    assert.equal(engine.io, "xdp");
    assert.equal(engine.ioReason, `${NAMESPACE}: native XDP, copy mode, 2 queues`);
  });

  it("everybody decodes everybody, by frames", { timeout: DURATION + 60_000 }, async () => {
    const people = [];
    for (const name of ["Ada", "Bob", "Cleo"]) {
      people.push(await joinCall(browser, server, { room: "xdp", name, codec: "vp8" }));
    }
    for (const person of people) await person.receives(people.filter((it) => it !== person));
    await assertRising(people, { duration: DURATION, streams: 6 });
    for (const person of people) {
      for (const figures of (await person.received()).values()) {
        assert.equal(figures.raw.packetsLost, 0, `${person.name} lost packets of ${figures.kind}`);
      }
    }
    const metrics = await server.metrics();
    const sum = (name) =>
      [...metrics].reduce((sum, [key, value]) => sum + (key.startsWith(`weirgate_engine_io_${name}_total`) ? value : 0), 0);
    // Trains of three and more leave by sockets.
    assert.ok(sum("xdp_datagrams_sent") > 0.5 * sum("datagrams_sent"));
    assert.ok(sum("xdp_datagrams_received") > 0.9 * sum("datagrams_received"));
    assert.equal(sum("xdp_bad_checksums") + sum("xdp_malformed"), 0);
    for (const person of people) await person.leave();
  });
});
