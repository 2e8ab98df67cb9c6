//! The program at an interface: it redirects datagrams to our sockets, and passes everything else
//! on to the kernel.

use std::io;
use std::net::IpAddr;

use weirgate_shard::ShardNo;

use crate::bpf::{Assembler, Map, MapKind, Program, ProgramKind, Register, Width};

/// Sockets of all shards: media sockets and plain transports.
const MAX_SOCKETS: u32 = 16_384;
/// Addresses of this host.
const MAX_ADDRESSES: u32 = 1_024;
const ADDRESS_LEN: usize = 16;
const SOCKET_LEN: usize = ADDRESS_LEN + 4;
/// In the map of sockets: every shard has one there.
const EVERY_SHARD: u32 = 1 << 20;

/// What the program looks up; shared by all interfaces.
#[derive(Debug)]
pub(super) struct Tables {
    /// Address and port of a socket, the unspecified address where it takes all, to the number of
    /// its shard plus one.
    sockets: Map,
    /// Addresses of this host, for sockets that take all.
    addresses: Map,
}

impl Tables {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            sockets: Map::new(MapKind::Hash, SOCKET_LEN, 4, MAX_SOCKETS)?,
            addresses: Map::new(MapKind::Hash, ADDRESS_LEN, 4, MAX_ADDRESSES)?,
        })
    }

    /// Redirects datagrams to that address and port: from the queues of `owner`, or from all where
    /// every shard has such a socket.
    pub(super) fn open(&self, ip: IpAddr, port: u16, owner: Option<ShardNo>) -> io::Result<()> {
        let value = owner.map_or(EVERY_SHARD, |owner| u32::from(owner) + 1);
        self.sockets
            .set(&socket_key(ip, port), &value.to_ne_bytes())
    }

    /// Leaves them to the kernel again.
    pub(super) fn close(&self, ip: IpAddr, port: u16) -> io::Result<()> {
        self.sockets.remove(&socket_key(ip, port))
    }

    /// An address of this host.
    pub(super) fn add_address(&self, ip: IpAddr) -> io::Result<()> {
        self.addresses.set(&address_key(ip), &1u32.to_ne_bytes())
    }

    /// It is no longer one.
    pub(super) fn remove_address(&self, ip: IpAddr) -> io::Result<()> {
        self.addresses.remove(&address_key(ip))
    }
}

fn address_key(ip: IpAddr) -> [u8; ADDRESS_LEN] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

fn socket_key(ip: IpAddr, port: u16) -> [u8; SOCKET_LEN] {
    let mut key = [0; SOCKET_LEN];
    key[..ADDRESS_LEN].copy_from_slice(&address_key(ip));
    key[ADDRESS_LEN..ADDRESS_LEN + 2].copy_from_slice(&port.to_be_bytes());
    key
}

/// The sockets of an interface by queue.
pub(super) fn queues(count: u32) -> io::Result<Map> {
    Map::new(MapKind::Xsk, 4, 4, count)
}

/// Loads the program for an interface whose sockets are in `queues`, queue `q` being that of shard
/// `q % shards`.
pub(super) fn load(tables: &Tables, queues: &Map, shards: ShardNo) -> io::Result<Program> {
    Program::load(ProgramKind::Xdp, &assemble(tables, queues, shards)?)
}

/// Offsets in a frame.
mod at {
    pub(super) const ETHERTYPE: i16 = 12;
    pub(super) const V4_VERSION: i16 = 14;
    pub(super) const V4_FRAGMENT: i16 = 20;
    pub(super) const V4_PROTOCOL: i16 = 23;
    pub(super) const V4_DESTINATION: i16 = 30;
    pub(super) const V4_PORT: i16 = 36;
    pub(super) const V4_END: i32 = 42;
    pub(super) const V6_NEXT_HEADER: i16 = 20;
    pub(super) const V6_DESTINATION: i16 = 38;
    pub(super) const V6_PORT: i16 = 56;
    pub(super) const V6_END: i32 = 62;
}

/// Offsets in `struct xdp_md`.
mod context {
    pub(super) const DATA: i16 = 0;
    pub(super) const DATA_END: i16 = 4;
    pub(super) const QUEUE: i16 = 16;
}

/// `XDP_PASS`
const PASS: i32 = 2;
const UDP: i32 = 17;
/// On the stack: the key of a socket, address first, then the address alone once more.
const KEY: i16 = -24;
const PORT: i16 = KEY + ADDRESS_LEN as i16;
const ADDRESS: i16 = -40;

