//! The hub against shards made of channels and a control made of frames.

mod control;
mod objects;
mod relay;
mod traces;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;

use crossbeam::channel::unbounded;
use uuid::Uuid;
use weirgate_wire::{
    Codec, ConsumerCodec, ConsumerConfig, ConsumerType, Event, ExtensionIds, Feedback,
    FrameDecoder, MediaKind, ObjectKind, ProducerCodec, ProducerConfig, ProducerEncoding,
    RefusalKind, TraceType, TraceTypes,
};

use super::*;
use crate::clock::Clock;
use crate::shard_thread::{ShardInput, ShardStatus};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

const ROUTER: Uuid = id(1);
/// On shard 0 after [`Bench::room`].
const SENDER: Uuid = id(2);
/// On shard 1 after [`Bench::room`].
const RECEIVER: Uuid = id(3);
/// Of [`SENDER`] after [`Bench::room`].
const PRODUCER: Uuid = id(10);

const fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Says no to a command.
type Judge = Box<dyn Fn(ShardNo, &CommandBody) -> bool>;

struct Bench {
    hub: Hub,
    queues: Vec<Receiver<ShardInput>>,
    control: FakeControl,
    /// Commands that shards refuse.
    refuses: Judge,
    /// What shards were told, such as `1 open 10`.
    log: Vec<String>,
    /// Sockets shards hold.
    sockets: Vec<u32>,
    next_connection: u64,
}

struct FakeControl {
    connection: u64,
    frames: Receiver<Vec<u8>>,
    decoder: FrameDecoder,
    peer: Option<UnixStream>,
    next_request: u64,
    /// Messages read and not looked at.
    read: VecDeque<ToControl>,
}

impl Bench {
    /// A hub of that many shards, with a control that asked for nothing yet.
    fn new(shards: u16) -> Self {
        let net = Arc::new(CrossingNet::new(shards, 1));
        let (mut handles, mut queues) = (Vec::new(), Vec::new());
        for number in 0..shards {
            let (inputs, queue) = unbounded();
            let status = Arc::new(ShardStatus::default());
            handles.push(ShardHandle::new(number, status, inputs, net.clone()));
            queues.push(queue);
        }
        let facts = EngineFacts {
            epoch: 7,
            io: "mmsg".to_owned(),
            io_reason: "test".to_owned(),
            kernel: Vec::new(),
            media_listen: vec![SocketAddr::new(LOCALHOST, 10_000)],
            plain_ports: (21_000, 21_999),
            busy_poll: None,
            clock: Clock::start(),
        };
        let mut hub = Hub::new(facts, handles, net);
        let control = FakeControl::connect(&mut hub, 1);
        Self {
            hub,
            queues,
            control,
            refuses: Box::new(|_, _| false),
            log: Vec::new(),
            sockets: Vec::new(),
            next_connection: 2,
        }
    }

    /// With [`ROUTER`], [`SENDER`] on shard 0, [`RECEIVER`] on shard 1, and [`PRODUCER`].
    fn room() -> Self {
        let mut bench = Self::new(2);
        bench.ok(create_router(ROUTER));
        bench.ok(create_webrtc(SENDER));
        bench.ok(create_webrtc(RECEIVER));
        bench.ok(create_producer(SENDER, PRODUCER));
        bench.log.clear();
        bench
    }

    /// Sends a request; shards answer when told to.
    fn ask(&mut self, body: Request) -> u64 {
        let id = self.control.next_request;
        self.control.next_request += 1;
        let message = ToEngine::Request { id, body };
        self.tell(message);
        id
    }

    fn tell(&mut self, message: ToEngine) {
        let connection = self.control.connection;
        self.hub.on_control(ControlInput::Message {
            connection,
            message,
        });
    }

    /// Lets shards do what they were told.
    fn settle(&mut self) {
        for (shard, queue) in (0..).zip(self.queues.clone()) {
            for input in queue.try_iter() {
                let ShardInput::Task(task) = input else {
                    panic!("stop");
                };
                self.log
                    .push(format!("{shard} {}", short(&task.command.body)));
                self.sockets.extend(task.add.iter().map(|(id, _)| id.0));
                self.sockets
                    .retain(|id| !task.remove.iter().any(|gone| gone.0 == *id));
                let body = match (self.refuses)(shard, &task.command.body) {
                    true => Err(refuse::over_capacity("the fake shard says no")),
                    false => Ok(answer_of(shard, &task.command.body)),
                };
                let token = task.command.token;
                self.hub.on_shard(shard, ShardEvent::Answer { token, body });
            }
        }
        if self.queues.iter().any(|queue| !queue.is_empty()) {
            self.settle();
        }
    }

