import { describe, expect, it } from "vitest";
import { Roster } from "../src/session/roster.ts";

const camera = { id: "v1", kind: "video" as const, paused: false, appData: { source: "camera" } };

describe("Roster", () => {
  it("takes the join answer without this peer itself", () => {
    const roster = new Roster();
    roster.replace(
      [
        { id: "me", displayName: "Me", producers: [] },
        { id: "a", displayName: "Ada", producers: [camera] },
      ],
      "me",
    );
    expect([...roster.peers.keys()]).toEqual(["a"]);
    expect(roster.producer("v1")?.peerId).toBe("a");
  });

  it("tells which producers are gone after a resume", () => {
    const roster = new Roster();
    roster.replace([{ id: "a", displayName: "Ada", producers: [camera] }], "me");
    const gone = roster.replace([{ id: "a", displayName: "Ada", producers: [{ ...camera, id: "v2" }] }], "me");
    expect(gone.producerIds).toEqual(["v1"]);
    expect(roster.producerIds()).toEqual(["v2"]);
  });

  it("applies an event twice without harm", () => {
    const roster = new Roster();
    const joined = { name: "peerJoined", data: { peerId: "a", displayName: "Ada" } } as const;
    const produced = {
      name: "newProducer",
      data: { producerId: "v1", peerId: "a", kind: "video", paused: false },
    } as const;
    for (const push of [joined, produced, joined, produced]) roster.apply(push);
    expect(roster.peers.size).toBe(1);
    expect(roster.producerIds()).toEqual(["v1"]);
  });

  it("forgets a peer with all it sent, and the active speaker with it", () => {
    const roster = new Roster();
    roster.replace([{ id: "a", displayName: "Ada", producers: [camera] }], "me");
    roster.apply({ name: "activeSpeaker", data: { peerId: "a" } });
    expect(roster.apply({ name: "peerLeft", data: { peerId: "a" } }).producerIds).toEqual(["v1"]);
    expect(roster.activeSpeaker).toBeNull();
    expect(roster.apply({ name: "peerLeft", data: { peerId: "a" } }).producerIds).toEqual([]);
  });

  it("shows a producer of the HTTP API as a peer for as long as it sends", () => {
    const roster = new Roster();
    roster.apply({ name: "newProducer", data: { producerId: "f1", peerId: null, kind: "video", paused: false } });
    expect(roster.peers.get("api")?.displayName).toBe("Stream");
    roster.apply({ name: "producerClosed", data: { producerId: "f1", peerId: null } });
    expect(roster.peers.size).toBe(0);
  });

  it("follows pauses", () => {
    const roster = new Roster();
    roster.replace([{ id: "a", displayName: null, producers: [camera] }], "me");
    roster.apply({ name: "producerPaused", data: { producerId: "v1" } });
    expect(roster.producer("v1")?.paused).toBe(true);
    roster.apply({ name: "producerResumed", data: { producerId: "v1" } });
    expect(roster.producer("v1")?.paused).toBe(false);
  });
});
