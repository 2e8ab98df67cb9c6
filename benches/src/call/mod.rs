//! Calls on one shard in memory: the far ends seal what they send, the shard does what it does in
//! production, and a clock moves as fast as the work is done.

mod audience;
mod parameters;
mod peer;
mod rehearsal;
mod scenario;

use std::time::Duration;

use arrayvec::ArrayVec;
use uuid::Uuid;
use weirgate_packet::stun::{BindingRequest, IceRole, write_binding_request};
use weirgate_shard::{
    Command, CommandBody, Datagram, Limits, Shard, ShardConfig, ShardEvent, SocketId, SourceNo,
    Timestamp, TxBatch, WebRtcCredentials,
};
use weirgate_wire::{Answer, SrtpKey};

use crate::srtp_key;
pub use audience::Audience;
pub use peer::Burst;
use peer::{Peer, Stream};
pub use rehearsal::Rehearsal;
pub use scenario::{Leg, Scenario, Topology};

/// Bytes sent between two passes over what is left, as in the engine's loop.
const BATCH_BYTES: usize = 512 << 10;
/// Datagrams handed to the shard at once, as by the engine's back ends.
const RECEIVE_BATCH: usize = 64;
/// Far above what a receiver is sent: no estimate is to hold the call back.
const RATE_BPS: u32 = 1_000_000_000;

/// What sees a batch as it leaves.
type Look<'a> = &'a mut dyn FnMut(Timestamp, &TxBatch);

/// A call that runs.
#[derive(Debug)]
pub struct Call {
    scenario: Scenario,
    shard: Shard,
    now: Timestamp,
    batch: TxBatch,
    senders: Vec<(Peer, Stream)>,
    receivers: Vec<Peer>,
    next_sender: usize,
    next_token: u64,
}

impl Call {
    /// A call whose consumers have all begun to send, unless they are paused.
    pub fn new(scenario: Scenario) -> Self {
        let now = Timestamp::from_micros(1_000_000_000);
        let config = ShardConfig {
            shard: 0,
            shards: 1,
            media_locals: vec!["10.0.0.1:10000".parse().unwrap()],
            wall_clock_offset: Duration::from_secs(1_700_000_000),
            seed: 1,
            limits: Limits::default(),
        };
        let mut call = Self {
            scenario,
            shard: Shard::new(config, now),
            now,
            batch: TxBatch::new(BATCH_BYTES),
            senders: Vec::new(),
            receivers: Vec::new(),
            next_sender: 0,
            next_token: 1,
        };
        call.connect();
        for _ in 0..scenario.topology.senders() {
            let burst = call.next_burst();
            call.take(burst);
        }
        call
    }

    /// What the next sender in turn sends next.
    pub fn next_burst(&mut self) -> Burst {
        let (peer, stream) = &mut self.senders[self.next_sender];
        self.next_sender = (self.next_sender + 1) % self.scenario.topology.senders();
        stream.burst(&self.scenario, peer)
    }

