// Three people in a call: everybody decodes everybody, for every codec on every back end.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { joinCall, launchChromium } from "../lib/chromium.mjs";
import { assertRising } from "../lib/rising.mjs";
import { startServer } from "../lib/server.mjs";

const BACK_ENDS = (process.env.E2E_IO ?? "uring,mmsg").split(",");
const CODECS = (process.env.E2E_CODECS ?? "vp8,vp9,h264,av1").split(",");
const DURATION = Number(process.env.E2E_SECONDS ?? 20) * 1000;

for (const io of BACK_ENDS) {
  describe(`a call of three on ${io}`, () => {
    let server;
    let browser;

    before(async () => {
      server = await startServer({ io, cores: "0,1" });
      browser = await launchChromium();
    });

    after(async () => {
      await browser?.close();
      await server?.stop();
    });

    it("runs on the back end asked for, with two shards", async () => {
      const engine = await server.get("/v1/engine");
      assert.equal(engine.shards.length, 2);
      assert.match(JSON.stringify(engine), new RegExp(`"${io}"`));
    });

    for (const codec of CODECS) {
      it(`carries ${codec}`, { timeout: DURATION + 60_000 }, () => carries(codec));
    }

    async function carries(codec) {
      const people = [];
      for (const name of ["Ada", "Bob", "Cleo"]) {
        people.push(await joinCall(browser, server, { room: `call-${codec}`, name, codec }));
      }
      for (const person of people) await person.receives(people.filter((it) => it !== person));
      await assertShardsShared(server);
      await assertRising(people, { duration: DURATION, streams: 6 });
      for (const person of people) {
        await assertFirstFrames(person);
        for (const figures of (await person.received()).values()) {
          if (figures.kind === "video") assert.equal(figures.codec?.toLowerCase(), codec);
          assert.equal(figures.raw.packetsLost, 0, `${person.name} lost packets of ${figures.kind}`);
        }
      }
      for (const person of people) await person.leave();
    }
  });
}

async function assertFirstFrames(person) {
  const videos = (await person.state()).consumers.filter((it) => it.kind === "video");
  assert.equal(videos.length, 2);
  for (const { firstFrameMs } of videos) {
    assert.ok(firstFrameMs < 2_000, `${person.name}: first picture ${firstFrameMs} ms after resumeConsumer`);
  }
}

async function assertShardsShared(server) {
  const { shards } = await server.get("/v1/engine");
  const loads = shards.map((shard) => shard.transports);
  assert.ok(loads.filter((count) => count > 0).length > 1, `transports per shard: ${loads}`);
}
