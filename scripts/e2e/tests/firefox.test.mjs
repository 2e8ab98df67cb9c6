// Firefox and Chromium in one call.

import { existsSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { joinCall, launchChromium } from "../lib/chromium.mjs";
import { joinCallInFirefox, launchFirefox } from "../lib/firefox.mjs";
import { assertRising } from "../lib/rising.mjs";
import { startServer } from "../lib/server.mjs";

const DURATION = Number(process.env.E2E_SECONDS ?? 20) * 1000;
const missing = existsSync(process.env.FIREFOX ?? "/usr/bin/firefox-esr") ? undefined : "needs firefox-esr";

describe("Firefox", { skip: missing }, () => {
  let server;
  let chromium;
  let firefox;

  before(async () => {
    // Firefox gathers no loopback address, so the media port is open on this machine's own as well.
    server = await startServer({ mediaHost: "0.0.0.0" });
    [chromium, firefox] = await Promise.all([launchChromium(), launchFirefox()]);
  });

  after(async () => {
    await Promise.all([chromium?.close(), firefox?.close()]);
    await server?.stop();
  });

  it("joins a VP8 call", { timeout: DURATION + 90_000 }, async () => {
    const people = [
      await joinCall(chromium, server, { room: "r", name: "Ada", codec: "vp8" }),
      await joinCall(chromium, server, { room: "r", name: "Bob", codec: "vp8" }),
      await joinCallInFirefox(firefox, server, { room: "r", name: "Fox", codec: "vp8" }),
    ];
    for (const person of people) await person.receives(people.filter((it) => it !== person), 30_000);
    await assertRising(people, { duration: DURATION, window: 2_000, streams: 6 });
  });
});
