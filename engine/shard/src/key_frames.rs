//! Asking one source stream for key frames: merged, rate-limited, asked again when none comes.
//!
//! A key frame is dear: senders drop pictures after each one and make all others worse. So whoever has
//! a picture meanwhile waits for its turn, and so does a receiver that asks for one after the other.

use std::time::Duration;

use weirgate_wire::{MediaKind, TraceDirection, TraceInfo};

use crate::consumer::Consumer;
use crate::shard::Shard;
use crate::{CrossingKind, Timestamp};

/// Least time between two requests, unless the producer says otherwise.
pub(crate) const DEFAULT_INTERVAL: Duration = Duration::from_millis(500);
/// A request is repeated when no key frame came for this long.
const REPEAT: Duration = Duration::from_millis(1000);
const MAX_REPEATS: u8 = 5;
/// Key frames for those who have a picture meanwhile come this far apart on average.
const PATIENCE: Duration = Duration::from_secs(3);
/// After a time without any, the second one need not wait: who just joined gets better soon.
const CREDIT: Duration = PATIENCE;
/// A receiver that asks gets key frames at once as long as they are this far apart on average.
const ASK: Duration = Duration::from_secs(10);
/// After a time without any, this many more at once: what is repaired badly is lost several times.
const ASKS_CREDIT: Duration = Duration::from_secs(30);

/// How soon a key frame is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// Whoever wants it has a picture meanwhile.
    Patient,
    /// Whoever wants it has had many: it is needed, but others' pictures count as much.
    InTurn,
    /// There is no picture, or one that takes more than the path carries.
    Now,
}

impl Urgency {
    pub(crate) const fn of(is_patient: bool) -> Self {
        if is_patient { Self::Patient } else { Self::Now }
    }
}

/// What one receiver has asked for, so that it does not make everybody's pictures worse all the time.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    /// The key frames it got at once are paid for by then.
    paid_at: Timestamp,
}

impl Asks {
    /// It asks; `is_awaited` where a key frame is on its way, which costs nobody another one.
    fn urgency(&mut self, now: Timestamp, is_awaited: bool) -> Urgency {
        if is_awaited {
            return Urgency::Now;
        }
        if self.paid_at > now + ASKS_CREDIT {
            return Urgency::InTurn;
        }
        self.paid_at = self.paid_at.max(now) + ASK;
        Urgency::Now
    }
}

#[derive(Debug, Default)]
pub(crate) struct KeyFrameRequests {
    last_sent: Timestamp,
    /// Something is still waiting for a key frame.
    wanted: Option<Urgency>,
    repeats: u8,
    /// The key frames that came are paid for by then.
    paid_at: Timestamp,
    /// One begins with the packet at hand: none need be asked for.
    is_here: bool,
}

impl KeyFrameRequests {
    /// Somebody wants a key frame.
    pub(crate) fn want(&mut self, urgency: Urgency) {
        self.wanted = self.wanted.max(Some(urgency));
        self.repeats = 0;
    }

    /// Nobody does any more.
    fn give_up(&mut self) {
        self.wanted = None;
    }

    /// Somebody wants a key frame of a stream of another shard: false where that has been told
    /// just now and none has come since.
    fn pass_on(&mut self, now: Timestamp, urgency: Urgency) -> bool {
        let is_told = self.wanted >= Some(urgency) && now.since(self.last_sent) < DEFAULT_INTERVAL;
        self.wanted = self.wanted.max(Some(urgency));
        if !is_told {
            self.last_sent = now;
        }
        !is_told
    }

    /// A key frame began.
    pub(crate) fn came(&mut self, now: Timestamp) {
        self.wanted = None;
        // However many came for others, the next turn is no further away than usual.
        let latest = now + CREDIT + PATIENCE;
        self.paid_at = (self.paid_at.max(now) + PATIENCE).min(latest);
    }

