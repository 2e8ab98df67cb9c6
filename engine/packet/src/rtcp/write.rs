//! Writing of a compound RTCP datagram.

use crate::bytes::SlotWriter;

use super::extended::{DLRR, RECEIVER_REFERENCE_TIME};
use super::feedback::{REMB_MANTISSA_BITS, REMB_MARK};
use super::report::SDES_CNAME;
use super::{
    COUNT_MASK, DlrrReport, HEADER_LEN, ReportBlock, VERSION, packet_type, payload_specific,
    transport_layer, write_transport_feedback,
};

/// Appends packets to a datagram. A method that answers `false` has written nothing: the packet
/// does not fit the slot, or a list is too long for its count field.
#[derive(Debug)]
pub struct RtcpWriter<'a> {
    out: SlotWriter<'a>,
}

impl<'a> RtcpWriter<'a> {
    /// Starts a datagram in `slot`.
    pub const fn new(slot: &'a mut [u8]) -> Self {
        Self {
            out: SlotWriter::new(slot),
        }
    }

    /// Bytes written so far.
    pub const fn len(&self) -> usize {
        self.out.len()
    }

    /// True where nothing was written yet.
    pub const fn is_empty(&self) -> bool {
        self.out.len() == 0
    }

    /// A sender report with at most 31 blocks (RFC 3550 section 6.4.1): `ntp` is 32.32 bits, `rtp`
    /// the RTP timestamp of the same moment.
    pub fn sender_report(
        &mut self,
        ssrc: u32,
        ntp: u64,
        rtp: u32,
        packet_count: u32,
        octet_count: u32,
        reports: &[ReportBlock],
    ) -> bool {
        let Some(count) = count_field(reports.len()) else {
            return false;
        };
        self.packet(packet_type::SENDER_REPORT, count, |out| {
            out.put(&ssrc.to_be_bytes())?;
            out.put(&ntp.to_be_bytes())?;
            for value in [rtp, packet_count, octet_count] {
                out.put(&value.to_be_bytes())?;
            }
            put_reports(out, reports)
        })
    }

    /// A receiver report with at most 31 blocks (RFC 3550 section 6.4.2).
    pub fn receiver_report(&mut self, ssrc: u32, reports: &[ReportBlock]) -> bool {
        let Some(count) = count_field(reports.len()) else {
            return false;
        };
        self.packet(packet_type::RECEIVER_REPORT, count, |out| {
            out.put(&ssrc.to_be_bytes())?;
            put_reports(out, reports)
        })
    }

    /// A source description with the CNAME alone, of at most 255 bytes (RFC 3550 section 6.5.1).
    pub fn sdes_cname(&mut self, ssrc: u32, cname: &str) -> bool {
        let Ok(len) = u8::try_from(cname.len()) else {
            return false;
        };
        self.packet(packet_type::SDES, 1, |out| {
            out.put(&ssrc.to_be_bytes())?;
            out.put(&[SDES_CNAME, len])?;
            out.put(cname.as_bytes())?;
            // The chunk ends with at least one zero byte and at a whole word.
            out.put_zeros(4 - (2 + cname.len()) % 4)
        })
    }

    /// BYE of one source (RFC 3550 section 6.6).
    pub fn bye(&mut self, ssrc: u32) -> bool {
        self.packet(packet_type::BYE, 1, |out| out.put(&ssrc.to_be_bytes()))
    }

    /// Asks for packets again (RFC 4585 section 6.2.1); `lost` in ascending order, around the wrap
    /// as well. With none lost nothing is written.
    pub fn nack(&mut self, sender: u32, media: u32, lost: impl Iterator<Item = u16>) -> bool {
        let mut lost = lost.peekable();
        if lost.peek().is_none() {
            return true;
        }
        let kind = packet_type::TRANSPORT_LAYER_FEEDBACK;
        self.packet(kind, transport_layer::NACK, |out| {
            put_sources(out, sender, media)?;
            while let Some(first) = lost.next() {
                let mut mask = 0u16;
                while let Some(next) = lost.next_if(|next| in_mask(first, *next)) {
                    mask |= 1 << (next.wrapping_sub(first) - 1);
                }
                out.put(&first.to_be_bytes())?;
                out.put(&mask.to_be_bytes())?;
            }
            Some(())
        })
    }