    /// A receiver's RTCP; `write` fills a slot and answers the length.
    pub fn receiver_rtcp(
        &mut self,
        receiver: usize,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> Burst {
        self.receivers[receiver].rtcp(write)
    }

    /// A receiver's consent check.
    pub fn receiver_check(&self, receiver: usize) -> Burst {
        let number = self.scenario.topology.senders() + receiver;
        self.receivers[receiver].datagram(check(number))
    }

    /// A receiver's transport-wide feedback, if it has any to give.
    pub fn receiver_feedback(&mut self, receiver: usize, audience: &mut Audience) -> Option<Burst> {
        let mut written = true;
        let burst = self.receiver_rtcp(receiver, |slot| {
            let len = audience.write_feedback(receiver, slot);
            written = len.is_some();
            len.unwrap_or_else(|| audience.write_report(receiver, slot))
        });
        written.then_some(burst)
    }

    /// A receiver's report.
    pub fn receiver_report(&mut self, receiver: usize, audience: &Audience) -> Burst {
        self.receiver_rtcp(receiver, |slot| audience.write_report(receiver, slot))
    }

    /// SSRC of what a receiver gets of a sender.
    pub fn ssrc(&self, sender: usize, receiver: usize) -> u32 {
        parameters::receiver_ssrc(sender, receiver)
    }

    /// Receivers that have got nothing yet.
    pub fn audience(&self) -> Audience {
        Audience::new(
            self.scenario.topology.senders(),
            self.scenario.topology.receivers(),
        )
    }

    /// Time between the bursts of two senders in turn.
    pub fn interval(&self) -> Duration {
        self.scenario.interval() / self.scenario.topology.senders() as u32
    }

    /// One turn of the engine's loop: a burst comes, and what it makes the shard send leaves.
    pub fn take(&mut self, burst: Burst) {
        self.take_seen(burst, &mut |_, _| ());
    }

    /// As [`Self::take`]; `look` sees what leaves.
    pub fn take_seen(&mut self, burst: Burst, look: Look<'_>) {
        self.hand_in(burst);
        self.send(look);
    }

    /// The first half of [`Self::take`].
    pub fn hand_in(&mut self, mut burst: Burst) {
        let path = burst.path;
        for packets in burst.packets.chunks_mut(RECEIVE_BATCH) {
            let mut datagrams: ArrayVec<Datagram<'_>, RECEIVE_BATCH> = packets
                .iter_mut()
                .map(|bytes| Datagram {
                    path,
                    bytes,
                    waited: Duration::ZERO,
                })
                .collect();
            self.shard.handle_datagrams(self.now, &mut datagrams);
        }
    }

    /// The second half of [`Self::take_seen`], with what time brings meanwhile.
    pub fn send(&mut self, look: Look<'_>) {
        self.shard.handle_timeout(self.now);
        while self.shard.poll_transmit(self.now, &mut self.batch) {
            look(self.now, &self.batch);
            self.batch.clear();
        }
        while self.shard.poll_event().is_some() {}
    }

    /// Time passes, and the shard does what is due.
    pub fn pass(&mut self, time: Duration) {
        self.pass_seen(time, &mut |_, _| ());
    }

    /// As [`Self::pass`]; `look` sees what leaves.
    pub fn pass_seen(&mut self, time: Duration, look: Look<'_>) {
        let end = self.now + time;
        loop {
            let due = self.shard.poll_timeout();
            if due > end {
                break;
            }
            self.now = self.now.max(due);
            self.send(look);
        }
        self.now = end;
    }

    /// A counter of the shard, by its name in the metrics.
    pub fn counter(&mut self, name: &str) -> u64 {
        let Answer::Counters(counters) = self.command(CommandBody::GetCounters) else {
            panic!("no counters");
        };
        let found = counters[0].counters.iter().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("no counter {name}")).1
    }

    fn connect(&mut self) {
        let topology = self.scenario.topology;
        for sender in 0..topology.senders() {
            let (transport, peer) = self.transport(sender);
            self.command(CommandBody::CreateProducer {
                transport,
                source: SourceNo::new(sender as u32, 1),
                config: parameters::producer(sender, &self.scenario),
            });
            self.senders.push((peer, Stream::new(sender)));
        }
        for receiver in 0..topology.receivers() {
            let (transport, peer) = self.transport(topology.senders() + receiver);
            for sender in (0..topology.senders()).filter(|&s| topology.connects(s, receiver)) {
                self.command(CommandBody::CreateConsumer {
                    transport,
                    config: parameters::consumer(sender, receiver, &self.scenario),
                });
            }
            self.receivers.push(peer);
        }
    }

    /// A transport with its far end, ready to send and receive.
    fn transport(&mut self, number: usize) -> (Uuid, Peer) {
        let id = Uuid::from_u128(0xF000_0000 + number as u128);
        let seeded = |seed| self.scenario.suite.map(|suite| srtp_key(suite, seed));
        let (ours, theirs) = (seeded(number as u8), seeded(!(number as u8)));
        let peer = Peer::new(number, self.scenario.leg, theirs.as_ref());
        match self.scenario.leg {
            Leg::WebRtc => self.connect_webrtc(id, number, &peer, ours, theirs),
            Leg::Plain => self.connect_plain(id, &peer, ours, theirs),
        }
        self.command(CommandBody::SetBitrates {
            id,
            max_incoming: 0,
            max_outgoing: 0,
            min_outgoing: RATE_BPS,
        });
        (id, peer)
    }

    fn connect_webrtc(
        &mut self,
        id: Uuid,
        number: usize,
        peer: &Peer,
        ours: Option<SrtpKey>,
        theirs: Option<SrtpKey>,
    ) {
        self.command(CommandBody::CreateWebRtcTransport {
            id,
            ice: credentials(number),
            ice_consent_timeout_s: 0,
            initial_outgoing_bps: 0,
        });
        self.take(peer.datagram(check(number)));
        self.command(CommandBody::SetSrtpKeys {
            id,
            send: ours.expect("WebRTC without SRTP"),
            receive: theirs.expect("WebRTC without SRTP"),
        });
    }

