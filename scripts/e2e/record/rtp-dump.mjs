// What Chromium writes of the packets it sends and receives, before encryption and after decryption: each as a line
// `O|I HH:MM:SS.mmm 0000 hex bytes # RTP_DUMP` on standard error (field trial WebRTC-Debugging-RtpDump).

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const LINE = /^([OI]) (\d+):(\d+):(\d+)\.(\d+) 0000 ([0-9a-f ]+) # RTP_DUMP/;
const DAY_MS = 24 * 3600 * 1000;

/** `executable` and `flags` start a Chromium that dumps; `packets()` gives what it has dumped so far. */
export function dumpingChromium(executable = process.env.CHROMIUM ?? "/usr/bin/chromium") {
  const folder = mkdtempSync(join(tmpdir(), "weirgate-dump-"));
  const log = join(folder, "log");
  const wrapper = join(folder, "chromium");
  writeFileSync(wrapper, `#!/bin/sh\nexec ${executable} "$@" 2>${log}\n`, { mode: 0o700 });
  return {
    executable: wrapper,
    flags: ["--force-fieldtrials=WebRTC-Debugging-RtpDump/Enabled/", "--enable-logging=stderr", "--vmodule=srtp_session=1"],
    packets: () => readPackets(readFileSync(log, "utf8")),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** `{out, ms, bytes}` of each packet, RTP and RTCP, in the order of time. */
function readPackets(text) {
  const packets = [];
  for (const line of text.split("\n")) {
    const match = LINE.exec(line);
    if (!match) continue;
    const [hours, minutes, seconds, ms] = match.slice(2, 6).map(Number);
    const at = ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms;
    packets.push({ out: match[1] === "O", ms: at, bytes: Buffer.from(match[6].replaceAll(" ", ""), "hex") });
  }
  const first = packets[0]?.ms ?? 0;
  for (const packet of packets) packet.ms = (packet.ms - first + DAY_MS) % DAY_MS;
  return packets.sort((a, b) => a.ms - b.ms);
}

/** RTP's fields, with extensions by id; nothing for RTCP. */
export function readRtp(bytes) {
  const payloadType = bytes[1] & 0x7f;
  if (payloadType >= 64 && payloadType <= 95) return undefined;
  let offset = 12 + 4 * (bytes[0] & 0x0f);
  const extensions = new Map();
  if (bytes[0] & 0x10) {
    const isShort = bytes.readUInt16BE(offset) === 0xbede;
    const end = offset + 4 + 4 * bytes.readUInt16BE(offset + 2);
    readExtensions(bytes.subarray(offset + 4, end), isShort, extensions);
    offset = end;
  }
  const padding = bytes[0] & 0x20 ? bytes[bytes.length - 1] : 0;
  return {
    payloadType,
    sequence: bytes.readUInt16BE(2),
    ssrc: bytes.readUInt32BE(8),
    extensions,
    headerLength: offset,
    payloadLength: bytes.length - offset - padding,
  };
}

function readExtensions(data, isShort, extensions) {
  let at = 0;
  while (at < data.length) {
    if (data[at] === 0) {
      at += 1;
      continue;
    }
    const id = isShort ? data[at] >> 4 : data[at];
    const length = isShort ? (data[at] & 0x0f) + 1 : data[at + 1];
    at += isShort ? 1 : 2;
    extensions.set(id, data.subarray(at, at + length));
    at += length;
  }
}

/** Ids of header extensions by the end of their URIs. */
export function extensionIds(rtpParameters) {
  const ids = new Map(rtpParameters.headerExtensions.map(({ uri, id }) => [uri, id]));
  const of = (end) => [...ids].find(([uri]) => uri.endsWith(end))?.[1];
  return {
    rid: of("sdes:rtp-stream-id"),
    descriptor: of("dependency-descriptor-rtp-header-extension"),
    sequence: of("transport-wide-cc-extensions-01"),
    sendTime: of("abs-send-time"),
  };
}
