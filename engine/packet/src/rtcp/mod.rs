//! RTCP: reports, source descriptions and BYE (RFC 3550), feedback (RFC 4585, RFC 5104), extended
//! reports (RFC 3611), REMB (draft-alvestrand-rmcat-remb) and transport-wide feedback
//! (draft-holmer-rmcat-transport-wide-cc-extensions).

mod extended;
mod feedback;
mod report;
mod transport_feedback;
mod write;
mod write_transport_feedback;

pub use extended::{DlrrIter, DlrrReport, ExtendedBlock, ExtendedBlockIter};
pub use feedback::{FirIter, NackIter};
pub use report::{ReportBlock, ReportIter, SdesIter, SsrcIter};
pub use transport_feedback::{ReceivedIter, StatusIter, TransportFeedback};
pub use write::RtcpWriter;

use crate::bytes::u16_at;

const VERSION: u8 = 2;
const HEADER_LEN: usize = 4;
const COUNT_MASK: u8 = 0x1f;

/// RTCP packet types.
mod packet_type {
    pub(super) const SENDER_REPORT: u8 = 200;
    pub(super) const RECEIVER_REPORT: u8 = 201;
    pub(super) const SDES: u8 = 202;
    pub(super) const BYE: u8 = 203;
    pub(super) const TRANSPORT_LAYER_FEEDBACK: u8 = 205;
    pub(super) const PAYLOAD_SPECIFIC_FEEDBACK: u8 = 206;
    pub(super) const EXTENDED_REPORT: u8 = 207;
}

/// Feedback message types of [`packet_type::TRANSPORT_LAYER_FEEDBACK`].
mod transport_layer {
    pub(super) const NACK: u8 = 1;
    pub(super) const TRANSPORT_FEEDBACK: u8 = 15;
}

/// Feedback message types of [`packet_type::PAYLOAD_SPECIFIC_FEEDBACK`].
mod payload_specific {
    pub(super) const PLI: u8 = 1;
    pub(super) const FIR: u8 = 4;
    pub(super) const APPLICATION: u8 = 15;
}

/// One packet of a compound.
#[derive(Debug, Clone)]
pub enum RtcpPacket<'a> {
    /// RFC 3550 section 6.4.1.
    SenderReport {
        /// The sender.
        ssrc: u32,
        /// NTP time of the report, 32.32 bits.
        ntp: u64,
        /// RTP timestamp of the same moment.
        rtp: u32,
        /// RTP packets sent.
        packet_count: u32,
        /// Payload bytes sent.
        octet_count: u32,
        /// What the sender receives.
        reports: ReportIter<'a>,
    },
    /// RFC 3550 section 6.4.2.
    ReceiverReport {
        /// The receiver.
        ssrc: u32,
        /// What it receives.
        reports: ReportIter<'a>,
    },
    /// RFC 3550 section 6.5: the CNAME of each source.
    Sdes(SdesIter<'a>),
    /// RFC 3550 section 6.6.
    Bye {
        /// The sources that leave.
        ssrcs: SsrcIter<'a>,
    },
    /// RFC 4585 section 6.2.1.
    Nack {
        /// Who asks.
        sender: u32,
        /// The source that is asked.
        media: u32,
        /// Sequence numbers wanted, in the order of the packet.
        lost: NackIter<'a>,
    },
    /// RFC 4585 section 6.3.1.
    Pli {
        /// Who asks.
        sender: u32,
        /// The source that is asked.
        media: u32,
    },
    /// RFC 5104 section 4.3.1.
    Fir {
        /// Who asks.
        sender: u32,
        /// `(source, sequence number of the command)`.
        entries: FirIter<'a>,
    },
    /// draft-alvestrand-rmcat-remb-03 section 2.2.
    Remb {
        /// Who estimates.
        sender: u32,
        /// Bit/s that the sources together may send.
        bitrate_bps: u64,
        /// The sources.
        ssrcs: SsrcIter<'a>,
    },
    /// draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1.
    TransportFeedback(TransportFeedback<'a>),
    /// RFC 3611.
    ExtendedReport {
        /// Who reports.
        ssrc: u32,
        /// Its report blocks.
        blocks: ExtendedBlockIter<'a>,
    },
    /// A well-formed packet of a kind that is not read.
    Other {
        /// RTCP packet type.
        packet_type: u8,
        /// Feedback message type, subtype or count.
        fmt: u8,
    },
}

/// The packets of a compound RTCP datagram in the clear.
pub const fn packets(bytes: &[u8]) -> RtcpIter<'_> {
    RtcpIter {
        rest: bytes,
        malformed: false,
    }
}