    fn connect_plain(
        &mut self,
        id: Uuid,
        peer: &Peer,
        ours: Option<SrtpKey>,
        theirs: Option<SrtpKey>,
    ) {
        let SocketId(socket) = peer.path.socket;
        self.command(CommandBody::CreatePlainTransport {
            id,
            rtp_socket: peer.path.socket,
            rtp_local: ([10, 0, 0, 1], 10_000 + socket as u16).into(),
            rtcp: None,
            comedia: false,
            srtp: ours,
        });
        self.command(CommandBody::ConnectPlain {
            id,
            remote: Some(peer.path.remote),
            rtcp_remote: None,
            srtp: theirs,
        });
    }

    fn command(&mut self, body: CommandBody) -> Answer {
        let token = self.next_token;
        self.next_token += 1;
        self.shard.handle_command(self.now, Command { token, body });
        let mut answer = None;
        while let Some(event) = self.shard.poll_event() {
            if let ShardEvent::Answer { token: of, body } = event
                && of == token
            {
                answer = Some(body.unwrap());
            }
        }
        self.send(&mut |_, _| ());
        answer.expect("a command without an answer")
    }
}

fn credentials(number: usize) -> WebRtcCredentials {
    WebRtcCredentials {
        ufrag: format!("00user{number:06}"),
        pwd: format!("password-of-transport-{number:010}"),
    }
}

/// A nominating check, as the far end sends it first and then every few seconds.
fn check(number: usize) -> Vec<u8> {
    let ice = credentials(number);
    let mut bytes = [0; 512];
    let request = BindingRequest {
        transaction_id: *b"transaction!",
        username: &format!("{}:peer", ice.ufrag),
        priority: 1_853_817_087,
        role: (IceRole::Controlling, 7),
        use_candidate: true,
        nomination: None,
        password: ice.pwd.as_bytes(),
    };
    let len = write_binding_request(&mut bytes, &request).unwrap();
    bytes[..len].to_vec()
}

#[cfg(test)]
mod tests {
    use weirgate_wire::{MediaKind, SrtpSuite};

    use super::*;

    /// Packets that left while every sender sent twice.
    fn forwarded(scenario: Scenario) -> u64 {
        let mut call = Call::new(scenario);
        let before = call.counter("rtp_packets_sent");
        for _ in 0..2 * scenario.topology.senders() {
            call.pass(call.interval());
            let burst = call.next_burst();
            call.take(burst);
        }
        call.pass(Duration::from_millis(100));
        assert_eq!(call.counter("srtp_auth_failures"), 0);
        assert_eq!(call.counter("unknown_flow"), 0);
        call.counter("rtp_packets_sent") - before
    }

    #[test]
    fn every_receiver_is_sent_every_packet() {
        for kind in [MediaKind::Audio, MediaKind::Video] {
            for topology in [
                Topology::OneTo(1),
                Topology::OneTo(50),
                Topology::Meeting(4),
            ] {
                let scenario = Scenario::new(topology, kind);
                let sent = 2 * topology.senders() * scenario.burst();
                assert_eq!(forwarded(scenario), (sent * topology.fan_out()) as u64);
            }
        }
    }

    #[test]
    fn plain_transports_work_with_every_suite_and_none() {
        let suites = SrtpSuite::ALL.into_iter().map(Some).chain([None]);
        for suite in suites {
            let scenario = Scenario {
                leg: Leg::Plain,
                suite,
                ..Scenario::new(Topology::OneTo(3), MediaKind::Video)
            };
            assert_eq!(forwarded(scenario), 2 * 9 * 3);
        }
    }

    #[test]
    fn paused_consumers_are_sent_nothing() {
        let scenario = Scenario {
            paused: true,
            ..Scenario::new(Topology::OneTo(3), MediaKind::Video)
        };
        assert_eq!(forwarded(scenario), 0);
    }

    #[test]
    fn a_frame_leaves_as_one_train_per_plain_receiver() {
        let mut call = Call::new(Scenario {
            leg: Leg::Plain,
            ..Scenario::new(Topology::OneTo(3), MediaKind::Video)
        });
        call.pass(call.interval());
        let burst = call.next_burst();
        call.hand_in(burst);
        let mut trains = Vec::new();
        call.send(&mut |_, batch| {
            trains.extend(batch.trains().iter().map(|train| train.segments));
        });
        assert_eq!(trains, [9, 9, 9]);
    }
}
