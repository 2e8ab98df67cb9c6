// What a sender of layers must give to receivers on unlike links.

import assert from "node:assert/strict";
import { seenPictures, watchPictures } from "./pictures.mjs";
import { sleep, until } from "./wait.mjs";

const SETTLE_MS = 15_000;
const WATCH_MS = 12_000;
const FREEZE_MAX_MS = 1_000;
/** Part of a link that media may take, and part of that which must arrive. */
const USABLE = 0.9;
const SHARE_MIN = 0.95;
const LOSS_MAX = 0.01;
const DOWN_MAX_MS = 2_000;
const UP_MAX_MS = 10_000;

/** In bit/s: what `links` below say. */
export const RATES = [3_000_000, 800_000, 200_000];
export const UNLIKE_LINKS = ["3M", "800k", "200k"].map((rate) => ({
  both: "delay=10ms,queue=300ms",
  down: `rate=${rate}`,
}));

/** Fifteen seconds after they joined, each receives the best layers that fit its link. */
export async function eachGetsWhatFits(call, tell) {
  await sleep(SETTLE_MS);
  for (const receiver of call.receivers) await watchPictures(receiver);
  const { layers, received, keyFramesAskedFor } = await call.measure(WATCH_MS);
  const outcome = [];
  for (const [index, receiver] of call.receivers.entries()) {
    const { pauses } = await seenPictures(receiver, FREEZE_MAX_MS);
    // The largest picture first, then the most frames: so they are sorted by their names.
    const best = layers.findLast(({ rate }) => rate <= USABLE * RATES[index])?.rate ?? 0;
    outcome.push({ link: RATES[index], best, ...received[index], pauses });
  }
  tell({ layers, receivers: outcome, keyFramesAskedFor });
  assert.ok(layers.length >= 3, "the server tells of fewer than three layers");
  for (const { link, best, rate, loss, frames, pauses } of outcome) {
    const name = `at ${link / 1000} kbit/s`;
    assert.ok(frames > 0, `${name}: no picture`);
    assert.ok(rate >= SHARE_MIN * best, `${name}: ${rate} bit/s of ${best}`);
    assert.ok(loss < LOSS_MAX, `${name}: ${loss} lost`);
    assert.deepEqual(pauses, [], `${name}: freezes`);
  }
}

/** The first one's link drops and comes back, and its layers follow. */
export async function followsItsLink(call, tell) {
  const [receiver] = call.receivers;
  const [host] = call.hosts;
  const height = async () => (await call.received(receiver)).frameHeight;
  const full = await until("the largest picture", async () => ((await height()) >= 540 ? height() : 0), { timeout: 20_000 });
  const took = async (what, reached, timeout) => {
    const began = performance.now();
    await until(what, async () => reached(await height()), { timeout, interval: 50 });
    return Math.round(performance.now() - began);
  };
  await host.change("down:rate=500k");
  const downMs = await took("a smaller picture", (now) => now < full, 15_000);
  await sleep(SETTLE_MS - 5_000);
  await host.change("down:rate=3M");
  const upMs = await took("the largest picture again", (now) => now === full, 60_000);
  tell({ downMs, upMs });
  assert.ok(downMs <= DOWN_MAX_MS, `down after ${downMs} ms`);
  assert.ok(upMs <= UP_MAX_MS, `up after ${upMs} ms`);
}
