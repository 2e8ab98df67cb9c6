//! A network in memory: flows that share one link, in steps of a millisecond, the same for the
//! same seed.

mod link;
mod media;
mod rng;
mod tcp;

pub(crate) use link::{Link, LinkConfig};
pub(crate) use media::{FeedbackFaults, MediaConfig, MediaFlow, Record, Source};
use rng::Rng;
pub(crate) use tcp::TcpFlow;

pub(crate) const MS: u64 = 1_000;
pub(crate) const SECOND: u64 = 1_000_000;

/// A packet on the link.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packet {
    pub(crate) flow: usize,
    /// The flow's own number for it.
    pub(crate) id: u64,
    pub(crate) bytes: u16,
}

/// One end-to-end flow. A millisecond passes by `deliver` for what arrived, then `tick`.
pub(crate) trait Flow {
    /// A packet arrived at its receiver.
    fn deliver(&mut self, at_us: u64, packet: Packet);
    /// Sends what it has to send.
    fn tick(&mut self, now_us: u64, out: &mut Vec<(u64, u16)>);
}

/// The link and its flows.
pub(crate) struct Network {
    pub(crate) link: Link,
    pub(crate) now_us: u64,
}

impl Network {
    pub(crate) fn new(config: LinkConfig) -> Self {
        Self {
            link: Link::new(config),
            now_us: SECOND,
        }
    }

    /// Runs for a time.
    pub(crate) fn run(&mut self, duration_us: u64, flows: &mut [&mut dyn Flow]) {
        let end_us = self.now_us + duration_us;
        let mut out = Vec::new();
        while self.now_us < end_us {
            self.now_us += MS;
            while let Some((at_us, packet)) = self.link.arrival(self.now_us) {
                flows[packet.flow].deliver(at_us, packet);
            }
            for (flow, sender) in flows.iter_mut().enumerate() {
                sender.tick(self.now_us, &mut out);
                for (id, bytes) in out.drain(..) {
                    self.link.send(self.now_us, Packet { flow, id, bytes });
                }
            }
        }
    }
}
