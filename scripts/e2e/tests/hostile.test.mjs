// Ill-meant and broken peers beside a call that must go on.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { after, before, describe, it } from "node:test";
import { joinCall, launchChromium } from "../lib/chromium.mjs";
import { assertRising } from "../lib/rising.mjs";
import { startServer } from "../lib/server.mjs";
import { sleep, until } from "../lib/wait.mjs";

const STRANGER_SSRCS = 100_000;
const GROWTH_MAX_BYTES = 8 << 20;

describe("hostile input", () => {
  let server;
  let browser;
  let people;

  before(async () => {
    server = await startServer();
    browser = await launchChromium();
    people = [];
    for (const name of ["Ada", "Bob"]) people.push(await joinCall(browser, server, { room: "r", name }));
    await people[0].receives([people[1]]);
    await people[1].receives([people[0]]);
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  const callGoesOn = () => assertRising(people, { duration: 3_000, streams: 2 });

  /** A page whose signaling is changed on the way; its media must never get through. */
  async function neverConnects(name, change) {
    const prepare = (page) =>
      page.routeWebSocket(/socket\.io/, (socket) => {
        const onward = socket.connectToServer();
        socket.onMessage((message) => onward.send(change(String(message), "up")));
        onward.onMessage((message) => socket.send(change(String(message), "down")));
      });
    const mallory = await joinCall(browser, server, { room: "r", name, prepare });
    await until("the handshake to begin", async () =>
      (await mallory.state()).transports.some((it) => it.state !== "new"),
    );
    await sleep(6_000);
    const { transports } = await mallory.state();
    assert.deepEqual(transports.filter((it) => it.state === "connected"), []);
    const received = [...(await mallory.received()).values()];
    assert.deepEqual(received.filter((it) => it.raw.packetsReceived > 0), []);
    const { peerId } = await mallory.state();
    for (const person of people) {
      const from = [...(await person.received()).values()].filter((it) => it.peerId === peerId);
      assert.deepEqual(from.filter((it) => it.raw.packetsReceived > 0), []);
    }
    await mallory.leave();
    await until(`${name} to be gone`, async () => (await people[0].state()).peers.length === 1);
  }

  it("a wrong fingerprint connects nothing", { timeout: 90_000 }, async () => {
    await neverConnects("Wrong fingerprint", (message, way) =>
      way === "up" && message.includes("connectTransport")
        ? message.replace(/("value":")([0-9A-F]{2})/gi, (_, start, byte) => start + (byte === "00" ? "01" : "00"))
        : message,
    );
    await callGoesOn();
  });

  it("a wrong ICE password connects nothing", { timeout: 90_000 }, async () => {
    await neverConnects("Wrong password", (message, way) =>
      way === "down" ? message.replace(/("password":")([^"]+)"/g, (_, start, word) => `${start}${"x".repeat(word.length)}"`) : message,
    );
    await callGoesOn();
  });

  it("a flood of strangers' packets changes nothing", { timeout: 90_000 }, async () => {
    const before = server.engineMemory();
    await flood(server, strangerPacket);
    await callGoesOn();
    const growth = server.engineMemory() - before;
    assert.ok(growth < GROWTH_MAX_BYTES, `the engine grew by ${growth} bytes`);
  });

  it("checks and handshakes from strangers get no answer", async () => {
    const answers = await flood(server, (index) => (index % 2 ? strangerCheck() : strangerHello()), 200);
    assert.equal(answers, 0);
    await callGoesOn();
  });
});

/** Sends `count` datagrams to the media port; gives how many came back. */
async function flood(server, packet, count = STRANGER_SSRCS) {
  const socket = createSocket("udp4");
  let answers = 0;
  socket.on("message", () => (answers += 1));
  for (let index = 0; index < count; index += 1) {
    await new Promise((resolve) => socket.send(packet(index), server.mediaPort, server.host, resolve));
  }
  await sleep(500);
  socket.close();
  return answers;
}

/** RTP of VP8's payload type with an SSRC that nobody announced. */
function strangerPacket(index) {
  const packet = randomBytes(200);
  packet.writeUInt16BE(0x8060, 0);
  packet.writeUInt32BE(index + 1, 8);
  return packet;
}

/** A STUN binding request for a transport that does not exist, with a made-up integrity. */
function strangerCheck() {
  const username = Buffer.from("nobody00:stranger");
  const padded = Buffer.concat([username, Buffer.alloc((4 - (username.length % 4)) % 4)]);
  const attribute = (type, length, value) => {
    const header = Buffer.alloc(4);
    header.writeUInt16BE(type, 0);
    header.writeUInt16BE(length, 2);
    return Buffer.concat([header, value]);
  };
  const body = Buffer.concat([attribute(0x0006, username.length, padded), attribute(0x0008, 20, randomBytes(20))]);
  const header = Buffer.alloc(20);
  header.writeUInt16BE(0x0001, 0);
  header.writeUInt16BE(body.length, 2);
  header.writeUInt32BE(0x2112a442, 4);
  randomBytes(12).copy(header, 8);
  return Buffer.concat([header, body]);
}

/** The first bytes of a DTLS ClientHello; nobody who has not passed ICE may send one. */
function strangerHello() {
  const packet = randomBytes(180);
  Buffer.from([22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 167, 1]).copy(packet, 0);
  return packet;
}
