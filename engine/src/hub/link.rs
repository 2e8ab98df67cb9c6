//! The connection to control, as the hub sees it.

use weirgate_wire::{PROTOCOL_VERSION, ToControl, encode};

use super::snapshot::Snapshot;
use super::{Hub, limits};
use crate::control_socket::Outgoing;

pub(super) struct Link {
    /// Its number, never used again.
    pub(super) connection: u64,
    /// Control's process id, as it says.
    pid: u32,
    pub(super) outgoing: Outgoing,
    /// Events are sent as they happen; before, they are merged.
    pub(super) live: bool,
    /// The one being sent.
    pub(super) snapshot: Option<Snapshot>,
}

impl Hub {
    /// Takes a control that said a right hello, or refuses it where there is one already.
    pub(super) fn greet(&mut self, connection: u64, pid: u32, outgoing: Outgoing) {
        // A control that was killed may be replaced before the end of its connection is read.
        let other = self
            .link
            .as_ref()
            .filter(|link| !link.outgoing.peer_is_gone());
        if let Some(link) = other {
            let reason = format!("another control (pid {}) is connected", link.pid);
            self.counters.controls_refused += 1;
            tracing::warn!(pid, %reason, "control refused");
            queue(&outgoing, &ToControl::Refused { reason });
            return;
        }
        tracing::info!(pid, "control connected");
        self.counters.controls += 1;
        let welcome = ToControl::Welcome {
            version: PROTOCOL_VERSION,
            epoch: self.facts.epoch,
            pid: std::process::id(),
        };
        queue(&outgoing, &welcome);
        self.link = Some(Link {
            connection,
            pid,
            outgoing,
            live: false,
            snapshot: None,
        });
    }

    pub(super) fn is_current(&self, connection: u64) -> bool {
        self.link
            .as_ref()
            .is_some_and(|link| link.connection == connection)
    }

    /// Whether events are sent as they happen.
    pub(super) fn is_live(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.live)
    }

    /// Bytes control has not read yet.
    pub(super) fn queued_bytes(&self) -> usize {
        self.link
            .as_ref()
            .map_or(0, |link| link.outgoing.queued_bytes())
    }

    /// Queues a message for control, if there is one. A control that does not read is cut off.
    pub(super) fn send(&mut self, message: &ToControl) {
        let Some(link) = &self.link else {
            return;
        };
        queue(&link.outgoing, message);
        if link.outgoing.queued_bytes() > limits::OUTGOING_HARD_BYTES {
            self.drop_link("does not read its messages");
        }
    }

    /// Ends the connection to control.
    pub(super) fn drop_link(&mut self, why: &str) {
        if let Some(link) = self.link.take() {
            tracing::warn!(pid = link.pid, why, "control is cut off; media goes on");
            self.counters.controls_cut_off += 1;
            link.outgoing.cut_off();
        }
    }
}

fn queue(outgoing: &Outgoing, message: &ToControl) {
    let mut frame = Vec::new();
    match encode(message, &mut frame) {
        Ok(()) => outgoing.queue(frame),
        // Everything kept is bounded so that it fits; an answer or object missing is the lesser
        // evil.
        Err(error) => tracing::error!(%error, "a message for control can not be encoded"),
    }
}
