// Frames that are encrypted from end to end go through untouched, and their layers can still be chosen.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { joinCall, launchChromium, SMALL_PAGE } from "../lib/chromium.mjs";
import { encrypting, openedFrames } from "../lib/encrypted.mjs";
import { startServer } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const FRAMES = 10;
const SIMULCAST = { codec: "vp8", simulcast: "1", video: "640x360", fps: 15 };
/** Of what that or a layered stream of that size has, counted from 0. */
const TOP_LAYER = 1;
/**
 * For a step between layers: a key frame that only makes a picture better has its turn once in 3 s, and a layer that
 * nobody took begins anew.
 */
const STEP_TIMEOUT_MS = 15_000;
/** A sender whose first probes tell it nothing begins with 300 kbit/s, and sends the upper layer from 700 on. */
const RISE_TIMEOUT_MS = 30_000;

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
    const call = await startCall("described", { clear: "vp8", describes: true }, SIMULCAST);
    const { ada, bob, join } = call;
    await decodes(bob);
    const [{ bitrateByLayer }] = await statsOf(ada);
    assert.ok("0.2" in bitrateByLayer, `temporal layers: ${Object.keys(bitrateByLayer)}`);
    const largest = await sendsAll(t, ada);
    for (const spatialLayer of [0, 1, 0]) await shows(bob, spatialLayer, largest);
    const { pliCount } = await video(bob);
    assert.ok(pliCount <= 4, `${pliCount} requests for key frames`);
    const late = await join("Late");
    await decodes(late);
    t.diagnostic(`late: first picture after ${Math.round((await consumer(late)).firstFrameMs)} ms`);
    await opensNothing(call);
    await call.end();
  });

  // Browsers that receive VP8 tell key frames by the first bit of a frame. Where that is encrypted too it says so of half
  // of all frames, so they ask again and again for what they got, and leave out frames: what is told here is what the
  // server takes for key frames and layers.
  for (const describes of [true, false]) {
    it(`VP8 simulcast with nothing in the clear, ${describes ? "described" : "and nothing beside it"}: no frame is taken for what it is not`, async (t) => {
      const call = await startCall(`opaque-${describes}`, { clear: "nothing", describes }, SIMULCAST);
      const { ada, bob } = call;
      await sendsAll(t, ada);
      for (const spatialLayer of [0, 1]) {
        await prefer(bob, spatialLayer);
        await until(`layer ${spatialLayer}`, async () => {
          const { currentLayers, layerReason } = await server.get(`/v1/consumers/${(await consumer(bob)).id}`);
          if (currentLayers?.spatialLayer === spatialLayer) return true;
          throw new Error(`${JSON.stringify(currentLayers)}, ${layerReason}`);
        }, { timeout: STEP_TIMEOUT_MS });
      }
      const { opened } = (await openedFrames(bob)).video;
      await until("frames to be opened", async () => (await openedFrames(bob)).video.opened >= opened + FRAMES);
      const streams = await statsOf(ada);
      const taken = streams.reduce((sum, it) => sum + it.keyFrameCount, 0);
      const { encodings } = await sent(ada);
      const encoded = encodings.reduce((sum, it) => sum + it.keyFramesEncoded, 0);
      t.diagnostic(`${taken} key frames of ${encoded}`);
      assert.ok(taken >= streams.length && taken <= encoded, `${taken} key frames of ${encoded}`);
      await call.end();
    });
  }

  for (const [name, clear, query, isHidden] of [
    // Any bytes behind a VP8 header make some picture.
    ["VP8 with its header left clear", "vp8", { codec: "vp8" }, opensNothing],
    ["VP9 with layers", "nothing", { codec: "vp9", scalability: "L3T3_KEY", video: "640x360" }, seesNothing],
    ["H264", "h264", { codec: "h264" }, seesNothing],
    ["AV1 with layers", "av1", { codec: "av1", scalability: "L3T3", video: "640x360" }, seesNothing],
  ]) {
    it(name, async (t) => {
      const call = await startCall(query.codec, { clear }, query);
      await decodes(call.bob);
      if (query.scalability) {
        const largest = await sendsAll(t, call.ada);
        for (const spatialLayer of [0, 1]) await shows(call.bob, spatialLayer, largest);
      }
      await isHidden(call);
      await decodes(call.bob);
      await call.end();
    });
  }

  /** Ada with camera and microphone, Bob who looks on; both have the key. */
  async function startCall(room, options, query) {
    const context = await browser.newContext({ bypassCSP: true, ...SMALL_PAGE });
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
      /** Who has no key, or with `key` another one. */
      stranger: ({ key } = {}) => {
        const own = key && { prepare: (page) => page.addInitScript(encrypting({ ...options, key })) };
        return come("Eve", { context, ...own, audio: "0", video: "0" });
      },
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

  /** Until the sender's own estimate of its path allows all layers; the height of the largest pictures then. */
  async function sendsAll(t, person) {
    const began = performance.now();
    const largest = await until(`${person.name} to send layer ${TOP_LAYER}`, async () => {
      const streams = await statsOf(person);
      const names = streams.flatMap(({ bitrateByLayer = {} }, stream) =>
        Object.keys(bitrateByLayer).map((name) => (streams.length > 1 ? stream : Number(name.split(".")[0]))));
      const { raw } = await sent(person);
      if (names.includes(TOP_LAYER)) return raw.frameHeight;
      throw new Error(`layers ${names}, held back by ${raw.qualityLimitationReason}`);
    }, { timeout: RISE_TIMEOUT_MS });
    t.diagnostic(`all layers are sent after ${Math.round(performance.now() - began)} ms`);
    return largest;
  }

  /** Who prefers a layer sees pictures of its size: each layer has twice that of the one below. */
  async function shows(person, spatialLayer, largest) {
    await prefer(person, spatialLayer);
    await until(`pictures of layer ${spatialLayer}`, async () => {
      const { frameHeight } = await video(person);
      const isTop = frameHeight > largest / 2 + 1;
      if (isTop === (spatialLayer === TOP_LAYER)) return true;
      throw new Error(`${frameHeight} high, the largest ones ${largest}`);
    }, { timeout: STEP_TIMEOUT_MS });
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

/** The browser's figures of what it sends. */
async function sent(person) {
  return (await person.stats()).find((it) => it.direction === "send" && it.kind === "video");
}

/** So many pictures more. */
async function decodes(person) {
  const { framesDecoded = 0 } = await video(person);
  await until(`${person.name} to see pictures`, async () => (await video(person)).framesDecoded >= framesDecoded + FRAMES);
}

/** Frames arrive, and make no picture: for decoders that notice. */
async function seesNothing(call) {
  const eve = await call.stranger();
  const { framesReceived } = await until("frames for who has no key", async () => {
    const figures = await video(eve);
    return figures.framesReceived >= FRAMES && figures;
  });
  const { framesDecoded } = await video(eve);
  assert.ok(framesDecoded < framesReceived / 4, `${framesDecoded} pictures of ${framesReceived} frames without the key`);
}

/** Frames arrive, and none was sealed with the key of who gets them. */
async function opensNothing(call) {
  const eve = await call.stranger({ key: 8 });
  const { opened } = await until("frames for who has another key", async () => {
    const { video } = await openedFrames(eve);
    return video.failed >= FRAMES && video;
  });
  assert.equal(opened, 0, "opened with another key");
}
