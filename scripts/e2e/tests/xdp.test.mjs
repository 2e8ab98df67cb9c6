// A call over AF_XDP: Chromium in a network namespace of its own, a veth pair between it and the server.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { joinCall, launchChromium } from "../lib/chromium.mjs";
import { assertRising } from "../lib/rising.mjs";
import { startServer } from "../lib/server.mjs";
import { makeVeth } from "../lib/veth.mjs";

const DURATION = Number(process.env.E2E_SECONDS ?? 20) * 1000;

describe("a call of three on xdp", { skip: process.getuid() !== 0 && "needs root" }, () => {
  let veth;
  let server;
  let browser;

  before(async () => {
    veth = makeVeth(`wgx${process.pid}`);
    server = await startServer({ host: veth.host, token: "e2e-secret", io: "xdp", cores: "0,1" });
    browser = await launchChromium(veth.browser(server.url));
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
    veth?.close();
  });

  it("runs at the interface that has the media address, and at no other", async () => {
    const engine = await server.get("/v1/engine");
    assert.equal(engine.io, "xdp");
    assert.equal(engine.ioReason, `${veth.name}: native XDP, copy mode, 2 queues`);
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
