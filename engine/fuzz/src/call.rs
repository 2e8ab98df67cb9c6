//! A running call, and what an input makes happen in it.
//!
//! Shard 0 has the sender, a WebRTC transport whose check has nominated a path; shard 1 has the
//! receiver, a plain SRTP transport, so that media crosses. An input is a row of steps: a byte
//! that says what happens, two bytes of length, and that many bytes.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use weirgate_packet::rtcp::RtcpWriter;
use weirgate_packet::rtp as rtp_header;
use weirgate_packet::stun::IceRole;
use weirgate_shard::{CommandBody, Path, WebRtcCredentials};
use weirgate_srtp::OpenError;
use weirgate_wire::{ConsumerConfig, ObjectKind};

use crate::sim::{
    CheckOptions, MEDIA_SSRC, PT, Peer, Sim, addr, check, key, media_path, plain_path, rtp,
    video_consumer, video_producer, vp8_payload,
};
use crate::srtp::seal;

const SENDER_SHARD: usize = 0;
const RECEIVER_SHARD: usize = 1;
const RECEIVER_SOCKET: u32 = 5;
/// The longest a step lets pass.
const MAX_PAUSE_MS: u64 = 5_000;
/// Validated paths of one transport are limited to 8, and there is one WebRTC transport.
const MAX_FLOWS: u64 = 16;

/// What a step's first byte stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// The bytes come from the sender's address.
    FromSender,
    /// The bytes come from an address nobody knows.
    FromStranger,
    /// The bytes come from the sender's address and land on the other shard.
    OnOtherShard,
    /// The bytes come from the receiver's address.
    FromReceiver,
    /// The sender seals the bytes as RTP.
    SenderRtp,
    /// The sender seals the bytes as RTCP.
    SenderRtcp,
    /// The receiver seals the bytes as RTP.
    ReceiverRtp,
    /// The receiver seals the bytes as RTCP.
    ReceiverRtcp,
    /// The sender sends the bytes as a VP8 payload; the first two are its sequence number, the
    /// third tells whether it is a key frame.
    Media,
    /// The receiver asks for the last packets it got, as many as the first byte says.
    Lost,
    /// Time passes: two bytes of milliseconds.
    Wait,
    /// A check with the right password: port, flags and nomination.
    Check,
    /// The receiver's consumer is paused or resumed.
    Pause,
}

impl Step {
    const ALL: [Self; 13] = [
        Self::FromSender,
        Self::FromStranger,
        Self::OnOtherShard,
        Self::FromReceiver,
        Self::SenderRtp,
        Self::SenderRtcp,
        Self::ReceiverRtp,
        Self::ReceiverRtcp,
        Self::Media,
        Self::Lost,
        Self::Wait,
        Self::Check,
        Self::Pause,
    ];

    /// The step with `bytes`, as an input has it.
    pub fn encode(self, bytes: &[u8]) -> Vec<u8> {
        let len = (bytes.len() as u16).to_be_bytes();
        [&[self as u8][..], &len, bytes].concat()
    }
}

/// The call.
pub struct Call {
    sim: Sim,
    ice: WebRtcCredentials,
    sender: Peer,
    receiver: Peer,
    consumer: ConsumerConfig,
    /// Sequence numbers the receiver got of its media.
    received: Vec<u16>,
    /// Indices sealed, by SSRC.
    sealed: HashMap<u32, BTreeSet<u64>>,
}

impl Call {
    /// Both peers connected and keyed, nothing sent.
    pub fn new() -> Self {
        let mut sim = Sim::new(2);
        let (id, ice) = sim.webrtc(SENDER_SHARD, 1);
        let nomination = check(&ice, &CheckOptions::default());
        sim.deliver(SENDER_SHARD, media_path(addr(1)), &nomination);
        let (send, receive) = (key(9), key(1));
        sim.command(SENDER_SHARD, CommandBody::SetSrtpKeys { id, send, receive });
        let producer = video_producer(1);
        let source = sim.producer(SENDER_SHARD, id, producer.clone());
        sim.relay(SENDER_SHARD, RECEIVER_SHARD, source, &producer);
        let transport = sim.plain(RECEIVER_SHARD, RECEIVER_SOCKET, addr(2), Some(key(2)));
        let consumer = video_consumer(2, &producer);
        sim.consumer(RECEIVER_SHARD, transport, consumer.clone());
        sim.sent.clear();
        Self {
            sim,
            ice,
            sender: Peer::new(addr(1), &key(1)),
            receiver: Peer::new(addr(2), &key(2)),
            consumer,
            received: vec![],
            sealed: HashMap::new(),
        }
    }

    /// Takes an input's steps, then checks that the call still goes.
    pub fn run(mut self, input: &[u8]) {
        let mut rest = input;
        while let [step, high, low, after @ ..] = rest {
            let len = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
            let (bytes, after) = after.split_at(len);
            rest = after;
            self.step(Step::ALL[usize::from(*step) % Step::ALL.len()], bytes);
            self.collect();
        }
        for shard in [SENDER_SHARD, RECEIVER_SHARD] {
            assert_eq!(self.sim.gauge(shard, "transports"), 1);
            assert_eq!(self.sim.gauge(shard, "sources"), 1);
            assert!(self.sim.gauge(shard, "flows") <= MAX_FLOWS);
        }
    }

