//! Tags of packets that leave together.

use std::fmt;

use crate::cipher::{HmacSha1, Lanes, MAX_LANES, Message, Tag, Untagged};

/// Packets that wait at most: so many that groups of lanes fill up, and so few that their bytes
/// are still in the second-level cache.
const CAPACITY: usize = 64;

/// Packets already encrypted whose HMAC-SHA1 tags are still to be written, in one arena. Several
/// tags are made at once, in SIMD lanes, whatever keys and lengths the packets have.
///
/// Packets come in by [`crate::Sealer::seal_rtp_in_batch`]. Where this CPU has no lanes that pay
/// nothing waits here.
pub struct TagBatch {
    lanes: Option<Lanes>,
    pending: Box<[Pending]>,
    /// How many of `pending` there are.
    len: usize,
    /// Length of each packet, and its place in `pending`.
    order: Vec<(u16, u16)>,
}

#[derive(Default)]
struct Pending {
    offset: usize,
    len: usize,
    tag_len: usize,
    rollover_counter: [u8; 4],
    hmac: HmacSha1,
}

impl TagBatch {
    /// An empty batch. All it ever needs is allocated here.
    pub fn new() -> Self {
        let lanes = Lanes::new();
        let capacity = if lanes.is_some() { CAPACITY } else { 0 };
        Self {
            lanes,
            pending: (0..capacity).map(|_| Pending::default()).collect(),
            len: 0,
            order: Vec::with_capacity(capacity),
        }
    }

    /// Packets that wait for their tags.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True where no packet waits.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// True where another packet can wait. One that can not is tagged at once, alone and so more
    /// slowly: better [`Self::finish`] first.
    #[inline]
    pub const fn has_room(&self) -> bool {
        self.len < self.pending.len()
    }

    /// Writes all tags. `arena` is what the packets' offsets are in.
    pub fn finish(&mut self, arena: &mut [u8]) {
        let Some(lanes) = self.lanes else { return };
        let pending = &self.pending[..self.len];
        self.order.clear();
        let lengths = pending.iter().map(|pending| pending.len as u16);
        self.order.extend(lengths.zip(0..));
        // Lanes take as long as the longest packet in them, so equal ones go together.
        self.order.sort_unstable();
        for group in self.order.chunks(lanes.count()) {
            if lanes.pay_for(group.iter().map(|&(len, _)| usize::from(len))) {
                write_tags(lanes, pending, group, arena);
                continue;
            }
            for &(_, place) in group {
                let pending = &pending[usize::from(place)];
                let tag = pending.hmac.tag_message(&pending.message(arena));
                pending.write(&tag, arena);
            }
        }
        self.len = 0;
    }

    #[inline]
    pub(crate) fn push(&mut self, offset: usize, len: usize, untagged: Untagged<'_>) {
        let Some(pending) = self.pending.get_mut(self.len) else {
            return;
        };
        pending.offset = offset;
        pending.len = len;
        pending.tag_len = untagged.tag_len;
        pending.rollover_counter = untagged.rollover_counter;
        pending.hmac.copy_from(untagged.hmac);
        self.len += 1;
    }
}

/// Writes the tags of as many packets as there are lanes, or fewer.
fn write_tags(lanes: Lanes, pending: &[Pending], group: &[(u16, u16)], arena: &mut [u8]) {
    let unused = Pending::default();
    let packets: [&Pending; MAX_LANES] = std::array::from_fn(|lane| match group.get(lane) {
        Some(&(_, place)) => &pending[usize::from(place)],
        None => &unused,
    });
    let messages = packets.map(|packet| (&packet.hmac, packet.message(arena)));
    let tags = lanes.tags(&messages[..group.len()]);
    for (packet, tag) in packets[..group.len()].iter().zip(&tags) {
        packet.write(tag, arena);
    }
}

impl Pending {
    /// What the tag is over.
    #[inline]
    fn message<'a>(&self, arena: &'a [u8]) -> Message<'a> {
        let packet = arena.get(self.offset..self.offset + self.len);
        Message::new(packet.unwrap_or_default(), self.rollover_counter)
    }

    #[inline]
    fn write(&self, tag: &Tag, arena: &mut [u8]) {
        let from = self.offset + self.len;
        if let Some(place) = arena.get_mut(from..from + self.tag_len) {
            place.copy_from_slice(&tag[..self.tag_len]);
        }
    }
}

impl Default for TagBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TagBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys must never reach a log.
        f.debug_struct("TagBatch")
            .field("lanes", &self.lanes)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}
