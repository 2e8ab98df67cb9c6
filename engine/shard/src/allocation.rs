//! Which layer each consumer of a transport gets of what the path carries.

use std::time::Duration;

use weirgate_congestion::allocator::{
    self, Allocation, Demand, Kind, LayerRate, Reason, Summary, Taken, taken, wanted_bps,
};
use weirgate_wire::{ConsumerType, Layers, MediaKind};

use crate::Timestamp;
use crate::shard::Shard;
use crate::shedding::Share;
use crate::ticks::EARLY;
use crate::trace::Wanted;
use crate::transport::Transport;

/// Layers are chosen anew at least this often, except for who has paused all: rates change, and streams
/// stop.
const INTERVAL: Duration = Duration::from_millis(250);
/// The same where nobody has layers to choose from: only rates are looked at.
const RATES_INTERVAL: Duration = Duration::from_millis(1_000);
/// The path is probed for this much more than consumers would take, so that there is room for
/// whole frames at once and for the next consumer.
const WANTED_FACTOR: u64 = 2;

/// The lowest layer is kept while the target is at least this share of it: a target that swings below
/// what the path carries is no reason for no picture at all.
const KEPT_PERCENT: u64 = 85;

/// The consumers of one transport and what there is for them, side by side. Reused.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    consumers: Vec<Wish>,
    layers: Vec<LayerRate>,
    allocations: Vec<Allocation>,
    /// That left for them in all.
    key_frames: u64,
    /// Memory for what is made of them, empty between allocations.
    demands: Vec<Demand<'static>>,
}

#[derive(Debug)]
struct Wish {
    consumer: u32,
    kind: MediaKind,
    priority: u8,
    paused: bool,
    preferred: Option<(u8, u8)>,
    /// Of layers; or it is not known yet what the only one takes.
    has_choice: bool,
    /// Its part of the layers.
    layers: std::ops::Range<usize>,
}

impl Wishes {
    fn clear(&mut self) {
        self.consumers.clear();
        self.layers.clear();
        self.allocations.clear();
        self.key_frames = 0;
    }

    fn demands<'a>(&'a self, memory: Vec<Demand<'_>>) -> Vec<Demand<'a>> {
        let demand = |wish: &Wish| Demand {
            priority: wish.priority,
            kind: match wish.kind {
                MediaKind::Audio => Kind::Audio,
                MediaKind::Video => Kind::Video,
            },
            paused: wish.paused,
            layers: self
                .layers
                .get(wish.layers.clone())
                .map_or(&[][..], |layers| layers),
            preferred: wish.preferred,
        };
        let mut demands = emptied(memory);
        demands.extend(self.consumers.iter().map(demand));
        demands
    }

    /// What the lowest layers of all take together.
    fn least_bps(&self) -> u64 {
        self.consumers
            .iter()
            .filter(|wish| !wish.paused && !wish.layers.is_empty())
            .filter_map(|wish| self.layers.get(wish.layers.start))
            .map(|layer| layer.bps)
            .sum()
    }
}

impl Shard {
    /// Divides what a transport's path carries among its consumers.
    pub(crate) fn allocate(&mut self, now: Timestamp, index: u32) {
        let mut wishes = std::mem::take(&mut self.wishes);
        wishes.clear();
        self.collect_wishes(now, index, &mut wishes);
        self.divide(now, index, &mut wishes);
        self.wishes = wishes;
    }

