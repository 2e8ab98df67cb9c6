// What nobody took of a camera, and so was not sent, is back as soon as it is wanted, at 30 ms from either side.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { judged } from "../lib/machine.mjs";
import { farHostMissing } from "../lib/network.mjs";
import { startShapedCall } from "../lib/shaped.mjs";
import { sleep, until } from "../lib/wait.mjs";

const ROUNDS = 5;
const BACK_MAX_MS = 500;
/** Less is told after 3 s; then what is on its way has come. */
const STOP_TIMEOUT_MS = 10_000;
const SETTLE_MS = 500;
const LINK = { both: "delay=15ms" };

for (const [name, query, top] of [
  ["a camera of one stream", {}, 0],
  ["a simulcast camera", { simulcast: "1" }, 2],
]) {
  describe(`${name} at 30 ms`, { skip: farHostMissing() }, () => {
    let call;

    before(async () => {
      call = await startShapedCall({ links: [LINK], uplink: LINK, sender: { codec: "vp8", ...query } });
      await call.seen();
    });

    after(() => call?.stop());

    it("has a picture within 500 ms of who takes it first", { timeout: 200_000 }, (t) => judged(t, async (tell) => {
      const [receiver] = call.receivers;
      const pictureMs = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        await call.dropVideo(receiver);
        await sendsUpTo(null);
        pictureMs.push(await call.takeVideo(receiver));
      }
      tell({ pictureMs });
      assert.ok(Math.max(...pictureMs) < BACK_MAX_MS, `a picture after ${Math.max(...pictureMs)} ms`);
    }));

    it("has the largest picture within 500 ms of who prefers it", { skip: top === 0, timeout: 200_000 }, (t) => judged(t, async (tell) => {
      const [receiver] = call.receivers;
      const packetMs = [];
      const pictureMs = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        await until("the largest picture", async () => (await call.received(receiver)).frameHeight >= 540, { timeout: 20_000 });
        await prefer(0);
        await sendsUpTo(0);
        const before = await packetsOfTop();
        const began = performance.now();
        await prefer(top);
        await until("the top layer", async () => (await packetsOfTop()) > before, { interval: 5 });
        packetMs.push(Math.round(performance.now() - began));
        await until("the largest picture", async () => (await call.received(receiver)).frameHeight >= 540, { interval: 20 });
        pictureMs.push(Math.round(performance.now() - began));
      }
      tell({ packetMs, pictureMs });
      assert.ok(Math.max(...pictureMs) < BACK_MAX_MS, `its picture after ${Math.max(...pictureMs)} ms`);
    }));

    async function prefer(spatialLayer) {
      const { id } = await call.video(call.receivers[0]);
      await call.server.api("POST", `/v1/consumers/${id}/preferred-layers`, { spatialLayer });
    }

    async function sendsUpTo(layer) {
      const told = async () => (await call.sender.state()).producers.find((it) => it.kind === "video").wantedLayer === layer;
      await until(`the sender to be told ${layer}`, told, { timeout: STOP_TIMEOUT_MS });
      await sleep(SETTLE_MS);
    }

    async function packetsOfTop() {
      const stats = await call.server.get(`/v1/producers/${call.producerId}/stats`);
      return stats[top]?.packetCount ?? 0;
    }
  });
}