    /// When to call [`Self::take`] next.
    pub(crate) fn due(&self, interval: Duration) -> Timestamp {
        let Some(urgency) = self.wanted else {
            return Timestamp::NEVER;
        };
        let next = match (self.last_sent, self.repeats) {
            (Timestamp::ZERO, _) => Timestamp::ZERO,
            (last_sent, 0) => last_sent + interval,
            (last_sent, _) => last_sent + REPEAT.max(interval),
        };
        match urgency {
            Urgency::Now => next,
            Urgency::Patient | Urgency::InTurn => {
                let credit_us = CREDIT.as_micros() as u64;
                let paid_us = self.paid_at.as_micros().saturating_sub(credit_us);
                next.max(Timestamp::from_micros(paid_us))
            }
        }
    }

    /// True where a request is to be sent now.
    pub(crate) fn take(&mut self, now: Timestamp, interval: Duration) -> bool {
        if self.due(interval) > now {
            return false;
        }
        self.last_sent = now;
        self.repeats += 1;
        if self.repeats > MAX_REPEATS {
            self.wanted = None;
        }
        true
    }
}

impl Shard {
    /// Asks, once, for the key frame a consumer begins or goes on with, if it needs one.
    pub(crate) fn start_consumer(&mut self, now: Timestamp, index: u32) {
        let waits = self.waits_for_key_frame(index);
        let Some(consumer) = self.consumers.get_mut(index as usize) else {
            return;
        };
        if !waits {
            consumer.asked_for = None;
            return;
        }
        let urgency = consumer.urgency();
        let wish = Some(Wish {
            encoding: consumer.target_encoding(),
            spatial: consumer.target.spatial,
            urgency,
        });
        if std::mem::replace(&mut consumer.asked_for, wish) != wish {
            self.want_key_frame_for(now, index, urgency);
        }
    }

    /// Asks once more for a key frame that has not come.
    pub(crate) fn restart_consumer(&mut self, now: Timestamp, index: u32) {
        let is_asked = self.consumers.get(index as usize).is_some_and(|consumer| {
            let source = self.sources.get(consumer.source as usize);
            source
                .filter(|source| source.origin.is_none())
                .and_then(|source| {
                    source
                        .encodings
                        .get(usize::from(consumer.target_encoding()))
                })
                .is_some_and(|stream| stream.key_frames.wanted.is_some())
        });
        let urgency = self.consumers.get(index as usize).map(Consumer::urgency);
        if let Some(urgency) = urgency
            && !is_asked
            && self.waits_for_key_frame(index)
        {
            self.want_key_frame_for(now, index, urgency);
        }
    }

    fn waits_for_key_frame(&self, index: u32) -> bool {
        self.consumers.get(index as usize).is_some_and(|consumer| {
            self.sources
                .get(consumer.source as usize)
                .is_some_and(|source| consumer.waits_for_key_frame(source))
                && self.can_send(consumer.transport)
        })
    }

    /// A receiver, or who speaks for it, asks for a key frame.
    pub(crate) fn ask_key_frame_for(&mut self, now: Timestamp, index: u32) {
        let Some(consumer) = self.consumers.get_mut(index as usize) else {
            return;
        };
        let encoding = consumer.target_encoding();
        let Some(source) = self.sources.get(consumer.source as usize) else {
            return;
        };
        let stream = source.encodings.get(usize::from(encoding));
        let is_awaited = stream.is_some_and(|it| it.key_frames.wanted == Some(Urgency::Now));
        if !consumer.is_idle(source) {
            let urgency = consumer.asks.urgency(now, is_awaited);
            self.want_key_frame_for(now, index, urgency);
        }
    }

    /// A consumer needs a key frame.
    fn want_key_frame_for(&mut self, now: Timestamp, index: u32, urgency: Urgency) {
        let Some(consumer) = self.consumers.get(index as usize) else {
            return;
        };
        let Some(source) = self.sources.get(consumer.source as usize) else {
            return;
        };
        if consumer.kind == MediaKind::Video && !consumer.is_idle(source) {
            self.want_key_frame(now, consumer.source, consumer.target_encoding(), urgency);
        }
    }

