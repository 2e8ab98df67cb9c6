//! Whose a received packet is: found by its SSRC, else by RID, MID or payload type, and remembered.

use weirgate_packet::rtp::RtpPacket;
use weirgate_wire::ExtensionKind;

use crate::inbound::Inbound;
use crate::shard::Shard;
use crate::source::Source;
use crate::transport::{StreamRef, Transport};

/// What names a packet's stream, beside its SSRC.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct StreamNames<'a> {
    mid: Option<&'a [u8]>,
    rid: Option<&'a [u8]>,
    repaired_rid: Option<&'a [u8]>,
    pub(crate) transport_sequence: Option<u16>,
}

impl<'a> StreamNames<'a> {
    pub(crate) fn read(packet: &RtpPacket<'a>, transport: &Transport) -> Self {
        let mut names = Self::default();
        for (id, data) in packet.extensions() {
            match transport.extensions.kind_of(id) {
                Some(ExtensionKind::Mid) => names.mid = Some(data),
                Some(ExtensionKind::Rid) => names.rid = Some(data),
                Some(ExtensionKind::RepairedRid) => names.repaired_rid = Some(data),
                Some(ExtensionKind::TransportWideCc) => {
                    names.transport_sequence = data.try_into().ok().map(u16::from_be_bytes);
                }
                _ => {}
            }
        }
        names
    }
}

impl Shard {
    /// Finds whose an authentic packet with a new SSRC is, and remembers it.
    pub(crate) fn resolve_stream(
        &mut self,
        index: u32,
        packet: &RtpPacket<'_>,
        names: StreamNames<'_>,
    ) -> Option<StreamRef> {
        let limit = self.config.limits.ssrcs_per_transport;
        let transport = self.transports.get_mut(index as usize)?;
        if transport.streams.len() >= limit {
            self.counters.ssrcs_refused += 1;
            return None;
        }
        let (source_index, encoding, rtx) = transport.producers.iter().find_map(|&candidate| {
            let source = self.sources.get(candidate as usize)?;
            let (encoding, rtx) = match_source(source, packet, names)?;
            Some((candidate, encoding, rtx))
        })?;
        let stream = StreamRef {
            ssrc: packet.ssrc(),
            source: source_index,
            encoding: encoding as u8,
            rtx,
        };
        transport.streams.push(stream);
        let source = self.sources.get_mut(source_index as usize)?;
        adopt_ssrc(source, encoding, rtx, packet);
        Some(stream)
    }
}

/// Which stream of the producer a packet is: `(encoding, is RTX)`. By RID where the packet has
/// one, else by MID or, where neither was signaled, by payload type alone.
fn match_source(
    source: &Source,
    packet: &RtpPacket<'_>,
    names: StreamNames<'_>,
) -> Option<(usize, bool)> {
    let encodings = &source.config.encodings;
    let ssrc = Some(packet.ssrc());
    if let Some(index) = encodings.iter().position(|encoding| encoding.ssrc == ssrc) {
        return Some((index, false));
    }
    if let Some(index) = encodings
        .iter()
        .position(|encoding| encoding.rtx_ssrc == ssrc)
    {
        return Some((index, true));
    }
    if let (Some(mid), Some(own)) = (names.mid, &source.config.mid)
        && mid != own.as_bytes()
    {
        return None;
    }
    let is_media = source.codec(packet.payload_type()).is_some();
    let is_rtx = source.rtx_codec(packet.payload_type()).is_some();
    if !is_media && !is_rtx {
        return None;
    }
    let rid = if is_rtx {
        names.repaired_rid.or(names.rid)
    } else {
        names.rid
    };
    if let Some(rid) = rid {
        let by_rid = encodings.iter().position(|encoding| {
            encoding
                .rid
                .as_ref()
                .is_some_and(|own| own.as_bytes() == rid)
        });
        return by_rid.map(|index| (index, is_rtx));
    }
    // Without a RID only a single stream can be meant; a signaled SSRC is overruled by MID alone.
    let [only] = encodings.as_slice() else {
        return None;
    };
    let by_mid = names.mid.is_some() && source.config.mid.is_some();
    (by_mid || (only.ssrc.is_none() && only.rid.is_none())).then_some((0, is_rtx))
}

/// Gives the receiving side of a stream its SSRC.
fn adopt_ssrc(source: &mut Source, index: usize, rtx: bool, packet: &RtpPacket<'_>) {
    let ssrc = packet.ssrc();
    let codec = source
        .codec(packet.payload_type())
        .or(source.config.codecs.first())
        .cloned();
    let Some(encoding) = source.encodings.get_mut(index) else {
        return;
    };
    match &mut encoding.inbound {
        Some(inbound) if rtx => inbound.rtx_ssrc = Some(ssrc),
        Some(_) => {}
        None if rtx => {}
        slot @ None => {
            let (clock_rate, nack) = codec.map_or((90_000, false), |codec| {
                (codec.clock_rate, codec.feedback.nack)
            });
            let rtx_ssrc = source
                .config
                .encodings
                .get(index)
                .and_then(|config| config.rtx_ssrc);
            *slot = Some(Inbound::new(ssrc, rtx_ssrc, clock_rate, nack));
        }
    }
}
