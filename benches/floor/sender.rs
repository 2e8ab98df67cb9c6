//! Ways to send the same packets: the engine's back ends, and sendmmsg alone.

use std::io::IoSlice;
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::AsRawFd as _;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Error, Result, bail};
use nix::errno::Errno;
use nix::sys::socket::sockopt::UdpGsoSegment;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, send, sendmmsg, setsockopt};
use weirgate_io::{Backend, FailedTrain, IoChoice, IoKind, IoOptions, XdpOptions};
use weirgate_io::{bind_media, bind_plain, open, open_xdp, probe, set_up_xdp};
use weirgate_shard::{Path, SocketId, TxBatch};

use crate::args::{Args, Sockets, Via};
use crate::link::SENDER_INTERFACE;
use crate::seal;

/// Bytes handed over at once, as by the engine's loop.
pub(crate) const BATCH_BYTES: usize = 512 << 10;
/// Messages of one call, as in the engine's back ends.
const MESSAGES: usize = 256;

/// Sends packets that were sealed before.
pub(crate) trait Sender {
    /// One train of that many packets to each of these receivers. Answers how many packets the
    /// kernel did not take.
    fn wave(&mut self, segments: usize, receivers: Range<usize>) -> Result<u64>;

    /// Sleeps as the engine would.
    fn sleep(&mut self, time: Duration) -> Result<()>;
}

/// Makes a sender to all these addresses.
pub(crate) fn make(via: Via, args: &Args, to: &[SocketAddr]) -> Result<Box<dyn Sender>> {
    Ok(match via {
        Via::Bare => Box::new(Bare::new(args, to)?),
        Via::Mmsg => Box::new(ByBackend::new(open_kind(IoKind::Mmsg)?, args, to)?),
        Via::Uring => {
            if let Err(reason) = probe(IoChoice::Uring) {
                bail!("{reason} (--via bare,mmsg measures without it)");
            }
            Box::new(ByBackend::new(open_kind(IoKind::Uring)?, args, to)?)
        }
        Via::Xdp => Box::new(ByBackend::new(xdp_backend()?, args, to)?),
    })
}

fn open_kind(kind: IoKind) -> Result<Box<dyn Backend>> {
    Ok(open(kind, &IoOptions::default())?)
}

/// AF_XDP at the sender's end; other back ends find the interface without its program again.
fn xdp_backend() -> Result<Box<dyn Backend>> {
    let set_up = set_up_xdp(&XdpOptions {
        interfaces: vec![SENDER_INTERFACE.to_owned()],
        listen: Vec::new(),
        shards: 1,
    });
    let seat = set_up.map_err(Error::msg)?.seats.pop();
    Ok(open_xdp(
        seat.context("no seat for a shard")?,
        &IoOptions::default(),
    )?)
}

/// The sockets, and for each receiver the number of its own.
fn bind(args: &Args) -> Result<(Vec<UdpSocket>, Vec<usize>)> {
    Ok(match args.sockets {
        Sockets::Media => {
            let any = SocketAddr::from(([0, 0, 0, 0], 0));
            (bind_media(any, 1)?, vec![0; args.receivers])
        }
        Sockets::Plain => {
            let bound: std::io::Result<_> = (0..args.receivers)
                .map(|_| bind_plain(args.link.sender_ip(), 0))
                .collect();
            (bound?, (0..args.receivers).collect())
        }
    })
}

/// The engine's way: trains of a batch through a back end.
struct ByBackend {
    backend: Box<dyn Backend>,
    /// Its arena is full of sealed packets, which stay when its trains are cleared.
    batch: TxBatch,
    paths: Vec<Path>,
    packet_bytes: usize,
    failed: Vec<FailedTrain>,
}

impl ByBackend {
    fn new(mut backend: Box<dyn Backend>, args: &Args, to: &[SocketAddr]) -> Result<Self> {
        let (sockets, of_receiver) = bind(args)?;
        for (number, socket) in sockets.into_iter().enumerate() {
            let id = SocketId(number as u32);
            backend.add_socket(id, socket)?;
            if args.sockets == Sockets::Plain {
                backend.connect_socket(id, to[number]);
            }
        }
        let path = |(&remote, socket)| Path {
            socket: SocketId(socket as u32),
            local: (args.sockets == Sockets::Media).then_some(args.link.sender_ip()),
            remote,
        };
        let paths: Vec<Path> = to.iter().zip(of_receiver).map(path).collect();
        let mut batch = TxBatch::new(BATCH_BYTES);
        let packets = seal::sealed_packets(args.packet, BATCH_BYTES / args.packet);
        for packet in packets.chunks_exact(args.packet) {
            if let Some(slot) = batch.slot(packet.len()) {
                slot.copy_from_slice(packet);
                batch.commit(paths[0], packet.len());
            }
        }
        Ok(Self {
            backend,
            batch,
            paths,
            packet_bytes: args.packet,
            failed: Vec::with_capacity(TxBatch::MAX_TRAINS),
        })
    }

