//! Strangers and liars: nothing connects, nothing moves, nothing grows, the counters say so, and a
//! call that runs goes on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use support::*;
use tokio::sync::mpsc;
use weirgate_loadgen::api::{Api, Router};
use weirgate_loadgen::dtls_client::{DtlsRole, Handshake, Identity};
use weirgate_loadgen::harness::{Server, resident_bytes};
use weirgate_loadgen::ice::{Class, attribute};
use weirgate_loadgen::leg::{Handshaking, Leg, Protection, Route, bind};
use weirgate_loadgen::plain_client::{PlainClient, PlainSetup};
use weirgate_loadgen::random;
use weirgate_loadgen::receiver::{Receiver, ReceiverConfig};
use weirgate_loadgen::rtp_parameters::{SendOptions, sending};
use weirgate_loadgen::sender::{Shape, VideoShape};
use weirgate_loadgen::srtp_leg::{Sealer, SrtpKey, SrtpSuite};
use weirgate_loadgen::webrtc_client::{WebRtcClient, WebRtcSetup};

fn nobody() -> Arc<Mutex<Receiver>> {
    Arc::new(Mutex::new(Receiver::new(ReceiverConfig::default())))
}

/// An RTP packet in the clear.
fn rtp(payload_type: u8, sequence: u16, ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&(u32::from(sequence) * 3000).to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    // A VP8 key frame's beginning.
    packet.extend_from_slice(&[
        0x90, 0x80, 0x80, 0, 0x10, 0, 0, 0x9d, 1, 0x2a, 64, 1, 180, 0,
    ]);
    packet.extend_from_slice(&[0x5a; 100]);
    packet
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_another_certificate_than_announced_gets_no_keys() {
    let server = server().await;
    let api = server.api();
    let call = Call::start(api, CallOptions::default()).await;
    let offer = api
        .create_webrtc_transport(&call.router.id, &json!({}))
        .await
        .unwrap();
    let announced = WebRtcSetup {
        identity: Identity::generate().unwrap(),
        ..WebRtcSetup::new().unwrap()
    };
    let presented = WebRtcSetup {
        identity: Identity::generate().unwrap(),
        timeout: Duration::from_secs(3),
        ..WebRtcSetup::new().unwrap()
    };
    api.connect_webrtc(&offer.id, &announced.dtls_parameters())
        .await
        .unwrap();
    let established = WebRtcClient::establish(&offer, &presented, nobody()).await;
    let path = format!("/v1/transports/{}", offer.id);
    until_field(api, &path, "dtlsState", "failed").await;
    // Where our side took the handshake for finished, nothing it sends is taken.
    if let Ok(client) = established {
        let before = counter(api, "media_before_keys").await;
        client.leg.outbound().send_rtp(rtp(96, 1, 1));
        tokio::time::sleep(DOUBT).await;
        assert!(counter(api, "media_before_keys").await > before);
    }
    call.finish(api).await.assert_unharmed();
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_with_a_wrong_password_are_not_answered() {
    let server = server().await;
    let api = server.api();
    let call = Call::start(api, CallOptions::default()).await;
    let offer = api
        .create_webrtc_transport(&call.router.id, &json!({}))
        .await
        .unwrap();
    let (ice, to) = (&offer.ice_parameters, address(&offer));
    let stranger = Stranger::new().await;
    let mut wrong = ice.clone();
    wrong.password = random::ice_string(ice.password.len()).unwrap();
    let request = sealed(check(ice).attribute(attribute::USE_CANDIDATE, &[]), &wrong);
    assert!(stranger.ask(&request, to).await.is_none());
    // Without any integrity, with a broken fingerprint, for nobody.
    assert!(
        stranger
            .ask(&check(ice).fingerprint().build(), to)
            .await
            .is_none()
    );
    let good = sealed(check(ice), ice);
    let mut broken = good.clone();
    *broken.last_mut().unwrap() ^= 1;
    stranger.send(&broken, to).await;
    assert!(!stranger.hears_something().await);
    let mut unknown = ice.clone();
    unknown
        .username_fragment
        .replace_range(2.., "nobody-known-here");
    assert!(
        stranger
            .ask(&sealed(check(&unknown), &unknown), to)
            .await
            .is_none()
    );
    assert_eq!(counter(api, "stun_auth_failures").await, 3);
    assert_eq!(counter(api, "stun_unknown_user").await, 1);
    let path = format!("/v1/transports/{}", offer.id);
    until_field(api, &path, "iceState", "new").await;
    // The same socket, the right password: it was not the way that was wrong.
    assert_eq!(stranger.ask(&good, to).await.unwrap().class, Class::Success);
    call.finish(api).await.assert_unharmed();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_moves_to_who_does_not_know_the_password() {
    let server = server().await;
    let api = server.api();
    let call = Call::start(api, CallOptions::default()).await;
    let receiver = &call.receivers[0].client;
    let to = receiver.leg.outbound().remote_address();
    let dump: serde_json::Value = api
        .get(&format!("/v1/transports/{}", receiver.id))
        .await
        .unwrap();
    let ufrag = dump["iceParameters"]["usernameFragment"]
        .as_str()
        .unwrap()
        .to_owned();
    let guessed = weirgate_loadgen::ice::Credentials {
        username_fragment: ufrag,
        password: "a guess of twenty-four ch".to_owned(),
    };
    let stranger = Stranger::new().await;
    for _ in 0..50 {
        let builder = check(&guessed)
            .attribute(attribute::USE_CANDIDATE, &[])
            .attribute(attribute::NOMINATION, &u32::MAX.to_be_bytes());
        stranger.send(&sealed(builder, &guessed), to).await;
        for class in [Class::Success, Class::Indication] {
            let message =
                weirgate_loadgen::ice::MessageBuilder::new(class, random::bytes().unwrap())
                    .integrity(&guessed.password)
                    .fingerprint()
                    .build();
            stranger.send(&message, to).await;
        }
    }
    assert!(!stranger.hears_something().await);
    call.runs_on(50).await;
    let after: serde_json::Value = api
        .get(&format!("/v1/transports/{}", receiver.id))
        .await
        .unwrap();
    assert_eq!(after["iceSelectedTuple"], dump["iceSelectedTuple"]);
    assert!(dump["iceSelectedTuple"].is_object(), "{dump}");
    call.finish(api).await.assert_unharmed();
}

#[tokio::test(flavor = "multi_thread")]
async fn dtls_before_ice_is_dropped() {
    let server = server().await;
    let api = server.api();
    let call = Call::start(api, CallOptions::default()).await;
    let offer = api
        .create_webrtc_transport(&call.router.id, &json!({}))
        .await
        .unwrap();
    let setup = WebRtcSetup::new().unwrap();
    api.connect_webrtc(&offer.id, &setup.dtls_parameters())
        .await
        .unwrap();
    let before = dropped_before_checks(api).await;

    // A leg that goes straight to DTLS.
    let (records, queue) = mpsc::channel(16);
    let (events, _events) = mpsc::unbounded_channel();
    let mut ice = offer.ice_parameters.clone();
    ice.password = "never used".to_owned();
    let agent = weirgate_loadgen::ice::Agent::new(ice, Vec::new(), setup.nomination).unwrap();
    let to = address(&offer);
    let leg = Leg::start(
        bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap(),
        None,
        Route::muxed(to),
        &Protection::Awaited,
        Some(Handshaking {
            agent,
            events,
            records,
        }),
        nobody(),
    )
    .unwrap();
    let handshake = Handshake {
        identity: setup.identity.clone(),
        role: DtlsRole::Client,
        suites: setup.suites.clone(),
        expected: offer.dtls_parameters.fingerprints.clone(),
    };
    let result = handshake
        .run(
            Arc::clone(leg.outbound()),
            queue,
            Duration::from_millis(1500),
        )
        .await;
    assert!(result.is_err());
    use std::sync::atomic::Ordering;
    assert_eq!(
        leg.outbound().counters().received.load(Ordering::Relaxed),
        0
    );
    assert!(dropped_before_checks(api).await > before);
    let dump: serde_json::Value = api
        .get(&format!("/v1/transports/{}", offer.id))
        .await
        .unwrap();
    assert_ne!(dump["dtlsState"], "connected");
    leg.close().await;
    call.finish(api).await.assert_unharmed();
}

async fn dropped_before_checks(api: &Api) -> u64 {
    counter(api, "unknown_flow").await + counter(api, "dtls_dropped").await
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_and_replayed_media_reaches_nobody() {
    let server = server().await;
    let api = server.api();
    let call = Call::start(api, CallOptions::default()).await;
    let config = call.streams[0].config().clone();
    let outbound = call.sender.leg.outbound();
    let session = &call.sender.session;
    let failures = counter(api, "srtp_auth_failures").await;

    // From the sender's own address, with its own SSRC, by another key.
    let forged_key = SrtpKey::random(session.send.suite()).unwrap();
    let mut forger = Sealer::new(&forged_key).unwrap();
    for ahead in 0..500 {
        // None of these numbers was used yet: what is used is refused as a replay even sooner.
        let sequence = config.first_sequence.wrapping_add(2000 + ahead);
        let forged = forger
            .rtp(rtp(config.payload_type, sequence, config.ssrc))
            .unwrap();
        outbound.send_raw(&forged);
    }
    until_counter(api, "srtp_auth_failures", failures + 500).await;

    // The right key, each packet twice and once more much later: a second stream of the sender.
    let shape = Shape::Video(VideoShape::of_bitrate(100_000));
    let options = SendOptions {
        stream: 9,
        mid: "9",
        webrtc: true,
        shape,
    };
    let (parameters, other) = sending(&call.router.rtp_capabilities, &options).unwrap();
    api.produce(&call.sender.id, "video", &parameters)
        .await
        .unwrap();
    let replays = counter(api, "srtp_replays").await;
    let mut sealer = Sealer::new(&session.send).unwrap();
    let sealed: Vec<_> = (0..200)
        .map(|sequence| {
            sealer
                .rtp(rtp(other.payload_type, sequence, other.ssrc))
                .unwrap()
        })
        .collect();
    for round in 0..3 {
        for packet in &sealed {
            outbound.send_raw(packet);
        }
        until_counter(api, "srtp_replays", replays + round * 200).await;
    }
    // The same packets from elsewhere are nobody's.
    let unknown = counter(api, "unknown_flow").await;
    let stranger = Stranger::new().await;
    for packet in &sealed {
        stranger.send(packet, outbound.remote_address()).await;
    }
    until_counter(api, "unknown_flow", unknown + 200).await;
    call.runs_on(30).await;
    let flow = &call.flows()[0][0];
    assert_eq!((flow.corrupt, flow.duplicates), (0, 0));
    call.finish(api).await.assert_unharmed();
}

async fn until_counter(api: &Api, name: &str, wanted: u64) {
    let start = std::time::Instant::now();
    loop {
        let value = counter(api, name).await;
        if value >= wanted {
            assert_eq!(value, wanted, "{name}");
            return;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "{name} is {value}, not {wanted}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comedia_transport_takes_no_address_from_a_forgery() {
    let server = server().await;
    let api = server.api();
    let router = api.create_router().await.unwrap();
    let suite = SrtpSuite::AeadAes128Gcm;
    let setup = PlainSetup {
        comedia: true,
        ..PlainSetup::new("127.0.0.1".parse().unwrap(), Some(suite))
    };
    let client = PlainClient::connect(api, &router.id, setup, nobody())
        .await
        .unwrap();
    let shape = Shape::Video(VideoShape::of_bitrate(100_000));
    let options = SendOptions {
        stream: 0,
        mid: "0",
        webrtc: false,
        shape,
    };
    let (parameters, config) = sending(&router.rtp_capabilities, &options).unwrap();
    api.produce(&client.id, "video", &parameters).await.unwrap();
    let path = format!("/v1/transports/{}", client.id);
    let remote_port = async || {
        let dump: serde_json::Value = api.get(&path).await.unwrap();
        dump["tuple"]["remotePort"].as_u64()
    };

    let to = client.leg.outbound().remote_address();
    let stranger = Stranger::new().await;
    let mut forger = Sealer::new(&SrtpKey::random(suite).unwrap()).unwrap();
    for sequence in 0..100 {
        let packet = rtp(config.payload_type, sequence, config.ssrc);
        stranger
            .send(&forger.rtp(packet.clone()).unwrap(), to)
            .await;
        stranger.send(&packet, to).await;
    }
    tokio::time::sleep(DOUBT).await;
    assert_eq!(remote_port().await, None);

    // The client itself is believed, and then nobody else.
    client
        .leg
        .outbound()
        .send_rtp(rtp(config.payload_type, 1, config.ssrc));
    let ours = u64::from(client.leg.outbound().local_address().port());
    let start = std::time::Instant::now();
    while remote_port().await != Some(ours) {
        assert!(start.elapsed() < PATIENCE, "{:?}", remote_port().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for sequence in 100..200 {
        let packet = rtp(config.payload_type, sequence, config.ssrc);
        stranger
            .send(&forger.rtp(packet.clone()).unwrap(), to)
            .await;
    }
    tokio::time::sleep(DOUBT).await;
    assert_eq!(remote_port().await, Some(ours));
    client.leg.close().await;
}

/// Packets of a flood.
const FLOOD: u32 = 100_000;
/// What the engine may grow by meanwhile, for a server with another call in it.
const MAX_GROWTH_BYTES: u64 = 4 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_unknown_ssrcs_makes_nothing_grow() {
    let server = server().await;
    let api = server.api();
    let call = Call::start(
        api,
        CallOptions {
            audio: true,
            ..CallOptions::default()
        },
    )
    .await;
    let before = Sizes::of(&server, &call.router).await;
    let stranger = Stranger::new().await;
    let to = call.sender.leg.outbound().remote_address();
    let mut bytes = rtp(96, 7, 0);
    for number in 0..FLOOD {
        bytes[8..12].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
        bytes[12..16].copy_from_slice(&number.to_be_bytes());
        // Half from a peer that is known, half from a stranger, among it RTCP and junk.
        match number % 4 {
            0 | 1 => call.sender.leg.outbound().send_raw(&bytes),
            2 => stranger.send(&bytes, to).await,
            _ => {
                bytes[1] = 200;
                stranger.send(&bytes, to).await;
                bytes[1] = 96;
            }
        }
        // 10,000 a second: what is to be seen is growth, not a full socket.
        if number % 50 == 49 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let after = Sizes::of(&server, &call.router).await;
    assert!(
        after.resident <= before.resident + MAX_GROWTH_BYTES,
        "{before:?} then {after:?}"
    );
    assert_eq!(after.objects, before.objects);
    let refused = after.refused - before.refused;
    assert!(
        refused >= u64::from(FLOOD) * 99 / 100,
        "{refused} of {FLOOD} refused"
    );
    call.runs_on(30).await;
    call.finish(api).await.assert_unharmed();
}

#[derive(Debug)]
struct Sizes {
    resident: u64,
    objects: serde_json::Value,
    refused: u64,
}

impl Sizes {
    async fn of(server: &Server, router: &Router) -> Self {
        let api = server.api();
        let mut refused = 0;
        for name in [
            "srtp_auth_failures",
            "unknown_flow",
            "ssrcs_refused",
            "srtp_malformed",
        ] {
            refused += counter(api, name).await;
        }
        let objects = api
            .get(&format!("/v1/routers/{}", router.id))
            .await
            .unwrap();
        Self {
            resident: resident_bytes(server.engine_pid()).unwrap(),
            objects,
            refused,
        }
    }
}