    /// Tells whether a key frame of a stream begins with the packet at hand.
    pub(crate) fn key_frame_is_here(&mut self, index: u32, encoding: u8, is_here: bool) {
        if let Some(source) = self.sources.get_mut(index as usize)
            && let Some(stream) = source.encodings.get_mut(usize::from(encoding))
        {
            stream.key_frames.is_here = is_here;
        }
    }

    /// Somebody on this shard, or another, needs a key frame of a stream.
    pub(crate) fn want_key_frame(
        &mut self,
        now: Timestamp,
        index: u32,
        encoding: u8,
        urgency: Urgency,
    ) {
        let Some(source) = self.sources.get_mut(index as usize) else {
            return;
        };
        let Some(stream) = source.encodings.get_mut(usize::from(encoding)) else {
            return;
        };
        if stream.key_frames.is_here {
            return;
        }
        if let Some(origin) = source.origin {
            if !stream.key_frames.pass_on(now, urgency) {
                return;
            }
            let kind = CrossingKind::KeyFrameRequest {
                source: source.no,
                encoding,
                is_patient: urgency < Urgency::Now,
            };
            if !self.port.send(origin, kind, &[]) {
                self.counters.crossings_dropped += 1;
            }
            return;
        }
        stream.key_frames.want(urgency);
        let transport = source.transport;
        let due = self.request_key_frame(now, index, encoding);
        if let Some(transport) = transport {
            self.schedule(transport, due);
        }
    }

    /// False where those who asked and could wait have something else by now.
    fn is_key_frame_needed(&self, index: u32, encoding: u8) -> bool {
        let Some(source) = self.sources.get(index as usize) else {
            return false;
        };
        let stream = source.encodings.get(usize::from(encoding));
        let is_patient =
            stream.is_some_and(|stream| stream.key_frames.wanted == Some(Urgency::Patient));
        // Of other shards' consumers nothing is known here.
        !is_patient
            || !source.relays.is_empty()
            || source.consumers.iter().any(|&consumer| {
                self.waits_for_key_frame(consumer)
                    && self
                        .consumers
                        .get(consumer as usize)
                        .is_some_and(|consumer| consumer.target_encoding() == encoding)
            })
    }

    /// Sends a key frame request that is due; when the next may be.
    pub(crate) fn request_key_frame(
        &mut self,
        now: Timestamp,
        index: u32,
        encoding: u8,
    ) -> Timestamp {
        let is_needed = self.is_key_frame_needed(index, encoding);
        let Some(source) = self.sources.get_mut(index as usize) else {
            return Timestamp::NEVER;
        };
        let interval = source.key_frame_interval();
        let feedback = source
            .config
            .codecs
            .first()
            .map(|codec| codec.feedback)
            .unwrap_or_default();
        let (Some(transport), Some(stream)) = (
            source.transport,
            source.encodings.get_mut(usize::from(encoding)),
        ) else {
            return Timestamp::NEVER;
        };
        let Some(inbound) = &mut stream.inbound else {
            // Nothing came yet: a stream begins with a key frame.
            return Timestamp::NEVER;
        };
        if !feedback.pli && !feedback.fir {
            return Timestamp::NEVER;
        }
        let due = stream.key_frames.due(interval);
        if due > now {
            return due;
        }
        if !is_needed {
            stream.key_frames.give_up();
            return Timestamp::NEVER;
        }
        stream.key_frames.take(now, interval);
        let due = stream.key_frames.due(interval);
        let media = inbound.ssrc;
        let info = if feedback.pli {
            inbound.plis_sent += 1;
            TraceInfo::Pli { ssrc: media }
        } else {
            inbound.firs_sent += 1;
            TraceInfo::Fir { ssrc: media }
        };
        let fir_sequence = inbound.firs_sent as u8;
        self.counters.key_frame_requests_sent += 1;
        self.send_rtcp(now, transport, |writer, own| {
            if feedback.pli {
                writer.pli(own, media)
            } else {
                writer.fir(own, media, fir_sequence)
            }
        });
        self.trace_producer(now, index, TraceDirection::Out, info);
        due
    }
}

