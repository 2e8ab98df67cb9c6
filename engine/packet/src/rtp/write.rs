//! Writing of an RTP packet into a send slot.

use crate::bytes::SlotWriter;

use super::extension::{ExtensionForm, ONE_BYTE_PROFILE, TWO_BYTE_PROFILE};
use super::{
    EXTENSION_BIT, EXTENSION_HEADER_LEN, FIXED_HEADER_LEN, MARKER_BIT, PADDING_BIT, VERSION,
};

/// Writes one packet in the order header, extensions, payload, padding. A method that answers
/// `None` has written nothing, either for want of room or because its turn was over.
#[derive(Debug)]
pub struct RtpWriter<'a> {
    out: SlotWriter<'a>,
    form: ExtensionForm,
    first: u8,
    part: Part,
    header_len: usize,
}

/// What was written last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Fixed,
    Extensions,
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
        if payload_type & MARKER_BIT != 0 {
            return None;
        }
        let first = VERSION << 6;
        let mut fixed = [0; FIXED_HEADER_LEN];
        fixed[0] = first;
        fixed[1] = payload_type | if marker { MARKER_BIT } else { 0 };
        fixed[2..4].copy_from_slice(&sequence.to_be_bytes());
        fixed[4..8].copy_from_slice(&timestamp.to_be_bytes());
        fixed[8..].copy_from_slice(&ssrc.to_be_bytes());
        let mut out = SlotWriter::new(slot);
        out.put(&fixed)?;
        Some(Self {
            out,
            form,
            first,
            part: Part::Fixed,
            header_len: FIXED_HEADER_LEN,
        })
    }

    /// Goes on with a header that is begun.
    #[inline]
    pub(super) const fn resume(
        out: SlotWriter<'a>,
        form: ExtensionForm,
        first: u8,
        part: Part,
    ) -> Self {
        Self {
            out,
            form,
            first,
            part,
            header_len: FIXED_HEADER_LEN,
        }
    }

    /// Bytes written so far.
    pub(super) const fn len(&self) -> usize {
        self.out.len()
    }

    /// Writes over what was written at `offset`; `None` where that is not all written yet.
    #[inline]
    pub fn patch(&mut self, offset: usize, data: &[u8]) -> Option<()> {
        self.out.patch(offset, data)
    }

    /// Adds a header extension and answers where its data lies in the slot. `None` where the form
    /// has no such id or length.
    pub fn extension(&mut self, id: u8, data: &[u8]) -> Option<usize> {
        if self.part > Part::Extensions || !self.form.holds(id, data.len()) {
            return None;
        }
        let before = self.out.len();
        let offset = self.put_element(id, data);
        if offset.is_none() {
            self.out.truncate(before);
            return None;
        }
        self.first |= EXTENSION_BIT;
        self.part = Part::Extensions;
        offset
    }

    /// Appends to the payload; the first call closes the extension block.
    #[inline]
    pub fn payload(&mut self, data: &[u8]) -> Option<()> {
        if self.part > Part::Payload {
            return None;
        }
        self.close_header()?;
        self.out.put(data)
    }

    /// Bytes written so far.
    pub const fn written_len(&self) -> usize {
        self.out.len()
    }

    /// Appends `len` bytes of padding, their count included; 0 adds none. Once per packet.
    pub fn padding(&mut self, len: u8) -> Option<()> {
        if self.part > Part::Payload {
            return None;
        }
        self.close_header()?;
        let Some(zeros) = len.checked_sub(1) else {
            return Some(());
        };
        if self.out.capacity() - self.out.len() < usize::from(len) {
            return None;
        }
        self.out.put_zeros(usize::from(zeros))?;
        self.out.put(&[len])?;
        self.first |= PADDING_BIT;
        self.part = Part::Padding;
        Some(())
    }

    /// Ends the packet; `None` where the extension block could not be closed for want of room.
    #[inline]
    pub fn finish(mut self) -> Option<RtpWritten> {
        self.close_header()?;
        self.out.patch(0, &[self.first])?;
        Some(RtpWritten {
            header_len: self.header_len,
            len: self.out.len(),
        })
    }

    fn put_element(&mut self, id: u8, data: &[u8]) -> Option<usize> {
        if self.part == Part::Fixed {
            let profile = match self.form {
                ExtensionForm::OneByte => ONE_BYTE_PROFILE,
                ExtensionForm::TwoByte => TWO_BYTE_PROFILE,
            };
            self.out.put(&profile.to_be_bytes())?;
            self.out.put_zeros(2)?;
        }
        let len = data.len() as u8;
        match self.form {
            ExtensionForm::OneByte => self.out.put(&[id << 4 | (len - 1)])?,
            ExtensionForm::TwoByte => self.out.put(&[id, len])?,
        }
        let offset = self.out.len();
        self.out.put(data)?;
        Some(offset)
    }

    /// Pads the extension block to whole words and writes their number.
    #[inline]
    fn close_header(&mut self) -> Option<()> {
        if self.part >= Part::Payload {
            return Some(());
        }
        if self.part == Part::Extensions {
            let len = self.out.len() - FIXED_HEADER_LEN - EXTENSION_HEADER_LEN;
            let words = u16::try_from(len.div_ceil(4)).ok()?;
            self.out.put_zeros(usize::from(words) * 4 - len)?;
            self.out.patch(FIXED_HEADER_LEN + 2, &words.to_be_bytes())?;
        }
        self.part = Part::Payload;
        self.header_len = self.out.len();
        Some(())
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
        let written = packet.finish().unwrap();
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
        let written = packet.finish().unwrap();
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
        let written = packet.finish().unwrap();
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
        assert_eq!(packet.finish().map(|written| written.len), Some(12));
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
            assert_eq!(extension, len >= 22, "{len} bytes");
            let payload = packet.payload(&[1, 2, 3]).is_some();
            let header = if extension { 24 } else { 12 };
            assert_eq!(payload, len >= header + 3, "{len} bytes");
            let padding = packet.padding(1).is_some();
            let before = header + if payload { 3 } else { 0 };
            assert_eq!(padding, len > before, "{len} bytes");
            let closed = len >= header;
            assert_eq!(packet.finish().is_some(), closed, "{len} bytes");
            if closed {
                let end = before + usize::from(padding);
                let parsed = RtpPacket::parse(&slot[..end]).unwrap();
                assert_eq!(parsed.extensions().count(), usize::from(extension));
            }
        }
    }
}
