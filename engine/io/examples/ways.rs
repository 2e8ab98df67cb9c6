//! What each way to hand prepared datagrams to the kernel costs on this machine: CPU time of the
//! sending thread per datagram, over loopback, with receivers on another core. Nothing of a back end
//! is in it: it tells which ways are worth being built. Run with
//! `cargo run --release -p weirgate-io --example ways -- [DATAGRAMS_PER_TRAIN [BYTES [WORD]]]`; the
//! word chooses the ways that have it in their name.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use io_uring::{IoUring, opcode, squeue, types};
use weirgate_io::{IoKind, IoOptions, bind_media, bind_plain, open};
use weirgate_shard::SocketId;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const RECEIVERS: usize = 300;
const ROUNDS: usize = 5;
const MEASURED: Duration = Duration::from_millis(600);
/// Between two waves, each of a train to every receiver.
const PACE: Duration = Duration::from_micros(6_667);
const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Sockets to send from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sockets {
    /// One, bound to every address.
    Media,
    /// One per receiver, bound to one address.
    Plain,
    /// One per receiver, connected to it.
    Connected,
}

/// Where the kernel learns the segment size of trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Segment {
    Message,
    Socket,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    /// A call for all messages from one socket.
    Sendmmsg,
    /// A call for each.
    Sendto,
    /// Requests on a ring, all by one call.
    Ring(Operation),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Sendmsg,
    /// Sendmsg by a file that is not registered.
    SendmsgByFd,
    Send,
    SendmsgZc,
    SendZc,
    /// Send_zc from a registered buffer.
    SendFixedZc,
}

#[derive(Debug, Clone, Copy)]
struct Way {
    name: &'static str,
    call: Call,
    sockets: Sockets,
    /// The local address goes with each message.
    source: bool,
    segment: Segment,
    /// The ring runs task work when asked only.
    deferred: bool,
    /// Only failures are told.
    quiet: bool,
    /// Requests handed in at once.
    chunk: usize,
}

const BASE: Way = Way {
    name: "sendmmsg",
    call: Call::Sendmmsg,
    sockets: Sockets::Media,
    source: false,
    segment: Segment::Socket,
    deferred: true,
    quiet: false,
    chunk: RECEIVERS,
};

