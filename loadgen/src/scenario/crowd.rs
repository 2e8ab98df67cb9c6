//! Everyone who is there, and sums over those who are and those who were.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use hdrhistogram::Histogram;

use super::participant::Member;
use super::run::SentSoFar;
use super::sampler::KindCounts;
use crate::clock::now_ns;
use crate::latency;
use crate::leg::lock;
use crate::outcome::{Feedback, Refused, Tally};
use crate::receiver::FlowStats;

/// Sums over participants.
#[derive(Debug, Clone)]
pub(super) struct Sums {
    pub(super) video: Tally,
    pub(super) audio: Tally,
    pub(super) refused: Refused,
    pub(super) feedback: Feedback,
    pub(super) send_failures: u64,
    pub(super) socket_drops: u64,
    pub(super) first_packet: Histogram<u64>,
    pub(super) first_key_frame: Histogram<u64>,
}

/// Everyone.
pub(super) struct Crowd {
    members: Mutex<HashMap<usize, Arc<Member>>>,
    left: Mutex<Left>,
    join_times: Mutex<Histogram<u64>>,
}

struct Left {
    count: usize,
    sums: Sums,
}

impl Default for Crowd {
    fn default() -> Self {
        Self {
            members: Mutex::default(),
            left: Mutex::new(Left {
                count: 0,
                sums: Sums::new(),
            }),
            join_times: Mutex::new(latency::histogram()),
        }
    }
}

impl Crowd {
    pub(super) fn add(&self, number: usize, member: Arc<Member>) {
        lock(&self.members).insert(number, member);
    }

    /// Somebody leaves on purpose: what it was sent counts up to now.
    pub(super) fn remove(&self, number: usize) {
        let Some(member) = lock(&self.members).remove(&number) else {
            return;
        };
        let mut left = lock(&self.left);
        left.count += 1;
        // Nobody knows whether a later packet was under way.
        left.sums
            .add(&member, |flow| flow.end_index, now_ns(), None);
    }

    /// Somebody could not join after all.
    pub(super) fn forget(&self, number: usize) {
        lock(&self.members).remove(&number);
    }

    /// Whether everyone has taken everything that the others send.
    pub(super) fn is_settled(&self) -> bool {
        let members = lock(&self.members);
        members.values().all(|member| {
            let there = member.room.sources.borrow().len();
            member.taken_up_to.load(Ordering::Relaxed) >= there
        })
    }

    pub(super) fn note_joined(&self, took_ns: u64) {
        lock(&self.join_times).saturating_record(took_ns);
    }

    pub(super) fn join_times(&self) -> Histogram<u64> {
        lock(&self.join_times).clone()
    }

    pub(super) fn present(&self) -> usize {
        lock(&self.members).len()
    }

    pub(super) fn left(&self) -> usize {
        lock(&self.left).count
    }

    /// What came so far, against what was sent so far.
    pub(super) fn tally(&self, sent: &SentSoFar) -> Tally {
        let left = lock(&self.left);
        let mut tally = left.sums.audio;
        tally.merge(&left.sums.video);
        drop(left);
        for member in lock(&self.members).values() {
            let receiver = lock(&member.receiver);
            receiver
                .stats()
                .for_each(|flow| tally.add(flow, sent.of(flow.stream), sent.at_ns()));
        }
        tally
    }

    /// What was due so far and what came, of audio and of video.
    pub(super) fn kind_counts(&self, sent: &SentSoFar) -> [KindCounts; 2] {
        let left = lock(&self.left);
        let mut kinds = [left.sums.audio, left.sums.video].map(|arrived| KindCounts {
            due: arrived.expected,
            arrived,
        });
        drop(left);
        for member in lock(&self.members).values() {
            for flow in lock(&member.receiver).stats() {
                let of = &mut kinds[usize::from(flow.is_video)];
                of.arrived.add(flow, flow.end_index, sent.at_ns());
                let mut due = Tally::default();
                due.add(flow, sent.of(flow.stream), sent.at_ns());
                of.due += due.expected;
            }
        }
        kinds
    }

    /// What came so far, whatever was sent meanwhile: missing is what lies before a packet that came.
    pub(super) fn tally_of_arrived(&self) -> Tally {
        let now_ns = now_ns();
        let left = lock(&self.left);
        let mut tally = left.sums.audio;
        tally.merge(&left.sums.video);
        drop(left);
        for member in lock(&self.members).values() {
            let receiver = lock(&member.receiver);
            receiver
                .stats()
                .for_each(|flow| tally.add(flow, flow.end_index, now_ns));
        }
        tally
    }

    /// Everything; `drops` are the kernel's counts by local port.
    pub(super) fn sums(&self, sent: &SentSoFar, drops: &HashMap<u16, u64>) -> Sums {
        let mut sums = lock(&self.left).sums.clone();
        for member in lock(&self.members).values() {
            let at_ns = sent.at_ns();
            sums.add(member, |flow| sent.of(flow.stream), at_ns, Some(drops));
        }
        sums
    }
}

impl Sums {
    fn new() -> Self {
        Self {
            video: Tally::default(),
            audio: Tally::default(),
            refused: Refused::default(),
            feedback: Feedback::default(),
            send_failures: 0,
            socket_drops: 0,
            first_packet: latency::histogram(),
            first_key_frame: latency::histogram(),
        }
    }

    pub(super) fn all(&self) -> Tally {
        let mut all = self.video;
        all.merge(&self.audio);
        all
    }

    fn add(
        &mut self,
        member: &Member,
        sent: impl Fn(&FlowStats) -> u64,
        at_ns: u64,
        drops: Option<&HashMap<u16, u64>>,
    ) {
        let receiver = lock(&member.receiver);
        for flow in receiver.stats() {
            let tally = if flow.is_video {
                &mut self.video
            } else {
                &mut self.audio
            };
            tally.add(flow, sent(flow), at_ns);
            self.feedback.nacked_by_receivers += flow.nacked;
            self.feedback.key_frame_requests_by_receivers += flow.key_frame_requests;
            if let Some(ns) = flow.first_packet_ns {
                self.first_packet.saturating_record(ns);
            }
            if let Some(ns) = flow.first_key_frame_ns.filter(|_| flow.is_video) {
                self.first_key_frame.saturating_record(ns);
            }
        }
        self.refused.unknown_ssrc += receiver.unknown_ssrc();
        self.feedback.transport_cc_by_receivers += receiver.transport_feedback_sent();
        drop(receiver);
        let feedback = lock(&member.feedback);
        let seen = feedback.seen();
        self.feedback.key_frame_requests += seen.pli + seen.fir;
        self.feedback.nacked_by_server += seen.nacked_packets;
        self.feedback.transport_cc_from_server += seen.transport_cc;
        if let Some(bps) = seen.remb_bps {
            let lowest = self.feedback.remb_bps.unwrap_or(u64::MAX);
            self.feedback.remb_bps = Some(lowest.min(bps as u64));
        }
        drop(feedback);
        for outbound in lock(&member.outbounds).iter() {
            let counters = outbound.counters();
            let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
            self.refused.not_authentic += load(&counters.not_authentic);
            self.refused.malformed += load(&counters.malformed);
            self.refused.foreign += load(&counters.foreign);
            self.refused.unkeyed += load(&counters.unkeyed);
            self.send_failures += load(&counters.send_failures);
            let port = outbound.local_address().port();
            let known = drops.and_then(|drops| drops.get(&port).copied());
            self.socket_drops += load(&counters.socket_drops).max(known.unwrap_or_default());
        }
    }
}
