//! What is known of the layers of one packet.

use crate::targets::{Layer, Targets};

/// What a step up at a frame builds on, beside the frames it is known to refer to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Climb {
    /// Nothing.
    #[default]
    References,
    /// The next lower temporal layer.
    Temporal,
    /// The next lower spatial layer.
    Spatial,
}

/// How the layers of a frame hang together, in the same terms for every codec.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FrameLayers {
    /// Counts what one decision is about, on over all wraps: pictures of VP8 and VP9, frames where
    /// there is a dependency descriptor.
    pub(crate) unit: u64,
    /// Counts pictures: all frames of one instant.
    pub(crate) picture: u64,
    pub(crate) layer: Layer,
    /// Targets the frame is part of.
    pub(crate) present: Targets,
    /// Those in which other frames may refer to it.
    pub(crate) needed: Targets,
    /// Targets that can be decoded from this frame on, if it can.
    pub(crate) grants: Targets,
    /// What that takes.
    pub(crate) climb: Climb,
    /// Units before this one that it refers to: bit `n` for the one `n + 1` before.
    pub(crate) references: u64,
    /// It refers to some too long ago to know of.
    pub(crate) has_far_references: bool,
    /// It refers to no earlier picture, so higher layers may join in this one.
    pub(crate) is_independent: bool,
    /// Targets the source makes now.
    pub(crate) available: Targets,
}

/// A number inside of the payload, to be counted anew for each consumer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum PictureNumber {
    #[default]
    None,
    /// Of 7 bits at that offset.
    Short(u8),
    /// Of 15 bits at that offset.
    Long(u8),
}

/// What is known of the layers of one packet; made once by [`crate::LayerReader`] and kept with the
/// packet, for all its consumers. 72 bytes at most.
#[derive(Debug, Clone, Copy, Default)]
pub struct PacketLayers {
    pub(crate) frame: FrameLayers,
    /// A consumer may take some layers of it and leave others.
    pub(crate) is_layered: bool,
    /// Pictures are counted in the payload, and left-out ones must not be missed (VP8).
    pub(crate) counts_pictures: bool,
    /// Receivers that are not told of layers take the frames of a picture for one only where these
    /// are joined (AV1).
    pub(crate) is_joinable: bool,
    pub(crate) begins_frame: bool,
    pub(crate) ends_frame: bool,
    pub(crate) begins_key_frame: bool,
    pub(crate) marker: bool,
    pub(crate) picture_number: PictureNumber,
    /// Offset of TL0PICIDX in the payload and its value.
    pub(crate) tl0: Option<(u8, u8)>,
}

impl PacketLayers {
    /// A packet of which nothing is known but its marker bit.
    pub fn unknown(marker: bool) -> Self {
        Self {
            marker,
            ..Self::default()
        }
    }

    /// Its spatial and temporal layer; the lowest where there are none.
    pub const fn layer(&self) -> Layer {
        self.frame.layer
    }

    /// The stream has layers inside that can be told apart.
    pub const fn is_layered(&self) -> bool {
        self.is_layered
    }

    /// The first packet of a frame; of a spatial layer's frame where there are some.
    pub const fn begins_frame(&self) -> bool {
        self.begins_frame
    }

    /// The last packet of a frame; of a spatial layer's frame where there are some.
    pub const fn ends_frame(&self) -> bool {
        self.ends_frame
    }

    /// The first packet of a key frame, from which a decoder can start.
    pub const fn begins_key_frame(&self) -> bool {
        self.begins_key_frame
    }

    /// The marker bit as it came.
    pub const fn marker(&self) -> bool {
        self.marker
    }

    /// Higher spatial layers build on the frame.
    pub const fn serves_above(&self) -> bool {
        self.frame
            .present
            .has_above_spatial(self.frame.layer.spatial)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_small() {
        assert!(size_of::<super::PacketLayers>() <= 72);
    }
}
