//! The VP9 payload descriptor (RFC 9628 section 4.2).

use crate::bytes::Reader;

use super::PictureId;

/// Most reference indices of a picture in flexible mode.
const MAX_REFERENCES: usize = 3;

/// A payload descriptor. Offsets are into the payload, for a writer that counts anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vp9Descriptor {
    /// Picture id.
    pub picture_id: Option<PictureId>,
    /// P: refers to earlier pictures.
    pub inter_picture: bool,
    /// F: references are named in the descriptor.
    pub flexible: bool,
    /// B: a layer frame begins here.
    pub frame_begin: bool,
    /// E: a layer frame ends here.
    pub frame_end: bool,
    /// V: where in the payload a scalability structure begins, for [`PictureGroup::parse`].
    pub structure: Option<usize>,
    /// Z: no higher spatial layer refers to this frame.
    pub not_spatial_reference: bool,
    /// TID, U, SID and D.
    pub layer: Option<Vp9Layer>,
    /// TL0PICIDX, in non-flexible mode: counts the pictures of the base temporal layer.
    pub tl0_pic_idx: Option<u8>,
    /// Offset of TL0PICIDX.
    pub tl0_pic_idx_offset: Option<usize>,
    /// Bytes of the descriptor.
    pub len: usize,
}

/// The layer indices of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vp9Layer {
    /// TID: temporal layer, 0–7.
    pub temporal: u8,
    /// U: one can switch up to this temporal layer here.
    pub switching_up: bool,
    /// SID: spatial layer, 0–7.
    pub spatial: u8,
    /// D: refers to the spatial layer below in the same picture.
    pub inter_layer: bool,
    /// Offset of the byte with these.
    pub offset: usize,
}

impl Vp9Descriptor {
    /// `None` where the payload ends inside of the descriptor, or it names over three references.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let first = reader.u8()?;
        let [has_picture_id, inter_picture, has_layer, flexible] =
            [0x80, 0x40, 0x20, 0x10].map(|bit| first & bit != 0);
        let [frame_begin, frame_end, has_structure, not_spatial_reference] =
            [0x08, 0x04, 0x02, 0x01].map(|bit| first & bit != 0);
        let mut descriptor = Self {
            picture_id: None,
            inter_picture,
            flexible,
            frame_begin,
            frame_end,
            structure: None,
            not_spatial_reference,
            layer: None,
            tl0_pic_idx: None,
            tl0_pic_idx_offset: None,
            len: 0,
        };
        if has_picture_id {
            descriptor.picture_id = Some(PictureId::read(&mut reader)?);
        }
        if has_layer {
            descriptor.layer = Some(Vp9Layer::read(&mut reader)?);
            if !flexible {
                descriptor.tl0_pic_idx_offset = Some(reader.position());
                descriptor.tl0_pic_idx = Some(reader.u8()?);
            }
        }
        if flexible && inter_picture {
            skip_references(&mut reader)?;
        }
        if has_structure {
            descriptor.structure = Some(reader.position());
            PictureGroup::read(&mut reader)?;
        }
        descriptor.len = reader.position();
        Some(descriptor)
    }

    /// Spatial layer; 0 where the stream has no layers.
    pub fn spatial_layer(&self) -> u8 {
        self.layer.map_or(0, |layer| layer.spatial)
    }

    /// Temporal layer; 0 where the stream has no layers.
    pub fn temporal_layer(&self) -> u8 {
        self.layer.map_or(0, |layer| layer.temporal)
    }
}

/// Most pictures of a group told apart; senders' groups have 8 at most.
pub const MAX_GROUP: usize = 16;

/// A picture of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupPicture {
    /// Temporal layer, 0–7.
    pub temporal: u8,
    /// P_DIFF: how many pictures before it those are that it refers to; 0 where there are fewer.
    pub references: [u8; MAX_REFERENCES],
}

/// The pictures of non-flexible mode, which repeat: from the one with the scalability structure on
/// (RFC 9628 section 4.2.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PictureGroup {
    pictures: [GroupPicture; MAX_GROUP],
    len: u8,
}

impl PictureGroup {
    /// That of a scalability structure; `None` where it names no pictures, or too many, or is cut.
    pub fn parse(structure: &[u8]) -> Option<Self> {
        Self::read(&mut Reader::new(structure))?
    }

    /// In the order of the stream.
    pub fn pictures(&self) -> &[GroupPicture] {
        self.pictures.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Reads to the end of a structure; `None` where it is cut.
    fn read(reader: &mut Reader<'_>) -> Option<Option<Self>> {
        let head = reader.u8()?;
        let spatial_layers = usize::from(head >> 5) + 1;
        let has_resolutions = head & 0x10 != 0;
        let has_pictures = head & 0x08 != 0;
        if has_resolutions {
            reader.skip(spatial_layers * 4)?;
        }
        let mut group = Self::default();
        if has_pictures {
            group.len = reader.u8()?;
        }
        for index in 0..usize::from(group.len) {
            let head = reader.u8()?;
            let mut picture = GroupPicture {
                temporal: head >> 5,
                ..GroupPicture::default()
            };
            for back in picture
                .references
                .iter_mut()
                .take(usize::from(head >> 2 & 0x03))
            {
                *back = reader.u8()?;
            }
            if let Some(place) = group.pictures.get_mut(index) {
                *place = picture;
            }
        }
        let is_told = (1..=MAX_GROUP).contains(&usize::from(group.len));
        Some(is_told.then_some(group))
    }
}

impl Vp9Layer {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let offset = reader.position();
        let byte = reader.u8()?;
        Some(Self {
            temporal: byte >> 5,
            switching_up: byte & 0x10 != 0,
            spatial: byte >> 1 & 0x07,
            inter_layer: byte & 0x01 != 0,
            offset,
        })
    }
}