#[rustfmt::skip]
const WAYS: &[Way] = &[
    BASE,
    Way { name: "sendmmsg, source", source: true, ..BASE },
    Way { name: "sendmmsg, segment size by message", segment: Segment::Message, ..BASE },
    Way { name: "sendmmsg, source, segment size by message", source: true, segment: Segment::Message, ..BASE },
    Way { name: "sendto, socket each", call: Call::Sendto, sockets: Sockets::Plain, ..BASE },
    Way { name: "sendto, connected", call: Call::Sendto, sockets: Sockets::Connected, ..BASE },
    Way { name: "sendmmsg, socket each", sockets: Sockets::Plain, ..BASE },
    Way { name: "sendmmsg, connected", sockets: Sockets::Connected, ..BASE },
    Way { name: "ring sendmsg", call: Call::Ring(Operation::Sendmsg), ..BASE },
    Way { name: "ring sendmsg, source", call: Call::Ring(Operation::Sendmsg), source: true, ..BASE },
    Way { name: "ring sendmsg, source, failures told only", call: Call::Ring(Operation::Sendmsg), source: true, quiet: true, ..BASE },
    Way { name: "ring sendmsg, source, task work at once", call: Call::Ring(Operation::Sendmsg), source: true, deferred: false, ..BASE },
    Way { name: "ring sendmsg, source, 64 at once", call: Call::Ring(Operation::Sendmsg), source: true, chunk: 64, ..BASE },
    Way { name: "ring sendmsg, source, 16 at once", call: Call::Ring(Operation::Sendmsg), source: true, chunk: 16, ..BASE },
    Way { name: "ring sendmsg, source, 4 at once", call: Call::Ring(Operation::Sendmsg), source: true, chunk: 4, ..BASE },
    Way { name: "ring sendmsg, source, size by message", call: Call::Ring(Operation::Sendmsg), source: true, segment: Segment::Message, ..BASE },
    Way { name: "ring sendmsg, files not registered", call: Call::Ring(Operation::SendmsgByFd), ..BASE },
    Way { name: "ring send", call: Call::Ring(Operation::Send), ..BASE },
    Way { name: "ring send, failures told only", call: Call::Ring(Operation::Send), quiet: true, ..BASE },
    Way { name: "ring sendmsg, socket each", call: Call::Ring(Operation::Sendmsg), sockets: Sockets::Plain, ..BASE },
    Way { name: "ring sendmsg, socket each, files not registered", call: Call::Ring(Operation::SendmsgByFd), sockets: Sockets::Plain, ..BASE },
    Way { name: "ring send, socket each", call: Call::Ring(Operation::Send), sockets: Sockets::Plain, ..BASE },
    Way { name: "ring sendmsg, connected", call: Call::Ring(Operation::Sendmsg), sockets: Sockets::Connected, ..BASE },
    Way { name: "ring send, connected", call: Call::Ring(Operation::Send), sockets: Sockets::Connected, ..BASE },
    Way { name: "ring send, connected, failures told only", call: Call::Ring(Operation::Send), sockets: Sockets::Connected, quiet: true, ..BASE },
    Way { name: "ring sendmsg_zc", call: Call::Ring(Operation::SendmsgZc), ..BASE },
    Way { name: "ring send_zc", call: Call::Ring(Operation::SendZc), ..BASE },
    Way { name: "ring send_zc, registered buffer", call: Call::Ring(Operation::SendFixedZc), ..BASE },
];

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |or: usize| {
        arguments
            .next()
            .map_or(Ok(or), |text| text.parse::<usize>())
    };
    let segments = number(1)?;
    let bytes = number(196)?;
    let word = arguments.next().unwrap_or_default();
    pin(true);
    let sinks = Sinks::start()?;
    let ways: Vec<_> = WAYS.iter().filter(|way| way.name.contains(&word)).collect();
    let mut costs: Vec<Vec<Outcome<Cost>>> = ways.iter().map(|_| Vec::new()).collect();
    for round in 0..ROUNDS {
        for turn in 0..ways.len() {
            // In turns, and in changing order: neighbours on the machine hit all alike.
            let index = if round % 2 == 0 {
                turn
            } else {
                ways.len() - 1 - turn
            };
            costs[index].push(measure(ways[index], &sinks, segments, bytes));
        }
    }
    sinks.stop();
    println!(
        "way                                           ns/datagram  ksoftirqd  received   lowest"
    );
    for (way, costs) in ways.iter().zip(costs) {
        match costs.into_iter().collect::<Outcome<Vec<Cost>>>() {
            Ok(costs) => {
                let nanos = sorted(&costs, |cost| cost.nanos);
                println!(
                    "{:<45} {:>11.0} {:>10.0}  {:>7.1}%  {:>7.0}",
                    way.name,
                    nanos[nanos.len() / 2],
                    sorted(&costs, |cost| cost.softirq_nanos)[nanos.len() / 2],
                    sorted(&costs, |cost| cost.received)[0] * 100.0,
                    nanos[0],
                );
            }
            Err(error) => println!("{:<45} {error}", way.name),
        }
    }
    Ok(())
}

fn sorted(costs: &[Cost], of: impl Fn(&Cost) -> f64) -> Vec<f64> {
    let mut list: Vec<f64> = costs.iter().map(of).collect();
    list.sort_by(f64::total_cmp);
    list
}

struct Cost {
    nanos: f64,
    softirq_nanos: f64,
    received: f64,
}