    fn divide(&mut self, now: Timestamp, index: u32, wishes: &mut Wishes) {
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return;
        };
        if wishes.consumers.is_empty() {
            transport.allocate_at = Timestamp::NEVER;
            transport.allocate_again_at = Timestamp::NEVER;
            return;
        }
        let mut allocations = std::mem::take(&mut wishes.allocations);
        let memory = std::mem::take(&mut wishes.demands);
        let demands = wishes.demands(memory);
        let taken = taken(&demands, &allocations);
        if let Some(downlink) = &mut transport.downlink {
            downlink.note_taken(now, taken);
            downlink.note_key_frames(now, wishes.key_frames, transport.queue.paced_bytes());
        }
        let target_bps = target_bps(now, transport, taken, wishes.least_bps());
        let Summary { again_us, .. } =
            allocator::allocate(now.as_micros(), target_bps, &demands, &mut allocations);
        let has_choice = wishes.consumers.iter().any(|wish| wish.has_choice);
        let interval = if has_choice { INTERVAL } else { RATES_INTERVAL };
        let is_early = transport.allocate_at.since(now) <= EARLY;
        let in_turn = if is_early { transport.allocate_at } else { now };
        (transport.allocate_at, transport.allocate_again_at) =
            if demands.iter().all(|demand| demand.paused) {
                // Whoever goes on allocates.
                (Timestamp::NEVER, Timestamp::NEVER)
            } else {
                (
                    in_turn.max(now) + interval,
                    Timestamp::from_micros(again_us),
                )
            };
        let (allocate_at, again_at) = (transport.allocate_at, transport.allocate_again_at);
        let rate_bps = transport.traffic.rtp_sent.rate_bps(now);
        transport.repairs.set_rate(rate_bps.min(target_bps));
        let wanted_bps = wanted_bps(&demands);
        let wanted = Wanted {
            bps: wanted_bps,
            probed_bps: wanted_bps * WANTED_FACTOR,
        };
        if let Some(downlink) = &mut transport.downlink {
            downlink.set_wanted(now, wanted.probed_bps);
            downlink.allocated();
        }
        let memory = emptied(demands);
        wishes.demands = memory;
        for (wish, allocation) in wishes.consumers.iter().zip(&allocations) {
            let layers = &wishes.layers[wish.layers.clone()];
            self.apply(now, wish.consumer, allocation, layers, target_bps);
        }
        wishes.allocations = allocations;
        self.schedule_round(index, allocate_at);
        self.schedule(index, again_at);
        self.trace_estimate(now, index, wanted);
    }

    /// Allocates again where the estimate has moved.
    pub(crate) fn allocate_news(&mut self, now: Timestamp, index: u32) {
        let has_news = self
            .transports
            .get(index as usize)
            .and_then(|transport| transport.downlink.as_ref())
            .is_some_and(|downlink| downlink.has_news());
        if has_news {
            self.allocate(now, index);
        }
    }

    /// Allocates in the transport's next round.
    pub(crate) fn allocate_soon(&mut self, now: Timestamp, index: u32) {
        if let Some(transport) = self.transports.get_mut(index as usize) {
            transport.allocate_at = transport.allocate_at.min(now);
            self.schedule_round(index, now);
        }
    }

    fn collect_wishes(&mut self, now: Timestamp, index: u32, wishes: &mut Wishes) {
        let Some(transport) = self.transports.get(index as usize) else {
            return;
        };
        for &consumer_index in &transport.consumers {
            let Some(consumer) = self.consumers.get(consumer_index as usize) else {
                continue;
            };
            let Some(source) = self.sources.get_mut(consumer.source as usize) else {
                continue;
            };
            let start = wishes.layers.len();
            source.layers(now, consumer.config.consumer_type, &mut wishes.layers);
            if consumer.kind == MediaKind::Video
                && consumer.allocation.layer.is_some()
                && let Some(lowest) = wishes.layers.get_mut(start)
            {
                lowest.bps = lowest.bps * KEPT_PERCENT / 100;
            }
            let own = &wishes.layers[start..];
            let signaled = source.config.encodings.first();
            let signaled = signaled.map_or(1, |encoding| encoding.temporal_layers);
            // What there is no time for is not wanted: nothing is probed for it.
            let paused = consumer.is_paused(source) || consumer.share == Share::Nothing;
            let has_choice = match (consumer.kind, consumer.config.consumer_type) {
                (MediaKind::Audio, _) => false,
                (_, ConsumerType::Simple) => own.first().is_some_and(|only| only.bps == 0),
                _ => true,
            };
            wishes.consumers.push(Wish {
                consumer: consumer_index,
                kind: consumer.kind,
                priority: consumer.config.priority,
                paused,
                has_choice: has_choice && !paused,
                preferred: consumer
                    .allowed_layers()
                    .map(|layers| preferred(layers, signaled, own)),
                layers: start..wishes.layers.len(),
            });
            wishes.allocations.push(consumer.allocation);
            wishes.key_frames += consumer.key_frames;
        }
    }

    /// Lets a consumer follow its allocation.
    fn apply(
        &mut self,
        now: Timestamp,
        index: u32,
        allocation: &Allocation,
        layers: &[LayerRate],
        target_bps: u64,
    ) {
        let Some(consumer) = self.consumers.get_mut(index as usize) else {
            return;
        };
        consumer.allocation = *allocation;
        if consumer.kind == MediaKind::Audio {
            return;
        }
        let chosen = allocation.layer.and_then(|layer| layers.get(layer));
        let starves = chosen.is_none() && allocation.reason == Reason::Bandwidth;
        let starved = std::mem::replace(&mut consumer.starved, starves);
        if let Some(chosen) = chosen {
            consumer.aim(Layers {
                spatial: chosen.spatial,
                temporal: chosen.temporal,
            });
        }
        if starves != starved {
            self.list_taker(index);
        }
        if starves && !starved || self.must_leave(index, layers, target_bps) {
            self.interrupt(index);
        }
        self.start_consumer(now, index);
        self.note_wants(now, index);
    }

    /// What it still has would, until the key frame of something lower, take more than all of the
    /// path, even without its upper temporal layers.
    fn must_leave(&self, index: u32, layers: &[LayerRate], target_bps: u64) -> bool {
        let Some(consumer) = self.consumers.get(index as usize) else {
            return false;
        };
        let Some(current) = consumer.layers() else {
            return false;
        };
        let lowest = layers.iter().find(|layer| layer.spatial == current.spatial);
        current.spatial > consumer.target.spatial
            && consumer.selector.wanted_key_frame().is_some()
            && lowest.is_some_and(|layer| layer.bps > target_bps)
    }

    /// Has a consumer offered packets, unless it is idle: to be called where that may have changed.
    pub(crate) fn list_taker(&mut self, index: u32) {
        let Some(consumer) = self.consumers.get(index as usize) else {
            return;
        };
        if let Some(source) = self.sources.get_mut(consumer.source as usize) {
            let takes = !consumer.is_idle(source);
            let is_shed = consumer.share == Share::Nothing
                && !consumer.starved
                && !consumer.is_paused(source);
            source.list_taker(index, takes, is_shed);
        }
    }

    /// Stops a consumer until its next key frame; what it has queued does not leave.
    pub(crate) fn interrupt(&mut self, index: u32) {
        let Some(consumer) = self.consumers.get_mut(index as usize) else {
            return;
        };
        consumer.interrupt();
        let transport = consumer.transport;
        if let Some(transport) = self.transports.get_mut(transport as usize) {
            transport.queue.remove(index);
        }
        self.report_layers(index);
    }
}