/// Yields packets up to the end of the datagram or the first malformed one.
#[derive(Debug, Clone)]
pub struct RtcpIter<'a> {
    rest: &'a [u8],
    malformed: bool,
}

impl RtcpIter<'_> {
    /// True once the iteration has ended at a malformed packet.
    pub const fn malformed(&self) -> bool {
        self.malformed
    }
}

impl<'a> Iterator for RtcpIter<'a> {
    type Item = RtcpPacket<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let parsed = split_packet(self.rest)
            .and_then(|(header, body, rest)| Some((parse_body(header, body)?, rest)));
        let Some((packet, rest)) = parsed else {
            self.rest = &[];
            self.malformed = true;
            return None;
        };
        self.rest = rest;
        Some(packet)
    }
}

/// Type and count field of a packet's header.
#[derive(Debug, Clone, Copy)]
struct Header {
    packet_type: u8,
    count: u8,
}

/// Splits off the first packet: its header, its body without padding, the bytes after it.
fn split_packet(bytes: &[u8]) -> Option<(Header, &[u8], &[u8])> {
    let words = u16_at(bytes, 2)?;
    let (first, packet_type) = (bytes[0], bytes[1]);
    if first >> 6 != VERSION {
        return None;
    }
    let (packet, rest) = bytes.split_at_checked(HEADER_LEN + usize::from(words) * 4)?;
    let mut body = &packet[HEADER_LEN..];
    if first & 0x20 != 0 {
        // RFC 3550 section 6.4.1 wants whole words; transport-wide feedback of browsers fills up the
        // last one with 1 to 3 bytes.
        let padding = usize::from(*body.last()?);
        body = &body[..body.len().checked_sub(padding).filter(|_| padding > 0)?];
    }
    let header = Header {
        packet_type,
        count: first & COUNT_MASK,
    };
    Some((header, body, rest))
}

fn parse_body(header: Header, body: &[u8]) -> Option<RtcpPacket<'_>> {
    match header.packet_type {
        packet_type::SENDER_REPORT => report::parse_sender(header.count, body),
        packet_type::RECEIVER_REPORT => report::parse_receiver(header.count, body),
        packet_type::SDES => Some(RtcpPacket::Sdes(SdesIter::new(header.count, body))),
        packet_type::BYE => report::parse_bye(header.count, body),
        packet_type::TRANSPORT_LAYER_FEEDBACK => feedback::parse_transport_layer(header, body),
        packet_type::PAYLOAD_SPECIFIC_FEEDBACK => feedback::parse_payload_specific(header, body),
        packet_type::EXTENDED_REPORT => extended::parse(body),
        _ => Some(other(header)),
    }
}

const fn other(header: Header) -> RtcpPacket<'static> {
    RtcpPacket::Other {
        packet_type: header.packet_type,
        fmt: header.count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLI: [u8; 12] = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];

    #[test]
    fn a_compound_ends_at_its_end() {
        let bytes = [PLI, PLI].concat();
        let mut iter = packets(&bytes);
        assert!(matches!(
            iter.next(),
            Some(RtcpPacket::Pli {
                sender: 1,
                media: 2
            })
        ));
        assert!(matches!(
            iter.next(),
            Some(RtcpPacket::Pli {
                sender: 1,
                media: 2
            })
        ));
        assert!(iter.next().is_none());
        assert!(!iter.malformed());
    }

    #[test]
    fn a_cut_compound_is_malformed_after_its_whole_packets() {
        let bytes = [PLI, PLI].concat();
        for len in 0..bytes.len() {
            let mut iter = packets(&bytes[..len]);
            assert_eq!(iter.by_ref().count(), len / PLI.len());
            assert_eq!(iter.malformed(), len % PLI.len() != 0, "{len} bytes");
        }
    }

    #[test]
    fn padding_is_taken_off() {
        let mut bytes = [0xa1, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4];
        let mut iter = packets(&bytes);
        assert!(matches!(
            iter.next(),
            Some(RtcpPacket::Pli {
                sender: 1,
                media: 2
            })
        ));
        for wrong in [0, 8, 16, 255] {
            bytes[15] = wrong;
            let mut iter = packets(&bytes);
            assert!(iter.next().is_none(), "{wrong} bytes of padding");
            assert!(iter.malformed());
        }
    }

    #[test]
    fn other_types_are_skipped_and_other_versions_are_malformed() {
        let app = [0x85, 204, 0, 1, 1, 2, 3, 4];
        let mut iter = packets(&app);
        assert!(matches!(
            iter.next(),
            Some(RtcpPacket::Other {
                packet_type: 204,
                fmt: 5
            })
        ));
        let mut bytes = PLI;
        bytes[0] = 0x41;
        let mut iter = packets(&bytes);
        assert!(iter.next().is_none() && iter.malformed());
    }
}
