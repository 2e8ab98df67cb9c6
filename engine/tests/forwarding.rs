//! Packets through the whole engine: real sockets, each back end, two shards.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by them"
)]

mod support;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use support::{Control, Engine, PATIENCE};
use uuid::Uuid;
use weirgate_wire::{
    Answer, Codec, ConsumerCodec, ConsumerConfig, ConsumerType, Event, ExtensionIds, Feedback,
    MediaKind, ObjectKind, ProducerCodec, ProducerConfig, ProducerEncoding, Request, Stats,
};

const RECEIVERS: usize = 4;
const PACKETS: u16 = 600;
/// Packets sent before the receivers are asked whether they got them: no socket buffer is filled.
const BURST: u16 = 20;
const PRODUCER_SSRC: u32 = 0x0102_0304;
const PRODUCER_PAYLOAD_TYPE: u8 = 100;
const CONSUMER_PAYLOAD_TYPE: u8 = 111;

/// A consumer's far end.
struct Receiver {
    socket: UdpSocket,
    shard: u16,
    ssrc: u32,
    first_sequence: Option<u16>,
    received: u16,
}

impl Receiver {
    /// Awaits packets up to number `until`; each must be the next one.
    fn receive(&mut self, until: u16) {
        let mut buffer = [0; 2048];
        while self.received < until {
            let len = self.socket.recv(&mut buffer).expect("a packet");
            let packet = &buffer[..len];
            if is_rtcp(packet) {
                continue;
            }
            let sequence = u16::from_be_bytes([packet[2], packet[3]]);
            let first = *self.first_sequence.get_or_insert(sequence);
            assert_eq!(sequence.wrapping_sub(first), self.received);
            assert_eq!(packet[1] & 0x7f, CONSUMER_PAYLOAD_TYPE);
            assert_eq!(packet[8..12], self.ssrc.to_be_bytes());
            assert_eq!(
                packet[12..],
                payload(self.received),
                "packet {}",
                self.received
            );
            self.received += 1;
        }
    }
}

/// RFC 5761 section 4.
fn is_rtcp(packet: &[u8]) -> bool {
    (192..=223).contains(&packet[1])
}

fn payload(number: u16) -> Vec<u8> {
    let len = 20 + usize::from(number % 150);
    (0..len).map(|at| (at as u16 ^ number) as u8).collect()
}

