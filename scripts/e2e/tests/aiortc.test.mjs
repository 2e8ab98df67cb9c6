// Light clients of another make: aiortc (libsrtp, its own ICE, RTP and congestion control) with each other and a page.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { aiortcMissing, joinWithAiortc, PYTHON } from "../aiortc/process.mjs";
import { joinCall, launchChromium } from "../lib/chromium.mjs";
import { farHostMissing, makeFarHost } from "../lib/network.mjs";
import { assertRising } from "../lib/rising.mjs";
import { startServer } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const SECONDS = Number(process.env.E2E_SECONDS ?? 10);
// The wandering bar, see sources.py.
const BAR_SHARE = 16 / 160;
const BAR_LUMA = 128;
// Reports without a new frame, a second each, that are still no standstill on a busy machine.
const PATIENCE = 3;

const GCM_128 = "SRTP_AEAD_AES_128_GCM";
const GCM_256 = "SRTP_AEAD_AES_256_GCM";
const CM = "SRTP_AES128_CM_SHA1_80";
const ADA = { room: "r", name: "Ada", luma: 60, hertz: 400 };
const BOB = { room: "r", name: "Bob", luma: 180, hertz: 800 };

// Each back end with two suites that differ: what comes under one key goes out under another.
const CASES = [
  { io: "uring", suites: [CM, GCM_256] },
  { io: "mmsg", suites: [GCM_128, CM] },
];

for (const { io, suites } of CASES) {
  describe(`two aiortc clients on ${io}`, { skip: aiortcMissing() }, () => {
    let server;
    let ada;
    let bob;

    before(async () => {
      // aiortc gathers no loopback address, so the media port is open on this machine's own as well.
      server = await startServer({ io, cores: "0,1", mediaHost: "0.0.0.0" });
    });

    after(async () => {
      await ada?.kill();
      await bob?.kill();
      await server?.stop();
    });

    it("runs on the back end asked for, with two shards", async () => {
      const engine = await server.get("/v1/engine");
      assert.equal(engine.io, io);
      assert.equal(engine.shards.length, 2);
    });

    it("one comes early and sends to nobody", { timeout: 120_000 }, async () => {
      ada = await joinWithAiortc(server, { ...ADA, srtp: suites[0] });
      await ada.nextReport();
      await ada.nextReport();
      assert.deepEqual([...ada.received()], []);
      for (const { kind, packets } of ada.figures.sending) assert.ok(packets > 0, `${kind} sent`);
    });

    it("each decodes the other", { timeout: 180_000 + SECONDS * 1_000 }, async () => {
      bob = await joinWithAiortc(server, { ...BOB, srtp: suites[1] });
      await ada.receives([bob.peerId]);
      await bob.receives([ada.peerId]);
      await assertDecoding([ada, bob], SECONDS);
      await assertShardsShared(server);
      assertIsOf(ada.received(), bob);
      assertIsOf(bob.received(), ada);
      assertAgreed(ada, suites[0]);
      assertAgreed(bob, suites[1]);
      for (const client of [ada, bob]) await assertReported(client);
    });

    it("the early one goes on when the other leaves", { timeout: 120_000 }, async () => {
      assert.equal(await bob.leave(), 0, bob.errors);
      await ada.receives([]);
      assert.equal(await ada.leave(), 0, ada.errors);
      await assertAllAuthentic(server);
    });
  });
}

describe("two aiortc clients and a page", { skip: aiortcMissing() }, () => {
  let server;
  let browser;
  const clients = [];

  before(async () => {
    server = await startServer({ cores: "0,1", mediaHost: "0.0.0.0" });
    browser = await launchChromium();
  });

  after(async () => {
    for (const client of clients) await client.kill();
    await browser?.close();
    await server?.stop();
  });

  it("see and hear each other", { timeout: 240_000 + SECONDS * 1_000 }, async () => {
    clients.push(await joinWithAiortc(server, ADA));
    const page = await joinCall(browser, server, { room: "r", name: "Cleo", codec: "vp8", video: "160x120", fps: 10 });
    clients.push(await joinWithAiortc(server, BOB));
    const [ada, bob] = clients;
    const { peerId } = await page.state();
    await page.receives(clients, 60_000);
    await ada.receives([bob.peerId, peerId]);
    await bob.receives([ada.peerId, peerId]);
    await Promise.all([
      assertRising([page], { duration: SECONDS * 1_000, window: 2_000, streams: 2 }),
      assertDecoding(clients, SECONDS),
    ]);
    assertIsOf(ada.received(), bob);
    assertIsOf(bob.received(), ada);
    for (const client of clients) {
      // The page's microphone beeps.
      assert.ok(client.received().get(`${peerId}/audio`).energy > 0, `${client.name} hears the page`);
    }
    for (const [key, { raw }] of await page.received()) {
      assert.equal(raw.packetsLost, 0, `the page lost packets of ${key}`);
    }
  });
});

