// kill -9 of control, again and again, in the middle of a call: media must not notice.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { callQuery, joinCall, launchChromium, Participant, SMALL_PAGE } from "../lib/chromium.mjs";
import { watchIdle } from "../lib/machine.mjs";
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
    for (const name of ["Ada", "Bob", "Cleo"]) {
      people.push(await joinCall(browser, server, { room: "r", name, context: await browser.newContext(SMALL_PAGE) }));
    }
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

  async function costsNothing(t) {
    const dora = await waitingNewcomer();
    const idle = watchIdle();
    const before = await Promise.all(people.map(identity));
    const watches = people.map((person) => new Watch(person));
    try {
      await sleep(600);
      await server.killControl();
      await sleep(700);
      const started = performance.now();
      await server.startControl();
      await dora.page.getByRole("button", { name: "Join" }).click();
      await dora.joined();
      const joinedAfter = performance.now() - started;
      assert.ok(joinedAfter < 2_000, `a newcomer joined ${Math.round(joinedAfter)} ms after control's start`);

      for (const [index, person] of people.entries()) {
        await resumed(person, before[index].resumes);
      }
      await dora.receives(people);
      await dora.leave();
      await judgePauses(t, idle(), watches);
      const after = await Promise.all(people.map(identity));
      for (const [index, { resumes, ...ids }] of after.entries()) {
        const { resumes: resumesBefore, ...idsBefore } = before[index];
        assert.deepEqual(ids, idsBefore);
        assert.equal(resumes, resumesBefore + 1);
      }
    } finally {
      await Promise.all(watches.map((watch) => watch.stop()));
      await dora.page.context().close();
    }
    await until("Dora to be gone", async () => (await people[0].state()).peers.length === 2, { timeout: 20_000 });
  }

  /**
   * Without CPU everything stops, whether control dies or not: encoders, decoders, and the engine's threads, which waited for their
   * core for up to 600 ms beside three busy loops. So then pauses are told and decide nothing; packets may not be lost even then.
   */
  async function judgePauses(t, { isEnough, shown }, watches) {
    const pauses = (await Promise.all(watches.map((watch) => watch.stop()))).flat();
    t.diagnostic(`${shown}${pauses.map((it) => `; ${it}`).join("")}`);
    if (isEnough) assert.deepEqual(pauses, []);
  }

  /** A page on its first screen: what comes from control beforehand must not count as joining. */
  async function waitingNewcomer() {
    const page = await (await browser.newContext(SMALL_PAGE)).newPage();
    await page.goto(`${server.url}/?${callQuery({ room: "r", name: "Dora", autojoin: "0", audio: "0", video: "0" })}`);
    await page.getByRole("button", { name: "Join" }).waitFor();
    return new Participant((expression) => page.evaluate(expression), page, "Dora");
  }
});

function resumed(person, resumesBefore) {
  return until(`${person.name} to resume`, async () => {
    const state = await person.state();
    if (state.resumes > resumesBefore) return true;
    throw new Error(`${JSON.stringify(state)} ${person.problems.slice(-5)}`);
  });
}

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

/** Looks at a participant's pictures all the time, and keeps the pauses. */
class Watch {
  #person;
  #last = new Map();
  #pauses = new Map();
  #running;
  #on = true;

  constructor(person) {
    this.#person = person;
    this.#running = this.#run();
  }

  /** Gives the pauses seen; may be called again. */
  async stop() {
    this.#on = false;
    await this.#running;
    return [...this.#pauses.values()];
  }

  async #run() {
    while (this.#on) {
      for (const [key, figures] of await this.#person.received()) {
        if (figures.kind === "video" && figures.raw.framesDecoded !== undefined) this.#see(key, figures.raw);
      }
      await sleep(POLL_MS);
    }
  }

  #see(key, { framesDecoded, packetsReceived, timestamp }) {
    const last = this.#last.get(key);
    if (!last || framesDecoded > last.framesDecoded) return this.#last.set(key, { framesDecoded, packetsReceived, timestamp });
    const pause = timestamp - last.timestamp;
    if (pause > PAUSE_MAX_MS) {
      const packets = packetsReceived - last.packetsReceived;
      // One that goes on is told as it stands.
      this.#pauses.set(`${key} since ${last.timestamp}`, `${this.#person.name} ← ${key}: no picture of ${packets} packets for ${Math.round(pause)} ms`);
    }
    return undefined;
  }
}
