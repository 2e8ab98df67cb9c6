//! The measuring client against itself, over a link that spoils what it was told to spoil: the
//! figures must say exactly that.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UdpSocket;
use weirgate_loadgen::leg::{Leg, Protection, Route, bind};
use weirgate_loadgen::marker::PayloadFormat;
use weirgate_loadgen::receiver::{FlowConfig, FlowStats, Receiver, ReceiverConfig};
use weirgate_loadgen::sender::{
    Generator, SenderFeedback, Shape, Stream, StreamConfig, StreamTotals, VideoShape,
};
use weirgate_loadgen::srtp_leg::{SrtpKey, SrtpSuite};

const SSRC: u32 = 77;

/// What the link does to the n-th datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pass,
    Drop,
    Double,
    Flip,
    /// Goes after the next one.
    Swap,
}

struct Outcome {
    sent: StreamTotals,
    flow: FlowStats,
    not_authentic: u64,
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
        latency: weirgate_loadgen::latency::sink(),
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
    let link = tokio::spawn(async move {
        let mut buffer = [0; 2048];
        let mut held = None;
        let mut number = 0;
        loop {
            let (len, sender) = link.recv_from(&mut buffer).await.unwrap();
            // RTCP and what the receiver sends do not count.
            if sender != from || (192..=223).contains(&buffer[1]) {
                continue;
            }
            let fate = fate(number);
            number += 1;
            match fate {
                Fate::Drop => continue,
                Fate::Swap => {
                    held = Some(buffer[..len].to_vec());
                    continue;
                }
                Fate::Flip => buffer[len / 2] ^= 4,
                Fate::Pass | Fate::Double => {}
            }
            for _ in 0..1 + u8::from(fate == Fate::Double) {
                link.send_to(&buffer[..len], to).await.unwrap();
            }
            if let Some(held) = held.take() {
                link.send_to(&held, to).await.unwrap();
            }
        }
    });

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
