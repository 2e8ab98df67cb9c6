//! Sockets of plain transports.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use weirgate_shard::SocketId;
use weirgate_wire::Refusal;

use super::refuse;

/// Opens sockets on the ports for plain transports.
#[derive(Debug)]
pub(super) struct PlainPorts {
    range: (u16, u16),
    /// The port looked at first next time: a freed one comes again as late as can be, so that
    /// late packets of its former peer are gone by then.
    next: u16,
    next_id: u32,
    ids: HashSet<u32>,
    first_id: u32,
    busy_poll: Option<Duration>,
}

/// A socket of a plain transport on its way to the shard.
#[derive(Debug)]
pub(super) struct PlainSocket {
    pub(super) id: SocketId,
    pub(super) local: SocketAddr,
    pub(super) socket: UdpSocket,
}

impl PlainPorts {
    /// Ports `range.0` to `range.1`; the first `media_sockets` ids are taken.
    pub(super) fn new(range: (u16, u16), media_sockets: u32, busy_poll: Option<Duration>) -> Self {
        Self {
            range,
            next: range.0,
            next_id: media_sockets,
            ids: HashSet::new(),
            first_id: media_sockets,
            busy_poll,
        }
    }

    /// Opens a socket on `ip`, on that port or a free one of the range. `field` names the address
    /// in the refusal.
    pub(super) fn open(
        &mut self,
        field: &str,
        ip: IpAddr,
        port: Option<u16>,
    ) -> Result<PlainSocket, Refusal> {
        let socket = match port {
            Some(port) => bind_given(field, ip, port)?,
            None => self.bind_free(field, ip)?,
        };
        if let Some(time) = self.busy_poll {
            // The media sockets took it at the start, and this thread has kept its rights.
            weirgate_io::poll_busily(&socket, time)
                .map_err(|error| refuse::over_capacity(format_args!("{field}: {error}")))?;
        }
        let local = socket
            .local_addr()
            .map_err(|error| refuse::invalid(format_args!("{field}: {error}")))?;
        Ok(PlainSocket {
            id: self.take_id(),
            local,
            socket,
        })
    }

    /// Takes the id of a closed socket back.
    pub(super) fn close(&mut self, id: SocketId) {
        self.ids.remove(&id.0);
    }

    /// Sockets open now.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    fn bind_free(&mut self, field: &str, ip: IpAddr) -> Result<UdpSocket, Refusal> {
        let (first, last) = self.range;
        for _ in first..=last {
            let port = self.next;
            self.next = if port >= last { first } else { port + 1 };
            match weirgate_io::bind_plain(ip, port) {
                Ok(socket) => return Ok(socket),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(refused(field, ip, port, &error)),
            }
        }
        Err(refuse::over_capacity(format_args!(
            "{field}: no port from {first} to {last} is free on {ip}"
        )))
    }

    fn take_id(&mut self) -> SocketId {
        while !self.ids.insert(self.next_id) {
            self.advance_id();
        }
        let id = SocketId(self.next_id);
        self.advance_id();
        id
    }

    fn advance_id(&mut self) {
        self.next_id = self.next_id.checked_add(1).unwrap_or(self.first_id);
    }
}

fn bind_given(field: &str, ip: IpAddr, port: u16) -> Result<UdpSocket, Refusal> {
    if port == 0 {
        return Err(refuse::invalid(format_args!(
            "{field}: port 0 was given, allowed is 1 to 65535"
        )));
    }
    weirgate_io::bind_plain(ip, port).map_err(|error| refused(field, ip, port, &error))
}

fn refused(field: &str, ip: IpAddr, port: u16, error: &io::Error) -> Refusal {
    let message = format!(
        "{field}: {} can not be bound: {error}",
        SocketAddr::new(ip, port)
    );
    match error.kind() {
        io::ErrorKind::AddrInUse => refuse::conflict(message),
        io::ErrorKind::AddrNotAvailable
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::Unsupported => refuse::invalid(message),
        // Descriptors or memory are used up.
        _ => refuse::over_capacity(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use weirgate_wire::RefusalKind;

    const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// A range with one port that was free just now.
    fn one_port() -> (u16, u16) {
        let probe = UdpSocket::bind((IP, 0)).unwrap();
        let port = probe.local_addr().unwrap().port();
        (port, port)
    }

    #[test]
    fn a_range_that_is_used_up_is_over_capacity_and_a_taken_port_a_conflict() {
        let range = one_port();
        let mut ports = PlainPorts::new(range, 2, None);
        let socket = ports.open("listen_ip", IP, None).unwrap();
        assert_eq!(socket.local, SocketAddr::new(IP, range.0));
        assert_eq!(socket.id, SocketId(2));
        let full = ports.open("listen_ip", IP, None).unwrap_err();
        assert_eq!(full.kind, RefusalKind::OverCapacity);
        let taken = ports.open("listen_ip", IP, Some(range.0)).unwrap_err();
        assert_eq!(taken.kind, RefusalKind::Conflict);

        ports.close(socket.id);
        drop(socket);
        let again = ports.open("listen_ip", IP, None).unwrap();
        assert_eq!(again.id, SocketId(3));
        assert_eq!(ports.len(), 1);
    }

    #[test]
    fn an_address_that_is_not_ours_and_port_0_are_invalid() {
        let mut ports = PlainPorts::new((10_100, 10_200), 1, None);
        let foreign = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        for refusal in [
            ports.open("rtcp_listen_ip", foreign, None).unwrap_err(),
            ports.open("rtcp_listen_ip", IP, Some(0)).unwrap_err(),
        ] {
            assert_eq!(refusal.kind, RefusalKind::Invalid);
            assert!(refusal.message.starts_with("rtcp_listen_ip: "), "{refusal}");
        }
    }
}
