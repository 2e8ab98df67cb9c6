//! Rooms through the built-in signaling: everyone sees and hears everyone, and is missed when gone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use support::*;
use weirgate_loadgen::api::{Api, Consumer, Producer, WebRtcOffer};
use weirgate_loadgen::clock::now_ns;
use weirgate_loadgen::random;
use weirgate_loadgen::receiver::{FlowStats, Receiver, ReceiverConfig};
use weirgate_loadgen::rtp_parameters::{RtpCapabilities, SendOptions, receiving, sending};
use weirgate_loadgen::sender::{
    AudioShape, Generator, SenderFeedback, Shape, Stream, StreamConfig, VideoShape,
};
use weirgate_loadgen::signaling::Signaling;
use weirgate_loadgen::webrtc_client::{WebRtcClient, WebRtcSetup};

const ROOM: &str = "room123";

/// A participant as the call page is one.
struct Peer {
    id: String,
    resume_token: String,
    signaling: Signaling,
    capabilities: RtpCapabilities,
    /// Producers that were there when it joined.
    found: Vec<String>,
    sending: WebRtcClient,
    receiving: WebRtcClient,
    media: Arc<Mutex<Receiver>>,
    /// Sent streams by producer.
    streams: HashMap<String, Arc<Stream>>,
    /// Consumed SSRCs by producer.
    ssrcs: HashMap<String, u32>,
}

