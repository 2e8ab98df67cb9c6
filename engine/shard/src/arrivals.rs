//! When the packets of a transport with transport-wide sequence numbers came, for the feedback to
//! their sender (draft-holmer-rmcat-transport-wide-cc-extensions-01).

use weirgate_packet::rtcp::RtcpWriter;
use weirgate_packet::rtp::SequenceExtender;

use crate::Timestamp;

const WINDOW: u64 = 2048;
/// One feedback message covers at most this many sequence numbers, to stay under the MTU.
const MAX_PER_MESSAGE: u64 = 400;
/// Unit of reference times: 64 ms.
const REFERENCE_MICROS: u64 = 64_000;
/// Unit of deltas: 250 µs.
const DELTA_MICROS: i64 = 250;

#[derive(Debug)]
pub(crate) struct Arrivals {
    extender: SequenceExtender,
    /// Arrival in µs by sequence modulo the window; 0 where not received.
    arrivals: Box<[u64]>,
    /// First sequence not yet reported.
    next_report: Option<u64>,
    /// One past the highest received.
    end: u64,
    feedback_count: u8,
}

impl Arrivals {
    pub(crate) fn new() -> Self {
        Self {
            extender: SequenceExtender::default(),
            arrivals: vec![0; WINDOW as usize].into_boxed_slice(),
            next_report: None,
            end: 0,
            feedback_count: 0,
        }
    }

    pub(crate) fn received(&mut self, now: Timestamp, sequence: u16) {
        let sequence = self.extender.extend(sequence);
        if self.next_report.is_none() {
            self.end = sequence;
        }
        if sequence >= self.end {
            // What the window loses on its way forward was never received or long reported.
            let skipped = (sequence - self.end).min(WINDOW);
            for gone in sequence - skipped..sequence {
                self.arrivals[(gone % WINDOW) as usize] = 0;
            }
            self.end = sequence + 1;
        } else if sequence + WINDOW <= self.end || self.at(sequence).is_some() {
            return;
        }
        self.arrivals[(sequence % WINDOW) as usize] = now.as_micros().max(1);
        // A late packet is reported again from there on: better late than taken for lost.
        let next = self.next_report.unwrap_or(sequence).min(sequence);
        self.next_report = Some(next.max(self.end.saturating_sub(WINDOW)));
    }

    /// True where something came since the last feedback.
    pub(crate) fn pending(&self) -> bool {
        self.next_report.is_some_and(|next| next < self.end)
    }

    /// Writes one feedback message; call again while [`Self::pending`].
    pub(crate) fn write(&mut self, writer: &mut RtcpWriter<'_>, sender: u32, media: u32) -> bool {
        let Some(start) = self.next_report.filter(|&next| next < self.end) else {
            return false;
        };
        // The message begins at a received packet: the reference time is its own.
        let Some(first) = (start..self.end).find(|&sequence| self.at(sequence).is_some()) else {
            self.next_report = Some(self.end);
            return false;
        };
        let base_time = self.at(first).unwrap_or(1) / REFERENCE_MICROS;
        let mut previous = (base_time * REFERENCE_MICROS) as i64;
        let end = self.end.min(first + MAX_PER_MESSAGE);
        let statuses = (first..end).map(|sequence| {
            self.at(sequence).map(|arrival| {
                let delta = (arrival as i64 - previous).div_euclid(DELTA_MICROS);
                previous += delta * DELTA_MICROS;
                i32::try_from(delta).unwrap_or(i32::MAX)
            })
        });
        let written = writer.transport_feedback(
            sender,
            media,
            first as u16,
            (base_time & 0xff_ffff) as i32,
            self.feedback_count,
            statuses,
        );
        if written == 0 {
            self.next_report = Some(self.end);
            return false;
        }
        self.feedback_count = self.feedback_count.wrapping_add(1);
        self.next_report = Some(first + written as u64);
        true
    }

    fn at(&self, sequence: u64) -> Option<u64> {
        match self.arrivals[(sequence % WINDOW) as usize] {
            0 => None,
            arrival => Some(arrival),
        }
    }
}
