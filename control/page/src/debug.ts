// `window.weirgate`: what tests and curious people read. Documented in README.md beside package.json.

import type { Capture } from "./capture.ts";
import type { Session } from "./session/session.ts";
import { StatsReader } from "./stats.ts";

export function debugHandle(session: Session, capture: Capture): object {
  const reader = new StatsReader(session);
  return {
    session,
    capture,
    state: () => snapshot(session),
    stats: () => reader.read(),
  };
}

function snapshot(session: Session): object {
  return {
    status: session.status,
    reason: session.reason,
    room: session.options.roomId,
    peerId: session.peerId,
    joins: session.joins,
    resumes: session.resumes,
    activeSpeaker: session.roster.activeSpeaker,
    transports: session.connections.map(({ direction, id, transport }) => ({
      direction,
      id,
      state: transport.connectionState,
    })),
    producers: session.publisher.producers().map(({ source, kind, paused, producer }) => ({
      id: producer.id,
      source,
      kind,
      paused,
      wantedLayer: session.publisher.wantedLayers(producer.id),
    })),
    peers: [...session.roster.peers.values()].map(({ id, displayName, producers }) => ({
      id,
      displayName,
      producers: [...producers.values()],
    })),
    consumers: [...session.subscriber.received].map(([producerId, { consumer, resumedAt, firstFrameAt }]) => ({
      id: consumer.id,
      producerId,
      peerId: session.roster.producer(producerId)?.peerId,
      kind: consumer.kind,
      resumedAt,
      firstFrameAt,
      firstFrameMs: resumedAt && firstFrameAt ? firstFrameAt - resumedAt : undefined,
    })),
  };
}