impl Peer {
    async fn join(api: &Api, number: u32) -> Self {
        let mut signaling = Signaling::connect(api.base()).await.unwrap();
        let request = json!({"roomId": ROOM, "displayName": format!("Peer {number}")});
        let joined: Value = signaling.request("join", &request).await.unwrap();
        let capabilities: RtpCapabilities =
            serde_json::from_value(joined["routerRtpCapabilities"].clone()).unwrap();
        let producers_of = |peer: &Value| peer["producers"].as_array().unwrap().clone();
        let found = joined["peers"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(producers_of);
        let found = found
            .map(|producer| producer["id"].as_str().unwrap().to_owned())
            .collect();

        let feedback = Arc::new(Mutex::new(SenderFeedback::new()));
        let sending = transport(&mut signaling, "send", Arc::clone(&feedback)).await;
        let config = ReceiverConfig {
            ssrc: random::ssrc().unwrap(),
            ..ReceiverConfig::default()
        };
        let media = Arc::new(Mutex::new(Receiver::new(config)));
        let receiving = transport(&mut signaling, "recv", Arc::clone(&media)).await;
        let mut peer = Self {
            id: joined["peerId"].as_str().unwrap().to_owned(),
            resume_token: joined["resumeToken"].as_str().unwrap().to_owned(),
            signaling,
            capabilities,
            found,
            sending,
            receiving,
            media,
            streams: HashMap::new(),
            ssrcs: HashMap::new(),
        };
        let shapes = [
            Shape::Video(VideoShape::of_bitrate(200_000)),
            Shape::Audio(AudioShape::default()),
        ];
        for (index, shape) in (0..).zip(shapes) {
            let stream = peer.produce(number * 10 + index, shape).await;
            feedback.lock().unwrap().add(stream);
        }
        peer
    }

    async fn produce(&mut self, number: u32, shape: Shape) -> Arc<Stream> {
        let mid = (number % 10).to_string();
        let options = SendOptions {
            stream: number,
            mid: &mid,
            webrtc: true,
            shape,
        };
        let (parameters, config) = sending(&self.capabilities, &options).unwrap();
        let kind = if matches!(shape, Shape::Audio(_)) {
            "audio"
        } else {
            "video"
        };
        let request =
            json!({"transportId": self.sending.id, "kind": kind, "rtpParameters": parameters});
        let producer: Producer = self.signaling.request("produce", &request).await.unwrap();
        let stream = Stream::new(config, Arc::clone(self.sending.leg.outbound()));
        self.streams.insert(producer.id, Arc::clone(&stream));
        stream
    }

    async fn consume(&mut self, producer: &str, sent: &StreamConfig) {
        let request = json!({
            "transportId": self.receiving.id,
            "producerId": producer,
            "rtpCapabilities": self.capabilities,
        });
        let consumer: Consumer = self.signaling.request("consume", &request).await.unwrap();
        let latency = weirgate_loadgen::latency::sink();
        let flow = receiving(&consumer.rtp_parameters, sent, now_ns(), latency).unwrap();
        self.ssrcs.insert(producer.to_owned(), flow.ssrc);
        self.media.lock().unwrap().add(flow);
        let request = json!({"consumerId": consumer.id});
        let _: Value = self
            .signaling
            .request("resumeConsumer", &request)
            .await
            .unwrap();
    }

    fn flow(&self, producer: &str) -> FlowStats {
        let ssrc = self.ssrcs[producer];
        self.media.lock().unwrap().flow(ssrc).unwrap().clone()
    }

    /// The next event of that name; others are passed over.
    async fn hears(&mut self, event: &str) -> Value {
        let wait = async {
            while let Some((name, data)) = self.signaling.next_event().await {
                if name == event {
                    return data;
                }
            }
            panic!("connection closed before {event}");
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| panic!("no {event}"))
    }

    async fn close_media(self) -> Signaling {
        self.sending.close().await;
        self.receiving.close().await;
        self.signaling
    }
}

async fn transport<M: weirgate_loadgen::leg::Media>(
    signaling: &mut Signaling,
    direction: &str,
    media: Arc<Mutex<M>>,
) -> WebRtcClient {
    let request = json!({"direction": direction});
    let offer: WebRtcOffer = signaling
        .request("createTransport", &request)
        .await
        .unwrap();
    let setup = WebRtcSetup::new().unwrap();
    let request = json!({"transportId": offer.id, "dtlsParameters": setup.dtls_parameters()});
    let _: Value = signaling
        .request("connectTransport", &request)
        .await
        .unwrap();
    WebRtcClient::establish(&offer, &setup, media)
        .await
        .unwrap()
}

/// Three peers who consume all of each other.
async fn meeting(api: &Api) -> Vec<Peer> {
    let mut peers = Vec::new();
    for number in 1..=3 {
        peers.push(Peer::join(api, number).await);
    }
    let all: Vec<(String, String, StreamConfig)> = peers
        .iter()
        .flat_map(|peer| {
            let streams = peer.streams.iter();
            streams.map(|(id, stream)| (peer.id.clone(), id.clone(), stream.config().clone()))
        })
        .collect();
    for peer in &mut peers {
        for (owner, producer, config) in &all {
            if *owner != peer.id {
                peer.consume(producer, config).await;
            }
        }
    }
    peers
}

async fn everybody_gets(peers: &[Peer], packets: u64) {
    let flows = || {
        peers
            .iter()
            .flat_map(|peer| peer.ssrcs.keys().map(|id| peer.flow(id)))
    };
    let before: Vec<u64> = flows().map(|flow| flow.unique).collect();
    until("media at every peer", || {
        flows()
            .zip(&before)
            .all(|(flow, before)| flow.unique >= before + packets)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_peers_get_all_of_each_other_and_nothing_is_left_when_they_go() {
    let server = server().await;
    let api = server.api();
    let mut peers = meeting(api).await;
    assert_eq!(peers[0].found.len(), 0);
    assert_eq!(
        peers[2].found.len(),
        4,
        "two producers of each who was there"
    );
    assert_eq!(peers[0].hears("peerJoined").await["peerId"], peers[1].id);
    let generator = Generator::start().unwrap();
    peers
        .iter()
        .flat_map(|peer| peer.streams.values())
        .for_each(|stream| generator.add(Arc::clone(stream)));
    everybody_gets(&peers, 100).await;

    let view: Value = api.get(&format!("/v1/rooms/{ROOM}")).await.unwrap();
    let seen = view["peers"].as_object().unwrap();
    assert_eq!(seen.len(), 3, "{view}");
    for peer in seen.values() {
        assert_eq!(peer["producers"].as_object().unwrap().len(), 2, "{view}");
        assert_eq!(peer["consumers"].as_object().unwrap().len(), 4, "{view}");
    }
    generator.stop().unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let sent: HashMap<&String, u64> = peers
        .iter()
        .flat_map(|peer| {
            peer.streams
                .iter()
                .map(|(id, stream)| (id, stream.packets()))
        })
        .collect();
    for peer in &peers {
        for producer in peer.ssrcs.keys() {
            let flow = peer.flow(producer);
            assert_eq!(flow.lost(sent[producer]), 0, "{flow:?}");
            assert_eq!(
                (flow.corrupt, flow.duplicates, flow.wrong_headers),
                (0, 0, 0),
                "{flow:?}"
            );
        }
    }

    let mut leaving = peers.pop().unwrap();
    let gone = leaving.id.clone();
    let _: Value = leaving
        .signaling
        .request("leave", &json!({}))
        .await
        .unwrap();
    for peer in &mut peers {
        assert_eq!(peer.hears("peerLeft").await["peerId"], gone);
    }
    leaving.close_media().await.close().await;
    for mut peer in peers {
        let _: Value = peer.signaling.request("leave", &json!({})).await.unwrap();
        peer.close_media().await.close().await;
    }
    let rooms: Value = api.get("/v1/rooms").await.unwrap();
    assert_eq!(rooms, json!([]));
    let routers: Value = api.get("/v1/routers").await.unwrap();
    assert_eq!(routers, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_lost_its_connection_resumes_what_it_had() {
    let server = server().await;
    let api = server.api();
    let mut peers = meeting(api).await;
    let generator = Generator::start().unwrap();
    peers
        .iter()
        .flat_map(|peer| peer.streams.values())
        .for_each(|stream| generator.add(Arc::clone(stream)));
    everybody_gets(&peers, 20).await;

    let again = Signaling::connect(api.base()).await.unwrap();
    let lost = std::mem::replace(&mut peers[0].signaling, again);
    lost.close().await;
    // Media does not need it.
    everybody_gets(&peers, 50).await;
    let request = json!({"roomId": ROOM, "resumeToken": peers[0].resume_token});
    let joined: Value = peers[0].signaling.request("join", &request).await.unwrap();
    assert_eq!(joined["resumed"], true, "{joined}");
    assert_eq!(joined["peerId"], peers[0].id);
    let own = &joined["own"];
    assert_eq!(own["producers"].as_object().unwrap().len(), 2, "{own}");
    assert_eq!(own["consumers"].as_object().unwrap().len(), 4, "{own}");
    everybody_gets(&peers, 50).await;
    for peer in &peers {
        assert!(
            peer.ssrcs
                .keys()
                .all(|producer| peer.flow(producer).renumbered == 0)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_make_no_sense_are_refused_by_code() {
    let server = server().await;
    let mut signaling = Signaling::connect(server.api().base()).await.unwrap();
    let early = signaling
        .request::<Value>("createTransport", &json!({"direction": "send"}))
        .await;
    assert!(early.is_err());
    let _: Value = signaling
        .request("join", &json!({"roomId": ROOM}))
        .await
        .unwrap();
    for (event, data, code) in [
        (
            "createTransport",
            json!({"direction": "sideways"}),
            "bad_request",
        ),
        (
            "consume",
            json!({"transportId": "x", "producerId": "y", "rtpCapabilities": {}}),
            "",
        ),
        (
            "closeProducer",
            json!({"producerId": "7e57ab1e-0000-4000-8000-000000000000"}),
            "not_found",
        ),
    ] {
        let error = signaling
            .request::<Value>(event, &data)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(code), "{event}: {error}");
    }
    let _: WebRtcOffer = signaling
        .request("createTransport", &json!({"direction": "send"}))
        .await
        .unwrap();
    let second = signaling
        .request::<Value>("createTransport", &json!({"direction": "send"}))
        .await;
    assert!(second.unwrap_err().to_string().contains("conflict"));
}
