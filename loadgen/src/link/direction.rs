//! One direction of a link, without I/O and without a clock: packets and the time go in, packets
//! come out when they are due.
//!
//! A packet first waits in the queue, is then transmitted at the rate, and is then on its way for
//! the delay. What is lost on the way has used its part of the rate.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::fate::{Fate, Fates};
use super::figures::{Counts, Figures, Meter};
use super::settings::Settings;

/// Bytes that may be in the queue and on their way together.
const MAX_BYTES: usize = 256 << 20;
/// Packets likewise.
const MAX_PACKETS: usize = 1 << 20;

const TCP: u8 = 6;

/// Times are since the start of the link, and never go back.
#[derive(Debug)]
pub struct Direction {
    settings: Settings,
    /// TCP is neither lost nor doubled nor held back.
    spares_tcp: bool,
    fates: Fates,
    queue: VecDeque<Packet>,
    /// Bits of the queue without its head.
    waiting_bits: u64,
    /// End of the transmission of the queue's head, where there is one.
    head_done: Duration,
    /// The soonest first.
    on_way: BinaryHeap<OnWay>,
    /// Of both.
    bytes: usize,
    last_due: Duration,
    last_delivered: u64,
    /// Packets put on their way.
    order: u64,
    meter: Meter,
}

/// A packet inside the link.
#[derive(Debug, Clone)]
struct Packet {
    data: Vec<u8>,
    /// Of all that came in.
    number: u64,
    entered: Duration,
    fate: Fate,
}

#[derive(Debug)]
struct OnWay {
    due: Duration,
    /// Decides between those due at the same time.
    order: u64,
    packet: Packet,
}

impl Direction {
    /// An idle one.
    pub fn new(settings: Settings, seed: u64, spares_tcp: bool) -> Self {
        Self {
            settings,
            spares_tcp,
            fates: Fates::new(seed),
            queue: VecDeque::new(),
            waiting_bits: 0,
            head_done: Duration::ZERO,
            on_way: BinaryHeap::new(),
            bytes: 0,
            last_due: Duration::ZERO,
            last_delivered: 0,
            order: 0,
            meter: Meter::new(),
        }
    }

    /// What is in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Puts other settings. What waits in the queue goes on at the new rate, nothing is dropped
    /// from it; what is on its way arrives when it was to.
    pub fn change(&mut self, now: Duration, settings: Settings) {
        self.transmit_until(now);
        if !self.queue.is_empty() {
            let left = self.head_done.saturating_sub(now);
            self.head_done = match (self.settings.rate, settings.rate) {
                (Some(old), Some(new)) => now + left.mul_f64(old as f64 / new as f64),
                (_, _) => now,
            };
        }
        self.settings = settings;
        self.transmit_until(now);
    }

    /// A packet comes in.
    pub fn enter(&mut self, now: Duration, data: Vec<u8>) {
        self.transmit_until(now);
        let number = self.meter.counts.entered;
        self.meter.counts.entered += 1;
        self.meter.counts.entered_bytes += data.len() as u64;
        let mut fate = self.fates.draw(&self.settings);
        if self.spares_tcp && is_tcp(&data) {
            fate = fate.spared();
        }
        if self.bytes + data.len() > MAX_BYTES
            || self.queue.len() + self.on_way.len() >= MAX_PACKETS
        {
            self.meter.counts.overflowed += 1;
            return;
        }
        let wait = self.wait(now);
        if wait > self.settings.queue {
            self.meter.counts.queue_dropped += 1;
            return;
        }
        self.meter
            .queue_ns
            .saturating_record(wait.as_nanos() as u64);
        let transmission = transmission(data.len(), self.settings.rate);
        self.bytes += data.len();
        let packet = Packet {
            data,
            number,
            entered: now,
            fate,
        };
        if transmission.is_zero() {
            self.send_off(now, packet);
        } else if self.queue.is_empty() {
            self.head_done = now + transmission;
            self.queue.push_back(packet);
        } else {
            self.waiting_bits += bits(packet.data.len());
            self.queue.push_back(packet);
        }
    }

    /// The next packet that is due, to be passed on at `now`.
    pub fn leave(&mut self, now: Duration) -> Option<Vec<u8>> {
        self.transmit_until(now);
        if self.on_way.peek()?.due > now {
            return None;
        }
        let OnWay { due, packet, .. } = self.on_way.pop()?;
        self.bytes -= packet.data.len();
        let counts = &mut self.meter.counts;
        counts.delivered += 1;
        counts.delivered_bytes += packet.data.len() as u64;
        counts.reordered += u64::from(packet.number < self.last_delivered);
        self.last_delivered = self.last_delivered.max(packet.number);
        let ns = |since| now.saturating_sub(since).as_nanos() as u64;
        self.meter.transit_ns.saturating_record(ns(packet.entered));
        self.meter.lateness_ns.saturating_record(ns(due));
        Some(packet.data)
    }

