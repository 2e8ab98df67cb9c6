//! Everything that takes rights: choosing interfaces, loading programs, opening sockets. Done once,
//! before the shards' threads run; what comes after needs none of them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use weirgate_shard::ShardNo;

use super::locals::Locals;
use super::program::{self, Tables};
use super::queues;
use super::routes::{self, Asker, Exit};
use super::socket::XdpSocket;
use crate::bpf::{Link, Map, Program};
use crate::netlink::{Interface, Netlink};
use crate::rights;

/// `XDP_FLAGS_SKB_MODE` and `XDP_FLAGS_DRV_MODE`.
const GENERIC: u32 = 1 << 1;
const NATIVE: u32 = 1 << 2;

/// What AF_XDP is set up for.
#[derive(Debug, Clone)]
pub struct XdpOptions {
    /// Interfaces by name; none: all Ethernet interfaces that are up, have an address to listen on
    /// and a driver that runs XDP programs. A named one may also be served by the kernel's own
    /// (slower) way of running them.
    pub interfaces: Vec<String>,
    /// Addresses of the media port.
    pub listen: Vec<SocketAddr>,
    /// How many shards there are.
    pub shards: ShardNo,
}

/// AF_XDP set up for all shards.
#[derive(Debug)]
pub struct XdpSetup {
    /// One per shard, in their order; each is for its shard's thread.
    pub seats: Vec<XdpSeat>,
    /// Interfaces, modes and queues in a sentence for the operator.
    pub summary: String,
}

/// One shard's part of it.
#[derive(Debug)]
pub struct XdpSeat {
    pub(super) shard: ShardNo,
    pub(super) ports: Vec<SeatPort>,
    pub(super) shared: Arc<Shared>,
    pub(super) asker: Asker,
}

/// A socket on a queue of an interface.
#[derive(Debug)]
pub(super) struct SeatPort {
    /// Index among the interfaces of the set-up.
    pub(super) interface: usize,
    /// The kernel's number of it.
    pub(super) index: u32,
    pub(super) mac: [u8; 6],
    pub(super) socket: XdpSocket,
}

/// What lives as long as any shard.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) tables: Arc<Tables>,
    _attached: Vec<Attached>,
}

/// A program at an interface, and what it redirects to.
#[derive(Debug)]
struct Attached {
    // In this order: redirecting ends before the sockets go.
    _link: Link,
    _program: Program,
    queues: Map,
    native: bool,
}

/// Sets AF_XDP up. The error is a sentence for the operator.
///
/// # Errors
/// Where rights are missing, the kernel has no AF_XDP or eBPF, an interface named is none, or no
/// interface can be served.
pub fn set_up(options: &XdpOptions) -> Result<XdpSetup, String> {
    let at = |step: &'static str| move |error: io::Error| trouble(step, &error);
    let mut netlink = Netlink::open().map_err(at("opening rtnetlink"))?;
    let interfaces = choose(&mut netlink, options)?;
    let tables = Arc::new(Tables::new().map_err(at("making a table for the program"))?);
    let mut locals = Locals::new(tables.clone());
    locals
        .refresh(&mut netlink)
        .map_err(at("listing this host's addresses"))?;

    let mut crew = Crew::new(options.shards);
    let named = !options.interfaces.is_empty();
    let mut refused = Vec::new();
    for interface in interfaces {
        match serve(&tables, &interface, options.shards, named) {
            Ok(served) => crew.add(&interface, served),
            Err(error) if named || !rights::missing().is_empty() => return Err(error),
            Err(error) => refused.push(error),
        }
    }
    if crew.attached.is_empty() {
        return Err(none_left(&refused));
    }
    let asker = routes::start(crew.exits, locals).map_err(at("starting a thread for routes"))?;
    let shared = Arc::new(Shared {
        tables,
        _attached: crew.attached,
    });
    let seats = (0..).zip(crew.ports).map(|(shard, ports)| XdpSeat {
        shard,
        ports,
        shared: shared.clone(),
        asker: asker.clone(),
    });
    Ok(XdpSetup {
        seats: seats.collect(),
        summary: crew.words.join("; "),
    })
}

/// What was set up so far.
struct Crew {
    /// Of each shard.
    ports: Vec<Vec<SeatPort>>,
    exits: Vec<Exit>,
    attached: Vec<Attached>,
    words: Vec<String>,
}

impl Crew {
    fn new(shards: ShardNo) -> Self {
        Self {
            ports: (0..shards).map(|_| Vec::new()).collect(),
            exits: Vec::new(),
            attached: Vec::new(),
            words: Vec::new(),
        }
    }

    fn add(&mut self, interface: &Interface, (sockets, at): (Vec<XdpSocket>, Attached)) {
        self.words
            .push(describe(interface, &at, &sockets, self.ports.len()));
        // Queue `q` is that of shard `q % shards`, as the program has it.
        let shards = (0..self.ports.len()).cycle();
        for (socket, shard) in sockets.into_iter().zip(shards) {
            self.ports[shard].push(SeatPort {
                interface: self.exits.len(),
                index: interface.index,
                mac: interface.mac,
                socket,
            });
        }
        self.exits.push(Exit {
            index: interface.index,
            mtu: interface.mtu.min(XdpSocket::MAX_MTU),
        });
        self.attached.push(at);
    }
}