    /// Asks for a key frame (RFC 4585 section 6.3.1).
    pub fn pli(&mut self, sender: u32, media: u32) -> bool {
        let kind = packet_type::PAYLOAD_SPECIFIC_FEEDBACK;
        self.packet(kind, payload_specific::PLI, |out| {
            put_sources(out, sender, media)
        })
    }

    /// Demands a key frame of one source (RFC 5104 section 4.3.1); `sequence` goes up by one with
    /// every new command.
    pub fn fir(&mut self, sender: u32, media: u32, sequence: u8) -> bool {
        let kind = packet_type::PAYLOAD_SPECIFIC_FEEDBACK;
        self.packet(kind, payload_specific::FIR, |out| {
            put_sources(out, sender, 0)?;
            out.put(&media.to_be_bytes())?;
            out.put(&[sequence, 0, 0, 0])
        })
    }

    /// Limits what at most 255 sources send together (draft-alvestrand-rmcat-remb-03). The
    /// bitrate is rounded down to 18 significant bits.
    pub fn remb(&mut self, sender: u32, bitrate_bps: u64, ssrcs: &[u32]) -> bool {
        let Ok(count) = u8::try_from(ssrcs.len()) else {
            return false;
        };
        let exponent = (u64::BITS - bitrate_bps.leading_zeros()).saturating_sub(REMB_MANTISSA_BITS);
        let mantissa = (bitrate_bps >> exponent) as u32;
        let packed = u32::from(count) << 24 | exponent << REMB_MANTISSA_BITS | mantissa;
        let kind = packet_type::PAYLOAD_SPECIFIC_FEEDBACK;
        self.packet(kind, payload_specific::APPLICATION, |out| {
            put_sources(out, sender, 0)?;
            out.put(&REMB_MARK)?;
            out.put(&packed.to_be_bytes())?;
            ssrcs
                .iter()
                .try_for_each(|ssrc| out.put(&ssrc.to_be_bytes()))
        })
    }

    /// Our clock, for the peer to answer by DLRR (RFC 3611 section 4.4); `ntp` is 32.32 bits.
    pub fn receiver_reference_time(&mut self, ssrc: u32, ntp: u64) -> bool {
        self.packet(packet_type::EXTENDED_REPORT, 0, |out| {
            out.put(&ssrc.to_be_bytes())?;
            out.put(&[RECEIVER_REFERENCE_TIME, 0, 0, 2])?;
            out.put(&ntp.to_be_bytes())
        })
    }

    /// Answers to the clocks of receivers (RFC 3611 section 4.5).
    pub fn dlrr(&mut self, ssrc: u32, reports: &[DlrrReport]) -> bool {
        let Ok(words) = u16::try_from(reports.len() * 3) else {
            return false;
        };
        self.packet(packet_type::EXTENDED_REPORT, 0, |out| {
            out.put(&ssrc.to_be_bytes())?;
            out.put(&[DLRR, 0])?;
            out.put(&words.to_be_bytes())?;
            reports.iter().try_for_each(|report| {
                out.put(&report.ssrc.to_be_bytes())?;
                out.put(&report.last_rr.to_be_bytes())?;
                out.put(&report.delay_since_last_rr.to_be_bytes())
            })
        })
    }

