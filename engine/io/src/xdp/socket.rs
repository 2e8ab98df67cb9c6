//! One AF_XDP socket: a piece of memory cut into frames, four rings, one queue of one interface.
//!
//! A frame is in one place at a time. Those for receiving go from the fill ring over the receive
//! ring and the delivery back; those for sending from the free list over the send ring and the
//! completion ring back.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use super::ring::{Consumer, Layout, Producer};
use crate::memory::Slab;

/// Frames to receive into.
const RECEIVE_FRAMES: u32 = 2048;
/// Frames to send from: two batches of what a shard sends at once.
const SEND_FRAMES: u32 = 4096;
/// Bytes of a frame; holds 1,500 bytes and headers beside what the kernel keeps for itself. The
/// larger one is for larger MTUs.
const FRAME_LENS: [u32; 2] = [2048, 4096];
/// `XDP_PACKET_HEADROOM`: bytes before a received frame.
const HEADROOM: u32 = 256;
const ETHERNET_LEN: u32 = 14;
/// The kernel sends by so many frames in one call where it lets us say (Linux 6.17).
const XDP_MAX_TX_SKB_BUDGET: i32 = 9;
/// Bytes of frames in copy mode that may be under way.
const SEND_BUFFER_LEN: i32 = 16 << 20;

/// `struct xdp_desc`: a frame in a ring.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Descriptor {
    address: u64,
    len: u32,
    options: u32,
}

/// See the module.
#[derive(Debug)]
pub(super) struct XdpSocket {
    // First, so that the kernel lets go of the memory before it is freed.
    fd: OwnedFd,
    fill: Producer<u64>,
    receive: Consumer<Descriptor>,
    send: Producer<Descriptor>,
    completion: Consumer<u64>,
    frame_len: u32,
    /// Frames to send from.
    free: Vec<u64>,
    memory: Slab<u8>,
    zero_copy: bool,
}

// SAFETY: it owns its memory, mappings and descriptor, and nothing of them belongs to a thread.
unsafe impl Send for XdpSocket {}

/// What setting one up came to grief at.
#[derive(Debug)]
pub(super) struct SetUpError {
    pub(super) step: &'static str,
    pub(super) error: io::Error,
}

/// What the kernel dropped on the way to a socket.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct KernelDrops {
    /// For want of room in the receive ring or of frames in the fill ring.
    pub(super) received: u64,
}

impl XdpSocket {
    /// Longer IP packets fit into no frame.
    pub(super) const MAX_MTU: u32 = FRAME_LENS[1] - ETHERNET_LEN;

    /// Opens a socket on a queue, in zero-copy mode where the driver can.
    pub(super) fn open(interface: u32, queue: u32, mtu: u32) -> Result<Self, SetUpError> {
        let at = |step| move |error| SetUpError { step, error };
        let frame_len = FRAME_LENS
            .into_iter()
            .find(|len| mtu + ETHERNET_LEN + HEADROOM <= *len)
            .unwrap_or(FRAME_LENS[1]);
        let bytes = (RECEIVE_FRAMES + SEND_FRAMES) as usize * frame_len as usize;
        let memory = Slab::new(bytes, 4096)
            .ok_or(io::ErrorKind::OutOfMemory.into())
            .map_err(at("making frames"))?;
        let fd = new_socket().map_err(at("making an AF_XDP socket"))?;
        register(&fd, &memory, frame_len).map_err(at("registering frames"))?;
        let offsets = size_rings(&fd).map_err(at("sizing rings"))?;
        let rings = map_rings(&fd, &offsets).map_err(at("mapping rings"))?;
        let (mut fill, receive, send, completion) = rings;
        let frames = u64::from(frame_len);
        for frame in 0..u64::from(RECEIVE_FRAMES) {
            fill.push(frame * frames);
        }
        fill.publish();
        // Both only make sending smoother.
        let _ = set_option(&fd, libc::SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &SEND_FRAMES);
        let _ = set_option(
            &fd,
            libc::SOL_SOCKET,
            libc::SO_SNDBUFFORCE,
            &SEND_BUFFER_LEN,
        );
        bind(&fd, interface, queue).map_err(at("binding to a queue"))?;
        let zero_copy = is_zero_copy(&fd).map_err(at("asking for the mode"))?;
        let first = u64::from(RECEIVE_FRAMES);
        let last = first + u64::from(SEND_FRAMES);
        Ok(Self {
            fd,
            fill,
            receive,
            send,
            completion,
            frame_len,
            free: (first..last).map(|frame| frame * frames).collect(),
            memory,
            zero_copy,
        })
    }

