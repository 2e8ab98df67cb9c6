//! A call one step ahead of another. It finds out what the receivers will answer, so that the
//! other, alike in everything, can be handed the same datagrams later, and nothing has to be sealed
//! while it is measured.

use std::time::Duration;

use super::{Audience, Burst, Call, Scenario};

/// Time between two feedback messages of a receiver, as of a browser.
const FEEDBACK_INTERVAL: Duration = Duration::from_millis(100);
/// Time between two reports of a receiver.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub struct Rehearsal {
    call: Call,
    audience: Audience,
    turns: usize,
}

impl Rehearsal {
    /// Of a call made with the same scenario.
    pub fn new(scenario: Scenario) -> Self {
        let call = Call::new(scenario);
        let audience = call.audience();
        Self {
            call,
            audience,
            turns: 0,
        }
    }

    /// What comes in the next turn, after [`Call::interval`] has passed: a sender's burst, and
    /// RTCP of those receivers whose turn it is.
    pub fn next_turn(&mut self) -> Vec<Burst> {
        if !self.call.scenario.rtcp {
            // Nothing to find out.
            return vec![self.call.next_burst()];
        }
        let (call, audience) = (&mut self.call, &mut self.audience);
        call.pass_seen(call.interval(), &mut |now, batch| audience.hear(now, batch));
        let burst = call.next_burst();
        call.take_seen(burst.clone(), &mut |now, batch| audience.hear(now, batch));
        self.turns += 1;
        let mut bursts = vec![burst];
        bursts.append(&mut self.answers());
        bursts
    }

    /// The call as it is by now; one without RTCP stays as it began.
    pub fn call(&mut self) -> &mut Call {
        &mut self.call
    }

    /// RTCP of the receivers whose turn it is.
    fn answers(&mut self) -> Vec<Burst> {
        let (turns, interval) = (self.turns, self.call.interval());
        // Receivers have their turns one after the other.
        let is_due = |receiver: usize, every: Duration| {
            let every_turns = (every.as_micros() / interval.as_micros()).max(1) as usize;
            (turns + receiver).is_multiple_of(every_turns)
        };
        let (call, audience) = (&mut self.call, &mut self.audience);
        let mut answers = Vec::new();
        for receiver in 0..call.scenario.topology.receivers() {
            if is_due(receiver, FEEDBACK_INTERVAL) {
                answers.extend(call.receiver_feedback(receiver, audience));
            }
            if is_due(receiver, REPORT_INTERVAL) {
                answers.push(call.receiver_report(receiver, audience));
            }
        }
        for answer in &answers {
            call.take_seen(answer.clone(), &mut |now, batch| audience.hear(now, batch));
        }
        answers
    }
}