    /// Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01): `statuses`
    /// from `base_sequence` on, each `None` for a packet not received, else the time since the
    /// received packet before it in units of 250 µs, the first since `reference_time`. That is in
    /// units of 64 ms, of which 24 bits are sent.
    ///
    /// Answers how many statuses were written; the rest belongs in a further packet, as the slot
    /// is full or a delta is outside of 16 bits and needs a new reference time. With 0 nothing was
    /// written.
    pub fn transport_feedback(
        &mut self,
        sender: u32,
        media: u32,
        base_sequence: u16,
        reference_time: i32,
        feedback_count: u8,
        statuses: impl Iterator<Item = Option<i32>>,
    ) -> usize {
        let mut written = 0;
        let kind = packet_type::TRANSPORT_LAYER_FEEDBACK;
        let fits = self.packet(kind, transport_layer::TRANSPORT_FEEDBACK, |out| {
            put_sources(out, sender, media)?;
            out.put(&base_sequence.to_be_bytes())?;
            let count_offset = out.len();
            out.put_zeros(2)?;
            let [_, time @ ..] = reference_time.to_be_bytes();
            out.put(&time)?;
            out.put(&[feedback_count])?;
            let count = write_transport_feedback::put_statuses(out, statuses)?;
            out.patch(count_offset, &count.to_be_bytes())?;
            out.put_zeros(out.len().wrapping_neg() % 4)?;
            written = usize::from(count);
            (count > 0).then_some(())
        });
        if fits { written } else { 0 }
    }

