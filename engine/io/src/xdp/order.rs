//! What must not be overtaken: frames leave before what the same batch has for sockets, so behind a
//! train by sockets nothing goes to that peer as a frame.

use std::net::{IpAddr, SocketAddr};

/// Marks; a power of two, and as many as a batch has trains.
const MARKS: usize = 1024;

/// Peers that something goes to by sockets in the batch under way.
///
/// Peers share marks: one that has another's goes by sockets for nothing, which does no harm.
#[derive(Debug)]
pub(super) struct Order {
    /// Number of the batch under way.
    batch: u64,
    /// Batch in which something went by sockets last, by peer.
    marks: Box<[u64]>,
}

impl Order {
    pub(super) fn new() -> Self {
        Self {
            batch: 1,
            marks: vec![0; MARKS].into_boxed_slice(),
        }
    }

    /// Another batch begins.
    pub(super) fn next_batch(&mut self) {
        self.batch += 1;
    }

    /// Whether something goes to that peer by sockets in this batch.
    pub(super) fn is_by_sockets(&self, peer: &SocketAddr) -> bool {
        self.marks[mark(peer)] == self.batch
    }

    /// What follows in this batch is to go by sockets too.
    pub(super) fn by_sockets_from_now_on(&mut self, peer: &SocketAddr) {
        self.marks[mark(peer)] = self.batch;
    }
}

/// Ports of one host next to each other, and hosts of one network, have different marks.
fn mark(peer: &SocketAddr) -> usize {
    let [.., a, b] = match peer.ip() {
        IpAddr::V4(ip) => ip.octets(),
        IpAddr::V6(ip) => {
            let [.., a, b, c, d] = ip.octets();
            [a, b, c, d]
        }
    };
    usize::from(peer.port().wrapping_add(u16::from_be_bytes([a, b]))) % MARKS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_marked_for_one_batch_and_its_neighbours_are_not() {
        let peer = |text: &str| text.parse::<SocketAddr>().unwrap();
        let mut order = Order::new();
        let one = peer("10.0.0.2:5004");
        assert!(!order.is_by_sockets(&one));
        order.by_sockets_from_now_on(&one);
        assert!(order.is_by_sockets(&one));
        for other in ["10.0.0.2:5005", "10.0.0.3:5004", "10.0.0.2:6000"] {
            assert!(!order.is_by_sockets(&peer(other)), "{other}");
        }
        let six = peer("[2001:db8::1]:5004");
        order.by_sockets_from_now_on(&six);
        assert!(order.is_by_sockets(&six));
        order.next_batch();
        assert!(!order.is_by_sockets(&one) && !order.is_by_sockets(&six));
    }
}