    /// Sends a request and gives its answer.
    fn request(&mut self, body: Request) -> Result<Answer, Refusal> {
        let id = self.ask(body);
        self.settle();
        self.control.answer_to(id).expect("an answer")
    }

    fn ok(&mut self, body: Request) -> Answer {
        self.request(body).expect("a request that is granted")
    }

    fn refused(&mut self, body: Request) -> Refusal {
        self.request(body).expect_err("a request that is refused")
    }

    fn event(&mut self, shard: ShardNo, event: Event) {
        self.hub.on_shard(shard, ShardEvent::Event(event));
    }

    /// Everything the hub has told control, answers apart.
    fn told(&mut self) -> Vec<ToControl> {
        self.control.read_all();
        self.control.read.drain(..).collect()
    }

    /// Takes the log.
    fn logged(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    /// Kills control and starts a new one.
    fn restart_control(&mut self) {
        let connection = self.control.connection;
        self.hub.on_control(ControlInput::Gone {
            connection,
            why: "test".to_owned(),
        });
        self.control = FakeControl::connect(&mut self.hub, self.next_connection);
        self.next_connection += 1;
    }

    /// Nothing of any object is left.
    fn assert_empty(&self) {
        let registry = &self.hub.registry;
        assert!(registry.routers.is_empty() && registry.transports.is_empty());
        assert!(registry.producers.is_empty() && registry.consumers.is_empty());
        for shard in 0..self.queues.len() {
            let census = registry.census(shard as ShardNo);
            assert_eq!(census, super::registry::Census::default());
        }
        assert_eq!(self.hub.blobs.used(), 0);
        assert_eq!(self.hub.ports.len(), 0);
        assert_eq!(self.hub.pending.len(), 0);
        assert!(self.sockets.is_empty());
    }
}

impl FakeControl {
    fn connect(hub: &mut Hub, connection: u64) -> Self {
        let (outgoing, frames, peer) = Outgoing::for_test();
        hub.on_control(ControlInput::Greeted {
            connection,
            pid: 1000 + connection as u32,
            outgoing,
        });
        Self {
            connection,
            frames,
            decoder: FrameDecoder::default(),
            peer: Some(peer),
            next_request: connection * 1_000,
            read: VecDeque::new(),
        }
    }

    fn read_all(&mut self) {
        for frame in self.frames.try_iter() {
            self.decoder.push(&frame);
        }
        while let Some(message) = self.decoder.next_message().expect("a well-formed message") {
            self.read.push_back(message);
        }
    }

