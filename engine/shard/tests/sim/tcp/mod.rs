//! A TCP flow beside the call: a download without end that keeps the queue of its link full.

mod bbr;
mod cubic;

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::link::Link;
use bbr::Bbr;
use cubic::Cubic;

/// With TCP's header; the link adds that of IPv4, and 8 bytes.
const SEGMENT_BYTES: usize = 1_460;
const SEGMENT_BITS: f64 = (SEGMENT_BYTES + 28) as f64 * 8.0;
const FIRST_WINDOW: f64 = 10.0;
const MIN_WINDOW: f64 = 2.0;
/// Segments acknowledged after one that is not: that is lost.
const REORDERED: u64 = 3;
const TIMEOUT_US: u64 = 1_000_000;
/// Every second segment is acknowledged, or one after so long.
const DELAYED_US: u64 = 40_000;
/// What is paced leaves so many at once.
const PACED: f64 = 2.0;

/// What holds a flow back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Cubic,
    Bbr,
}

#[derive(Debug)]
enum Control {
    Cubic(Cubic),
    Bbr(Bbr),
}

/// A segment on its way.
#[derive(Debug, Clone, Copy)]
struct Segment {
    number: u64,
    sent_us: u64,
    /// Segments delivered when it left, when the last of them was told of, and when that had left.
    delivered: u64,
    delivered_us: u64,
    first_us: u64,
}

/// A segment is told to have arrived.
#[derive(Debug)]
struct Acknowledged {
    now_us: u64,
    segment: Segment,
    delivered: u64,
    in_flight: usize,
    /// Segments found lost by it, and whether all that was lost before is repaired.
    lost: u64,
    is_repaired: bool,
}

impl Acknowledged {
    const fn round_trip_us(&self) -> f64 {
        (self.now_us - self.segment.sent_us) as f64
    }

    /// Of what was delivered since it left, in segments per microsecond.
    fn rate(&self) -> f64 {
        let sent_us = self.segment.sent_us - self.segment.first_us;
        let span_us = sent_us.max(self.now_us - self.segment.delivered_us).max(1);
        (self.delivered - self.segment.delivered) as f64 / span_us as f64
    }
}

/// A segment sent again is counted as one more.
#[derive(Debug)]
pub struct TcpFlow {
    pub remote: SocketAddr,
    pub link: usize,
    /// `(time, bytes)` of what arrived.
    arrivals: Vec<(u64, usize)>,
    control: Control,
    in_flight: VecDeque<Segment>,
    next: u64,
    /// Acknowledgements on their way back.
    back: VecDeque<(u64, u64)>,
    /// A segment that arrived and is acknowledged with the next one.
    delayed: Option<(u64, u64)>,
    expected: u64,
    back_us: u64,
    delivered: u64,
    delivered_us: u64,
    first_us: u64,
    /// When the next segments may leave, where they are paced.
    paced_us: f64,
    /// The window is not lowered again for what left before this segment.
    recovers_at: u64,
    pub lost: u64,
}

impl TcpFlow {
    /// Over that link; what is acknowledged takes `back_us` for the way back.
    pub fn new(now_us: u64, kind: Kind, remote: SocketAddr, link: usize, back_us: u64) -> Self {
        Self {
            remote,
            link,
            arrivals: Vec::new(),
            control: match kind {
                Kind::Cubic => Control::Cubic(Cubic::new(now_us)),
                Kind::Bbr => Control::Bbr(Bbr::new(now_us)),
            },
            in_flight: VecDeque::new(),
            next: 0,
            back: VecDeque::new(),
            delayed: None,
            expected: 0,
            back_us,
            delivered: 0,
            delivered_us: now_us,
            first_us: now_us,
            paced_us: now_us as f64,
            recovers_at: 0,
            lost: 0,
        }
    }

