//! Sockets that nobody reads: what came to them, by the kernel's count of what it dropped there.

use std::collections::HashSet;
use std::fs;
use std::sync::Mutex;

use crate::leg::lock;

/// Tables of the sockets of this network namespace, of both families.
const TABLES: [&str; 2] = ["/proc/net/udp", "/proc/net/udp6"];
/// In a table's line, after the number of the line.
const LOCAL_ADDRESS: usize = 1;
const DROPS: usize = 12;

/// All such sockets of a run.
#[derive(Debug, Default)]
pub(super) struct UnreadSockets {
    ports: Mutex<HashSet<u16>>,
}

impl UnreadSockets {
    pub(super) fn add(&self, port: u16) {
        lock(&self.ports).insert(port);
    }

    /// Datagrams that came so far, but for the few with which each socket was full; `None` where there
    /// are no such sockets.
    pub(super) fn came(&self) -> Option<u64> {
        let ports = lock(&self.ports);
        if ports.is_empty() {
            return None;
        }
        let tables = TABLES
            .iter()
            .filter_map(|&table| fs::read_to_string(table).ok());
        Some(tables.map(|table| drops_of(&table, &ports)).sum())
    }
}

/// Drops of the sockets with these ports.
fn drops_of(table: &str, ports: &HashSet<u16>) -> u64 {
    let drops = table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(LOCAL_ADDRESS);
        let (_, port) = fields.next()?.rsplit_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let drops = fields.nth(DROPS - LOCAL_ADDRESS - 1)?;
        ports.contains(&port).then(|| drops.parse::<u64>().ok())?
    });
    drops.sum()
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn what_the_kernel_dropped_at_these_ports_came() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  101: 0100007F:2710 00000000:0000 07 00000000:00000300 00:00000000 00000000     0        0 7170 2 00000000e07be2ab 41
  102: 0100007F:2711 00000000:0000 07 00000000:00000300 00:00000000 00000000     0        0 7171 2 00000000e07be2ac 7
  103: 0100007F:2712 00000000:0000 07 00000000:00000300 00:00000000 00000000     0        0 7172 2 00000000e07be2ad 1
";
        assert_eq!(drops_of(table, &[10_000, 10_002].into()), 42);
    }

    #[test]
    fn a_socket_that_nobody_reads_fills_up_and_then_drops() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket2::SockRef::from(&socket)
            .set_recv_buffer_size(1)
            .unwrap();
        let sockets = UnreadSockets::default();
        assert_eq!(sockets.came(), None);
        let to = socket.local_addr().unwrap();
        sockets.add(to.port());
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..100 {
            sender.send_to(&[0; 1000], to).unwrap();
        }
        let came = sockets.came().unwrap();
        assert!((90..100).contains(&came), "{came}");
    }
}