/// The program. The context stays in R6; the frame is R2 to R3.
fn assemble(tables: &Tables, queues: &Map, shards: ShardNo) -> io::Result<Vec<u64>> {
    use Register::{R0, R1, R2, R3, R5, R6};
    let mut program = Assembler::new();
    program.copy(R6, R1);
    program.load(R2, R6, context::DATA, Width::Four);
    program.load(R3, R6, context::DATA_END, Width::Four);
    pass_shorter_than(&mut program, at::V4_END);
    program.load(R5, R2, at::ETHERTYPE, Width::Two);
    program.jump_if(R5, network(0x0800), "ipv4");
    program.jump_unless(R5, network(0x86dd), "pass");
    read_ipv6(&mut program);
    program.jump("look up");
    program.label("ipv4");
    read_ipv4(&mut program);
    program.label("look up");
    find_socket(&mut program, tables);
    redirect(&mut program, queues, shards);
    program.label("pass");
    program.set(R0, PASS);
    program.exit();
    program.finish()
}

/// The verifier lets no byte be read beyond what was checked.
fn pass_shorter_than(program: &mut Assembler, len: i32) {
    use Register::{R2, R3, R4};
    program.copy(R4, R2);
    program.add(R4, len);
    program.jump_if_greater(R4, R3, "pass");
}

/// IPv6 without extension headers: the destination to both places on the stack, its port to R7, the
/// third word of the unspecified address to R8.
fn read_ipv6(program: &mut Assembler) {
    use Register::{R2, R5, R7, R8, R10};
    pass_shorter_than(program, at::V6_END);
    program.load(R5, R2, at::V6_NEXT_HEADER, Width::One);
    program.jump_unless(R5, UDP, "pass");
    for word in [0, 4, 8, 12] {
        program.load(R5, R2, at::V6_DESTINATION + word, Width::Four);
        program.store(R10, KEY + word, R5, Width::Four);
        program.store(R10, ADDRESS + word, R5, Width::Four);
    }
    program.load(R7, R2, at::V6_PORT, Width::Two);
    program.set(R8, 0);
}

/// IPv4 without options, and no fragment: likewise, as `::ffff:a.b.c.d`.
fn read_ipv4(program: &mut Assembler) {
    use Register::{R2, R5, R7, R8, R10};
    let mapped = i32::from_ne_bytes([0, 0, 0xff, 0xff]);
    program.load(R5, R2, at::V4_VERSION, Width::One);
    program.jump_unless(R5, 0x45, "pass");
    program.load(R5, R2, at::V4_PROTOCOL, Width::One);
    program.jump_unless(R5, UDP, "pass");
    program.load(R5, R2, at::V4_FRAGMENT, Width::Two);
    program.and(R5, network(0x3fff));
    program.jump_unless(R5, 0, "pass");
    program.load(R5, R2, at::V4_DESTINATION, Width::Four);
    for base in [KEY, ADDRESS] {
        program.store_value(R10, base, 0, Width::Four);
        program.store_value(R10, base + 4, 0, Width::Four);
        program.store_value(R10, base + 8, mapped, Width::Four);
        program.store(R10, base + 12, R5, Width::Four);
    }
    program.load(R7, R2, at::V4_PORT, Width::Two);
    program.set(R8, mapped);
}

/// Whose socket it is to R8: one of that very address, else one of all addresses if this is one of
/// this host's.
fn find_socket(program: &mut Assembler, tables: &Tables) {
    use Register::{R0, R7, R8, R10};
    program.store_value(R10, PORT, 0, Width::Four);
    program.store(R10, PORT, R7, Width::Two);
    look_up(program, &tables.sockets, KEY);
    program.jump_unless(R0, 0, "found");
    for word in [0, 4, 12] {
        program.store_value(R10, KEY + word, 0, Width::Four);
    }
    program.store(R10, KEY + 8, R8, Width::Four);
    look_up(program, &tables.sockets, KEY);
    program.jump_if(R0, 0, "pass");
    program.load(R8, R0, 0, Width::Four);
    look_up(program, &tables.addresses, ADDRESS);
    program.jump_if(R0, 0, "pass");
    program.jump("owned");
    program.label("found");
    program.load(R8, R0, 0, Width::Four);
    program.label("owned");
}

fn look_up(program: &mut Assembler, map: &Map, key: i16) {
    use Register::{R1, R2, R10};
    program.load_map(R1, map.raw_fd());
    program.copy(R2, R10);
    program.add(R2, key.into());
    program.map_lookup();
}

/// A queue only reaches its own shard's sockets; the kernel brings the rest to the right one.
fn redirect(program: &mut Assembler, queues: &Map, shards: ShardNo) {
    use Register::{R1, R2, R3, R4, R6, R8};
    program.load(R2, R6, context::QUEUE, Width::Four);
    program.copy(R4, R2);
    program.modulo(R4, shards.max(1).into());
    program.add(R4, 1);
    program.jump_if(R8, EVERY_SHARD as i32, "redirect");
    program.jump_if_different(R8, R4, "pass");
    program.label("redirect");
    program.load_map(R1, queues.raw_fd());
    program.set(R3, PASS);
    program.redirect_map();
    program.exit();
}

/// A number of 16 bits in network byte order, as a load gives it.
const fn network(value: u16) -> i32 {
    value.to_be() as i32
}
