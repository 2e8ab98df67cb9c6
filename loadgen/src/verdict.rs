//! What comes of a run's figures.

use crate::outcome::{Ending, Outcome, Verdict};

/// A schedule kept worse than so at its 99th percentile spoils latencies, in ms.
const MAX_LATENESS_MS: f64 = 5.0;
/// Packets read later than so at the 99th percentile were reported late to the server, which then
/// takes the path to be worse than it is, in ms.
const MAX_READ_DELAY_MS: f64 = 100.0;
/// More than this part of its cores leaves a generator no room to keep its schedule.
const MAX_OWN_CPU_SHARE: f64 = 0.95;

/// Fills in why a run failed, why it is inconclusive, and the verdict.
pub fn judge(outcome: &mut Outcome) {
    outcome.failures = failures(outcome);
    outcome.inconclusive = inconclusive(outcome);
    outcome.verdict = if !outcome.inconclusive.is_empty() {
        Verdict::Inconclusive
    } else if !outcome.failures.is_empty() {
        Verdict::Failed
    } else {
        Verdict::Passed
    };
}

/// Signs that this program was the bottleneck.
fn inconclusive(outcome: &Outcome) -> Vec<String> {
    let own = &outcome.own;
    let mut reasons = Vec::new();
    if own.socket_drops > 0 {
        let drops = own.socket_drops;
        reasons.push(format!("{drops} datagrams were lost at our own sockets"));
    }
    if own.backlog {
        reasons.push("packets were still waiting to be read at the end".to_owned());
    }
    if own.send_failures > 0 {
        let failures = own.send_failures;
        reasons.push(format!("{failures} datagrams could not be sent"));
    }
    if let Some(lateness) = own.lateness.filter(|late| late.p99 > MAX_LATENESS_MS) {
        let p99 = lateness.p99;
        reasons.push(format!(
            "the generator was {p99:.1} ms behind its schedule at p99"
        ));
    }
    if let Some(delay) = own.read_delay.filter(|delay| delay.p99 > MAX_READ_DELAY_MS) {
        let p99 = delay.p99;
        reasons.push(format!(
            "packets waited {p99:.0} ms at p99 until they were read, and so feedback was late"
        ));
    }
    if own.cpu_share > MAX_OWN_CPU_SHARE {
        let percent = own.cpu_share * 100.0;
        let cores = own.cores;
        reasons.push(format!(
            "the generator used {percent:.0} % of its {cores} cores"
        ));
    }
    reasons
}

/// Broken bounds, a failed server, participants that could not join, packets that were not what
/// was sent.
fn failures(outcome: &Outcome) -> Vec<String> {
    let mut failures = Vec::new();
    if let Ending::ServerFailed(why) = &outcome.ending {
        failures.push(format!("the server failed: {why}"));
    }
    let participants = &outcome.participants;
    if let Some(first) = participants.failures.first() {
        let (failed, wanted) = (participants.failed, participants.wanted);
        failures.push(format!(
            "{failed} of {wanted} participants failed, the first: {first}"
        ));
    }
    let (forged, corrupt) = (outcome.refused.not_authentic, outcome.totals.corrupt);
    if forged > 0 {
        failures.push(format!("{forged} packets were not authentic"));
    }
    if corrupt > 0 {
        failures.push(format!("{corrupt} packets were corrupt"));
    }
    if let Some(max) = outcome.bounds.max_loss
        && outcome.totals.loss() > max
    {
        let (loss, max) = (outcome.totals.loss() * 100.0, max * 100.0);
        failures.push(format!("loss of {loss:.4} % is over {max:.4} %"));
    }
    if let Some(max) = outcome.bounds.max_p99_ms {
        for (kind, figures) in &outcome.by_kind {
            if let Some(latency) = figures.latency.filter(|latency| latency.p99 > max) {
                let p99 = latency.p99;
                failures.push(format!("p99 of {kind}, {p99:.2} ms, is over {max:.2} ms"));
            }
        }
    }
    failures
}
