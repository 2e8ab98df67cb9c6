//! What each back end costs on this machine: CPU time of its thread and system calls per datagram,
//! over loopback. Run with `cargo run --release -p weirgate-io --example compare`;
//! two words after it choose one back end and the cases with that word in their name.
//!
//! On loopback the sender pays for the receiver's side of the kernel, waking its thread included.
//! The cases that only send leave that out: a filter on the receiving sockets drops all. In the
//! others nearly all datagrams must be received, as dropping is cheap.

use std::error::Error;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use weirgate_io::{Backend, IoChoice, IoKind, IoOptions, bind_plain, open, probe};
use weirgate_shard::{Path, SocketId, TxBatch};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const DESTINATIONS: usize = 50;
const MEASURED: Duration = Duration::from_secs(2);
const ROUNDS: usize = 4;
/// Between two sends where nothing is received in between.
const PACE: Duration = Duration::from_millis(2);

fn main() -> Outcome<()> {
    let mut kinds = vec![IoKind::Mmsg];
    match probe(IoChoice::Uring) {
        Ok(_) => kinds.push(IoKind::Uring),
        Err(reason) => println!("no uring: {reason}"),
    }
    pin(true);
    let mut arguments = std::env::args().skip(1);
    if let Some(name) = arguments.next() {
        kinds.retain(|kind| kind.name() == name);
    }
    let word = arguments.next().unwrap_or_default();
    println!("case                               back end  ns/datagram  datagrams/call  received");
    for case in CASES.iter().filter(|case| case.name.contains(&word)) {
        for round in 0..ROUNDS {
            // In turns, and in changing order: neighbours on the machine hit all alike.
            let turn = round % 2 % kinds.len();
            kinds.rotate_left(turn);
            for &kind in &kinds {
                let cost = measure(kind, case)?;
                println!(
                    "{:<34} {:<9} {:>11.0}  {:>14.1}  {:>7.1}%",
                    case.name,
                    kind.name(),
                    cost.nanos_per_datagram,
                    cost.datagrams_per_call,
                    cost.received * 100.0
                );
            }
        }
    }
    Ok(())
}

struct Case {
    name: &'static str,
    len: usize,
    /// Datagrams received before each send.
    receive: usize,
    /// Datagrams sent to each destination then.
    send: usize,
    /// The kernel may join what is received (UDP_GRO).
    gro: bool,
}

const CASES: &[Case] = &[
    Case {
        name: "send singles of 160",
        len: 160,
        receive: 0,
        send: 1,
        gro: true,
    },
    Case {
        name: "send trains of 9 x 1200",
        len: 1200,
        receive: 0,
        send: 9,
        gro: true,
    },
    Case {
        name: "receive 160, many flows",
        len: 160,
        receive: usize::MAX,
        send: 0,
        gro: true,
    },
    Case {
        name: "receive trains of 9 x 1200",
        len: 1200,
        receive: 9,
        send: 0,
        gro: true,
    },
    Case {
        name: "receive trains of 9 x 1200, no GRO",
        len: 1200,
        receive: 9,
        send: 0,
        gro: false,
    },
    Case {
        name: "receive 160, many flows, no GRO",
        len: 160,
        receive: usize::MAX,
        send: 0,
        gro: false,
    },
    Case {
        name: "receive 1 of 160, send it to 50",
        len: 160,
        receive: 1,
        send: 1,
        gro: true,
    },
    Case {
        name: "receive 9 of 1200, send them to 50",
        len: 1200,
        receive: 9,
        send: 9,
        gro: true,
    },
];

struct Cost {
    nanos_per_datagram: f64,
    datagrams_per_call: f64,
    /// Share of the datagrams sent that the sinks got.
    received: f64,
}

fn measure(kind: IoKind, case: &Case) -> Outcome<Cost> {
    let sinks = Sinks::start(case.receive == 0)?;
    let socket = bind_plain([127, 0, 0, 1].into(), 0)?;
    let addr = socket.local_addr()?;
    let options = IoOptions {
        gro: case.gro,
        ..IoOptions::default()
    };
    let mut backend = open(kind, &options)?;
    backend.add_socket(SocketId(0), socket)?;
    let source = Source::start(addr, case)?;
    run(
        &mut *backend,
        case,
        &sinks.addrs,
        Duration::from_millis(200),
    )?;
    let sunk_before = sinks.received.load(Ordering::Relaxed);
    let before = backend.counters();
    let cpu_before = thread_cpu_time();
    run(&mut *backend, case, &sinks.addrs, MEASURED)?;
    let cpu = thread_cpu_time().saturating_sub(cpu_before);
    let after = backend.counters();
    thread::sleep(Duration::from_millis(100));
    let sunk = sinks.received.load(Ordering::Relaxed) - sunk_before;
    source.stop();
    sinks.stop();
    let sent = (after.datagrams_out - before.datagrams_out) as f64;
    let datagrams = (after.datagrams_in - before.datagrams_in) as f64 + sent;
    Ok(Cost {
        received: if sent > 0.0 { sunk as f64 / sent } else { 1.0 },
        nanos_per_datagram: cpu.as_nanos() as f64 / datagrams,
        datagrams_per_call: datagrams / (after.syscalls - before.syscalls) as f64,
    })
}

