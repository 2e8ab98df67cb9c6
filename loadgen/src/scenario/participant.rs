//! One participant: joins, sends what it has, takes what others send, and leaves.

use std::net::IpAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::access::{Access, Direction};
use super::joining::Place;
use super::load::mute_rank;
use super::run::{Room, Run};
use crate::clock::now_ns;
use crate::ice::AgentEvent;
use crate::leg::{Leg, Media, Outbound, lock};
use crate::plain_client::{PlainClient, PlainSetup, PlainSink};
use crate::random;
use crate::receiver::{Receiver, ReceiverConfig};
use crate::rtp_parameters::{SendOptions, receiving, sending, sending_layers};
use crate::sender::{SenderFeedback, Shape, Stream, StreamConfig};
use crate::srtp_leg::SrtpSuite;
use crate::webrtc_client::{WebRtcClient, WebRtcSetup};

/// Saying good-bye takes no longer than this, whatever the server does.
const MAX_LEAVING: Duration = Duration::from_secs(5);

/// How clients are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Plain transports, with SRTP of that suite or without.
    Plain(Option<SrtpSuite>),
    /// ICE, DTLS and SRTP of that suite, or whichever the server takes.
    WebRtc(Option<SrtpSuite>),
}

impl Transport {
    /// To be shown.
    pub(super) fn name(self) -> String {
        match self {
            Self::Plain(None) => "plain".to_owned(),
            Self::Plain(Some(suite)) => format!("plain {suite}"),
            Self::WebRtc(None) => "webrtc".to_owned(),
            Self::WebRtc(Some(suite)) => format!("webrtc {suite}"),
        }
    }
}

/// How participants connect and behave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub(super) transport: Transport,
    /// Address of plain transports.
    pub(super) ip: IpAddr,
    pub(super) nack: bool,
    pub(super) remb_bps: Option<u64>,
    /// Plain transports that get the same as each receiver and that nobody reads.
    pub(super) unread: usize,
    /// Share of those who send that send audio.
    pub(super) audio_share: f64,
}

/// Something that somebody in the room sends.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) owner: usize,
    pub(super) producer: String,
    /// The streams, more than one with simulcast, the smallest layer first.
    pub(super) layers: Arc<Vec<StreamConfig>>,
}

/// What of a participant is looked at while it is there.
pub(super) struct Member {
    pub(super) receiver: Arc<Mutex<Receiver>>,
    pub(super) feedback: Arc<Mutex<SenderFeedback>>,
    pub(super) outbounds: Mutex<Vec<Arc<Outbound>>>,
    pub(super) room: Arc<Room>,
    /// How many of the room's sources it has taken or tried to take.
    pub(super) taken_up_to: AtomicUsize,
}

enum End {
    Plain(PlainClient),
    WebRtc(Box<WebRtcClient>),
}

impl End {
    fn id(&self) -> &str {
        match self {
            Self::Plain(client) => &client.id,
            Self::WebRtc(client) => &client.id,
        }
    }

    fn leg(&self) -> &Leg {
        match self {
            Self::Plain(client) => &client.leg,
            Self::WebRtc(client) => &client.leg,
        }
    }

    /// What ICE finds out after it has connected; nothing ever for others.
    async fn event(&mut self) -> AgentEvent {
        match self {
            Self::Plain(_) => std::future::pending().await,
            Self::WebRtc(client) => match client.events.recv().await {
                Some(event) => event,
                None => std::future::pending().await,
            },
        }
    }

    async fn close(self) {
        match self {
            Self::Plain(client) => client.leg.close().await,
            Self::WebRtc(client) => client.close().await,
        }
    }
}

/// A participant while it is there.
pub(super) struct Participant {
    number: usize,
    manner: Manner,
    access: Access,
    sending: Option<End>,
    receiving: Option<End>,
    sinks: Vec<PlainSink>,
    pub(super) member: Arc<Member>,
    began_ns: u64,
    joined: bool,
    /// Producers taken.
    taken: Vec<String>,
    /// Consumers of simulcast, and how many layers each has.
    layered: Vec<(String, u32)>,
}

impl Participant {
    /// Enters a room; nothing is connected yet.
    pub(super) async fn enter(
        run: &Run,
        place: &Place,
        number: usize,
        began_ns: u64,
    ) -> Result<Self> {
        let manner = run.manner;
        let name = format!("loadgen {number}");
        let access = Access::enter(&run.api, &place.at_server, &name).await?;
        let config = ReceiverConfig {
            ssrc: random::ssrc()?,
            nack: manner.nack,
            remb_bps: manner.remb_bps,
            ..ReceiverConfig::default()
        };
        let member = Member {
            receiver: Arc::new(Mutex::new(Receiver::new(config))),
            feedback: Arc::new(Mutex::new(SenderFeedback::new())),
            outbounds: Mutex::new(Vec::new()),
            room: Arc::clone(&place.room),
            taken_up_to: AtomicUsize::new(0),
        };
        Ok(Self {
            number,
            manner,
            access,
            sending: None,
            receiving: None,
            sinks: Vec::new(),
            member: Arc::new(member),
            began_ns,
            joined: false,
            taken: Vec::new(),
            layered: Vec::new(),
        })
    }

