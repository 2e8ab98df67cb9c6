//! A camera, receivers behind links, and the shard between them, in steps of a millisecond.

use std::time::Duration;

use weirgate_shard::CommandBody;
use weirgate_wire::{
    ConsumerConfig, ConsumerStats, ConsumerType, Event, ObjectKind, ProducerConfig, Stats,
};

use super::camera::Camera;
use super::link::{Link, LinkConfig, Random};
use super::receiver::Receiver;
use super::tcp::{Kind, TcpFlow};
use super::{
    AUDIO_PT, CheckOptions, Peer, Sent, Sim, addr, audio_consumer, audio_producer, check, key,
    media_path, rtp, video_consumer,
};

/// What a browser's three layers take.
pub const RATES_BPS: [u64; 3] = [120_000, 450_000, 1_500_000];
const SENDER_SOCKET: u32 = 1;
const TALK_SSRC: u32 = 7_777;
const CONSENT_US: u64 = 5_000_000;
/// Feedback takes this long, where a scenario does not say otherwise.
const BACK_US: u64 = 25_000;
const FIRST_FLOW_PORT: u16 = 20_000;

pub struct Call {
    pub sim: Sim,
    pub camera: Camera,
    pub receivers: Vec<Receiver>,
    pub links: Vec<Link>,
    /// Downloads over the same links.
    pub flows: Vec<TcpFlow>,
    /// Link of each receiver.
    link_of: Vec<usize>,
    /// How long RTCP of receivers takes to the shard, and how much of it is lost.
    pub back_us: u64,
    pub back_loss_permille: u64,
    back_random: Random,
    /// RTCP on its way to the shard: time, receiver, sealed bytes.
    back: std::collections::VecDeque<(u64, usize, Vec<u8>)>,
    /// Consent check of each receiver.
    checks: Vec<Vec<u8>>,
    pub producer: ProducerConfig,
    /// Somebody talks beside the camera.
    talk: Option<Talk>,
    start_us: u64,
}

struct Talk {
    producer: ProducerConfig,
    sequence: u16,
}

impl Call {
    pub fn new(rates_bps: &[u64]) -> Self {
        Self::with(rates_bps, |_| ())
    }

    /// With a camera as a browser's: temporal layers, and frames of unlike sizes.
    pub fn natural(rates_bps: &[u64], seed: u64) -> Self {
        Self::with(rates_bps, |camera| camera.be_natural(seed))
    }

    fn with(rates_bps: &[u64], change: impl FnOnce(&mut Camera)) -> Self {
        let mut sim = Sim::new(1);
        let peer = Peer::new(addr(1), &key(1));
        let send = sim.plain(0, SENDER_SOCKET, peer.remote, Some(key(1)));
        let mut camera = Camera::new(peer, SENDER_SOCKET, 11, rates_bps);
        change(&mut camera);
        let producer = camera.producer(1);
        sim.producer(0, send, producer.clone());
        Self {
            start_us: sim.now.as_micros(),
            sim,
            camera,
            receivers: Vec::new(),
            links: Vec::new(),
            flows: Vec::new(),
            link_of: Vec::new(),
            back_us: BACK_US,
            back_loss_permille: 0,
            back_random: Random(1),
            back: Default::default(),
            checks: Vec::new(),
            producer,
            talk: None,
        }
    }

    /// The sender talks too, from now on; receivers made after take that as well.
    pub fn talk(&mut self) {
        let producer = audio_producer(2, TALK_SSRC);
        let transport = self.sim.transport_on(SENDER_SOCKET);
        self.sim.producer(0, transport, producer.clone());
        self.talk = Some(Talk {
            producer,
            sequence: 7,
        });
    }

    pub fn link(&mut self, config: LinkConfig) -> usize {
        self.links.push(Link::new(config));
        self.links.len() - 1
    }

    /// A download over a link that begins now; its index.
    pub fn flow(&mut self, link: usize, kind: Kind) -> usize {
        let remote = addr(FIRST_FLOW_PORT + self.flows.len() as u16);
        let back_us = self.links[link].config.delay_us;
        let flow = TcpFlow::new(self.now_us(), kind, remote, link, back_us);
        self.flows.push(flow);
        self.flows.len() - 1
    }

