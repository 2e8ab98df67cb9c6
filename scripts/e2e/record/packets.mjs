// Records what Chromium sends of a layered camera: headers, extensions and the beginnings of payloads.
// node record/packets.mjs FOLDER

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { joinCall, launchChromium } from "../lib/chromium.mjs";
import { startServer } from "../lib/server.mjs";
import { sleep, until } from "../lib/wait.mjs";
import { dumpingChromium, extensionIds, readRtp } from "./rtp-dump.mjs";

const SENDERS = [
  { name: "vp8-simulcast", query: { codec: "vp8", simulcast: "1" } },
  { name: "vp9-l3t3-key", query: { codec: "vp9", scalability: "L3T3_KEY" } },
  { name: "av1-l3t3", query: { codec: "av1", scalability: "L3T3" } },
];
const RECORD_MS = 9_000;
/** When the receiver wants which spatial layer: each step makes the server ask for a key frame of it. */
const STEPS = [
  { ms: 2_500, spatialLayer: 0 },
  { ms: 3_500, spatialLayer: 1 },
  { ms: 5_000, spatialLayer: 2 },
];
const KEPT_MS = 8_000;
/** Enough for every payload descriptor and frame header. */
const PAYLOAD_BYTES = 16;
const TRACE_BYTES_MAX = 145_000;

const folder = process.argv[2];
if (!folder) throw new Error("usage: node record/packets.mjs FOLDER");
for (const { name, query } of SENDERS) {
  const { trace, count } = await record(name, query);
  writeFileSync(join(folder, `${name}.txt`), trace);
  console.log(`${name}: ${count} packets, ${trace.length} bytes`);
}

async function record(name, query) {
  const dumping = dumpingChromium();
  const server = await startServer();
  const browser = await launchChromium(dumping);
  const viewers = await launchChromium();
  try {
    const viewer = await joinCall(viewers, server, { room: "r", name: "Viewer", video: "0", audio: "0" });
    const sender = await joinCall(browser, server, { room: "r", name: "Sender", video: "960x540", audio: "0", ...query });
    const { id } = await until("the sender to send", async () => (await sender.state()).producers.find((it) => it.kind === "video"));
    const began = performance.now();
    const { id: consumer } = await until("the viewer to receive", async () => (await viewer.state()).consumers[0]);
    for (const { ms, spatialLayer } of STEPS) {
      await sleep(ms - (performance.now() - began));
      await server.api("POST", `/v1/consumers/${consumer}/preferred-layers`, { spatialLayer, temporalLayer: 2 });
    }
    await sleep(RECORD_MS - (performance.now() - began));
    const { rtpParameters } = await server.get(`/v1/producers/${id}`);
    const title = `${name}, Chromium ${browser.version()}, 960x540 at 15 frames per second`;
    return write(title, dumping.packets(), rtpParameters);
  } finally {
    await browser.close();
    await viewers.close();
    await server.stop();
    dumping.remove();
  }
}

/** A line for each packet: ms, stream, header with extensions, bytes of payload, the first of these. */
function write(title, packets, rtpParameters) {
  const ids = extensionIds(rtpParameters);
  const { payloadType } = rtpParameters.codecs[0];
  const rids = rtpParameters.encodings.map(({ rid }) => rid);
  const streams = new Map();
  const lines = [];
  let length = 0;
  let first;
  for (const { out, ms, bytes } of packets) {
    const rtp = out ? readRtp(bytes) : undefined;
    if (rtp?.payloadType !== payloadType) continue;
    const rid = rtp.extensions.get(ids.rid)?.toString();
    if (!streams.has(rtp.ssrc)) streams.set(rtp.ssrc, Math.max(0, rids.indexOf(rid)));
    first ??= ms;
    const header = bytes.subarray(0, rtp.headerLength).toString("hex");
    const payload = bytes.subarray(rtp.headerLength, rtp.headerLength + Math.min(rtp.payloadLength, PAYLOAD_BYTES));
    const line = `${ms - first} ${streams.get(rtp.ssrc)} ${header} ${rtp.payloadLength} ${payload.toString("hex")}`;
    length += line.length + 1;
    if (ms - first > KEPT_MS || length > TRACE_BYTES_MAX) break;
    lines.push(line);
  }
  const head = [`# ${title}`, `# payload type ${payloadType}, dependency descriptor ${ids.descriptor ?? 0}, streams ${rids.length}`];
  return { trace: `${[...head, ...lines].join("\n")}\n`, count: lines.length };
}
