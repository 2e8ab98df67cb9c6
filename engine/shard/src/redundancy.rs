//! RED (RFC 2198) on its way to a consumer. Its blocks name payload types of the producer's leg, so
//! they are given those of the consumer's; a consumer whose leg has no RED gets the primary block.

use weirgate_packet::payload::red;
use weirgate_wire::Codec;

use crate::consumer::Consumer;
use crate::history::StoredPacket;
use crate::source::Source;

fn is_red(source: &Source, payload_type: u8) -> bool {
    source.is_audio()
        && source
            .codec(payload_type)
            .is_some_and(|codec| codec.codec == Codec::Red)
}

impl Consumer {
    /// Whether its leg has anything for packets of a payload type of the producer's.
    pub(crate) fn takes(&self, source: &Source, payload_type: u8) -> bool {
        self.payload_types(payload_type).is_some() || is_red(source, payload_type)
    }

    /// The packet as its leg can carry it; `None` where it can not.
    pub(crate) fn for_its_leg<'a>(
        &self,
        source: &Source,
        mut packet: StoredPacket<'a>,
    ) -> Option<StoredPacket<'a>> {
        let is_known = self.payload_types(packet.meta.payload_type).is_some();
        if is_known || !is_red(source, packet.meta.payload_type) {
            return Some(packet);
        }
        (packet.meta.payload_type, packet.payload) = red::primary(packet.payload)?;
        Some(packet)
    }

    /// Gives the blocks of a payload that is written already the payload types of its leg. Blocks
    /// that are not understood, such as encrypted ones, go as they are.
    pub(crate) fn renumber_blocks(&self, source: &Source, payload_type: u8, payload: &mut [u8]) {
        if is_red(source, payload_type) {
            red::rewrite(payload, |block| Some(self.payload_types(block)?.0));
        }
    }
}
