// Which encodings an own video is sent in, against a sender that remembers its parameters.

import type { types } from "mediasoup-client";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { WantedLayers, withLayers } from "../src/session/wanted_layers.ts";

type Encoding = { rid?: string; active?: boolean };

function parameters(encodings: Encoding[]): RTCRtpSendParameters {
  return { encodings, transactionId: "t", codecs: [], headerExtensions: [], rtcp: {} };
}

/** A sender whose changes take a turn of the event loop, as a browser's do. */
class FakeSender {
  encodings: Encoding[];
  changes: (boolean | undefined)[][] = [];
  failing = false;

  constructor(encodings: Encoding[]) {
    this.encodings = encodings;
  }

  get active(): boolean[] {
    return this.encodings.map((it) => it.active ?? true);
  }

  getParameters(): RTCRtpSendParameters {
    return parameters(structuredClone(this.encodings));
  }

  async setParameters({ encodings }: RTCRtpSendParameters): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (this.failing) throw new Error("InvalidStateError");
    this.changes.push(encodings.map((it) => it.active));
    this.encodings = structuredClone(encodings);
  }
}

const RIDS = ["r0", "r1", "r2"];

function simulcast(): Encoding[] {
  return RIDS.map((rid) => ({ rid, active: true }));
}

function producer(id: string, rtpSender: FakeSender, rids: string[] = RIDS): types.Producer {
  const encodings = rids.map((rid) => ({ rid }));
  return { id, rtpSender, closed: false, rtpParameters: { codecs: [], encodings } } as unknown as types.Producer;
}

describe("withLayers", () => {
  const active = (encodings: Encoding[], highest: number | null) =>
    withLayers(parameters(encodings), RIDS, highest)?.encodings.map((it) => it.active);

  it("switches off what is above the highest wanted layer", () => {
    expect(active(simulcast(), 1)).toEqual([true, true, false]);
    expect(active(simulcast(), 0)).toEqual([true, false, false]);
    expect(active(simulcast(), null)).toEqual([false, false, false]);
  });

  it("knows layers by their names, in whatever order the browser lists them", () => {
    expect(active(simulcast().reverse(), 0)).toEqual([false, false, true]);
  });

  it("leaves alone what is so already", () => {
    expect(active(simulcast(), 2)).toBeUndefined();
    expect(active(simulcast(), 7)).toBeUndefined();
    expect(active([{ rid: "r0" }, { rid: "r1" }], 1)).toBeUndefined();
  });

  it("sends a lone encoding, layers inside or not, while somebody takes anything of it", () => {
    expect(active([{ active: true }], 0)).toBeUndefined();
    expect(active([{ active: true }], 2)).toBeUndefined();
    expect(active([{ active: true }], null)).toEqual([false]);
    expect(active([{ active: false }], 0)).toEqual([true]);
  });
});

describe("WantedLayers", () => {
  let sender: FakeSender;
  let producers: types.Producer[];
  let layers: WantedLayers;

  beforeEach(() => {
    vi.useFakeTimers();
    vi.spyOn(console, "warn").mockImplementation(() => {});
    sender = new FakeSender(simulcast());
    producers = [producer("p", sender)];
    layers = new WantedLayers(() => producers);
  });

  afterEach(() => {
    layers.clear();
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  it("touches nothing of which the server told nothing", async () => {
    layers.set("other", null);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(sender.changes).toEqual([]);
  });

  it("stops what nobody takes, and goes on at once", async () => {
    layers.set("p", null);
    await vi.advanceTimersByTimeAsync(5);
    expect(sender.active).toEqual([false, false, false]);
    layers.set("p", 2);
    await vi.advanceTimersByTimeAsync(5);
    expect(sender.active).toEqual([true, true, true]);
  });

  it("ends with the last of several wishes", async () => {
    layers.set("p", null);
    layers.set("p", 0);
    layers.set("p", 1);
    await vi.advanceTimersByTimeAsync(15);
    expect(sender.changes).toEqual([
      [false, false, false],
      [true, true, false],
    ]);
  });

  it("applies what was told before the producer was there", async () => {
    producers = [];
    layers.set("p", 0);
    producers = [producer("p", sender)];
    layers.applyAll();
    await vi.advanceTimersByTimeAsync(5);
    expect(sender.active).toEqual([true, false, false]);
  });

  it("repairs what a renegotiation switched on, and what failed", async () => {
    sender.failing = true;
    layers.set("p", 0);
    await vi.advanceTimersByTimeAsync(100);
    expect(sender.active).toEqual([true, true, true]);
    sender.failing = false;
    await vi.advanceTimersByTimeAsync(1_100);
    expect(sender.active).toEqual([true, false, false]);
    sender.encodings = simulcast();
    await vi.advanceTimersByTimeAsync(1_100);
    expect(sender.active).toEqual([true, false, false]);
  });

  it("leaves a producer alone that is gone", async () => {
    layers.set("p", 0);
    layers.forget("p");
    await vi.advanceTimersByTimeAsync(2_000);
    expect(layers.get("p")).toBeUndefined();
    expect(sender.changes.length).toBeLessThanOrEqual(1);
  });
});