fn measure(way: &Way, sinks: &Sinks, segments: usize, bytes: usize) -> Outcome<Cost> {
    let mut sender = Sender::new(way, &sinks.addrs, segments, bytes)?;
    let mut waves = |time: Duration| -> Outcome<u64> {
        let start = Instant::now();
        let mut sent = 0;
        while start.elapsed() < time {
            let due = Instant::now() + PACE;
            sender.wave()?;
            sent += (RECEIVERS * segments) as u64;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        Ok(sent)
    };
    waves(MEASURED / 4)?;
    thread::sleep(Duration::from_millis(30));
    let before = sinks.received.load(Ordering::Relaxed);
    let cpu_before = thread_cpu_time();
    let softirq_before = softirq_time();
    let sent = waves(MEASURED)? as f64;
    let cpu = thread_cpu_time().saturating_sub(cpu_before);
    let softirq = softirq_time().saturating_sub(softirq_before);
    thread::sleep(Duration::from_millis(30));
    let received = sinks.received.load(Ordering::Relaxed) - before;
    Ok(Cost {
        nanos: cpu.as_nanos() as f64 / sent,
        softirq_nanos: softirq.as_nanos() as f64 / sent,
        received: received as f64 / sent,
    })
}

/// Messages made ready, and what sends them.
struct Sender {
    way: Way,
    sockets: Vec<UdpSocket>,
    ring: Option<IoUring>,
    /// What the headers point to stays where it is.
    messages: Box<[Message]>,
    headers: Box<[libc::mmsghdr]>,
    _payload: Box<[u8]>,
}

struct Message {
    name: libc::sockaddr_in,
    payload: libc::iovec,
    control: [u64; 8],
}

impl Sender {
    fn new(way: &Way, to: &[SocketAddr], segments: usize, bytes: usize) -> Outcome<Self> {
        let sockets = bind(way, to, bytes)?;
        let train = segments * bytes;
        let mut payload = vec![1; (512 << 10) / train * train].into_boxed_slice();
        let round = payload.len();
        let mut messages: Box<[Message]> = to
            .iter()
            .enumerate()
            .map(|(index, to)| Message {
                name: name_of(to),
                payload: libc::iovec {
                    iov_base: payload[index * train % round..].as_mut_ptr().cast(),
                    iov_len: train,
                },
                control: [0; 8],
            })
            .collect();
        let by_message = way.segment == Segment::Message && segments > 1;
        let headers = messages
            .iter_mut()
            .map(|message| header_of(way, message, by_message.then_some(bytes as u16)))
            .collect();
        let ring = match way.call {
            Call::Ring(_) => Some(ring(way, &sockets, &payload)?),
            _ => None,
        };
        Ok(Self {
            way: *way,
            sockets,
            ring,
            messages,
            headers,
            _payload: payload,
        })
    }

    fn wave(&mut self) -> Outcome<()> {
        match self.way.call {
            Call::Sendmmsg => self.sendmmsg(),
            Call::Sendto => self.sendto(),
            Call::Ring(operation) => self.by_ring(operation),
        }
    }

    fn sendmmsg(&mut self) -> Outcome<()> {
        let run = self.headers.len() / self.sockets.len();
        for (socket, headers) in self.sockets.iter().zip(self.headers.chunks_mut(run)) {
            let mut from = 0;
            while from < headers.len() {
                let rest = &mut headers[from..];
                // SAFETY: live headers that point to live memory of this.
                let sent = unsafe {
                    libc::sendmmsg(
                        socket.as_raw_fd(),
                        rest.as_mut_ptr(),
                        rest.len() as u32,
                        FLAGS,
                    )
                };
                from += usize::try_from(sent).map_err(|_| std::io::Error::last_os_error())?;
            }
        }
        Ok(())
    }

    fn sendto(&mut self) -> Outcome<()> {
        for (index, header) in self.headers.iter().enumerate() {
            let socket = &self.sockets[index % self.sockets.len()];
            let (name, part) = (&header.msg_hdr, &self.messages[index].payload);
            // SAFETY: the name and the payload live as long as this.
            let sent = unsafe {
                libc::sendto(
                    socket.as_raw_fd(),
                    part.iov_base,
                    part.iov_len,
                    FLAGS,
                    name.msg_name.cast(),
                    name.msg_namelen,
                )
            };
            if sent < 0 {
                return Err(std::io::Error::last_os_error().into());
            }
        }
        Ok(())
    }

    fn by_ring(&mut self, operation: Operation) -> Outcome<()> {
        let Some(ring) = &mut self.ring else {
            return Ok(());
        };
        let skip = match self.way.quiet {
            true => squeue::Flags::SKIP_SUCCESS,
            false => squeue::Flags::empty(),
        };
        for (index, header) in self.headers.iter().enumerate() {
            let slot = index % self.sockets.len();
            let entry = entry(
                operation,
                types::Fixed(slot as u32),
                types::Fd(self.sockets[slot].as_raw_fd()),
                &header.msg_hdr,
                &self.messages[index].payload,
            );
            // SAFETY: what the request points to lives until its completion, awaited below, or
            // until the sockets are gone.
            unsafe { ring.submission().push(&entry.flags(skip))? };
            if (index + 1) % self.way.chunk == 0 {
                ring.submit()?;
            }
        }
        let mut pending = if self.way.quiet {
            0
        } else {
            self.headers.len()
        };
        ring.submit_and_wait(if self.way.deferred { 0 } else { pending })?;
        loop {
            for completion in ring.completion() {
                if completion.result() < 0 {
                    return Err(std::io::Error::from_raw_os_error(-completion.result()).into());
                }
                // Zero-copy sends complete twice.
                pending -= usize::from(!io_uring::cqueue::more(completion.flags()));
            }
            if pending == 0 {
                return Ok(());
            }
            ring.submit_and_wait(1)?;
        }
    }
}

const FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

fn entry(
    operation: Operation,
    socket: types::Fixed,
    unregistered: types::Fd,
    header: &libc::msghdr,
    part: &libc::iovec,
) -> squeue::Entry {
    let (bytes, len) = (part.iov_base.cast_const().cast(), part.iov_len as u32);
    let name = header.msg_name.cast_const().cast();
    match operation {
        Operation::Sendmsg => opcode::SendMsg::new(socket, header)
            .flags(FLAGS as u32)
            .build(),
        Operation::SendmsgByFd => opcode::SendMsg::new(unregistered, header)
            .flags(FLAGS as u32)
            .build(),
        Operation::SendmsgZc => opcode::SendMsgZc::new(socket, header)
            .flags(FLAGS as u32)
            .build(),
        Operation::Send => opcode::Send::new(socket, bytes, len)
            .dest_addr(name)
            .dest_addr_len(header.msg_namelen)
            .flags(FLAGS)
            .build(),
        Operation::SendZc => opcode::SendZc::new(socket, bytes, len)
            .dest_addr(name)
            .dest_addr_len(header.msg_namelen)
            .flags(FLAGS)
            .build(),
        Operation::SendFixedZc => opcode::SendZc::new(socket, bytes, len)
            .buf_index(Some(0))
            .dest_addr(name)
            .dest_addr_len(header.msg_namelen)
            .flags(FLAGS)
            .build(),
    }
}

fn ring(way: &Way, sockets: &[UdpSocket], payload: &[u8]) -> Outcome<IoUring> {
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_submit_all()
        .setup_cqsize(4096);
    if way.deferred {
        builder.setup_defer_taskrun().setup_taskrun_flag();
    }
    let ring: IoUring = builder.build(512)?;
    let files: Vec<i32> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
    ring.submitter().register_files(&files)?;
    if way.call == Call::Ring(Operation::SendFixedZc) {
        let whole = libc::iovec {
            iov_base: payload.as_ptr().cast_mut().cast(),
            iov_len: payload.len(),
        };
        // SAFETY: the payload outlives the ring; both are the sender's.
        unsafe { ring.submitter().register_buffers(&[whole])? };
    }
    Ok(ring)
}

fn bind(way: &Way, to: &[SocketAddr], bytes: usize) -> Outcome<Vec<UdpSocket>> {
    let sockets = match way.sockets {
        Sockets::Media => bind_media(SocketAddr::from(([0, 0, 0, 0], 0)), 1)?,
        Sockets::Plain | Sockets::Connected => {
            let bound: std::io::Result<_> =
                to.iter().map(|_| bind_plain(LOCAL.into(), 0)).collect();
            bound?
        }
    };
    for (index, socket) in sockets.iter().enumerate() {
        if way.sockets == Sockets::Connected {
            socket.connect(to[index])?;
        }
        if way.segment == Segment::Socket {
            let size = bytes as i32;
            // SAFETY: reads four bytes of a live integer.
            unsafe {
                libc::setsockopt(
                    socket.as_raw_fd(),
                    libc::SOL_UDP,
                    libc::UDP_SEGMENT,
                    (&raw const size).cast(),
                    4,
                )
            };
        }
    }
    Ok(sockets)
}

fn name_of(to: &SocketAddr) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: to.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from(LOCAL).to_be(),
        },
        sin_zero: [0; 8],
    }
}

