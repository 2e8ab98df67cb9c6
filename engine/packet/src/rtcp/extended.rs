//! Extended reports (RFC 3611): the receiver's clock and the answer to it, by which one who only
//! receives measures its round trip.

use crate::bytes::{u16_at, u32_at, u64_at};

use super::RtcpPacket;

const BLOCK_HEADER_LEN: usize = 4;
pub(super) const RECEIVER_REFERENCE_TIME: u8 = 4;
pub(super) const DLRR: u8 = 5;
const DLRR_REPORT_LEN: usize = 12;

/// A report block.
#[derive(Debug, Clone)]
pub enum ExtendedBlock<'a> {
    /// RFC 3611 section 4.4.
    ReceiverReferenceTime {
        /// NTP time of the report, 32.32 bits.
        ntp: u64,
    },
    /// RFC 3611 section 4.5.
    Dlrr(DlrrIter<'a>),
    /// A block that is not read.
    Other {
        /// Its type.
        block_type: u8,
    },
}

/// Answer to a receiver reference time (RFC 3611 section 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DlrrReport {
    /// The receiver that is answered.
    pub ssrc: u32,
    /// Middle 32 bits of the NTP time of its last report.
    pub last_rr: u32,
    /// Time since that report in 1/65,536 s.
    pub delay_since_last_rr: u32,
}

/// Yields the reports of a DLRR block.
#[derive(Debug, Clone)]
pub struct DlrrIter<'a> {
    rest: &'a [u8],
}

impl Iterator for DlrrIter<'_> {
    type Item = DlrrReport;

    fn next(&mut self) -> Option<Self::Item> {
        let (report, rest) = self.rest.split_at_checked(DLRR_REPORT_LEN)?;
        self.rest = rest;
        Some(DlrrReport {
            ssrc: u32_at(report, 0)?,
            last_rr: u32_at(report, 4)?,
            delay_since_last_rr: u32_at(report, 8)?,
        })
    }
}

/// Yields report blocks; ends at the first malformed one.
#[derive(Debug, Clone)]
pub struct ExtendedBlockIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for ExtendedBlockIter<'a> {
    type Item = ExtendedBlock<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let words = u16_at(self.rest, 2)?;
        let (block, rest) = self
            .rest
            .split_at_checked(BLOCK_HEADER_LEN + usize::from(words) * 4)?;
        let body = &block[BLOCK_HEADER_LEN..];
        let parsed = match block[0] {
            RECEIVER_REFERENCE_TIME => ExtendedBlock::ReceiverReferenceTime {
                ntp: u64_at(body, 0)?,
            },
            DLRR => ExtendedBlock::Dlrr(DlrrIter { rest: body }),
            block_type => ExtendedBlock::Other { block_type },
        };
        self.rest = rest;
        Some(parsed)
    }
}

pub(super) fn parse(body: &[u8]) -> Option<RtcpPacket<'_>> {
    Some(RtcpPacket::ExtendedReport {
        ssrc: u32_at(body, 0)?,
        blocks: ExtendedBlockIter { rest: &body[4..] },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::packets;

    const BYTES: [u8; 44] = [
        0x80, 207, 0, 10, 0, 0, 0, 1, //
        4, 0, 0, 2, 0xe0, 0, 0, 1, 0x80, 0, 0, 0, // reference time
        6, 0, 0, 0, // a block without a body, of a type not read
        5, 0, 0, 3, 0, 0, 0, 2, 1, 2, 3, 4, 0, 1, 0, 0, // DLRR
        5, 0, 0, 9, // over-long
    ];

    #[test]
    fn blocks_up_to_the_over_long_one() {
        let Some(RtcpPacket::ExtendedReport {
            ssrc: 1,
            mut blocks,
        }) = packets(&BYTES).next()
        else {
            panic!("not read");
        };
        assert!(matches!(
            blocks.next(),
            Some(ExtendedBlock::ReceiverReferenceTime {
                ntp: 0xe000_0001_8000_0000
            })
        ));
        assert!(matches!(
            blocks.next(),
            Some(ExtendedBlock::Other { block_type: 6 })
        ));
        let Some(ExtendedBlock::Dlrr(reports)) = blocks.next() else {
            panic!("not read");
        };
        assert_eq!(
            reports.collect::<Vec<_>>(),
            [DlrrReport {
                ssrc: 2,
                last_rr: 0x0102_0304,
                delay_since_last_rr: 65_536
            }]
        );
        assert!(blocks.next().is_none());
        assert!(blocks.next().is_none());
    }
}