/// P_DIFF of seven bits and N, which says that another follows.
fn skip_references(reader: &mut Reader<'_>) -> Option<()> {
    for _ in 0..MAX_REFERENCES {
        if reader.u8()? & 0x01 == 0 {
            return Some(());
        }
    }
    None
}

/// True where the packet begins the lowest spatial layer of a picture that refers to none before.
pub(super) fn begins_key_frame(payload: &[u8]) -> bool {
    Vp9Descriptor::parse(payload).is_some_and(|descriptor| {
        descriptor.frame_begin
            && !descriptor.inter_picture
            && descriptor
                .layer
                .is_none_or(|layer| layer.spatial == 0 && !layer.inter_layer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn non_flexible_mode_with_layers() {
        let payload = [0xac, 0x81, 0x02, 0x35, 0x44, 0xff];
        let descriptor = Vp9Descriptor::parse(&payload).unwrap();
        assert_eq!(
            descriptor,
            Vp9Descriptor {
                picture_id: Some(PictureId {
                    value: 0x0102,
                    long: true,
                    offset: 1
                }),
                inter_picture: false,
                flexible: false,
                frame_begin: true,
                frame_end: true,
                structure: None,
                not_spatial_reference: false,
                layer: Some(Vp9Layer {
                    temporal: 1,
                    switching_up: true,
                    spatial: 2,
                    inter_layer: true,
                    offset: 3
                }),
                tl0_pic_idx: Some(0x44),
                tl0_pic_idx_offset: Some(4),
                len: 5,
            }
        );
        for len in 0..5 {
            assert_eq!(Vp9Descriptor::parse(&payload[..len]), None);
        }
    }

    #[test]
    fn flexible_mode_with_references_and_structure() {
        // Picture id of 7 bits, layers, two references; two spatial layers with resolutions and
        // two pictures with one and no references.
        let payload = [
            0xfa, 0x05, 0x00, 0x03, 0x04, 0x38, 1, 64, 0, 180, 2, 128, 1, 104, 2, 0x04, 1, 0x20,
        ];
        let descriptor = Vp9Descriptor::parse(&payload).unwrap();
        assert!(descriptor.flexible && descriptor.structure == Some(5));
        assert_eq!(descriptor.tl0_pic_idx, None);
        assert_eq!(descriptor.len, payload.len());
        for len in 0..payload.len() {
            assert_eq!(Vp9Descriptor::parse(&payload[..len]), None, "{len} bytes");
        }
        let group = PictureGroup::parse(&payload[5..]).unwrap();
        let picture = |temporal, first| GroupPicture {
            temporal,
            references: [first, 0, 0],
        };
        assert_eq!(group.pictures(), [picture(0, 1), picture(1, 0)]);
        let four_references = [0x50, 0x03, 0x03, 0x03, 0x02];
        assert_eq!(Vp9Descriptor::parse(&four_references), None);
    }

    #[test]
    fn groups_of_no_or_too_many_pictures_are_none() {
        assert_eq!(PictureGroup::parse(&[0x00]), None);
        assert_eq!(PictureGroup::parse(&[0x08, 0]), None);
        let mut many = vec![0x08, MAX_GROUP as u8];
        many.resize(2 + MAX_GROUP, 0x20);
        assert_eq!(
            PictureGroup::parse(&many).unwrap().pictures().len(),
            MAX_GROUP
        );
        many[1] += 1;
        assert_eq!(PictureGroup::parse(&many), None, "cut");
        many.push(0x20);
        assert_eq!(PictureGroup::parse(&many), None);
        let descriptor = [[0x0a].as_slice(), &many].concat();
        let read = Vp9Descriptor::parse(&descriptor).unwrap();
        assert_eq!(read.len, descriptor.len());
    }

    #[test]
    fn where_key_frames_begin() {
        assert!(begins_key_frame(&[0x08]), "no layers");
        assert!(begins_key_frame(&[0x28, 0x00, 0x00]), "lowest layer");
        assert!(begins_key_frame(&[0x38, 0x00]), "flexible mode");
        assert!(!begins_key_frame(&[0x00]), "not the beginning");
        assert!(!begins_key_frame(&[0x48]), "refers to earlier pictures");
        assert!(
            !begins_key_frame(&[0x28, 0x03, 0x00]),
            "upper spatial layer"
        );
        assert!(!begins_key_frame(&[0x28, 0x00]), "cut");
    }
}
