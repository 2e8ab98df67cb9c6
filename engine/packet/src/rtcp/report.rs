//! Sender and receiver reports, source descriptions, BYE (RFC 3550 section 6).

use crate::bytes::{u24_at, u32_at, u64_at};

use super::RtcpPacket;

/// Bytes of one report block.
pub(super) const REPORT_BLOCK_LEN: usize = 24;
/// Bytes of a sender report before its blocks, header excluded.
const SENDER_INFO_LEN: usize = 24;
const SSRC_LEN: usize = 4;
const SDES_END: u8 = 0;
pub(super) const SDES_CNAME: u8 = 1;

/// What a receiver tells about one source (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The source reported on.
    pub ssrc: u32,
    /// Share of packets lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost in all, a signed 24-bit number; less than 0 where there were duplicates.
    pub cumulative_lost: i32,
    /// Highest sequence number received, with the count of its wraps in the upper 16 bits.
    pub highest_sequence: u32,
    /// Jitter in units of the RTP timestamp.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last sender report; 0 where there was none.
    pub last_sr: u32,
    /// Time since that report in 1/65,536 s.
    pub delay_since_last_sr: u32,
}

impl ReportBlock {
    /// The limits of the 24-bit loss counter.
    const CUMULATIVE_LOST: (i32, i32) = (-(1 << 23), (1 << 23) - 1);

    fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            ssrc: u32_at(bytes, 0)?,
            fraction_lost: *bytes.get(4)?,
            cumulative_lost: sign_extend_24(u24_at(bytes, 5)?),
            highest_sequence: u32_at(bytes, 8)?,
            jitter: u32_at(bytes, 12)?,
            last_sr: u32_at(bytes, 16)?,
            delay_since_last_sr: u32_at(bytes, 20)?,
        })
    }

    /// Its bytes on the wire; the loss counter is held at its limits.
    pub(super) fn to_bytes(self) -> [u8; REPORT_BLOCK_LEN] {
        let (min, max) = Self::CUMULATIVE_LOST;
        let lost = self.cumulative_lost.clamp(min, max);
        let mut bytes = [0; REPORT_BLOCK_LEN];
        bytes[..4].copy_from_slice(&self.ssrc.to_be_bytes());
        bytes[4..8].copy_from_slice(&lost.to_be_bytes());
        bytes[4] = self.fraction_lost;
        bytes[8..12].copy_from_slice(&self.highest_sequence.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.jitter.to_be_bytes());
        bytes[16..20].copy_from_slice(&self.last_sr.to_be_bytes());
        bytes[20..].copy_from_slice(&self.delay_since_last_sr.to_be_bytes());
        bytes
    }
}

/// A signed number of 24 bits as one of 32.
pub(super) const fn sign_extend_24(value: u32) -> i32 {
    (value << 8) as i32 >> 8
}

/// Yields report blocks.
#[derive(Debug, Clone)]
pub struct ReportIter<'a> {
    rest: &'a [u8],
}

impl Iterator for ReportIter<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<Self::Item> {
        let block = ReportBlock::read(self.rest)?;
        self.rest = &self.rest[REPORT_BLOCK_LEN..];
        Some(block)
    }
}

/// Yields SSRCs.
#[derive(Debug, Clone)]
pub struct SsrcIter<'a> {
    rest: &'a [u8],
}

impl<'a> SsrcIter<'a> {
    /// Over the first `count` SSRCs of `bytes`; `None` where they are not all there.
    pub(super) fn new(count: u8, bytes: &'a [u8]) -> Option<Self> {
        let rest = bytes.get(..usize::from(count) * SSRC_LEN)?;
        Some(Self { rest })
    }
}

impl Iterator for SsrcIter<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<Self::Item> {
        let ssrc = u32_at(self.rest, 0)?;
        self.rest = &self.rest[SSRC_LEN..];
        Some(ssrc)
    }
}

/// Yields `(ssrc, CNAME)` for each chunk of a source description that has a CNAME; ends at the
/// first malformed chunk.
#[derive(Debug, Clone)]
pub struct SdesIter<'a> {
    chunks_left: u8,
    rest: &'a [u8],
}

impl<'a> SdesIter<'a> {
    pub(super) const fn new(chunks: u8, body: &'a [u8]) -> Self {
        Self {
            chunks_left: chunks,
            rest: body,
        }
    }

    /// Takes the chunk in front: its SSRC, its CNAME.
    fn chunk(&mut self) -> Option<(u32, Option<&'a [u8]>)> {
        let ssrc = u32_at(self.rest, 0)?;
        let mut cname = None;
        let mut offset = SSRC_LEN;
        loop {
            let kind = *self.rest.get(offset)?;
            if kind == SDES_END {
                // One to four zero bytes fill the chunk up to whole words.
                let end = (offset / 4 + 1) * 4;
                self.rest = self.rest.get(end..)?;
                return Some((ssrc, cname));
            }
            let len = usize::from(*self.rest.get(offset + 1)?);
            let text = self.rest.get(offset + 2..offset + 2 + len)?;
            if kind == SDES_CNAME && cname.is_none() {
                cname = Some(text);
            }
            offset += 2 + len;
        }
    }
}

impl<'a> Iterator for SdesIter<'a> {
    type Item = (u32, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while self.chunks_left > 0 {
            let Some((ssrc, cname)) = self.chunk() else {
                self.chunks_left = 0;
                return None;
            };
            self.chunks_left -= 1;
            if let Some(cname) = cname {
                return Some((ssrc, cname));
            }
        }
        None
    }
}

