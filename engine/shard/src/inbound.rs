//! Receiving one RTP stream of a producer: statistics for receiver reports (RFC 3550 section
//! 6.4.1 and appendix A), NACKs, scores.

use std::time::Duration;

use weirgate_packet::rtcp::ReportBlock;
use weirgate_packet::rtp::RtpPacket;

use crate::Timestamp;
use crate::clock::ntp_middle;
use crate::meter::Meter;
use crate::nack::{Arrival, NackList, smoothed};

/// A stream silent for this long scores 0.
const SILENCE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) ssrc: u32,
    pub(crate) rtx_ssrc: Option<u32>,
    pub(crate) meter: Meter,
    pub(crate) payload_type: u8,
    /// `None` where the sender takes no NACKs.
    pub(crate) nack: Option<NackList>,
    pub(crate) retransmitted: u64,
    pub(crate) repaired: u64,
    pub(crate) duplicates: u64,
    /// Of these, those that came as RTX.
    pub(crate) rtx_duplicates: u64,
    pub(crate) nacks_sent: u64,
    pub(crate) nacked_packets: u64,
    pub(crate) plis_sent: u64,
    pub(crate) firs_sent: u64,
    pub(crate) key_frames: u64,
    pub(crate) score: u8,
    clock_rate: u32,
    first: u64,
    highest: u64,
    /// Packets of the present SSRC, repaired ones included.
    received: u64,
    jitter_16ths: u32,
    last_transit: Option<u32>,
    last_packet: Timestamp,
    last_sr: Option<(u32, Timestamp)>,
    /// As the sender's reports tell.
    rtt: Option<Duration>,
    expected_prior: u64,
    received_prior: u64,
    fraction_lost: u8,
}

impl Inbound {
    pub(crate) fn new(ssrc: u32, rtx_ssrc: Option<u32>, clock_rate: u32, nack: bool) -> Self {
        Self {
            ssrc,
            rtx_ssrc,
            meter: Meter::default(),
            payload_type: 0,
            nack: nack.then(NackList::new),
            retransmitted: 0,
            repaired: 0,
            duplicates: 0,
            rtx_duplicates: 0,
            nacks_sent: 0,
            nacked_packets: 0,
            plis_sent: 0,
            firs_sent: 0,
            key_frames: 0,
            score: 0,
            clock_rate: clock_rate.max(1),
            first: 0,
            highest: 0,
            received: 0,
            jitter_16ths: 0,
            last_transit: None,
            last_packet: Timestamp::ZERO,
            last_sr: None,
            rtt: None,
            expected_prior: 0,
            received_prior: 0,
            fraction_lost: 0,
        }
    }

    /// Takes a sample of the round trip to the sender.
    pub(crate) fn note_rtt(&mut self, sample: Duration) {
        let rtt = smoothed(self.rtt, sample);
        self.rtt = Some(rtt);
        if let Some(nack) = &mut self.nack {
            nack.tell_rtt(rtt);
        }
    }

    /// Round trip to the sender, once it is known.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.rtt.or_else(|| self.nack.as_ref()?.rtt())
    }

    /// Another SSRC took the stream's place: reports start over, totals go on.
    pub(crate) fn restart(&mut self, ssrc: u32) {
        self.ssrc = ssrc;
        self.received = 0;
        self.last_transit = None;
        self.last_sr = None;
        self.expected_prior = 0;
        self.received_prior = 0;
        if let Some(nack) = &mut self.nack {
            nack.restart();
        }
    }

    /// Takes note of a packet that was not there before; `sequence` is extended.
    pub(crate) fn received(
        &mut self,
        now: Timestamp,
        sequence: u64,
        packet: &RtpPacket<'_>,
        len: usize,
        by_rtx: bool,
    ) -> Arrival {
        if self.received == 0 {
            self.first = sequence;
            self.highest = sequence;
        }
        self.first = self.first.min(sequence);
        self.highest = self.highest.max(sequence);
        self.received += 1;
        self.last_packet = now;
        self.payload_type = packet.payload_type();
        self.meter.add(now, len);
        if by_rtx {
            self.repaired += 1;
        } else {
            self.update_jitter(now, packet.timestamp());
        }
        match &mut self.nack {
            Some(nack) => nack.received(now, sequence),
            None => Arrival::InOrder,
        }
    }

    /// Takes note of a sender report.
    pub(crate) fn sender_report(&mut self, now: Timestamp, sender_ntp: u64) {
        self.last_sr = Some((ntp_middle(sender_ntp), now));
    }

    /// The report block that is due now.
    pub(crate) fn report(&mut self, now: Timestamp) -> Option<ReportBlock> {
        if self.received == 0 {
            return None;
        }
        let expected = self.expected();
        let expected_interval = expected - self.expected_prior.min(expected);
        let received_interval = self.received - self.received_prior;
        let lost_interval = expected_interval.saturating_sub(received_interval);
        self.expected_prior = expected;
        self.received_prior = self.received;
        self.fraction_lost = (lost_interval * 256)
            .checked_div(expected_interval)
            .map_or(0, |fraction| fraction.min(255) as u8);
        let (last_sr, delay_since_last_sr) = self.last_sr.map_or((0, 0), |(ntp, at)| {
            (ntp, (now.since(at).as_micros() * 65_536 / 1_000_000) as u32)
        });
        Some(ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: self.fraction_lost,
            cumulative_lost: self.packets_lost().clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest_sequence: self.highest as u32,
            jitter: self.jitter_16ths >> 4,
            last_sr,
            delay_since_last_sr,
        })
    }

    /// mediasoup's score: 0 for a stream without packets, else 10 less what is lost.
    pub(crate) fn update_score(&mut self, now: Timestamp) -> bool {
        let score = if now.since(self.last_packet) > SILENCE || self.received == 0 {
            0
        } else {
            10 - (u16::from(self.fraction_lost) * 18 / 256).min(9) as u8
        };
        std::mem::replace(&mut self.score, score) != score
    }

    pub(crate) fn packets_lost(&self) -> i64 {
        if self.received == 0 {
            0
        } else {
            self.expected() as i64 - self.received as i64
        }
    }

    pub(crate) const fn fraction_lost(&self) -> u8 {
        self.fraction_lost
    }

    pub(crate) fn jitter_ms(&self) -> f32 {
        (self.jitter_16ths >> 4) as f32 * 1000.0 / self.clock_rate as f32
    }

    fn expected(&self) -> u64 {
        self.highest - self.first + 1
    }

    fn update_jitter(&mut self, now: Timestamp, timestamp: u32) {
        let arrival =
            (u128::from(now.as_micros()) * u128::from(self.clock_rate) / 1_000_000) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(last) = self.last_transit.replace(transit) {
            let difference = (transit.wrapping_sub(last) as i32).unsigned_abs();
            // A jump of over ten seconds is a new timeline, not jitter.
            if difference < self.clock_rate * 10 {
                self.jitter_16ths = self.jitter_16ths + difference - ((self.jitter_16ths + 8) >> 4);
            }
        }
    }
}
