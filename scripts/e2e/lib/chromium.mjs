// Chromium with fake devices, and pages of it that are in a call.

import { chromium } from "playwright-core";
import { until } from "./wait.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-background-timer-throttling",
  "--disable-renderer-backgrounding",
  "--disable-backgrounding-occluded-windows",
  "--autoplay-policy=no-user-gesture-required",
  "--use-fake-ui-for-media-stream",
  "--use-fake-device-for-media-stream=fps=20",
  "--allow-loopback-in-peer-connection",
];

/** For `newContext`: pictures are drawn in software, and on a large page that costs more than the call. */
export const SMALL_PAGE = { viewport: { width: 480, height: 320 } };

/** `executable`: another command that starts Chromium; `flags`: further ones. */
export function launchChromium({ executable = CHROMIUM, flags = [] } = {}) {
  return chromium.launch({ executablePath: executable, args: [...FLAGS, ...flags] });
}

/** Query of the call page that keeps pictures small: a sender costs CPU. */
export function callQuery(options) {
  const { room, name, codec, video = "320x180", fps = 15, ...others } = options;
  return new URLSearchParams({ room, name, autojoin: "1", video, fps, ...(codec && { codec }), ...others }).toString();
}

/** Opens the call page and joins; gives a {@link Participant} that is `joined`. */
export async function joinCall(browser, server, options) {
  const { context, prepare, ...query } = options;
  const page = await (context ?? (await browser.newContext())).newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  await prepare?.(page);
  await page.goto(`${server.url}/?${callQuery(query)}`);
  const participant = new Participant((expression) => page.evaluate(expression), page, query.name, problems);
  await participant.joined().catch((error) => {
    throw new Error(`${error.message}\n${problems.join("\n")}\n${server.lastLog()}`);
  });
  return participant;
}

/** A page in a call, seen through `window.weirgate`. Works with any driver that evaluates strings. */
export class Participant {
  constructor(evaluate, page, name, problems = []) {
    this.evaluate = evaluate;
    this.page = page;
    this.name = name;
    this.problems = problems;
  }

  state() {
    return this.evaluate("window.weirgate?.state()");
  }

  stats() {
    return this.evaluate("window.weirgate.stats().then((figures) => JSON.parse(JSON.stringify(figures)))");
  }

  /** Received streams only, each under `peerId/kind`. */
  async received() {
    const figures = (await this.stats()).filter((it) => it.direction === "recv");
    return new Map(figures.map((it) => [`${it.peerId}/${it.kind}`, it]));
  }

  /** Says goodbye and closes the page. */
  async leave() {
    await this.evaluate("window.weirgate.session.leave()");
    await this.page.close();
  }

  async joined(timeout = 15_000) {
    return until(`${this.name} to join`, async () => (await this.state())?.status === "joined", { timeout });
  }

  /** Until a camera and a microphone of each of `others` arrive and have been decoded. */
  async receives(others, timeout = 20_000) {
    const wanted = [];
    for (const other of others) {
      const { peerId } = await other.state();
      wanted.push(`${peerId}/video`, `${peerId}/audio`);
    }
    return until(`${this.name} to receive ${others.map((it) => it.name)}`, async () => {
      const received = await this.received();
      const missing = wanted.filter((key) => !(progress(received.get(key)) > 0));
      if (missing.length > 0) throw new Error(`missing ${missing} of ${[...received.keys()]}`);
      return true;
    }, { timeout, interval: 200 });
  }
}

/** What rises while a stream is decoded: pictures, or sound energy. */
export function progress(figures) {
  if (!figures) return 0;
  return figures.kind === "video" ? figures.raw.framesDecoded : figures.raw.totalAudioEnergy;
}
