//! Receivers with every SRTP suite side by side: what is sealed in one batch is authentic for each.

mod sim;

use sim::*;
use weirgate_wire::{SrtpKey, SrtpSuite};

/// So many that those of one suite are more than wait for their tags at a time.
const RECEIVERS: u32 = 300;

#[test]
fn every_receiver_of_a_large_audience_gets_authentic_packets() {
    let mut sim = Sim::new(1);
    let sender = Peer::new(addr(1), &key(1));
    let send = sim.plain(0, 1, sender.remote, Some(key(1)));
    let producer = video_producer(1);
    sim.producer(0, send, producer.clone());
    let mut receivers = Vec::new();
    for (number, suite) in (2..2 + RECEIVERS).zip(SrtpSuite::ALL.into_iter().cycle()) {
        let len = suite.key_len() + suite.salt_len();
        let key = SrtpKey::new(suite, vec![number as u8; len]).unwrap();
        let peer = Peer::new(addr(number as u16), &key);
        let transport = sim.plain(0, number, peer.remote, Some(key));
        sim.consumer(0, transport, video_consumer(number, &producer));
        receivers.push(peer);
    }
    for sequence in 0..5u16 {
        let packet = vp8(sequence, u32::from(sequence) * 3000, sequence == 0);
        sim.deliver(0, plain_path(1, sender.remote), &sender.seal(&packet));
    }
    for mut peer in receivers {
        let sent = sim.take_sent_to(peer.remote);
        let (media, _) = peer.open(sent);
        let payloads: Vec<_> = media.into_iter().map(|packet| packet.payload).collect();
        let expected: Vec<_> = (0..5).map(|at| vp8_payload(at == 0, at)).collect();
        assert_eq!(payloads, expected);
    }
}
