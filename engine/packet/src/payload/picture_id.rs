//! The picture id that VP8 and VP9 descriptors share.

use crate::bytes::Reader;

const LONG_BIT: u8 = 0x80;

/// A picture id of 7 or 15 bits, and where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureId {
    /// Its value, 0–127 or 0–32,767.
    pub value: u16,
    /// It has 15 bits.
    pub long: bool,
    /// Offset of its first byte in the payload.
    pub offset: usize,
}

impl PictureId {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let offset = reader.position();
        let first = reader.u8()?;
        let long = first & LONG_BIT != 0;
        let value = if long {
            u16::from_be_bytes([first & !LONG_BIT, reader.u8()?])
        } else {
            u16::from(first)
        };
        Some(Self {
            value,
            long,
            offset,
        })
    }

    /// Puts `value` in its place in `payload`, cut to as many bits as it has; `None` where the
    /// payload ends before it.
    pub fn write(&self, payload: &mut [u8], value: u16) -> Option<()> {
        let [high, low] = value.to_be_bytes();
        let place = payload.get_mut(self.offset..)?;
        if self.long {
            place
                .first_chunk_mut()
                .map(|place| *place = [high | LONG_BIT, low])
        } else {
            place.first_mut().map(|place| *place = low & !LONG_BIT)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_id_keeps_its_width() {
        for (bytes, value, long) in [(&[0x7f][..], 127, false), (&[0xff, 0xfe], 32_766, true)] {
            let id = PictureId::read(&mut Reader::new(bytes)).unwrap();
            assert_eq!((id.value, id.long), (value, long));
            let mut payload = bytes.to_vec();
            id.write(&mut payload, 0xf0f0).unwrap();
            let id = PictureId::read(&mut Reader::new(&payload)).unwrap();
            assert_eq!(id.value, if long { 0x70f0 } else { 0x70 });
            assert_eq!(id.long, long);
            assert_eq!(id.write(&mut payload[..bytes.len() - 1], 1), None);
        }
        assert_eq!(PictureId::read(&mut Reader::new(&[0x80])), None);
    }
}
