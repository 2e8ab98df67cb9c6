//! Feedback messages (RFC 4585 section 6, RFC 5104 section 4.3.1, draft-alvestrand-rmcat-remb-03).

use crate::bytes::{u16_at, u32_at};

use super::report::SsrcIter;
use super::transport_feedback::TransportFeedback;
use super::{Header, RtcpPacket, other, payload_specific, transport_layer};

/// Sender and media source in front of every feedback message.
const SOURCES_LEN: usize = 8;
const NACK_ENTRY_LEN: usize = 4;
const FIR_ENTRY_LEN: usize = 8;
/// What marks an application layer feedback message as a REMB.
pub(super) const REMB_MARK: [u8; 4] = *b"REMB";
/// Mark, SSRC count, exponent and mantissa.
const REMB_HEAD_LEN: usize = 8;
pub(super) const REMB_MANTISSA_BITS: u32 = 18;

/// Yields the sequence numbers a NACK asks for, in the order of the packet.
#[derive(Debug, Clone)]
pub struct NackIter<'a> {
    rest: &'a [u8],
    /// Last number given of the entry in front.
    sequence: u16,
    /// What follows it in that entry, bit 0 first.
    mask: u16,
}

impl Iterator for NackIter<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<Self::Item> {
        if self.mask != 0 {
            let gap = self.mask.trailing_zeros() as u16 + 1;
            self.sequence = self.sequence.wrapping_add(gap);
            self.mask = self.mask.checked_shr(u32::from(gap)).unwrap_or(0);
            return Some(self.sequence);
        }
        self.sequence = u16_at(self.rest, 0)?;
        self.mask = u16_at(self.rest, 2)?;
        self.rest = &self.rest[NACK_ENTRY_LEN..];
        Some(self.sequence)
    }
}

/// Yields `(source, sequence number of the command)`.
#[derive(Debug, Clone)]
pub struct FirIter<'a> {
    rest: &'a [u8],
}

impl Iterator for FirIter<'_> {
    type Item = (u32, u8);

    fn next(&mut self) -> Option<Self::Item> {
        let (entry, rest) = self.rest.split_at_checked(FIR_ENTRY_LEN)?;
        self.rest = rest;
        Some((u32_at(entry, 0)?, entry[4]))
    }
}

pub(super) fn parse_transport_layer(header: Header, body: &[u8]) -> Option<RtcpPacket<'_>> {
    let (sender, media) = (u32_at(body, 0)?, u32_at(body, 4)?);
    let control = &body[SOURCES_LEN..];
    match header.count {
        transport_layer::NACK => Some(RtcpPacket::Nack {
            sender,
            media,
            lost: NackIter {
                rest: entries(control, NACK_ENTRY_LEN)?,
                sequence: 0,
                mask: 0,
            },
        }),
        transport_layer::TRANSPORT_FEEDBACK => {
            TransportFeedback::parse(sender, media, control).map(RtcpPacket::TransportFeedback)
        }
        _ => Some(other(header)),
    }
}

pub(super) fn parse_payload_specific(header: Header, body: &[u8]) -> Option<RtcpPacket<'_>> {
    let (sender, media) = (u32_at(body, 0)?, u32_at(body, 4)?);
    let control = &body[SOURCES_LEN..];
    match header.count {
        payload_specific::PLI => Some(RtcpPacket::Pli { sender, media }),
        payload_specific::FIR => Some(RtcpPacket::Fir {
            sender,
            entries: FirIter {
                rest: entries(control, FIR_ENTRY_LEN)?,
            },
        }),
        payload_specific::APPLICATION if control.starts_with(&REMB_MARK) => {
            parse_remb(sender, control)
        }
        _ => Some(other(header)),
    }
}

fn parse_remb(sender: u32, control: &[u8]) -> Option<RtcpPacket<'_>> {
    let packed = u32_at(control, 4)?;
    let [count, ..] = packed.to_be_bytes();
    let exponent = packed >> REMB_MANTISSA_BITS & 0x3f;
    let mantissa = u64::from(packed & ((1 << REMB_MANTISSA_BITS) - 1));
    let bitrate_bps = mantissa << exponent;
    if bitrate_bps >> exponent != mantissa {
        return None;
    }
    Some(RtcpPacket::Remb {
        sender,
        bitrate_bps,
        ssrcs: SsrcIter::new(count, &control[REMB_HEAD_LEN..])?,
    })
}

/// `control` where it is one or more whole entries.
fn entries(control: &[u8], entry_len: usize) -> Option<&[u8]> {
    (!control.is_empty() && control.len().is_multiple_of(entry_len)).then_some(control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::packets;

    #[test]
    fn a_nack_with_a_full_mask_over_the_wrap() {
        let bytes = [
            0x81, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xfe, 0xff, 0xff, 0, 100, 0x80, 0x01,
        ];
        let Some(RtcpPacket::Nack {
            sender: 1,
            media: 2,
            lost,
        }) = packets(&bytes).next()
        else {
            panic!("not read");
        };
        let expected: Vec<u16> = (0..17)
            .map(|gap| 65_534u16.wrapping_add(gap))
            .chain([100, 101, 116])
            .collect();
        assert_eq!(lost.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn feedback_without_entries_is_malformed() {
        for (kind, fmt) in [(205, 0x81), (206, 0x84)] {
            let bytes = [fmt, kind, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
            assert!(packets(&bytes).next().is_none());
        }
        let half_entry = [0x84, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2];
        assert!(packets(&half_entry).next().is_none());
    }

    #[test]
    fn a_full_intra_request() {
        let bytes = [
            0x84, 206, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 7, 0, 0, 0, 0, 0, 0, 3, 8, 0, 0, 0,
        ];
        let Some(RtcpPacket::Fir { sender: 1, entries }) = packets(&bytes).next() else {
            panic!("not read");
        };
        assert_eq!(entries.collect::<Vec<_>>(), [(2, 7), (3, 8)]);
    }

    #[test]
    fn a_bitrate_estimate() {
        // Exponent 3, mantissa 0x30000.
        let bytes = [
            0x8f, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 1, 0x0f, 0, 0, 0, 0,
            0, 9,
        ];
        let Some(RtcpPacket::Remb {
            sender: 1,
            bitrate_bps,
            ssrcs,
        }) = packets(&bytes).next()
        else {
            panic!("not read");
        };
        assert_eq!(bitrate_bps, 0x30000 << 3);
        assert_eq!(ssrcs.collect::<Vec<_>>(), [9]);
    }

    #[test]
    fn a_bitrate_over_64_bits_or_with_too_few_sources_is_malformed() {
        let mut bytes = [
            0x8f, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 0, 0xff, 0xff, 0xff,
        ];
        assert!(packets(&bytes).next().is_none());
        bytes[16..].copy_from_slice(&[1, 0, 0, 1]);
        assert!(packets(&bytes).next().is_none());
        bytes[12] = b'X';
        assert!(matches!(
            packets(&bytes).next(),
            Some(RtcpPacket::Other {
                packet_type: 206,
                fmt: 15
            })
        ));
    }
}
