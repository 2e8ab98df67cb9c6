//! A network in memory: shards joined by their crossings, peers that speak SRTP, and a clock that
//! only tests move.
#![allow(dead_code, unreachable_pub, reason = "each scenario uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

pub mod call;
pub mod camera;
pub mod link;
pub mod media;
pub mod receiver;
pub mod tcp;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

pub use media::*;
use uuid::Uuid;
use weirgate_packet::rtp::RtpPacket;
use weirgate_packet::stun::{BindingRequest, IceRole, write_binding_request};
use weirgate_shard::{
    Command, CommandBody, Crossing, CrossingKind, Datagram, Limits, Path, Shard, ShardConfig,
    ShardEvent, SocketId, SourceNo, Timestamp, TxBatch, WebRtcCredentials,
};
use weirgate_srtp::{Opener, Sealer};
use weirgate_wire::{
    Answer, ConsumerConfig, Event, ObjectKind, ProducerConfig, Refusal, SrtpKey, SrtpSuite, Stats,
};

/// A datagram that left, with when and from which shard.
#[derive(Debug, Clone)]
pub struct Sent {
    pub at: Timestamp,
    pub shard: usize,
    pub path: Path,
    pub bytes: Vec<u8>,
}

/// Datagrams that reached a shard's socket together.
struct Held {
    at: Timestamp,
    shard: usize,
    path: Path,
    datagrams: Vec<Vec<u8>>,
}

pub struct Sim {
    pub now: Timestamp,
    pub shards: Vec<Shard>,
    pub sent: VecDeque<Sent>,
    pub events: Vec<Event>,
    /// Sockets that have one peer for good.
    pub settled: Vec<Path>,
    pub crossed: usize,
    /// Whether the driver can not send now.
    pub is_stuck: bool,
    /// What the shards have allocated, commands aside, as far as `count` tells.
    pub allocations: u64,
    /// Does what it is given and counts what that allocates. Nothing is counted unless a test says
    /// how: fuzz targets, which are built with this, have no allocator that counts.
    pub count: fn(&mut dyn FnMut()) -> u64,
    /// What comes while drivers are in the midst of a turn.
    held: Option<Vec<Held>>,
    answers: VecDeque<(u64, Result<Answer, Refusal>)>,
    batch: TxBatch,
    next_token: u64,
    next_source: u32,
}

impl Sim {
    pub fn new(shards: u16) -> Self {
        let now = Timestamp::from_micros(1_000_000_000);
        let make = |shard| {
            let config = ShardConfig {
                shard,
                shards,
                media_locals: vec!["10.0.0.1:10000".parse().unwrap()],
                wall_clock_offset: Duration::from_secs(1_700_000_000),
                seed: u64::from(shard) + 1,
                limits: Limits::default(),
            };
            Shard::new(config, now)
        };
        Self {
            now,
            shards: (0..shards).map(make).collect(),
            sent: VecDeque::new(),
            events: Vec::new(),
            settled: Vec::new(),
            crossed: 0,
            is_stuck: false,
            allocations: 0,
            count: |inside| {
                inside();
                0
            },
            held: None,
            answers: VecDeque::new(),
            batch: TxBatch::new(1 << 20),
            next_token: 1,
            next_source: 0,
        }
    }

    pub fn try_command(&mut self, shard: usize, body: CommandBody) -> Result<Answer, Refusal> {
        let token = self.next_token;
        self.next_token += 1;
        self.shards[shard].handle_command(self.now, Command { token, body });
        self.settle();
        let position = self
            .answers
            .iter()
            .position(|(answered, _)| *answered == token);
        self.answers.remove(position.expect("an answer")).unwrap().1
    }

    /// A command that is not answered.
    pub fn send_only(&mut self, shard: usize, body: CommandBody) {
        self.shards[shard].handle_command(self.now, Command { token: 0, body });
        self.settle();
    }

    pub fn command(&mut self, shard: usize, body: CommandBody) -> Answer {
        self.try_command(shard, body).unwrap()
    }

    /// A datagram reaches a shard's socket.
    pub fn deliver(&mut self, shard: usize, path: Path, bytes: &[u8]) {
        self.deliver_all(shard, path, vec![bytes.to_vec()]);
    }

    /// Datagrams reach a shard's socket together.
    pub fn deliver_all(&mut self, shard: usize, path: Path, datagrams: Vec<Vec<u8>>) {
        match &mut self.held {
            Some(held) => held.push(Held {
                at: self.now,
                shard,
                path,
                datagrams,
            }),
            None => {
                let datagrams = datagrams.into_iter().map(|bytes| (bytes, Duration::ZERO));
                self.deliver_late(shard, path, datagrams.collect());
            }
        }
    }

