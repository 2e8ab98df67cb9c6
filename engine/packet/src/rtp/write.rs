//! Writing of an RTP packet into a send slot.

use crate::bytes::SlotWriter;

use super::extension::ExtensionForm;
use super::{
    EXTENSION_BIT, EXTENSION_HEADER_LEN, FIXED_HEADER_LEN, MARKER_BIT, PADDING_BIT, VERSION,
};

/// Writes one packet in the order header, extensions, payload, padding. A method that answers
/// `None` has written nothing, either for want of room or because its turn was over.
#[derive(Debug)]
pub struct RtpWriter<'a> {
    out: SlotWriter<'a>,
    form: ExtensionForm,
    part: Part,
    /// Of the extension block, before it is padded to whole words.
    elements_end: usize,
    header_len: usize,
}

/// What was written last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Header,
    Payload,
    Padding,
}

/// A finished packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpWritten {
    /// Bytes before the payload.
    pub header_len: usize,
    /// Bytes of the packet.
    pub len: usize,
}

impl<'a> RtpWriter<'a> {
    /// Starts a packet; `None` where the slot is too short or `payload_type` is over 127.
    pub fn new(
        slot: &'a mut [u8],
        marker: bool,
        payload_type: u8,
        sequence: u16,
        timestamp: u32,
        ssrc: u32,
        form: ExtensionForm,
    ) -> Option<Self> {
        let fixed: &mut [u8; FIXED_HEADER_LEN] = slot.first_chunk_mut()?;
        if payload_type & MARKER_BIT != 0 {
            return None;
        }
        fixed[0] = VERSION << 6;
        fixed[1] = payload_type | if marker { MARKER_BIT } else { 0 };
        fixed[2..4].copy_from_slice(&sequence.to_be_bytes());
        fixed[4..8].copy_from_slice(&timestamp.to_be_bytes());
        fixed[8..].copy_from_slice(&ssrc.to_be_bytes());
        Some(Self::resume(slot, form, FIXED_HEADER_LEN, FIXED_HEADER_LEN))
    }

    /// Goes on with a header of `header_len` bytes, with extension elements up to `elements_end`.
    #[inline]
    pub(super) fn resume(
        slot: &'a mut [u8],
        form: ExtensionForm,
        elements_end: usize,
        header_len: usize,
    ) -> Self {
        Self {
            out: SlotWriter::resume(slot, header_len),
            form,
            part: Part::Header,
            elements_end,
            header_len,
        }
    }

    /// Where elements end, and where the header does.
    pub(super) const fn ends(&self) -> (usize, usize) {
        (self.elements_end, self.header_len)
    }

    /// Writes over what was written at `offset`; `None` where that is not all written yet.
    #[inline]
    pub fn patch(&mut self, offset: usize, data: &[u8]) -> Option<()> {
        self.out.patch(offset, data)
    }

    /// Adds a header extension and answers where its data lies in the slot. `None` where the form
    /// has no such id or length.
    pub fn extension(&mut self, id: u8, data: &[u8]) -> Option<usize> {
        if self.part > Part::Header || !self.form.holds(id, data.len()) {
            return None;
        }
        let block = FIXED_HEADER_LEN + EXTENSION_HEADER_LEN;
        let offset = self.elements_end.max(block) + self.form.element_header_len();
        let elements_end = offset + data.len();
        let words = u16::try_from((elements_end - block).div_ceil(4)).ok()?;
        let header_len = block + usize::from(words) * 4;
        if header_len > self.out.capacity() {
            return None;
        }
        if self.elements_end == FIXED_HEADER_LEN {
            self.out.put(&self.form.profile().to_be_bytes())?;
            self.out.put_zeros(2)?;
        }
        self.out.truncate(self.elements_end.max(block));
        match self.form {
            ExtensionForm::OneByte => self.out.put(&[id << 4 | (data.len() as u8 - 1)])?,
            ExtensionForm::TwoByte => self.out.put(&[id, data.len() as u8])?,
        }
        self.out.put(data)?;
        self.out.put_zeros(header_len - elements_end)?;
        self.out.patch(FIXED_HEADER_LEN + 2, &words.to_be_bytes())?;
        self.out.set(0, EXTENSION_BIT)?;
        (self.elements_end, self.header_len) = (elements_end, header_len);
        Some(offset)
    }

    /// Appends to the payload; no extension can follow.
    #[inline]
    pub fn payload(&mut self, data: &[u8]) -> Option<()> {
        if self.part > Part::Payload {
            return None;
        }
        self.out.put(data)?;
        self.part = Part::Payload;
        Some(())
    }

    /// Bytes written so far.
    #[inline]
    pub const fn written_len(&self) -> usize {
        self.out.len()
    }

    /// Appends `len` bytes of padding, their count included; 0 adds none. Once per packet.
    #[inline]
    pub fn padding(&mut self, len: u8) -> Option<()> {
        if self.part > Part::Payload {
            return None;
        }
        let Some(zeros) = len.checked_sub(1) else {
            return Some(());
        };
        if self.out.capacity() - self.out.len() < usize::from(len) {
            return None;
        }
        self.out.put_zeros(usize::from(zeros))?;
        self.out.put(&[len])?;
        self.out.set(0, PADDING_BIT)?;
        self.part = Part::Padding;
        Some(())
    }

