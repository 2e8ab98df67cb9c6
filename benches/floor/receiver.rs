//! The receiving process: it takes in whatever comes, joined datagrams as they are (UDP_GRO), and
//! tells on demand how many and for how much CPU time.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};
use std::{io, thread};

use anyhow::{Context as _, Result, bail};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::ReceiveTimestampns;
use serde::{Deserialize, Serialize};
use weirgate_io::{IoKind, IoOptions, Waker, bind_plain, open};
use weirgate_shard::SocketId;

use crate::args::Args;
use crate::cpu;
use crate::link::Link;

/// Longer than any pause of a sender.
const SLEEP: Duration = Duration::from_secs(1);

/// The receiver's figures since it began.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Datagrams.
    pub(crate) received: u64,
    /// CPU time of the process.
    pub(crate) cpu: Duration,
}

/// The receiver as the sender sees it. Ends with it.
pub(crate) struct ReceiverProcess {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// One per receiver.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl ReceiverProcess {
    /// Starts it; its sockets are bound when this returns.
    pub(crate) fn start(args: &Args) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--receive", &args.receivers.to_string()])
            .args(["--link", args.link.name()])
            .args(["--receiver-core", &args.receiver_core_argument()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the receiver")?;
        let questions = child.stdin.take();
        let answers = child.stdout.take().context("a receiver without output")?;
        let mut process = Self {
            child,
            questions,
            answers: BufReader::new(answers),
            addresses: Vec::new(),
        };
        process.addresses = serde_json::from_str(&process.line()?)?;
        Ok(process)
    }

    /// Asks for the figures now.
    pub(crate) fn mark(&mut self) -> Result<Mark> {
        let questions = self.questions.as_mut().context("the receiver is gone")?;
        questions.write_all(b"\n")?;
        questions.flush()?;
        Ok(serde_json::from_str(&self.line()?)?)
    }

    /// The figures once `count` datagrams have come in all, or after `patience`.
    pub(crate) fn received(&mut self, count: u64, patience: Duration) -> Result<Mark> {
        let until = Instant::now() + patience;
        loop {
            let mark = self.mark()?;
            if mark.received >= count || Instant::now() >= until {
                return Ok(mark);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("the receiver ended; it may have said why");
        }
        Ok(line)
    }
}

impl Drop for ReceiverProcess {
    fn drop(&mut self) {
        self.questions = None;
        // It ends with its input.
        let _ = self.child.wait();
    }
}

/// The receiving process itself.
pub(crate) fn run(sockets: usize, link: Link, core: Option<usize>) -> Result<()> {
    cpu::pin(core)?;
    let mut backend = open(IoKind::Mmsg, &IoOptions::default())?;
    let mut addresses = Vec::with_capacity(sockets);
    for number in 0..sockets {
        let socket = bind_plain(link.receiver_ip(), 0)?;
        addresses.push(socket.local_addr()?);
        backend.add_socket(SocketId(number as u32), socket)?;
    }
    let _stamped = stamp_packets()?;
    let questions = listen(backend.waker());
    println!("{}", serde_json::to_string(&addresses)?);
    loop {
        backend.receive(Some(SLEEP), &mut |_| ())?;
        match questions.try_recv() {
            Ok(()) => {
                let mark = Mark {
                    received: backend.counters().datagrams_in,
                    cpu: cpu::process_time()?,
                };
                println!("{}", serde_json::to_string(&mark)?);
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
    }
}

/// As long as one socket asks for timestamps, as those of every client that measures delays do, the
/// kernel takes the time of every packet, and the sender pays for that.
fn stamp_packets() -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    setsockopt(&socket, ReceiveTimestampns, &true).context("SO_TIMESTAMPNS")?;
    Ok(socket)
}

/// Every line of the input is a question; with its end the channel ends.
fn listen(waker: Waker) -> Receiver<()> {
    let (asked, questions) = channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            if line.is_err() || asked.send(()).is_err() {
                break;
            }
            waker.wake();
        }
        drop(asked);
        waker.wake();
    });
    questions
}
