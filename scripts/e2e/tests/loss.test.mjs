// A call over a bad line: 5 % of all packets lost each way, at 50 ms round trip.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { joinCall, launchChromium } from "../lib/chromium.mjs";
import { farHostMissing, makeFarHost } from "../lib/network.mjs";
import { seenPictures, watchPictures } from "../lib/pictures.mjs";
import { assertRising } from "../lib/rising.mjs";
import { startServer } from "../lib/server.mjs";
import { sleep } from "../lib/wait.mjs";

const DURATION = Number(process.env.E2E_SECONDS ?? 20) * 1000;
const SETTLE_MS = 5_000;
const FREEZE_MAX_MS = 500;

describe("5 % loss at 50 ms", { skip: farHostMissing() }, () => {
  let far;
  let server;
  let browser;
  let people;

  before(async () => {
    far = await makeFarHost({ both: "delay=25ms,loss=5%" });
    server = await startServer({ host: far.near, token: "e2e-secret" });
    const executable = far.wrap(process.env.CHROMIUM ?? "/usr/bin/chromium");
    // Cameras are for https and localhost only, unless the browser is told to trust the address.
    browser = await launchChromium({
      executable,
      flags: [`--unsafely-treat-insecure-origin-as-secure=${server.url}`],
    });
    people = [];
    for (const name of ["Ada", "Bob"]) people.push(await joinCall(browser, server, { room: "r", name, codec: "vp8" }));
    await people[0].receives([people[1]]);
    await people[1].receives([people[0]]);
    await sleep(SETTLE_MS);
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
    await far?.stop();
  });

  it("pictures and sound go on without a freeze", { timeout: DURATION + 60_000 }, async () => {
    await Promise.all(people.map(watchPictures));
    await assertRising(people, { duration: DURATION, window: 1_000, streams: 2 });
    for (const person of people) {
      const { count, pauses } = await seenPictures(person, FREEZE_MAX_MS);
      assert.ok(count > 50, `${person.name} saw ${count} pictures only`);
      assert.deepEqual(pauses, [], `${person.name}: pauses`);
    }
  });

  it("what was lost came again", async () => {
    for (const person of people) {
      for (const figures of await person.stats()) {
        if (figures.kind !== "video") continue;
        const { raw } = figures;
        if (figures.direction === "recv") {
          assert.ok(raw.retransmittedPacketsReceived > 0, `${person.name}: no packet came again: ${JSON.stringify(raw)}`);
          assert.ok(raw.nackCount > 0, `${person.name} asked for nothing`);
        } else {
          assert.ok(raw.retransmittedPacketsSent > 0, `${person.name} was asked for nothing`);
        }
      }
    }
  });
});
