// Which tiles there are and what each shows, worked out from the session alone.

import type { Capture } from "../capture.ts";
import type { Received } from "../session/subscriber.ts";
import type { Session } from "../session/session.ts";

export interface TileModel {
  /** Stays the same as long as the tile is the same one. */
  key: string;
  peerId: string;
  name: string;
  own: boolean;
  screen: boolean;
  /** Own or remote producer id of the picture. */
  videoProducerId?: string;
  audioProducerId?: string;
  video?: MediaStreamTrack | null;
  audio?: MediaStreamTrack | null;
  /** The remote video stream, to note its first frame. */
  received?: Received;
  /** There is somebody's picture to come, though none yet. */
  videoExpected: boolean;
  muted: boolean;
  speaking: boolean;
}

export function tileModels(session: Session, capture: Capture): TileModel[] {
  const models = [ownTile(session, capture)];
  if (capture.screen) models.push(ownScreenTile(session, capture.screen));
  for (const peer of session.roster.peers.values()) models.push(...peerTiles(session, peer.id));
  return models;
}

function ownTile(session: Session, capture: Capture): TileModel {
  const producers = session.publisher.producers();
  return {
    key: "own",
    peerId: session.peerId,
    name: session.options.displayName || "Guest",
    own: true,
    screen: false,
    videoProducerId: producers.find((it) => it.source === "camera")?.producer.id,
    audioProducerId: producers.find((it) => it.source === "microphone")?.producer.id,
    video: capture.camera,
    videoExpected: capture.camera !== null,
    muted: capture.muted || capture.microphone === null,
    speaking: session.roster.activeSpeaker === session.peerId && session.peerId !== "",
  };
}

function ownScreenTile(session: Session, screen: MediaStreamTrack): TileModel {
  const producers = session.publisher.producers();
  return {
    key: "own:screen",
    peerId: session.peerId,
    name: "Your screen",
    own: true,
    screen: true,
    videoProducerId: producers.find((it) => it.source === "screen")?.producer.id,
    video: screen,
    videoExpected: true,
    muted: false,
    speaking: false,
  };
}

/** A peer's face and voice share one tile; every further picture has its own. */
function peerTiles(session: Session, peerId: string): TileModel[] {
  const peer = session.roster.peers.get(peerId);
  if (!peer) return [];
  const producers = [...peer.producers.values()];
  const videos = producers.filter((it) => it.kind === "video");
  const face = videos.find((it) => it.appData?.source !== "screen");
  const voice = producers.find((it) => it.kind === "audio");
  const tile = (video: (typeof videos)[number] | undefined): TileModel => {
    const received = video && session.subscriber.received.get(video.id);
    return {
      key: peerId,
      peerId,
      name: peer.displayName,
      own: false,
      screen: false,
      videoProducerId: video?.id,
      video: video && !video.paused ? received?.consumer.track : null,
      received,
      videoExpected: video !== undefined && !video.paused,
      muted: false,
      speaking: false,
    };
  };
  const main: TileModel = {
    ...tile(face),
    audioProducerId: voice?.id,
    audio: voice && session.subscriber.received.get(voice.id)?.consumer.track,
    muted: !voice || voice.paused,
    speaking: session.roster.activeSpeaker === peerId,
  };
  const others = videos.filter((it) => it !== face);
  return [
    main,
    ...others.map((video) => ({
      ...tile(video),
      key: `${peerId}:${video.id}`,
      name: video.appData?.source === "screen" ? `${peer.displayName}'s screen` : peer.displayName,
      screen: true,
    })),
  ];
}
