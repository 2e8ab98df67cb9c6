//! The controlling agent, sans-IO: time and datagrams in, datagrams and events out. It answers checks
//! too: servers that call themselves ICE-lite may send some all the same.

use std::net::SocketAddr;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::stun::{Class, Message, MessageBuilder, attribute};
use crate::clock::{NS_PER_MS, NS_PER_S};
use crate::random;

/// Priority told for our only candidate: host, component 1 (RFC 8445 section 5.1.2.1).
const PRIORITY: u32 = (126 << 24) | (65_535 << 8) | 255;
/// Requests that may be unanswered at a time, over all candidates.
const MAX_PENDING: usize = 64;

/// A user name fragment and its password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// `usernameFragment` in the API.
    pub username_fragment: String,
    /// `password` in the API.
    pub password: String,
}

impl Credentials {
    /// Fresh ones.
    pub fn random() -> Result<Self> {
        Ok(Self {
            username_fragment: random::ice_string(8)?,
            password: random::ice_string(24)?,
        })
    }
}

/// How a pair is nominated (RFC 8445 section 8.1.1, and what came before and after).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nomination {
    /// Check first, then again with USE-CANDIDATE.
    Regular,
    /// Every check has USE-CANDIDATE.
    Aggressive,
    /// Every check has USE-CANDIDATE and a nomination number; the highest wins.
    Renomination(u32),
}

/// How often checks are sent.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Between checks of one candidate before it answered.
    pub check_ns: u64,
    /// Between consent checks.
    pub consent_ns: u64,
    /// Without an answer for so long, consent is gone (RFC 7675 section 5.1).
    pub expiry_ns: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            check_ns: 50 * NS_PER_MS,
            consent_ns: 5 * NS_PER_S,
            expiry_ns: 30 * NS_PER_S,
        }
    }
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentEvent {
    /// Media may go there from now on.
    Nominated(SocketAddr),
    /// The server stopped answering.
    ConsentLost,
    /// The server answered a check with this error.
    Refused(u16),
}

/// Checks the server's candidates and keeps the best that answers.
#[derive(Debug)]
pub struct Agent {
    local: Credentials,
    remote: Credentials,
    candidates: Vec<SocketAddr>,
    nomination: Nomination,
    timing: Timing,
    tie_breaker: [u8; 8],
    pending: Vec<Pending>,
    /// To checks of the server, until [`Self::poll`].
    answers: Vec<(SocketAddr, Vec<u8>)>,
    selected: Option<SocketAddr>,
    /// Regular nomination: the pair that answered and is being nominated.
    valid: Option<SocketAddr>,
    next_ns: u64,
    last_answer_ns: u64,
    lost: bool,
}

#[derive(Debug)]
struct Pending {
    transaction: [u8; 12],
    to: SocketAddr,
    nominating: bool,
}

impl Agent {
    /// Will check `candidates` in their order of preference.
    pub fn new(
        remote: Credentials,
        candidates: Vec<SocketAddr>,
        nomination: Nomination,
    ) -> Result<Self> {
        Ok(Self {
            local: Credentials::random()?,
            remote,
            candidates,
            nomination,
            timing: Timing::default(),
            tie_breaker: random::bytes()?,
            pending: Vec::new(),
            answers: Vec::new(),
            selected: None,
            valid: None,
            next_ns: 0,
            last_answer_ns: 0,
            lost: false,
        })
    }

    /// Other intervals than the default ones.
    pub fn set_timing(&mut self, timing: Timing) {
        self.timing = timing;
    }

    /// Our own credentials, where the server was told them.
    pub fn set_local(&mut self, local: Credentials) {
        self.local = local;
    }

    /// The server's new credentials after an ICE restart; checks begin at once.
    pub fn restart(&mut self, remote: Credentials) -> Result<()> {
        self.local = Credentials::random()?;
        self.remote = remote;
        self.pending.clear();
        self.valid = None;
        self.selected = None;
        self.next_ns = 0;
        Ok(())
    }

    /// Where media goes, once nominated.
    pub fn selected(&self) -> Option<SocketAddr> {
        self.selected
    }

    /// When [`Self::poll`] is to be called next.
    pub fn deadline_ns(&self) -> u64 {
        self.next_ns
    }

