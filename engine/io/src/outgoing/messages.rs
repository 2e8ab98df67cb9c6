//! Messages for the kernel to send, at addresses that stay.

use std::io;
use std::ptr;

use weirgate_shard::Path;

use crate::address::{self, ADDRESS_LEN};
use crate::cmsg;
use crate::memory::{Slab, Zeroable};

/// What a message is, beside the header the kernel reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message {
    /// Index of its train in the batch.
    pub(crate) train: u32,
    /// Slot of its socket.
    pub(crate) slot: u32,
    /// Payload bytes.
    pub(crate) len: u32,
    /// Datagrams; more than one are sent with UDP_SEGMENT.
    pub(crate) segments: u16,
    /// Its socket is connected to where it goes.
    pub(crate) connected: bool,
}

/// A message of a payload and, unless its socket is connected, an address: simpler calls than
/// `sendmsg` will do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Simple {
    pub(crate) bytes: *const u8,
    pub(crate) len: usize,
    /// Null where there is none.
    pub(crate) name: *const libc::sockaddr,
    pub(crate) name_len: libc::socklen_t,
}

/// A list of messages of bounded length. The headers point to payloads that are not kept alive by
/// this: they may be handed to the kernel only while what was pushed lives.
#[derive(Debug)]
pub(crate) struct Messages {
    headers: Slab<libc::mmsghdr>,
    parts: Slab<Parts>,
    messages: Vec<Message>,
}

/// What a header points to.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
struct Parts {
    control: [u8; cmsg::SEND_LEN],
    payload: libc::iovec,
    name: [u8; ADDRESS_LEN],
}

// SAFETY: numbers and a pointer.
unsafe impl Zeroable for Parts {}

impl Messages {
    pub(crate) fn new(capacity: usize) -> io::Result<Self> {
        let no_memory = || io::Error::from(io::ErrorKind::OutOfMemory);
        Ok(Self {
            headers: Slab::new(capacity, align_of::<libc::mmsghdr>()).ok_or_else(no_memory)?,
            parts: Slab::new(capacity, align_of::<Parts>()).ok_or_else(no_memory)?,
            messages: Vec::with_capacity(capacity),
        })
    }

    /// The messages, in sending order.
    pub(crate) fn list(&self) -> &[Message] {
        &self.messages
    }

    /// How many more there is room for.
    pub(crate) fn room(&self) -> usize {
        self.headers.len() - self.messages.len()
    }

    pub(crate) fn clear(&mut self) {
        self.messages.clear();
    }

    /// Header of message `index`; the next ones follow it in memory.
    pub(crate) fn header(&self, index: usize) -> *mut libc::mmsghdr {
        assert!(index < self.messages.len());
        self.headers.at(index)
    }

    /// Message `index` where it has no control data.
    pub(crate) fn simple(&self, index: usize) -> Option<Simple> {
        assert!(index < self.messages.len());
        // SAFETY: initialised memory that the kernel reads at most.
        let (header, payload) = unsafe {
            let payload = (*self.parts.at(index)).payload;
            ((*self.headers.at(index)).msg_hdr, payload)
        };
        header.msg_control.is_null().then_some(Simple {
            bytes: payload.iov_base.cast_const().cast(),
            len: payload.iov_len,
            name: header.msg_name.cast_const().cast(),
            name_len: header.msg_namelen,
        })
    }

    /// Appends a message of `bytes` on `path`, by UDP_SEGMENT where `segment_len` is given. There
    /// must be room.
    pub(crate) fn push(
        &mut self,
        message: Message,
        path: &Path,
        bytes: &[u8],
        segment_len: Option<u16>,
    ) {
        let index = self.messages.len();
        let parts = self.parts.at(index);
        // SAFETY: `at` gives a pointer to initialised memory (zeroed), and the kernel does not have
        // it: messages are pushed only when the ones before have been sent.
        let filled = unsafe { &mut *parts };
        let name_len = match message.connected {
            true => 0,
            false => address::write(&path.remote, &mut filled.name),
        };
        let control_len = cmsg::write(&mut filled.control, path.local, &path.remote, segment_len);
        filled.payload = libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        // SAFETY: as above; nobody else refers to it.
        let header = unsafe { &mut (*self.headers.at(index)).msg_hdr };
        // SAFETY: field addresses of live memory, no reference is made.
        unsafe {
            header.msg_name = match name_len {
                0 => ptr::null_mut(),
                _ => ptr::addr_of_mut!((*parts).name).cast(),
            };
            header.msg_iov = ptr::addr_of_mut!((*parts).payload);
            header.msg_control = match control_len {
                0 => ptr::null_mut(),
                _ => ptr::addr_of_mut!((*parts).control).cast(),
            };
        }
        header.msg_namelen = name_len as _;
        header.msg_iovlen = 1;
        header.msg_controllen = control_len as _;
        header.msg_flags = 0;
        self.messages.push(message);
    }
}