    fn step(&mut self, step: Step, bytes: &[u8]) {
        let sender = media_path(addr(1));
        let receiver = plain_path(RECEIVER_SOCKET, addr(2));
        match step {
            Step::FromSender => self.sim.deliver(SENDER_SHARD, sender, bytes),
            Step::FromStranger => self.sim.deliver(SENDER_SHARD, media_path(addr(99)), bytes),
            Step::OnOtherShard => self.sim.deliver(RECEIVER_SHARD, sender, bytes),
            Step::FromReceiver => self.sim.deliver(RECEIVER_SHARD, receiver, bytes),
            Step::SenderRtp => self.deliver_sealed(SENDER_SHARD, sender, bytes, false),
            Step::SenderRtcp => self.deliver_sealed(SENDER_SHARD, sender, bytes, true),
            Step::ReceiverRtp => self.deliver_sealed(RECEIVER_SHARD, receiver, bytes, false),
            Step::ReceiverRtcp => self.deliver_sealed(RECEIVER_SHARD, receiver, bytes, true),
            Step::Media => self.media(bytes),
            Step::Lost => self.lost(bytes),
            Step::Wait => {
                let ms = u64::from(u16_of(bytes)).min(MAX_PAUSE_MS);
                self.sim.advance(Duration::from_millis(ms));
            }
            Step::Check => self.check(bytes),
            Step::Pause => {
                let body = CommandBody::SetPaused {
                    kind: ObjectKind::Consumer,
                    id: self.consumer.id,
                    paused: bytes.first().is_some_and(|byte| byte & 1 != 0),
                };
                self.sim.command(RECEIVER_SHARD, body);
            }
        }
    }

    fn deliver_sealed(&mut self, shard: usize, path: Path, bytes: &[u8], is_rtcp: bool) {
        let peer = if shard == SENDER_SHARD {
            &mut self.sender
        } else {
            &mut self.receiver
        };
        if let Some(sealed) = seal(&mut peer.sealer, bytes, is_rtcp) {
            self.sim.deliver(shard, path, &sealed);
        }
    }

    fn media(&mut self, bytes: &[u8]) {
        let sequence = u16_of(bytes);
        let is_key_frame = bytes.get(2).is_some_and(|byte| byte & 1 != 0);
        let mut payload = vp8_payload(is_key_frame, sequence);
        payload.extend_from_slice(bytes.get(3..).unwrap_or_default());
        let timestamp = u32::from(sequence) * 3000;
        let packet = rtp(
            PT,
            sequence,
            timestamp,
            MEDIA_SSRC,
            Some(sequence),
            &payload,
        );
        self.deliver_sealed(SENDER_SHARD, media_path(addr(1)), &packet, false);
    }

    fn lost(&mut self, bytes: &[u8]) {
        let count = bytes.first().map_or(0, |byte| usize::from(*byte));
        let first = self.received.len().saturating_sub(count);
        let lost = self.received[first..].iter().copied();
        let mut slot = [0; 1200];
        let mut out = RtcpWriter::new(&mut slot);
        if out.nack(1, self.consumer.ssrc, lost) && !out.is_empty() {
            let len = out.len();
            let path = plain_path(RECEIVER_SOCKET, addr(2));
            self.deliver_sealed(RECEIVER_SHARD, path, &slot[..len], true);
        }
    }

    fn check(&mut self, bytes: &[u8]) {
        let (port, flags) = match bytes {
            [port, flags, ..] => (*port, *flags),
            _ => (1, 0),
        };
        let options = CheckOptions {
            use_candidate: flags & 1 != 0,
            nomination: bytes.get(2).map(|byte| u32::from(*byte)),
            priority: u32::from(flags),
            role: if flags & 2 == 0 {
                IceRole::Controlling
            } else {
                IceRole::Controlled
            },
        };
        // Port 1 is the sender's; the others must not be the receiver's.
        let port = if port == 1 {
            1
        } else {
            100 + u16::from(port % 32)
        };
        let path = media_path(addr(port));
        let shard = usize::from(flags & 4 != 0);
        self.sim.deliver(shard, path, &check(&self.ice, &options));
    }

    /// Everything the receiver gets must be authentic, and no index may be sealed twice.
    fn collect(&mut self) {
        for mut sent in self.sim.take_sent_to(addr(2)) {
            let opener = &mut self.receiver.opener;
            if (192..=223).contains(&sent.bytes[1]) {
                opener.open_rtcp(&mut sent.bytes).unwrap();
                continue;
            }
            match opener.open_rtp(&mut sent.bytes) {
                Ok(opened) => {
                    let is_new = self
                        .sealed
                        .entry(opened.ssrc)
                        .or_default()
                        .insert(opened.index);
                    assert!(is_new);
                    if opened.ssrc == self.consumer.ssrc {
                        self.received.push(opened.index as u16);
                    }
                }
                // Perhaps only later than the replay list reaches.
                Err(OpenError::Replayed) => self.assert_late(&sent.bytes),
                Err(error) => panic!("{error}"),
            }
        }
        self.sim.sent.clear();
        self.sim.events.clear();
    }

    /// A packet that the opener would not look at has an index that was not sealed before.
    fn assert_late(&mut self, packet: &[u8]) {
        let ssrc = rtp_header::ssrc(packet).unwrap();
        let sequence = rtp_header::sequence(packet).unwrap();
        let sealed = self.sealed.get_mut(&ssrc).unwrap();
        let newest = *sealed.last().unwrap();
        let index = newest - u64::from((newest as u16).wrapping_sub(sequence));
        assert!(sealed.insert(index), "index {index} of {ssrc} sealed twice");
    }
}

impl Default for Call {
    fn default() -> Self {
        Self::new()
    }
}

fn u16_of(bytes: &[u8]) -> u16 {
    bytes
        .first_chunk()
        .map_or(0, |bytes| u16::from_be_bytes(*bytes))
}
