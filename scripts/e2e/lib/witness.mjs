// A call from page to page that knows nothing of the server: where its pictures stand still as well, it was the machine.

import { callDirectly } from "./peer_to_peer.mjs";

const CAMERA = { width: 320, height: 180, fps: 15, maxBitrate: 500_000 };
/** What counts as standing still, in ms. */
const PAUSE_MIN_MS = 200;
const SAMPLE_MS = 50;

/**
 * Begins such a call between two pages at `url`, where cameras are allowed. The browser must show addresses of the host as they
 * are ({@link WITNESS_FLAG}).
 */
export async function startWitness(browser, url) {
  const [sender, receiver] = [await browser.newPage(), await browser.newPage()];
  for (const page of [sender, receiver]) await page.goto(url);
  await callDirectly({ sender, receiver, ...CAMERA });
  await receiver.evaluate(notePauses, { least: PAUSE_MIN_MS, interval: SAMPLE_MS });
  return {
    /** How long its pictures stood still at most, in ms, at some time from `from` to `to` (of the browser's statistics). */
    async pause(from, to) {
      const pauses = await receiver.evaluate("window.pauses()");
      const lengths = pauses.filter((it) => it.to > from && it.from < to).map((it) => it.to - it.from);
      return Math.round(Math.max(0, ...lengths));
    },
  };
}

export const WITNESS_FLAG = "--disable-features=WebRtcHideLocalIpsWithMdns";

/** Runs in the page. */
function notePauses({ least, interval }) {
  const pauses = [];
  let last;
  setInterval(async () => {
    for (const { type, framesDecoded = 0, timestamp } of (await window.direct.getStats()).values()) {
      if (type !== "inbound-rtp" || framesDecoded === last?.framesDecoded) continue;
      if (last && timestamp - last.timestamp >= least) pauses.push({ from: last.timestamp, to: timestamp });
      last = { framesDecoded, timestamp };
    }
  }, interval);
  window.pauses = () => [...pauses, { from: last?.timestamp ?? 0, to: performance.timeOrigin + performance.now() }];
}