/// The memory of a list, for one of things that live elsewhere: collecting in place keeps it.
fn emptied<'a>(mut list: Vec<Demand<'_>>) -> Vec<Demand<'a>> {
    list.clear();
    list.into_iter().map_while(|_| None).collect()
}

/// What the consumers of a transport may take. While nobody says what arrives neither the first
/// guess nor a REMB takes away the lowest layers: a REMB says little more than what came, so that of a
/// receiver that got no video would stay at nothing.
fn target_bps(now: Timestamp, transport: &Transport, taken: Taken, least_bps: u64) -> u64 {
    let target_bps = match &transport.downlink {
        Some(downlink) => downlink.allocatable_bps(now, taken),
        None => transport.outgoing_bps().unwrap_or(u64::MAX >> 8),
    };
    let knows_arrivals = transport
        .downlink
        .as_ref()
        .is_none_or(|downlink| downlink.knows_arrivals());
    if knows_arrivals {
        target_bps
    } else {
        let limit_bps = match transport.max_outgoing_bps {
            0 => u64::MAX,
            limit => u64::from(limit),
        };
        // Steps up need a margin.
        target_bps.max(least_bps + least_bps / 10).min(limit_bps)
    }
}

/// What is preferred, of the layers that the source can have. The highest of the temporal layers
/// signaled stands for all that there are: senders have more than they say.
fn preferred(wanted: Layers, signaled: u8, layers: &[LayerRate]) -> (u8, u8) {
    let temporal = layers
        .iter()
        .filter(|layer| layer.spatial == wanted.spatial)
        .map(|layer| layer.temporal)
        .max();
    let is_all = wanted.temporal + 1 >= signaled;
    let temporal = match temporal {
        Some(highest) if is_all => highest,
        Some(highest) => wanted.temporal.min(highest),
        None => wanted.temporal,
    };
    (wanted.spatial, temporal)
}