    /// Writes one packet, whose body comes from `body` and is whole words; takes it back where it
    /// does not fit.
    fn packet(
        &mut self,
        packet_type: u8,
        count: u8,
        body: impl FnOnce(&mut SlotWriter<'a>) -> Option<()>,
    ) -> bool {
        let start = self.out.len();
        let written = self.put_packet(start, packet_type, count, body);
        if written.is_none() {
            self.out.truncate(start);
        }
        written.is_some()
    }

    fn put_packet(
        &mut self,
        start: usize,
        packet_type: u8,
        count: u8,
        body: impl FnOnce(&mut SlotWriter<'a>) -> Option<()>,
    ) -> Option<()> {
        self.out.put(&[VERSION << 6 | count, packet_type, 0, 0])?;
        body(&mut self.out)?;
        let words = u16::try_from((self.out.len() - start - HEADER_LEN) / 4).ok()?;
        self.out.patch(start + 2, &words.to_be_bytes())
    }
}

fn count_field(len: usize) -> Option<u8> {
    u8::try_from(len).ok().filter(|count| *count <= COUNT_MASK)
}

/// True where `next` is one of the 16 numbers after `first`.
const fn in_mask(first: u16, next: u16) -> bool {
    let gap = next.wrapping_sub(first);
    1 <= gap && gap <= 16
}

fn put_sources(out: &mut SlotWriter<'_>, sender: u32, media: u32) -> Option<()> {
    out.put(&sender.to_be_bytes())?;
    out.put(&media.to_be_bytes())
}

fn put_reports(out: &mut SlotWriter<'_>, reports: &[ReportBlock]) -> Option<()> {
    reports
        .iter()
        .try_for_each(|report| out.put(&report.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut RtcpWriter<'_>) -> bool) -> Vec<u8> {
        let mut slot = [0xff; 256];
        let mut writer = RtcpWriter::new(&mut slot);
        assert!(write(&mut writer));
        let len = writer.len();
        slot[..len].to_vec()
    }

    #[test]
    fn reports_and_their_limits() {
        let block = ReportBlock {
            ssrc: 9,
            fraction_lost: 64,
            cumulative_lost: -2,
            highest_sequence: 0x0001_fffe,
            jitter: 7,
            last_sr: 0x0102_0304,
            delay_since_last_sr: 65_536,
        };
        let bytes = written(|out| out.sender_report(5, 0xe000_0001_8000_0000, 6, 7, 8, &[block]));
        assert_eq!(
            bytes,
            [
                0x81, 200, 0, 12, 0, 0, 0, 5, 0xe0, 0, 0, 1, 0x80, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 7,
                0, 0, 0, 8, 0, 0, 0, 9, 0x40, 0xff, 0xff, 0xfe, 0, 1, 0xff, 0xfe, 0, 0, 0, 7, 1, 2,
                3, 4, 0, 1, 0, 0
            ]
        );
        assert_eq!(
            written(|out| out.receiver_report(5, &[])),
            [0x80, 201, 0, 1, 0, 0, 0, 5]
        );
        let mut slot = [0; 2000];
        let mut writer = RtcpWriter::new(&mut slot);
        assert!(!writer.receiver_report(5, &[block; 32]));
        assert!(writer.receiver_report(5, &[block; 31]));
        assert_eq!(writer.len(), 8 + 31 * 24);
    }

    #[test]
    fn a_cname_ends_with_a_zero_byte_at_a_whole_word() {
        assert_eq!(
            written(|out| out.sdes_cname(1, "ab")),
            [0x81, 202, 0, 3, 0, 0, 0, 1, 1, 2, b'a', b'b', 0, 0, 0, 0]
        );
        assert_eq!(
            written(|out| out.sdes_cname(1, "a")),
            [0x81, 202, 0, 2, 0, 0, 0, 1, 1, 1, b'a', 0]
        );
        let mut slot = [0; 300];
        assert!(!RtcpWriter::new(&mut slot).sdes_cname(1, &"x".repeat(256)));
    }

    #[test]
    fn bye_pli_and_fir() {
        assert_eq!(written(|out| out.bye(7)), [0x81, 203, 0, 1, 0, 0, 0, 7]);
        assert_eq!(
            written(|out| out.pli(1, 2)),
            [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]
        );
        assert_eq!(
            written(|out| out.fir(1, 2, 3)),
            [
                0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 3, 0, 0, 0
            ]
        );
    }

    #[test]
    fn lost_packets_share_an_entry_over_the_wrap() {
        let lost = [65_535, 0, 15, 16, 100];
        assert_eq!(
            written(|out| out.nack(1, 2, lost.into_iter())),
            [
                0x81, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0x80, 0x01, 0, 16, 0, 0, 0,
                100, 0, 0
            ]
        );
        assert!(written(|out| out.nack(1, 2, std::iter::empty())).is_empty());
    }

    #[test]
    fn a_bitrate_has_18_significant_bits() {
        assert_eq!(
            written(|out| out.remb(1, (0x30000 << 3) + 7, &[9])),
            [
                0x8f, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 1, 0x0f, 0, 0, 0,
                0, 0, 9
            ]
        );
        assert_eq!(
            written(|out| out.remb(1, u64::MAX, &[]))[16..],
            [0, 0xbb, 0xff, 0xff]
        );
        assert_eq!(written(|out| out.remb(1, 5, &[]))[16..], [0, 0, 0, 5]);
    }

    #[test]
    fn clocks_of_receivers() {
        assert_eq!(
            written(|out| out.receiver_reference_time(1, 0xe000_0001_8000_0000)),
            [
                0x80, 207, 0, 4, 0, 0, 0, 1, 4, 0, 0, 2, 0xe0, 0, 0, 1, 0x80, 0, 0, 0
            ]
        );
        let report = DlrrReport {
            ssrc: 2,
            last_rr: 3,
            delay_since_last_rr: 4,
        };
        assert_eq!(
            written(|out| out.dlrr(1, &[report])),
            [
                0x80, 207, 0, 5, 0, 0, 0, 1, 5, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4
            ]
        );
    }

    #[test]
    fn a_packet_that_does_not_fit_leaves_what_was_written() {
        let mut slot = [0xff; 20];
        let mut writer = RtcpWriter::new(&mut slot);
        assert!(writer.pli(1, 2));
        assert!(!writer.pli(1, 2));
        assert!(!writer.nack(1, 2, [5].into_iter()));
        assert_eq!(
            writer.transport_feedback(1, 2, 0, 0, 0, [Some(1)].into_iter()),
            0
        );
        assert_eq!(writer.len(), 12);
        assert!(writer.bye(1));
        assert_eq!(writer.len(), 20);
    }
}
