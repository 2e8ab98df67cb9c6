//! Datagrams of a media port brought to the shard that owns their flow, by a program the kernel
//! asks before it chooses among the sockets of that port (SO_REUSEPORT). Flows that are not in its
//! table, and all where it may not be loaded, are spread by the kernel's hash, and handed over by
//! the shards.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use weirgate_shard::{Path, ShardNo};

use crate::bpf::{Assembler, Map, MapKind, Program, ProgramKind, Register, Width};
use crate::rights;
use crate::socket::{RTCP_MASK, RTCP_TYPES, VERSION_2, VERSION_MASK};

/// Flows in the table; the one that had no packet longest gives way.
const MAX_FLOWS: u32 = 65_536;
/// In the key of a flow: which family its addresses are of.
const IPV4: u32 = 4;
const IPV6: u32 = 6;
const KEY_LEN: usize = 40;

/// The table of flows, and the programs that look into it.
#[derive(Debug)]
pub struct Steering {
    flows: Map,
    /// Of each media address.
    locals: Vec<SocketAddr>,
    /// The sockets the programs choose from.
    _sockets: Vec<Map>,
}

impl Steering {
    /// Puts a program at the sockets of every media address, of which there is one per shard, and with
    /// [`bind_quiet`](crate::bind_quiet) one more for each: empty where there is none.
    ///
    /// # Errors
    /// A sentence for the operator, where rights are missing or the kernel has no such programs.
    pub fn set_up(media: &[Vec<UdpSocket>], quiet: &[Vec<UdpSocket>]) -> Result<Self, String> {
        let explain = |error: io::Error| {
            let lacking = match rights::missing().as_slice() {
                [] => String::new(),
                missing => format!("; the process lacks {}", missing.join(", ")),
            };
            format!("{error}{lacking}")
        };
        Self::try_set_up(media, quiet).map_err(explain)
    }

    fn try_set_up(media: &[Vec<UdpSocket>], quiet: &[Vec<UdpSocket>]) -> io::Result<Self> {
        let flows = Map::new(MapKind::LruHash, KEY_LEN, 4, MAX_FLOWS)?;
        let mut locals = Vec::new();
        let mut arrays = Vec::new();
        for (sockets, quiet) in media.iter().zip(quiet) {
            let Some(first) = sockets.first() else {
                continue;
            };
            let all = sockets.iter().chain(quiet);
            let array = Map::new(MapKind::ReuseportSockets, 4, 4, all.clone().count() as u32)?;
            for (number, socket) in (0u32..).zip(all) {
                let socket = socket.as_raw_fd() as u32;
                array.set(&number.to_ne_bytes(), &socket.to_ne_bytes())?;
            }
            let shards = sockets.len() as i32;
            let first_quiet = if quiet.is_empty() { 0 } else { shards };
            let program = assemble(&flows, &array, shards, first_quiet)?;
            let program = Program::load(ProgramKind::Reuseport, &program)?;
            attach(first, &program)?;
            locals.push(first.local_addr()?);
            arrays.push(array);
        }
        Ok(Self {
            flows,
            locals,
            _sockets: arrays,
        })
    }

    /// From now on the flow's datagrams go to that shard.
    ///
    /// # Errors
    /// Where the path is of no media socket, and what the kernel says, such as on kernels before
    /// 5.19 that let nobody without rights change the table.
    pub fn set(&self, path: &Path, owner: ShardNo) -> io::Result<()> {
        let key = self.key(path).ok_or(io::ErrorKind::NotFound)?;
        self.flows.set(&key, &u32::from(owner).to_ne_bytes())
    }

    /// From now on they are spread by hash again.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub fn forget(&self, path: &Path) -> io::Result<()> {
        let key = self.key(path).ok_or(io::ErrorKind::NotFound)?;
        self.flows.remove(&key)
    }

    fn key(&self, path: &Path) -> Option<[u8; KEY_LEN]> {
        let bound = self.locals.get(path.socket.0 as usize)?;
        let local = path.local.unwrap_or_else(|| bound.ip());
        key(path.remote, SocketAddr::new(local, bound.port()))
    }
}

/// Source address, destination address, each from the start of the field of 32 bytes on, ports,
/// family.
fn key(remote: SocketAddr, local: SocketAddr) -> Option<[u8; KEY_LEN]> {
    let mut key = [0; KEY_LEN];
    let family = match (remote.ip(), local.ip()) {
        (IpAddr::V4(remote), IpAddr::V4(local)) => {
            key[..4].copy_from_slice(&remote.octets());
            key[4..8].copy_from_slice(&local.octets());
            IPV4
        }
        (IpAddr::V6(remote), IpAddr::V6(local)) => {
            key[..16].copy_from_slice(&remote.octets());
            key[16..32].copy_from_slice(&local.octets());
            IPV6
        }
        _ => return None,
    };
    key[32..34].copy_from_slice(&remote.port().to_be_bytes());
    key[34..36].copy_from_slice(&local.port().to_be_bytes());
    key[36..].copy_from_slice(&family.to_ne_bytes());
    Some(key)
}

