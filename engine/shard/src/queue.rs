//! What waits to leave by one transport: descriptors in three lanes. Audio is never held back;
//! repairs go before video, and both under the pacer's budget.

use std::collections::VecDeque;

use weirgate_wire::MediaKind;

use crate::equal_sizes;
use crate::net::TxBatch;

/// Something to be sent by a transport: made into a packet when it leaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Departure {
    pub(crate) consumer: u32,
    pub(crate) encoding: u8,
    /// About as many bytes as the packet will have.
    pub(crate) bytes: u16,
    /// Extended sequence number in the source stream.
    pub(crate) sequence: u64,
}

/// About what a packet with that much payload takes.
pub(crate) fn queued_bytes(payload_len: usize) -> u16 {
    const OVERHEAD_BYTES: usize = 44;
    (payload_len + OVERHEAD_BYTES).min(usize::from(u16::MAX)) as u16
}

/// In the order they are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Audio,
    Repair,
    Video,
}

impl Lane {
    const ALL: [Self; 3] = [Self::Audio, Self::Repair, Self::Video];

    /// That of what leaves for the first time.
    pub(crate) const fn of(kind: MediaKind) -> Self {
        match kind {
            MediaKind::Audio => Self::Audio,
            MediaKind::Video => Self::Video,
        }
    }
}

/// Audio and repairs have this share of the room that video has.
const SMALL_LANE_DIVISOR: usize = 4;
/// Room that a lane has from its first packet: what most legs ever have waiting, so that it does not
/// grow in the middle of a call.
const FIRST_ROOM: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    lanes: [VecDeque<Departure>; Lane::ALL.len()],
    /// Of repairs and video.
    paced_bytes: u64,
}

impl SendQueue {
    /// False where the lane is full; `limit` is that of video.
    #[inline]
    pub(crate) fn push(&mut self, lane: Lane, departure: Departure, limit: usize) -> bool {
        let limit = match lane {
            Lane::Video => limit,
            Lane::Audio | Lane::Repair => limit / SMALL_LANE_DIVISOR,
        };
        let queue = &mut self.lanes[lane as usize];
        if queue.len() >= limit {
            return false;
        }
        if queue.capacity() == 0 {
            queue.reserve(FIRST_ROOM);
        }
        queue.push_back(departure);
        if lane != Lane::Audio {
            self.paced_bytes += u64::from(departure.bytes);
        }
        true
    }

    #[inline]
    pub(crate) fn front(&self, lane: Lane) -> Option<Departure> {
        self.lanes[lane as usize].front().copied()
    }

    #[inline]
    pub(crate) fn pop(&mut self, lane: Lane) {
        let queue = &mut self.lanes[lane as usize];
        let Some(departure) = queue.pop_front() else {
            return;
        };
        if queue.is_empty() {
            // Begins anew at the front of its memory: what is used of it stays in the caches.
            queue.clear();
        }
        if lane != Lane::Audio {
            self.paced_bytes = self.paced_bytes.saturating_sub(u64::from(departure.bytes));
        }
    }

    /// Bytes that wait for the pacer.
    pub(crate) const fn paced_bytes(&self) -> u64 {
        self.paced_bytes
    }

    /// Bytes of repairs that wait.
    pub(crate) fn repair_bytes(&self) -> u64 {
        let repairs = self.lanes[Lane::Repair as usize].iter();
        repairs.map(|departure| u64::from(departure.bytes)).sum()
    }

    /// Has the longer of the first two packets of audio go first, where they are of two streams: the
    /// shorter can then be the last of its train.
    pub(crate) fn pair_audio(&mut self) {
        let audio = &mut self.lanes[Lane::Audio as usize];
        if let (Some(first), Some(second)) = (audio.front(), audio.get(1))
            && second.bytes > first.bytes
            && second.consumer != first.consumer
        {
            audio.swap(0, 1);
        }
    }

    /// Packets that wait for the pacer.
    pub(crate) fn paced_len(&self) -> usize {
        self.lanes[Lane::Repair as usize].len() + self.lanes[Lane::Video as usize].len()
    }

    /// By how many bytes the longest of the video that may leave with its first packet is over
    /// that: see [`equal_sizes::lead`].
    pub(crate) fn lead(&self, room_bytes: u64) -> usize {
        let video = &self.lanes[Lane::Video as usize];
        let longest_train = video.iter().take(usize::from(TxBatch::MAX_SEGMENTS));
        equal_sizes::lead(longest_train.map(|departure| departure.bytes), room_bytes)
    }

    pub(crate) fn len(&self) -> usize {
        self.lanes.iter().map(VecDeque::len).sum()
    }

    /// Takes everything out; how many there were.
    pub(crate) fn clear(&mut self) -> usize {
        let len = self.len();
        self.lanes.iter_mut().for_each(VecDeque::clear);
        self.paced_bytes = 0;
        len
    }

    /// Takes a consumer's packets out; how many there were.
    pub(crate) fn remove(&mut self, consumer: u32) -> usize {
        let before = self.len();
        for lane in &mut self.lanes {
            lane.retain(|departure| departure.consumer != consumer);
        }
        let paced = [Lane::Repair, Lane::Video].map(|lane| &self.lanes[lane as usize]);
        let paced = paced.into_iter().flatten();
        self.paced_bytes = paced.map(|departure| u64::from(departure.bytes)).sum();
        before - self.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn departure(consumer: u32, bytes: u16) -> Departure {
        Departure {
            consumer,
            encoding: 0,
            bytes,
            sequence: 0,
        }
    }

    #[test]
    fn audio_does_not_count_among_what_is_paced() {
        let mut queue = SendQueue::default();
        assert!(queue.push(Lane::Video, departure(1, 1_000), 8));
        assert!(queue.push(Lane::Audio, departure(2, 100), 8));
        assert!(queue.push(Lane::Repair, departure(1, 500), 8));
        assert_eq!(queue.paced_bytes(), 1_500);
        queue.pop(Lane::Repair);
        assert_eq!(queue.paced_bytes(), 1_000);
        assert_eq!(queue.remove(1), 1);
        assert_eq!((queue.paced_bytes(), queue.len()), (0, 1));
    }

    #[test]
    fn audio_is_paired_but_keeps_the_order_of_a_stream() {
        let mut queue = SendQueue::default();
        for (consumer, bytes) in [(1, 90), (1, 100), (2, 110)] {
            assert!(queue.push(Lane::Audio, departure(consumer, bytes), 16));
        }
        let mut left = Vec::new();
        while let Some(first) = queue.front(Lane::Audio) {
            left.push((first.consumer, first.bytes));
            queue.pop(Lane::Audio);
            queue.pair_audio();
        }
        assert_eq!(left, [(1, 90), (2, 110), (1, 100)]);
    }

    #[test]
    fn a_full_lane_leaves_room_in_the_others() {
        let mut queue = SendQueue::default();
        while queue.push(Lane::Video, departure(1, 10), 8) {}
        assert_eq!(queue.len(), 8);
        assert!(queue.push(Lane::Audio, departure(1, 10), 8));
        assert!(queue.push(Lane::Audio, departure(1, 10), 8));
        assert!(!queue.push(Lane::Audio, departure(1, 10), 8));
    }
}
