// What pages send while their connections are young, sampled in the page itself.

export const SAMPLE_INTERVAL_MS = 50;
/** A rate is that of so long. */
const WINDOW_MS = 1_000;
/** The first seconds. */
const FIRST_MS = 3_000;

/**
 * A script for a page, before any other: samples what it sends of video from when that is connected, and gives a lone
 * encoding `maxBitrate` bit/s. Pictures keep their size: a browser that chose a small one before it knew its uplink would stay
 * with that for seconds, and fill no uplink with it.
 */
export function outboundWatch(maxBitrate) {
  return `(${watchOutbound})(${maxBitrate}, ${SAMPLE_INTERVAL_MS})`;
}

/** Runs in the page. */
function watchOutbound(maxBitrate, interval) {
  window.outbound = [];
  const { addTransceiver } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.addTransceiver = function (track, init = {}) {
    const sends = track.kind === "video" && init.direction !== "recvonly";
    if (sends && init.sendEncodings?.length === 1) init.sendEncodings[0].maxBitrate = maxBitrate;
    const transceiver = addTransceiver.call(this, track, init);
    if (sends) {
      const { sender } = transceiver;
      sender.setParameters({ ...sender.getParameters(), degradationPreference: "maintain-resolution" });
      setInterval(() => sample(this), interval);
    }
    return transceiver;
  };

  async function sample(connection) {
    if (connection.connectionState !== "connected") return;
    const figures = [...(await connection.getStats()).values()];
    const bytes = figures
      .filter((it) => it.type === "outbound-rtp" && it.kind === "video")
      .reduce((sum, it) => sum + it.bytesSent + it.headerBytesSent, 0);
    const pair = figures.find((it) => it.type === "candidate-pair" && it.nominated);
    window.outbound.push({ at: performance.now(), bytes, availableBps: pair?.availableOutgoingBitrate });
  }
}

/**
 * From such samples: when `bps` bit/s of media had left over a second (`rateMs`) and when the browser's estimate was as much
 * (`estimateMs`), in ms from the first with media, undefined where never; and what left in the first seconds, in bit/s (`sentBps`).
 */
export function ramp(samples, bps) {
  const began = samples.findIndex(({ bytes }) => bytes > 0);
  const media = began < 0 ? [] : samples.slice(began);
  const rate = (from, to) => (8_000 * (to.bytes - from.bytes)) / (to.at - from.at);
  const reaches = (sample) => {
    const before = media.findLast(({ at }) => at <= sample.at - WINDOW_MS);
    return before && rate(before, sample) >= bps;
  };
  const time = (sample) => sample && Math.round(sample.at - media[0].at);
  const end = media.find(({ at }) => at >= media[0].at + FIRST_MS);
  return {
    rateMs: time(media.find(reaches)),
    estimateMs: time(media.find(({ availableBps }) => availableBps >= bps)),
    sentBps: end ? Math.round(rate(media[0], end)) : 0,
  };
}
