// Frames that are encrypted from end to end go through untouched, and their layers can still be chosen.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { joinCall, launchChromium } from "../lib/chromium.mjs";
import { encrypting, openedFrames } from "../lib/encrypted.mjs";
import { startServer } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const FRAMES = 10;
const SIMULCAST = { codec: "vp8", simulcast: "1", video: "640x360", fps: 15 };

describe("a call that is encrypted from end to end", () => {
  let server;
  let browser;

  before(async () => {
    server = await startServer();
    browser = await launchChromium();
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  it("VP8 simulcast with a descriptor beside it: layers, and who comes late", async (t) => {
    const call = await startCall("described", { clear: "nothing", describes: true }, SIMULCAST);
    const { ada, bob, join } = call;
    await decodes(bob);
    const [{ bitrateByLayer }] = await statsOf(ada);
    assert.ok("0.2" in bitrateByLayer, `temporal layers: ${Object.keys(bitrateByLayer)}`);
    for (const [spatialLayer, height] of [[0, 180], [1, 360], [0, 180]]) {
      await prefer(bob, spatialLayer);
      await until(`pictures ${height} high`, async () => (await video(bob)).frameHeight === height, { timeout: 15_000 });
    }
    const { pliCount } = await video(bob);
    assert.ok(pliCount <= 4, `${pliCount} requests for key frames`);
    const late = await join("Late");
    await decodes(late);
    t.diagnostic(`late: first picture after ${Math.round((await consumer(late)).firstFrameMs)} ms`);
    await seesNothing(await call.stranger());
    await call.end();
  });

  it("VP8 simulcast alone: no frame is taken for what it is not", async (t) => {
    const call = await startCall("opaque", { clear: "nothing" }, SIMULCAST);
    const { ada, bob } = call;
    for (const spatialLayer of [0, 1]) {
      await prefer(bob, spatialLayer);
      await until(`layer ${spatialLayer}`, async () => {
        const { currentLayers, layerReason } = await server.get(`/v1/consumers/${(await consumer(bob)).id}`);
        if (currentLayers?.spatialLayer === spatialLayer) return true;
        throw new Error(`${JSON.stringify(currentLayers)}, ${layerReason}`);
      }, { timeout: 15_000 });
    }
    const { opened } = (await openedFrames(bob)).video;
    await until("frames to be opened", async () => (await openedFrames(bob)).video.opened >= opened + FRAMES);
    // Half of all would be, by their first bit. Browsers themselves go by that, so that they decode some of them only.
    const streams = await statsOf(ada);
    const keyFrames = streams.reduce((sum, it) => sum + it.keyFrameCount, 0);
    const frames = await framesSent(ada);
    t.diagnostic(`${keyFrames} key frames of ${frames}`);
    assert.ok(keyFrames >= streams.length && keyFrames < frames / 5, `${keyFrames} key frames of ${frames}`);
    await call.end();
  });

  for (const [name, clear, query] of [
    ["VP8 with its header left clear", "vp8", { codec: "vp8" }],
    ["VP9 with layers", "nothing", { codec: "vp9", scalability: "L3T3_KEY", video: "640x360" }],
    ["H264", "h264", { codec: "h264" }],
    ["AV1 with layers", "av1", { codec: "av1", scalability: "L3T3", video: "640x360" }],
  ]) {
    it(name, async () => {
      const call = await startCall(query.codec, { clear }, query);
      await decodes(call.bob);
      if (query.scalability) {
        for (const [spatialLayer, height] of [[0, 180], [1, 360]]) {
          await prefer(call.bob, spatialLayer);
          await until(`pictures ${height} high`, async () => (await video(call.bob)).frameHeight === height);
        }
      }
      await seesNothing(await call.stranger());
      await decodes(call.bob);
      await call.end();
    });
  }

  /** Ada with camera and microphone, Bob who looks on; both have the key. */
  async function startCall(room, options, query) {
    const context = await browser.newContext({ bypassCSP: true });
    const prepare = (page) => page.addInitScript(encrypting(options));
    const people = [];
    const come = async (name, others) => {
      const person = await joinCall(browser, server, { room, name, ...others });
      people.push(person);
      return person;
    };
    const join = (name) => come(name, { context, prepare, audio: "0", video: "0" });
    const ada = await come("Ada", { context, prepare, ...query });
    const bob = await join("Bob");
    const keyed = () => people.filter((it) => it.name !== "Eve");
    return {
      ada,
      bob,
      join,
      stranger: () => come("Eve", { audio: "0", video: "0" }),
      end: async () => {
        for (const person of keyed()) {
          const opened = await openedFrames(person);
          assert.equal(opened.video.failed + opened.audio.failed, 0, `${person.name}: ${JSON.stringify(opened)}`);
          if (person !== ada) assert.ok(opened.audio.opened > 0, `${person.name} heard nothing`);
          assert.deepEqual(person.problems, []);
        }
        for (const person of people) await person.leave();
        await context.close();
      },
    };
  }

  async function prefer(person, spatialLayer) {
    const { id } = await consumer(person);
    await server.api("POST", `/v1/consumers/${id}/preferred-layers`, { spatialLayer });
  }

  async function statsOf(person) {
    const { id } = (await person.state()).producers.find((it) => it.kind === "video");
    return server.get(`/v1/producers/${id}/stats`);
  }
});

function consumer(person) {
  return until(`${person.name} to receive`, async () => (await person.state()).consumers.find((it) => it.kind === "video"));
}

/** The browser's own figures of what it receives. */
async function video(person) {
  return (await person.stats()).find((it) => it.direction === "recv" && it.kind === "video")?.raw ?? {};
}

async function framesSent(person) {
  const { raw, encodings = [raw] } = (await person.stats()).find((it) => it.direction === "send" && it.kind === "video");
  return encodings.reduce((sum, it) => sum + (it.framesSent ?? 0), 0);
}

/** So many pictures more. */
async function decodes(person) {
  const { framesDecoded = 0 } = await video(person);
  await until(`${person.name} to see pictures`, async () => (await video(person)).framesDecoded >= framesDecoded + FRAMES);
}

/** Frames arrive, and make no picture. */
async function seesNothing(person) {
  const { framesReceived } = await until("frames for who has no key", async () => {
    const figures = await video(person);
    return figures.framesReceived >= FRAMES && figures;
  });
  const { framesDecoded } = await video(person);
  assert.ok(framesDecoded < framesReceived / 4, `${framesDecoded} pictures of ${framesReceived} frames without the key`);
}
