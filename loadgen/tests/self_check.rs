//! The measuring client against itself, over a link that spoils what it was told to spoil: the
//! figures must say exactly that.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "support/proxy.rs"]
mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UdpSocket;
use weirgate_loadgen::latency::LatencySink;
use weirgate_loadgen::leg::{Leg, Protection, Route, bind};
use weirgate_loadgen::marker::PayloadFormat;
use weirgate_loadgen::receiver::{FlowConfig, FlowStats, Receiver, ReceiverConfig};
use weirgate_loadgen::sender::{
    Generator, SenderFeedback, Shape, Stream, StreamConfig, StreamTotals, VideoShape,
};
use weirgate_loadgen::srtp_leg::{SrtpKey, SrtpSuite};

use support::{Fate, LATE, carry};

const SSRC: u32 = 77;

struct Outcome {
    sent: StreamTotals,
    flow: FlowStats,
    not_authentic: u64,
    latency: LatencySink,
}

async fn over_a_link(suite: SrtpSuite, fate: fn(u64) -> Fate) -> Outcome {
    let localhost = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let link = UdpSocket::bind(localhost).await.unwrap();
    let key = SrtpKey::random(suite).unwrap();
    let protection = Protection::Srtp {
        send: key.clone(),
        receive: key,
    };
    let route = Route::muxed(link.local_addr().unwrap());

    let latency = weirgate_loadgen::latency::sink();
    let mut receiver = Receiver::new(ReceiverConfig::default());
    receiver.add(FlowConfig {
        ssrc: SSRC,
        payload_type: 96,
        clock_rate: 90_000,
        rtx: None,
        mid: None,
        format: PayloadFormat::Vp8,
        streams: vec![1],
        transport_cc_id: None,
        asked_ns: 0,
        latency: Arc::clone(&latency),
    });
    let receiver = Arc::new(Mutex::new(receiver));
    let receiving = bind(localhost).unwrap();
    let to = receiving.local_addr().unwrap();
    let receiving = Leg::start(
        receiving,
        None,
        route,
        &protection,
        None,
        Arc::clone(&receiver),
    )
    .unwrap();
    let feedback = Arc::new(Mutex::new(SenderFeedback::new()));
    let sending = bind(localhost).unwrap();
    let from = sending.local_addr().unwrap();
    let sending = Leg::start(sending, None, route, &protection, None, feedback).unwrap();
    let link = tokio::spawn(carry(link, from.port(), to, fate));

    let stream = Stream::new(
        StreamConfig {
            stream: 1,
            ssrc: SSRC,
            payload_type: 96,
            clock_rate: 90_000,
            format: PayloadFormat::Vp8,
            shape: Shape::Video(VideoShape::of_bitrate(1_000_000)),
            mid: None,
            rid: None,
            audio_level_id: None,
            transport_cc_id: None,
            abs_send_time_id: None,
            rtx: None,
            first_sequence: 65_500,
            withhold_every: 0,
        },
        Arc::clone(sending.outbound()),
    );
    let generator = Generator::start().unwrap();
    generator.add(Arc::clone(&stream));
    while stream.packets() < 300 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    generator.stop().unwrap();
    // The last datagrams are on loopback, in queues of two sockets.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let not_authentic = receiving
        .outbound()
        .counters()
        .not_authentic
        .load(Ordering::Relaxed);
    receiving.close().await;
    sending.close().await;
    link.abort();
    let flow = receiver.lock().unwrap().flow(SSRC).unwrap().clone();
    Outcome {
        sent: stream.totals(),
        flow,
        not_authentic,
        latency,
    }
}

#[tokio::test]
async fn a_good_link_is_reported_as_good() {
    for suite in SrtpSuite::ALL {
        let outcome = over_a_link(suite, |_| Fate::Pass).await;
        let flow = outcome.flow;
        assert_eq!(flow.unique, outcome.sent.packets, "{suite}");
        assert_eq!(flow.lost(outcome.sent.packets), 0, "{suite}");
        assert_eq!(
            (flow.duplicates, flow.reordered, flow.corrupt),
            (0, 0, 0),
            "{suite}"
        );
        assert_eq!(
            (flow.renumbered, flow.wrong_timestamps, flow.wrong_headers),
            (0, 0, 0)
        );
        assert_eq!(flow.key_frames, outcome.sent.key_frames, "{suite}");
        assert_eq!(outcome.not_authentic, 0, "{suite}");
    }
}

#[tokio::test]
async fn every_kind_of_harm_is_reported_exactly() {
    let outcome = over_a_link(SrtpSuite::AeadAes128Gcm, |number| match number {
        20 | 21 | 90 => Fate::Drop,
        35 | 135 => Fate::Double,
        44 | 144 | 244 | 245 => Fate::Flip,
        57 | 157 => Fate::Swap,
        _ => Fate::Pass,
    })
    .await;
    let flow = outcome.flow;
    assert_eq!(flow.lost(outcome.sent.packets), 7);
    assert_eq!(flow.unique, outcome.sent.packets - 7);
    assert_eq!((flow.duplicates, flow.reordered, flow.corrupt), (2, 2, 0));
    assert_eq!(flow.renumbered, 0);
    assert_eq!(outcome.not_authentic, 4);
}

#[tokio::test]
async fn a_delay_is_reported_as_long_as_it_was() {
    let outcome = over_a_link(SrtpSuite::AeadAes128Gcm, |_| Fate::Late).await;
    let flow = outcome.flow;
    assert_eq!(flow.lost(outcome.sent.packets), 0);
    assert_eq!((flow.duplicates, flow.reordered), (0, 0));
    let latency = outcome.latency.lock().unwrap().all();
    assert_eq!(latency.len(), flow.unique);
    // Histograms keep three digits. How much longer it may be is for a test with the machine to itself.
    let least = LATE.as_nanos() as u64;
    assert!(latency.min() >= least - least / 1000, "{}", latency.min());
}

#[tokio::test]
async fn who_is_late_is_overtaken_and_not_lost() {
    let outcome = over_a_link(SrtpSuite::AeadAes128Gcm, |number| match number {
        40 | 110 | 180 => Fate::Late,
        _ => Fate::Pass,
    })
    .await;
    let flow = outcome.flow;
    assert_eq!(flow.lost(outcome.sent.packets), 0);
    assert_eq!((flow.duplicates, flow.reordered), (0, 3));
    let latency = outcome.latency.lock().unwrap().all();
    assert!(latency.max() >= LATE.as_nanos() as u64);
}
