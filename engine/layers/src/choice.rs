//! Which layers of one stream a consumer has now, and what that means for each frame.
//!
//! The choice knows which decode targets the receiver could go on with: those of which it got
//! everything since they were last granted. From these and what a frame grants it takes the best
//! one at the start of each picture. So it goes up only where a decoder can follow, down at once
//! where the lower layers were sent along anyway, and else waits for a key frame, with as many temporal
//! layers as whoever asked for less allows meanwhile.

use crate::decisions::Decisions;
use crate::packet_layers::{Climb, FrameLayers, PacketLayers};
use crate::targets::{Layer, Targets};

/// So many pictures without any that is sent: twice as many as the base layer of three is apart.
const STANDSTILL_PICTURES: u64 = 8;

/// The layers one consumer has of one stream.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    /// Targets that can be decoded as things stand.
    alive: Targets,
    layer: Option<Layer>,
    /// The layer at the end of the last whole picture.
    settled: Option<Layer>,
    since: Since,
    /// The layer before that, for late units.
    before: Option<Layer>,
    before_since: u64,
    newest_unit: u64,
    picture: Option<u64>,
    /// The newest picture of which something is sent.
    last_sent: u64,
    /// The lowest spatial layer that was sent of the newest picture.
    lowest: Option<u8>,
    /// The end of the newest picture was told to the receiver.
    is_ended: bool,
    /// What the source makes, as last seen.
    available: Targets,
    /// Highest temporal layer seen.
    top_temporal: u8,
}

/// Where the layers changed last.
#[derive(Debug, Clone, Copy, Default)]
struct Since {
    unit: u64,
    picture: u64,
}

/// What a consumer is to have of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) layer: Layer,
    /// Highest temporal layer where the spatial one cannot be had yet but those above can.
    pub(crate) meanwhile: u8,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) is_sent: bool,
    /// The marker bit it leaves with.
    pub(crate) marker: bool,
    /// A lower frame of its picture goes before it.
    pub(crate) is_upper: bool,
}

impl Choice {
    /// The layers sent, as of the last whole picture; the temporal one cut to what was seen.
    pub(crate) fn layer(&self) -> Option<Layer> {
        self.settled.map(|layer| Layer {
            temporal: layer.temporal.min(self.top_temporal),
            ..layer
        })
    }

    /// The spatial layer is not the one wanted, and only a key frame can change that.
    pub(crate) fn needs_key_frame(&self, wanted: Layer) -> bool {
        let spatial = |targets: Targets| targets.best(wanted).map(|layer| layer.spatial);
        self.layer.is_none() || spatial(self.alive.and(self.available)) != spatial(self.available)
    }

    /// Pictures come and go, and none is sent: senders that are short of bits leave layers out.
    pub(crate) fn stands_still(&self) -> bool {
        self.picture
            .is_some_and(|picture| picture > self.last_sent + STANDSTILL_PICTURES)
    }

    /// Decides over a packet of a layered stream.
    pub(crate) fn decide(
        &mut self,
        decisions: &mut Decisions,
        layers: &PacketLayers,
        wanted: Wanted,
    ) -> Fate {
        let frame = &layers.frame;
        let is_sent = match decisions.get(frame.unit, frame.layer.spatial) {
            Some(is_sent) => {
                if is_sent && frame.unit == self.newest_unit {
                    // What grants may be written in some packets of a frame only.
                    self.alive = self.alive.or(self.granted(decisions, frame));
                }
                is_sent
            }
            None if frame.unit < self.newest_unit => self.decide_late(decisions, frame),
            None => self.decide_new(decisions, frame, wanted),
        };
        Fate {
            is_sent,
            marker: is_sent && (layers.marker || self.ends_picture(layers, wanted.layer)),
            is_upper: self.picture == Some(frame.picture)
                && self
                    .lowest
                    .is_some_and(|lowest| lowest < frame.layer.spatial),
        }
    }

    /// A frame that was to be sent is not.
    pub(crate) fn miss(&mut self, layers: &PacketLayers) {
        if layers.is_layered {
            self.alive = self.alive.without(layers.frame.needed);
        }
    }

    /// A frame that comes after later ones: what was chosen then counts, and nothing changes.
    fn decide_late(&mut self, decisions: &mut Decisions, frame: &FrameLayers) -> bool {
        let is_older = frame.unit < self.since.unit && frame.picture != self.since.picture;
        let layer = match is_older {
            true => self.before.filter(|_| frame.unit >= self.before_since),
            false => self.layer,
        };
        let is_sent = layer.is_some_and(|layer| match is_older {
            true => frame.present.contains(layer),
            false => is_part(frame, layer, self.alive),
        });
        if !is_sent && !is_older {
            self.alive = self.alive.without(frame.needed);
        }
        decisions.set(frame.unit, frame.layer.spatial, is_sent) && is_sent
    }

