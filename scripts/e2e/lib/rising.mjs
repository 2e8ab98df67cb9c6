// Holds that streams go on: looks at them in intervals and keeps what stood still.

import assert from "node:assert/strict";
import { progress } from "./chromium.mjs";
import { sleep } from "./wait.mjs";

/**
 * For `duration` ms, every video stream received by each of `participants` must have decoded
 * pictures in every `window` ms, and every audio stream must have gained energy in every 3 s (the
 * fake microphone beeps about once a second). `streams` is how many there must be of either kind.
 */
export async function assertRising(participants, { duration, window = 1_500, streams }) {
  const seen = new Map();
  const end = performance.now() + duration;
  while (performance.now() < end) {
    for (const participant of participants) await look(participant, seen, window);
    await sleep(500);
  }
  const counts = { video: 0, audio: 0 };
  for (const { kind } of seen.values()) counts[kind] += 1;
  assert.deepEqual(counts, { video: streams, audio: streams }, `streams: ${[...seen.keys()]}`);
}

async function look(participant, seen, window) {
  for (const [key, figures] of await participant.received()) {
    const id = `${participant.name} ← ${key}`;
    const now = performance.now();
    const value = progress(figures);
    const before = seen.get(id);
    if (!before || value > before.value) {
      seen.set(id, { kind: figures.kind, value, since: now });
      continue;
    }
    const patience = figures.kind === "video" ? window : 3_000;
    assert.ok(now - before.since <= patience, `${id} stood still at ${value} for ${Math.round(now - before.since)} ms`);
  }
}
