//! ICE connectivity checks (RFC 8445 section 7.3, RFC 8489) and the DTLS records that come by the
//! paths they opened. Nothing is kept, and nothing answered, before a check's integrity is
//! verified.

use weirgate_packet::dtls::{is_client_hello, is_dtls_records};
use weirgate_packet::stun::{
    Class, IceRole, StunMessage, write_binding_error, write_binding_success,
};
use weirgate_wire::Event;

use crate::ice::{Check, CheckedPath};
use crate::shard::{Object, Shard};
use crate::{CrossingKind, Path, ShardNo, Timestamp};

const BINDING: u16 = 1;
const ROLE_CONFLICT: u16 = 487;
const UNKNOWN_ATTRIBUTE: u16 = 420;
/// Room for the longest answer.
const ANSWER_BYTES: usize = 256;

impl Shard {
    /// A STUN message on the media port.
    pub(crate) fn on_stun(
        &mut self,
        now: Timestamp,
        path: Path,
        bytes: &mut [u8],
        landed_on: Option<ShardNo>,
    ) {
        let Some(message) = StunMessage::parse(bytes) else {
            self.counters.stun_malformed += 1;
            return;
        };
        if message.class() != Class::Request || message.method() != BINDING {
            // We send no requests, so an answer is nothing to us; an indication keeps NATs open.
            self.counters.stun_malformed += 1;
            return;
        }
        let Some(ufrag) = message.username().and_then(|name| name.split(':').next()) else {
            self.counters.stun_unknown_user += 1;
            return;
        };
        match owner_of(ufrag) {
            Some(owner) if owner == self.config.shard => {}
            Some(owner) if owner < self.config.shards && landed_on.is_none() => {
                self.hand_over(owner, path, now, bytes);
                return;
            }
            _ => {
                self.counters.stun_unknown_user += 1;
                return;
            }
        }
        let Some(&index) = self.ufrags.get(ufrag) else {
            self.counters.stun_unknown_user += 1;
            return;
        };
        self.on_check(now, index, ufrag, path, &message, landed_on);
    }

    fn on_check(
        &mut self,
        now: Timestamp,
        index: u32,
        ufrag: &str,
        path: Path,
        message: &StunMessage<'_>,
        landed_on: Option<ShardNo>,
    ) {
        let Some(ice) = self
            .transports
            .get_mut(index as usize)
            .and_then(|t| t.ice_mut())
        else {
            return;
        };
        let Some(password) = ice.password(ufrag).map(str::as_bytes) else {
            return;
        };
        if !message.verify_fingerprint() || !message.verify_integrity(password) {
            self.counters.stun_auth_failures += 1;
            return;
        }
        let transaction = message.transaction_id();
        let unknown = message.unknown_required();
        let mut answer = [0; ANSWER_BYTES];
        let refusal = if !unknown.is_empty() {
            self.counters.stun_unknown_attributes += 1;
            Some((UNKNOWN_ATTRIBUTE, "Unknown Attribute"))
        } else if matches!(message.role(), Some((IceRole::Controlled, _))) {
            // ICE-lite is always controlled: the peer has to switch.
            self.counters.stun_role_conflicts += 1;
            Some((ROLE_CONFLICT, "Role Conflict"))
        } else {
            None
        };
        if let Some((code, reason)) = refusal {
            let unknown = unknown.as_slice();
            let len = write_binding_error(
                &mut answer,
                transaction,
                code,
                reason,
                unknown,
                Some(password),
            );
            self.answer_check(path, &answer, len);
            return;
        }
        let len = write_binding_success(&mut answer, transaction, path.remote, password);
        let could_send = self.can_send(index);
        self.accept_check(now, index, ufrag, message, path, landed_on);
        self.counters.stun_checks += 1;
        self.answer_check(path, &answer, len);
        if !could_send && self.can_send(index) {
            self.on_sendable(now, index);
        }
    }

