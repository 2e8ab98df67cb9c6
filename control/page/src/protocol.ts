// Messages of the room signaling (Socket.IO), as the public contract names them.

import type { types } from "mediasoup-client";

export type MediaKind = types.MediaKind;

/** What an own producer carries; goes into its `appData.source`. */
export type Source = "camera" | "microphone" | "screen";

export interface ProducerInfo {
  id: string;
  kind: MediaKind;
  paused: boolean;
  appData?: Record<string, unknown> | null;
}

export interface PeerInfo {
  id: string;
  displayName?: string | null;
  producers: ProducerInfo[];
}

export interface TransportInfo {
  id: string;
  iceParameters: types.IceParameters;
  iceCandidates: types.IceCandidate[];
  dtlsParameters: types.DtlsParameters;
  iceServers?: RTCIceServer[];
}

export interface JoinAnswer {
  peerId: string;
  resumeToken: string;
  resumed: boolean;
  routerRtpCapabilities: types.RtpCapabilities;
  iceServers?: RTCIceServer[];
  peers: PeerInfo[];
  /** The peer's objects as they stand; only where `resumed`. */
  own?: unknown;
}

export interface ConsumeAnswer {
  id: string;
  producerId: string;
  kind: MediaKind;
  type: string;
  rtpParameters: types.RtpParameters;
  producerPaused: boolean;
}

/** Request name → what is sent and what is answered. */
export interface Requests {
  join: [{ roomId: string; displayName?: string; token?: string; resumeToken?: string }, JoinAnswer];
  createTransport: [{ direction: "send" | "recv"; forPeer?: string }, TransportInfo];
  connectTransport: [{ transportId: string; dtlsParameters: types.DtlsParameters }, object];
  restartIce: [{ transportId: string }, { iceParameters: types.IceParameters }];
  closeTransport: [{ transportId: string }, object];
  produce: [
    {
      transportId: string;
      kind: MediaKind;
      rtpParameters: types.RtpParameters;
      paused?: boolean;
      appData?: Record<string, unknown>;
    },
    { id: string },
  ];
  consume: [{ transportId: string; producerId: string; rtpCapabilities: types.RtpCapabilities }, ConsumeAnswer];
  resumeConsumer: [{ consumerId: string }, object];
  pauseConsumer: [{ consumerId: string }, object];
  closeConsumer: [{ consumerId: string }, object];
  requestKeyFrame: [{ consumerId: string }, object];
  setPreferredLayers: [{ consumerId: string; spatialLayer: number; temporalLayer?: number }, object];
  pauseProducer: [{ producerId: string }, object];
  resumeProducer: [{ producerId: string }, object];
  closeProducer: [{ producerId: string }, object];
  leave: [object, object];
}

/** Server event name → its payload. Events that the page has no use for are not listed. */
export interface Pushes {
  peerJoined: { peerId: string; displayName?: string | null };
  peerLeft: { peerId: string };
  newProducer: {
    producerId: string;
    peerId: string | null;
    kind: MediaKind;
    paused: boolean;
    appData?: Record<string, unknown> | null;
  };
  producerClosed: { producerId: string; peerId: string | null };
  producerPaused: { producerId: string };
  producerResumed: { producerId: string };
  /** The highest layer that others take of an own producer; `null`: nobody takes any. */
  producerWanted: { producerId: string; spatialLayer: number | null };
  consumerClosed: { consumerId: string };
  activeSpeaker: { peerId: string | null };
  transportClosed: { transportId: string };
  kicked: { reason?: string };
}

/** The peer under which producers made through the HTTP API are listed. */
export const API_PEER_ID = "api";
