//! The packets of one source stream, in the clear, shared by all its consumers on the shard: what
//! departures are made from and NACKs are answered from. Fixed memory: a ring of descriptors by
//! sequence number, and a ring of bytes.

use weirgate_layers::PacketLayers;
use weirgate_packet::rtp::RtpPacket;
use weirgate_wire::{ExtensionIds, ExtensionKind};

use crate::Timestamp;

/// Extensions that travel with a packet to the consumers; the others are written anew per leg.
const CARRIED: [ExtensionKind; 5] = [
    ExtensionKind::AudioLevel,
    ExtensionKind::VideoOrientation,
    ExtensionKind::TimeOffset,
    ExtensionKind::AbsCaptureTime,
    ExtensionKind::PlayoutDelay,
];

/// The most bytes of carried extensions kept per packet.
const MAX_CARRIED_BYTES: usize = 64;

/// What is known of a packet beside its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PacketMeta {
    /// Extended sequence number in the source stream, counted on over restarts of the source.
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) arrival: Timestamp,
    pub(crate) payload_type: u8,
    /// Redundant audio (RFC 2198), whose payload names payload types.
    pub(crate) is_red: bool,
    /// Opus that says no more than that there is silence.
    pub(crate) is_dtx: bool,
    pub(crate) layers: PacketLayers,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    meta: PacketMeta,
    /// Position of the bytes in the endless stream written to the byte ring.
    position: u64,
    /// The same in the ring.
    start: u32,
    carried_len: u16,
    payload_len: u16,
}

/// A packet as it lies in the history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredPacket<'a> {
    pub(crate) meta: &'a PacketMeta,
    pub(crate) payload: &'a [u8],
    carried: &'a [u8],
}

impl<'a> StoredPacket<'a> {
    /// Extensions that travel with the packet.
    pub(crate) fn carried(&self) -> impl Iterator<Item = (ExtensionKind, &'a [u8])> {
        let mut rest = self.carried;
        std::iter::from_fn(move || {
            let (&[kind, len], tail) = rest.split_first_chunk::<2>()?;
            let (data, tail) = tail.split_at_checked(usize::from(len))?;
            rest = tail;
            Some((*ExtensionKind::ALL.get(usize::from(kind))?, data))
        })
    }
}

#[derive(Debug)]
pub(crate) struct History {
    slots: Box<[Option<Slot>]>,
    bytes: Box<[u8]>,
    /// Bytes ever written, skipped ends of the ring included.
    written: u64,
    highest: Option<u64>,
}

impl History {
    /// `packets` is rounded up to a power of two; `bytes` are under 2^32.
    pub(crate) fn new(packets: usize, bytes: usize) -> Self {
        Self {
            slots: vec![None; packets.next_power_of_two()].into_boxed_slice(),
            bytes: vec![0; bytes].into_boxed_slice(),
            written: 0,
            highest: None,
        }
    }

    /// Highest sequence stored.
    pub(crate) fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// Keeps a packet; false where it is a duplicate, too old, or too large.
    pub(crate) fn store(
        &mut self,
        meta: PacketMeta,
        packet: &RtpPacket<'_>,
        ids: &ExtensionIds,
    ) -> bool {
        let window = self.slots.len() as u64;
        if self
            .highest
            .is_some_and(|highest| meta.sequence + window <= highest)
        {
            return false;
        }
        let index = self.index(meta.sequence);
        if self.slots[index].is_some_and(|slot| slot.meta.sequence == meta.sequence) {
            return false;
        }
        let mut carried = [0; MAX_CARRIED_BYTES];
        let carried_len = encode_carried(packet, ids, &mut carried);
        let payload = packet.payload();
        let total = carried_len + payload.len();
        let Some(position) = self.reserve(total) else {
            return false;
        };
        let start = (position % self.bytes.len() as u64) as usize;
        self.bytes[start..start + carried_len].copy_from_slice(&carried[..carried_len]);
        self.bytes[start + carried_len..start + total].copy_from_slice(payload);
        self.slots[index] = Some(Slot {
            meta,
            position,
            start: start as u32,
            carried_len: carried_len as u16,
            payload_len: payload.len() as u16,
        });
        self.highest = Some(self.highest.map_or(meta.sequence, |h| h.max(meta.sequence)));
        true
    }