    /// A check that passed: the path is validated, and perhaps selected.
    fn accept_check(
        &mut self,
        now: Timestamp,
        index: u32,
        ufrag: &str,
        message: &StunMessage<'_>,
        path: Path,
        landed_on: Option<ShardNo>,
    ) {
        let Some(ice) = self
            .transports
            .get_mut(index as usize)
            .and_then(|t| t.ice_mut())
        else {
            return;
        };
        let adopted = ice.adopt(ufrag);
        let check = Check {
            path,
            priority: message.priority().unwrap_or(0),
            use_candidate: message.use_candidate(),
            nomination: message.nomination(),
            landed_on,
        };
        let outcome = ice.check(now, &check);
        let consent_deadline = ice.consent_deadline();
        if let Some(old) = adopted {
            self.ufrags.remove(&old);
        }
        if let Some(evicted) = outcome.evicted {
            self.forget_path(index, &evicted);
        }
        if outcome.new_landing {
            if let Some(robbed) = self.flows.own(path, index) {
                // One address can not be two transports' peers: the newer check has it.
                self.counters.flows_reassigned += 1;
                debug_assert!(robbed != index);
            }
            if let Some(shard) = landed_on {
                let owner = Some(self.config.shard);
                if !self
                    .port
                    .send(shard, CrossingKind::FlowOwner { path, owner }, &[])
                {
                    self.counters.crossings_dropped += 1;
                }
            }
        }
        if outcome.changed {
            self.report_ice(index);
        }
        self.schedule(index, consent_deadline);
    }

    /// A datagram of DTLS by a validated path: control's business.
    pub(crate) fn on_dtls(&mut self, now: Timestamp, index: u32, bytes: &[u8]) {
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return;
        };
        // Before our first flight only a ClientHello can be meant for us.
        let fits = if transport.dtls_sent {
            is_dtls_records(bytes)
        } else {
            is_client_hello(bytes)
        };
        if !fits || !transport.spend_dtls_budget(now) {
            self.counters.dtls_dropped += 1;
            return;
        }
        let event = Event::Dtls {
            transport: transport.id,
            datagram: bytes.to_vec(),
        };
        self.counters.dtls_received += 1;
        self.emit(event);
    }

    /// Tells control where ICE stands.
    pub(crate) fn report_ice(&mut self, index: u32) {
        let locals = &self.config.media_locals;
        let Some(transport) = self.transports.get(index as usize) else {
            return;
        };
        let Some(ice) = transport.ice() else {
            return;
        };
        let event = Event::Ice {
            transport: transport.id,
            state: ice.state(),
            tuple: transport.tuple(|socket| locals[socket.0 as usize % locals.len()]),
        };
        self.emit(event);
    }

    /// Forgets a validated path, here and where it lands.
    pub(crate) fn forget_path(&mut self, index: u32, checked: &CheckedPath) {
        self.flows.disown(&checked.path, index);
        if let Some(shard) = checked.landed_on {
            let kind = CrossingKind::FlowOwner {
                path: checked.path,
                owner: None,
            };
            if !self.port.send(shard, kind, &[]) {
                self.counters.crossings_dropped += 1;
            }
        }
    }

    pub(crate) fn can_send(&self, index: u32) -> bool {
        self.transports
            .get(index as usize)
            .is_some_and(|transport| transport.rtp_path().is_some())
    }

    /// The transport of an id.
    pub(crate) fn transport_index(&self, id: &uuid::Uuid) -> Option<u32> {
        match self.objects.get(id) {
            Some(Object::Transport(index)) => Some(*index),
            _ => None,
        }
    }

    fn answer_check(&mut self, path: Path, answer: &[u8], len: Option<usize>) {
        let Some(answer) = len.and_then(|len| answer.get(..len)) else {
            return;
        };
        self.send_promptly(path, answer);
    }

    /// Sends a datagram before any media of this turn.
    pub(crate) fn send_promptly(&mut self, path: Path, bytes: &[u8]) {
        let Some(slot) = self.prompt.slot(bytes.len()).filter(|_| !bytes.is_empty()) else {
            self.counters.prompt_dropped += 1;
            return;
        };
        slot.copy_from_slice(bytes);
        self.prompt.commit(path, bytes.len());
    }
}

/// The shard a user name fragment of ours names.
fn owner_of(ufrag: &str) -> Option<ShardNo> {
    ShardNo::from_str_radix(ufrag.get(..2)?, 16).ok()
}
