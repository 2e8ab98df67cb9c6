// Encryption from end to end, as pages do it: each encoded frame is changed before it is cut into packets, and changed
// back before it is decoded.

/**
 * What stays in the clear of a frame:
 * - `nothing`: all of it is sealed with AES-GCM, which also tells when a byte of it was changed on the way.
 * - `vp8`: the frame header, 10 bytes of key frames and 3 of others, as Jitsi and LiveKit leave it.
 * - `h264`: parameter sets, start codes and the beginning of each slice, by which frames are cut into packets.
 * - `av1`: headers and sizes of OBUs, by which these are.
 *
 * The last two swap bytes for others by a table, so that no start code comes to be and nothing grows.
 */
export const CLEAR = ["nothing", "vp8", "h264", "av1"];

/**
 * A script for a page, before any other: its frames of video leave `clear` what that says; sound is sealed whole.
 * `describes`: video has the dependency descriptor, which mediasoup-client takes out for VP8 and VP9; `key`: the byte that
 * the key is made of.
 */
export function encrypting({ clear, describes = false, key = 7 }) {
  const worker = JSON.stringify(`(${transformFrames})(${key})`);
  return `(${installTransforms})(${worker}, ${JSON.stringify(clear)}); ${describes ? `(${keepDescriptor})()` : ""}`;
}

/** What was opened by the page so far, and what could not be: `{ audio: { opened, failed }, video: … }`. */
export function openedFrames(person) {
  return person.evaluate("JSON.parse(JSON.stringify(window.openedFrames))");
}

/** Runs in the page. */
function installTransforms(source, clear) {
  const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  window.openedFrames = { audio: { opened: 0, failed: 0 }, video: { opened: 0, failed: 0 } };
  worker.onmessage = ({ data: { kind, isOpened } }) => {
    window.openedFrames[kind][isOpened ? "opened" : "failed"] += 1;
  };
  const transform = (kind, isSender) =>
    new RTCRtpScriptTransform(worker, { kind, isSender, clear: kind === "audio" ? "nothing" : clear });
  const { addTransceiver } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.addTransceiver = function (track, init) {
    const transceiver = addTransceiver.call(this, track, init);
    if (init?.direction === "sendonly") transceiver.sender.transform = transform(track.kind, true);
    return transceiver;
  };
  const { setRemoteDescription } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.setRemoteDescription = function (description) {
    this.ontrack ??= ({ receiver, track }) => {
      receiver.transform ??= transform(track.kind, false);
    };
    return setRemoteDescription.call(this, description);
  };
}

/** Runs in the page. */
function keepDescriptor() {
  const uri = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
  const { setRemoteDescription } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
    const sections = (text) => text.split(/^(?=m=)/m);
    const offered = sections(this.localDescription?.sdp ?? "");
    const answered = sections(sdp).map((section, index) => {
      const line = offered[index]?.split("\r\n").find((line) => line.startsWith("a=extmap:") && line.endsWith(uri));
      const isMissing = type === "answer" && line && section.startsWith("m=video") && !section.includes(uri);
      return isMissing ? `${section}${line}\r\n` : section;
    });
    return setRemoteDescription.call(this, { type, sdp: answered.join("") });
  };
}

/** Runs in a worker of the page. */
function transformFrames(keyByte) {
  const IV_BYTES = 12;
  // Of each unit that is swapped: what packetizers and parsers of headers look at.
  const CLEAR_OF_UNIT = { h264: 4, av1: 24 };
  const key = crypto.subtle.importKey("raw", new Uint8Array(16).fill(keyByte), "AES-GCM", false, ["encrypt", "decrypt"]);

  self.onrtctransform = ({ transformer }) => {
    const { kind, isSender, clear } = transformer.options;
    const units = { h264: unitsOfH264, av1: unitsOfAv1 }[clear];
    const change = async (frame, controller) => {
      if (units) swap(frame, units, CLEAR_OF_UNIT[clear]);
      else if (isSender) await seal(frame, clearBytes(frame, clear));
      else if (!(await open(frame, clear))) return self.postMessage({ kind, isOpened: false });
      if (!isSender) self.postMessage({ kind, isOpened: true });
      controller.enqueue(frame);
    };
    transformer.readable.pipeThrough(new TransformStream({ transform: change })).pipeTo(transformer.writable);
  };

  function clearBytes(frame, clear) {
    if (clear === "nothing") return 0;
    return Math.min(frame.type === "key" ? 10 : 3, frame.data.byteLength);
  }

  /** The clear bytes, what is sealed with its tag, the nonce. */
  async function seal(frame, clear) {
    const bytes = new Uint8Array(frame.data);
    const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
    const algorithm = { name: "AES-GCM", iv, additionalData: bytes.subarray(0, clear) };
    const sealed = new Uint8Array(await crypto.subtle.encrypt(algorithm, await key, bytes.subarray(clear)));
    const whole = new Uint8Array(clear + sealed.length + IV_BYTES);
    whole.set(bytes.subarray(0, clear));
    whole.set(sealed, clear);
    whole.set(iv, clear + sealed.length);
    frame.data = whole.buffer;
  }

  /** False where it was not sealed with this key, or not as it is now. */
  async function open(frame, clearMode) {
    const bytes = new Uint8Array(frame.data);
    const end = bytes.length - IV_BYTES;
    const clear = clearBytes(frame, clearMode);
    if (end < clear) return false;
    const algorithm = { name: "AES-GCM", iv: bytes.subarray(end), additionalData: bytes.subarray(0, clear) };
    try {
      const opened = new Uint8Array(await crypto.subtle.decrypt(algorithm, await key, bytes.subarray(clear, end)));
      const whole = new Uint8Array(clear + opened.length);
      whole.set(bytes.subarray(0, clear));
      whole.set(opened, clear);
      frame.data = whole.buffer;
      return true;
    } catch {
      return false;
    }
  }

  /** Bytes that start codes are made of stay, so no new ones come to be. Its own inverse. */
  function swap(frame, units, clear) {
    const bytes = new Uint8Array(frame.data);
    for (const [from, to] of units(bytes)) {
      for (let at = from + clear; at < to; at += 1) if (bytes[at] > 3) bytes[at] = 259 - bytes[at];
    }
    frame.data = bytes.buffer;
  }

  /** Where the slices are, by their start codes. */
  function unitsOfH264(bytes) {
    const starts = [];
    for (let at = 0; at + 3 < bytes.length; at += 1) {
      if (bytes[at] === 0 && bytes[at + 1] === 0 && bytes[at + 2] === 1) starts.push(at + 3);
    }
    const isSlice = (start) => [1, 5].includes(bytes[start] & 0x1f);
    return starts.map((start, index) => [start, (starts[index + 1] ?? bytes.length + 4) - 4]).filter(([start]) => isSlice(start));
  }

  /** Where the frames' OBUs are, each with its size. */
  function unitsOfAv1(bytes) {
    const units = [];
    for (let at = 0; at < bytes.length; ) {
      const [header, hasExtension, hasSize] = [bytes[at], (bytes[at] >> 2) & 1, (bytes[at] >> 1) & 1];
      let start = at + 1 + hasExtension;
      let size = hasSize ? 0 : bytes.length - start;
      for (let shift = 0; hasSize; shift += 7) {
        const byte = bytes[start];
        start += 1;
        size += (byte & 0x7f) << shift;
        if (byte < 0x80) break;
      }
      if ([3, 4, 6].includes((header >> 3) & 0xf)) units.push([start, start + size]);
      at = start + size;
    }
    return units;
  }
}
