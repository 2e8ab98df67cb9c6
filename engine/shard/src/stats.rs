//! Figures of objects and of the shard.

use slab::Slab;
use uuid::Uuid;
use weirgate_wire::{
    Answer, ConsumerStats, IceState, ObjectKind, ProducerStats, Refusal, RefusalKind,
    ShardCounters, Stats, StreamStats, TransportStats,
};

use crate::Timestamp;
use crate::consumer::Consumer;
use crate::shard::{Object, Shard};
use crate::source::Source;
use crate::transport::Transport;

impl Shard {
    pub(crate) fn stats(
        &mut self,
        now: Timestamp,
        kind: ObjectKind,
        id: Uuid,
    ) -> Result<Answer, Refusal> {
        let stats = match (kind, self.objects.get(&id).copied()) {
            (ObjectKind::Transport, Some(Object::Transport(index))) => {
                self.transport_stats(now, index).map(Stats::Transport)
            }
            (ObjectKind::Producer, Some(Object::Producer(index))) => {
                self.producer_stats(now, index)
            }
            (ObjectKind::Consumer, Some(Object::Consumer(index))) => {
                self.consumer_stats(now, index)
            }
            _ => None,
        };
        stats.map(Answer::Stats).ok_or_else(|| Refusal {
            kind: RefusalKind::NotFound,
            message: format!("no object {id} on this shard"),
        })
    }

    pub(crate) fn all_counters(&self) -> ShardCounters {
        let gauge = |name: &str, value: usize| (name.to_owned(), value as u64);
        ShardCounters {
            counters: self.counters.entries(),
            gauges: vec![
                gauge("transports", self.transports.len()),
                gauge("shed_permille", self.overload.level().permille() as usize),
                gauge("sources", self.sources.len()),
                gauge("consumers", self.consumers.len()),
                gauge("flows", self.flows.len()),
                gauge("ice_user_names", self.ufrags.len()),
                gauge(
                    "received_ssrcs",
                    self.transports.iter().map(|(_, t)| t.streams.len()).sum(),
                ),
            ],
            histograms: vec![self.train_lengths.histogram("train_datagrams")],
        }
    }

    fn transport_stats(&mut self, now: Timestamp, index: u32) -> Option<TransportStats> {
        let locals = &self.config.media_locals;
        let transport = self.transports.get_mut(index as usize)?;
        let ice_state = transport
            .ice()
            .map_or(IceState::Completed, |ice| ice.state());
        let tuple = transport.tuple(|socket| locals[socket.0 as usize % locals.len()]);
        let rtcp_tuple = transport.rtcp_tuple();
        let limit = u64::from(transport.max_incoming_bps);
        let available_outgoing = transport.downlink.as_ref().map(|link| link.target_bps());
        let downlink = transport.downlink.as_ref();
        let rtt_us = downlink.and_then(|link| link.rtt_us());
        let loss_sent = downlink
            .filter(|link| link.knows_arrivals())
            .map(|link| link.average_loss() as f32)
            .or_else(|| loss_reported(transport, &self.consumers));
        let loss_received = loss_received(transport, &self.sources);
        let traffic = &mut transport.traffic;
        Some(TransportStats {
            shard: self.config.shard,
            ice_state,
            tuple,
            rtcp_tuple,
            bytes_received: traffic.received.bytes,
            bytes_sent: traffic.sent.bytes,
            rtp_bytes_received: traffic.rtp_received.bytes,
            rtp_packets_received: traffic.rtp_received.packets,
            rtp_bytes_sent: traffic.rtp_sent.bytes,
            rtp_packets_sent: traffic.rtp_sent.packets,
            rtx_bytes_received: traffic.rtx_received.bytes,
            rtx_bytes_sent: traffic.rtx_sent.bytes,
            probation_bytes_sent: traffic.probation_sent.bytes,
            rtp_recv_bitrate_bps: traffic.rtp_received.rate_bps(now),
            rtp_send_bitrate_bps: traffic.rtp_sent.rate_bps(now),
            rtx_recv_bitrate_bps: traffic.rtx_received.rate_bps(now),
            rtx_send_bitrate_bps: traffic.rtx_sent.rate_bps(now),
            probation_send_bitrate_bps: traffic.probation_sent.rate_bps(now),
            packet_loss_received: loss_received,
            packet_loss_sent: loss_sent,
            round_trip_time_ms: rtt_us.map(|us| us as f32 / 1000.0),
            recv_bitrate_bps: traffic.received.rate_bps(now),
            send_bitrate_bps: traffic.sent.rate_bps(now),
            available_outgoing_bitrate_bps: available_outgoing,
            available_incoming_bitrate_bps: (limit > 0).then_some(limit),
            auth_failures: traffic.auth_failures,
            replays: traffic.replays,
        })
    }

