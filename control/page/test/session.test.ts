// The session against a server in memory and mediasoup-client's fake browser.

import { FakeMediaStreamTrack } from "fake-mediastreamtrack";
import { Device, FakeHandler, testFakeParameters } from "mediasoup-client";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { Emitter } from "../src/emitter.ts";
import type { PeerInfo, Requests } from "../src/protocol.ts";
import { Session } from "../src/session/session.ts";
import { type Link, type Push, SignalingError } from "../src/signaling.ts";

type LinkEvents = { up: void; down: { reason: string }; unreachable: { reason: string }; push: Push };

/** A server's view of one peer, and the connection to it. */
class FakeServer extends Emitter<LinkEvents> implements Link {
  connected = false;
  requests: { name: string; data: Record<string, unknown> }[] = [];
  failing = new Map<string, SignalingError>();
  peers: PeerInfo[] = [{ id: "ada", displayName: "Ada", producers: [{ id: "x-1", kind: "audio", paused: false }] }];
  own = emptyOwn();
  /** Whether the next `join` with a token is resumed. */
  knowsToken = true;
  #made = 0;

  connect(): void {
    setTimeout(() => {
      this.connected = true;
      this.emit("up", undefined);
    });
  }

  disconnect(): void {
    this.lose("asked");
  }

  lose(reason = "transport close"): void {
    this.connected = false;
    this.emit("down", { reason });
  }

  say(push: Push): void {
    this.emit("push", push);
  }

  asked(name: string): Record<string, unknown>[] {
    return this.requests.filter((it) => it.name === name).map((it) => it.data);
  }

  async request<K extends keyof Requests>(name: K, data: Requests[K][0]): Promise<Requests[K][1]> {
    if (!this.connected) throw new SignalingError("disconnected", "no connection");
    this.requests.push({ name, data: data as Record<string, unknown> });
    const failure = this.failing.get(name);
    if (failure) throw failure;
    return this.#answer(name, data as Record<string, unknown>) as Requests[K][1];
  }

  #answer(name: string, data: Record<string, unknown>): unknown {
    const id = `${name}-${++this.#made}`;
    switch (name) {
      case "join":
        return this.#join(data);
      case "createTransport":
        if (data.direction === "send") this.own.sendTransport = { id };
        else this.own.recvTransports["*"] = { id };
        return { ...testFakeParameters.generateTransportRemoteParameters(), id };
      case "produce":
        this.own.producers[id] = { id, paused: data.paused === true };
        return { id };
      case "consume": {
        const parameters = testFakeParameters.generateConsumerRemoteParameters({ id, codecMimeType: "audio/opus" });
        const { producerId } = data as { producerId: string };
        this.own.consumers[id] = { id, producerId, paused: true };
        return { ...parameters, id, producerId, type: "simple", producerPaused: false };
      }
      case "resumeConsumer":
        Object.assign(this.own.consumers[String(data.consumerId)] ?? {}, { paused: false });
        return {};
      case "restartIce":
        return { iceParameters: testFakeParameters.generateTransportRemoteParameters().iceParameters };
      default:
        return {};
    }
  }

  #join(data: Record<string, unknown>): unknown {
    const resumed = data.resumeToken !== undefined && this.knowsToken;
    if (!resumed) this.own = emptyOwn();
    return {
      peerId: resumed ? "me" : `me${this.asked("join").length > 1 ? this.asked("join").length : ""}`,
      resumeToken: "token",
      resumed,
      routerRtpCapabilities: testFakeParameters.generateRouterRtpCapabilities(),
      peers: this.peers,
      own: resumed ? structuredClone(this.own) : undefined,
    };
  }
}

function emptyOwn() {
  return {
    sendTransport: null as { id: string } | null,
    recvTransports: {} as Record<string, { id: string }>,
    producers: {} as Record<string, { id: string; paused: boolean }>,
    consumers: {} as Record<string, { id: string; producerId: string; paused: boolean }>,
  };
}

const makeDevice = () =>
  Promise.resolve(new Device({ handlerFactory: FakeHandler.createFactory(testFakeParameters) }));

const track = () => new FakeMediaStreamTrack({ kind: "audio" }) as unknown as MediaStreamTrack;

let server: FakeServer;
let session: Session;

