//! Destinations for which segmentation offload failed: devices without checksum offload, routes
//! through IPsec, segments over the path's MTU. Such a destination gets single datagrams for a
//! while; the others keep their trains.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long a destination is remembered. Routes change, and one more failure costs little.
const REMEMBERED: Duration = Duration::from_secs(300);
/// Destinations remembered at most; the one that expires first gives way.
const LIMIT: usize = 1024;

/// True where an error of a train's send can be the offload's.
pub(crate) fn is_offload_error(errno: i32) -> bool {
    matches!(errno, libc::EIO | libc::EINVAL | libc::EMSGSIZE)
}

/// The destinations, by address: offload depends on the route, not on the port.
#[derive(Debug)]
pub(crate) struct Refusals {
    destinations: HashMap<IpAddr, Refusal>,
}

#[derive(Debug, Clone, Copy)]
struct Refusal {
    /// Trains of segments shorter than this may still go as trains.
    from_len: u16,
    until: Instant,
}

impl Refusals {
    pub(crate) fn new() -> Self {
        Self {
            destinations: HashMap::with_capacity(LIMIT),
        }
    }

    /// Forgets what has expired. Reads the clock only where something is remembered.
    pub(crate) fn expire(&mut self) {
        if !self.destinations.is_empty() {
            let now = Instant::now();
            self.destinations.retain(|_, refusal| refusal.until > now);
        }
    }

    /// Whether trains of this segment length go datagram by datagram.
    pub(crate) fn covers(&self, destination: IpAddr, segment_len: u16) -> bool {
        // Nearly always empty, and then nothing is hashed.
        !self.destinations.is_empty()
            && self
                .destinations
                .get(&destination)
                .is_some_and(|refusal| segment_len >= refusal.from_len)
    }

    /// Remembers that a train of this segment length failed so.
    pub(crate) fn insert(&mut self, destination: IpAddr, segment_len: u16, errno: i32) {
        // EMSGSIZE speaks of that length; the other errors of the route.
        let from_len = match errno {
            libc::EMSGSIZE => segment_len,
            _ => 0,
        };
        let refusal = Refusal {
            from_len,
            until: Instant::now() + REMEMBERED,
        };
        if let Some(known) = self.destinations.get_mut(&destination) {
            known.from_len = known.from_len.min(from_len);
            known.until = refusal.until;
            return;
        }
        if self.destinations.len() == LIMIT {
            let oldest = self
                .destinations
                .iter()
                .min_by_key(|(_, entry)| entry.until);
            if let Some(oldest) = oldest.map(|(ip, _)| *ip) {
                self.destinations.remove(&oldest);
            }
        }
        self.destinations.insert(destination, refusal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u16) -> IpAddr {
        let [high, low] = last.to_be_bytes();
        IpAddr::from([10, 0, high, low])
    }

    #[test]
    fn a_length_refused_leaves_shorter_trains_alone() {
        let mut refusals = Refusals::new();
        refusals.insert(ip(1), 1400, libc::EMSGSIZE);
        assert!(refusals.covers(ip(1), 1400));
        assert!(!refusals.covers(ip(1), 1399));
        assert!(!refusals.covers(ip(2), 1400));
        refusals.insert(ip(1), 1200, libc::EIO);
        assert!(refusals.covers(ip(1), 1));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest() {
        let mut refusals = Refusals::new();
        for last in 0..=LIMIT as u16 {
            refusals.insert(ip(last), 100, libc::EIO);
        }
        assert_eq!(refusals.destinations.len(), LIMIT);
        assert!(!refusals.covers(ip(0), 100));
        assert!(refusals.covers(ip(LIMIT as u16), 100));
    }

    #[test]
    fn what_has_expired_is_forgotten() {
        let mut refusals = Refusals::new();
        refusals.insert(ip(1), 100, libc::EIO);
        refusals.expire();
        assert!(refusals.covers(ip(1), 100));
        refusals.destinations.values_mut().for_each(|refusal| {
            refusal.until = Instant::now();
        });
        refusals.expire();
        assert!(!refusals.covers(ip(1), 100));
    }
}