    /// A WebRTC receiver behind a link that takes the camera; its index.
    pub fn receiver(&mut self, link: usize) -> usize {
        self.receiver_with(link, |_| ())
    }

    /// The same with a consumer that is changed first.
    pub fn receiver_with(
        &mut self,
        link: usize,
        change: impl FnOnce(&mut ConsumerConfig),
    ) -> usize {
        let number = 100 + self.receivers.len() as u32;
        let remote = addr(number as u16);
        let keys = key(number as u8);
        let (transport, ice) = self.sim.webrtc(0, number);
        let consent = check(&ice, &CheckOptions::default());
        self.sim.deliver(0, media_path(remote), &consent);
        self.checks.push(consent);
        self.sim.command(
            0,
            CommandBody::SetSrtpKeys {
                id: transport,
                send: keys.clone(),
                receive: keys.clone(),
            },
        );
        let mut consumer = video_consumer(number, &self.producer);
        if self.camera.streams.len() > 1 {
            consumer.consumer_type = ConsumerType::Simulcast;
        }
        change(&mut consumer);
        if let Some(talk) = &self.talk {
            let audio = audio_consumer(number + 1_000, &talk.producer);
            self.sim.consumer(0, transport, audio);
        }
        let (id, ssrc) = (consumer.id, consumer.ssrc);
        self.sim.consumer(0, transport, consumer);
        let peer = Peer::new(remote, &keys);
        self.receivers
            .push(Receiver::new(peer, transport, id, ssrc));
        self.link_of.push(link);
        self.receivers.len() - 1
    }

    /// Microseconds since the call began.
    pub fn now_us(&self) -> u64 {
        self.sim.now.as_micros() - self.start_us
    }

    pub fn run_ms(&mut self, ms: u64) {
        for _ in 0..ms {
            self.step();
        }
    }

    fn step(&mut self) {
        self.step_seen(&mut |_| ());
    }

    /// A step; `look` sees what leaves the shard for receivers in it.
    pub fn step_seen(&mut self, look: &mut dyn FnMut(&[Sent])) {
        self.sim.advance(Duration::from_millis(1));
        let now_us = self.now_us();
        let packets = self.camera.tick(now_us);
        let sealed = packets.iter().map(|packet| self.camera.peer.seal(packet));
        let sealed: Vec<_> = sealed.collect();
        if !sealed.is_empty() {
            self.sim.deliver_all(0, self.camera.path(), sealed);
        }
        if let Some(talk) = self.talk.as_mut().filter(|_| now_us.is_multiple_of(20_000)) {
            let timestamp = u32::from(talk.sequence) * 960;
            let packet = rtp(
                AUDIO_PT,
                talk.sequence,
                timestamp,
                TALK_SSRC,
                None,
                &[5; 80],
            );
            talk.sequence = talk.sequence.wrapping_add(1);
            let sealed = self.camera.peer.seal(&packet);
            self.sim.deliver(0, self.camera.path(), &sealed);
        }
        if now_us.is_multiple_of(CONSENT_US) {
            for (receiver, consent) in self.receivers.iter().zip(&self.checks) {
                self.sim.deliver(0, media_path(receiver.remote()), consent);
            }
        }
        while let Some((_, receiver, bytes)) = self.back.pop_front_if(|back| back.0 <= now_us) {
            let path = media_path(self.receivers[receiver].remote());
            self.sim.deliver(0, path, &bytes);
        }
        self.carry(now_us, look);
        for flow in &mut self.flows {
            flow.step(now_us, &mut self.links[flow.link]);
        }
        for link in 0..self.links.len() {
            while let Some(arrival) = self.links[link].arrival(now_us) {
                let remote = arrival.remote;
                if let Some(flow) = self.flows.iter_mut().find(|flow| flow.remote == remote) {
                    flow.arrive(arrival.at_us, &arrival.bytes);
                    continue;
                }
                let receiver = self.receiver_at(remote);
                self.receivers[receiver].arrive(arrival.at_us, arrival.bytes);
            }
        }
        for (index, receiver) in self.receivers.iter_mut().enumerate() {
            for compound in receiver.tick(now_us) {
                let sealed = receiver.peer.seal_rtcp(&compound);
                if !self.back_random.permille(self.back_loss_permille) {
                    self.back.push_back((now_us + self.back_us, index, sealed));
                }
            }
        }
    }

