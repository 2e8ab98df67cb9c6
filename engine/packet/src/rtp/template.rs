//! The part of the header that all packets of a stream have in common.

use super::{ExtensionForm, FIXED_HEADER_LEN, MARKER_BIT, RtpWriter, VERSION};

/// Bytes of a template, and the least room for a packet that is begun with one.
const TEMPLATE_LEN: usize = 64;

/// A header with extension elements, written once: each packet begins as a copy of it.
#[derive(Debug, Clone)]
pub struct RtpTemplate {
    bytes: [u8; TEMPLATE_LEN],
    elements_end: usize,
    header_len: usize,
    form: ExtensionForm,
}

impl RtpTemplate {
    /// A header without extensions.
    pub const fn new(form: ExtensionForm) -> Self {
        let mut bytes = [0; TEMPLATE_LEN];
        bytes[0] = VERSION << 6;
        Self {
            bytes,
            elements_end: FIXED_HEADER_LEN,
            header_len: FIXED_HEADER_LEN,
            form,
        }
    }

    /// Adds an extension element and answers where its data lies, for [`RtpWriter::patch`]. `None`
    /// where the form has no such id or length, or 64 bytes of header would be too few.
    pub fn extension(&mut self, id: u8, data: &[u8]) -> Option<usize> {
        let (elements_end, header_len) = (self.elements_end, self.header_len);
        let mut writer = RtpWriter::resume(&mut self.bytes, self.form, elements_end, header_len);
        let offset = writer.extension(id, data)?;
        (self.elements_end, self.header_len) = writer.ends();
        Some(offset)
    }

    /// Starts a packet; more extensions may follow. `None` where the slot has under 64 bytes or
    /// `payload_type` is over 127.
    #[inline]
    pub fn begin<'a>(
        &self,
        slot: &'a mut [u8],
        marker: bool,
        payload_type: u8,
        sequence: u16,
        timestamp: u32,
        ssrc: u32,
    ) -> Option<RtpWriter<'a>> {
        let head: &mut [u8; TEMPLATE_LEN] = slot.first_chunk_mut()?;
        if payload_type & MARKER_BIT != 0 {
            return None;
        }
        *head = self.bytes;
        head[1] = payload_type | if marker { MARKER_BIT } else { 0 };
        head[2..4].copy_from_slice(&sequence.to_be_bytes());
        head[4..8].copy_from_slice(&timestamp.to_be_bytes());
        head[8..12].copy_from_slice(&ssrc.to_be_bytes());
        let (elements_end, header_len) = (self.elements_end, self.header_len);
        Some(RtpWriter::resume(slot, self.form, elements_end, header_len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_the_same_as_one_written_in_full() {
        let mut template = RtpTemplate::new(ExtensionForm::OneByte);
        template.extension(1, b"mid").unwrap();
        let at = template.extension(4, &[0; 3]).unwrap();
        let mut begun = [0xff; 100];
        let mut writer = template
            .begin(&mut begun, true, 111, 7, 0x0102_0304, 0xcafe_babe)
            .unwrap();
        writer.patch(at, &[1, 2, 3]).unwrap();
        writer.extension(10, &[0x30]).unwrap();
        writer.payload(&[9, 8, 7]).unwrap();
        let written = writer.finish();
        let mut full = [0xff; 100];
        let form = ExtensionForm::OneByte;
        let mut writer =
            RtpWriter::new(&mut full, true, 111, 7, 0x0102_0304, 0xcafe_babe, form).unwrap();
        writer.extension(1, b"mid").unwrap();
        writer.extension(4, &[1, 2, 3]).unwrap();
        writer.extension(10, &[0x30]).unwrap();
        writer.payload(&[9, 8, 7]).unwrap();
        assert_eq!(writer.finish(), written);
        assert_eq!(begun[..written.len], full[..written.len]);
    }

    #[test]
    fn without_extensions_it_is_a_fixed_header() {
        let template = RtpTemplate::new(ExtensionForm::OneByte);
        let mut slot = [0xff; TEMPLATE_LEN];
        let mut writer = template.begin(&mut slot, false, 96, 1, 2, 3).unwrap();
        writer.payload(&[5]).unwrap();
        let written = writer.finish();
        assert_eq!((written.header_len, written.len), (12, 13));
        assert_eq!(slot[..13], [0x80, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 5]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut template = RtpTemplate::new(ExtensionForm::OneByte);
        assert_eq!(template.extension(15, &[1]), None);
        for _ in 0..2 {
            assert!(template.extension(1, &[7; 16]).is_some());
        }
        assert_eq!(template.extension(1, &[7; 16]), None);
        let mut slot = [0; TEMPLATE_LEN];
        assert!(template.begin(&mut slot, false, 128, 1, 2, 3).is_none());
        assert!(template.begin(&mut slot[1..], false, 96, 1, 2, 3).is_none());
    }
}