fn attach(socket: &UdpSocket, program: &Program) -> io::Result<()> {
    let program = program.raw_fd();
    let len = size_of_val(&program) as libc::socklen_t;
    // SAFETY: the kernel reads four bytes from a live integer; both descriptors are open.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_EBPF,
            (&raw const program).cast(),
            len,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Offsets in `struct sk_reuseport_md`.
mod context {
    pub(super) const DATA: i16 = 0;
    pub(super) const DATA_END: i16 = 8;
    pub(super) const ETHERTYPE: i16 = 20;
    pub(super) const HASH: i16 = 32;
}

/// `SK_PASS`: where no socket was selected, the kernel's hash decides.
const PASS: i32 = 1;
/// `BPF_HDR_START_NET`: offsets count from the IP header.
const FROM_IP_HEADER: i32 = 1;
/// Bytes of the UDP header, with which the packet starts.
const UDP_HEADER: i32 = 8;
/// On the stack: the key, the number of a socket, and the first two bytes of the payload.
const KEY: i16 = -(KEY_LEN as i16);
const PORTS: i16 = KEY + 32;
const FAMILY: i16 = KEY + 36;
const SOCKET: i16 = KEY - 8;
const PAYLOAD: i16 = KEY - 16;

fn assemble(flows: &Map, sockets: &Map, shards: i32, first_quiet: i32) -> io::Result<Vec<u64>> {
    use Register::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R10};
    /// Source and destination lie side by side in both headers.
    const V4_ADDRESSES: (i32, i32) = (12, 8);
    const V6_ADDRESSES: (i32, i32) = (8, 32);
    let mut program = Assembler::new();
    program.copy(R6, R1);
    sort(&mut program, first_quiet);
    for word in (0..32).step_by(4) {
        program.store_value(R10, KEY + word, 0, Width::Four);
    }
    // Both ports.
    program.load(R2, R6, context::DATA, Width::Eight);
    program.load(R3, R6, context::DATA_END, Width::Eight);
    program.copy(R4, R2);
    program.add(R4, 4);
    program.jump_if_greater(R4, R3, "pass");
    program.load(R5, R2, 0, Width::Four);
    program.store(R10, PORTS, R5, Width::Four);

    program.load(R7, R6, context::ETHERTYPE, Width::Four);
    program.jump_if(R7, network(0x0800), "ipv4");
    program.jump_unless(R7, network(0x86dd), "pass");
    program.store_value(R10, FAMILY, IPV6 as i32, Width::Four);
    program.set(R2, V6_ADDRESSES.0);
    program.set(R4, V6_ADDRESSES.1);
    program.jump("addresses");
    program.label("ipv4");
    program.store_value(R10, FAMILY, IPV4 as i32, Width::Four);
    program.set(R2, V4_ADDRESSES.0);
    program.set(R4, V4_ADDRESSES.1);
    program.label("addresses");
    program.copy(R1, R6);
    program.copy(R3, R10);
    program.add(R3, KEY.into());
    program.set(R5, FROM_IP_HEADER);
    program.load_bytes_relative();
    program.jump_unless(R0, 0, "pass");

    program.load_map(R1, flows.raw_fd());
    program.copy(R2, R10);
    program.add(R2, KEY.into());
    program.map_lookup();
    program.jump_if(R0, 0, "unknown");
    program.load(R5, R0, 0, Width::Four);
    program.jump("select");
    program.label("unknown");
    program.load(R5, R6, context::HASH, Width::Four);
    program.modulo(R5, shards);
    program.label("select");
    program.add_register(R5, R8);
    program.store(R10, SOCKET, R5, Width::Four);
    program.copy(R1, R6);
    program.load_map(R2, sockets.raw_fd());
    program.copy(R3, R10);
    program.add(R3, SOCKET.into());
    program.set(R4, 0);
    // Where that fails nothing is selected.
    program.select_reuseport();
    program.label("pass");
    program.set(R0, PASS);
    program.exit();
    program.finish()
}

/// Leaves in R8 the number of the first socket that a packet may come to: media come to the first ones,
/// see [`bind_quiet`](crate::bind_quiet).
fn sort(program: &mut Assembler, first_quiet: i32) {
    use Register::{R0, R1, R2, R3, R4, R5, R6, R8, R10};
    program.copy(R1, R6);
    program.set(R2, UDP_HEADER);
    program.copy(R3, R10);
    program.add(R3, PAYLOAD.into());
    program.set(R4, 2);
    program.load_bytes();
    program.set(R8, first_quiet);
    program.jump_unless(R0, 0, "sorted");
    program.load(R5, R10, PAYLOAD, Width::One);
    program.and(R5, VERSION_MASK.into());
    program.jump_unless(R5, VERSION_2.into(), "sorted");
    program.load(R5, R10, PAYLOAD + 1, Width::One);
    program.and(R5, RTCP_MASK.into());
    program.jump_if(R5, RTCP_TYPES.into(), "sorted");
    program.set(R8, 0);
    program.label("sorted");
}

/// A number of 16 bits in network byte order, as a load gives it.
const fn network(value: u16) -> i32 {
    value.to_be() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_flows_apart() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let one = key(at("10.0.0.1:5"), at("10.0.0.2:6")).unwrap();
        assert_eq!(one[..8], [10, 0, 0, 1, 10, 0, 0, 2]);
        assert_eq!(one[32..36], [0, 5, 0, 6]);
        let six = key(at("[::1]:5"), at("[::2]:6")).unwrap();
        assert_eq!((six[15], six[31]), (1, 2));
        assert_ne!(one, key(at("10.0.0.1:6"), at("10.0.0.2:6")).unwrap());
        assert_eq!(key(at("10.0.0.1:5"), at("[::2]:6")), None);
    }
}
