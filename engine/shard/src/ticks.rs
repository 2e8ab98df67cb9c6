//! What time brings to a transport: consent expiry, NACKs, key frame requests, feedback, the
//! choice of layers and reports.

use std::time::Duration;

use weirgate_packet::rtcp::RtcpWriter;
use weirgate_wire::{Event, TraceDirection, TraceInfo};

use crate::Timestamp;
use crate::counters::Counters;
use crate::downlink::Downlink;
use crate::key_frames::Urgency;
use crate::net::TxBatch;
use crate::shard::Shard;
use crate::transport::Transport;

/// Time between two transport-wide feedback messages of a transport.
pub(crate) const FEEDBACK_INTERVAL: Duration = Duration::from_millis(50);
/// Rounds are made by so much sooner where the shard is awake anyway.
pub(crate) const EARLY: Duration = Duration::from_millis(20);
/// RTCP datagrams are kept under this, before sealing.
pub(crate) const RTCP_BYTES: usize = 1200;
/// Room for SRTCP's index and tag.
const SRTCP_OVERHEAD: usize = 4 + 16;

impl Shard {
    /// A transport's deadline came up.
    pub(crate) fn on_transport_due(&mut self, now: Timestamp, index: u32) {
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return;
        };
        if transport.scheduled > now {
            // An entry left behind by a deadline that moved.
            return;
        }
        transport.scheduled = Timestamp::NEVER;
        self.expire_consent(now, index);
        let mut next = self.repair_sources(now, index);
        next = next.min(self.send_feedback(now, index));
        next = next.min(self.poll_estimate(now, index));
        next = next.min(self.choose_layers_again(now, index));
        self.follow_estimate(index);
        if let Some(ice) = self.transports.get(index as usize).and_then(|t| t.ice()) {
            next = next.min(ice.consent_deadline());
        }
        self.schedule(index, next);
    }

    /// A transport's next round came up: reports, and the layers that there are now.
    pub(crate) fn on_round_due(&mut self, now: Timestamp, index: u32) {
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return;
        };
        if transport.round_at > now + EARLY {
            // An entry left behind by a deadline that moved.
            return;
        }
        transport.round_at = Timestamp::NEVER;
        let next = self.send_reports(now, index);
        let next = next.min(self.choose_layers(now, index));
        self.follow_estimate(index);
        self.schedule_round(index, next);
    }

    /// A transport can send from now on: its consumers begin.
    pub(crate) fn on_sendable(&mut self, now: Timestamp, index: u32) {
        if let Some(transport) = self.transports.get_mut(index as usize) {
            transport.start_estimate(now);
        }
        self.allocate(now, index);
        self.schedule(index, now);
    }

    /// Tells control when a consumer's layers changed.
    pub(crate) fn report_layers(&mut self, index: u32) {
        let Some(consumer) = self.consumers.get_mut(index as usize) else {
            return;
        };
        let layers = consumer.layers();
        if std::mem::replace(&mut consumer.reported_layers, layers) != layers {
            let consumer = consumer.config.id;
            self.emit(Event::ConsumerLayers { consumer, layers });
        }
    }

    fn expire_consent(&mut self, now: Timestamp, index: u32) {
        let expired = self
            .transports
            .get_mut(index as usize)
            .and_then(|transport| transport.ice_mut())
            .is_some_and(|ice| ice.expire(now));
        if expired {
            self.counters.consent_expired += 1;
            self.report_ice(index);
        }
    }

    /// Lets time pass for the estimate towards the peer; when more is due.
    fn poll_estimate(&mut self, now: Timestamp, index: u32) -> Timestamp {
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return Timestamp::NEVER;
        };
        // A path that can not be used is neither probed nor said to be silent.
        if transport.rtp_path().is_none() {
            return Timestamp::NEVER;
        }
        let Some(downlink) = &mut transport.downlink else {
            return Timestamp::NEVER;
        };
        let next = downlink.poll(now);
        self.allocate_news(now, index);
        next
    }

    /// Lets leave what the estimate allows or asks for by now.
    pub(crate) fn follow_estimate(&mut self, index: u32) {
        let Some(transport) = self.transports.get(index as usize) else {
            return;
        };
        let has_probe = |downlink: &Downlink| downlink.has_probe();
        // What waits may leave sooner than it was to.
        if transport.queue.paced_len() > 0 || transport.downlink.as_deref().is_some_and(has_probe) {
            self.make_dirty(index);
        }
    }

    fn choose_layers(&mut self, now: Timestamp, index: u32) -> Timestamp {
        let allocate_at = |shard: &Self| {
            let transport = shard.transports.get(index as usize);
            transport.map_or(Timestamp::NEVER, |transport| transport.allocate_at)
        };
        if allocate_at(self) <= now + EARLY {
            self.allocate(now, index);
        }
        allocate_at(self)
    }

    fn choose_layers_again(&mut self, now: Timestamp, index: u32) -> Timestamp {
        let again_at = |shard: &Self| {
            let transport = shard.transports.get(index as usize);
            transport.map_or(Timestamp::NEVER, |transport| transport.allocate_again_at)
        };
        if again_at(self) <= now {
            self.allocate(now, index);
        }
        again_at(self)
    }

    /// NACKs and key frame requests of a transport's producers, and what is wanted of them; when more
    /// is due.
    fn repair_sources(&mut self, now: Timestamp, index: u32) -> Timestamp {
        let mut next = Timestamp::NEVER;
        let mut position = 0;
        loop {
            let source = self
                .transports
                .get(index as usize)
                .and_then(|transport| transport.producers.get(position).copied());
            let Some(source) = source else {
                return next;
            };
            position += 1;
            let streams = self
                .sources
                .get(source as usize)
                .map_or(0, |s| s.encodings.len());
            next = next.min(self.tell_wanted(now, source));
            for encoding in 0..streams as u8 {
                next = next.min(self.send_nacks(now, index, source, encoding));
                next = next.min(self.request_key_frame(now, source, encoding));
            }
        }
    }

    fn send_nacks(&mut self, now: Timestamp, index: u32, source: u32, encoding: u8) -> Timestamp {
        let mut lost = std::mem::take(&mut self.nack_scratch);
        lost.clear();
        let inbound = self
            .sources
            .get_mut(source as usize)
            .and_then(|source| source.encodings.get_mut(usize::from(encoding)))
            .and_then(|encoding| encoding.inbound.as_mut());
        let mut next = Timestamp::NEVER;
        let mut gave_up = false;
        if let Some(inbound) = inbound
            && let Some(nack) = &mut inbound.nack
        {
            gave_up = nack.ask(now, &mut lost);
            next = nack.next_ask();
            let media = inbound.ssrc;
            if !lost.is_empty() {
                inbound.nacks_sent += 1;
                inbound.nacked_packets += lost.len() as u64;
                self.counters.nacks_sent += lost.len() as u64;
                self.send_rtcp(now, index, |writer, own| {
                    writer.nack(own, media, lost.iter().copied())
                });
                let info = TraceInfo::Nack {
                    ssrc: media,
                    packets: lost.len().min(usize::from(u16::MAX)) as u16,
                };
                self.trace_producer(now, source, TraceDirection::Out, info);
            }
        }
        self.nack_scratch = lost;
        let is_video = self
            .sources
            .get(source as usize)
            .is_some_and(|source| !source.is_audio());
        if gave_up && is_video {
            self.want_key_frame(now, source, encoding, Urgency::Now);
        }
        next
    }

    /// Transport-wide feedback to the sender; when the next is due.
    fn send_feedback(&mut self, now: Timestamp, index: u32) -> Timestamp {
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return Timestamp::NEVER;
        };
        if transport.feedback_at > now {
            return transport.feedback_at;
        }
        transport.feedback_at = Timestamp::NEVER;
        let media = transport.streams.first().map_or(0, |stream| stream.ssrc);
        let Some(mut arrivals) = transport.arrivals.take() else {
            return Timestamp::NEVER;
        };
        while arrivals.pending() {
            let mut written = false;
            self.send_rtcp(now, index, |writer, own| {
                written = arrivals.write(writer, own, media);
                written
            });
            if !written {
                break;
            }
            self.counters.transport_feedback_sent += 1;
        }
        if let Some(transport) = self.transports.get_mut(index as usize) {
            transport.arrivals = Some(arrivals);
        }
        Timestamp::NEVER
    }

    /// Writes, seals and queues one RTCP datagram; `build` gets our feedback SSRC.
    pub(crate) fn send_rtcp(
        &mut self,
        now: Timestamp,
        index: u32,
        build: impl FnOnce(&mut RtcpWriter<'_>, u32) -> bool,
    ) {
        if let Some(transport) = self.transports.get_mut(index as usize) {
            write_rtcp(now, transport, &mut self.prompt, &mut self.counters, build);
        }
    }
}

/// Writes, seals and queues one RTCP datagram of a transport; `build` gets our feedback SSRC. False
/// where it is not queued.
pub(crate) fn write_rtcp(
    now: Timestamp,
    transport: &mut Transport,
    prompt: &mut TxBatch,
    counters: &mut Counters,
    build: impl FnOnce(&mut RtcpWriter<'_>, u32) -> bool,
) -> bool {
    let Some(path) = transport.rtcp_path() else {
        return false;
    };
    let Some(slot) = prompt.slot(RTCP_BYTES + SRTCP_OVERHEAD) else {
        counters.prompt_dropped += 1;
        return false;
    };
    let mut writer = RtcpWriter::new(&mut slot[..RTCP_BYTES]);
    if !build(&mut writer, transport.feedback_ssrc) || writer.is_empty() {
        return false;
    }
    let len = writer.len();
    let sealed = match &mut transport.sealer {
        Some(sealer) => sealer.seal_rtcp(slot, len),
        None => Some(len),
    };
    let Some(len) = sealed else {
        return false;
    };
    prompt.commit(path, len);
    transport.traffic.sent.add(now, len);
    counters.rtcp_sent += 1;
    true
}
