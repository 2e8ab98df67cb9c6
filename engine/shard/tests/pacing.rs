//! What leaves towards a receiver is spread by what its path carries; audio never waits.

mod sim;

use std::time::Duration;

use sim::call::Call;
use sim::link::LinkConfig;

#[test]
fn trains_are_no_longer_than_the_path_can_take_and_audio_does_not_wait() {
    let mut call = Call::new(&[1_500_000]);
    call.talk();
    let link = call.link(LinkConfig {
        rate_bps: 2_000_000,
        ..LinkConfig::default()
    });
    call.receiver(link);
    call.run_ms(20_000);
    let mut longest_bytes = 0;
    let mut talked = 0;
    for _ in 0..3_000 {
        call.step_seen(&mut |sent| {
            let video: Vec<_> = sent.iter().filter(|sent| sent.bytes.len() > 400).collect();
            let bytes: usize = video.iter().map(|sent| sent.bytes.len()).sum();
            longest_bytes = longest_bytes.max(bytes);
            talked += sent.iter().filter(|sent| sent.bytes[1] == 111).count();
        });
    }
    // 5 ms at under 2 Mbit/s are 1,250 bytes; the last packet may go over, a late turn makes up.
    assert!((1_000..6_000).contains(&longest_bytes), "{longest_bytes}");
    assert_eq!(talked, 150, "each in the step it came");
}

#[test]
fn where_there_is_room_a_frame_leaves_at_once() {
    let mut call = Call::new(&[1_000_000]);
    let link = call.link(LinkConfig {
        rate_bps: 20_000_000,
        ..LinkConfig::default()
    });
    call.receiver(link);
    call.run_ms(20_000);
    let before = call.sim.counter(0, "rtp_packets_sent");
    let trains_before = call.sim.counter(0, "trains_sent");
    call.sim.advance(Duration::from_millis(1));
    call.run_ms(3_000);
    let packets = call.sim.counter(0, "rtp_packets_sent") - before;
    let trains = call.sim.counter(0, "trains_sent") - trains_before;
    // Frames of four packets; beside them a few reports.
    assert!(packets >= trains * 3, "{packets} in {trains}");
}
