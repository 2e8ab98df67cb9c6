//! Binding the media port and the ports of plain transports.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::options;

/// Bytes asked for in each direction of a media socket: a quarter of a second at 130 Mbit/s. The
/// kernel gives less where `net.core.rmem_max` says so and we may not override it.
const MEDIA_BUFFER_LEN: usize = 4 << 20;
/// Bytes asked for in each direction of a plain transport's socket.
const PLAIN_BUFFER_LEN: usize = 1 << 20;

/// Binds `addr` once per shard. The kernel spreads flows over the sockets (SO_REUSEPORT), in the
/// order of the shards. With port 0 the kernel chooses one port for all.
///
/// # Errors
/// `AddrInUse` where any other program has the port, also one that would share it; text for the
/// operator, naming the address, in every case.
pub fn bind_media(addr: SocketAddr, shards: usize) -> io::Result<Vec<UdpSocket>> {
    let mut sockets: Vec<UdpSocket> = Vec::with_capacity(shards);
    let mut bound = addr;
    for shard in 0..shards {
        if shard > 0 {
            sockets.push(bind_again(bound)?);
            continue;
        }
        let socket = unbound(addr.ip(), MEDIA_BUFFER_LEN).map_err(|e| explain(addr, e))?;
        // Without SO_REUSEPORT a bind fails where anybody has the port, sharing it or not. The
        // option set afterwards still lets our own in, and no program that takes this same way
        // can slip in between: its first bind meets ours.
        bind(&socket, addr).map_err(|e| explain(addr, e))?;
        bound.set_port(port_of(&socket)?);
        socket.set_reuse_port(true)?;
        sockets.push(socket.into());
    }
    Ok(sockets)
}

/// Binds one socket more at the address of a media socket, which lets it in.
pub(super) fn bind_again(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = unbound(addr.ip(), MEDIA_BUFFER_LEN).map_err(|e| explain(addr, e))?;
    socket.set_reuse_port(true)?;
    bind(&socket, addr).map_err(|e| explain(addr, e))?;
    Ok(socket.into())
}

/// Binds one socket that shares its port with nobody. With port 0 the kernel chooses one.
///
/// # Errors
/// `AddrInUse` where the port is taken, else what the kernel says; text that names the address.
pub fn bind_plain(ip: IpAddr, port: u16) -> io::Result<UdpSocket> {
    let addr = SocketAddr::new(ip, port);
    let socket = unbound(ip, PLAIN_BUFFER_LEN).map_err(|e| explain(addr, e))?;
    bind(&socket, addr).map_err(|e| explain(addr, e))?;
    Ok(socket.into())
}

/// A socket with all options that do not depend on the back end.
fn unbound(ip: IpAddr, buffer_len: usize) -> io::Result<Socket> {
    let domain = match ip {
        IpAddr::V4(_) => Domain::IPV4,
        IpAddr::V6(_) => Domain::IPV6,
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if ip.is_ipv6() {
        // 0.0.0.0 is bound beside [::], and an IPv4 peer is never a mapped one.
        socket.set_only_v6(true)?;
    }
    options::local_address_wanted(&socket, ip)?;
    options::enlarge_buffers(&socket, buffer_len)?;
    options::join_datagrams(&socket, true);
    options::drops_wanted(&socket);
    options::arrivals_wanted(&socket);
    Ok(socket)
}

fn bind(socket: &Socket, addr: SocketAddr) -> io::Result<()> {
    socket.bind(&SockAddr::from(addr))
}

fn port_of(socket: &Socket) -> io::Result<u16> {
    let addr = socket.local_addr()?.as_socket();
    Ok(addr.map_or(0, |addr| addr.port()))
}

fn explain(addr: SocketAddr, error: io::Error) -> io::Error {
    let (ip, port) = (addr.ip(), addr.port());
    let text = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "UDP port {port} of {ip} is in use by another program; stop it or choose another port"
            )
        }
        io::ErrorKind::AddrNotAvailable => {
            format!(
                "{ip} is not an address of this host, so UDP port {port} can not be bound there"
            )
        }
        io::ErrorKind::PermissionDenied => {
            format!(
                "binding UDP port {port} of {ip} is not permitted; ports below 1024 need CAP_NET_BIND_SERVICE"
            )
        }
        _ => format!("binding UDP port {port} of {ip} failed: {error}"),
    };
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_another_would_share_is_refused_by_name() {
        let other = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        other.set_reuse_port(true).unwrap();
        bind(&other, "127.0.0.1:0".parse().unwrap()).unwrap();
        let port = port_of(&other).unwrap();
        let error = bind_media(SocketAddr::from(([127, 0, 0, 1], port)), 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(
            error
                .to_string()
                .contains(&format!("UDP port {port} of 127.0.0.1"))
        );
    }

    #[test]
    fn a_media_port_is_taken_for_all_others() {
        let sockets = bind_media("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let addr = sockets[0].local_addr().unwrap();
        assert!(
            sockets
                .iter()
                .all(|socket| socket.local_addr().unwrap() == addr)
        );
        let error = bind_media(addr, 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let error = bind_plain(addr.ip(), addr.port()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn the_families_of_one_port_are_two_sockets() {
        if bind_plain("::1".parse().unwrap(), 0).is_err() {
            println!("no IPv6 here");
            return;
        }
        // A port that is free for IPv4 can be taken for IPv6, but not every time.
        let both = (0..20).any(|_| {
            let v4 = bind_media("0.0.0.0:0".parse().unwrap(), 1).unwrap();
            let port = v4[0].local_addr().unwrap().port();
            bind_media(SocketAddr::new("::".parse().unwrap(), port), 1).is_ok()
        });
        assert!(both);
    }

    #[test]
    fn a_foreign_address_is_named() {
        let error = bind_plain("192.0.2.1".parse().unwrap(), 0).unwrap_err();
        assert!(error.to_string().contains("192.0.2.1"), "{error}");
    }
}