    fn decide_new(
        &mut self,
        decisions: &mut Decisions,
        frame: &FrameLayers,
        wanted: Wanted,
    ) -> bool {
        let begins_picture = self.picture != Some(frame.picture);
        if begins_picture {
            self.picture = Some(frame.picture);
            self.is_ended = false;
            self.lowest = None;
            self.settled = self.layer;
        }
        self.newest_unit = frame.unit;
        self.available = frame.available;
        self.top_temporal = self.top_temporal.max(frame.layer.temporal);
        let granted = self.granted(decisions, frame);
        let reachable = self.alive.or(granted).and(frame.available);
        let best = reachable.best_meanwhile(wanted.layer, wanted.meanwhile);
        self.choose(best, begins_picture, frame);
        self.settled = self.settled.or(self.layer);
        let is_sent = self
            .layer
            .is_some_and(|layer| is_part(frame, layer, reachable));
        if is_sent {
            self.last_sent = frame.picture;
            let spatial = frame.layer.spatial;
            self.lowest = Some(self.lowest.map_or(spatial, |lowest| lowest.min(spatial)));
        }
        self.alive = if is_sent {
            self.alive.or(granted)
        } else {
            self.alive.without(frame.needed)
        };
        decisions.set(frame.unit, frame.layer.spatial, is_sent);
        is_sent
    }

    /// Anything can change where a picture begins; inside of one it only goes up, and not behind
    /// what the receiver takes for its end.
    fn choose(&mut self, best: Option<Layer>, begins_picture: bool, frame: &FrameLayers) {
        let next = match (best, self.layer) {
            (Some(best), Some(now)) if begins_picture || best.spatial > now.spatial => Some(best),
            (Some(best), None) => Some(best),
            // The source may have left the layer out of one picture only.
            (None, Some(now)) if !self.alive.contains(now) => None,
            (_, now) => now,
        };
        let may_change = begins_picture || !self.is_ended;
        if may_change && next != self.layer {
            if self.since.picture != frame.picture {
                self.before = self.layer;
                self.before_since = self.since.unit;
                self.since = Since {
                    unit: frame.unit,
                    picture: frame.picture,
                };
            }
            self.layer = next;
        }
    }

    /// The targets that can be decoded from this frame on, if it is sent.
    fn granted(&self, decisions: &Decisions, frame: &FrameLayers) -> Targets {
        if frame.grants.is_empty() || !has_references(decisions, frame) {
            return Targets::NONE;
        }
        match frame.climb {
            Climb::Temporal => self.alive.climb_temporal(frame.grants),
            Climb::Spatial => self.alive.climb_spatial(frame.grants),
            Climb::References => frame.grants,
        }
    }

    /// The packet is the last of its picture for this receiver, though not for the source.
    fn ends_picture(&mut self, layers: &PacketLayers, wanted: Layer) -> bool {
        let frame = &layers.frame;
        let spatial = frame.layer.spatial;
        let may_join = match wanted.spatial > spatial {
            // What was left out before cannot, but in a picture that refers to none before.
            true => frame.is_independent || !frame.available.has_above_spatial(spatial),
            false => false,
        };
        let is_top = self.layer.is_some_and(|now| now.spatial == spatial);
        let is_last = layers.ends_frame && is_top && !may_join;
        if is_last && self.picture == Some(frame.picture) {
            self.is_ended = true;
        }
        is_last
    }
}

/// The frame is sent where `layer` is. What only goes along with that, and is nothing to it, is where it can
/// be decoded: what it refers to may have been left out before there was that layer.
fn is_part(frame: &FrameLayers, layer: Layer, decodable: Targets) -> bool {
    let is_needed = frame.needed.contains(layer) || frame.layer.spatial == layer.spatial;
    frame.present.contains(layer) && (is_needed || decodable.contains(frame.layer))
}

/// Everything the frame refers to was sent.
fn has_references(decisions: &Decisions, frame: &FrameLayers) -> bool {
    let mut references = frame.references;
    while references != 0 {
        let back = u64::from(references.trailing_zeros()) + 1;
        if !frame
            .unit
            .checked_sub(back)
            .is_some_and(|unit| decisions.is_sent(unit))
        {
            return false;
        }
        references &= references - 1;
    }
    !frame.has_far_references
}