    /// A packet that left was not taken.
    pub fn refused(&mut self) {
        self.meter.counts.refused += 1;
    }

    /// When something is to be done next; `None`: when a packet comes in.
    pub fn next_due(&self) -> Option<Duration> {
        let arrival = self.on_way.peek().map(|packet| packet.due);
        let transmitted = (!self.queue.is_empty()).then_some(self.head_done);
        [arrival, transmitted].into_iter().flatten().min()
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.meter.counts
    }

    /// All figures.
    pub fn figures(&self, now: Duration) -> Figures {
        self.meter.figures(self.wait(now).as_secs_f64() * 1000.0)
    }

    /// What a packet coming now would wait until its own transmission begins.
    fn wait(&self, now: Duration) -> Duration {
        match (self.settings.rate, self.queue.is_empty()) {
            (Some(rate), false) => {
                let head = self.head_done.saturating_sub(now);
                head + Duration::from_secs_f64(self.waiting_bits as f64 / rate as f64)
            }
            _ => Duration::ZERO,
        }
    }

    fn transmit_until(&mut self, now: Duration) {
        while self.head_done <= now
            && let Some(packet) = self.queue.pop_front()
        {
            let done = self.head_done;
            if let Some(next) = self.queue.front() {
                self.waiting_bits -= bits(next.data.len());
                self.head_done = done + transmission(next.data.len(), self.settings.rate);
            }
            self.send_off(done, packet);
        }
    }

    /// Puts a packet on its way that was transmitted at `done`.
    fn send_off(&mut self, done: Duration, packet: Packet) {
        let fate = packet.fate;
        if fate.is_lost {
            self.bytes -= packet.data.len();
            self.meter.counts.lost += 1;
            return;
        }
        let jitter = self.settings.jitter.mul_f64(fate.jitter.abs());
        let delay = if fate.jitter < 0.0 {
            self.settings.delay.saturating_sub(jitter)
        } else {
            self.settings.delay + jitter
        };
        let mut due = (done + delay).max(self.last_due);
        match self.settings.reorder {
            Some(reorder) if fate.is_held_back => due += reorder.by,
            _ => self.last_due = due,
        }
        if fate.is_doubled {
            self.meter.counts.duplicated += 1;
            self.bytes += packet.data.len();
            self.put_on_way(due, packet.clone());
        }
        self.put_on_way(due, packet);
    }

    fn put_on_way(&mut self, due: Duration, packet: Packet) {
        self.order += 1;
        self.on_way.push(OnWay {
            due,
            order: self.order,
            packet,
        });
    }
}

impl OnWay {
    fn key(&self) -> (Duration, u64) {
        (self.due, self.order)
    }
}

