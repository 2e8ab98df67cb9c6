//! The VP8 payload descriptor (RFC 7741 section 4.2).

use crate::bytes::Reader;

use super::PictureId;

/// A payload descriptor. Offsets are into the payload, for a writer that counts anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vp8Descriptor {
    /// N: no other frame refers to this one.
    pub non_reference: bool,
    /// S: a partition starts here.
    pub partition_start: bool,
    /// PID: index of the partition, 0–7.
    pub partition: u8,
    /// Picture id.
    pub picture_id: Option<PictureId>,
    /// TL0PICIDX: counts the frames of the base temporal layer.
    pub tl0_pic_idx: Option<u8>,
    /// Offset of TL0PICIDX.
    pub tl0_pic_idx_offset: Option<usize>,
    /// TID: temporal layer, 0–3.
    pub temporal_layer: Option<u8>,
    /// Y: refers to the base temporal layer only, so that one can switch up here.
    pub layer_sync: bool,
    /// KEYIDX: counts the key frames, modulo 32.
    pub key_idx: Option<u8>,
    /// Offset of the byte with TID, Y and KEYIDX.
    pub layer_offset: Option<usize>,
    /// Bytes of the descriptor.
    pub len: usize,
}

impl Vp8Descriptor {
    /// `None` where the payload ends inside of the descriptor.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let first = reader.u8()?;
        let control = if first & 0x80 != 0 { reader.u8()? } else { 0 };
        let [has_picture_id, has_tl0, has_tid, has_key_idx] =
            [0x80, 0x40, 0x20, 0x10].map(|bit| control & bit != 0);
        let mut descriptor = Self {
            non_reference: first & 0x20 != 0,
            partition_start: first & 0x10 != 0,
            partition: first & 0x07,
            picture_id: None,
            tl0_pic_idx: None,
            tl0_pic_idx_offset: None,
            temporal_layer: None,
            layer_sync: false,
            key_idx: None,
            layer_offset: None,
            len: 0,
        };
        if has_picture_id {
            descriptor.picture_id = Some(PictureId::read(&mut reader)?);
        }
        if has_tl0 {
            descriptor.tl0_pic_idx_offset = Some(reader.position());
            descriptor.tl0_pic_idx = Some(reader.u8()?);
        }
        if has_tid || has_key_idx {
            descriptor.layer_offset = Some(reader.position());
            let byte = reader.u8()?;
            descriptor.temporal_layer = has_tid.then_some(byte >> 6);
            descriptor.layer_sync = has_tid && byte & 0x20 != 0;
            descriptor.key_idx = has_key_idx.then_some(byte & 0x1f);
        }
        descriptor.len = reader.position();
        Some(descriptor)
    }

    /// True where this packet begins a frame.
    pub const fn begins_frame(&self) -> bool {
        self.partition_start && self.partition == 0
    }
}

/// True where the packet begins a frame whose header says that it is a key frame (the P bit of
/// RFC 7741 section 4.3 is 0).
pub(super) fn begins_key_frame(payload: &[u8]) -> bool {
    let Some(descriptor) = Vp8Descriptor::parse(payload) else {
        return false;
    };
    let frame_header = payload.get(descriptor.len);
    descriptor.begins_frame() && frame_header.is_some_and(|byte| byte & 0x01 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_with_every_field() {
        let payload = [0xb0, 0xf0, 0x81, 0x02, 0x33, 0xa5, 0x10];
        let descriptor = Vp8Descriptor::parse(&payload).unwrap();
        assert_eq!(
            descriptor,
            Vp8Descriptor {
                non_reference: true,
                partition_start: true,
                partition: 0,
                picture_id: Some(PictureId {
                    value: 0x0102,
                    long: true,
                    offset: 2
                }),
                tl0_pic_idx: Some(0x33),
                tl0_pic_idx_offset: Some(4),
                temporal_layer: Some(2),
                layer_sync: true,
                key_idx: Some(5),
                layer_offset: Some(5),
                len: 6,
            }
        );
        assert!(begins_key_frame(&payload));
        for len in 0..6 {
            assert_eq!(Vp8Descriptor::parse(&payload[..len]), None);
        }
        for len in 0..7 {
            assert!(!begins_key_frame(&payload[..len]));
        }
    }

    #[test]
    fn fields_of_their_own() {
        let short_id = Vp8Descriptor::parse(&[0x80, 0x80, 0x7f]).unwrap();
        assert_eq!(short_id.picture_id.map(|id| id.value), Some(127));
        assert_eq!(short_id.len, 3);
        let key_idx = Vp8Descriptor::parse(&[0x80, 0x10, 0xff]).unwrap();
        assert_eq!((key_idx.key_idx, key_idx.temporal_layer), (Some(31), None));
        assert!(!key_idx.layer_sync);
    }

    #[test]
    fn key_frames_begin_without_the_extension_bit_too() {
        assert!(begins_key_frame(&[0x10, 0x00]));
        assert!(!begins_key_frame(&[0x10, 0x01]), "inter frame");
        assert!(!begins_key_frame(&[0x00, 0x00]), "inside of a partition");
        assert!(!begins_key_frame(&[0x11, 0x00]), "second partition");
        assert!(!begins_key_frame(&[0x10]));
    }
}
