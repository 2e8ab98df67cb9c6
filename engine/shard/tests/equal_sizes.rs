//! Packets of a frame that are about equally long leave as one train, and nobody gets anything but
//! what was sent.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod sim;

use proptest::prelude::*;
use sim::*;
use weirgate_packet::rtcp::RtcpWriter;
use weirgate_packet::rtp::RtpPacket;
use weirgate_srtp::Opener;

const SENDER: u32 = 1;
const RECEIVER: u32 = 2;
const AUDIO_SSRC: u32 = 0x5555_5555;
/// Header and extensions that the engine writes here, and the tag.
const AROUND_PAYLOAD: usize = 12 + 4 + 12 + 16;

struct Call {
    sim: Sim,
    sender: Peer,
    receiver: Peer,
    sequence: u16,
    frame: u32,
}

/// Whether and how the receiver can ask for packets again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repair {
    Rtx,
    ByteByByte,
    Never,
}

/// What a packet looked like on the wire.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    datagram: Vec<u8>,
    padding: usize,
    packet: Received,
}

impl Call {
    fn new(repair: Repair) -> Self {
        let mut sim = Sim::new(1);
        let sender = Peer::new(addr(1), &key(1));
        let send = sim.plain(0, SENDER, sender.remote, Some(key(1)));
        let video = video_producer(1);
        sim.producer(0, send, video.clone());
        let audio = audio_producer(3, AUDIO_SSRC);
        sim.producer(0, send, audio.clone());
        let receiver = Peer::new(addr(2), &key(2));
        let transport = sim.plain(0, RECEIVER, receiver.remote, Some(key(2)));
        let mut consumer = video_consumer(2, &video);
        if repair != Repair::Rtx {
            consumer.rtx_ssrc = None;
            consumer.codecs[0].rtx_payload_type = None;
        }
        consumer.feedback.nack = repair != Repair::Never;
        sim.consumer(0, transport, consumer);
        sim.consumer(0, transport, audio_consumer(3, &audio));
        let mut call = Self {
            sim,
            sender,
            receiver,
            sequence: 0,
            frame: 0,
        };
        call.play(&[500]);
        call
    }

    fn video(&mut self, sizes: &[usize]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let mut payloads = Vec::new();
        let mut datagrams = Vec::new();
        for &size in sizes {
            let mut payload = vp8_payload(self.frame == 0, self.sequence);
            payload.resize(size.max(5), 7);
            let timestamp = self.frame * 3_000;
            let packet = rtp(PT, self.sequence, timestamp, MEDIA_SSRC, None, &payload);
            datagrams.push(self.sender.seal(&packet));
            payloads.push(payload);
            self.sequence += 1;
        }
        self.frame += 1;
        (payloads, datagrams)
    }

    /// Plays a frame whose packets come together; trains it left in, and what was seen.
    fn play(&mut self, sizes: &[usize]) -> (u64, Vec<Seen>) {
        let (payloads, datagrams) = self.video(sizes);
        let (trains, seen) = self.carry(datagrams);
        let got: Vec<_> = seen.iter().map(|it| &it.packet.payload).collect();
        assert_eq!(got, payloads.iter().collect::<Vec<_>>());
        (trains, seen)
    }

    fn carry(&mut self, datagrams: Vec<Vec<u8>>) -> (u64, Vec<Seen>) {
        self.sim.advance_ms(30);
        self.sim.take_sent_to(addr(2));
        let before = self.sim.counter(0, "trains_sent");
        self.sim
            .deliver_all(0, plain_path(SENDER, addr(1)), datagrams);
        let trains = self.sim.counter(0, "trains_sent") - before;
        (trains, self.seen())
    }

    fn seen(&mut self) -> Vec<Seen> {
        let sent = self.sim.take_sent_to(addr(2));
        sent.into_iter()
            .filter(|sent| !(192..=223).contains(&sent.bytes[1]))
            .map(|sent| see(&mut self.receiver.opener, sent.bytes))
            .collect()
    }

