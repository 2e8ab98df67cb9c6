//! Asking one source stream for key frames: merged, rate-limited, asked again when none comes.

use std::time::Duration;

use weirgate_wire::{MediaKind, TraceDirection, TraceInfo};

use crate::shard::Shard;
use crate::{CrossingKind, Timestamp};

/// Least time between two requests, unless the producer says otherwise.
pub(crate) const DEFAULT_INTERVAL: Duration = Duration::from_millis(500);
/// A request is repeated when no key frame came for this long.
const REPEAT: Duration = Duration::from_millis(1000);
const MAX_REPEATS: u8 = 5;

#[derive(Debug, Default)]
pub(crate) struct KeyFrameRequests {
    last_sent: Timestamp,
    /// Something is still waiting for a key frame.
    wanted: bool,
    repeats: u8,
}

impl KeyFrameRequests {
    /// Somebody wants a key frame.
    pub(crate) fn want(&mut self) {
        self.wanted = true;
        self.repeats = 0;
    }

    /// Somebody wants a key frame of a stream of another shard: false where that has been told
    /// just now and none has come since.
    fn pass_on(&mut self, now: Timestamp) -> bool {
        let is_told = self.wanted && now.since(self.last_sent) < DEFAULT_INTERVAL;
        self.wanted = true;
        if !is_told {
            self.last_sent = now;
        }
        !is_told
    }

    /// A key frame began.
    pub(crate) fn came(&mut self) {
        self.wanted = false;
    }

    /// When to call [`Self::take`] next.
    pub(crate) fn due(&self, interval: Duration) -> Timestamp {
        if !self.wanted {
            return Timestamp::NEVER;
        }
        if self.last_sent == Timestamp::ZERO {
            return Timestamp::ZERO;
        }
        self.last_sent
            + if self.repeats == 0 {
                interval
            } else {
                REPEAT.max(interval)
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
            self.wanted = false;
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
        let target = Some((consumer.target_encoding(), consumer.target.spatial));
        if std::mem::replace(&mut consumer.asked_for, target) != target {
            self.want_key_frame_for(now, index);
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
                .is_some_and(|stream| stream.key_frames.wanted)
        });
        if !is_asked && self.waits_for_key_frame(index) {
            self.want_key_frame_for(now, index);
        }
    }

    fn waits_for_key_frame(&self, index: u32) -> bool {
        self.consumers.get(index as usize).is_some_and(|consumer| {
            self.sources
                .get(consumer.source as usize)
                .is_some_and(|source| consumer.waits_for_key_frame(source))
                && self.can_send(consumer.transport)
                && !self.overload.sheds(index, consumer.config.priority)
        })
    }

    /// A consumer's decoder needs a key frame.
    pub(crate) fn want_key_frame_for(&mut self, now: Timestamp, index: u32) {
        let Some(consumer) = self.consumers.get(index as usize) else {
            return;
        };
        let Some(source) = self.sources.get(consumer.source as usize) else {
            return;
        };
        if consumer.kind == MediaKind::Video && !consumer.is_idle(source) {
            self.want_key_frame(now, consumer.source, consumer.target_encoding());
        }
    }

    /// Somebody on this shard, or another, needs a key frame of a stream.
    pub(crate) fn want_key_frame(&mut self, now: Timestamp, index: u32, encoding: u8) {
        let Some(source) = self.sources.get_mut(index as usize) else {
            return;
        };
        let Some(stream) = source.encodings.get_mut(usize::from(encoding)) else {
            return;
        };
        if let Some(origin) = source.origin {
            if !stream.key_frames.pass_on(now) {
                return;
            }
            let kind = CrossingKind::KeyFrameRequest {
                source: source.no,
                encoding,
            };
            if !self.port.send(origin, kind, &[]) {
                self.counters.crossings_dropped += 1;
            }
            return;
        }
        stream.key_frames.want();
        let transport = source.transport;
        let due = self.request_key_frame(now, index, encoding);
        if let Some(transport) = transport {
            self.schedule(transport, due);
        }
    }

    /// Sends a key frame request that is due; when the next may be.
    pub(crate) fn request_key_frame(
        &mut self,
        now: Timestamp,
        index: u32,
        encoding: u8,
    ) -> Timestamp {
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
        if !stream.key_frames.take(now, interval) {
            return stream.key_frames.due(interval);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_wishes_make_one_request_per_interval() {
        let mut requests = KeyFrameRequests::default();
        let mut sent = 0;
        for ms in 0..1000u64 {
            let now = Timestamp::from_micros(1_000_000 + ms * 1000);
            requests.want();
            sent += u32::from(requests.take(now, DEFAULT_INTERVAL));
        }
        assert_eq!(sent, 2);
    }

    #[test]
    fn a_request_without_an_answer_is_repeated_some_times() {
        let mut requests = KeyFrameRequests::default();
        requests.want();
        let mut sent = 0;
        for second in 1..30u64 {
            sent += u32::from(
                requests.take(Timestamp::from_micros(second * 1_000_000), DEFAULT_INTERVAL),
            );
        }
        assert_eq!(sent, u32::from(MAX_REPEATS) + 1);
        requests.want();
        requests.came();
        assert_eq!(requests.due(DEFAULT_INTERVAL), Timestamp::NEVER);
    }
}