    /// Datagrams are taken from a shard's socket that have been there for as long as it says.
    pub fn deliver_late(&mut self, shard: usize, path: Path, datagrams: Vec<(Vec<u8>, Duration)>) {
        self.take_in(shard, path, datagrams);
        self.settle();
    }

    /// Until [`Self::end_turn`] drivers do nothing: they are in the midst of a turn.
    pub fn begin_turn(&mut self) {
        self.held = Some(Vec::new());
    }

    /// Drivers take in all that came during a turn, and send.
    pub fn end_turn(&mut self) {
        for held in self.held.take().unwrap_or_default() {
            let waited = self.now.since(held.at);
            let datagrams = held.datagrams.into_iter().map(|bytes| (bytes, waited));
            self.take_in(held.shard, held.path, datagrams.collect());
        }
        self.time_out();
        self.settle();
    }

    fn take_in(&mut self, shard: usize, path: Path, mut datagrams: Vec<(Vec<u8>, Duration)>) {
        self.refill(shard);
        let mut batch: Vec<Datagram<'_>> = datagrams
            .iter_mut()
            .map(|(bytes, waited)| Datagram {
                path,
                bytes,
                waited: *waited,
            })
            .collect();
        let (shard, now) = (&mut self.shards[shard], self.now);
        let mut inside = || shard.handle_datagrams(now, &mut batch);
        self.allocations += (self.count)(&mut inside);
    }

    pub fn advance(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.held.is_none() {
            let next = self.shards.iter().map(Shard::poll_timeout).min().unwrap();
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            self.time_out();
            self.settle();
        }
        self.now = end;
    }

    fn time_out(&mut self) {
        for shard in 0..self.shards.len() {
            self.refill(shard);
            let (shard, now) = (&mut self.shards[shard], self.now);
            let mut inside = || shard.handle_timeout(now);
            self.allocations += (self.count)(&mut inside);
        }
    }

    pub fn advance_ms(&mut self, ms: u64) {
        self.advance(Duration::from_millis(ms));
    }

    /// Everything that left for that address since the last look.
    pub fn take_sent_to(&mut self, remote: SocketAddr) -> Vec<Sent> {
        let (taken, rest) = self
            .sent
            .drain(..)
            .partition(|sent| sent.path.remote == remote);
        self.sent = rest;
        taken.into()
    }

    pub fn counter(&mut self, shard: usize, name: &str) -> u64 {
        self.metric(shard, name, false)
    }

    pub fn gauge(&mut self, shard: usize, name: &str) -> u64 {
        self.metric(shard, name, true)
    }

    fn metric(&mut self, shard: usize, name: &str, gauge: bool) -> u64 {
        let Answer::Counters(counters) = self.command(shard, CommandBody::GetCounters) else {
            panic!("no counters");
        };
        let list = if gauge {
            &counters[0].gauges
        } else {
            &counters[0].counters
        };
        list.iter()
            .find(|(known, _)| known == name)
            .unwrap_or_else(|| panic!("{name}"))
            .1
    }

    pub fn stats(&mut self, shard: usize, kind: ObjectKind, id: Uuid) -> Stats {
        match self.command(shard, CommandBody::GetStats { kind, id }) {
            Answer::Stats(stats) => stats,
            other => panic!("{other:?}"),
        }
    }

    fn refill(&mut self, shard: usize) {
        let port = self.shards[shard].crossings();
        while port.stock.len() < port.stock_target {
            port.stock.push(empty_crossing());
        }
    }