    fn answer_to(&mut self, request: u64) -> Option<Result<Answer, Refusal>> {
        self.read_all();
        let place = self.read.iter().position(
            |message| matches!(message, ToControl::Answer { id, .. } if *id == request),
        )?;
        match self.read.remove(place) {
            Some(ToControl::Answer { body, .. }) => Some(body),
            _ => None,
        }
    }
}

/// A command in few words.
fn short(body: &CommandBody) -> String {
    let number = |id: &Uuid| id.as_u128();
    match body {
        CommandBody::CreateWebRtcTransport { id, .. } => format!("webrtc {}", number(id)),
        CommandBody::CreatePlainTransport { id, .. } => format!("plain {}", number(id)),
        CommandBody::ConnectPlain { id, .. } => format!("connect {}", number(id)),
        CommandBody::RestartIce { id, .. } => format!("restart {}", number(id)),
        CommandBody::SetSrtpKeys { id, .. } => format!("keys {}", number(id)),
        CommandBody::SendDtls { id, datagrams } => {
            format!("dtls {} {}", number(id), datagrams.len())
        }
        CommandBody::SetBitrates { id, .. } => format!("bitrates {}", number(id)),
        CommandBody::CreateProducer { config, .. } => format!("producer {}", number(&config.id)),
        CommandBody::Relay { producer, to, on } => {
            let on = if *on { "on" } else { "off" };
            format!("relay {} to {to} {on}", number(producer))
        }
        CommandBody::OpenSource { config, .. } => {
            let paused = if config.paused { " paused" } else { "" };
            format!("open {}{paused}", number(&config.id))
        }
        CommandBody::CreateConsumer { config, .. } => format!("consumer {}", number(&config.id)),
        CommandBody::Close { kind, id } => format!("close {} {}", refuse::name(*kind), number(id)),
        CommandBody::SetPaused { id, paused, .. } => format!("paused {} {paused}", number(id)),
        CommandBody::SetPreferredLayers { id, .. } => format!("layers {}", number(id)),
        CommandBody::SetPriority { id, priority } => format!("priority {} {priority}", number(id)),
        CommandBody::RequestKeyFrame { consumer } => format!("key frame {}", number(consumer)),
        CommandBody::SetTrace { id, types, .. } => {
            let names: Vec<&str> = types.iter().map(TraceType::name).collect();
            format!("trace {} {}", number(id), names.join(","))
        }
        CommandBody::GetStats { id, .. } => format!("stats {}", number(id)),
        CommandBody::GetCounters => "counters".to_owned(),
    }
}

fn answer_of(shard: ShardNo, body: &CommandBody) -> Answer {
    match body {
        CommandBody::ConnectPlain {
            remote,
            rtcp_remote,
            ..
        } => Answer::PlainTransport {
            shard,
            local: SocketAddr::new(LOCALHOST, 1),
            remote: *remote,
            rtcp_local: None,
            rtcp_remote: *rtcp_remote,
        },
        CommandBody::GetStats { .. } => {
            Answer::Stats(weirgate_wire::Stats::Transport(Default::default()))
        }
        CommandBody::GetCounters => Answer::Counters(vec![weirgate_wire::ShardCounters {
            counters: vec![("shard".to_owned(), u64::from(shard))],
            ..weirgate_wire::ShardCounters::default()
        }]),
        _ => Answer::Done,
    }
}

fn create_router(id: Uuid) -> Request {
    let blob = b"router".to_vec();
    Request::CreateRouter { id, blob }
}

fn create_webrtc(id: Uuid) -> Request {
    Request::CreateWebRtcTransport {
        id,
        router: ROUTER,
        ice_consent_timeout_s: 30,
        initial_outgoing_bps: 0,
        blob: b"webrtc".to_vec(),
    }
}

fn create_plain(id: Uuid, port: Option<u16>, rtcp_port: Option<u16>) -> Request {
    Request::CreatePlainTransport {
        id,
        router: ROUTER,
        listen_ip: LOCALHOST,
        port,
        rtcp_listen_ip: LOCALHOST,
        rtcp_port,
        rtcp_mux: false,
        comedia: false,
        srtp: None,
        blob: b"plain".to_vec(),
    }
}

fn create_producer(transport: Uuid, id: Uuid) -> Request {
    Request::CreateProducer {
        transport,
        config: producer(id),
        blob: b"producer".to_vec(),
    }
}

fn create_consumer(transport: Uuid, id: Uuid) -> Request {
    Request::CreateConsumer {
        transport,
        config: consumer(id),
        blob: b"consumer".to_vec(),
    }
}

fn close(kind: ObjectKind, id: Uuid) -> Request {
    Request::Close { kind, id }
}

fn pause(kind: ObjectKind, id: Uuid, paused: bool) -> Request {
    Request::SetPaused {
        kind,
        id,
        paused,
        blob: None,
    }
}

fn producer(id: Uuid) -> ProducerConfig {
    ProducerConfig {
        id,
        kind: MediaKind::Video,
        mid: None,
        cname: "cname".to_owned(),
        codecs: vec![ProducerCodec {
            payload_type: 96,
            rtx_payload_type: None,
            codec: Codec::Vp8,
            clock_rate: 90_000,
            feedback: Feedback::default(),
        }],
        encodings: vec![ProducerEncoding {
            ssrc: Some(1),
            ..ProducerEncoding::default()
        }],
        extensions: ExtensionIds::default(),
        paused: false,
        key_frame_request_delay_ms: 0,
    }
}

fn consumer(id: Uuid) -> ConsumerConfig {
    ConsumerConfig {
        id,
        producer: PRODUCER,
        consumer_type: ConsumerType::Simple,
        ssrc: id.as_u128() as u32,
        rtx_ssrc: None,
        mid: "0".to_owned(),
        codecs: vec![ConsumerCodec {
            producer_payload_type: 96,
            payload_type: 101,
            rtx_payload_type: None,
        }],
        extensions: ExtensionIds::default(),
        feedback: Feedback::default(),
        paused: false,
        preferred_layers: None,
        priority: 1,
        ignore_dtx: false,
    }
}
