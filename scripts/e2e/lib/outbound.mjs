// What pages send while their connections are young, sampled in the page itself.

const SAMPLE_INTERVAL_MS = 50;
/** A rate is that of so long. */
const WINDOW_MS = 1_000;

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
 * From such samples, in ms from the first with media: when `bps` bit/s of media had left over a second (`rateMs`), and
 * when the browser's estimate was as much (`estimateMs`); undefined where never.
 */
export function rampTimes(samples, bps) {
  const began = samples.findIndex(({ bytes }) => bytes > 0);
  const media = began < 0 ? [] : samples.slice(began);
  const reaches = (sample) => {
    const before = media.findLast(({ at }) => at <= sample.at - WINDOW_MS);
    return before && (8_000 * (sample.bytes - before.bytes)) / (sample.at - before.at) >= bps;
  };
  const time = (sample) => sample && Math.round(sample.at - media[0].at);
  return {
    rateMs: time(media.find(reaches)),
    estimateMs: time(media.find(({ availableBps }) => availableBps >= bps)),
  };
}
