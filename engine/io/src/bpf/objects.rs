//! Maps, programs and attachments: bpf(2).

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Commands of bpf(2).
mod command {
    pub(super) const MAP_CREATE: i32 = 0;
    pub(super) const MAP_UPDATE_ELEM: i32 = 2;
    pub(super) const MAP_DELETE_ELEM: i32 = 3;
    pub(super) const PROG_LOAD: i32 = 5;
    pub(super) const LINK_CREATE: i32 = 28;
}

/// `BPF_XDP`
const ATTACH_XDP: u32 = 37;
/// None of our programs calls what is only for programs under the GPL; it is what the project is
/// under.
const LICENSE: &[u8] = b"Apache-2.0 OR MIT\0";
/// Bytes of the verifier's words that are kept of a refused program: its last ones say why.
const LOG_BYTES: usize = 64 << 10;

/// Kinds of maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum MapKind {
    /// Any keys.
    Hash = 1,
    /// Any keys; the one not used longest gives way.
    LruHash = 9,
    /// AF_XDP sockets by queue.
    Xsk = 17,
    /// Sockets of one port by number.
    ReuseportSockets = 20,
}

/// A map.
#[derive(Debug)]
pub(crate) struct Map {
    fd: OwnedFd,
    key_len: usize,
    value_len: usize,
}

impl Map {
    /// A map of at most `entries` pairs.
    pub(crate) fn new(
        kind: MapKind,
        key_len: usize,
        value_len: usize,
        entries: u32,
    ) -> io::Result<Self> {
        let attributes = MapAttributes {
            kind: kind as u32,
            key_len: key_len as u32,
            value_len: value_len as u32,
            entries,
            flags: 0,
        };
        let fd = bpf(command::MAP_CREATE, &attributes)?;
        Ok(Self {
            // SAFETY: a new descriptor, owned by nobody else.
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
            key_len,
            value_len,
        })
    }

    /// Sets the value of a key, both of the map's lengths.
    pub(crate) fn set(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        assert!(key.len() == self.key_len && value.len() == self.value_len);
        bpf(command::MAP_UPDATE_ELEM, &self.element(key, Some(value))).map(drop)
    }

    /// Forgets a key; one that is not there is no error.
    pub(crate) fn remove(&self, key: &[u8]) -> io::Result<()> {
        assert!(key.len() == self.key_len);
        match bpf(command::MAP_DELETE_ELEM, &self.element(key, None)) {
            Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
            _ => Ok(()),
        }
    }

    /// For [`Assembler::load_map`](super::Assembler::load_map).
    pub(crate) fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    fn element(&self, key: &[u8], value: Option<&[u8]>) -> ElementAttributes {
        ElementAttributes {
            map: self.raw_fd() as u32,
            padding: 0,
            key: key.as_ptr() as u64,
            value: value.map_or(0, |value| value.as_ptr() as u64),
            flags: 0,
        }
    }
}

/// Kinds of programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum ProgramKind {
    /// Runs on each frame an interface receives.
    Xdp = 6,
    /// Chooses among the sockets of one port.
    Reuseport = 21,
}

/// A loaded program.
#[derive(Debug)]
pub(crate) struct Program {
    fd: OwnedFd,
}

impl Program {
    /// Has the kernel verify and compile a program. An error of the verifier carries its last
    /// words.
    pub(crate) fn load(kind: ProgramKind, instructions: &[u64]) -> io::Result<Self> {
        let mut attributes = ProgramAttributes {
            kind: kind as u32,
            instruction_count: instructions.len() as u32,
            instructions: instructions.as_ptr() as u64,
            license: LICENSE.as_ptr() as u64,
            name: *b"weirgate\0\0\0\0\0\0\0\0",
            ..ProgramAttributes::default()
        };
        let loaded = bpf(command::PROG_LOAD, &attributes);
        let fd = match loaded {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EACCES)) => {
                // Once more for the verifier's words; they cost too much to always ask for.
                let mut log = vec![0u8; LOG_BYTES];
                attributes.log_level = 1;
                attributes.log_len = LOG_BYTES as u32;
                attributes.log = log.as_mut_ptr() as u64;
                bpf(command::PROG_LOAD, &attributes).map_err(|_| explain(error, &log))?
            }
            loaded => loaded?,
        };
        // SAFETY: a new descriptor, owned by nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd })
    }

    pub(crate) fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// A program at an interface; taken off when this goes, and with the process at the latest.
#[derive(Debug)]
pub(crate) struct Link {
    _fd: OwnedFd,
}

impl Link {
    /// Puts an XDP program at an interface, with `XDP_FLAGS_*`.
    pub(crate) fn xdp(program: &Program, interface: u32, flags: u32) -> io::Result<Self> {
        let attributes = LinkAttributes {
            program: program.raw_fd() as u32,
            interface,
            kind: ATTACH_XDP,
            flags,
        };
        let fd = bpf(command::LINK_CREATE, &attributes)?;
        Ok(Self {
            // SAFETY: a new descriptor, owned by nobody else.
            _fd: unsafe { OwnedFd::from_raw_fd(fd) },
        })
    }
}

fn explain(error: io::Error, log: &[u8]) -> io::Error {
    let text = log.split(|&byte| byte == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    let last = text
        .lines()
        .rev()
        .find(|line| !line.is_empty() && !line.starts_with("processed "));
    match last {
        Some(last) => io::Error::new(error.kind(), format!("{error} ({last})")),
        None => error,
    }
}

/// The part of `union bpf_attr` for making maps.
#[derive(Debug, Default)]
#[repr(C)]
struct MapAttributes {
    kind: u32,
    key_len: u32,
    value_len: u32,
    entries: u32,
    flags: u32,
}

/// That for a map's elements.
#[derive(Debug, Default)]
#[repr(C)]
struct ElementAttributes {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// That for loading programs.
#[derive(Debug, Default)]
#[repr(C)]
struct ProgramAttributes {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_len: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_kind: u32,
}

/// That for attaching them.
#[derive(Debug, Default)]
#[repr(C)]
struct LinkAttributes {
    program: u32,
    interface: u32,
    kind: u32,
    flags: u32,
}

/// The attributes are one of the structs above, without padding the kernel would have to see zero.
fn bpf<T>(command: i32, attributes: &T) -> io::Result<RawFd> {
    // SAFETY: the kernel reads `size_of::<T>()` bytes, and what the attributes point to, which all
    // callers keep alive and of the lengths they tell.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<T>(),
        )
    };
    RawFd::try_from(result)
        .ok()
        .filter(|&fd| fd >= 0)
        .ok_or_else(io::Error::last_os_error)
}
