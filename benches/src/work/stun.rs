//! Consent checks (RFC 7675) of a call's receivers.

use weirgate_wire::MediaKind;

use super::Work;
use crate::call::{Burst, Call, Scenario, Topology};

const RECEIVERS: usize = 50;

/// A turn is one receiver's check and our answer.
pub struct Checks {
    call: Call,
    receiver: usize,
    checks: Vec<Burst>,
}

impl Checks {
    /// A call of many receivers.
    #[expect(clippy::new_without_default, reason = "nothing default about a call")]
    pub fn new() -> Self {
        Self {
            call: Call::new(Scenario::new(Topology::OneTo(RECEIVERS), MediaKind::Audio)),
            receiver: 0,
            checks: Vec::new(),
        }
    }
}

impl Work for Checks {
    fn prepare(&mut self, turns: usize) {
        while self.checks.len() < turns {
            self.receiver = (self.receiver + 1) % RECEIVERS;
            self.checks.push(self.call.receiver_check(self.receiver));
        }
    }

    fn run(&mut self, turns: usize) -> u64 {
        for _ in 0..turns {
            let check = self.checks.pop().expect("more turns than prepared");
            self.call.hand_in(check);
            let mut answers = 0;
            self.call
                .send(&mut |_, batch| answers += batch.trains().len());
            assert_eq!(answers, 1);
        }
        turns as u64
    }
}
