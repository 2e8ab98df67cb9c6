// Random loss of 2, 5 and 10 % each way at 100 ms round trip.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { judged } from "../lib/machine.mjs";
import { farHostMissing } from "../lib/network.mjs";
import { startShapedCall } from "../lib/shaped.mjs";
import { sleep } from "../lib/wait.mjs";

const SETTLE_MS = 5_000;
const WATCH_MS = 20_000;
const RTX_MAX = 0.15;
const FROZEN_MAX = 0.03;

describe("random loss at 100 ms", { skip: farHostMissing() }, () => {
  let call;

  before(async () => {
    call = await startShapedCall({
      links: [{ both: "delay=50ms" }],
      sender: { codec: "vp8", video: "640x360" },
    });
  });

  after(() => call?.stop());

  for (const percent of [2, 5, 10]) {
    it(`${percent} %`, { timeout: 60_000 }, (t) => judged(t, async (tell) => {
      await call.hosts[0].change(`loss=${percent}%`);
      await sleep(SETTLE_MS);
      const { received: [figures] } = await call.measure(WATCH_MS);
      tell(figures);
      assert.ok(figures.frames > 0, "no picture");
      assert.ok(figures.rtxShare <= RTX_MAX, `${figures.rtxShare} of the bytes came again`);
      if (percent <= 5) assert.ok(figures.frozen <= FROZEN_MAX, `frozen for ${figures.frozen} of the time`);
    }));
  }
});
