// How fast what a browser sends rises to what its uplink carries: as fast as from peer to peer.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { makeCamera } from "../lib/camera.mjs";
import { joinCall, launchChromium } from "../lib/chromium.mjs";
import { judged } from "../lib/machine.mjs";
import { farHostMissing, makeFarHost } from "../lib/network.mjs";
import { outboundWatch, ramp, SAMPLE_INTERVAL_MS } from "../lib/outbound.mjs";
import { callDirectly } from "../lib/peer_to_peer.mjs";
import { startServer } from "../lib/server.mjs";
import { sleep } from "../lib/wait.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const LINK = "rate=3M,delay=15ms,queue=200ms";
const [WIDTH, HEIGHT, FPS] = [960, 540, 15];
const MAX_BITRATE = 2_500_000;
const REACHED_BPS = 2_000_000;
/** Of each kind; medians are compared. */
const ROUNDS = 5;
const WATCH_MS = 8_000;
/** Times what it takes from peer to peer, and that much less may leave at first. */
const SLOWER_MAX = 1.2;

describe("the ramp of a sender behind 3 Mbit/s at 30 ms", { skip: farHostMissing() }, () => {
  let host;
  let server;
  let camera;
  let far;
  let near;

  before(async () => {
    host = await makeFarHost({ both: LINK });
    server = await startServer({ host: host.near, token: "e2e-secret" });
    camera = makeCamera({ size: `${WIDTH}x${HEIGHT}`, fps: FPS });
    // Between two pages that are alone, addresses need no hiding.
    const flags = [`--unsafely-treat-insecure-origin-as-secure=${server.url}`, "--disable-features=WebRtcHideLocalIpsWithMdns"];
    far = await launchChromium({ executable: host.wrap(CHROMIUM), flags: [...flags, camera.flag] });
    near = await launchChromium({ flags });
  });

  after(async () => {
    await far?.close().catch(() => undefined);
    await near?.close().catch(() => undefined);
    await server?.stop();
    await host?.stop();
    camera?.remove();
  });

  it("is as fast as from peer to peer", { timeout: 300_000 }, (t) => judged(t, async (tell) => {
    const ways = { direct: sendDirectly, server: () => throughServer({}), simulcast: () => throughServer({ simulcast: "1" }) };
    const ramps = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
    // In turns, so that a busy moment of the machine meets all of them.
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [name, way] of Object.entries(ways)) ramps[name].push(ramp(await way(), REACHED_BPS));
    }
    tell(ramps);
    const direct = { ms: median(ramps.direct, "estimateMs"), bps: median(ramps.direct, "sentBps") };
    assert.ok(direct.ms < WATCH_MS && direct.bps > 0, "from peer to peer nothing rises");
    for (const name of ["server", "simulcast"]) {
      const ms = median(ramps[name], "estimateMs");
      const bps = median(ramps[name], "sentBps");
      const latest = SLOWER_MAX * direct.ms + 2 * SAMPLE_INTERVAL_MS;
      assert.ok(ms <= latest, `${name}: the estimate after ${ms} ms, and ${direct.ms} ms from peer to peer`);
      assert.ok(SLOWER_MAX * bps >= direct.bps, `${name}: ${bps} bit/s at first, and ${direct.bps} from peer to peer`);
    }
  }));

  async function sendDirectly() {
    const sender = await (await far.newContext()).newPage();
    const receiver = await (await near.newContext()).newPage();
    await sender.addInitScript(outboundWatch(MAX_BITRATE));
    for (const page of [sender, receiver]) await page.goto(`${server.url}/livez`);
    await callDirectly({ sender, receiver, width: WIDTH, height: HEIGHT, fps: FPS, maxBitrate: MAX_BITRATE });
    await sleep(WATCH_MS);
    const samples = await sender.evaluate("window.outbound");
    for (const page of [sender, receiver]) await page.context().close();
    return samples;
  }

  async function throughServer(query) {
    const camera = { video: `${WIDTH}x${HEIGHT}`, fps: FPS, codec: "vp8", audio: "0", ...query };
    const receiver = await joinCall(near, server, { room: "ramp", name: "Receiver", video: "0", audio: "0" });
    const prepare = (page) => page.addInitScript(outboundWatch(MAX_BITRATE));
    const sender = await joinCall(far, server, { room: "ramp", name: "Sender", prepare, ...camera });
    await sleep(WATCH_MS);
    const samples = await sender.evaluate("window.outbound");
    for (const { page } of [sender, receiver]) await page.context().close();
    return samples;
  }
});

/** What never came is later than all. */
function median(ramps, name) {
  return ramps.map((it) => it[name] ?? Infinity).sort((a, b) => a - b)[Math.floor(ramps.length / 2)];
}
