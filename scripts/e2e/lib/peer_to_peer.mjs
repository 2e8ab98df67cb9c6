// A video from one page to another with no server between.

/**
 * Sends the camera of `sender` to `receiver`, two pages of any origin where cameras are allowed, as one VP8 stream of
 * up to `maxBitrate` bit/s.
 */
export async function callDirectly({ sender, receiver, width, height, fps, maxBitrate }) {
  const offer = await sender.evaluate(makeOffer, { width, height, fps, maxBitrate });
  const answer = await receiver.evaluate(makeAnswer, offer);
  await sender.evaluate((description) => window.direct.setRemoteDescription(description), answer);
}

/** Runs in the page. */
async function makeOffer({ width, height, fps, maxBitrate }) {
  const video = { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: fps, max: fps } };
  const stream = await navigator.mediaDevices.getUserMedia({ video });
  window.direct = new RTCPeerConnection();
  const transceiver = window.direct.addTransceiver(stream.getVideoTracks()[0], {
    direction: "sendonly",
    streams: [stream],
    sendEncodings: [{ maxBitrate }],
  });
  const wanted = ["video/VP8", "video/rtx"];
  const { codecs } = RTCRtpSender.getCapabilities("video");
  transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => wanted.includes(mimeType)));
  await window.direct.setLocalDescription();
  while (window.direct.iceGatheringState !== "complete") await new Promise((resolve) => setTimeout(resolve, 10));
  return window.direct.localDescription.toJSON();
}

/** Runs in the page. */
async function makeAnswer(offer) {
  window.direct = new RTCPeerConnection();
  window.direct.ontrack = ({ streams: [stream] }) => {
    const video = document.createElement("video");
    video.autoplay = true;
    video.muted = true;
    video.srcObject = stream;
    document.body.append(video);
  };
  await window.direct.setRemoteDescription(offer);
  await window.direct.setLocalDescription();
  while (window.direct.iceGatheringState !== "complete") await new Promise((resolve) => setTimeout(resolve, 10));
  return window.direct.localDescription.toJSON();
}