impl Ord for OnWay {
    /// The soonest is the greatest, as a heap gives that first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl PartialOrd for OnWay {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for OnWay {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for OnWay {}

fn transmission(len: usize, rate: Option<u64>) -> Duration {
    match rate {
        Some(rate) => Duration::from_secs_f64(bits(len) as f64 / rate as f64),
        None => Duration::ZERO,
    }
}

fn bits(len: usize) -> u64 {
    8 * len as u64
}

/// The protocol field of IPv4 or the next header of IPv6; extension headers are not followed.
fn is_tcp(packet: &[u8]) -> bool {
    let at = match packet.first().map(|first| first >> 4) {
        Some(4) => 9,
        Some(6) => 6,
        _ => return false,
    };
    packet.get(at) == Some(&TCP)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn direction(text: &str) -> Direction {
        Direction::new(settings(text), 1, false)
    }

    fn settings(text: &str) -> Settings {
        let mut settings = Settings::default();
        settings.apply(&text.parse().unwrap());
        settings
    }

    /// Number in front, so that packets can be told apart.
    fn packet(number: u32, len: usize) -> Vec<u8> {
        let mut data = vec![0; len.max(4)];
        data[..4].copy_from_slice(&number.to_be_bytes());
        data
    }

    fn number(data: &[u8]) -> u32 {
        u32::from_be_bytes([data[0], data[1], data[2], data[3]])
    }

    /// All that comes out until nothing is due, with the exact times.
    fn run_out(direction: &mut Direction) -> Vec<(Duration, u32, usize)> {
        let mut out = Vec::new();
        while let Some(now) = direction.next_due() {
            while let Some(data) = direction.leave(now) {
                out.push((now, number(&data), data.len()));
            }
        }
        out
    }

    #[test]
    fn delay_is_exact() {
        let mut it = direction("delay=25ms");
        it.enter(3 * MS, packet(1, 100));
        it.enter(4 * MS, packet(2, 100));
        assert_eq!(it.leave(27 * MS), None);
        let out = run_out(&mut it);
        assert_eq!(out, [(28 * MS, 1, 100), (29 * MS, 2, 100)]);
    }

    #[test]
    fn packets_follow_each_other_at_the_rate() {
        // 1250 bytes at 1 Mbit/s: 10 ms each.
        let mut it = direction("rate=1M,delay=5ms");
        for number in 0..4 {
            it.enter(Duration::ZERO, packet(number, 1250));
        }
        let times: Vec<Duration> = run_out(&mut it).iter().map(|out| out.0).collect();
        assert_eq!(times, [15 * MS, 25 * MS, 35 * MS, 45 * MS]);
    }

    #[test]
    fn the_queue_is_as_long_as_it_was_told() {
        let mut it = direction("rate=1M,queue=30ms");
        for number in 0..10 {
            it.enter(Duration::ZERO, packet(number, 1250));
        }
        // One is transmitted, three wait 10, 20 and 30 ms.
        assert_eq!(it.counts().queue_dropped, 6);
        assert_eq!(it.figures(Duration::ZERO).queue_now_ms, 40.0);
        assert_eq!(run_out(&mut it).len(), 4);
    }

    #[test]
    fn a_new_rate_holds_from_that_moment() {
        let mut it = direction("rate=1M");
        it.enter(Duration::ZERO, packet(0, 1250));
        it.enter(Duration::ZERO, packet(1, 1250));
        it.change(5 * MS, settings("rate=500k"));
        // Half of the first is left, 10 ms at the new rate; the second takes 20 ms.
        let times: Vec<Duration> = run_out(&mut it).iter().map(|out| out.0).collect();
        assert_eq!(times, [15 * MS, 35 * MS]);
        it.enter(40 * MS, packet(2, 1250));
        it.enter(40 * MS, packet(3, 1250));
        it.change(41 * MS, settings("rate=none"));
        let times: Vec<Duration> = run_out(&mut it).iter().map(|out| out.0).collect();
        assert_eq!(times, [41 * MS, 41 * MS]);
    }

    #[test]
    fn who_is_held_back_is_overtaken() {
        let mut it = direction("delay=10ms,reorder=100%:5ms");
        it.enter(Duration::ZERO, packet(0, 100));
        it.change(MS, settings("delay=10ms"));
        it.enter(MS, packet(1, 100));
        let out = run_out(&mut it);
        assert_eq!(out, [(11 * MS, 1, 100), (15 * MS, 0, 100)]);
        assert_eq!(it.counts().reordered, 1);
    }

    #[test]
    fn a_double_comes_right_behind() {
        let mut it = direction("duplicate=100%,delay=2ms");
        it.enter(Duration::ZERO, packet(0, 100));
        it.enter(Duration::ZERO, packet(1, 100));
        let numbers: Vec<u32> = run_out(&mut it).iter().map(|out| out.1).collect();
        assert_eq!(numbers, [0, 0, 1, 1]);
        let counts = it.counts();
        assert_eq!(
            (counts.duplicated, counts.reordered, counts.delivered),
            (2, 0, 4)
        );
    }

    #[test]
    fn tcp_is_spared_where_asked() {
        let mut it = Direction::new(settings("loss=100%"), 1, true);
        for (first, at, protocol) in [(0x45, 9, 6), (0x60, 6, 6), (0x45, 9, 17), (0x60, 6, 17)] {
            let mut data = vec![0; 60];
            data[0] = first;
            data[at] = protocol;
            it.enter(Duration::ZERO, data);
        }
        assert_eq!(it.counts().lost, 2);
        it.enter(Duration::ZERO, Vec::new());
        assert_eq!(it.counts().lost, 3);
    }

    #[test]
    fn more_than_fits_is_dropped_and_counted() {
        let mut it = direction("delay=1h");
        let large = 65_000;
        for number in 0..=(MAX_BYTES / large) as u32 {
            it.enter(Duration::ZERO, packet(number, large));
        }
        assert_eq!(it.counts().overflowed, 1);
    }

    /// When and how long.
    fn arrivals() -> impl Strategy<Value = Vec<(Duration, usize)>> {
        let one = (0u64..4_000, 20usize..1500);
        prop::collection::vec(one, 1..200).prop_map(|list| {
            let mut now = Duration::ZERO;
            let later = |(gap, len)| {
                now += Duration::from_micros(gap);
                (now, len)
            };
            list.into_iter().map(later).collect()
        })
    }

    /// Packets in at their times; what is due in between comes out on time.
    fn play(
        it: &mut Direction,
        arrivals: &[(Duration, usize)],
        change: Option<(usize, &Settings)>,
    ) -> Vec<(Duration, u32, usize)> {
        let mut out = Vec::new();
        for (index, &(now, len)) in arrivals.iter().enumerate() {
            while let Some(due) = it.next_due()
                && due <= now
            {
                while let Some(data) = it.leave(due) {
                    out.push((due, number(&data), data.len()));
                }
            }
            if let Some((at, settings)) = change
                && at == index
            {
                it.change(now, *settings);
            }
            it.enter(now, packet(index as u32, len));
        }
        out.extend(run_out(it));
        out
    }

    fn assert_nothing_vanished(it: &Direction) {
        let counts = it.counts();
        assert_eq!(
            counts.entered + counts.duplicated,
            counts.delivered + counts.lost + counts.queue_dropped + counts.overflowed,
            "{counts:?}"
        );
        assert_eq!((it.bytes, it.waiting_bits), (0, 0));
    }

    proptest! {
        #[test]
        fn order_is_kept_whatever_changes(
            arrivals in arrivals(),
            at in 0usize..200,
            seed in any::<u64>(),
        ) {
            let before = settings("rate=3M,delay=20ms,jitter=15ms,queue=50ms,loss=5%,duplicate=5%");
            let after = settings("rate=20M,delay=2ms,jitter=1ms,loss=5%");
            let mut it = Direction::new(before, seed, false);
            let out = play(&mut it, &arrivals, Some((at, &after)));
            prop_assert!(out.is_sorted_by_key(|out| out.0));
            prop_assert!(out.is_sorted_by_key(|out| out.1));
            prop_assert_eq!(it.counts().reordered, 0);
            assert_nothing_vanished(&it);
        }

        #[test]
        fn never_faster_than_the_rate_nor_longer_queued_than_allowed(
            arrivals in arrivals(),
            rate in 200_000u64..5_000_000,
            queue_ms in 0u64..200,
        ) {
            let mut it = direction(&format!("rate={rate},queue={queue_ms}ms"));
            let out = play(&mut it, &arrivals, None);
            for pair in out.windows(2) {
                let gap = pair[1].0 - pair[0].0;
                let least = transmission(pair[1].2, Some(rate));
                prop_assert!(gap + Duration::from_nanos(2) >= least, "{gap:?} < {least:?}");
            }
            for &(left, number, len) in &out {
                let (entered, _) = arrivals[number as usize];
                let most = Duration::from_millis(queue_ms) + transmission(len, Some(rate));
                prop_assert!(left - entered <= most + Duration::from_micros(1));
            }
            assert_nothing_vanished(&it);
        }

        #[test]
        fn a_seed_gives_the_same_again_and_the_same_losses_at_any_pace(
            arrivals in arrivals(),
            seed in any::<u64>(),
        ) {
            let harm = settings("delay=5ms,jitter=2ms,loss=10%,bursts=2%:30%,duplicate=5%,reorder=5%");
            let again = |arrivals: &[(Duration, usize)]| {
                let mut it = Direction::new(harm, seed, false);
                let out = play(&mut it, arrivals, None);
                assert_nothing_vanished(&it);
                (out, it.counts())
            };
            let (out, counts) = again(&arrivals);
            prop_assert_eq!(&out, &again(&arrivals).0);
            let slower: Vec<(Duration, usize)> =
                arrivals.iter().map(|&(at, len)| (at * 3, len)).collect();
            let sorted = |out: &[(Duration, u32, usize)]| {
                let mut numbers: Vec<u32> = out.iter().map(|out| out.1).collect();
                numbers.sort_unstable();
                numbers
            };
            let (slow_out, slow_counts) = again(&slower);
            prop_assert_eq!(sorted(&out), sorted(&slow_out));
            prop_assert_eq!(counts.lost, slow_counts.lost);
        }
    }
}