fn header_of(way: &Way, message: &mut Message, segment: Option<u16>) -> libc::mmsghdr {
    // SAFETY: numbers and pointers, for which zero is valid.
    let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
    let inner = &mut header.msg_hdr;
    inner.msg_iov = &raw mut message.payload;
    inner.msg_iovlen = 1;
    if way.sockets != Sockets::Connected {
        inner.msg_name = (&raw mut message.name).cast();
        inner.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
    }
    let mut words = 0;
    let head = |level: i32, kind: i32| level as u64 | (kind as u64) << 32;
    if way.source {
        // struct in_pktinfo: interface, source, destination.
        message.control[0] = 28;
        message.control[1] = head(libc::IPPROTO_IP, libc::IP_PKTINFO);
        message.control[2] = u64::from(u32::from(LOCAL).to_be()) << 32;
        words += 4;
    }
    if let Some(len) = segment {
        message.control[words] = 18;
        message.control[words + 1] = head(libc::SOL_UDP, libc::UDP_SEGMENT);
        message.control[words + 2] = len.into();
        words += 3;
    }
    if words > 0 {
        inner.msg_control = message.control.as_mut_ptr().cast();
        inner.msg_controllen = words * 8;
    }
    header
}

/// Receivers that read all they get.
struct Sinks {
    addrs: Vec<SocketAddr>,
    received: Arc<AtomicU64>,
    running: Arc<AtomicBool>,
    thread: thread::JoinHandle<Outcome<()>>,
}

