// Coming late, leaving, and vanishing: what the others see, and that nothing stays behind.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { joinCall, launchChromium } from "../lib/chromium.mjs";
import { startServer } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const RESUME_SECONDS = 3;

describe("membership", () => {
  let server;
  let browser;
  let ada;
  let bob;

  before(async () => {
    server = await startServer({ flags: ["--resume-time", String(RESUME_SECONDS)] });
    browser = await launchChromium();
    ada = await joinCall(browser, server, { room: "r", name: "Ada" });
    bob = await joinCall(browser, server, { room: "r", name: "Bob" });
    await ada.receives([bob]);
    await bob.receives([ada]);
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  const peersOf = async (person) => (await person.state()).peers.map((peer) => peer.displayName).sort();

  it("a late one is seen and heard, and sees and hears", async () => {
    const cleo = await joinCall(browser, server, { room: "r", name: "Cleo" });
    await cleo.receives([ada, bob]);
    await ada.receives([cleo]);
    await bob.receives([cleo]);

    const started = performance.now();
    await cleo.page.getByRole("button", { name: "Leave" }).click();
    await until("Cleo to be gone", async () => (await peersOf(ada)).join() === "Bob", { timeout: 2_000, interval: 20 });
    assert.ok(performance.now() - started < RESUME_SECONDS * 1000, "leaving is not waited for");
    await cleo.page.context().close();
  });

  it("one who vanishes is gone after the resume time", async () => {
    const context = await browser.newContext();
    const dora = await joinCall(browser, server, { room: "r", name: "Dora", context });
    await ada.receives([dora]);
    const session = await context.newCDPSession(dora.page);
    const started = performance.now();
    // A crash says goodbye to nobody.
    session.send("Page.crash").catch(() => undefined);
    await until("Dora to be gone", async () => (await peersOf(ada)).join() === "Bob", {
      timeout: (RESUME_SECONDS + 30) * 1000,
    });
    const seconds = (performance.now() - started) / 1000;
    assert.ok(seconds > RESUME_SECONDS * 0.8, `gone after ${seconds} s, before the resume time`);
    await context.close();
  });

  it("the others did not notice", async () => {
    const before = await ada.received();
    await until("more pictures", async () =>
      [...(await ada.received())].every(([key, it]) => it.kind === "audio" || it.raw.framesDecoded > before.get(key).raw.framesDecoded + 10),
    );
  });

  it("nothing is left when all are gone", async () => {
    await ada.page.getByRole("button", { name: "Leave" }).click();
    await bob.page.getByRole("button", { name: "Leave" }).click();
    await until("no rooms", async () => (await server.get("/v1/rooms")).length === 0);
    assert.deepEqual(await server.get("/v1/routers"), []);
    await until("an empty engine", async () => {
      const { shards } = await server.get("/v1/engine");
      const left = shards.flatMap(({ transports, producers, consumers }) => [transports, producers, consumers]);
      if (left.every((count) => count === 0)) return true;
      throw new Error(JSON.stringify(shards));
    });
  });
});
