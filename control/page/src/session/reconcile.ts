// What to do after a resumed `join`: compares what the server still holds for this peer with what the
// page holds. Pure, so that every case has a test.

export interface OwnProducer {
  id: string;
  paused: boolean;
}

export interface OwnConsumer {
  id: string;
  producerId: string;
  paused: boolean;
}

/** This peer's objects as the server sees them. */
export interface Own {
  sendTransportId?: string;
  recvTransportIds: string[];
  producers: OwnProducer[];
  consumers: OwnConsumer[];
}

/** A transport of the page. `settled` is false while its handshake began and was never seen to end. */
export interface LocalTransport {
  id: string;
  settled: boolean;
}

/** This peer's objects as the page sees them; `paused` is what the user wants. */
export interface Local {
  send?: LocalTransport;
  recv?: LocalTransport;
  producers: OwnProducer[];
  consumers: { id: string; producerId: string }[];
}

/** Steps that make both sides agree; creating what is missing comes after them. */
export interface Plan {
  /** Transports to close at the server: unknown to the page, or in doubt. */
  closeTransports: string[];
  /** The page's transport is of no use any more. */
  dropSend: boolean;
  dropRecv: boolean;
  /** Producers and consumers the server still has and the page does not. */
  closeProducers: string[];
  closeConsumers: string[];
  /** Producers and consumers the page has and the server does not. */
  dropProducers: string[];
  dropConsumers: string[];
  pauseProducers: string[];
  resumeProducers: string[];
  /** Consumers that the page shows and that stand paused at the server. */
  resumeConsumers: string[];
}

export function reconcile(local: Local, own: Own): Plan {
  const keepSend = local.send !== undefined && local.send.settled && own.sendTransportId === local.send.id;
  const keepRecv = local.recv !== undefined && local.recv.settled && own.recvTransportIds.includes(local.recv.id);
  const closeTransports = own.recvTransportIds.filter((id) => !keepRecv || id !== local.recv?.id);
  if (own.sendTransportId !== undefined && !keepSend) closeTransports.unshift(own.sendTransportId);

  // What hangs on a transport that goes, goes with it on both sides.
  const localProducers = keepSend ? local.producers : [];
  const localConsumers = keepRecv ? local.consumers : [];
  const ownProducers = keepSend ? new Map(own.producers.map((it) => [it.id, it])) : new Map<string, OwnProducer>();
  const ownConsumers = keepRecv ? new Map(own.consumers.map((it) => [it.id, it])) : new Map<string, OwnConsumer>();
  const shared = localProducers.filter((it) => ownProducers.has(it.id));

  return {
    closeTransports,
    dropSend: local.send !== undefined && !keepSend,
    dropRecv: local.recv !== undefined && !keepRecv,
    closeProducers: without(ownProducers.keys(), localProducers),
    closeConsumers: without(ownConsumers.keys(), localConsumers),
    dropProducers: localProducers.filter((it) => !ownProducers.has(it.id)).map((it) => it.id),
    dropConsumers: localConsumers.filter((it) => !ownConsumers.has(it.id)).map((it) => it.id),
    pauseProducers: shared.filter((it) => it.paused && !ownProducers.get(it.id)?.paused).map((it) => it.id),
    resumeProducers: shared.filter((it) => !it.paused && ownProducers.get(it.id)?.paused).map((it) => it.id),
    resumeConsumers: localConsumers.filter((it) => ownConsumers.get(it.id)?.paused).map((it) => it.id),
  };
}

function without(ids: Iterable<string>, known: { id: string }[]): string[] {
  const kept = new Set(known.map((it) => it.id));
  return [...ids].filter((id) => !kept.has(id));
}

/**
 * Reads `own` of a `join` answer: the shape of a peer in the room view, objects keyed by id
 * (`recvTransports` by `forPeer`); plain arrays are understood too.
 */
export function parseOwn(own: unknown): Own {
  const given = (own ?? {}) as Record<string, unknown>;
  const send = given.sendTransport as { id?: string } | null | undefined;
  return {
    sendTransportId: send?.id,
    recvTransportIds: values(given.recvTransports).map((it) => String(it.id)),
    producers: values(given.producers).map((it) => ({ id: String(it.id), paused: it.paused === true })),
    consumers: values(given.consumers).map((it) => ({
      id: String(it.id),
      producerId: String(it.producerId),
      paused: it.paused === true,
    })),
  };
}

function values(list: unknown): Record<string, unknown>[] {
  if (Array.isArray(list)) return list as Record<string, unknown>[];
  return Object.values((list ?? {}) as Record<string, Record<string, unknown>>);
}