    /// Sends what the window and the pace have room for.
    pub fn step(&mut self, now_us: u64, link: &mut Link) {
        if let Some((_, number)) = self.delayed.take_if(|it| it.0 + DELAYED_US <= now_us) {
            self.back.push_back((now_us + self.back_us, number));
        }
        while let Some((_, number)) = self.back.pop_front_if(|back| back.0 <= now_us) {
            self.acknowledged(now_us, number);
        }
        if !self.in_flight.is_empty() && now_us - self.delivered_us > TIMEOUT_US {
            self.lost += self.in_flight.len() as u64;
            self.in_flight.clear();
            if let Control::Cubic(cubic) = &mut self.control {
                cubic.lost(now_us);
                cubic.window = MIN_WINDOW;
            }
            self.recovers_at = self.next;
            self.delivered_us = now_us;
        }
        let (window, pacing_bps) = match &self.control {
            Control::Cubic(cubic) => (cubic.window, None),
            Control::Bbr(bbr) => (bbr.window, bbr.pacing_bps()),
        };
        while (self.in_flight.len() as f64) < window && self.paced_us <= now_us as f64 {
            if let Some(bps) = pacing_bps {
                let step_us = SEGMENT_BITS * 1e6 / bps;
                self.paced_us = self.paced_us.max(now_us as f64 - PACED * step_us) + step_us;
            }
            self.send(now_us, link);
        }
    }

    fn send(&mut self, now_us: u64, link: &mut Link) {
        let mut bytes = vec![0; SEGMENT_BYTES];
        bytes[..8].copy_from_slice(&self.next.to_be_bytes());
        link.send(now_us, self.remote, bytes);
        if self.in_flight.is_empty() {
            (self.delivered_us, self.first_us) = (now_us, now_us);
        }
        self.in_flight.push_back(Segment {
            number: self.next,
            sent_us: now_us,
            delivered: self.delivered,
            delivered_us: self.delivered_us,
            first_us: self.first_us,
        });
        self.next += 1;
    }

    /// A segment arrives.
    pub fn arrive(&mut self, now_us: u64, segment: &[u8]) {
        let number = u64::from_be_bytes(segment[..8].try_into().expect("eight bytes"));
        self.arrivals.push((now_us, segment.len()));
        let is_next = number == self.expected;
        self.expected = number + 1;
        if is_next && self.delayed.is_none() {
            self.delayed = Some((now_us, number));
            return;
        }
        let before = self.delayed.take().map(|(_, number)| number);
        for number in before.into_iter().chain([number]) {
            self.back.push_back((now_us + self.back_us, number));
        }
    }

    fn acknowledged(&mut self, now_us: u64, number: u64) {
        let sent = self.in_flight.iter().position(|it| it.number == number);
        let Some(segment) = sent.and_then(|index| self.in_flight.remove(index)) else {
            return;
        };
        self.delivered += 1;
        (self.delivered_us, self.first_us) = (now_us, segment.sent_us);
        let before = self.in_flight.len();
        self.in_flight.retain(|it| it.number + REORDERED > number);
        let lost = (before - self.in_flight.len()) as u64;
        self.lost += lost;
        let is_repaired = number >= self.recovers_at;
        if lost > 0 && is_repaired {
            self.recovers_at = self.next;
        }
        let ack = Acknowledged {
            now_us,
            segment,
            delivered: self.delivered,
            in_flight: self.in_flight.len(),
            lost,
            is_repaired,
        };
        match &mut self.control {
            Control::Cubic(cubic) => cubic.acknowledged(&ack),
            Control::Bbr(bbr) => bbr.acknowledged(&ack),
        }
    }

    /// Segments that left.
    pub const fn sent(&self) -> u64 {
        self.next
    }

    /// What arrived within a time.
    pub fn bps(&self, from_us: u64, until_us: u64) -> u64 {
        let within = self
            .arrivals
            .iter()
            .filter(|(at_us, _)| (from_us..until_us).contains(at_us));
        let bytes: usize = within.map(|(_, bytes)| bytes).sum();
        bytes as u64 * 8_000_000 / (until_us - from_us)
    }
}