    fn producer_stats(&mut self, now: Timestamp, index: u32) -> Option<Stats> {
        let source = self.sources.get_mut(index as usize)?;
        let mut streams = Vec::with_capacity(source.encodings.len());
        for (encoding, config) in source.encodings.iter_mut().zip(&source.config.encodings) {
            let Some(inbound) = &mut encoding.inbound else {
                streams.push(StreamStats {
                    ssrc: config.ssrc.unwrap_or(0),
                    rtx_ssrc: config.rtx_ssrc,
                    rid: config.rid.clone(),
                    ..StreamStats::default()
                });
                continue;
            };
            streams.push(StreamStats {
                ssrc: inbound.ssrc,
                rtx_ssrc: inbound.rtx_ssrc,
                rid: config.rid.clone(),
                payload_type: inbound.payload_type,
                packet_count: inbound.meter.packets,
                byte_count: inbound.meter.bytes,
                bitrate_bps: inbound.meter.rate_bps(now),
                packets_lost: inbound.packets_lost(),
                fraction_lost: inbound.fraction_lost(),
                packets_discarded: inbound.duplicates,
                packets_retransmitted: inbound.retransmitted,
                rtx_packets_discarded: inbound.rtx_duplicates,
                packets_repaired: inbound.repaired,
                nack_count: inbound.nacks_sent,
                nack_packet_count: inbound.nacked_packets,
                pli_count: inbound.plis_sent,
                fir_count: inbound.firs_sent,
                key_frame_count: inbound.key_frames,
                jitter_ms: inbound.jitter_ms(),
                round_trip_time_ms: inbound.rtt().map(|rtt| rtt.as_secs_f32() * 1000.0),
                score: inbound.score,
                bitrate_by_layer: encoding
                    .rates
                    .layers(now)
                    .map(|(spatial, temporal, bps)| (spatial, temporal, bps.unwrap_or(0)))
                    .collect(),
            });
        }
        Some(Stats::Producer(
            source.config.kind,
            ProducerStats { streams },
        ))
    }

    fn consumer_stats(&mut self, now: Timestamp, index: u32) -> Option<Stats> {
        let consumer = self.consumers.get_mut(index as usize)?;
        let source = self.sources.get(consumer.source as usize)?;
        let clock_rate = source
            .config
            .codecs
            .first()
            .map_or(90_000, |codec| codec.clock_rate);
        let bitrate_bps = consumer.sent.rate_bps(now);
        let layers = consumer.layers();
        let stream = StreamStats {
            ssrc: consumer.config.ssrc,
            rtx_ssrc: consumer.config.rtx_ssrc,
            rid: None,
            payload_type: consumer.payload_type,
            packet_count: consumer.sent.packets,
            byte_count: consumer.sent.bytes,
            bitrate_bps,
            packets_lost: consumer.packets_lost,
            fraction_lost: consumer.fraction_lost,
            packets_discarded: consumer.discarded,
            packets_retransmitted: consumer.resent,
            rtx_packets_discarded: 0,
            packets_repaired: consumer.resent,
            nack_count: consumer.nacks,
            nack_packet_count: consumer.nacked_packets,
            pli_count: consumer.plis,
            fir_count: consumer.firs,
            key_frame_count: consumer.key_frames,
            jitter_ms: consumer.jitter as f32 * 1000.0 / clock_rate as f32,
            round_trip_time_ms: consumer.rtt.map(|rtt| rtt.as_secs_f32() * 1000.0),
            score: consumer.score,
            bitrate_by_layer: layers
                .map(|layers| (layers.spatial, layers.temporal, bitrate_bps))
                .into_iter()
                .collect(),
        };
        Some(Stats::Consumer(
            consumer.kind,
            ConsumerStats {
                stream,
                current_layers: layers,
                target_layers: consumer.target_layers(source),
                layer_reason: consumer.layer_reason(source),
                producer_score: consumer.producer_score,
            },
        ))
    }
}

/// Share of our packets that the peer reports as lost, over all streams by their packets.
fn loss_reported(transport: &Transport, consumers: &Slab<Consumer>) -> Option<f32> {
    let mut packets = 0;
    let mut lost = 0.0;
    let own = transport.consumers.iter();
    for consumer in own.filter_map(|&index| consumers.get(index as usize)) {
        packets += consumer.reported_packets;
        lost += consumer.reported_packets as f32 * f32::from(consumer.fraction_lost) / 256.0;
    }
    (packets > 0).then(|| lost / packets as f32)
}

/// Share of packets lost on the way to us, over all streams by their rate.
fn loss_received(transport: &Transport, sources: &Slab<Source>) -> Option<f32> {
    let mut packets = 0;
    let mut lost = 0.0;
    let sources = transport
        .producers
        .iter()
        .filter_map(|&producer| sources.get(producer as usize));
    for inbound in sources
        .flat_map(|source| &source.encodings)
        .filter_map(|encoding| encoding.inbound.as_ref())
    {
        packets += inbound.meter.packets;
        lost += inbound.meter.packets as f32 * f32::from(inbound.fraction_lost()) / 256.0;
    }
    (packets > 0).then(|| lost / packets as f32)
}
