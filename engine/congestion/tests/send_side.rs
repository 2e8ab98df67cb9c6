//! The estimator by its interface, without a link: limits, reports other than transport-wide
//! feedback, silence.

use weirgate_congestion::{Config, PacketKind, SendSide};

const MS: u64 = 1_000;
const SECOND: u64 = 1_000 * MS;

const CONFIG: Config = Config {
    initial_bps: 600_000,
    min_bps: 50_000,
    max_bps: 5_000_000,
};

/// Sends at a rate in packets of 1,250 bytes, without sequence numbers, and reports loss every
/// second; the time after it.
fn report_for(send_side: &mut SendSide, from_us: u64, seconds: u64, bps: u64, lost: u8) -> u64 {
    let until_us = from_us + seconds * SECOND;
    let step_us = 10_000 * SECOND / bps;
    for now_us in (from_us..until_us).step_by(step_us as usize) {
        send_side.sent_untracked(now_us, 1_250, PacketKind::Video);
        let elapsed_us = now_us - from_us;
        if elapsed_us / SECOND != (elapsed_us + step_us) / SECOND {
            send_side.loss_report(now_us, lost, (SECOND / step_us) as u32);
        }
    }
    until_us
}

/// Sends and acknowledges `packets`, one every 10 ms, 40 ms later.
fn acknowledge(send_side: &mut SendSide, from_us: u64, packets: std::ops::Range<u64>) -> u64 {
    let first = packets.start;
    let mut now_us = from_us;
    for index in packets {
        now_us = from_us + (index - first) * 10 * MS;
        send_side.sent(now_us, index as u16, 1_250, PacketKind::Video);
        if index % 10 == 9 && index >= first + 9 {
            let statuses = (index - 9..=index).map(|sequence| {
                let delta = if sequence % 10 == 0 { 0 } else { 40 };
                (sequence as u16, Some(delta))
            });
            // Units of 64 ms are too coarse for one message each 100 ms: shift by its deltas.
            let arrival_us = now_us - 90 * MS + 20 * MS;
            let reference = arrival_us / 64_000;
            let shift = ((arrival_us % 64_000) / 250) as i16;
            let statuses = statuses.map(|(sequence, delta)| {
                let is_first = sequence % 10 == 0;
                (
                    sequence,
                    delta.map(|delta| if is_first { shift } else { delta }),
                )
            });
            send_side.feedback(now_us + 40 * MS, statuses, reference as i32);
        }
    }
    now_us
}

#[test]
fn the_first_target_is_within_the_limits() {
    let target = |initial_bps| {
        SendSide::new(
            Config {
                initial_bps,
                ..CONFIG
            },
            0,
        )
        .target_bps()
    };
    assert_eq!(target(600_000), 600_000);
    assert_eq!(target(1), 50_000);
    assert_eq!(target(100_000_000), 5_000_000);
}

#[test]
fn the_minimum_has_precedence() {
    let mut send_side = SendSide::new(CONFIG, 0);
    send_side.set_limits(0, 700_000, 650_000);
    assert_eq!(send_side.target_bps(), 700_000);
    send_side.set_limits(0, 0, 100_000);
    assert_eq!(send_side.target_bps(), 100_000);
    send_side.set_limits(0, 0, 5_000_000);
    assert_eq!(send_side.target_bps(), 600_000, "what was known before");
}

#[test]
fn remb_is_followed_at_once_where_there_is_no_feedback() {
    let mut send_side = SendSide::new(CONFIG, 0);
    for bps in [2_000_000, 300_000, 1_000_000] {
        send_side.remb(SECOND, bps);
        assert_eq!(send_side.target_bps(), bps);
    }
    send_side.remb(SECOND, 1_000);
    assert_eq!(send_side.target_bps(), 50_000);
}

#[test]
fn losses_lower_the_target_under_remb_too() {
    let mut send_side = SendSide::new(CONFIG, 0);
    send_side.remb(SECOND, 2_000_000);
    let now_us = report_for(&mut send_side, SECOND, 10, 2_000_000, 0);
    assert_eq!(send_side.target_bps(), 2_000_000);
    let now_us = report_for(&mut send_side, now_us, 15, 2_000_000, 120);
    assert!(
        send_side.target_bps() < 1_500_000,
        "{}",
        send_side.target_bps()
    );
    report_for(&mut send_side, now_us, 30, 1_000_000, 0);
    assert!(
        send_side.target_bps() > 1_500_000,
        "{}",
        send_side.target_bps()
    );
}

#[test]
fn some_loss_alone_does_not_halve_the_target() {
    let mut send_side = SendSide::new(CONFIG, 0);
    send_side.remb(SECOND, 2_000_000);
    // One in twenty.
    report_for(&mut send_side, SECOND, 60, 2_000_000, 13);
    assert!(
        send_side.target_bps() > 1_600_000,
        "{}",
        send_side.target_bps()
    );
}

#[test]
fn good_reports_alone_let_the_target_grow_and_bad_ones_do_not() {
    let mut send_side = SendSide::new(CONFIG, 0);
    let now_us = report_for(&mut send_side, SECOND, 6, 600_000, 0);
    let after = send_side.target_bps();
    assert!((750_000..900_000).contains(&after), "{after}");
    let now_us = report_for(&mut send_side, now_us, 6, 600_000, 12);
    assert!(send_side.target_bps() <= after);
    report_for(&mut send_side, now_us, 60, 600_000, 0);
    assert_eq!(send_side.target_bps(), CONFIG.max_bps);
}