    /// The packet with that sequence, while it is kept.
    #[inline]
    pub(crate) fn get(&self, sequence: u64) -> Option<StoredPacket<'_>> {
        let slot = self.slots[self.index(sequence)].as_ref()?;
        if slot.meta.sequence != sequence || self.written - slot.position > self.bytes.len() as u64
        {
            return None;
        }
        let (start, carried_len) = (slot.start as usize, usize::from(slot.carried_len));
        let len = carried_len + usize::from(slot.payload_len);
        let (carried, payload) = self.bytes[start..start + len].split_at(carried_len);
        Some(StoredPacket {
            meta: &slot.meta,
            carried,
            payload,
        })
    }

    fn index(&self, sequence: u64) -> usize {
        sequence as usize & (self.slots.len() - 1)
    }

    /// Room for `len` bytes in one piece; what was there is lost.
    fn reserve(&mut self, len: usize) -> Option<u64> {
        let size = self.bytes.len();
        if len > size {
            return None;
        }
        let offset = (self.written % size as u64) as usize;
        if offset + len > size {
            self.written += (size - offset) as u64;
        }
        let position = self.written;
        self.written += len as u64;
        Some(position)
    }
}

fn encode_carried(packet: &RtpPacket<'_>, ids: &ExtensionIds, out: &mut [u8]) -> usize {
    let mut len = 0;
    for (id, data) in packet.extensions() {
        let Some(kind) = ids.kind_of(id).filter(|kind| CARRIED.contains(kind)) else {
            continue;
        };
        let Some(room) = out.get_mut(len..len + 2 + data.len()) else {
            continue;
        };
        room[0] = kind as u8;
        room[1] = data.len() as u8;
        room[2..].copy_from_slice(data);
        len += 2 + data.len();
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(sequence: u64) -> PacketMeta {
        PacketMeta {
            sequence,
            timestamp: sequence as u32 * 3,
            arrival: Timestamp::from_micros(1),
            payload_type: 100,
            is_red: false,
            is_dtx: false,
            layers: PacketLayers::default(),
        }
    }

    fn packet(fill: u8, len: usize) -> Vec<u8> {
        let mut bytes = vec![0x80, 100, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9];
        bytes.extend(std::iter::repeat_n(fill, len));
        bytes
    }

    fn store(history: &mut History, sequence: u64, len: usize) -> bool {
        let bytes = packet(sequence as u8, len);
        let packet = RtpPacket::parse(&bytes).unwrap();
        history.store(meta(sequence), &packet, &ExtensionIds::default())
    }

    #[test]
    fn whatever_is_given_back_is_what_was_stored() {
        let mut history = History::new(64, 1000);
        for sequence in 0..1000u64 {
            let len = 10 + (sequence as usize * 7) % 90;
            assert!(store(&mut history, sequence, len));
            let mut kept = 0;
            for old in 0..=sequence {
                if let Some(stored) = history.get(old) {
                    assert_eq!(stored.payload.len(), 10 + (old as usize * 7) % 90);
                    assert!(stored.payload.iter().all(|&byte| byte == old as u8));
                    kept += 1;
                }
            }
            assert!(kept >= (sequence + 1).min(8), "{kept} kept at {sequence}");
        }
    }

    #[test]
    fn duplicates_and_what_is_too_old_are_refused() {
        let mut history = History::new(16, 1000);
        assert!(store(&mut history, 100, 10));
        assert!(!store(&mut history, 100, 10));
        assert!(store(&mut history, 90, 10));
        assert!(!store(&mut history, 84, 10));
        assert!(!store(&mut history, 101, 2000));
    }
}