    fn nack(&mut self, lost: u16) -> Vec<Seen> {
        self.sim.advance_ms(300);
        self.seen();
        let mut bytes = [0; 200];
        let mut writer = RtcpWriter::new(&mut bytes);
        assert!(writer.nack(1, 0x3000_0002, [lost].into_iter()));
        let len = writer.len();
        let sealed = self.receiver.seal_rtcp(&bytes[..len]);
        // One that has not seen anything yet takes the same bytes again.
        self.receiver.opener = Opener::new(&key(2), 16).unwrap();
        self.sim.deliver(0, plain_path(RECEIVER, addr(2)), &sealed);
        self.seen()
    }
}

fn see(opener: &mut Opener, datagram: Vec<u8>) -> Seen {
    let mut bytes = datagram.clone();
    let len = opener.open_rtp(&mut bytes).expect("authentic RTP").len;
    bytes.truncate(len);
    let packet = RtpPacket::parse(&bytes).unwrap();
    Seen {
        datagram,
        padding: packet.padding_len(),
        packet: Received::read(&bytes),
    }
}

#[test]
fn a_frame_as_an_encoder_cuts_it_is_one_train() {
    for repair in [Repair::Rtx, Repair::ByteByByte, Repair::Never] {
        let mut call = Call::new(repair);
        for sizes in [
            [1_100, 1_101, 1_101, 1_100, 1_101, 1_101, 1_100],
            [1_101, 1_101, 1_100, 1_100, 1_100, 1_100, 1_100],
            [900, 901, 902, 903, 902, 901, 880],
        ] {
            let (trains, seen) = call.play(&sizes);
            assert_eq!(trains, 1, "{repair:?} {sizes:?}");
            let longest = seen.iter().map(|it| it.datagram.len()).max().unwrap();
            let (_, but_last) = seen.split_last().unwrap();
            assert!(but_last.iter().all(|it| it.datagram.len() == longest));
        }
        assert!(call.sim.counter(0, "padding_bytes_sent") > 0);
    }
}

#[test]
fn what_differs_by_more_stays_as_it_is() {
    let mut call = Call::new(Repair::Rtx);
    for sizes in [
        [1_100, 1_000, 1_100, 1_000],
        // One more byte is beyond what every path carries.
        [1_188, 1_189, 1_188, 1_189],
    ] {
        let (_, seen) = call.play(&sizes);
        assert!(seen.iter().all(|it| it.padding == 0), "{sizes:?}");
    }
    let (trains, seen) = call.play(&[1_187, 1_188, 1_187, 1_188]);
    assert_eq!(trains, 1);
    let longest = seen.iter().map(|it| it.datagram.len()).max();
    assert_eq!(longest, Some(1_232));
}

#[test]
fn what_goes_again_byte_by_byte_keeps_its_padding() {
    let mut call = Call::new(Repair::ByteByByte);
    let (_, seen) = call.play(&[1_000, 1_003, 1_002, 1_003]);
    let paddings: Vec<_> = seen.iter().map(|it| it.padding).collect();
    assert_eq!(paddings, [3, 0, 1, 0]);
    for first in seen {
        let again = call.nack(first.packet.sequence);
        assert_eq!(again.len(), 1);
        assert!(again[0] == first, "the nonce was used for other bytes");
    }
}

#[test]
fn rtx_carries_the_payload_without_the_padding() {
    let mut call = Call::new(Repair::Rtx);
    let (_, seen) = call.play(&[1_000, 1_003, 1_002, 1_003]);
    assert_eq!(seen[0].padding, 3);
    let again = call.nack(seen[0].packet.sequence);
    assert_eq!(again.len(), 1);
    let rtx = &again[0];
    assert_eq!((rtx.packet.payload_type, rtx.padding), (OUT_RTX_PT, 0));
    assert_eq!(rtx.packet.payload[2..], seen[0].packet.payload);
}