fn choose(netlink: &mut Netlink, options: &XdpOptions) -> Result<Vec<Interface>, String> {
    let list = |error: io::Error| trouble("listing interfaces", &error);
    let all = netlink.interfaces().map_err(list)?;
    if options.interfaces.is_empty() {
        let addresses = netlink.addresses().map_err(list)?;
        let listens = |index| {
            let mut of = addresses.iter().filter(|(on, _)| *on == index);
            of.any(|(_, ip)| listens_on(&options.listen, *ip))
        };
        let usable = all
            .into_iter()
            .filter(|it| it.up && it.ethernet && !it.loopback && listens(it.index));
        return Ok(usable.collect());
    }
    let one = |name: &String| {
        let found = all.iter().find(|interface| interface.name == *name);
        let found = found.ok_or_else(|| format!("there is no interface `{name}`"))?;
        if !found.up || !found.ethernet || found.loopback {
            return Err(format!(
                "the interface `{name}` is not an Ethernet interface that is up"
            ));
        }
        Ok(found.clone())
    };
    options.interfaces.iter().map(one).collect()
}

fn listens_on(listen: &[SocketAddr], ip: IpAddr) -> bool {
    listen
        .iter()
        .any(|at| at.ip() == ip || at.ip().is_unspecified() && at.is_ipv4() == ip.is_ipv4())
}

/// Puts a program at an interface, and a socket at each of its queues.
fn serve(
    tables: &Tables,
    interface: &Interface,
    shards: ShardNo,
    generic_too: bool,
) -> Result<(Vec<XdpSocket>, Attached), String> {
    let queues = queues::count(&interface.name);
    let at = attach(tables, interface, queues, shards, generic_too)?;
    let sockets = (0..queues).map(|queue| open_queue(interface, queue, &at));
    Ok((sockets.collect::<Result<_, _>>()?, at))
}

fn attach(
    tables: &Tables,
    interface: &Interface,
    queue_count: u32,
    shards: ShardNo,
    generic_too: bool,
) -> Result<Attached, String> {
    let at = |step: &'static str| move |error: io::Error| trouble(step, &error);
    let queues = program::queues(queue_count).map_err(at("making a table of queues"))?;
    let program = program::load(tables, &queues, shards).map_err(at("loading an XDP program"))?;
    let (link, native) = match Link::xdp(&program, interface.index, NATIVE) {
        Ok(link) => (Ok(link), true),
        Err(error) if generic_too && error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            (Link::xdp(&program, interface.index, GENERIC), false)
        }
        Err(error) => (Err(error), true),
    };
    let link = link.map_err(|error| {
        let name = &interface.name;
        match error.raw_os_error() {
            Some(libc::EBUSY | libc::EEXIST) => {
                format!("{name} has an XDP program of somebody else's")
            }
            Some(libc::EOPNOTSUPP) => {
                format!("the driver of {name} runs no XDP programs")
            }
            _ => trouble(&format!("putting an XDP program at {name}"), &error),
        }
    })?;
    Ok(Attached {
        _link: link,
        _program: program,
        queues,
        native,
    })
}

fn open_queue(interface: &Interface, queue: u32, at: &Attached) -> Result<XdpSocket, String> {
    let name = &interface.name;
    let socket = XdpSocket::open(interface.index, queue, interface.mtu).map_err(|refused| {
        let step = format!("{} for queue {queue} of {name}", refused.step);
        trouble(&step, &refused.error)
    })?;
    at.queues
        .set(
            &queue.to_ne_bytes(),
            &(socket.raw_fd() as u32).to_ne_bytes(),
        )
        .map_err(|error| trouble(&format!("redirecting queue {queue} of {name}"), &error))?;
    Ok(socket)
}

fn describe(interface: &Interface, at: &Attached, sockets: &[XdpSocket], shards: usize) -> String {
    let mode = if at.native { "native" } else { "generic" };
    let zero_copy = sockets.iter().all(XdpSocket::is_zero_copy);
    let copy = if zero_copy { "zero-copy" } else { "copy" };
    let queues = sockets.len();
    let plural = if queues == 1 { "" } else { "s" };
    let short = if queues < shards {
        format!(" for {shards} shards, the last of which have none there")
    } else {
        String::new()
    };
    let name = &interface.name;
    format!("{name}: {mode} XDP, {copy} mode, {queues} queue{plural}{short}")
}

fn none_left(refused: &[String]) -> String {
    if refused.is_empty() {
        return "no Ethernet interface that is up has an address to listen on".to_owned();
    }
    let refused = refused.join("; ");
    format!("{refused}. An interface that is named may do without its driver's help")
}

/// A step that failed, why, and what would help.
fn trouble(step: &str, error: &io::Error) -> String {
    let missing = rights::missing();
    let advice = match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) if !missing.is_empty() => {
            format!("; the process lacks {}", missing.join(", "))
        }
        Some(libc::EPERM | libc::EACCES) => {
            "; a security module or the container's seccomp profile forbids it".to_owned()
        }
        Some(libc::EAFNOSUPPORT) => "; the kernel has no AF_XDP (CONFIG_XDP_SOCKETS)".to_owned(),
        Some(libc::ENOSYS) => "; the kernel has no eBPF (CONFIG_BPF_SYSCALL)".to_owned(),
        Some(libc::ENOBUFS) => {
            "; raise the limit of locked memory (LimitMEMLOCK, ulimit -l)".to_owned()
        }
        Some(libc::EINVAL) => "; Linux 5.9 or newer is needed".to_owned(),
        _ => String::new(),
    };
    format!("{step} failed: {error}{advice}")
}