    /// Carries crossings and collects what leaves until nothing moves.
    fn settle(&mut self) {
        loop {
            let mut moved = false;
            for shard in 0..self.shards.len() {
                // What it has room for stays.
                let mut outbox = Vec::new();
                outbox.append(&mut self.shards[shard].crossings().outbox);
                for (to, mut crossing) in outbox {
                    moved = true;
                    self.crossed += 1;
                    self.refill(usize::from(to));
                    let (shard, now) = (&mut self.shards[usize::from(to)], self.now);
                    let mut inside = || shard.handle_crossing(now, &mut crossing);
                    self.allocations += (self.count)(&mut inside);
                }
                self.batch.clear();
                while self.poll_transmit(shard) {
                    moved = true;
                    for train in self.batch.trains() {
                        if self.is_stuck {
                            let segments = train.segments;
                            self.shards[shard].send_failed(&self.batch, train, segments);
                            continue;
                        }
                        let bytes = self.batch.train_bytes(train);
                        for datagram in bytes.chunks(usize::from(train.segment_len)) {
                            self.sent.push_back(Sent {
                                at: self.now,
                                shard,
                                path: train.path,
                                bytes: datagram.to_vec(),
                            });
                        }
                    }
                    self.batch.clear();
                }
                while let Some(path) = self.shards[shard].poll_settled() {
                    self.settled.push(path);
                }
                while let Some(event) = self.shards[shard].poll_event() {
                    match event {
                        ShardEvent::Answer { token, body } => self.answers.push_back((token, body)),
                        ShardEvent::Event(event) => self.events.push(event),
                    }
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn poll_transmit(&mut self, shard: usize) -> bool {
        let (shard, now) = (&mut self.shards[shard], self.now);
        let mut is_filled = false;
        let mut inside = || is_filled = shard.poll_transmit(now, &mut self.batch);
        self.allocations += (self.count)(&mut inside);
        is_filled
    }

    /// A plain SRTP transport whose peer is at `remote`; both directions under `key`.
    pub fn plain(
        &mut self,
        shard: usize,
        socket: u32,
        remote: SocketAddr,
        key: Option<SrtpKey>,
    ) -> Uuid {
        let id = self.transport_on(socket);
        self.command(
            shard,
            CommandBody::CreatePlainTransport {
                id,
                rtp_socket: SocketId(socket),
                rtp_local: SocketAddr::from(([10, 0, 0, 1], 10_000 + socket as u16)),
                rtcp: None,
                comedia: false,
                srtp: key.clone(),
            },
        );
        self.command(
            shard,
            CommandBody::ConnectPlain {
                id,
                remote: Some(remote),
                rtcp_remote: None,
                srtp: key,
            },
        );
        id
    }

    /// The plain transport on that socket.
    pub fn transport_on(&self, socket: u32) -> Uuid {
        Uuid::from_u128(0xA000_0000 + u128::from(socket))
    }

    pub fn webrtc(&mut self, shard: usize, number: u32) -> (Uuid, WebRtcCredentials) {
        let id = Uuid::from_u128(0xB000_0000 + u128::from(number));
        let ice = credentials(shard, number);
        self.command(
            shard,
            CommandBody::CreateWebRtcTransport {
                id,
                ice: ice.clone(),
                ice_consent_timeout_s: 30,
                initial_outgoing_bps: 0,
            },
        );
        (id, ice)
    }

    pub fn producer(&mut self, shard: usize, transport: Uuid, config: ProducerConfig) -> SourceNo {
        let source = SourceNo::new(self.next_source, 1);
        self.next_source += 1;
        self.command(
            shard,
            CommandBody::CreateProducer {
                transport,
                source,
                config,
            },
        );
        source
    }

    /// Makes a producer of one shard known on another.
    pub fn relay(&mut self, from: usize, to: usize, source: SourceNo, config: &ProducerConfig) {
        let origin = from as u16;
        self.command(
            to,
            CommandBody::OpenSource {
                origin,
                source,
                config: config.clone(),
            },
        );
        self.command(
            from,
            CommandBody::Relay {
                producer: config.id,
                to: to as u16,
                on: true,
            },
        );
    }

    pub fn consumer(&mut self, shard: usize, transport: Uuid, config: ConsumerConfig) {
        self.command(shard, CommandBody::CreateConsumer { transport, config });
    }
}

pub fn empty_crossing() -> Box<Crossing> {
    Box::new(Crossing {
        kind: CrossingKind::KeyFrameRequest {
            source: SourceNo::new(0, 0),
            encoding: 0,
            is_patient: false,
        },
        from: 0,
        len: 0,
        buffer: [0; weirgate_shard::CROSSING_BYTES],
    })
}

pub fn credentials(shard: usize, number: u32) -> WebRtcCredentials {
    WebRtcCredentials {
        ufrag: format!("{shard:02x}user{number:06}"),
        pwd: format!("password-of-transport-{number:010}"),
    }
}

pub fn key(seed: u8) -> SrtpKey {
    let suite = SrtpSuite::AeadAes128Gcm;
    SrtpKey::new(suite, vec![seed; suite.key_len() + suite.salt_len()]).unwrap()
}

pub fn addr(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 7], port))
}

/// A path by the media port.
pub fn media_path(remote: SocketAddr) -> Path {
    Path {
        socket: SocketId(0),
        local: Some([10, 0, 0, 1].into()),
        remote,
    }
}

pub fn plain_path(socket: u32, remote: SocketAddr) -> Path {
    Path {
        socket: SocketId(socket),
        local: None,
        remote,
    }
}

/// A peer's end of SRTP.
pub struct Peer {
    pub remote: SocketAddr,
    pub sealer: Sealer,
    pub opener: Opener,
}

impl Peer {
    pub fn new(remote: SocketAddr, key: &SrtpKey) -> Self {
        Self {
            remote,
            sealer: Sealer::new(key).unwrap(),
            opener: Opener::new(key, 4096).unwrap(),
        }
    }