pub(super) fn parse_sender(count: u8, body: &[u8]) -> Option<RtcpPacket<'_>> {
    Some(RtcpPacket::SenderReport {
        ssrc: u32_at(body, 0)?,
        ntp: u64_at(body, 4)?,
        rtp: u32_at(body, 12)?,
        packet_count: u32_at(body, 16)?,
        octet_count: u32_at(body, 20)?,
        reports: report_blocks(count, body.get(SENDER_INFO_LEN..)?)?,
    })
}

pub(super) fn parse_receiver(count: u8, body: &[u8]) -> Option<RtcpPacket<'_>> {
    Some(RtcpPacket::ReceiverReport {
        ssrc: u32_at(body, 0)?,
        reports: report_blocks(count, body.get(SSRC_LEN..)?)?,
    })
}

pub(super) fn parse_bye(count: u8, body: &[u8]) -> Option<RtcpPacket<'_>> {
    let ssrcs = SsrcIter::new(count, body)?;
    Some(RtcpPacket::Bye { ssrcs })
}

fn report_blocks(count: u8, bytes: &[u8]) -> Option<ReportIter<'_>> {
    let rest = bytes.get(..usize::from(count) * REPORT_BLOCK_LEN)?;
    Some(ReportIter { rest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::packets;

    const REPORT: [u8; 24] = [
        0, 0, 0, 9, 0x40, 0xff, 0xff, 0xfe, 0, 1, 0xff, 0xfe, 0, 0, 0, 7, 1, 2, 3, 4, 0, 1, 0, 0,
    ];

    const BLOCK: ReportBlock = ReportBlock {
        ssrc: 9,
        fraction_lost: 64,
        cumulative_lost: -2,
        highest_sequence: 0x0001_fffe,
        jitter: 7,
        last_sr: 0x0102_0304,
        delay_since_last_sr: 65_536,
    };

    #[test]
    fn a_sender_report() {
        let mut bytes = vec![
            0x81, 200, 0, 12, 0, 0, 0, 5, 0xe0, 0, 0, 1, 0x80, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 7, 0,
            0, 0, 8,
        ];
        bytes.extend_from_slice(&REPORT);
        let Some(RtcpPacket::SenderReport {
            ssrc: 5,
            ntp: 0xe000_0001_8000_0000,
            rtp: 6,
            packet_count: 7,
            octet_count: 8,
            reports,
        }) = packets(&bytes).next()
        else {
            panic!("not read");
        };
        assert_eq!(reports.collect::<Vec<_>>(), [BLOCK]);
    }

    #[test]
    fn a_receiver_report_and_its_count() {
        let mut bytes = vec![0x81, 201, 0, 7, 0, 0, 0, 5];
        bytes.extend_from_slice(&REPORT);
        let Some(RtcpPacket::ReceiverReport { ssrc: 5, reports }) = packets(&bytes).next() else {
            panic!("not read");
        };
        assert_eq!(reports.collect::<Vec<_>>(), [BLOCK]);
        bytes[0] = 0x82;
        assert!(packets(&bytes).next().is_none(), "more blocks than bytes");
    }

    #[test]
    fn the_loss_counter_is_held_at_its_limits() {
        for (lost, held) in [
            (i32::MAX, 0x7f_ffff),
            (i32::MIN, -0x80_0000),
            (-1, -1),
            (70_000, 70_000),
        ] {
            let block = ReportBlock {
                cumulative_lost: lost,
                ..BLOCK
            };
            let read = ReportBlock::read(&block.to_bytes()).unwrap();
            assert_eq!(
                read,
                ReportBlock {
                    cumulative_lost: held,
                    ..BLOCK
                }
            );
        }
    }

    #[test]
    fn cnames_of_a_source_description() {
        let bytes = [
            0x83, 202, 0, 9, //
            0, 0, 0, 1, 1, 2, b'a', b'b', 0, 0, 0, 0, // CNAME, four zero bytes
            0, 0, 0, 2, 2, 1, b'n', 0, // NAME only
            0, 0, 0, 3, 2, 1, b'n', 1, 3, b'x', b'y', b'z', 0, 0, 0, 0,
        ];
        let Some(RtcpPacket::Sdes(cnames)) = packets(&bytes).next() else {
            panic!("not read");
        };
        assert_eq!(
            cnames.collect::<Vec<_>>(),
            [(1, &b"ab"[..]), (3, &b"xyz"[..])]
        );
    }

    #[test]
    fn a_source_description_whose_item_is_over_long_ends_there() {
        let bytes = [0x81, 202, 0, 2, 0, 0, 0, 1, 1, 3, b'a', b'b'];
        let Some(RtcpPacket::Sdes(mut cnames)) = packets(&bytes).next() else {
            panic!("not read");
        };
        assert_eq!(cnames.next(), None);
    }

    #[test]
    fn bye_with_reason() {
        let bytes = [0x82, 203, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 3, b'e', b'n', b'd'];
        let Some(RtcpPacket::Bye { ssrcs }) = packets(&bytes).next() else {
            panic!("not read");
        };
        assert_eq!(ssrcs.collect::<Vec<_>>(), [1, 2]);
        let mut over = bytes;
        over[0] = 0x84;
        assert!(packets(&over).next().is_none());
    }
}
