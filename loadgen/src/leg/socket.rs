//! UDP sockets as the kernel tells most about what comes in by them.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, Socket, Type};

/// Asked of the kernel for each socket, so that a busy moment of ours loses nothing.
const BUFFER_BYTES: usize = 4 << 20;
/// The longest train that the kernel hands over.
pub(super) const MAX_TRAIN_BYTES: usize = 65_536;

/// Binds a UDP socket with large buffers that hands over trains, timestamps and drop counts.
pub fn bind(address: SocketAddr) -> Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    // More than the host's limit is given to those with rights only; then it gives what it may.
    if setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_BYTES).is_err() {
        let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
    }
    let _ = socket.set_send_buffer_size(BUFFER_BYTES);
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true).context("SO_TIMESTAMPNS")?;
    setsockopt(&socket, sockopt::RxqOvfl, &1).context("SO_RXQ_OVFL")?;
    // Without it every datagram comes by itself.
    let _ = setsockopt(&socket, sockopt::UdpGroSegment, &true);
    socket.set_nonblocking(true)?;
    socket
        .bind(&address.into())
        .with_context(|| format!("can not bind {address}"))?;
    Ok(socket.into())
}

/// Datagrams of one size that came together, the last one maybe shorter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Train {
    /// All their bytes.
    pub(super) len: usize,
    /// Bytes of each but the last.
    pub(super) segment: usize,
    /// Who sent them.
    pub(super) from: SocketAddr,
    /// When they came by the wall clock, in ns since the Unix epoch, if the kernel said.
    pub(super) kernel_ns: Option<u64>,
    /// Datagrams this socket has lost so far, if the kernel said.
    pub(super) drops: Option<u32>,
}

/// Room for what comes with a datagram.
pub(super) fn control_buffer() -> Vec<u8> {
    let space = nix::cmsg_space!(TimeSpec, i32, u32);
    vec![0; space.capacity()]
}

/// Takes the next train of a socket; `None` where none waits.
///
/// One at a time: with UDP_GRO most of what waits at a socket comes at once.
pub(super) fn receive(
    socket: &UdpSocket,
    buffer: &mut [u8],
    control: &mut [u8],
) -> std::io::Result<Option<Train>> {
    let mut slices = [std::io::IoSliceMut::new(buffer)];
    let received = recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut slices,
        Some(control),
        MsgFlags::MSG_DONTWAIT,
    );
    let message = match received {
        Ok(message) => message,
        Err(Errno::EAGAIN) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let from = message.address.as_ref().and_then(address_of);
    let mut train = Train {
        len: message.bytes,
        segment: message.bytes.max(1),
        from: from.ok_or(ErrorKind::InvalidData)?,
        kernel_ns: None,
        drops: None,
    };
    for control in message.cmsgs()? {
        match control {
            ControlMessageOwned::ScmTimestampns(time) => {
                train.kernel_ns =
                    Some(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64);
            }
            ControlMessageOwned::UdpGroSegments(bytes) if bytes > 0 => {
                train.segment = bytes as usize;
            }
            ControlMessageOwned::RxqOvfl(drops) => train.drops = Some(drops),
            _ => {}
        }
    }
    Ok(Some(train))
}

fn address_of(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(address) = storage.as_sockaddr_in() {
        return Some(SocketAddr::V4((*address).into()));
    }
    let address = storage.as_sockaddr_in6()?;
    Some(SocketAddr::V6((*address).into()))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

    use nix::sys::socket::sockopt::UdpGsoSegment;

    use super::*;

    #[test]
    fn a_train_comes_whole_and_with_its_time() {
        let localhost = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (receiver, sender) = (bind(localhost).unwrap(), bind(localhost).unwrap());
        setsockopt(&sender, UdpGsoSegment, &100).unwrap();
        sender
            .send_to(&[7; 450], receiver.local_addr().unwrap())
            .unwrap();
        let mut buffer = vec![0; MAX_TRAIN_BYTES];
        let mut control = control_buffer();
        let end = Instant::now() + Duration::from_secs(5);
        let train = loop {
            let train = receive(&receiver, &mut buffer, &mut control).unwrap();
            if train.is_some() || Instant::now() > end {
                break train.unwrap();
            }
        };
        assert_eq!((train.len, train.segment), (450, 100));
        assert_eq!(train.from, sender.local_addr().unwrap());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let age = now.as_nanos() as u64 - train.kernel_ns.unwrap();
        assert!(age < 10_000_000_000, "{age}");
        assert!(
            receive(&receiver, &mut buffer, &mut control)
                .unwrap()
                .is_none()
        );
    }
}
