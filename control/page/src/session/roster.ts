// Who is in the room and what they send, from `join` answers and the server's events.

import { API_PEER_ID, type PeerInfo, type ProducerInfo } from "../protocol.ts";
import type { Push } from "../signaling.ts";

export interface RemoteProducer extends ProducerInfo {
  peerId: string;
}

export interface RemotePeer {
  id: string;
  displayName: string;
  producers: Map<string, RemoteProducer>;
}

/** What a change of the roster took away. */
export interface Gone {
  producerIds: string[];
}

export class Roster {
  readonly peers = new Map<string, RemotePeer>();
  activeSpeaker: string | null = null;

  /** Takes the list of a `join` answer as the whole truth. */
  replace(list: PeerInfo[], ownPeerId: string): Gone {
    const before = this.producerIds();
    this.peers.clear();
    for (const peer of list) {
      if (peer.id === ownPeerId) continue;
      const entry = this.#peer(peer.id, peer.displayName);
      for (const producer of peer.producers ?? []) {
        entry.producers.set(producer.id, { ...producer, peerId: peer.id });
      }
    }
    if (this.activeSpeaker !== ownPeerId && !this.peers.has(this.activeSpeaker ?? "")) this.activeSpeaker = null;
    const now = new Set(this.producerIds());
    return { producerIds: before.filter((id) => !now.has(id)) };
  }

  /** Takes one event of the server; doing it twice changes nothing. */
  apply(push: Push): Gone {
    const gone: Gone = { producerIds: [] };
    switch (push.name) {
      case "peerJoined":
        this.#peer(push.data.peerId, push.data.displayName).displayName = nameOf(push.data);
        break;
      case "peerLeft":
        gone.producerIds = [...(this.peers.get(push.data.peerId)?.producers.keys() ?? [])];
        this.peers.delete(push.data.peerId);
        if (this.activeSpeaker === push.data.peerId) this.activeSpeaker = null;
        break;
      case "newProducer": {
        const { producerId, kind, paused, appData } = push.data;
        const peerId = push.data.peerId ?? API_PEER_ID;
        this.#peer(peerId, null).producers.set(producerId, { id: producerId, kind, paused, appData, peerId });
        break;
      }
      case "producerClosed":
        gone.producerIds = this.#removeProducer(push.data.producerId);
        break;
      case "producerPaused":
      case "producerResumed": {
        const producer = this.producer(push.data.producerId);
        if (producer) producer.paused = push.name === "producerPaused";
        break;
      }
      case "activeSpeaker":
        this.activeSpeaker = push.data.peerId;
        break;
      default:
        break;
    }
    return gone;
  }

  producer(id: string): RemoteProducer | undefined {
    for (const peer of this.peers.values()) {
      const producer = peer.producers.get(id);
      if (producer) return producer;
    }
    return undefined;
  }

  producerIds(): string[] {
    return [...this.peers.values()].flatMap((peer) => [...peer.producers.keys()]);
  }

  clear(): void {
    this.peers.clear();
    this.activeSpeaker = null;
  }

  #peer(id: string, displayName: string | null | undefined): RemotePeer {
    let peer = this.peers.get(id);
    if (!peer) {
      peer = { id, displayName: nameOf({ peerId: id, displayName }), producers: new Map() };
      this.peers.set(id, peer);
    }
    return peer;
  }

  #removeProducer(id: string): string[] {
    for (const peer of this.peers.values()) {
      if (!peer.producers.delete(id)) continue;
      // Nobody joined as the API's peer, so nobody will leave as it.
      if (peer.id === API_PEER_ID && peer.producers.size === 0) this.peers.delete(peer.id);
      return [id];
    }
    return [];
  }
}

function nameOf(peer: { peerId: string; displayName?: string | null }): string {
  if (peer.displayName) return peer.displayName;
  return peer.peerId === API_PEER_ID ? "Stream" : "Guest";
}