#[test]
fn reports_are_passed_over_while_feedback_comes() {
    let mut send_side = SendSide::new(CONFIG, 0);
    let now_us = acknowledge(&mut send_side, SECOND, 0..500);
    let before = send_side.target_bps();
    for second in 0..4 {
        send_side.loss_report(now_us + second * SECOND, 200, 500);
    }
    assert_eq!(send_side.target_bps(), before);
}

#[test]
fn feedback_tells_rate_and_round_trip() {
    let mut send_side = SendSide::new(CONFIG, 0);
    assert_eq!(send_side.acknowledged_bps(), None);
    acknowledge(&mut send_side, SECOND, 0..300);
    let acknowledged = send_side.acknowledged_bps().unwrap();
    assert!(
        (950_000..1_050_000).contains(&acknowledged),
        "{acknowledged}"
    );
    assert_eq!(send_side.rtt_us(), Some(40 * MS));
    assert!(send_side.average_loss() < 1e-9);
}

#[test]
fn silence_while_packets_leave_lowers_the_target() {
    let mut send_side = SendSide::new(CONFIG, 0);
    let mut now_us = acknowledge(&mut send_side, SECOND, 0..300);
    let before = send_side.target_bps();
    for sequence in 300..700_u16 {
        now_us += 10 * MS;
        send_side.sent(now_us, sequence, 1_250, PacketKind::Video);
        send_side.poll(now_us);
    }
    let after = send_side.target_bps();
    assert!(after < before * 6 / 10, "{before} {after}");
    for sequence in 700..1_700_u16 {
        now_us += 100 * MS;
        send_side.sent(now_us, sequence, 1_250, PacketKind::Audio);
        send_side.poll(now_us);
    }
    assert_eq!(send_side.target_bps(), CONFIG.min_bps);
}

#[test]
fn lone_packets_that_nobody_tells_of_are_no_news() {
    let mut send_side = SendSide::new(CONFIG, 0);
    let mut now_us = acknowledge(&mut send_side, SECOND, 0..300);
    let before = send_side.target_bps();
    for sequence in 300..310_u16 {
        send_side.sent(now_us, sequence, 1_250, PacketKind::Video);
        for _ in 0..10 {
            now_us += SECOND;
            send_side.poll(now_us);
        }
    }
    assert_eq!(send_side.target_bps(), before);
}

#[test]
fn silence_while_nothing_leaves_is_no_news() {
    let mut send_side = SendSide::new(CONFIG, 0);
    let mut now_us = acknowledge(&mut send_side, SECOND, 0..300);
    let before = send_side.target_bps();
    for _ in 0..100 {
        now_us += SECOND;
        send_side.poll(now_us);
    }
    assert_eq!(send_side.target_bps(), before);
}

#[test]
fn a_receiver_that_never_sends_feedback_keeps_the_target() {
    let mut send_side = SendSide::new(CONFIG, 0);
    for index in 0..2_000 {
        let now_us = index * 10 * MS;
        send_side.sent(now_us, index as u16, 1_250, PacketKind::Video);
        send_side.poll(now_us);
    }
    assert_eq!(send_side.target_bps(), CONFIG.initial_bps);
}

#[test]
fn a_packet_sent_twice_under_one_number_tells_no_round_trip() {
    let mut send_side = SendSide::new(CONFIG, 0);
    let now_us = acknowledge(&mut send_side, SECOND, 0..300);
    let rtt_us = send_side.rtt_us();
    send_side.sent(now_us + 10 * MS, 300, 1_250, PacketKind::Video);
    send_side.sent(now_us + 500 * MS, 300, 1_250, PacketKind::Rtx);
    let reference = (now_us + 520 * MS) / 64_000;
    send_side.feedback(now_us + 540 * MS, [(300, Some(0))], reference as i32);
    assert_eq!(send_side.rtt_us(), rtt_us);
}

#[test]
fn what_did_not_leave_is_not_lost() {
    let mut send_side = SendSide::new(CONFIG, 0);
    for index in 0..1_000_u64 {
        let now_us = SECOND + index * 10 * MS;
        let sequence = index as u16;
        send_side.sent(now_us, sequence, 1_250, PacketKind::Video);
        if index % 2 == 1 {
            send_side.send_failed(sequence);
            let statuses = [(sequence - 1, Some(0)), (sequence, None)];
            let reference = (now_us + 20 * MS) / 64_000;
            send_side.feedback(now_us + 40 * MS, statuses, reference as i32);
        }
    }
    assert!(
        send_side.average_loss() < 1e-9,
        "{}",
        send_side.average_loss()
    );
}

#[test]
fn the_next_deadline_is_ahead_and_within_a_second() {
    let mut send_side = SendSide::new(CONFIG, 0);
    let mut now_us = 0;
    for _ in 0..50 {
        let next_us = send_side.poll(now_us);
        assert!(next_us > now_us && next_us <= now_us + SECOND);
        now_us = next_us;
    }
}
