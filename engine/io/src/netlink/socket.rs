//! Requests and answers: a header of length, type, flags, sequence and port, then the payload.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Types of messages.
pub(super) mod kind {
    pub(in super::super) const ERROR: u16 = libc::NLMSG_ERROR as u16;
    pub(in super::super) const DONE: u16 = libc::NLMSG_DONE as u16;
    pub(in super::super) const NEW_LINK: u16 = libc::RTM_NEWLINK;
    pub(in super::super) const DEL_LINK: u16 = libc::RTM_DELLINK;
    pub(in super::super) const GET_LINK: u16 = libc::RTM_GETLINK;
    pub(in super::super) const NEW_ADDR: u16 = libc::RTM_NEWADDR;
    pub(in super::super) const DEL_ADDR: u16 = libc::RTM_DELADDR;
    pub(in super::super) const GET_ADDR: u16 = libc::RTM_GETADDR;
    pub(in super::super) const NEW_ROUTE: u16 = libc::RTM_NEWROUTE;
    pub(in super::super) const DEL_ROUTE: u16 = libc::RTM_DELROUTE;
    pub(in super::super) const GET_ROUTE: u16 = libc::RTM_GETROUTE;
    pub(in super::super) const NEW_NEIGH: u16 = libc::RTM_NEWNEIGH;
    pub(in super::super) const DEL_NEIGH: u16 = libc::RTM_DELNEIGH;
    pub(in super::super) const GET_NEIGH: u16 = libc::RTM_GETNEIGH;
}

const HEADER_LEN: usize = 16;
/// Longer than any one message of the kernel.
const BUFFER_LEN: usize = 64 << 10;
/// After this the kernel is not going to answer.
const PATIENCE_SECONDS: libc::time_t = 2;

/// A netlink socket of the routing family.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    buffer: Vec<u8>,
    sequence: u32,
}

impl Socket {
    /// One that is also told of what happens in `groups`.
    pub(super) fn open(groups: u32) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: no pointers; the result is checked.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just made, owned by nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: numbers, for which zero is valid.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        address.nl_groups = groups;
        let patience = libc::timeval {
            tv_sec: PATIENCE_SECONDS,
            tv_usec: 0,
        };
        // SAFETY: the kernel reads two live structs of the lengths told.
        let failed = unsafe {
            libc::bind(
                fd.as_raw_fd(),
                (&raw const address).cast(),
                size_of_val(&address) as libc::socklen_t,
            ) != 0
                || libc::setsockopt(
                    fd.as_raw_fd(),
                    libc::SOL_SOCKET,
                    libc::SO_RCVTIMEO,
                    (&raw const patience).cast(),
                    size_of_val(&patience) as libc::socklen_t,
                ) != 0
        };
        if failed {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            fd,
            buffer: vec![0; BUFFER_LEN],
            sequence: 0,
        })
    }

    /// Asks for all of a kind; `each` is given type and payload of every message.
    pub(super) fn dump(
        &mut self,
        kind: u16,
        payload: &[u8],
        each: impl FnMut(u16, &[u8]),
    ) -> io::Result<()> {
        self.request(kind, libc::NLM_F_DUMP as u16, payload, each)
    }

    /// Asks for one thing; `each` is given type and payload of the answer. The kernel's refusal is
    /// an error with its errno.
    pub(super) fn ask(
        &mut self,
        kind: u16,
        payload: &[u8],
        each: impl FnMut(u16, &[u8]),
    ) -> io::Result<()> {
        self.request(kind, libc::NLM_F_ACK as u16, payload, each)
    }

    /// Gives on what has happened, without waiting; an error `ENOBUFS` says that some was lost.
    pub(super) fn happened(&mut self, mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        loop {
            let len = match self.receive(libc::MSG_DONTWAIT) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                len => len?,
            };
            for (header, payload) in Messages::new(&self.buffer[..len]) {
                each(header.kind, payload);
            }
        }
    }

    fn request(
        &mut self,
        kind: u16,
        flags: u16,
        payload: &[u8],
        mut each: impl FnMut(u16, &[u8]),
    ) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = Vec::with_capacity(HEADER_LEN + payload.len());
        request.extend_from_slice(&((HEADER_LEN + payload.len()) as u32).to_ne_bytes());
        request.extend_from_slice(&kind.to_ne_bytes());
        request.extend_from_slice(&(flags | libc::NLM_F_REQUEST as u16).to_ne_bytes());
        request.extend_from_slice(&self.sequence.to_ne_bytes());
        request.extend_from_slice(&[0; 4]);
        request.extend_from_slice(payload);
        // SAFETY: the kernel reads the bytes of a live vector.
        let sent = unsafe {
            libc::send(
                self.fd.as_raw_fd(),
                request.as_ptr().cast(),
                request.len(),
                0,
            )
        };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        loop {
            let len = self.receive(0)?;
            for (header, payload) in Messages::new(&self.buffer[..len]) {
                if header.sequence != self.sequence {
                    continue;
                }
                match header.kind {
                    kind::DONE => return Ok(()),
                    kind::ERROR => return error_in(payload),
                    kind => each(kind, payload),
                }
            }
        }
    }

    fn receive(&mut self, flags: i32) -> io::Result<usize> {
        loop {
            // SAFETY: the kernel writes at most as many bytes as the vector has.
            let len = unsafe {
                libc::recv(
                    self.fd.as_raw_fd(),
                    self.buffer.as_mut_ptr().cast(),
                    self.buffer.len(),
                    flags,
                )
            };
            match usize::try_from(len) {
                Ok(len) => return Ok(len),
                Err(_) => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        return Err(error);
                    }
                }
            }
        }
    }
}

/// An errno, negative; 0 acknowledges.
fn error_in(payload: &[u8]) -> io::Result<()> {
    let errno = payload.first_chunk().copied().map_or(0, i32::from_ne_bytes);
    match errno {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno.wrapping_neg())),
    }
}

struct Header {
    kind: u16,
    sequence: u32,
}

/// The messages of one datagram.
struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = (Header, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header = self.rest.first_chunk::<HEADER_LEN>()?;
        let len = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let sequence = u32::from_ne_bytes([header[8], header[9], header[10], header[11]]);
        let payload = self.rest.get(HEADER_LEN..len)?;
        self.rest = self.rest.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some((Header { kind, sequence }, payload))
    }
}
