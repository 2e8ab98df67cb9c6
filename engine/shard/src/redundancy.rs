//! RED (RFC 2198) on its way to a consumer. Its blocks name payload types of the producer's leg, so
//! they are given those of the consumer's; a consumer whose leg has no RED gets the primary block.

use weirgate_packet::payload::red;

use crate::consumer::{Consumer, LegTypes};
use crate::history::{PacketMeta, StoredPacket};

impl Consumer {
    /// Whether its leg has anything for such a packet.
    pub(crate) fn takes(&self, meta: &PacketMeta) -> bool {
        meta.is_red || self.payload_types(meta.payload_type).is_some()
    }

    /// The packet as its leg can carry it, and the payload types it has there; `None` where it can
    /// not.
    pub(crate) fn for_its_leg<'a>(
        &self,
        mut packet: StoredPacket<'a>,
    ) -> Option<(StoredPacket<'a>, LegTypes)> {
        if let Some(types) = self.payload_types(packet.meta.payload_type) {
            return Some((packet, types));
        }
        if !packet.meta.is_red {
            return None;
        }
        let primary;
        (primary, packet.payload) = red::primary(packet.payload)?;
        Some((packet, self.payload_types(primary)?))
    }

    /// Gives the blocks of a redundant payload that is written already the payload types of its leg.
    /// Blocks that are not understood, such as encrypted ones, go as they are.
    pub(crate) fn renumber_blocks(&self, meta: &PacketMeta, payload: &mut [u8]) {
        if self.payload_types(meta.payload_type).is_some() {
            red::rewrite(payload, |block| Some(self.payload_types(block)?.media));
        }
    }
}