    /// Answers, checks that are due at `now_ns`, and whether consent was lost.
    pub fn poll(
        &mut self,
        now_ns: u64,
        out: &mut Vec<(SocketAddr, Vec<u8>)>,
    ) -> Option<AgentEvent> {
        out.append(&mut self.answers);
        if now_ns < self.next_ns {
            return None;
        }
        if self.last_answer_ns == 0 {
            self.last_answer_ns = now_ns;
        }
        match (self.selected, self.valid) {
            (Some(to), _) => {
                self.next_ns = now_ns + self.spread_consent_ns();
                out.extend(self.check(to, self.nomination != Nomination::Regular));
            }
            (None, Some(to)) => {
                self.next_ns = now_ns + self.timing.check_ns;
                out.extend(self.check(to, true));
            }
            (None, None) => {
                self.next_ns = now_ns + self.timing.check_ns;
                for to in self.candidates.clone() {
                    out.extend(self.check(to, self.nomination != Nomination::Regular));
                }
            }
        }
        let silent_ns = now_ns.saturating_sub(self.last_answer_ns);
        if !self.lost && self.selected.is_some() && silent_ns > self.timing.expiry_ns {
            self.lost = true;
            return Some(AgentEvent::ConsentLost);
        }
        None
    }

    /// A STUN message from the server.
    pub fn handle(&mut self, bytes: &[u8], from: SocketAddr, now_ns: u64) -> Option<AgentEvent> {
        let message = Message::parse(bytes).ok()?;
        if message.class == Class::Request {
            self.answer(&message, from);
            return None;
        }
        let at = self
            .pending
            .iter()
            .position(|pending| pending.transaction == message.transaction && pending.to == from)?;
        // Answers are authenticated with the password of the side that was asked.
        if !message.is_authentic(&self.remote.password) {
            return None;
        }
        let pending = self.pending.swap_remove(at);
        match message.class {
            Class::Error => return Some(AgentEvent::Refused(message.error_code()?)),
            Class::Success => {}
            Class::Request | Class::Indication => return None,
        }
        self.last_answer_ns = now_ns;
        self.lost = false;
        if self.selected.is_some() {
            return None;
        }
        if pending.nominating {
            self.selected = Some(from);
            self.pending.clear();
            self.next_ns = now_ns + self.spread_consent_ns();
            return Some(AgentEvent::Nominated(from));
        }
        if self.valid.is_none() {
            self.valid = Some(from);
            self.next_ns = now_ns;
        }
        None
    }

    /// Answers a check that was made with our password.
    fn answer(&mut self, request: &Message, from: SocketAddr) {
        if self.answers.len() == MAX_PENDING || !request.is_authentic(&self.local.password) {
            return;
        }
        let answer = MessageBuilder::new(Class::Success, request.transaction)
            .mapped_address(from)
            .integrity(&self.local.password)
            .fingerprint()
            .build();
        self.answers.push((from, answer));
    }

    /// From 0.8 to 1.2 of the interval, so that many clients do not check at the same time
    /// (RFC 7675 section 5.1).
    fn spread_consent_ns(&self) -> u64 {
        let share = random::bytes::<2>().map_or(0x8000, u16::from_be_bytes);
        self.timing.consent_ns * 4 / 5 + self.timing.consent_ns * 2 / 5 * u64::from(share) / 0xffff
    }

