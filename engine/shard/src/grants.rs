//! What a sender is told that it may send (REMB, draft-alvestrand-rmcat-remb-03): the limit set for
//! its transport, whatever feedback was negotiated, as mediasoup does; and to a sender that takes
//! nothing but REMB, room to grow.

use arrayvec::ArrayVec;

use crate::Timestamp;
use crate::shard::Shard;

/// Without a limit, so many times what comes is granted.
const HEADROOM: u64 = 2;
/// What is granted at least, unless a limit is lower.
const FLOOR_BPS: u64 = 1_000_000;
/// A grant that limits nothing.
const UNLIMITED_BPS: u64 = 10_000_000_000;
/// So often a lifted limit is told: a sender keeps to the last one for good.
pub(crate) const TIMES_LIFTED: u8 = 4;
/// Streams that a grant names at most.
const MAX_STREAMS: usize = 32;

/// The sender's streams, and whether it takes nothing but REMB.
#[derive(Debug, Default)]
struct Streams {
    ssrcs: ArrayVec<u32, MAX_STREAMS>,
    takes_only_remb: bool,
}

impl Shard {
    /// Tells a transport's sender what it may send, where there is something to tell.
    pub(crate) fn send_grant(&mut self, now: Timestamp, index: u32) {
        let streams = self.streams_of(index);
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return;
        };
        let limit_bps = u64::from(transport.max_incoming_bps);
        let received_bps = transport.traffic.received.rate_bps(now);
        let is_lifted = limit_bps == 0 && transport.lifted_limits > 0;
        transport.lifted_limits = transport.lifted_limits.saturating_sub(1);
        // Loss is the sender's to read from reports, so that there is always room to grow.
        let grown_bps = (received_bps * HEADROOM).max(FLOOR_BPS);
        let grant_bps = match limit_bps {
            0 if streams.takes_only_remb => grown_bps,
            0 if is_lifted => UNLIMITED_BPS,
            0 => return,
            limit_bps if streams.takes_only_remb => grown_bps.min(limit_bps),
            limit_bps => limit_bps,
        };
        if streams.ssrcs.is_empty() {
            return;
        }
        self.send_rtcp(now, index, |writer, own| {
            writer.remb(own, grant_bps, &streams.ssrcs)
        });
    }

    fn streams_of(&self, index: u32) -> Streams {
        let mut streams = Streams::default();
        let Some(transport) = self.transports.get(index as usize) else {
            return streams;
        };
        let producers = transport.producers.iter();
        for source in producers.filter_map(|&producer| self.sources.get(producer as usize)) {
            let feedback = source.config.codecs.first().map(|codec| codec.feedback);
            let feedback = feedback.unwrap_or_default();
            streams.takes_only_remb |= feedback.remb && !feedback.transport_cc;
            let inbound = source.encodings.iter().filter_map(|it| it.inbound.as_ref());
            let room = streams.ssrcs.remaining_capacity();
            let ssrcs = inbound.map(|inbound| inbound.ssrc);
            streams.ssrcs.extend(ssrcs.take(room));
        }
        streams
    }
}