    pub(super) fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Whether the driver reads and writes our frames itself.
    pub(super) fn is_zero_copy(&self) -> bool {
        self.zero_copy
    }

    /// The next received frame.
    pub(super) fn next(&mut self) -> Option<Descriptor> {
        self.receive.next()
    }

    /// The bytes of a received frame.
    ///
    /// # Safety
    /// The descriptor comes from [`Self::next`], is taken once, and was not given back by
    /// [`Self::give_back`] while the returned reference lives.
    pub(super) unsafe fn received<'a>(&self, descriptor: &Descriptor) -> &'a mut [u8] {
        let (at, len) = (descriptor.address as usize, descriptor.len as usize);
        assert!(at + len <= self.memory.len());
        // SAFETY: inside the memory, initialised, and exclusive by the caller's word.
        unsafe { std::slice::from_raw_parts_mut(self.memory.at(at), len) }
    }

    /// Hands a received frame to the kernel again, with the next [`Self::refill`].
    pub(super) fn give_back(&mut self, descriptor: &Descriptor) {
        let frame = descriptor.address & !u64::from(self.frame_len - 1);
        // The ring has room for every frame there is.
        self.fill.push(frame);
    }

    /// Lets the kernel have the frames given back and the places in the receive ring.
    pub(super) fn refill(&mut self) {
        self.receive.release();
        self.fill.publish();
        if self.fill.needs_wakeup() {
            // SAFETY: no pointers but null ones; it only tells the driver to look at the ring.
            unsafe {
                libc::recvfrom(
                    self.raw_fd(),
                    ptr::null_mut(),
                    0,
                    libc::MSG_DONTWAIT,
                    ptr::null_mut(),
                    ptr::null_mut(),
                )
            };
        }
    }

    /// Writes a frame to be sent with the next [`Self::kick`]. `write` gives its length, or `None`
    /// where it does not fit. False where nothing was queued.
    pub(super) fn queue(&mut self, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
        if self.free.is_empty() {
            self.reap();
        }
        let Some(frame) = self.free.pop() else {
            return false;
        };
        // SAFETY: inside the memory, initialised; the frame is on no ring and in no other hands.
        let bytes = unsafe {
            std::slice::from_raw_parts_mut(self.memory.at(frame as usize), self.frame_len as usize)
        };
        let queued = write(bytes).is_some_and(|len| {
            self.send.push(Descriptor {
                address: frame,
                len: len as u32,
                options: 0,
            })
        });
        if !queued {
            self.free.push(frame);
        }
        queued
    }

    /// Makes the kernel send what is queued, by as many calls as that takes. What it does not take
    /// now stays queued. An error says that the interface is gone or down.
    pub(super) fn kick(&mut self, syscalls: &mut u64) -> io::Result<()> {
        self.send.publish();
        let mut waiting = self.send.waiting();
        while waiting > 0 && self.send.needs_wakeup() {
            *syscalls += 1;
            // SAFETY: no pointers but null ones.
            let sent = unsafe {
                libc::sendto(
                    self.raw_fd(),
                    ptr::null(),
                    0,
                    libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
                    ptr::null(),
                    0,
                )
            };
            if sent < 0 {
                let error = io::Error::last_os_error();
                match error.raw_os_error() {
                    // The share of one call, a full queue of the device, no memory for now.
                    Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS | libc::EINTR) => {}
                    _ => return Err(error),
                }
            }
            self.reap();
            let left = self.send.waiting();
            if left == waiting {
                break;
            }
            waiting = left;
        }
        Ok(())
    }

    /// Takes back the frames that were sent.
    fn reap(&mut self) {
        while let Some(frame) = self.completion.next() {
            self.free.push(frame & !u64::from(self.frame_len - 1));
        }
        self.completion.release();
    }

    /// What was dropped before it reached us.
    pub(super) fn drops(&self) -> KernelDrops {
        /// `struct xdp_statistics`
        #[derive(Debug, Default)]
        #[repr(C)]
        struct Statistics {
            rx_dropped: u64,
            rx_invalid_descs: u64,
            tx_invalid_descs: u64,
            rx_ring_full: u64,
            rx_fill_ring_empty_descs: u64,
            tx_ring_empty_descs: u64,
        }
        let mut statistics = Statistics::default();
        match get_option(&self.fd, libc::XDP_STATISTICS, &mut statistics) {
            // `rx_dropped` has those in it for which there was no frame.
            Ok(()) => KernelDrops {
                received: statistics.rx_dropped + statistics.rx_ring_full,
            },
            Err(_) => KernelDrops::default(),
        }
    }
}

