// A call with one sender beside the server and receivers behind links of their own.

import { joinCall, launchChromium } from "./chromium.mjs";
import { makeFarHost } from "./network.mjs";
import { startServer } from "./server.mjs";
import { sleep } from "./wait.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
/** Large enough for three sizes. */
const CAMERA = { video: "960x540", fps: 15, audio: "0" };
/** Of IP, UDP, SRTP, and RTP with some extensions. What browsers count as headers has padding in it. */
const PACKET_OVERHEAD_BYTES = 20 + 8 + 16 + 24;

/**
 * Starts it. `links`: for each receiver what {@link makeFarHost} takes; `pages`: receivers behind each
 * of them (1); `sender`: query parameters of the sending page.
 */
export async function startShapedCall({ links, pages = 1, sender }) {
  const call = new ShapedCall();
  try {
    await call.start({ links, pages, sender });
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

  async start({ links, pages, sender }) {
    for (const link of links) this.hosts.push(await makeFarHost(link));
    this.server = await startServer({ host: this.hosts[0].near, token: "e2e-secret" });
    this.sender = await this.#join(await this.#launch(), "Sender", { ...CAMERA, ...sender });
    this.producerId = (await this.sender.state()).producers.find((it) => it.kind === "video").id;
    for (const [index, host] of this.hosts.entries()) {
      const browser = await this.#launch(host.wrap(CHROMIUM));
      for (let page = 0; page < pages; page += 1) {
        this.receivers.push(await this.#join(browser, `Receiver${index}.${page}`, { video: "0", audio: "0" }));
      }
    }
  }

  async #launch(executable) {
    // Cameras are for https and localhost only, unless the browser is told to trust the address.
    const flags = [`--unsafely-treat-insecure-origin-as-secure=${this.server.url}`];
    const browser = await launchChromium({ ...(executable && { executable }), flags });
    this.browsers.push(browser);
    return browser;
  }

  async #join(browser, name, query) {
    const context = await browser.newContext({ viewport: { width: 480, height: 320 } });
    return joinCall(browser, this.server, { room: "r", name, context, ...query });
  }

  /** The one video that `receiver` gets. */
  async received(receiver) {
    return [...(await receiver.received()).values()].find((it) => it.kind === "video");
  }

  /** Over `duration` ms: what each receiver got, and each layer as it was sent. */
  async measure(duration) {
    const before = await this.#look();
    const layers = new LayerRates(this);
    const end = performance.now() + duration;
    while (performance.now() < end) {
      await sleep(Math.min(1_000, end - performance.now()));
      await layers.look();
    }
    const after = await this.#look();
    return {
      layers: layers.rates(before.sent, after.sent),
      received: after.received.map((figures, index) => receivedRates(before.received[index], figures)),
    };
  }

  async #look() {
    const sent = (await this.sender.stats()).find((it) => it.direction === "send" && it.kind === "video");
    const received = [];
    for (const receiver of this.receivers) received.push((await this.received(receiver)).raw);
    return { sent: sent.encodings ?? [sent.raw], received };
  }

  async stop() {
    for (const browser of this.browsers) await browser.close().catch(() => undefined);
    await this.server?.stop();
    for (const host of this.hosts) await host.stop();
  }
}

/**
 * What layers cost. By the server's `bitrateByLayer` where that tells of temporal layers; of simulcast
 * else by the browser's encodings, whose RIDs go from the smallest on.
 */
class LayerRates {
  #call;
  #samples = [];

  constructor(call) {
    this.#call = call;
  }

  async look() {
    const stats = await this.#call.server.get(`/v1/producers/${this.#call.producerId}/stats`);
    const samples = {};
    for (const { bitrateByLayer } of stats) Object.assign(samples, bitrateByLayer);
    this.#samples.push(samples);
  }

  /** Rates of the sets of layers that one can receive, in bit/s on the wire: `{name, rate}`. */
  rates(before, after) {
    const names = [...new Set(this.#samples.flatMap(Object.keys))].sort();
    if (names.length > after.length) return this.#byServer(names, after.length > 1);
    if (after.length === 1) return [];
    return after
      .toSorted((a, b) => (a.rid < b.rid ? -1 : 1))
      .map((now, spatial) => ({ name: `${spatial}`, rate: wireRate(before.find((it) => it.id === now.id), now, "Sent") }));
  }

  #byServer(names, isSimulcast) {
    const mean = (name) => this.#samples.reduce((sum, it) => sum + (it[name] ?? 0), 0) / this.#samples.length;
    return names.map((name) => {
      const [spatial, temporal] = name.split(".").map(Number);
      const parts = names.filter((other) => {
        const [s, t] = other.split(".").map(Number);
        return t <= temporal && (isSimulcast ? s === spatial : s <= spatial);
      });
      return { name, rate: parts.reduce((sum, part) => sum + mean(part), 0) };
    });
  }
}

/** Without what came again, in bit/s on the wire. */
function wireRate(before, now, way) {
  const of = (name) => Number(now[name] ?? 0) - Number(before[name] ?? 0);
  const packets = of(`packets${way}`) - of(`retransmittedPackets${way}`);
  const bytes = of(`bytes${way}`) - of(`retransmittedBytes${way}`);
  return (8 * (bytes + packets * PACKET_OVERHEAD_BYTES)) / ((now.timestamp - before.timestamp) / 1_000);
}

function receivedRates(before, now) {
  const of = (name) => Number(now[name] ?? 0) - Number(before[name] ?? 0);
  return {
    rate: wireRate(before, now, "Received"),
    height: now.frameHeight,
    frames: of("framesDecoded"),
    loss: of("packetsLost") / Math.max(1, of("packetsReceived") + of("packetsLost")),
    rtxShare: of("retransmittedBytesReceived") / Math.max(1, of("bytesReceived")),
    frozen: of("totalFreezesDuration") / ((now.timestamp - before.timestamp) / 1_000),
    keyFrameRequests: of("pliCount") + of("firCount"),
  };
}
