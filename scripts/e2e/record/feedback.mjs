// Records what Chromium feeds back of a call over a link that gets narrower and wider again: what left for it, when, and
// each feedback message as it came back. Needs root.
// node record/feedback.mjs FOLDER

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { startShapedCall } from "../lib/shaped.mjs";
import { sleep } from "../lib/wait.mjs";
import { dumpingChromium, extensionIds, readRtp } from "./rtp-dump.mjs";

const DELAY_MS = 25;
const LINKS = [
  { name: "narrows", link: { both: `delay=${DELAY_MS}ms,queue=200ms`, down: "rate=2M" }, steps: ["down:rate=600k", "down:rate=2M"] },
  { name: "loses", link: { both: `delay=${DELAY_MS}ms,queue=200ms`, down: "rate=2M,loss=4%" }, steps: [] },
];
const RECORD_MS = 12_000;
const BEGIN_US = 1_000_000;
const TRACE_BYTES_MAX = 145_000;
/** abs-send-time counts 64 s in 24 bits. */
const SEND_TIME_WRAP = 1 << 24;
const TRANSPORT_FEEDBACK = { type: 205, format: 15 };

const folder = process.argv[2];
if (!folder) throw new Error("usage: node record/feedback.mjs FOLDER");
for (const { name, link, steps } of LINKS) {
  const { trace, sent, reports } = await record(link, steps);
  writeFileSync(join(folder, `${name}.txt`), trace);
  console.log(`${name}: ${sent} packets, ${reports} reports, ${trace.length} bytes`);
}

async function record(link, steps) {
  let dumping;
  const call = await startShapedCall({
    links: [link],
    sender: { codec: "vp8", simulcast: "1", audio: "0" },
    receiver: (command) => (dumping = dumpingChromium(command)),
  });
  try {
    for (const step of steps) {
      await sleep(RECORD_MS / (steps.length + 1));
      await call.hosts[0].change(step);
    }
    await sleep(RECORD_MS / (steps.length + 1));
    const { id } = (await call.receivers[0].state()).consumers[0];
    const { rtpParameters } = await call.server.get(`/v1/consumers/${id}`);
    const title = `Chromium ${call.browsers[1].version()} behind ${JSON.stringify({ link, steps })}`;
    return write(title, dumping.packets(), rtpParameters);
  } finally {
    await call.stop();
    dumping?.remove();
  }
}

/**
 * Lines in the order of time, which is in µs: `s TIME SEQUENCE BYTES KIND` of a packet that left the server (`v` video, `r`
 * RTX, `p` a probe), and `f TIME HEX` of a feedback message that reached it. When a packet left is told by its abs-send-time;
 * of one that was lost only that it left between its neighbours is known.
 */
function write(title, packets, rtpParameters) {
  const ids = extensionIds(rtpParameters);
  const [{ payloadType }] = rtpParameters.codecs;
  const sent = new Map();
  const feedback = [];
  let highest;
  let lastSendTime;
  let sendTime = 0;
  for (const { out, ms, bytes } of packets) {
    if (out) {
      for (const message of transportFeedback(bytes)) feedback.push({ us: BEGIN_US + (ms + DELAY_MS) * 1000, message });
      continue;
    }
    const rtp = readRtp(bytes);
    const number = rtp?.extensions.get(ids.sequence)?.readUInt16BE(0);
    const stamp = rtp?.extensions.get(ids.sendTime)?.readUIntBE(0, 3);
    if (number === undefined || stamp === undefined) continue;
    const step = (((number - ((highest ?? number) & 0xffff) + 0x18000) & 0xffff) - 0x8000);
    const sequence = (highest ?? number) + step;
    highest = Math.max(highest ?? sequence, sequence);
    const elapsed = ((stamp - (lastSendTime ?? stamp) + 1.5 * SEND_TIME_WRAP) % SEND_TIME_WRAP) - SEND_TIME_WRAP / 2;
    lastSendTime = stamp;
    sendTime += elapsed;
    const kind = rtp.payloadLength === 0 ? "p" : rtp.payloadType === payloadType ? "v" : "r";
    sent.set(sequence, { us: (sendTime * 1e6) / (1 << 18), arrivedMs: ms, bytes: bytes.length, kind });
  }
  // The fastest one took no longer than the link delays. Nothing happens before 1 s.
  const offset = BEGIN_US + Math.min(...[...sent.values()].map(({ us, arrivedMs }) => (arrivedMs - DELAY_MS) * 1000 - us));
  const lines = departures(sent, offset);
  const count = lines.length;
  const end = lines.at(-1).us + 1_000_000;
  for (const { us, message } of feedback) if (us < end) lines.push({ us, text: `f ${Math.round(us)} ${message.toString("hex")}` });
  lines.sort((a, b) => a.us - b.us);
  const trace = [`# ${title}`, ...lines.map(({ text }) => text)].join("\n");
  const kept = trace.slice(0, TRACE_BYTES_MAX);
  return { trace: trace.length > kept.length ? kept.slice(0, kept.lastIndexOf("\n") + 1) : `${kept}\n`, sent: count, reports: feedback.length };
}

function departures(sent, offset) {
  const numbers = [...sent.keys()].sort((a, b) => a - b);
  const lines = [];
  let before = sent.get(numbers[0]);
  for (let sequence = numbers[0]; sequence <= numbers.at(-1); sequence += 1) {
    // One that was lost: with its neighbour before it.
    const packet = sent.get(sequence) ?? before;
    const us = Math.round(packet.us + offset);
    lines.push({ us, text: `s ${us} ${sequence & 0xffff} ${packet.bytes} ${packet.kind}` });
    before = packet;
  }
  return lines;
}

/** The messages of transport-wide feedback in a compound. */
function* transportFeedback(compound) {
  const type = compound[1];
  if (type < 192 || type > 223) return;
  for (let at = 0; at + 4 <= compound.length; ) {
    const length = 4 * (compound.readUInt16BE(at + 2) + 1);
    const isFeedback = compound[at + 1] === TRANSPORT_FEEDBACK.type && (compound[at] & 0x1f) === TRANSPORT_FEEDBACK.format;
    if (isFeedback) yield compound.subarray(at, at + length);
    at += length;
  }
}