    /// What left goes into links, or to the camera.
    fn carry(&mut self, now_us: u64, look: &mut dyn FnMut(&[Sent])) {
        let sender = self.camera.peer.remote;
        let (to_sender, to_receivers): (Vec<Sent>, Vec<Sent>) = std::mem::take(&mut self.sim.sent)
            .into_iter()
            .partition(|sent| sent.path.remote == sender);
        look(&to_receivers);
        for sent in to_sender.into_iter().chain(to_receivers) {
            let remote = sent.path.remote;
            if remote == sender {
                let (_, rtcp) = self.camera.peer.open(vec![sent]);
                for compound in rtcp {
                    self.camera.on_rtcp(now_us, &compound);
                }
                continue;
            }
            // STUN answers are of no interest, nor is what goes to nobody here.
            let receiver = self.receivers.iter().position(|to| to.remote() == remote);
            if let Some(receiver) = receiver.filter(|_| sent.bytes[0] >= 128) {
                let link = self.link_of[receiver];
                self.links[link].send(now_us, remote, sent.bytes);
            }
        }
    }

    /// Runs for seconds and tells of each: target, media and what was shown, for every receiver.
    /// For looking into a scenario by hand.
    pub fn trace(&mut self, seconds: u64) {
        for _ in 0..seconds {
            let from_us = self.now_us();
            self.run_ms(1_000);
            let until_us = self.now_us();
            let mut line = format!("{:4}", until_us / 1_000_000);
            for index in 0..self.receivers.len() {
                let target = self.target_bps(index) / 1_000;
                let receiver = &self.receivers[index];
                let media = receiver.media_bps(from_us, until_us) / 1_000;
                let shown = receiver.between(from_us, until_us);
                let freeze = receiver.longest_freeze_us(from_us, until_us) / 1_000;
                let last = shown.last().map(|shown| shown.stream);
                let dropped = self.links[self.link_of[index]].dropped;
                line += &format!(
                    " | {target:5} {media:5} {last:?} {:2} frames, {freeze:4} ms, {dropped} dropped, rtx {} probe {} dup {} lost {}",
                    shown.len(),
                    receiver.rtx_bytes,
                    receiver.probe_bytes,
                    receiver.duplicates,
                    receiver.given_up
                );
            }
            eprintln!("{line}");
        }
    }

    fn receiver_at(&self, remote: std::net::SocketAddr) -> usize {
        self.receivers
            .iter()
            .position(|receiver| receiver.remote() == remote)
            .expect("a receiver")
    }

    pub fn consumer_stats(&mut self, receiver: usize) -> ConsumerStats {
        let id = self.receivers[receiver].consumer;
        match self.sim.stats(0, ObjectKind::Consumer, id) {
            Stats::Consumer(_, stats) => stats,
            other => panic!("{other:?}"),
        }
    }

    /// What control was told of what is wanted of the camera.
    pub fn wanted(&self) -> Vec<Option<u8>> {
        let told = self.sim.events.iter().filter_map(|event| match event {
            Event::ProducerWanted { producer, spatial } if *producer == self.producer.id => {
                Some(*spatial)
            }
            _ => None,
        });
        told.collect()
    }

    pub fn target_bps(&mut self, receiver: usize) -> u64 {
        let id = self.receivers[receiver].transport;
        match self.sim.stats(0, ObjectKind::Transport, id) {
            Stats::Transport(stats) => stats.available_outgoing_bitrate_bps.unwrap_or(0),
            other => panic!("{other:?}"),
        }
    }
}