    /// When it began to join.
    pub(super) fn began_ns(&self) -> u64 {
        self.began_ns
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// What is taken from now on was asked for when it came, not when this participant did.
    pub(super) fn has_joined(&mut self) {
        self.joined = true;
    }

    /// Connects, and begins to send all shapes.
    pub(super) async fn send(&mut self, run: &Run) -> Result<Vec<Source>> {
        let feedback = Arc::clone(&self.member.feedback);
        let end = self.connect(Direction::Send, feedback).await?;
        let mut sources = Vec::new();
        let is_mute = mute_rank(self.number) >= self.manner.audio_share;
        for (mid, &shape) in run.traffic.shapes.iter().enumerate() {
            if is_mute && matches!(shape, Shape::Audio(_)) {
                continue;
            }
            let simulcast = run.traffic.simulcast && matches!(shape, Shape::Video(_));
            let options = SendOptions {
                stream: run.take_stream_numbers(if simulcast { 3 } else { 1 }),
                mid: &mid.to_string(),
                webrtc: matches!(self.manner.transport, Transport::WebRtc(_)),
                shape,
            };
            let capabilities = self.access.capabilities();
            let (parameters, configs) = match shape {
                Shape::Video(video) if simulcast => sending_layers(capabilities, &options, video)?,
                _ => {
                    let (parameters, config) = sending(capabilities, &options)?;
                    (parameters, vec![config])
                }
            };
            let producer = self
                .access
                .produce(end.id(), shape.kind(), &parameters)
                .await?;
            for config in &configs {
                let stream = Stream::new(config.clone(), Arc::clone(end.leg().outbound()));
                lock(&self.member.feedback).add(Arc::clone(&stream));
                run.begin_to_send(self.number, stream);
            }
            sources.push(Source {
                owner: self.number,
                producer,
                layers: Arc::new(configs),
            });
        }
        self.sending = Some(end);
        Ok(sources)
    }

    /// Takes what others send and is not taken yet.
    pub(super) async fn take(&mut self, run: &Run, sources: &[Source]) -> Result<()> {
        for source in sources {
            if source.owner == self.number || self.taken.contains(&source.producer) {
                continue;
            }
            let asked_ns = if self.joined { now_ns() } else { self.began_ns };
            self.take_one(run, source, asked_ns).await?;
        }
        Ok(())
    }

    async fn take_one(&mut self, run: &Run, source: &Source, asked_ns: u64) -> Result<()> {
        let end = match self.receiving.take() {
            Some(end) => end,
            None => {
                self.open_sinks(run).await?;
                let receiver = Arc::clone(&self.member.receiver);
                self.connect(Direction::Receive, receiver).await?
            }
        };
        let end = self.receiving.insert(end);
        let consumer = self.access.consume(end.id(), &source.producer).await?;
        let first = source.layers.first().context("a source without streams")?;
        let latency = run.latency.of(first.shape);
        let mut flow = receiving(&consumer.rtp_parameters, first, asked_ns, latency)?;
        flow.streams = source.layers.iter().map(|config| config.stream).collect();
        lock(&self.member.receiver).add(flow);
        self.access.resume(&consumer.id).await?;
        for sink in &self.sinks {
            let unread = self.access.consume(&sink.id, &source.producer).await?;
            self.access.resume(&unread.id).await?;
        }
        if source.layers.len() > 1 {
            self.layered.push((consumer.id, source.layers.len() as u32));
        }
        self.taken.push(source.producer.clone());
        Ok(())
    }

    /// Asks for another layer of everything that has several.
    pub(super) async fn switch_layers(&mut self, round: u32) -> Result<()> {
        for (consumer, layers) in &self.layered {
            self.access.prefer_layer(consumer, round % layers).await?;
        }
        Ok(())
    }

    /// The next thing that ICE finds out.
    pub(super) async fn event(&mut self) -> AgentEvent {
        async fn of(end: &mut Option<End>) -> AgentEvent {
            match end {
                Some(end) => end.event().await,
                None => std::future::pending().await,
            }
        }
        tokio::select! {
            event = of(&mut self.sending) => event,
            event = of(&mut self.receiving) => event,
        }
    }

    /// Leaves, politely where the server still listens.
    pub(super) async fn leave(self, is_server_alive: bool) {
        let Self {
            access,
            sending,
            receiving,
            sinks,
            ..
        } = self;
        let ends = [sending, receiving];
        let polite = async {
            if is_server_alive {
                let unread = sinks.iter().map(|sink| sink.id.as_str());
                let ids: Vec<&str> = ends.iter().flatten().map(End::id).chain(unread).collect();
                // A server that is gone meanwhile needs no good-bye.
                let _ = access.leave(&ids).await;
            }
            for end in ends.into_iter().flatten() {
                end.close().await;
            }
        };
        let _ = tokio::time::timeout(MAX_LEAVING, polite).await;
    }

    async fn open_sinks(&mut self, run: &Run) -> Result<()> {
        if let Transport::Plain(suite) = self.manner.transport {
            for _ in 0..self.manner.unread {
                let (api, router) = self.access.plain_router()?;
                let setup = PlainSetup::new(self.manner.ip, suite);
                let sink = PlainSink::connect(api, router, setup).await?;
                run.unread.add(sink.port);
                self.sinks.push(sink);
            }
        }
        Ok(())
    }

    async fn connect<M: Media>(
        &mut self,
        direction: Direction,
        media: Arc<Mutex<M>>,
    ) -> Result<End> {
        let end = match self.manner.transport {
            Transport::Plain(suite) => {
                let (api, router) = self.access.plain_router()?;
                let setup = PlainSetup::new(self.manner.ip, suite);
                End::Plain(PlainClient::connect(api, router, setup, media).await?)
            }
            Transport::WebRtc(suite) => {
                let mut setup = WebRtcSetup::new()?;
                if let Some(suite) = suite {
                    setup.suites = vec![suite];
                }
                let offer = self.access.webrtc_transport(direction, &setup).await?;
                let client = WebRtcClient::establish(&offer, &setup, media).await?;
                End::WebRtc(Box::new(client))
            }
        };
        lock(&self.member.outbounds).push(Arc::clone(end.leg().outbound()));
        Ok(end)
    }
}
