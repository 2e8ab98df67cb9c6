//! RED (RFC 2198): blocks in the payload types of the consumer's leg, or the primary one alone.

mod sim;

use sim::*;
use weirgate_wire::{
    Codec, ConsumerCodec, ConsumerConfig, Feedback, ProducerCodec, ProducerConfig,
};

const RED_PT: u8 = 63;
const OUT_RED_PT: u8 = 105;
const OUT_OPUS_PT: u8 = 100;
const SSRC: u32 = 0x5555;

/// Opus of 3 bytes, 960 units before, and of 2 bytes, both of payload type 111.
const RED: [u8; 10] = [0xef, 0x0f, 0x00, 0x03, 0x6f, 1, 2, 3, 4, 5];

fn producer() -> ProducerConfig {
    let mut producer = audio_producer(1, SSRC);
    producer.codecs.push(ProducerCodec {
        payload_type: RED_PT,
        rtx_payload_type: None,
        codec: Codec::Red,
        clock_rate: 48_000,
        feedback: Feedback::default(),
    });
    producer
}

fn consumer(number: u32, producer: &ProducerConfig, codecs: &[(u8, u8)]) -> ConsumerConfig {
    let mut consumer = audio_consumer(number, producer);
    let codecs = codecs.iter();
    consumer.codecs = codecs
        .map(|&(producer_payload_type, payload_type)| ConsumerCodec {
            producer_payload_type,
            payload_type,
            rtx_payload_type: None,
        })
        .collect();
    consumer
}

/// What a consumer with `codecs`, on a shard of its own, gets of `payloads`: types and payloads.
fn received(codecs: &[(u8, u8)], payloads: &[(u8, &[u8])]) -> Vec<(u8, Vec<u8>)> {
    let mut sim = Sim::new(2);
    let sender = Peer::new(addr(1), &key(1));
    let send = sim.plain(0, 1, sender.remote, Some(key(1)));
    let producer = producer();
    let source = sim.producer(0, send, producer.clone());
    sim.relay(0, 1, source, &producer);
    let mut peer = Peer::new(addr(2), &key(2));
    let transport = sim.plain(1, 2, peer.remote, Some(key(2)));
    sim.consumer(1, transport, consumer(2, &producer, codecs));
    for (sequence, &(payload_type, payload)) in (10..).zip(payloads) {
        let packet = rtp(
            payload_type,
            sequence,
            u32::from(sequence) * 960,
            SSRC,
            None,
            payload,
        );
        sim.deliver(0, plain_path(1, sender.remote), &sender.seal(&packet));
    }
    let (media, _) = peer.open(sim.take_sent_to(peer.remote));
    let first = media.first().map_or(0, |packet| packet.sequence);
    for (index, packet) in media.iter().enumerate() {
        assert_eq!(packet.sequence, first.wrapping_add(index as u16));
    }
    let packets = media.into_iter();
    packets
        .map(|packet| (packet.payload_type, packet.payload))
        .collect()
}

#[test]
fn blocks_have_the_payload_types_of_the_consumers_leg() {
    let codecs = [(RED_PT, OUT_RED_PT), (AUDIO_PT, OUT_OPUS_PT)];
    let payloads = [(AUDIO_PT, &[9, 9][..]), (RED_PT, &RED)];
    let renumbered = vec![0xe4, 0x0f, 0x00, 0x03, 0x64, 1, 2, 3, 4, 5];
    let expected = [(OUT_OPUS_PT, vec![9, 9]), (OUT_RED_PT, renumbered)];
    assert_eq!(received(&codecs, &payloads), expected);
}

#[test]
fn a_leg_without_red_gets_the_primary_block() {
    let payloads = [(AUDIO_PT, &[9, 9][..]), (RED_PT, &RED)];
    let expected = [(OUT_OPUS_PT, vec![9, 9]), (OUT_OPUS_PT, vec![4, 5])];
    assert_eq!(received(&[(AUDIO_PT, OUT_OPUS_PT)], &payloads), expected);
}

#[test]
fn what_is_not_understood_goes_as_it_is_or_not_at_all() {
    // Cut short, and with a block that no codec of the producer has.
    let cut = &RED[..7];
    let unknown = [0x42, 1, 2, 3];
    let payloads = [(RED_PT, cut), (RED_PT, &unknown[..])];
    let codecs = [(RED_PT, OUT_RED_PT), (AUDIO_PT, OUT_OPUS_PT)];
    let expected = [(OUT_RED_PT, cut.to_vec()), (OUT_RED_PT, unknown.to_vec())];
    assert_eq!(received(&codecs, &payloads), expected);
    assert_eq!(received(&[(AUDIO_PT, OUT_OPUS_PT)], &payloads), []);
}