    /// Ends the packet.
    #[inline]
    pub const fn finish(self) -> RtpWritten {
        RtpWritten {
            header_len: self.header_len,
            len: self.out.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::RtpPacket;

    fn writer(slot: &mut [u8], form: ExtensionForm) -> Option<RtpWriter<'_>> {
        RtpWriter::new(slot, true, 111, 7, 0x0102_0304, 0xcafe_babe, form)
    }

    #[test]
    fn a_packet_without_extensions_has_no_extension_bit() {
        let mut slot = [0xff; 64];
        let mut packet = writer(&mut slot, ExtensionForm::OneByte).unwrap();
        packet.payload(&[1, 2, 3]).unwrap();
        let written = packet.finish();
        assert_eq!(
            written,
            RtpWritten {
                header_len: 12,
                len: 15
            }
        );
        assert_eq!(
            slot[..15],
            [
                0x80, 0xef, 0, 7, 1, 2, 3, 4, 0xca, 0xfe, 0xba, 0xbe, 1, 2, 3
            ]
        );
    }

    #[test]
    fn extensions_payload_in_two_parts_and_padding() {
        let mut slot = [0xff; 64];
        let mut packet = writer(&mut slot, ExtensionForm::OneByte).unwrap();
        assert_eq!(packet.extension(1, &[0xaa]), Some(17));
        assert_eq!(packet.extension(2, &[0xbb, 0xcc, 0xdd]), Some(19));
        packet.payload(&[9]).unwrap();
        packet.payload(&[8, 7]).unwrap();
        packet.padding(2).unwrap();
        let written = packet.finish();
        assert_eq!(
            written,
            RtpWritten {
                header_len: 24,
                len: 29
            }
        );
        assert_eq!(
            slot[12..29],
            [
                0xbe, 0xde, 0, 2, 0x10, 0xaa, 0x22, 0xbb, 0xcc, 0xdd, 0, 0, 9, 8, 7, 0, 2
            ]
        );
        let parsed = RtpPacket::parse(&slot[..written.len]).unwrap();
        assert_eq!(
            (parsed.payload(), parsed.padding_len()),
            (&[9, 8, 7][..], 2)
        );
    }

    #[test]
    fn two_byte_elements() {
        let mut slot = [0xff; 64];
        let mut packet = writer(&mut slot, ExtensionForm::TwoByte).unwrap();
        assert_eq!(packet.extension(20, &[]), Some(18));
        assert_eq!(packet.extension(1, &[5; 17]), Some(20));
        assert_eq!(packet.extension(0, &[5]), None);
        let written = packet.finish();
        let parsed = RtpPacket::parse(&slot[..written.len]).unwrap();
        let elements: Vec<_> = parsed.extensions().collect();
        assert_eq!(elements, [(20, &[][..]), (1, &[5; 17][..])]);
    }

    #[test]
    fn what_the_one_byte_form_does_not_hold_is_refused() {
        let mut slot = [0xff; 64];
        let mut packet = writer(&mut slot, ExtensionForm::OneByte).unwrap();
        for (id, len) in [(0, 1), (15, 1), (16, 1), (1, 0), (1, 17)] {
            assert_eq!(packet.extension(id, &[0; 17][..len]), None);
        }
        assert_eq!(packet.finish().len, 12);
    }

    #[test]
    fn parts_out_of_order_are_refused() {
        let mut slot = [0; 64];
        let mut packet = writer(&mut slot, ExtensionForm::OneByte).unwrap();
        packet.payload(&[1]).unwrap();
        assert_eq!(packet.extension(1, &[1]), None);
        packet.padding(1).unwrap();
        assert_eq!(packet.payload(&[1]), None);
        assert_eq!(packet.padding(1), None);
    }

    #[test]
    fn every_slot_too_short_is_refused_without_a_trace() {
        for len in 0..28 {
            let mut slot = [0; 28];
            let Some(mut packet) = writer(&mut slot[..len], ExtensionForm::OneByte) else {
                assert!(len < 12);
                continue;
            };
            let extension = packet.extension(1, &[1, 2, 3, 4, 5]).is_some();
            assert_eq!(extension, len >= 24, "{len} bytes");
            let header = if extension { 24 } else { 12 };
            let payload = packet.payload(&[1, 2, 3]).is_some();
            assert_eq!(payload, len >= header + 3, "{len} bytes");
            let padding = packet.padding(1).is_some();
            let before = header + if payload { 3 } else { 0 };
            assert_eq!(padding, len > before, "{len} bytes");
            let end = before + usize::from(padding);
            assert_eq!(packet.finish().len, end);
            let parsed = RtpPacket::parse(&slot[..end]).unwrap();
            assert_eq!(parsed.extensions().count(), usize::from(extension));
        }
    }
}
