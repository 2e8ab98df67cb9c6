// kill -9 of control, again and again, in the middle of a call: media must not notice.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { joinCall, launchChromium } from "../lib/chromium.mjs";
import { startServer } from "../lib/server.mjs";
import { sleep, until } from "../lib/wait.mjs";

const ROUNDS = Number(process.env.E2E_ROUNDS ?? 20);
const POLL_MS = 200;
/** Longest time without a decoded picture; the fake camera makes one in about 70 ms. */
const PAUSE_MAX_MS = 500;

describe("control dies", () => {
  let server;
  let browser;
  let people;

  before(async () => {
    server = await startServer();
    browser = await launchChromium();
    people = [];
    for (const name of ["Ada", "Bob", "Cleo"]) people.push(await joinCall(browser, server, { room: "r", name }));
    for (const person of people) await person.receives(people.filter((it) => it !== person));
    // The first seconds of a call may repair something; later ones must not.
    await sleep(3_000);
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  for (let round = 1; round <= ROUNDS; round += 1) {
    it(`costs no packet (${round})`, { timeout: 60_000 }, costsNothing);
  }

  async function costsNothing() {
    const before = await Promise.all(people.map(identity));
    const watches = people.map((person) => new Watch(person));
    await sleep(600);
    await server.killControl();
    await sleep(700);
    const started = performance.now();
    await server.startControl();
    const dora = await joinCall(browser, server, { room: "r", name: "Dora", audio: "0", video: "0" });
    const joinedAfter = performance.now() - started;
    assert.ok(joinedAfter < 2_000, `a newcomer joined ${Math.round(joinedAfter)} ms after control's start`);

    for (const [index, person] of people.entries()) {
      await until(`${person.name} to resume`, async () => (await person.state()).resumes > before[index].resumes);
    }
    await dora.receives(people);
    await dora.leave();
    for (const watch of watches) await watch.stop();
    const after = await Promise.all(people.map(identity));
    for (const [index, { resumes, ...ids }] of after.entries()) {
      const { resumes: resumesBefore, ...idsBefore } = before[index];
      assert.deepEqual(ids, idsBefore);
      assert.equal(resumes, resumesBefore + 1);
    }
    await until("Dora to be gone", async () => (await people[0].state()).peers.length === 2);
  }
});

/** What must be the same before and after. */
async function identity(person) {
  const { peerId, joins, resumes, transports, producers, consumers } = await person.state();
  const received = await person.received();
  return {
    peerId,
    joins,
    resumes,
    transports,
    producers: producers.map((it) => it.id),
    consumers: consumers.map((it) => it.id).sort(),
    lost: [...received].map(([key, it]) => `${key}: ${it.raw.packetsLost}`).sort(),
  };
}

/** Looks at a participant's pictures all the time; complains about pauses at the end. */
class Watch {
  #person;
  #last = new Map();
  #pauses = [];
  #running;
  #on = true;

  constructor(person) {
    this.#person = person;
    this.#running = this.#run();
  }

  async stop() {
    this.#on = false;
    await this.#running;
    assert.deepEqual(this.#pauses, []);
  }

  async #run() {
    while (this.#on) {
      for (const [key, figures] of await this.#person.received()) {
        if (figures.kind === "video" && figures.raw.framesDecoded !== undefined) this.#see(key, figures.raw);
      }
      await sleep(POLL_MS);
    }
  }

  #see(key, { framesDecoded, timestamp }) {
    const last = this.#last.get(key);
    if (!last || framesDecoded > last.framesDecoded) return this.#last.set(key, { framesDecoded, timestamp });
    const pause = timestamp - last.timestamp;
    if (pause > PAUSE_MAX_MS) {
      this.#pauses.push(`${this.#person.name} ← ${key}: no picture for ${Math.round(pause)} ms`);
    }
    return undefined;
  }
}
