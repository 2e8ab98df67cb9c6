//! A call through a real engine and control, and strangers who disturb it.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::UdpSocket;
use weirgate_loadgen::api::{Api, Router, WebRtcOffer};
use weirgate_loadgen::clock::now_ns;
use weirgate_loadgen::harness::{Server, ServerOptions};
use weirgate_loadgen::ice::{Class, Credentials, Message, MessageBuilder, attribute};
use weirgate_loadgen::random;
use weirgate_loadgen::receiver::{FlowStats, Receiver, ReceiverConfig};
use weirgate_loadgen::rtp_parameters::{SendOptions, receiving, sending};
use weirgate_loadgen::sender::{
    AudioShape, Generator, SenderFeedback, Shape, Stream, StreamTotals, VideoShape,
};
use weirgate_loadgen::webrtc_client::{WebRtcClient, WebRtcSetup, addresses};

/// How long something that must happen is waited for.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How long something that must not happen is waited for.
pub const DOUBT: Duration = Duration::from_millis(700);

/// Two shards, so that hand-over and crossing are part of every test; the back end is the one
/// `auto` chooses.
pub async fn server() -> Server {
    Server::start(&ServerOptions::new("auto", "0-1"))
        .await
        .unwrap()
}

/// How a call differs from a plain good one.
#[derive(Debug, Clone, Copy)]
pub struct CallOptions {
    pub receivers: usize,
    pub audio: bool,
    pub video_bps: u64,
    pub nack: bool,
    pub withhold_every: u64,
    pub discard_every: u64,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self {
            receivers: 1,
            audio: false,
            video_bps: 300_000,
            nack: false,
            withhold_every: 0,
            discard_every: 0,
        }
    }
}

/// One WebRTC client sends to others.
pub struct Call {
    pub router: Router,
    pub sender: WebRtcClient,
    pub feedback: Arc<Mutex<SenderFeedback>>,
    pub streams: Vec<Arc<Stream>>,
    pub producers: Vec<String>,
    pub receivers: Vec<CallReceiver>,
    generator: Generator,
}

pub struct CallReceiver {
    pub client: WebRtcClient,
    pub media: Arc<Mutex<Receiver>>,
    /// By stream.
    pub ssrcs: Vec<u32>,
    pub consumers: Vec<String>,
}

/// What came of a call.
pub struct Outcome {
    pub sent: Vec<StreamTotals>,
    /// By receiver, then by stream.
    pub flows: Vec<Vec<FlowStats>>,
    pub feedback: Arc<Mutex<SenderFeedback>>,
    pub discarded: u64,
}

impl Call {
    pub async fn start(api: &Api, options: CallOptions) -> Self {
        let router = api.create_router().await.unwrap();
        let feedback = Arc::new(Mutex::new(SenderFeedback::new()));
        let setup = WebRtcSetup::new().unwrap();
        let sender = WebRtcClient::connect(api, &router.id, &setup, Arc::clone(&feedback))
            .await
            .unwrap();
        let mut call = Self {
            router,
            sender,
            feedback,
            streams: Vec::new(),
            producers: Vec::new(),
            receivers: Vec::new(),
            generator: Generator::start().unwrap(),
        };
        let video = Shape::Video(VideoShape::of_bitrate(options.video_bps));
        call.produce(api, video, options.withhold_every).await;
        if options.audio {
            call.produce(api, Shape::Audio(AudioShape::default()), 0)
                .await;
        }
        for _ in 0..options.receivers {
            call.join(api, options).await;
        }
        for stream in &call.streams {
            call.generator.add(Arc::clone(stream));
        }
        call.runs_on(20).await;
        call
    }

    async fn produce(&mut self, api: &Api, shape: Shape, withhold_every: u64) {
        let number = self.streams.len() as u32;
        let mid = number.to_string();
        let options = SendOptions {
            stream: number,
            mid: &mid,
            webrtc: true,
            shape,
        };
        let (parameters, mut config) = sending(&self.router.rtp_capabilities, &options).unwrap();
        config.withhold_every = withhold_every;
        let kind = if matches!(shape, Shape::Audio(_)) {
            "audio"
        } else {
            "video"
        };
        let producer = api
            .produce(&self.sender.id, kind, &parameters)
            .await
            .unwrap();
        let stream = Stream::new(config, Arc::clone(self.sender.leg.outbound()));
        self.feedback.lock().unwrap().add(Arc::clone(&stream));
        self.streams.push(stream);
        self.producers.push(producer.id);
    }

    async fn join(&mut self, api: &Api, options: CallOptions) {
        let media = Arc::new(Mutex::new(Receiver::new(ReceiverConfig {
            ssrc: random::ssrc().unwrap(),
            nack: options.nack,
            discard_every: options.discard_every,
            ..ReceiverConfig::default()
        })));
        let setup = WebRtcSetup::new().unwrap();
        let client = WebRtcClient::connect(api, &self.router.id, &setup, Arc::clone(&media))
            .await
            .unwrap();
        let (mut ssrcs, mut consumers) = (Vec::new(), Vec::new());
        for (stream, producer) in self.streams.iter().zip(&self.producers) {
            let capabilities = &self.router.rtp_capabilities;
            let consumer = api
                .consume(&client.id, producer, capabilities, &json!({"paused": true}))
                .await
                .unwrap();
            let latency = weirgate_loadgen::latency::sink();
            let flow =
                receiving(&consumer.rtp_parameters, stream.config(), now_ns(), latency).unwrap();
            ssrcs.push(flow.ssrc);
            media.lock().unwrap().add(flow);
            let path = format!("/v1/consumers/{}/resume", consumer.id);
            let () = api.post(&path, &json!({})).await.unwrap();
            consumers.push(consumer.id);
        }
        self.receivers.push(CallReceiver {
            client,
            media,
            ssrcs,
            consumers,
        });
    }