    /// Seals RTP whose sequence numbers have not wrapped.
    pub fn seal(&self, rtp: &[u8]) -> Vec<u8> {
        let sequence = u16::from_be_bytes([rtp[2], rtp[3]]);
        let header_len = weirgate_packet::rtp::header_len(rtp).unwrap();
        let mut bytes = rtp.to_vec();
        bytes.resize(rtp.len() + 32, 0);
        let len = self
            .sealer
            .seal_rtp(&mut bytes, header_len, rtp.len(), u64::from(sequence));
        bytes.truncate(len.unwrap());
        bytes
    }

    pub fn seal_rtcp(&mut self, rtcp: &[u8]) -> Vec<u8> {
        let mut bytes = rtcp.to_vec();
        bytes.resize(rtcp.len() + 32, 0);
        let len = self.sealer.seal_rtcp(&mut bytes, rtcp.len()).unwrap();
        bytes.truncate(len);
        bytes
    }

    /// Opens what came: media and RTX packets, and RTCP compounds. Everything must be authentic.
    pub fn open(&mut self, sent: Vec<Sent>) -> (Vec<Received>, Vec<Vec<u8>>) {
        let mut media = Vec::new();
        let mut rtcp = Vec::new();
        for mut sent in sent {
            let payload_type = sent.bytes[1];
            if (192..=223).contains(&payload_type) {
                let len = self
                    .opener
                    .open_rtcp(&mut sent.bytes)
                    .expect("authentic RTCP");
                sent.bytes.truncate(len);
                rtcp.push(sent.bytes);
            } else {
                let opened = self
                    .opener
                    .open_rtp(&mut sent.bytes)
                    .expect("authentic RTP");
                sent.bytes.truncate(opened.len);
                media.push(Received::read(&sent.bytes));
            }
        }
        (media, rtcp)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub ssrc: u32,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub mid: Option<String>,
    pub transport_sequence: Option<u16>,
    /// Least and most, in units of 10 ms.
    pub playout_delay: Option<(u16, u16)>,
    pub payload: Vec<u8>,
}

impl Received {
    pub fn read(bytes: &[u8]) -> Self {
        let packet = RtpPacket::parse(bytes).expect("valid RTP");
        let find = |wanted: u8| {
            packet
                .extensions()
                .find(|(id, _)| *id == wanted)
                .map(|(_, d)| d)
        };
        Self {
            ssrc: packet.ssrc(),
            payload_type: packet.payload_type(),
            sequence: packet.sequence(),
            timestamp: packet.timestamp(),
            mid: find(1).map(|data| String::from_utf8(data.to_vec()).unwrap()),
            transport_sequence: find(5).map(|data| u16::from_be_bytes([data[0], data[1]])),
            playout_delay: find(PLAYOUT_DELAY_ID).and_then(|data| {
                let [high, middle, low] = *data.first_chunk()?;
                let both = u32::from_be_bytes([0, high, middle, low]);
                Some(((both >> 12) as u16, (both & 0xfff) as u16))
            }),
            payload: packet.payload().to_vec(),
        }
    }
}

/// An ICE check.
pub struct CheckOptions {
    pub use_candidate: bool,
    pub nomination: Option<u32>,
    pub priority: u32,
    pub role: IceRole,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            use_candidate: true,
            nomination: None,
            priority: 100,
            role: IceRole::Controlling,
        }
    }
}

pub fn check(ice: &WebRtcCredentials, options: &CheckOptions) -> Vec<u8> {
    let mut bytes = [0; 512];
    let username = format!("{}:peer", ice.ufrag);
    let request = BindingRequest {
        transaction_id: [7; 12],
        username: &username,
        priority: options.priority,
        role: (options.role, 99),
        use_candidate: options.use_candidate,
        nomination: options.nomination,
        password: ice.pwd.as_bytes(),
    };
    let len = write_binding_request(&mut bytes, &request).unwrap();
    bytes[..len].to_vec()
}
