//! What a direction has done.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::latency::histogram;
use crate::outcome::Percentiles;

/// Packets of one direction since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Came in.
    pub entered: u64,
    /// Bytes of those.
    pub entered_bytes: u64,
    /// Came out, second copies too.
    pub delivered: u64,
    /// Bytes of those.
    pub delivered_bytes: u64,
    /// Lost on the way, as `loss` and `bursts` ask.
    pub lost: u64,
    /// Dropped as the queue was full.
    pub queue_dropped: u64,
    /// Dropped as too many bytes were under way.
    pub overflowed: u64,
    /// Second copies made.
    pub duplicated: u64,
    /// Came out after one that came in later.
    pub reordered: u64,
    /// Not taken by the device at the other end.
    pub refused: u64,
}

/// All figures of one direction, at one moment.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Packets.
    #[serde(flatten)]
    pub counts: Counts,
    /// Packets that the kernel dropped before they could be read; known at the end only.
    pub kernel_dropped: Option<u64>,
    /// What a packet coming now would wait in the queue, in ms.
    pub queue_now_ms: f64,
    /// Wait in the queue, in ms, of all packets; `None` before the first, as the others.
    pub queue_ms: Option<Percentiles>,
    /// Time between both ends as measured by the link, in ms.
    pub transit_ms: Option<Percentiles>,
    /// How much later than due packets came out, in ms: the link's own fault.
    pub lateness_ms: Option<Percentiles>,
}

/// Counts and histograms as they grow.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) counts: Counts,
    pub(crate) queue_ns: Histogram<u64>,
    pub(crate) transit_ns: Histogram<u64>,
    pub(crate) lateness_ns: Histogram<u64>,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            counts: Counts::default(),
            queue_ns: histogram(),
            transit_ns: histogram(),
            lateness_ns: histogram(),
        }
    }

    pub(crate) fn figures(&self, queue_now_ms: f64) -> Figures {
        Figures {
            counts: self.counts,
            kernel_dropped: None,
            queue_now_ms,
            queue_ms: Percentiles::of_any(&self.queue_ns),
            transit_ms: Percentiles::of_any(&self.transit_ns),
            lateness_ms: Percentiles::of_any(&self.lateness_ns),
        }
    }
}