    /// Waits until every receiver has got `packets` more of every stream.
    pub async fn runs_on(&self, packets: u64) {
        let wanted: Vec<Vec<u64>> = self
            .flows()
            .iter()
            .map(|flows| flows.iter().map(|f| f.unique + packets).collect())
            .collect();
        until("media at every receiver", || {
            let flows = self.flows();
            flows
                .iter()
                .flatten()
                .zip(wanted.iter().flatten())
                .all(|(flow, &wanted)| flow.unique >= wanted)
        })
        .await;
    }

    pub fn flows(&self) -> Vec<Vec<FlowStats>> {
        self.receivers
            .iter()
            .map(|receiver| {
                let media = receiver.media.lock().unwrap();
                receiver
                    .ssrcs
                    .iter()
                    .map(|&ssrc| media.flow(ssrc).unwrap().clone())
                    .collect()
            })
            .collect()
    }

    /// Stops sending, lets repair end, and closes everything.
    pub async fn finish(self, api: &Api) -> Outcome {
        for stream in &self.streams {
            self.generator.remove(stream.config().stream);
        }
        // Until nothing is missing, or it has had the time for every retry.
        let end = Instant::now() + Duration::from_secs(3);
        tokio::time::sleep(Duration::from_millis(100)).await;
        let sent: Vec<StreamTotals> = self.streams.iter().map(|stream| stream.totals()).collect();
        while Instant::now() < end {
            let complete = self.flows().iter().all(|flows| {
                flows
                    .iter()
                    .zip(&sent)
                    .all(|(flow, sent)| flow.lost(sent.packets) == 0)
            });
            if complete {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let flows = self.flows();
        let discarded = self
            .receivers
            .iter()
            .map(|receiver| receiver.media.lock().unwrap().discarded())
            .sum();
        self.generator.stop().unwrap();
        for receiver in self.receivers {
            receiver.client.close().await;
        }
        self.sender.close().await;
        api.close_router(&self.router.id).await.unwrap();
        Outcome {
            sent,
            flows,
            feedback: self.feedback,
            discarded,
        }
    }
}

impl Outcome {
    /// Nothing lost, doubled, changed or out of order.
    pub fn assert_unharmed(&self) {
        for flow in self.flows.iter().flatten() {
            let sent = self.sent[flow.stream as usize];
            assert_eq!(flow.lost(sent.packets), 0, "{flow:?} of {sent:?}");
            assert_eq!(
                (flow.duplicates, flow.reordered, flow.corrupt),
                (0, 0, 0),
                "{flow:?}"
            );
            assert_eq!((flow.renumbered, flow.wrong_headers), (0, 0), "{flow:?}");
            assert_eq!(flow.wrong_timestamps, 0, "{flow:?}");
        }
    }
}

/// Waits for a condition; fails with its name after [`PATIENCE`].
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "no {what} after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until a field of an object in the API has a value.
pub async fn until_field(api: &Api, path: &str, field: &str, wanted: &str) {
    let start = Instant::now();
    loop {
        let object: Value = api.get(path).await.unwrap();
        if object[field] == wanted {
            return;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "{field} of {path} is {}, not {wanted}",
            object[field]
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An engine counter over all shards.
pub async fn counter(api: &Api, name: &str) -> u64 {
    let metrics = api.metrics().await.unwrap();
    let full = format!("weirgate_engine_{name}_total");
    let sum = metrics.sum(&full);
    sum.unwrap_or_else(|| panic!("no {full} in\n{}", metrics.text())) as u64
}

/// A socket of somebody's own.
pub struct Stranger {
    pub socket: UdpSocket,
}

impl Stranger {
    pub async fn new() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            socket: UdpSocket::bind(any).await.unwrap(),
        }
    }

    pub async fn send(&self, bytes: &[u8], to: SocketAddr) {
        self.socket.send_to(bytes, to).await.unwrap();
    }

    /// The answer to a STUN request, `None` where none comes.
    pub async fn ask(&self, request: &[u8], to: SocketAddr) -> Option<Message> {
        let transaction = Message::parse(request).unwrap().transaction;
        self.send(request, to).await;
        let answer = async {
            let mut buffer = [0; 2048];
            loop {
                let (len, from) = self.socket.recv_from(&mut buffer).await.unwrap();
                if let Ok(message) = Message::parse(&buffer[..len])
                    && message.transaction == transaction
                    && from == to
                {
                    return message;
                }
            }
        };
        tokio::time::timeout(DOUBT, answer).await.ok()
    }

    /// Whether anything at all comes.
    pub async fn hears_something(&self) -> bool {
        let mut buffer = [0; 2048];
        tokio::time::timeout(DOUBT, self.socket.recv_from(&mut buffer))
            .await
            .is_ok()
    }
}

/// The media address of an offer on loopback.
pub fn address(offer: &WebRtcOffer) -> SocketAddr {
    addresses(&offer.ice_candidates, false).unwrap()[0]
}

/// A check as a controlling agent sends it, without its end: tests add what they like.
pub fn check(server: &Credentials) -> MessageBuilder {
    let username = format!("{}:stranger", server.username_fragment);
    MessageBuilder::new(Class::Request, random::bytes().unwrap())
        .attribute(attribute::USERNAME, username.as_bytes())
        .attribute(attribute::ICE_CONTROLLING, &[7; 8])
        .attribute(attribute::PRIORITY, &1_845_501_695_u32.to_be_bytes())
}

/// Signed and with its fingerprint.
pub fn sealed(builder: MessageBuilder, server: &Credentials) -> Vec<u8> {
    builder.integrity(&server.password).fingerprint().build()
}