    fn flush(&mut self) -> u64 {
        self.failed.clear();
        self.backend.send(&self.batch, &mut self.failed);
        self.batch.clear();
        let lost = self
            .failed
            .iter()
            .map(|train| u64::from(train.segments_lost));
        lost.sum()
    }
}

impl Sender for ByBackend {
    fn wave(&mut self, segments: usize, receivers: Range<usize>) -> Result<u64> {
        let mut refused = 0;
        self.batch.clear();
        for index in receivers {
            if self.batch.slot(segments * self.packet_bytes).is_none() {
                refused += self.flush();
            }
            for _ in 0..segments {
                self.batch.commit(self.paths[index], self.packet_bytes);
            }
        }
        Ok(refused + self.flush())
    }

    fn sleep(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.backend.receive(Some(left), &mut |_| ())?;
        }
    }
}

/// sendmmsg with what it needs made ready, or send on connected sockets; the kernel cuts trains as the
/// socket's option says.
struct Bare {
    /// One for all, or one for each receiver and connected to it.
    sockets: Vec<UdpSocket>,
    addresses: Vec<Option<SockaddrIn>>,
    headers: MultiHeaders<SockaddrIn>,
    packets: Vec<u8>,
    packet_bytes: usize,
}

impl Bare {
    fn new(args: &Args, to: &[SocketAddr]) -> Result<Self> {
        let (sockets, _) = bind(args)?;
        for (number, socket) in sockets.iter().enumerate() {
            setsockopt(socket, UdpGsoSegment, &(args.packet as i32))?;
            if args.sockets == Sockets::Plain {
                socket.connect(to[number])?;
            }
        }
        let address = |to: &SocketAddr| match to {
            SocketAddr::V4(to) => Some(SockaddrIn::from(*to)),
            SocketAddr::V6(_) => None,
        };
        Ok(Self {
            sockets,
            addresses: to.iter().map(address).collect(),
            headers: MultiHeaders::preallocate(MESSAGES, None),
            packets: seal::sealed_packets(args.packet, BATCH_BYTES / args.packet),
            packet_bytes: args.packet,
        })
    }

    /// Sends to each receiver from its own socket; answers how many messages were not taken.
    fn send_each(&self, receivers: Range<usize>, train_bytes: usize) -> Result<u64> {
        let trains = self.packets.len() / train_bytes;
        let mut refused = 0;
        for receiver in receivers {
            let offset = receiver % trains * train_bytes;
            let train = &self.packets[offset..offset + train_bytes];
            match send(self.sockets[receiver].as_raw_fd(), train, MsgFlags::empty()) {
                Ok(_) => {}
                Err(Errno::EAGAIN | Errno::ENOBUFS) => refused += 1,
                Err(error) => bail!("send: {error}"),
            }
        }
        Ok(refused)
    }

    /// Sends to some receivers from the one socket; answers how many messages were not taken.
    fn send_many(&mut self, receivers: Range<usize>, train_bytes: usize) -> Result<u64> {
        let Range {
            start: first,
            end: last,
        } = receivers;
        let fd = self.sockets[0].as_raw_fd();
        let trains = self.packets.len() / train_bytes;
        let messages: Vec<[IoSlice<'_>; 1]> = (first..last)
            .map(|receiver| {
                let offset = receiver % trains * train_bytes;
                [IoSlice::new(&self.packets[offset..offset + train_bytes])]
            })
            .collect();
        let mut from = 0;
        let mut refused = 0;
        while from < messages.len() {
            let sent = sendmmsg(
                fd,
                &mut self.headers,
                &messages[from..],
                &self.addresses[first + from..last],
                [],
                MsgFlags::empty(),
            );
            from += match sent {
                Ok(sent) => sent.count(),
                Err(Errno::EAGAIN | Errno::ENOBUFS) => {
                    refused += 1;
                    1
                }
                Err(error) => bail!("sendmmsg: {error}"),
            };
        }
        Ok(refused)
    }
}

impl Sender for Bare {
    fn wave(&mut self, segments: usize, receivers: Range<usize>) -> Result<u64> {
        let train_bytes = segments * self.packet_bytes;
        let mut refused = 0;
        if self.sockets.len() > 1 {
            refused = self.send_each(receivers, train_bytes)?;
        } else {
            for first in receivers.clone().step_by(MESSAGES) {
                let last = (first + MESSAGES).min(receivers.end);
                refused += self.send_many(first..last, train_bytes)?;
            }
        }
        Ok(refused * segments as u64)
    }

    fn sleep(&mut self, time: Duration) -> Result<()> {
        thread::sleep(time);
        Ok(())
    }
}
