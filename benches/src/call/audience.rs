//! What a call's receivers got, and the RTCP with which browsers answer it.

use std::collections::BTreeMap;

use weirgate_packet::rtcp::{ReportBlock, RtcpWriter};
use weirgate_packet::rtp::RtpPacket;
use weirgate_shard::{Timestamp, TxBatch};

use super::parameters::TRANSPORT_CC_ID;
use super::peer;

/// SSRC of the receivers' own RTCP.
const REPORTER: u32 = 0x7000_0000;
/// Report blocks that fit one report (RFC 3550 section 6.4.1).
const MAX_BLOCKS: usize = 31;
/// Units of transport-wide feedback, in µs.
const REFERENCE_UNIT_US: u64 = 64_000;
const DELTA_UNIT_US: u64 = 250;
/// Packets of a burst come this far apart.
const SPACING_US: u64 = 250;

/// All receivers of a call.
#[derive(Debug)]
pub struct Audience {
    /// Transports before the first receiver's.
    first_number: usize,
    receivers: Vec<Receiver>,
}

#[derive(Debug, Default)]
struct Receiver {
    /// Transport-wide sequence numbers with times of arrival in µs, since the last feedback.
    arrivals: Vec<(u16, u64)>,
    last_arrival_us: u64,
    feedback_count: u8,
    /// Highest sequence number by SSRC.
    highest: BTreeMap<u32, u16>,
}

impl Audience {
    pub(super) fn new(first_number: usize, receivers: usize) -> Self {
        let receivers = (0..receivers).map(|_| Receiver::default()).collect();
        Self {
            first_number,
            receivers,
        }
    }

    /// Looks at the headers of what leaves.
    pub fn hear(&mut self, now: Timestamp, batch: &TxBatch) {
        for train in batch.trains() {
            let receiver = peer::number(&train.path)
                .checked_sub(self.first_number)
                .and_then(|index| self.receivers.get_mut(index));
            let Some(receiver) = receiver else {
                continue;
            };
            let bytes = batch.train_bytes(train);
            for datagram in bytes.chunks(usize::from(train.segment_len)) {
                let is_rtcp = (192..=223).contains(&datagram[1]);
                if let Some(packet) = RtpPacket::parse(datagram).filter(|_| !is_rtcp) {
                    receiver.hear(now, &packet);
                }
            }
        }
    }

    /// Highest sequence number of a stream a receiver got.
    pub fn highest(&self, receiver: usize, ssrc: u32) -> Option<u16> {
        self.receivers[receiver].highest.get(&ssrc).copied()
    }

    /// Writes transport-wide feedback on what a receiver got since the last one; answers the
    /// length, `None` where there is nothing to tell.
    pub fn write_feedback(&mut self, receiver: usize, slot: &mut [u8]) -> Option<usize> {
        let receiver = &mut self.receivers[receiver];
        let &(base, first_us) = receiver.arrivals.first()?;
        let reference = first_us / REFERENCE_UNIT_US;
        let mut last_units = reference * REFERENCE_UNIT_US / DELTA_UNIT_US;
        let count = receiver.arrivals.len();
        let statuses = receiver.arrivals.iter().map(|&(_, at_us)| {
            let units = at_us / DELTA_UNIT_US;
            let delta = (units - last_units) as i32;
            last_units = units;
            Some(delta)
        });
        let mut writer = RtcpWriter::new(slot);
        let (time, number) = (reference as i32, receiver.feedback_count);
        let media = receiver.highest.keys().next().copied().unwrap_or(0);
        let written = writer.transport_feedback(REPORTER, media, base, time, number, statuses);
        assert_eq!(written, count, "feedback that does not fit");
        receiver.feedback_count = number.wrapping_add(1);
        receiver.arrivals.clear();
        Some(writer.len())
    }

    /// Writes a receiver report on all streams; answers the length.
    pub fn write_report(&self, receiver: usize, slot: &mut [u8]) -> usize {
        let streams = self.receivers[receiver].highest.iter();
        let blocks: Vec<ReportBlock> = streams
            .take(MAX_BLOCKS)
            .map(|(&ssrc, &highest)| ReportBlock {
                ssrc,
                fraction_lost: 0,
                cumulative_lost: 0,
                highest_sequence: highest.into(),
                jitter: 90,
                last_sr: 0,
                delay_since_last_sr: 0,
            })
            .collect();
        let mut writer = RtcpWriter::new(slot);
        assert!(writer.receiver_report(REPORTER, &blocks));
        writer.len()
    }
}

impl Receiver {
    fn hear(&mut self, now: Timestamp, packet: &RtpPacket<'_>) {
        self.highest.insert(packet.ssrc(), packet.sequence());
        let mut extensions = packet.extensions();
        let found = extensions.find(|(id, _)| *id == TRANSPORT_CC_ID);
        if let Some((_, &[high, low])) = found {
            let at = now.as_micros().max(self.last_arrival_us + SPACING_US);
            self.last_arrival_us = at;
            self.arrivals.push((u16::from_be_bytes([high, low]), at));
        }
    }
}