fn new_socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers; the result is checked.
    let fd = unsafe { libc::socket(libc::AF_XDP, kind, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn register(fd: &OwnedFd, memory: &Slab<u8>, frame_len: u32) -> io::Result<()> {
    /// `struct xdp_umem_reg` as all kernels know it.
    #[repr(C)]
    struct Registration {
        address: u64,
        len: u64,
        chunk_size: u32,
        headroom: u32,
        flags: u32,
        padding: u32,
    }
    let registration = Registration {
        address: memory.at(0) as u64,
        len: memory.len() as u64,
        chunk_size: frame_len,
        headroom: 0,
        flags: 0,
        padding: 0,
    };
    set_option(fd, libc::SOL_XDP, libc::XDP_UMEM_REG, &registration)
}

fn size_rings(fd: &OwnedFd) -> io::Result<libc::xdp_mmap_offsets> {
    for (option, len) in [
        (libc::XDP_UMEM_FILL_RING, RECEIVE_FRAMES),
        (libc::XDP_UMEM_COMPLETION_RING, SEND_FRAMES),
        (libc::XDP_RX_RING, RECEIVE_FRAMES),
        (libc::XDP_TX_RING, SEND_FRAMES),
    ] {
        set_option(fd, libc::SOL_XDP, option, &len)?;
    }
    // SAFETY: numbers, for which zero is valid.
    let mut offsets: libc::xdp_mmap_offsets = unsafe { std::mem::zeroed() };
    get_option(fd, libc::XDP_MMAP_OFFSETS, &mut offsets)?;
    Ok(offsets)
}

type Rings = (
    Producer<u64>,
    Consumer<Descriptor>,
    Producer<Descriptor>,
    Consumer<u64>,
);

fn map_rings(fd: &OwnedFd, offsets: &libc::xdp_mmap_offsets) -> io::Result<Rings> {
    let layout = |page_offset: u64, offsets, len| Layout {
        page_offset,
        offsets,
        len,
    };
    let fill = layout(libc::XDP_UMEM_PGOFF_FILL_RING, offsets.fr, RECEIVE_FRAMES);
    let receive = layout(libc::XDP_PGOFF_RX_RING as u64, offsets.rx, RECEIVE_FRAMES);
    let send = layout(libc::XDP_PGOFF_TX_RING as u64, offsets.tx, SEND_FRAMES);
    let completion = layout(
        libc::XDP_UMEM_PGOFF_COMPLETION_RING,
        offsets.cr,
        SEND_FRAMES,
    );
    Ok((
        Producer::map(fd.as_fd(), &fill)?,
        Consumer::map(fd.as_fd(), &receive)?,
        Producer::map(fd.as_fd(), &send)?,
        Consumer::map(fd.as_fd(), &completion)?,
    ))
}

fn bind(fd: &OwnedFd, interface: u32, queue: u32) -> io::Result<()> {
    // SAFETY: numbers, for which zero is valid.
    let mut address: libc::sockaddr_xdp = unsafe { std::mem::zeroed() };
    address.sxdp_family = libc::AF_XDP as u16;
    address.sxdp_flags = libc::XDP_USE_NEED_WAKEUP;
    address.sxdp_ifindex = interface;
    address.sxdp_queue_id = queue;
    let len = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the kernel reads a live struct of that length.
    match unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn is_zero_copy(fd: &OwnedFd) -> io::Result<bool> {
    let mut options = 0u32;
    get_option(fd, libc::XDP_OPTIONS, &mut options)?;
    Ok(options & libc::XDP_OPTIONS_ZEROCOPY != 0)
}

/// `T` is what the option is made of, without padding.
fn set_option<T>(fd: &OwnedFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    let len = size_of::<T>() as libc::socklen_t;
    let value = ptr::from_ref(value).cast();
    // SAFETY: the kernel reads a live value of that length.
    match unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value, len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// `T` is numbers only: the kernel may write any bytes into it.
fn get_option<T>(fd: &OwnedFd, name: i32, value: &mut T) -> io::Result<()> {
    let mut len = size_of::<T>() as libc::socklen_t;
    let value = ptr::from_mut(value).cast();
    // SAFETY: the kernel writes at most that many bytes into a live value.
    match unsafe { libc::getsockopt(fd.as_raw_fd(), libc::SOL_XDP, name, value, &raw mut len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