/// What a consumer asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    encoding: u8,
    spatial: u8,
    urgency: Urgency,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_wishes_make_one_request_per_interval() {
        let mut requests = KeyFrameRequests::default();
        let mut sent = 0;
        for ms in 0..1000u64 {
            let now = Timestamp::from_micros(1_000_000 + ms * 1000);
            requests.want(Urgency::Now);
            sent += u32::from(requests.take(now, DEFAULT_INTERVAL));
        }
        assert_eq!(sent, 2);
    }

    /// When requests are sent that somebody wants all the time; each is answered after 100 ms.
    fn sent_within(seconds: u64, urgency: Urgency) -> Vec<u64> {
        let mut requests = KeyFrameRequests::default();
        let mut sent = Vec::new();
        for ms in 0..seconds * 1_000 {
            let now = Timestamp::from_micros(60_000_000 + ms * 1_000);
            if sent.last().is_some_and(|last| last + 100 == ms) {
                requests.came(now);
            }
            requests.want(urgency);
            if requests.take(now, DEFAULT_INTERVAL) {
                sent.push(ms);
            }
        }
        sent
    }

    #[test]
    fn who_has_a_picture_takes_turns() {
        assert_eq!(
            sent_within(10, Urgency::Patient),
            [0, 500, 3_100, 6_100, 9_100]
        );
        assert_eq!(sent_within(10, Urgency::Now).len(), 20);
    }

    #[test]
    fn who_has_none_does_not_wait_for_others() {
        let at = |ms: u64| Timestamp::from_micros(60_000_000 + ms * 1_000);
        let mut requests = KeyFrameRequests::default();
        for ms in [0, 600, 1_200] {
            requests.want(Urgency::Now);
            assert!(requests.take(at(ms), DEFAULT_INTERVAL));
            requests.came(at(ms + 50));
        }
        requests.want(Urgency::Patient);
        assert_eq!(requests.due(DEFAULT_INTERVAL), at(4_250), "of the last");
        requests.want(Urgency::Now);
        requests.want(Urgency::Patient);
        assert_eq!(requests.due(DEFAULT_INTERVAL), at(1_700));
    }

    #[test]
    fn who_asks_all_the_time_takes_turns_too() {
        let mut asks = Asks::default();
        let at_once = |asks: &mut Asks, ms: u64| {
            asks.urgency(Timestamp::from_micros(60_000_000 + ms * 1_000), false) == Urgency::Now
        };
        let granted = |asks: &mut Asks, ms: std::ops::Range<u64>| {
            let times = ms.step_by(500);
            times.filter(|&ms| at_once(asks, ms)).collect::<Vec<_>>()
        };
        assert_eq!(
            granted(&mut asks, 0..20_000),
            [0, 500, 1_000, 1_500, 10_000]
        );
        // What is awaited anyway costs nothing, and all is forgiven in time.
        assert_eq!(
            asks.urgency(Timestamp::from_micros(80_000_000), true),
            Urgency::Now
        );
        assert_eq!(granted(&mut asks, 120_000..122_000).len(), 4);
        assert_eq!(
            sent_within(10, Urgency::InTurn),
            sent_within(10, Urgency::Patient)
        );
    }

    #[test]
    fn a_request_without_an_answer_is_repeated_some_times() {
        let mut requests = KeyFrameRequests::default();
        requests.want(Urgency::Now);
        let mut sent = 0;
        for second in 1..30u64 {
            sent += u32::from(
                requests.take(Timestamp::from_micros(second * 1_000_000), DEFAULT_INTERVAL),
            );
        }
        assert_eq!(sent, u32::from(MAX_REPEATS) + 1);
        requests.want(Urgency::Now);
        requests.came(Timestamp::from_micros(30_000_000));
        assert_eq!(requests.due(DEFAULT_INTERVAL), Timestamp::NEVER);
    }
}
