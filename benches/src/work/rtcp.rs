//! RTCP of a call's receivers, and ours to them.

use std::collections::VecDeque;
use std::time::Duration;

use weirgate_packet::rtcp::{ReportBlock, RtcpWriter};
use weirgate_wire::MediaKind;

use super::Work;
use crate::call::{Burst, Call, Scenario, Topology};

const RECEIVERS: usize = 50;
/// SSRC of the receivers' own RTCP.
const REPORTER: u32 = 0x3000_0000;
/// Packets a feedback message is about.
const FEEDBACK_PACKETS: usize = 100;
/// Packets of a NACK, which are the last of a frame.
const NACKED: u16 = 4;

fn call() -> Call {
    Call::new(Scenario::new(Topology::OneTo(RECEIVERS), MediaKind::Video))
}

/// A turn is a receiver report and transport-wide feedback on 100 packets of which every tenth was
/// lost, as a browser sends them several times a second.
pub struct FeedbackIn {
    call: Call,
    turn: usize,
    compounds: VecDeque<Burst>,
}

impl FeedbackIn {
    /// A call of many receivers.
    #[expect(clippy::new_without_default, reason = "nothing default about a call")]
    pub fn new() -> Self {
        Self {
            call: call(),
            turn: 0,
            compounds: VecDeque::new(),
        }
    }
}

impl Work for FeedbackIn {
    fn prepare(&mut self, turns: usize) {
        while self.compounds.len() < turns {
            self.turn += 1;
            let (receiver, round) = (self.turn % RECEIVERS, self.turn / RECEIVERS);
            let ssrc = self.call.ssrc(0, receiver);
            let write = |slot: &mut [u8]| write_feedback(slot, ssrc, round);
            self.compounds
                .push_back(self.call.receiver_rtcp(receiver, write));
        }
    }

    fn run(&mut self, turns: usize) -> u64 {
        for _ in 0..turns {
            let compound = self
                .compounds
                .pop_front()
                .expect("more turns than prepared");
            self.call.take(compound);
        }
        turns as u64
    }
}

fn write_feedback(slot: &mut [u8], media: u32, round: usize) -> usize {
    let mut writer = RtcpWriter::new(slot);
    let block = ReportBlock {
        ssrc: media,
        fraction_lost: 25,
        cumulative_lost: (10 * round) as i32,
        highest_sequence: (FEEDBACK_PACKETS * round) as u32,
        jitter: 90,
        last_sr: 0,
        delay_since_last_sr: 0,
    };
    assert!(writer.receiver_report(REPORTER, &[block]));
    let statuses = (0..FEEDBACK_PACKETS).map(|number| (number % 10 != 9).then_some(4));
    let base = (FEEDBACK_PACKETS * round) as u16;
    let (time, count) = (round as i32, round as u8);
    let written = writer.transport_feedback(REPORTER, media, base, time, count, statuses);
    assert_eq!(written, FEEDBACK_PACKETS);
    writer.len()
}

/// A turn is a NACK of every receiver for packets of one frame, and what is sent again as RTX for
/// it. The frames are sent when the turns are prepared; history holds some 70.
pub struct NackIn {
    call: Call,
    /// Next sequence number by receiver.
    next: Vec<u16>,
    /// NACKs of all receivers.
    turns: VecDeque<Vec<Burst>>,
}

impl NackIn {
    /// A call of many receivers.
    #[expect(clippy::new_without_default, reason = "nothing default about a call")]
    pub fn new() -> Self {
        let mut nack = Self {
            call: call(),
            next: vec![0; RECEIVERS],
            turns: VecDeque::new(),
        };
        nack.send_frame();
        nack
    }

    /// Sends a frame and looks at the numbers its packets got.
    fn send_frame(&mut self) {
        self.call.pass(self.call.interval());
        let frame = self.call.next_burst();
        self.call.hand_in(frame);
        let (call, next) = (&mut self.call, &mut self.next);
        let first_ssrc = call.ssrc(0, 0);
        call.send(|batch| {
            for train in batch.trains() {
                let bytes = batch.train_bytes(train);
                for packet in bytes.chunks(usize::from(train.segment_len)) {
                    let (sequence, ssrc) = header(packet);
                    if let Some(next) = next.get_mut(ssrc.wrapping_sub(first_ssrc) as usize) {
                        *next = sequence.wrapping_add(1);
                    }
                }
            }
        });
    }

    /// Asks for the last packets sent.
    fn nack(&mut self, receiver: usize) -> Burst {
        let ssrc = self.call.ssrc(0, receiver);
        let next = self.next[receiver];
        let lost = (1..=NACKED).rev().map(|back| next.wrapping_sub(back));
        self.call.receiver_rtcp(receiver, |slot| {
            let mut writer = RtcpWriter::new(slot);
            assert!(writer.receiver_report(REPORTER, &[]));
            assert!(writer.nack(REPORTER, ssrc, lost));
            writer.len()
        })
    }
}

impl Work for NackIn {
    fn prepare(&mut self, turns: usize) {
        while self.turns.len() < turns {
            self.send_frame();
            let nacks = (0..RECEIVERS).map(|receiver| self.nack(receiver));
            let nacks = nacks.collect();
            self.turns.push_back(nacks);
        }
    }

    fn run(&mut self, turns: usize) -> u64 {
        let before = self.call.counter("packets_retransmitted");
        for _ in 0..turns {
            for nack in self.turns.pop_front().expect("more turns than prepared") {
                self.call.take(nack);
            }
        }
        let again = self.call.counter("packets_retransmitted") - before;
        assert_eq!(again, (turns * RECEIVERS) as u64 * u64::from(NACKED));
        again
    }
}

/// A turn is a second without packets, in which each transport makes its reports.
pub struct ReportsOut {
    call: Call,
}

impl ReportsOut {
    /// A call of many receivers, each of which was sent something.
    #[expect(clippy::new_without_default, reason = "nothing default about a call")]
    pub fn new() -> Self {
        Self { call: call() }
    }
}

impl Work for ReportsOut {
    fn prepare(&mut self, _turns: usize) {}

    fn run(&mut self, turns: usize) -> u64 {
        let before = self.call.counter("rtcp_sent");
        self.call.pass(Duration::from_secs(1) * turns as u32);
        self.call.counter("rtcp_sent") - before
    }
}

/// Sequence number and SSRC.
fn header(packet: &[u8]) -> (u16, u32) {
    let ssrc = [packet[8], packet[9], packet[10], packet[11]];
    (
        u16::from_be_bytes([packet[2], packet[3]]),
        u32::from_be_bytes(ssrc),
    )
}
