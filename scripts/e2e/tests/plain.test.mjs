// Media without a browser at one end: ffmpeg into a room, a page's picture out to ffmpeg and GStreamer.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { joinCall, launchChromium, progress } from "../lib/chromium.mjs";
import { freeUdpPort } from "../lib/ports.mjs";
import { startServer } from "../lib/server.mjs";
import { sleep, until } from "../lib/wait.mjs";

const HOST = "127.0.0.1";
const CODECS = {
  video: { mimeType: "video/VP8", payloadType: 101, clockRate: 90_000 },
  audio: { mimeType: "audio/opus", payloadType: 102, clockRate: 48_000, channels: 2 },
};
const SSRC = { video: 0x1111, audio: 0x2222 };

describe("plain transports", () => {
  let server;
  let browser;
  let ada;
  let routerId;
  const children = [];

  before(async () => {
    server = await startServer();
    browser = await launchChromium();
    ada = await joinCall(browser, server, { room: "r", name: "Ada", codec: "vp8" });
    ({ routerId } = await server.get("/v1/rooms/r"));
  });

  after(async () => {
    for (const child of children) child.kill("SIGKILL");
    await browser?.close();
    await server?.stop();
  });

  function run(program, ...words) {
    const child = spawn(program, words.flat(Infinity).map(String), { stdio: ["ignore", "pipe", "pipe"] });
    child.output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (child.output += text));
    child.ended = new Promise((resolve) => child.once("exit", (code) => resolve(code)));
    children.push(child);
    return child;
  }

  const plainTransport = (options) =>
    server.api("POST", `/v1/routers/${routerId}/transports`, { type: "plain", listenIp: HOST, ...options });

  it("a page decodes what ffmpeg sends into the room", { timeout: 60_000 }, async () => {
    const ports = {};
    for (const kind of ["video", "audio"]) {
      // ffmpeg sends RTCP from a socket of its own.
      const transport = await plainTransport({ comedia: true, rtcpMux: false });
      ports[kind] = { rtp: transport.tuple.localPort, rtcp: transport.rtcpTuple.localPort };
      await server.api("POST", `/v1/transports/${transport.id}/producers`, {
        kind,
        rtpParameters: { codecs: [CODECS[kind]], encodings: [{ ssrc: SSRC[kind] }], rtcp: { cname: "ffmpeg" } },
      });
    }
    const target = (kind) => ["-payload_type", CODECS[kind].payloadType, "-ssrc", SSRC[kind], "-f", "rtp",
      `rtp://${HOST}:${ports[kind].rtp}?rtcpport=${ports[kind].rtcp}&pkt_size=1200`];
    const sender = run("ffmpeg", "-hide_banner", "-loglevel", "warning", "-re",
      ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=15", "-f", "lavfi", "-i", "sine=frequency=440"],
      ["-map", "0:v", "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", 8, "-g", 15, "-b:v", "300k", target("video")],
      ["-map", "1:a", "-c:a", "libopus", "-ac", 2, "-b:a", "32k", target("audio")]);

    const enough = { "api/video": 30, "api/audio": 0.001 };
    await until("ffmpeg's picture and sound on the page", async () => {
      const received = await ada.received();
      const seen = Object.keys(enough).map((key) => [key, progress(received.get(key))]);
      if (seen.every(([key, value]) => value > enough[key])) return true;
      throw new Error(`${JSON.stringify(seen)} ${sender.output}`);
    }, { timeout: 20_000 });
    const video = (await ada.received()).get("api/video");
    assert.equal(video.raw.frameWidth, 320);
    assert.equal(video.raw.packetsLost, 0);
    sender.kill("SIGKILL");
  });

  /** Sends the page's picture to a free port; gives the port and the consumer's parameters. */
  async function pictureOut() {
    const port = await freeUdpPort();
    const transport = await plainTransport({ comedia: false });
    await server.api("POST", `/v1/transports/${transport.id}/connect`, { ip: HOST, port });
    const { rtpCapabilities } = await server.get(`/v1/routers/${routerId}`);
    const { peerId } = await ada.state();
    const { producers } = (await server.get("/v1/rooms/r")).peers[peerId];
    const producer = Object.values(producers).find((it) => it.kind === "video");
    // A receiver that can nothing but the codec: no RTX, no extensions.
    const codecs = rtpCapabilities.codecs.filter((it) => it.mimeType.toLowerCase() === "video/vp8");
    const consumer = await server.api("POST", `/v1/transports/${transport.id}/consumers`, {
      producerId: producer.id,
      rtpCapabilities: { codecs, headerExtensions: [] },
      paused: true,
    });
    const start = async () => {
      await server.api("POST", `/v1/consumers/${consumer.id}/resume`);
      // The receiver may have bound its port a moment too late for the first key frame.
      await sleep(1_000);
      await server.api("POST", `/v1/consumers/${consumer.id}/request-key-frame`);
    };
    return { port, payloadType: consumer.rtpParameters.codecs[0].payloadType, start };
  }

  it("ffmpeg decodes a page's picture", { timeout: 60_000 }, async () => {
    const { port, payloadType, start } = await pictureOut();
    const description = join(server.folder, "picture.sdp");
    writeFileSync(description, ["v=0", `o=- 0 0 IN IP4 ${HOST}`, "s=-", `c=IN IP4 ${HOST}`, "t=0 0",
      `m=video ${port} RTP/AVP ${payloadType}`, `a=rtpmap:${payloadType} VP8/90000`, "a=rtcp-mux", ""].join("\r\n"));
    const receiver = run("ffmpeg", "-hide_banner", "-protocol_whitelist", "file,udp,rtp", "-i", description,
      "-frames:v", 30, "-f", "null", "-");
    await sleep(500);
    await start();
    assert.equal(await receiver.ended, 0, receiver.output);
    assert.match(receiver.output, /frame=\s*30/);
    assert.match(receiver.output, /320x180/);
  });

  it("GStreamer decodes a page's picture", { timeout: 60_000 }, async () => {
    const { port, payloadType, start } = await pictureOut();
    const caps = `application/x-rtp,media=video,encoding-name=VP8,clock-rate=90000,payload=${payloadType}`;
    const receiver = run("gst-launch-1.0", "-q", "udpsrc", `address=${HOST}`, `port=${port}`, `caps=${caps}`, "!",
      "rtpjitterbuffer", "!", "rtpvp8depay", "!", "vp8dec", "!", "video/x-raw,width=320,height=180", "!",
      "fakesink", "num-buffers=30");
    await sleep(500);
    await start();
    assert.equal(await receiver.ended, 0, receiver.output);
  });
});