impl Sinks {
    fn start() -> Outcome<Self> {
        let sockets: std::io::Result<Vec<UdpSocket>> = (0..RECEIVERS)
            .map(|_| bind_plain(LOCAL.into(), 0))
            .collect();
        let sockets = sockets?;
        let addrs: std::io::Result<_> = sockets.iter().map(UdpSocket::local_addr).collect();
        let received = Arc::new(AtomicU64::new(0));
        let running = Arc::new(AtomicBool::new(true));
        let (total, flag) = (Arc::clone(&received), Arc::clone(&running));
        let thread = thread::spawn(move || {
            pin(false);
            let mut backend = open(IoKind::Mmsg, &IoOptions::default())?;
            for (id, socket) in sockets.into_iter().enumerate() {
                backend.add_socket(SocketId(id as u32), socket)?;
            }
            while flag.load(Ordering::Relaxed) {
                let came = backend.receive(Some(Duration::from_millis(10)), &mut |_| ())?;
                total.fetch_add(came as u64, Ordering::Relaxed);
            }
            Ok(())
        });
        Ok(Self {
            addrs: addrs?,
            received,
            running,
            thread,
        })
    }

    fn stop(self) {
        self.running.store(false, Ordering::Relaxed);
        if !matches!(self.thread.join(), Ok(Ok(()))) {
            println!("the receiving thread failed");
        }
    }
}

/// Keeps this thread on the first core of the machine, or away from it.
fn pin(sender: bool) {
    // SAFETY: numbers, for which zero is valid; the macros and the call write and read one live
    // set.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        // Not those this thread may use: its parent may have been pinned.
        let cores = libc::sysconf(libc::_SC_NPROCESSORS_ONLN);
        for core in 0..usize::try_from(cores).unwrap_or(1) {
            if sender == (core == 0) {
                libc::CPU_SET(core, &mut set);
            }
        }
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set);
    }
}

fn thread_cpu_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes one live struct.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Of the kernel's packet threads, which take over from senders on a busy machine.
fn softirq_time() -> Duration {
    let mut nanos = 0;
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let read = |name| std::fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        if read("comm").starts_with("ksoftirqd/") {
            let time = read("schedstat");
            nanos += time
                .split(' ')
                .next()
                .and_then(|text| text.parse::<u64>().ok())
                .unwrap_or(0);
        }
    }
    Duration::from_nanos(nanos)
}
