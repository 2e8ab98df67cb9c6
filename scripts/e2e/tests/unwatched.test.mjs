// What nobody takes of a camera is not sent, and sent again at once when somebody does.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { joinCall, launchChromium } from "../lib/chromium.mjs";
import { startServer } from "../lib/server.mjs";
import { sleep, until } from "../lib/wait.mjs";

/** Less is told after 3 s, and some more for a busy machine. */
const STOP_TIMEOUT_MS = 15_000;
/** An idle machine takes 150 to 250 ms; what this is to find out are repetitions that were waited for. */
const FIRST_PICTURE_MAX_MS = 1_500;

for (const [name, query, top] of [
  ["a simulcast camera", { simulcast: "1", video: "640x360" }, 1],
  ["a camera of one stream", {}, 0],
]) {
  describe(name, () => {
    let server;
    let browser;
    let ada;
    let bob;

    before(async () => {
      server = await startServer();
      browser = await launchChromium();
      ada = await joinCall(browser, server, { room: "r", name: "Ada", codec: "vp8", ...query });
    });

    after(async () => {
      await browser?.close();
      await server?.stop();
    });

    it("sends nothing while nobody watches, sound aside", async () => {
      await until("the camera to be sent", async () => (await bytesOf(ada)).some((bytes) => bytes > 0));
      await until("the camera to stop", async () => (await sentNow(ada)).every((bytes) => bytes === 0), {
        timeout: STOP_TIMEOUT_MS,
      });
      assert.equal(await wantedOf(ada), null);
    });

    it("is seen at once by who comes", async (t) => {
      bob = await joinCall(browser, server, { room: "r", name: "Bob", audio: "0", video: "0" });
      const { firstFrameMs } = await until("Bob to see Ada", async () => {
        const seen = (await bob.state()).consumers.find((it) => it.kind === "video");
        return seen?.firstFrameMs && seen;
      });
      t.diagnostic(`first picture after ${Math.round(firstFrameMs)} ms`);
      assert.ok(firstFrameMs < FIRST_PICTURE_MAX_MS, `first picture after ${firstFrameMs} ms`);
      assert.equal(await wantedOf(ada), top);
      await until("every stream", async () => (await sentNow(ada)).every((bytes) => bytes > 0));
    });

    it("has only the layers that somebody takes", { skip: top === 0 }, async () => {
      await prefer(0);
      await until("the upper stream to stop", async () => isLowestAlone(await sentNow(ada)), {
        timeout: STOP_TIMEOUT_MS,
      });
      // Another track negotiates anew, which must not bring the stream back for long.
      await ada.evaluate(`window.weirgate.session.publish(
        "screen", "video", document.createElement("canvas").captureStream(5).getVideoTracks()[0])`);
      await sleep(2_500);
      assert.ok(isLowestAlone(await sentNow(ada)));
      await prefer(1);
      await until("the upper stream", async () => (await sentNow(ada)).every((bytes) => bytes > 0), { timeout: 3_000 });
    });

    it("stops again when the last one leaves", async () => {
      await bob.leave();
      await until("the camera to stop", async () => (await sentNow(ada)).every((bytes) => bytes === 0), {
        timeout: STOP_TIMEOUT_MS,
      });
      assert.deepEqual(ada.problems, []);
    });

    async function prefer(spatialLayer) {
      const { consumers } = await bob.state();
      const { id } = consumers.find((it) => it.kind === "video");
      await server.api("POST", `/v1/consumers/${id}/preferred-layers`, { spatialLayer });
    }
  });
}

const camera = async (person) =>
  (await person.stats()).find((it) => it.direction === "send" && it.source === "camera");

/** Bytes sent so far, by encoding, smallest picture first. */
async function bytesOf(person) {
  const { raw, encodings = [raw] } = await camera(person);
  return [...encodings].sort((a, b) => (a.rid < b.rid ? -1 : 1)).map((it) => it.bytesSent ?? 0);
}

/** Bytes sent within a second, by encoding. */
async function sentNow(person) {
  const before = await bytesOf(person);
  await sleep(1_000);
  const now = await bytesOf(person);
  return now.map((bytes, index) => bytes - (before[index] ?? 0));
}

const isLowestAlone = ([lowest, ...others]) => lowest > 0 && others.every((bytes) => bytes === 0);

const wantedOf = async (person) => (await person.state()).producers.find((it) => it.source === "camera").wantedLayer;
