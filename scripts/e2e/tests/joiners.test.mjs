// 500 consumers of one source within a second: few key frames are asked for, and all can decode.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { judged } from "../lib/machine.mjs";
import { programFolder, startServer } from "../lib/server.mjs";

const JOINERS = 500;
const REQUESTS_MAX = 3;

describe(`${JOINERS} joiners`, () => {
  let server;

  before(async () => {
    server = await startServer({ plainPorts: 2 * JOINERS });
  });

  after(() => server?.stop());

  it("cost the source three key frames at most", { timeout: 120_000 }, (t) => judged(t, async (tell) => {
    const file = join(server.folder, "joiners.json");
    // Plain ones: what is tested is what their consumers ask for, not how fast handshakes are.
    const words = ["--server", server.url, "--quiet", "--json", file, "livestream", "--transport", "plain"];
    words.push("--receivers", `${JOINERS}`, "--ramp", `${JOINERS}`, "--video", "200k", "--duration", "5s");
    const loadgen = spawn(join(programFolder(), "weirgate-loadgen"), words, { stdio: ["ignore", "ignore", "inherit"] });
    await new Promise((resolve) => loadgen.once("close", resolve));
    const { participants, join: times, feedback, totals } = JSON.parse(readFileSync(file, "utf8"));
    tell({ participants, times, feedback, totals });
    assert.equal(participants.failed, 0, participants.failures[0]);
    assert.ok(participants.joined >= JOINERS, `${participants.joined} joined`);
    assert.equal(totals.silentFlows, 0, "receivers that got nothing");
    // Each begins with a key frame, and nothing is missing from there on.
    assert.equal(times.firstKeyFrame.count, JOINERS, "receivers that got a key frame");
    assert.equal(totals.headlessFlows, 0, "receivers whose first packet began no key frame");
    assert.equal(totals.lost, 0, "packets lost");
    assert.ok(feedback.keyFrameRequests <= REQUESTS_MAX, `${feedback.keyFrameRequests} key frames asked for`);
  }));
});
