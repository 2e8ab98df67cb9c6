// A call with every option on that a packet's way depends on, for every back end: datagrams gather as long as
// they may, sockets poll the network cards, two shards, flows brought to them by eBPF, rights given up.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { joinCall, launchChromium } from "../lib/chromium.mjs";
import { assertRising } from "../lib/rising.mjs";
import { startServer } from "../lib/server.mjs";
import { makeVeth } from "../lib/veth.mjs";

const DURATION = Math.min(Number(process.env.E2E_SECONDS ?? 20), 6) * 1000;
/** In µs; the first is the longest there is. */
const FLAGS = ["--coalesce-max", "20000", "--busy-poll", "50"];
/** CAP_NET_ADMIN, NET_RAW, SYS_ADMIN, PERFMON and BPF: what loading and attaching took. */
const RIGHTS = [12n, 13n, 21n, 38n, 39n].reduce((set, bit) => set | (1n << bit), 0n);
const needsRoot = process.getuid() !== 0 && "needs root";

for (const io of ["uring", "mmsg", "xdp"]) {
  describe(`a call of three on ${io} with every option on`, { skip: needsRoot }, () => {
    let veth;
    let server;
    let browser;

    before(async () => {
      veth = io === "xdp" ? makeVeth(`wgo${process.pid}`) : undefined;
      const far = veth ? { host: veth.host, token: "e2e-secret" } : {};
      server = await startServer({ io, cores: "0,1", flags: FLAGS, ...far });
      browser = await launchChromium(veth?.browser(server.url));
    });

    after(async () => {
      await browser?.close();
      await server?.stop();
      veth?.close();
    });

    it("has them all", async () => {
      const engine = await server.get("/v1/engine");
      assert.equal(engine.io, io);
      assert.equal(engine.shards.length, 2);
      assert.ok(engine.kernel.includes("reuseport_ebpf"), `${engine.kernel}`);
      const shards = threads(server.enginePid()).filter(({ name }) => name.startsWith("shard-"));
      assert.equal(shards.length, 2);
      for (const { name, rights } of shards) assert.equal(rights & RIGHTS, 0n, `${name} has rights`);
    });

    it("everybody decodes everybody", { timeout: DURATION + 60_000 }, async () => {
      const people = [];
      for (const name of ["Ada", "Bob", "Cleo"]) {
        people.push(await joinCall(browser, server, { room: `options-${io}`, name, codec: "vp8" }));
      }
      for (const person of people) await person.receives(people.filter((it) => it !== person));
      await assertRising(people, { duration: DURATION, streams: 6 });
      for (const person of people) {
        for (const figures of (await person.received()).values()) {
          assert.equal(figures.raw.packetsLost, 0, `${person.name} lost packets of ${figures.kind}`);
        }
      }
      const { shards } = await server.get("/v1/engine");
      assert.ok(shards.every(({ transports }) => transports > 0), JSON.stringify(shards));
      for (const person of people) await person.leave();
    });
  });
}

/** Threads of a process: name, and the capabilities in force as bits. */
function threads(pid) {
  return readdirSync(`/proc/${pid}/task`).map((tid) => {
    const status = readFileSync(`/proc/${pid}/task/${tid}/status`, "utf8");
    const field = (name) => new RegExp(`^${name}:\\s+(.*)$`, "m").exec(status)[1];
    return { name: field("Name"), rights: BigInt(`0x${field("CapEff")}`) };
  });
}