    fn check(&mut self, to: SocketAddr, nominate: bool) -> Option<(SocketAddr, Vec<u8>)> {
        let transaction = random::bytes().ok()?;
        let username = format!(
            "{}:{}",
            self.remote.username_fragment, self.local.username_fragment
        );
        let mut builder = MessageBuilder::new(Class::Request, transaction)
            .attribute(attribute::USERNAME, username.as_bytes())
            .attribute(attribute::ICE_CONTROLLING, &self.tie_breaker)
            .attribute(attribute::PRIORITY, &PRIORITY.to_be_bytes());
        if nominate {
            builder = builder.attribute(attribute::USE_CANDIDATE, &[]);
            if let Nomination::Renomination(number) = self.nomination {
                builder = builder.attribute(attribute::NOMINATION, &number.to_be_bytes());
            }
        }
        let bytes = builder
            .integrity(&self.remote.password)
            .fingerprint()
            .build();
        if self.pending.len() == MAX_PENDING {
            self.pending.remove(0);
        }
        self.pending.push(Pending {
            transaction,
            to,
            nominating: nominate,
        });
        Some((to, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "192.0.2.9:10000";

    fn remote() -> Credentials {
        Credentials {
            username_fragment: "00srv".into(),
            password: "server-password".into(),
        }
    }

    fn agent(nomination: Nomination) -> Agent {
        Agent::new(remote(), vec![SERVER.parse().unwrap()], nomination).unwrap()
    }

    /// Answers a check as the server would; says whether it had USE-CANDIDATE.
    fn answer(check: &[u8], password: &str) -> (Vec<u8>, bool) {
        let request = Message::parse(check).unwrap();
        assert!(request.is_authentic("server-password"));
        let answer = MessageBuilder::new(Class::Success, request.transaction)
            .integrity(password)
            .fingerprint()
            .build();
        (answer, request.get(attribute::USE_CANDIDATE).is_some())
    }

    fn one_check(agent: &mut Agent, now_ns: u64) -> Vec<u8> {
        let mut out = Vec::new();
        assert_eq!(agent.poll(now_ns, &mut out), None);
        assert_eq!(out.len(), 1);
        out.remove(0).1
    }

    #[test]
    fn regular_nomination_checks_first_and_nominates_then() {
        let mut agent = agent(Nomination::Regular);
        let server = SERVER.parse().unwrap();
        let (reply, nominating) = answer(&one_check(&mut agent, 1), "server-password");
        assert!(!nominating);
        assert_eq!(agent.handle(&reply, server, 2), None);
        let (reply, nominating) = answer(&one_check(&mut agent, 3), "server-password");
        assert!(nominating);
        assert_eq!(
            agent.handle(&reply, server, 4),
            Some(AgentEvent::Nominated(server))
        );
    }

    #[test]
    fn an_answer_from_elsewhere_or_by_another_password_changes_nothing() {
        let mut agent = agent(Nomination::Aggressive);
        let server = SERVER.parse().unwrap();
        let check = one_check(&mut agent, 1);
        let (forged, _) = answer(&check, "guess");
        let (good, _) = answer(&check, "server-password");
        assert_eq!(agent.handle(&forged, server, 2), None);
        assert_eq!(
            agent.handle(&good, "192.0.2.10:10000".parse().unwrap(), 2),
            None
        );
        assert_eq!(agent.selected(), None);
        assert_eq!(
            agent.handle(&good, server, 2),
            Some(AgentEvent::Nominated(server))
        );
    }

    #[test]
    fn a_check_is_answered_where_it_knows_our_password() {
        let mut agent = agent(Nomination::Aggressive);
        let local = Credentials::random().unwrap();
        agent.set_local(local.clone());
        let server = SERVER.parse().unwrap();
        let check = |password: &str| {
            let builder = MessageBuilder::new(Class::Request, [7; 12]);
            builder.integrity(password).fingerprint().build()
        };
        let mut out = Vec::new();
        agent.poll(1, &mut Vec::new());
        agent.handle(&check("guess"), server, 2);
        agent.poll(3, &mut out);
        assert_eq!(out, []);
        agent.handle(&check(&local.password), server, 4);
        agent.poll(5, &mut out);
        let [(to, bytes)] = &out[..] else {
            panic!("{} answers", out.len());
        };
        let answer = Message::parse(bytes).unwrap();
        assert_eq!((*to, answer.class), (server, Class::Success));
        assert_eq!(answer.mapped_address(), Some(server));
        assert!(answer.is_authentic(&local.password));
    }

    #[test]
    fn silence_after_nomination_ends_consent_once() {
        let mut agent = agent(Nomination::Aggressive);
        let server = SERVER.parse().unwrap();
        let (reply, _) = answer(&one_check(&mut agent, NS_PER_S), "server-password");
        agent.handle(&reply, server, NS_PER_S);
        let mut events = Vec::new();
        for second in 2..60 {
            let mut out = Vec::new();
            events.extend(agent.poll(second * NS_PER_S, &mut out));
        }
        assert_eq!(events, [AgentEvent::ConsentLost]);
    }
}