/** In a call: own voice sent, Ada's received. */
async function inCall(): Promise<void> {
  session.join();
  await session.publish("microphone", "audio", track());
  await vi.waitFor(() => {
    expect(session.publisher.producers()).toHaveLength(1);
    expect(server.asked("resumeConsumer")).toHaveLength(1);
  });
  setConnectionState("connected");
}

function setConnectionState(state: "connected" | "disconnected" | "failed"): void {
  for (const { transport } of session.connections) (transport.handler as FakeHandler).setConnectionState(state);
}

function ids() {
  return {
    transports: session.connections.map((it) => it.id),
    producers: session.publisher.producers().map((it) => it.producer.id),
    consumers: [...session.subscriber.received.values()].map((it) => it.consumer.id),
  };
}

beforeEach(() => {
  server = new FakeServer();
  session = new Session(server, { roomId: "r", displayName: "Me", simulcast: false, makeDevice });
});

describe("joining", () => {
  it("sends what is published and receives what others send", async () => {
    await inCall();
    expect(session.status).toBe("joined");
    expect(server.asked("join")[0]).toMatchObject({ roomId: "r", displayName: "Me" });
    expect(server.asked("produce")[0]).toMatchObject({ kind: "audio", appData: { source: "microphone" } });
    expect([...session.subscriber.received.keys()]).toEqual(["x-1"]);
  });

  it("listens without a send transport where there is nothing to send", async () => {
    session.join();
    await vi.waitFor(() => expect(server.asked("resumeConsumer")).toHaveLength(1));
    expect(server.asked("createTransport")).toEqual([{ direction: "recv" }]);
  });

  it("takes another connection where join is not answered", async () => {
    server.failing.set("join", new SignalingError("timeout", "no answer to join"));
    session.join();
    await vi.waitFor(() => expect(server.asked("join").length).toBeGreaterThan(1));
    server.failing.clear();
    await vi.waitFor(() => expect(session.status).toBe("joined"));
  });

  it("ends with the server's words where it is refused", async () => {
    server.failing.set("join", new SignalingError("unauthorized", "the token has expired"));
    session.join();
    await vi.waitFor(() => expect(session.status).toBe("ended"));
    expect(session.reason).toContain("the token has expired");
  });

  it("asks again where the server cannot take it yet", async () => {
    vi.useFakeTimers();
    try {
      server.failing.set("join", new SignalingError("engine_unavailable", "starting"));
      session.join();
      await vi.advanceTimersByTimeAsync(10);
      expect(session.status).toBe("connecting");
      server.failing.clear();
      await vi.advanceTimersByTimeAsync(2_000);
      expect(session.status).toBe("joined");
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("the others", () => {
  it("consumes a newcomer's producer and drops it when it closes", async () => {
    await inCall();
    const data = { producerId: "x-2", peerId: "bob", kind: "audio", paused: false } as const;
    server.say({ name: "peerJoined", data: { peerId: "bob", displayName: "Bob" } });
    server.say({ name: "newProducer", data });
    await vi.waitFor(() => expect(session.subscriber.received.has("x-2")).toBe(true));
    server.say({ name: "peerLeft", data: { peerId: "bob" } });
    expect(session.subscriber.received.has("x-2")).toBe(false);
    expect(session.roster.peers.has("bob")).toBe(false);
  });

  it("are told of by what they take of an own producer", async () => {
    await inCall();
    const [id = ""] = ids().producers;
    expect(session.publisher.wantedLayers(id)).toBeUndefined();
    server.say({ name: "producerWanted", data: { producerId: id, spatialLayer: null } });
    expect(session.publisher.wantedLayers(id)).toBeNull();
    server.say({ name: "producerWanted", data: { producerId: id, spatialLayer: 1 } });
    expect(session.publisher.wantedLayers(id)).toBe(1);
    // Kept over a resume, forgotten with the producer.
    server.lose();
    server.connect();
    await vi.waitFor(() => expect(session.resumes).toBe(1));
    expect(session.publisher.wantedLayers(id)).toBe(1);
    await session.unpublish("microphone");
    expect(session.publisher.wantedLayers(id)).toBeUndefined();
  });

  it("ends when kicked", async () => {
    await inCall();
    server.say({ name: "kicked", data: { reason: "too loud" } });
    expect(session.status).toBe("ended");
    expect(session.reason).toBe("too loud");
    expect(session.connections).toEqual([]);
  });
});

describe("a lost connection", () => {
  it("keeps every object while away and after a resume", async () => {
    await inCall();
    const before = ids();
    server.lose();
    expect(session.status).toBe("away");
    expect(ids()).toEqual(before);
    server.connect();
    await vi.waitFor(() => expect(session.resumes).toBe(1));
    await vi.waitFor(() => expect(session.status).toBe("joined"));
    expect(ids()).toEqual(before);
    expect(server.asked("join")[1]).toMatchObject({ resumeToken: "token" });
    expect(server.asked("createTransport")).toHaveLength(2);
  });

  it("tells a mute chosen while away", async () => {
    await inCall();
    server.lose();
    await session.setPaused("microphone", true);
    expect(server.asked("pauseProducer")).toEqual([]);
    server.connect();
    await vi.waitFor(() => expect(server.asked("pauseProducer")).toEqual([{ producerId: ids().producers[0] }]));
  });

  it("sends what was first published while away", async () => {
    session.join();
    await vi.waitFor(() => expect(session.status).toBe("joined"));
    server.lose();
    await session.publish("microphone", "audio", track());
    expect(ids().producers).toEqual([]);
    server.connect();
    await vi.waitFor(() => expect(ids().producers).toHaveLength(1));
  });

  it("receives who came and drops who left meanwhile", async () => {
    await inCall();
    server.lose();
    server.peers = [{ id: "bob", displayName: "Bob", producers: [{ id: "x-9", kind: "audio", paused: false }] }];
    server.own.consumers = {};
    server.connect();
    await vi.waitFor(() => expect([...session.subscriber.received.keys()]).toEqual(["x-9"]));
  });

  it("makes anew what the server lost", async () => {
    await inCall();
    const before = ids();
    server.lose();
    server.own.producers = {};
    server.own.recvTransports = {};
    server.own.consumers = {};
    server.connect();
    await vi.waitFor(() => {
      expect(session.resumes).toBe(1);
      expect(ids().producers).toHaveLength(1);
      expect(ids().consumers).toHaveLength(1);
    });
    expect(ids().transports[0]).toBe(before.transports[0]);
    expect(ids().transports[1]).not.toBe(before.transports[1]);
    expect(ids().producers).not.toEqual(before.producers);
    expect(ids().consumers).not.toEqual(before.consumers);
  });

  it("joins from scratch where the server does not resume", async () => {
    await inCall();
    const before = ids();
    server.lose();
    server.knowsToken = false;
    server.connect();
    await vi.waitFor(() => {
      expect(session.joins).toBe(2);
      expect(ids().producers).toHaveLength(1);
      expect(ids().consumers).toHaveLength(1);
    });
    expect(session.peerId).toBe("me2");
    expect(ids().transports).not.toEqual(before.transports);
  });
});

describe("a broken transport", () => {
  it("restarts ICE at once when it failed", async () => {
    await inCall();
    setConnectionState("failed");
    expect(server.asked("restartIce").map((it) => it.transportId)).toEqual(ids().transports);
  });

  it("restarts ICE after the resume when it failed while away", async () => {
    await inCall();
    server.lose();
    setConnectionState("failed");
    expect(server.asked("restartIce")).toEqual([]);
    server.connect();
    await vi.waitFor(() => expect(server.asked("restartIce")).toHaveLength(2));
  });

  it("is made anew when restarts do not help", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      session.join();
      await vi.advanceTimersByTimeAsync(100);
      const before = ids();
      expect(before.consumers).toHaveLength(1);
      setConnectionState("connected");
      setConnectionState("failed");
      await vi.advanceTimersByTimeAsync(20_000);
      expect(server.asked("restartIce")).toHaveLength(2);
      expect(server.asked("closeTransport")).toEqual([{ transportId: before.transports[0] }]);
      expect(ids().consumers).toHaveLength(1);
      expect(ids().consumers).not.toEqual(before.consumers);
    } finally {
      vi.useRealTimers();
    }
  });

  it("is made anew when the server closes it", async () => {
    await inCall();
    const [send] = ids().transports;
    server.say({ name: "transportClosed", data: { transportId: send ?? "" } });
    await vi.waitFor(() => expect(ids().transports).not.toContain(send));
    await vi.waitFor(() => expect(ids().producers).toHaveLength(1));
  });
});