describe("an aiortc client behind 5 % loss at 50 ms", { skip: aiortcMissing() ?? farHostMissing() }, () => {
  let far;
  let server;
  const clients = [];

  before(async () => {
    far = await makeFarHost({ both: "delay=25ms,loss=5%" });
    server = await startServer({ host: far.near, token: "e2e-secret" });
  });

  after(async () => {
    for (const client of clients) await client.kill();
    await server?.stop();
    await far?.stop();
  });

  it("is repaired, and repairs", { timeout: 240_000 }, async () => {
    clients.push(await joinWithAiortc(server, { ...ADA, python: far.wrap(PYTHON) }));
    clients.push(await joinWithAiortc(server, BOB));
    const [ada, bob] = clients;
    await ada.receives([bob.peerId]);
    await bob.receives([ada.peerId]);
    await until("packets lost each way to come again", async () => {
      const metrics = await server.metrics();
      const counts = ["packets_retransmitted", "rtx_packets_repaired"].map((name) => countOf(metrics, name));
      if (counts.every((count) => count > 0)) return true;
      throw new Error(`${counts} retransmitted, repaired`);
    }, { timeout: 60_000, interval: 500 });
    for (const [client, sender] of [[ada, bob], [bob, ada]]) {
      const frames = () => client.received().get(`${sender.peerId}/video`).frames;
      const before = frames();
      await until(`pictures to go on for ${client.name}`, () => frames() > before + 20, { timeout: 60_000 });
      assertIsOf(client.received(), sender);
    }
    await assertAllAuthentic(server);
  });
});

/** For `seconds`, frames of every stream that each of `clients` receives go on coming, and none is lost. */
async function assertDecoding(clients, seconds) {
  await Promise.all(clients.map(async (client) => {
    const seen = new Map();
    for (let second = 0; second < seconds; second += 1) {
      for (const [key, { frames, packetsLost }] of await client.nextReport()) {
        const stream = `${client.name} ← ${key}`;
        assert.equal(packetsLost, 0, `${stream} lost packets`);
        const before = seen.get(key);
        if (!before || frames > before.frames) {
          seen.set(key, { frames, still: 0 });
        } else {
          before.still += 1;
          assert.ok(before.still <= PATIENCE, `${stream} stood still at ${frames} frames; ${client.errors}`);
        }
      }
    }
    assert.equal(client.errors, "", `${client.name} complained`);
  }));
}

/** What is decoded is the picture and the tone that `sender` makes. */
function assertIsOf(received, sender) {
  const video = received.get(`${sender.peerId}/video`);
  const luma = BAR_LUMA * BAR_SHARE + sender.luma * (1 - BAR_SHARE);
  assert.deepEqual([video.width, video.height], [160, 120]);
  assert.ok(Math.abs(video.luma - luma) < 8, `brightness ${video.luma}, and ${luma} of ${sender.name}`);
  const audio = received.get(`${sender.peerId}/audio`);
  assert.ok(audio.energy > 0.01, `energy ${audio.energy}`);
  const off = Math.abs(audio.hertz - sender.hertz);
  assert.ok(off < sender.hertz / 10, `${audio.hertz} Hz, and ${sender.hertz} of ${sender.name}`);
}

/** Both transports stand, one with each DTLS role, on the suite offered. */
function assertAgreed(client, srtp) {
  const agreed = client.figures.transports.map((it) => ({ direction: it.direction, role: it.role, srtp: it.srtp }));
  assert.deepEqual(agreed, [
    { direction: "send", role: "server", srtp },
    { direction: "recv", role: "client", srtp },
  ]);
  for (const { direction, ice } of client.figures.transports) {
    assert.equal(ice, "completed", `${client.name} ${direction}`);
  }
}

/** Receiver reports come for what is sent, sender reports for what is received, with sensible numbers. */
async function assertReported(client) {
  await until(`reports for ${client.name}`, () => {
    const { sending, receiving } = client.figures;
    if (sending.every((it) => it.roundTripTime > 0) && receiving.every((it) => it.packetsSent > 0)) return true;
    throw new Error(JSON.stringify(client.figures));
  });
  for (const { kind, packetsLost } of client.figures.sending) {
    assert.equal(packetsLost, 0, `${client.name}'s ${kind} as the server sees it`);
  }
  for (const { kind, packets, packetsSent } of client.figures.receiving) {
    // The first may have come before the receiver listened.
    assert.ok(packetsSent <= packets + 10, `${packetsSent} ${kind} packets reported, ${packets} received`);
  }
}

async function assertShardsShared(server) {
  const { shards } = await server.get("/v1/engine");
  const loads = shards.map((shard) => shard.transports);
  assert.ok(loads.every((count) => count > 0), `transports per shard: ${loads}`);
}

/** A counter of the engine, of all shards. */
function countOf(metrics, name) {
  return [0, 1].reduce((sum, shard) => sum + metrics.get(`weirgate_engine_${name}_total{shard="${shard}"}`), 0);
}

async function assertAllAuthentic(server) {
  const metrics = await server.metrics();
  for (const name of ["srtp_auth_failures", "srtp_replays", "srtp_malformed", "rtp_malformed", "stun_auth_failures"]) {
    assert.equal(countOf(metrics, name), 0, name);
  }
}