/// Receives and sends for a time, as a shard does.
fn run(
    backend: &mut dyn Backend,
    case: &Case,
    sinks: &[SocketAddr],
    time: Duration,
) -> Outcome<()> {
    let mut batch = TxBatch::new(1 << 20);
    let mut failed = Vec::new();
    let mut held = 0;
    let start = Instant::now();
    while start.elapsed() < time {
        if case.receive > 0 {
            held += backend.receive(Some(Duration::from_millis(10)), &mut |_| ())?;
        }
        if case.send == 0 || held < case.receive {
            continue;
        }
        if case.receive == 0 {
            thread::sleep(PACE);
        }
        // What came together is forwarded together.
        let frames = held.checked_div(case.receive).unwrap_or(1).min(8);
        held = held.checked_rem(case.receive).unwrap_or(0);
        for _ in 0..frames {
            batch.clear();
            for &remote in sinks {
                for _ in 0..case.send {
                    if let Some(slot) = batch.slot(case.len) {
                        slot.fill(1);
                        let path = Path {
                            socket: SocketId(0),
                            local: None,
                            remote,
                        };
                        batch.commit(path, case.len);
                    }
                }
            }
            failed.clear();
            backend.send(&batch, &mut failed);
        }
    }
    Ok(())
}

/// Receivers that read all they get, or get nothing.
struct Sinks {
    addrs: Vec<SocketAddr>,
    received: Arc<AtomicU64>,
    background: Background,
}

impl Sinks {
    fn start(dropping: bool) -> Outcome<Self> {
        let mut addrs = Vec::new();
        let mut sockets = Vec::new();
        for _ in 0..DESTINATIONS {
            let socket = bind_plain([127, 0, 0, 1].into(), 0)?;
            if dropping {
                drop_all(&socket)?;
            }
            addrs.push(socket.local_addr()?);
            sockets.push(socket);
        }
        let received = Arc::new(AtomicU64::new(0));
        let total = Arc::clone(&received);
        let background = Background::start(move |running| {
            let mut backend = open(IoKind::Mmsg, &IoOptions::default())?;
            for (id, socket) in sockets.into_iter().enumerate() {
                backend.add_socket(SocketId(id as u32), socket)?;
            }
            while running.load(Ordering::Relaxed) {
                let came = backend.receive(Some(Duration::from_millis(10)), &mut |_| ())?;
                total.fetch_add(came as u64, Ordering::Relaxed);
            }
            Ok(())
        });
        Ok(Self {
            addrs,
            received,
            background,
        })
    }

    fn stop(self) {
        self.background.stop();
    }
}

/// A sender of bursts, a millisecond apart.
struct Source {
    background: Background,
}

impl Source {
    fn start(to: SocketAddr, case: &Case) -> Outcome<Self> {
        let (len, per_burst) = match case.receive {
            0 => (case.len, 0),
            usize::MAX => (case.len, 4),
            count => (case.len, count),
        };
        // Many flows where only receiving is measured, one where it is forwarded.
        let flows = if case.send == 0 { 20 } else { 1 };
        let background = Background::start(move |running| {
            let mut backend = open(IoKind::Mmsg, &IoOptions::default())?;
            for id in 0..flows {
                let socket = bind_plain([127, 0, 0, 1].into(), 0)?;
                backend.add_socket(SocketId(id), socket)?;
            }
            let mut batch = TxBatch::new(1 << 20);
            let mut failed = Vec::new();
            while running.load(Ordering::Relaxed) {
                batch.clear();
                for id in 0..flows {
                    for _ in 0..per_burst {
                        if let Some(slot) = batch.slot(len) {
                            slot.fill(2);
                            let path = Path {
                                socket: SocketId(id),
                                local: None,
                                remote: to,
                            };
                            batch.commit(path, len);
                        }
                    }
                }
                backend.send(&batch, &mut failed);
                failed.clear();
                thread::sleep(PACE);
            }
            Ok(())
        });
        Ok(Self { background })
    }

    fn stop(self) {
        self.background.stop();
    }
}

struct Background {
    running: Arc<AtomicBool>,
    thread: thread::JoinHandle<Outcome<()>>,
}

impl Background {
    fn start(body: impl FnOnce(&AtomicBool) -> Outcome<()> + Send + 'static) -> Self {
        let running = Arc::new(AtomicBool::new(true));
        let flag = Arc::clone(&running);
        Self {
            running,
            thread: thread::spawn(move || {
                pin(false);
                body(&flag)
            }),
        }
    }

    fn stop(self) {
        self.running.store(false, Ordering::Relaxed);
        match self.thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(e)) => println!("a helper thread failed: {e}"),
            Err(_) => println!("a helper thread panicked"),
        }
    }
}

/// Has the kernel drop what comes to a socket, before it wakes anybody.
fn drop_all(socket: &UdpSocket) -> io::Result<()> {
    let mut accept_no_bytes = libc::sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k: 0,
    };
    let program = libc::sock_fprog {
        len: 1,
        filter: &raw mut accept_no_bytes,
    };
    // SAFETY: reads the live program of one instruction.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of_val(&program) as libc::socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Keeps this thread on the first core of the machine, or away from it, as a shard has a core of
/// its own.
fn pin(shard: bool) {
    // SAFETY: numbers, for which zero is valid; the macros and the call write and read one live
    // set.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        // Not those this thread may use: its parent may have been pinned.
        let cores = libc::sysconf(libc::_SC_NPROCESSORS_ONLN);
        for core in 0..usize::try_from(cores).unwrap_or(1) {
            if shard == (core == 0) {
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