fn packet(number: u16) -> Vec<u8> {
    let mut packet = vec![0x80, PRODUCER_PAYLOAD_TYPE];
    // Over the wrap of the sequence numbers.
    packet.extend(number.wrapping_add(u16::MAX - 100).to_be_bytes());
    packet.extend((u32::from(number) * 960).to_be_bytes());
    packet.extend(PRODUCER_SSRC.to_be_bytes());
    packet.extend(payload(number));
    packet
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn opus(id: Uuid) -> ProducerConfig {
    ProducerConfig {
        id,
        kind: MediaKind::Audio,
        mid: None,
        cname: "sender".to_owned(),
        codecs: vec![ProducerCodec {
            payload_type: PRODUCER_PAYLOAD_TYPE,
            rtx_payload_type: None,
            codec: Codec::Opus,
            clock_rate: 48_000,
            feedback: Feedback::default(),
        }],
        encodings: vec![ProducerEncoding {
            ssrc: Some(PRODUCER_SSRC),
            spatial_layers: 1,
            temporal_layers: 1,
            ..ProducerEncoding::default()
        }],
        extensions: ExtensionIds::default(),
        paused: false,
        key_frame_request_delay_ms: 0,
    }
}

fn consumer(producer: Uuid, ssrc: u32) -> ConsumerConfig {
    ConsumerConfig {
        id: Uuid::new_v4(),
        producer,
        consumer_type: ConsumerType::Simple,
        ssrc,
        rtx_ssrc: None,
        mid: String::new(),
        codecs: vec![ConsumerCodec {
            producer_payload_type: PRODUCER_PAYLOAD_TYPE,
            payload_type: CONSUMER_PAYLOAD_TYPE,
            rtx_payload_type: None,
        }],
        extensions: ExtensionIds::default(),
        feedback: Feedback::default(),
        paused: false,
        preferred_layers: None,
        priority: 1,
        ignore_dtx: false,
    }
}

/// A plain transport that sends to a socket of ours.
fn receiver(control: &mut Control, router: Uuid, producer: Uuid, ssrc: u32) -> Receiver {
    let socket = socket();
    let (transport, shard, _) = control.create_plain(router, false);
    control.ok(Request::ConnectPlain {
        id: transport,
        remote: Some(socket.local_addr().unwrap()),
        rtcp_remote: None,
        srtp: None,
        blob: Vec::new(),
    });
    control.ok(Request::CreateConsumer {
        transport,
        config: consumer(producer, ssrc),
        blob: Vec::new(),
    });
    Receiver {
        socket,
        shard,
        ssrc,
        first_sequence: None,
        received: 0,
    }
}

fn every_packet_reaches_every_receiver_in_order(io: &str) {
    let engine = Engine::start(&["--io", io, "--cores", "0,0"]);
    let mut control = engine.control();
    let router = control.create_router();
    let (transport, shard, port) = control.create_plain(router, true);
    let sender = socket();
    sender.connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let producer = Uuid::new_v4();
    control.ok(Request::CreateProducer {
        transport,
        config: opus(producer),
        blob: Vec::new(),
    });
    let mut receivers: Vec<_> = (0..RECEIVERS)
        .map(|number| receiver(&mut control, router, producer, 1_000 + number as u32))
        .collect();
    assert!(receivers.iter().any(|receiver| receiver.shard == shard));
    assert!(receivers.iter().any(|receiver| receiver.shard != shard));

    let mut sent = 0;
    while sent < PACKETS {
        for _ in 0..BURST {
            sender.send(&packet(sent)).unwrap();
            sent += 1;
        }
        for receiver in &mut receivers {
            receiver.receive(sent);
        }
    }

    let learned = control.event(|event| match event {
        Event::PlainTuple {
            transport: of,
            tuple,
            ..
        } if *of == transport => *tuple,
        _ => None,
    });
    assert_eq!(learned.remote, sender.local_addr().unwrap());
    let stats = control.ok(Request::GetStats {
        kind: ObjectKind::Producer,
        id: producer,
    });
    let Answer::Stats(Stats::Producer(MediaKind::Audio, stats)) = stats else {
        panic!("{stats:?}");
    };
    assert_eq!(stats.streams[0].packet_count, u64::from(PACKETS));
    assert_eq!(stats.streams[0].packets_lost, 0);

    nothing_comes_while_paused(&mut control, producer, &sender, &mut receivers[1], sent);
}

fn nothing_comes_while_paused(
    control: &mut Control,
    producer: Uuid,
    sender: &UdpSocket,
    receiver: &mut Receiver,
    sent: u16,
) {
    let pause = |paused| Request::SetPaused {
        kind: ObjectKind::Producer,
        id: producer,
        paused,
        blob: None,
    };
    control.ok(pause(true));
    sender.send(&packet(sent)).unwrap();
    let timeout = |wait| receiver.socket.set_read_timeout(Some(wait)).unwrap();
    timeout(Duration::from_millis(200));
    let mut buffer = [0; 2048];
    while let Ok(len) = receiver.socket.recv(&mut buffer) {
        assert!(is_rtcp(&buffer[..len]), "media while paused");
    }
    timeout(PATIENCE);
    control.ok(pause(false));
    sender.send(&packet(sent + 1)).unwrap();
    loop {
        let len = receiver.socket.recv(&mut buffer).expect("a packet");
        if !is_rtcp(&buffer[..len]) {
            assert_eq!(buffer[12..len], payload(sent + 1));
            return;
        }
    }
}

#[test]
fn by_mmsg() {
    every_packet_reaches_every_receiver_in_order("mmsg");
}

#[test]
fn by_uring() {
    let auto = Engine::start(&["--io", "auto"]);
    let Answer::Info(info) = auto.control().ok(Request::GetInfo) else {
        panic!("no info");
    };
    if info.io != "uring" {
        println!("skipped: {}", info.io_reason);
        return;
    }
    every_packet_reaches_every_receiver_in_order("uring");
}

/// Control dies and comes back while packets flow: none is lost.
#[test]
fn media_goes_on_while_control_is_away() {
    let engine = Engine::start(&["--cores", "0,0"]);
    let mut control = engine.control();
    let router = control.create_router();
    let (transport, _, port) = control.create_plain(router, true);
    let sender = socket();
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let producer = Uuid::new_v4();
    control.ok(Request::CreateProducer {
        transport,
        config: opus(producer),
        blob: Vec::new(),
    });
    let mut receiver = receiver(&mut control, router, producer, 1_000);
    let mut control = Some(control);
    for number in 0..PACKETS {
        if number % 100 == 50 {
            control = None;
        } else if number % 100 == 70 {
            let mut new = engine.control();
            new.ok(Request::Snapshot);
            control = Some(new);
        }
        sender.send_to(&packet(number), to).unwrap();
        receiver.receive(number + 1);
    }
    assert!(control.is_some());
}
