//! Socket options the standard library does not have.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// Asks for the local address of each datagram where the socket will have several.
pub(super) fn local_address_wanted(socket: &impl AsFd, ip: IpAddr) -> io::Result<()> {
    match ip {
        ip if !ip.is_unspecified() => Ok(()),
        IpAddr::V4(_) => set(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1),
        IpAddr::V6(_) => set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1),
    }
}

/// Lets a receive on the socket look for itself whether its network card has something, for at most
/// that long, and puts the card's interrupts off meanwhile where it is set up for that
/// (`napi_defer_hard_irqs`). The back end is to know too: [`IoOptions::busy_poll`](crate::IoOptions).
///
/// # Errors
/// `PermissionDenied` without `CAP_NET_ADMIN`, and what else the kernel says; text that says so.
pub fn poll_busily(socket: &impl AsFd, time: Duration) -> io::Result<()> {
    let micros = i32::try_from(time.as_micros()).unwrap_or(i32::MAX);
    let set = [(libc::SO_BUSY_POLL, micros), (libc::SO_PREFER_BUSY_POLL, 1)]
        .into_iter()
        .try_for_each(|(name, value)| set(socket, libc::SOL_SOCKET, name, value));
    set.map_err(|error| {
        let text = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "busy polling of a socket needs CAP_NET_ADMIN".to_owned()
            }
            _ => format!("busy polling of a socket (Linux 5.11) is refused: {error}"),
        };
        io::Error::new(error.kind(), text)
    })
}

/// Makes both buffers `len` bytes, past the system's limit where we may.
pub(super) fn enlarge_buffers(socket: &Socket, len: usize) -> io::Result<()> {
    let value = i32::try_from(len).unwrap_or(i32::MAX);
    if set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, value).is_err() {
        socket.set_recv_buffer_size(len)?;
    }
    if set(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, value).is_err() {
        socket.set_send_buffer_size(len)?;
    }
    Ok(())
}

/// Lets the kernel join datagrams of one flow, or not; does nothing where the kernel can not.
pub(crate) fn join_datagrams(socket: &impl AsFd, join: bool) {
    try_set(socket, libc::SOL_UDP, libc::UDP_GRO, join.into());
}

/// Asks to be told how many datagrams a full receive buffer dropped; only statistics.
pub(super) fn drops_wanted(socket: &impl AsFd) {
    try_set(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1);
}

/// Asks to be told when each datagram reached the host; without it they count as come when they are taken.
pub(super) fn arrivals_wanted(socket: &impl AsFd) {
    try_set(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1);
}

/// Whether the kernel knows UDP_SEGMENT. One that does not would ignore the control message and
/// send a train as one huge datagram.
pub(crate) fn segmentation_offload_known() -> bool {
    fresh().is_some_and(|socket| try_set(&socket, libc::SOL_UDP, libc::UDP_SEGMENT, 1200))
}

/// Whether the kernel knows UDP_GRO.
pub(crate) fn joining_known() -> bool {
    fresh().is_some_and(|socket| try_set(&socket, libc::SOL_UDP, libc::UDP_GRO, 1))
}

/// Whether datagrams for several local addresses can come to this one.
pub(super) fn is_wildcard(local: SocketAddr) -> bool {
    local.ip().is_unspecified()
}

/// Sets an option; false where the kernel refuses.
pub(crate) fn try_set(socket: &impl AsFd, level: i32, name: i32, value: i32) -> bool {
    set(socket, level, name, value).is_ok()
}

fn fresh() -> Option<Socket> {
    let make = |domain| Socket::new(domain, Type::DGRAM, None);
    make(Domain::IPV4).or_else(|_| make(Domain::IPV6)).ok()
}

fn set(socket: &impl AsFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let len = size_of_val(&value) as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: reads four bytes from a live integer; the descriptor is borrowed, so open.
    let result = unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), len) };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_polling_is_what_the_kernel_says_it_is() {
        let socket = fresh().unwrap();
        match poll_busily(&socket, Duration::from_micros(50)) {
            Ok(()) => {
                assert_eq!(get(&socket, libc::SO_BUSY_POLL), 50);
                assert_eq!(get(&socket, libc::SO_PREFER_BUSY_POLL), 1);
            }
            Err(error) => {
                assert!(error.to_string().starts_with("busy polling"), "{error}");
                assert_eq!(get(&socket, libc::SO_PREFER_BUSY_POLL), 0);
            }
        }
    }

    fn get(socket: &Socket, name: i32) -> i32 {
        let mut value = 0;
        let mut len = size_of_val(&value) as libc::socklen_t;
        // SAFETY: writes at most four bytes into a live integer.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                name,
                (&raw mut value).cast(),
                &raw mut len,
            )
        };
        assert_eq!(result, 0);
        value
    }
}
