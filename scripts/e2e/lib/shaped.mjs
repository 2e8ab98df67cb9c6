// A call with one sender beside the server, or behind a link too, and receivers behind links of their own.

import { makeCamera } from "./camera.mjs";
import { joinCall, launchChromium, SMALL_PAGE } from "./chromium.mjs";
import { makeFarHost } from "./network.mjs";
import { startServer } from "./server.mjs";
import { sleep, until } from "./wait.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
/** Large enough for three sizes. */
const CAMERA = { video: "960x540", fps: 15, audio: "0" };
/** The server counts layers as paths carry them: so much on top of the payload of each packet. */
const OVERHEAD_BYTES = 72;

/**
 * Starts it. `links`: for each receiver what {@link makeFarHost} takes; `pages`: receivers behind each
 * of them (1); `sender`: query parameters of the sending page; `uplink`: its link, beside the server without;
 * `receiver`: gets the command that runs Chromium on a far host, and gives what {@link launchChromium} takes.
 */
export async function startShapedCall({ links, pages = 1, sender, uplink, receiver = (executable) => ({ executable }) }) {
  const call = new ShapedCall();
  try {
    await call.start({ links, pages, sender, uplink, receiver });
  } catch (error) {
    await call.stop();
    throw error;
  }
  return call;
}

class ShapedCall {
  hosts = [];
  browsers = [];
  receivers = [];

  async start({ links, pages, sender, uplink, receiver }) {
    for (const link of links) this.hosts.push(await makeFarHost(link));
    this.senderHost = uplink && (await makeFarHost(uplink));
    this.server = await startServer({ host: this.hosts[0].near, token: "e2e-secret" });
    const query = { ...CAMERA, ...sender };
    this.camera = makeCamera({ size: query.video, fps: query.fps });
    const executable = this.senderHost?.wrap(CHROMIUM);
    this.sender = await this.#join(await this.#launch({ executable, flags: [this.camera.flag] }), "Sender", query);
    const { id } = await until("the sender to send", async () => (await this.sender.state()).producers.find((it) => it.kind === "video"));
    this.producerId = id;
    for (const [index, host] of this.hosts.entries()) {
      const browser = await this.#launch(receiver(host.wrap(CHROMIUM)));
      for (let page = 0; page < pages; page += 1) {
        this.receivers.push(await this.#join(browser, `Receiver${index}.${page}`, { video: "0", audio: "0" }));
      }
    }
  }

  async #launch({ executable = CHROMIUM, flags = [] }) {
    // Cameras are for https and localhost only, unless the browser is told to trust the address.
    const trust = `--unsafely-treat-insecure-origin-as-secure=${this.server.url}`;
    const browser = await launchChromium({ executable, flags: [trust, ...flags] });
    this.browsers.push(browser);
    return browser;
  }

  async #join(browser, name, query) {
    const context = await browser.newContext(SMALL_PAGE);
    return joinCall(browser, this.server, { room: "r", name, context, ...query });
  }

  /** The browser's figures of the one video that `receiver` gets; with a time only before it has any. */
  async received(receiver) {
    const video = [...(await receiver.received()).values()].find((it) => it.kind === "video");
    return video?.raw ?? { timestamp: Date.now() };
  }

  /** What the page of `receiver` knows of the one video that it gets. */
  async video(receiver) {
    return (await receiver.state()).consumers.find((it) => it.kind === "video");
  }

  /** Takes the video of `receiver` away. */
  async dropVideo(receiver) {
    const { id } = await this.video(receiver);
    await this.server.api("DELETE", `/v1/consumers/${id}`);
    await until("the consumer to go", async () => !(await this.video(receiver)), { interval: 20 });
  }

  /** Has `receiver` ask for the video again, on the same transport; gives the time until its first picture in ms. */
  async takeVideo(receiver) {
    await receiver.evaluate(`window.weirgate.session.subscriber.sync(["${this.producerId}"])`);
    const { firstFrameMs } = await until("the first picture", async () => {
      const video = await this.video(receiver);
      return video?.firstFrameMs !== undefined && video;
    });
    return Math.round(firstFrameMs);
  }

  /** Until the first receiver has a picture. */
  async seen() {
    const [receiver] = this.receivers;
    await until("a picture", async () => (await this.received(receiver)).framesDecoded > 0, { timeout: 20_000 });
  }

  /**
   * Over `duration` ms: what each receiver got, by the browser; what the sets of layers that one can
   * receive were, by the server: `{name, rate}`; rates are bit/s of the path. And how often the sender was asked for
   * a key frame, which everybody pays for.
   */
  async measure(duration) {
    const before = await this.#look();
    const asked = await this.keyFramesAskedFor();
    const samples = [];
    const end = performance.now() + duration;
    while (performance.now() < end) {
      await sleep(Math.min(1_000, end - performance.now()));
      samples.push(layerRates(await this.#producerStats()));
    }
    const after = await this.#look();
    return {
      layers: meanRates(samples),
      received: after.map((figures, index) => receivedRates(before[index], figures)),
      keyFramesAskedFor: (await this.keyFramesAskedFor()) - asked,
    };
  }

  /** How often the server asked the sender for a key frame, so far. */
  async keyFramesAskedFor() {
    return (await this.#producerStats()).reduce((sum, { pliCount, firCount }) => sum + pliCount + firCount, 0);
  }

  #producerStats() {
    return this.server.get(`/v1/producers/${this.producerId}/stats`);
  }

  async #look() {
    const received = [];
    for (const receiver of this.receivers) received.push(await this.received(receiver));
    return received;
  }

  async stop() {
    for (const browser of this.browsers) await browser.close().catch(() => undefined);
    await this.server?.stop();
    for (const host of this.hosts) await host.stop();
    await this.senderHost?.stop();
    this.camera?.remove();
  }
}

/** `SPATIAL.TEMPORAL` → bit/s, each layer with those it depends on. */
function layerRates(stats) {
  const isSimulcast = stats.length > 1;
  const rates = stats.flatMap(({ bitrateByLayer = {} }, stream) =>
    Object.entries(bitrateByLayer).map(([name, rate]) => [isSimulcast ? `${stream}.${name.split(".")[1]}` : name, rate]),
  );
  return Object.fromEntries(rates);
}

function meanRates(samples) {
  const names = [...new Set(samples.flatMap(Object.keys))].sort();
  return names.map((name) => {
    const rate = samples.reduce((sum, sample) => sum + (sample[name] ?? 0), 0) / samples.length;
    return { name, rate: Math.round(rate) };
  });
}

function receivedRates(before, now) {
  const of = (name) => Number(now[name] ?? 0) - Number(before[name] ?? 0);
  const seconds = (now.timestamp - before.timestamp) / 1_000;
  // Without what came again.
  const packets = of("packetsReceived") - of("retransmittedPacketsReceived");
  const bytes = of("bytesReceived") - of("retransmittedBytesReceived") + OVERHEAD_BYTES * packets;
  return {
    rate: Math.round((8 * bytes) / seconds),
    height: now.frameHeight,
    frames: of("framesDecoded"),
    loss: of("packetsLost") / Math.max(1, of("packetsReceived") + of("packetsLost")),
    rtxShare: of("retransmittedBytesReceived") / Math.max(1, of("bytesReceived")),
    frozen: of("totalFreezesDuration") / seconds,
    keyFrameRequests: of("pliCount") + of("firCount"),
  };
}
