//! Loss on either side, key frame requests, and reports: what the engine answers and asks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use support::*;
use weirgate_loadgen::sender::FeedbackSeen;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_receiver_misses_comes_again_as_rtx() {
    let server = server().await;
    let options = CallOptions {
        nack: true,
        discard_every: 20,
        ..CallOptions::default()
    };
    let call = Call::start(server.api(), options).await;
    call.runs_on(400).await;
    let outcome = call.finish(server.api()).await;
    let (flow, sent) = (&outcome.flows[0][0], outcome.sent[0]);
    assert!(outcome.discarded >= 20, "{}", outcome.discarded);
    // The last packet of all may have been discarded, and then nobody knows that it is missing.
    assert!(flow.lost(sent.packets) <= 1, "{flow:?} of {sent:?}");
    assert!(flow.repaired + 1 >= outcome.discarded, "{flow:?}");
    assert_eq!(
        (flow.corrupt, flow.wrong_headers, flow.renumbered),
        (0, 0, 0),
        "{flow:?}"
    );
    // The sender had no part in it.
    assert_eq!(sent.retransmitted, 0);
    assert!(counter(server.api(), "packets_retransmitted").await >= flow.repaired);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_before_the_engine_is_asked_of_the_sender() {
    let server = server().await;
    let options = CallOptions {
        withhold_every: 20,
        ..CallOptions::default()
    };
    let call = Call::start(server.api(), options).await;
    call.runs_on(400).await;
    let outcome = call.finish(server.api()).await;
    let (flow, sent) = (&outcome.flows[0][0], outcome.sent[0]);
    assert!(sent.withheld >= 20, "{sent:?}");
    assert!(flow.lost(sent.packets) <= 1, "{flow:?} of {sent:?}");
    assert!(sent.retransmitted + 1 >= sent.withheld, "{sent:?}");
    assert_eq!(
        (flow.duplicates, flow.corrupt, flow.renumbered),
        (0, 0, 0),
        "{flow:?}"
    );
    assert_eq!(outcome.feedback.lock().unwrap().seen().nacked_unknown, 0);
    assert!(counter(server.api(), "rtx_packets_repaired").await + 1 >= sent.withheld);
}

#[tokio::test(flavor = "multi_thread")]
async fn loss_on_both_sides_is_repaired_for_every_receiver() {
    let server = server().await;
    let options = CallOptions {
        receivers: 4,
        nack: true,
        withhold_every: 23,
        discard_every: 19,
        ..CallOptions::default()
    };
    let call = Call::start(server.api(), options).await;
    call.runs_on(400).await;
    let outcome = call.finish(server.api()).await;
    for flow in outcome.flows.iter().flatten() {
        assert!(flow.lost(outcome.sent[0].packets) <= 1, "{flow:?}");
        assert_eq!((flow.corrupt, flow.renumbered), (0, 0), "{flow:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_frame_requests_of_many_receivers_are_one_to_the_sender() {
    const RECEIVERS: usize = 8;
    let server = server().await;
    let options = CallOptions {
        receivers: RECEIVERS,
        ..CallOptions::default()
    };
    let call = Call::start(server.api(), options).await;
    // Past what the joins have asked for.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let asked = |seen: &FeedbackSeen| seen.pli + seen.fir;
    let before = asked(call.feedback.lock().unwrap().seen());
    let frames_before = call.streams[0].totals().key_frames;
    for receiver in &call.receivers {
        let media = receiver.media.lock().unwrap();
        media.send_pli(receiver.ssrcs[0], receiver.client.leg.outbound());
    }
    until("key frame", || {
        call.streams[0].totals().key_frames > frames_before
    })
    .await;
    call.runs_on(30).await;
    let after = asked(call.feedback.lock().unwrap().seen());
    // One at once; a second at most, for a receiver whose request came after the key frame began.
    assert!((1..=2).contains(&(after - before)), "{before} then {after}");
    let received = counter(server.api(), "key_frame_requests_received").await;
    assert!(received >= RECEIVERS as u64, "{received}");
    call.finish(server.api()).await.assert_unharmed();
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_have_the_right_numbers_on_both_legs() {
    let server = server().await;
    let call = Call::start(
        server.api(),
        CallOptions {
            audio: true,
            ..CallOptions::default()
        },
    )
    .await;
    until("two sender reports of each flow", || {
        call.flows()[0].iter().all(|flow| flow.sender_reports >= 2)
    })
    .await;
    // Those that know of a sender report of ours.
    until("reception report of each stream", || {
        let feedback = call.feedback.lock().unwrap();
        let reports = feedback.seen().reports.values();
        reports
            .filter(|report| report.last_sender_report != 0)
            .count()
            == 2
    })
    .await;
    for (flow, stream) in call.flows()[0].iter().zip(&call.streams) {
        let report = flow.sender_report.unwrap();
        // Reports and packets take the same way, one after the other.
        assert_eq!(
            u64::from(report.packet_count),
            report.received_packets,
            "{flow:?}"
        );
        assert!(report.age_ms().abs() < 1000.0, "{} ms", report.age_ms());
        let (timestamp, arrival_ns) = flow.latest.unwrap();
        let since_ms = (arrival_ns as f64 - report.arrival_ns as f64) / 1e6;
        let units_per_ms = f64::from(stream.config().clock_rate) / 1000.0;
        let ahead = f64::from(timestamp.wrapping_sub(report.rtp_time) as i32) / units_per_ms;
        assert!(
            (ahead - since_ms).abs() < 1000.0,
            "{ahead} ms ahead after {since_ms} ms"
        );
    }
    let reports = call.feedback.lock().unwrap().seen().reports.clone();
    for stream in &call.streams {
        let (config, report) = (stream.config(), &reports[&stream.config().ssrc]);
        assert_eq!(
            (report.total_lost, report.fraction_lost),
            (0, 0),
            "{report:?}"
        );
        let ahead = (report.last_sequence_number as u16).wrapping_sub(config.first_sequence);
        assert!(u64::from(ahead) < stream.packets(), "{report:?}");
        let delay_s = f64::from(report.delay) / 65_536.0;
        assert!((0.0..60.0).contains(&delay_s), "{report:?}");
    }
    call.finish(server.api()).await.assert_unharmed();
}

#[tokio::test(flavor = "multi_thread")]
async fn transport_feedback_covers_every_packet_of_the_sender() {
    let server = server().await;
    let call = Call::start(
        server.api(),
        CallOptions {
            audio: true,
            ..CallOptions::default()
        },
    )
    .await;
    assert!(
        call.streams
            .iter()
            .all(|stream| stream.config().transport_cc_id.is_some())
    );
    call.runs_on(200).await;
    let sent: u64 = call.streams.iter().map(|stream| stream.packets()).sum();
    until("feedback for every packet", || {
        let feedback = call.feedback.lock().unwrap();
        feedback.seen().transport_received.range(..sent).count() as u64 == sent
    })
    .await;
    let feedback = call
        .feedback
        .lock()
        .unwrap()
        .seen()
        .transport_missing
        .clone();
    assert!(feedback.is_empty(), "{feedback:?}");
    call.finish(server.api()).await.assert_unharmed();
}