#[test]
fn a_codec_without_rtx_beside_one_with_it_is_not_sent_again() {
    let mut sim = Sim::new(1);
    let sender = Peer::new(addr(1), &key(1));
    let send = sim.plain(0, SENDER, sender.remote, Some(key(1)));
    let video = video_producer(1);
    sim.producer(0, send, video.clone());
    let receiver = Peer::new(addr(2), &key(2));
    let transport = sim.plain(0, RECEIVER, receiver.remote, Some(key(2)));
    let mut consumer = video_consumer(2, &video);
    consumer.codecs[0].rtx_payload_type = None;
    sim.consumer(0, transport, consumer);
    let mut call = Call {
        sim,
        sender,
        receiver,
        sequence: 0,
        frame: 0,
    };
    let (_, seen) = call.play(&[1_000, 1_001]);
    assert_eq!(seen[0].padding, 1);
    assert_eq!(call.nack(seen[0].packet.sequence), []);
}

#[test]
fn audio_goes_as_the_last_of_a_train() {
    let mut call = Call::new(Repair::Rtx);
    let packet = rtp(AUDIO_PT, 9, 960, AUDIO_SSRC, None, &[1; 80]);
    let audio = call.sender.seal(&packet);
    let (_, mut datagrams) = call.video(&[1_000, 1_001, 1_000]);
    datagrams.insert(1, audio);
    let (trains, seen) = call.carry(datagrams);
    assert_eq!(trains, 1);
    assert_eq!(seen[3].packet.payload, [1; 80]);
    assert!(
        seen.iter()
            .all(|it| it.packet.payload.len() != 80 || it.padding == 0)
    );
}

#[test]
fn audio_of_several_speakers_leaves_in_pairs() {
    let mut call = Call::new(Repair::Rtx);
    let transport = call.sim.transport_on(RECEIVER);
    let send = call.sim.transport_on(SENDER);
    let mut datagrams = Vec::new();
    for (number, size) in [(10, 70), (11, 80), (12, 75), (13, 90)] {
        let audio = audio_producer(u128::from(number), number);
        call.sim.producer(0, send, audio.clone());
        let consumer = audio_consumer(number, &audio);
        call.sim.consumer(0, transport, consumer);
        let packet = rtp(AUDIO_PT, 9, 960, number, None, &vec![1; size]);
        datagrams.push(call.sender.seal(&packet));
    }
    let (trains, seen) = call.carry(datagrams);
    let sizes: Vec<_> = seen.iter().map(|it| it.packet.payload.len()).collect();
    assert_eq!((trains, sizes), (2, vec![80, 70, 90, 75]));
}

#[test]
fn audio_waits_for_no_more_than_a_train() {
    let mut call = Call::new(Repair::Rtx);
    let packet = rtp(AUDIO_PT, 9, 960, AUDIO_SSRC, None, &[1; 80]);
    let audio = call.sender.seal(&packet);
    let (_, mut datagrams) = call.video(&[1_000; 80]);
    datagrams.push(audio);
    let (_, seen) = call.carry(datagrams);
    assert_eq!(seen.len(), 81);
    assert_eq!(seen[0].packet.payload, [1; 80]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Payloads are compared by [`Call::play`].
    #[test]
    fn padding_is_rare_and_little(
        base in 50usize..1_250,
        spread in 1usize..60,
        picks in prop::collection::vec(0usize..1_000, 1..20),
    ) {
        let mut call = Call::new(Repair::Rtx);
        let sizes: Vec<_> = picks.iter().map(|pick| base + pick % spread).collect();
        let longest = sizes.iter().max().unwrap() + AROUND_PAYLOAD;
        let (_, seen) = call.play(&sizes);
        for it in seen {
            let len = it.datagram.len();
            prop_assert!(it.padding * 100 < 3 * len, "{} of {len}", it.padding);
            prop_assert!(it.padding == 0 || len <= 1_232);
            prop_assert!(len <= longest, "{len}, {longest}");
        }
    }
}
