import { describe, expect, it } from "vitest";
import { type Local, type Own, parseOwn, reconcile } from "../src/session/reconcile.ts";

const local = (over: Partial<Local> = {}): Local => ({
  send: { id: "s", settled: true },
  recv: { id: "r", settled: true },
  producers: [
    { id: "p1", paused: false },
    { id: "p2", paused: true },
  ],
  consumers: [{ id: "c1", producerId: "x1" }],
  ...over,
});

const own = (over: Partial<Own> = {}): Own => ({
  sendTransportId: "s",
  recvTransportIds: ["r"],
  producers: [
    { id: "p1", paused: false },
    { id: "p2", paused: true },
  ],
  consumers: [{ id: "c1", producerId: "x1", paused: false }],
  ...over,
});

const nothing = {
  closeTransports: [],
  dropSend: false,
  dropRecv: false,
  closeProducers: [],
  closeConsumers: [],
  dropProducers: [],
  dropConsumers: [],
  pauseProducers: [],
  resumeProducers: [],
  resumeConsumers: [],
};

describe("reconcile", () => {
  it("does nothing where both sides agree", () => {
    expect(reconcile(local(), own())).toEqual(nothing);
  });

  it("closes at the server what only the server has", () => {
    const plan = reconcile(
      local(),
      own({
        recvTransportIds: ["r", "half-made"],
        producers: [...own().producers, { id: "p3", paused: false }],
        consumers: [...own().consumers, { id: "c2", producerId: "x2", paused: true }],
      }),
    );
    expect(plan).toEqual({
      ...nothing,
      closeTransports: ["half-made"],
      closeProducers: ["p3"],
      closeConsumers: ["c2"],
    });
  });

  it("drops what only the page has, so that it is made anew", () => {
    const plan = reconcile(local(), own({ producers: [{ id: "p2", paused: true }], consumers: [] }));
    expect(plan).toEqual({ ...nothing, dropProducers: ["p1"], dropConsumers: ["c1"] });
  });

  it("tells the pauses chosen while the server was away", () => {
    const producers = [
      { id: "p1", paused: true },
      { id: "p2", paused: false },
    ];
    expect(reconcile(local({ producers }), own())).toEqual({
      ...nothing,
      pauseProducers: ["p1"],
      resumeProducers: ["p2"],
    });
  });

  it("resumes a consumer whose resume was lost", () => {
    const plan = reconcile(local(), own({ consumers: [{ id: "c1", producerId: "x1", paused: true }] }));
    expect(plan).toEqual({ ...nothing, resumeConsumers: ["c1"] });
  });

  it("gives up a transport the server does not know, and says nothing of what hung on it", () => {
    const plan = reconcile(local(), own({ sendTransportId: undefined, producers: [], recvTransportIds: [], consumers: [] }));
    expect(plan).toEqual({ ...nothing, dropSend: true, dropRecv: true });
  });

  it("gives up a transport whose handshake may have died with the server, on both sides", () => {
    const plan = reconcile(
      local({ send: { id: "s", settled: false }, recv: { id: "r", settled: false } }),
      own(),
    );
    expect(plan).toEqual({ ...nothing, closeTransports: ["s", "r"], dropSend: true, dropRecv: true });
  });

  it("closes a server's transports that a page without any has no use for", () => {
    const plan = reconcile(local({ send: undefined, recv: undefined, producers: [], consumers: [] }), own());
    expect(plan).toEqual({ ...nothing, closeTransports: ["s", "r"] });
  });
});

describe("parseOwn", () => {
  it("reads the shape of the room view", () => {
    const parsed = parseOwn({
      sendTransport: { id: "s" },
      recvTransports: { "*": { id: "r" } },
      producers: { p1: { id: "p1", kind: "video", paused: true } },
      consumers: { c1: { id: "c1", kind: "audio", producerId: "x1", paused: false } },
    });
    expect(parsed).toEqual({
      sendTransportId: "s",
      recvTransportIds: ["r"],
      producers: [{ id: "p1", paused: true }],
      consumers: [{ id: "c1", producerId: "x1", paused: false }],
    });
  });

  it("takes nothing as nothing", () => {
    const none = { sendTransportId: undefined, recvTransportIds: [], producers: [], consumers: [] };
    expect(parseOwn(undefined)).toEqual(none);
    expect(parseOwn({ sendTransport: null, recvTransports: {} })).toEqual(none);
  });
});
