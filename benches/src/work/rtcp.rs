//! RTCP of a call's receivers, and ours to them.

use std::collections::VecDeque;
use std::time::Duration;

use weirgate_packet::rtcp::RtcpWriter;
use weirgate_wire::MediaKind;

use super::Work;
use crate::call::{Audience, Burst, Call, Scenario, Topology};

const RECEIVERS: usize = 50;
/// SSRC of the receivers' own RTCP.
const REPORTER: u32 = 0x7000_0000;
/// Frames a feedback message is about: 27 packets, 100 ms.
const FEEDBACK_FRAMES: usize = 3;
/// Packets of a NACK, which are the last of a frame: more would be over what may be repaired.
const NACKED: u16 = 1;

/// A call of many receivers that are heard as well.
struct Heard {
    call: Call,
    audience: Audience,
}

impl Heard {
    fn new() -> Self {
        let call = Call::new(Scenario::new(Topology::OneTo(RECEIVERS), MediaKind::Video));
        let audience = call.audience();
        Self { call, audience }
    }

    fn send_frame(&mut self) {
        let (call, audience) = (&mut self.call, &mut self.audience);
        call.pass_seen(call.interval(), &mut |now, batch| audience.hear(now, batch));
        let frame = call.next_burst();
        call.take_seen(frame, &mut |now, batch| audience.hear(now, batch));
    }
}

/// A turn is transport-wide feedback of every receiver on 27 packets, as a browser sends it ten
/// times a second. The packets are sent when the turns are prepared; they are remembered for two
/// seconds, 20 turns.
pub struct FeedbackIn {
    heard: Heard,
    turns: VecDeque<Vec<Burst>>,
}

impl FeedbackIn {
    /// A call of many receivers.
    #[expect(clippy::new_without_default, reason = "nothing default about a call")]
    pub fn new() -> Self {
        Self {
            heard: Heard::new(),
            turns: VecDeque::new(),
        }
    }
}

impl Work for FeedbackIn {
    fn prepare(&mut self, turns: usize) {
        while self.turns.len() < turns {
            for _ in 0..FEEDBACK_FRAMES {
                self.heard.send_frame();
            }
            let Heard { call, audience } = &mut self.heard;
            let feedback = |receiver| call.receiver_feedback(receiver, audience);
            self.turns
                .push_back((0..RECEIVERS).filter_map(feedback).collect());
        }
    }

    fn run(&mut self, turns: usize) -> u64 {
        let mut units = 0;
        for _ in 0..turns {
            for feedback in self.turns.pop_front().expect("more turns than prepared") {
                self.heard.call.take(feedback);
                units += 1;
            }
        }
        units
    }
}

/// A turn is a NACK of every receiver for packets of one frame, and what is sent again as RTX for
/// it. The frames are sent when the turns are prepared; repairs of five packets are saved up at
/// least.
pub struct NackIn {
    heard: Heard,
    /// NACKs of all receivers.
    turns: VecDeque<Vec<Burst>>,
}

impl NackIn {
    /// A call of many receivers.
    #[expect(clippy::new_without_default, reason = "nothing default about a call")]
    pub fn new() -> Self {
        Self {
            heard: Heard::new(),
            turns: VecDeque::new(),
        }
    }

    /// Asks for the last packets sent.
    fn nack(&mut self, receiver: usize) -> Burst {
        let Heard { call, audience } = &mut self.heard;
        let ssrc = call.ssrc(0, receiver);
        let highest = audience.highest(receiver, ssrc).expect("no packets");
        let lost = (0..NACKED).rev().map(|back| highest.wrapping_sub(back));
        call.receiver_rtcp(receiver, |slot| {
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
            self.heard.send_frame();
            let nacks = (0..RECEIVERS).map(|receiver| self.nack(receiver));
            let nacks = nacks.collect();
            self.turns.push_back(nacks);
        }
    }

    fn run(&mut self, turns: usize) -> u64 {
        let call = &mut self.heard.call;
        let before = call.counter("packets_retransmitted");
        for _ in 0..turns {
            for nack in self.turns.pop_front().expect("more turns than prepared") {
                call.take(nack);
            }
        }
        let again = call.counter("packets_retransmitted") - before;
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
        Self {
            call: Heard::new().call,
        }
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
