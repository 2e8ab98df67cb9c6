// Figures per stream from the browser's getStats(): raw ones for tests, readable ones for the overlay.

import type { types } from "mediasoup-client";
import type { Session } from "./session/session.ts";

/** One stream, sent or received; names are those of the W3C statistics. */
export interface StreamFigures {
  direction: "send" | "recv";
  /** Own producer or consumer id. */
  id: string;
  producerId: string;
  peerId: string;
  kind: "audio" | "video";
  source?: string;
  codec?: string;
  /** bit/s since the last look. */
  bitrate: number;
  /** Share of packets lost since the last look, 0–1. */
  loss: number;
  /** Seconds. */
  roundTripTime?: number;
  /** The whole inbound-rtp or outbound-rtp entry. */
  raw: Record<string, unknown>;
  /** Encodings of a simulcast stream, the above being the largest. */
  encodings?: Record<string, unknown>[];
}

interface Before {
  time: number;
  bytes: number;
  lost: number;
  packets: number;
}

/** Looks at all streams of a session; rates are over the time between two looks. */
export class StatsReader {
  readonly #session: Session;
  readonly #before = new Map<string, Before>();

  constructor(session: Session) {
    this.#session = session;
  }

  async read(): Promise<StreamFigures[]> {
    const reports = new Map<string, RTCStatsReport>();
    await Promise.all(
      this.#session.connections.map(async (connection) => {
        if (!connection.transport.closed) reports.set(connection.direction, await connection.transport.getStats());
      }),
    );
    return [...this.#sent(reports.get("send")), ...this.#received(reports.get("recv"))];
  }

  #sent(report: RTCStatsReport | undefined): StreamFigures[] {
    if (!report) return [];
    return this.#session.publisher.producers().flatMap(({ source, kind, producer }) => {
      const encodings = entries(report, "outbound-rtp").filter((entry) => belongs(entry, producer));
      const raw = encodings.sort((a, b) => Number(b.frameHeight ?? 0) - Number(a.frameHeight ?? 0))[0];
      if (!raw) return [];
      const remote = report.get(String(raw.remoteId)) as Record<string, number> | undefined;
      const bytes = encodings.reduce((sum, entry) => sum + Number(entry.bytesSent ?? 0), 0);
      const figures = this.#figures(producer.id, report, raw, bytes, 0, Number(raw.packetsSent ?? 0));
      return {
        ...figures,
        direction: "send" as const,
        producerId: producer.id,
        peerId: this.#session.peerId,
        kind,
        source,
        loss: remote?.fractionLost ?? 0,
        roundTripTime: remote?.roundTripTime ?? figures.roundTripTime,
        encodings: encodings.length > 1 ? encodings : undefined,
      };
    });
  }

  #received(report: RTCStatsReport | undefined): StreamFigures[] {
    if (!report) return [];
    const inbound = entries(report, "inbound-rtp");
    return [...this.#session.subscriber.received].flatMap(([producerId, { consumer }]) => {
      const raw = inbound.find((entry) => belongs(entry, consumer));
      if (!raw) return [];
      const bytes = Number(raw.bytesReceived ?? 0);
      const lost = Number(raw.packetsLost ?? 0);
      const producer = this.#session.roster.producer(producerId);
      return {
        ...this.#figures(consumer.id, report, raw, bytes, lost, Number(raw.packetsReceived ?? 0)),
        direction: "recv" as const,
        producerId,
        peerId: producer?.peerId ?? "",
        kind: consumer.kind,
        source: producer?.appData?.source as string | undefined,
      };
    });
  }

  #figures(
    id: string,
    report: RTCStatsReport,
    raw: Record<string, unknown>,
    bytes: number,
    lost: number,
    packets: number,
  ) {
    const now = { time: Number(raw.timestamp), bytes, lost, packets };
    const before = this.#before.get(id) ?? now;
    this.#before.set(id, now);
    const seconds = (now.time - before.time) / 1000;
    const lostNow = Math.max(0, now.lost - before.lost);
    const expected = lostNow + now.packets - before.packets;
    const codec = report.get(String(raw.codecId)) as { mimeType?: string } | undefined;
    return {
      id,
      codec: codec?.mimeType?.split("/")[1],
      bitrate: seconds > 0 ? (8 * (now.bytes - before.bytes)) / seconds : 0,
      loss: expected > 0 ? lostNow / expected : 0,
      roundTripTime: selectedPair(report)?.currentRoundTripTime as number | undefined,
      raw,
    };
  }
}

function entries(report: RTCStatsReport, type: string): Record<string, unknown>[] {
  const found: Record<string, unknown>[] = [];
  report.forEach((entry) => {
    if (entry.type === type) found.push(entry);
  });
  return found;
}

function belongs(entry: Record<string, unknown>, stream: types.Producer | types.Consumer): boolean {
  const ssrcs = stream.rtpParameters.encodings?.map((encoding) => encoding.ssrc) ?? [];
  return ssrcs.includes(entry.ssrc as number) || (entry.mid !== undefined && entry.mid === stream.rtpParameters.mid);
}

function selectedPair(report: RTCStatsReport): Record<string, unknown> | undefined {
  return entries(report, "candidate-pair").find((pair) => pair.nominated === true && pair.state === "succeeded");
}

/** Two short lines for the overlay of a tile: picture, then transport. */
export function describe(video: StreamFigures | undefined, audio: StreamFigures | undefined): string[] {
  const lines: string[] = [];
  const main = video ?? audio;
  if (!main) return ["no media"];
  if (video) {
    const { frameWidth, frameHeight, framesPerSecond } = video.raw;
    const size = frameWidth ? `${frameWidth}×${frameHeight}` : "no picture yet";
    lines.push(`${size} · ${Math.round(Number(framesPerSecond ?? 0))} fps · ${video.codec ?? "?"}`);
  }
  const arrow = main.direction === "send" ? "↑" : "↓";
  const rates = [video && `${arrow} ${bits(video.bitrate)}`, audio && `♪ ${bits(audio.bitrate)}`].filter(Boolean);
  lines.push(rates.join(" · "));
  const loss = Math.max(video?.loss ?? 0, audio?.loss ?? 0);
  const roundTrip = main.roundTripTime;
  lines.push(
    `loss ${(100 * loss).toFixed(1)} %` + (roundTrip === undefined ? "" : ` · RTT ${Math.round(1000 * roundTrip)} ms`),
  );
  return lines;
}

function bits(bitrate: number): string {
  return bitrate >= 1e6 ? `${(bitrate / 1e6).toFixed(1)} Mbit/s` : `${Math.round(bitrate / 1e3)} kbit/s`;
}
