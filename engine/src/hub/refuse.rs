//! Refusals, by class.

use std::fmt::Display;

use uuid::Uuid;
use weirgate_wire::{ObjectKind, Refusal, RefusalKind};

fn refusal(kind: RefusalKind, message: String) -> Refusal {
    Refusal { kind, message }
}

pub(super) fn invalid(message: impl Display) -> Refusal {
    refusal(RefusalKind::Invalid, message.to_string())
}

pub(super) fn conflict(message: impl Display) -> Refusal {
    refusal(RefusalKind::Conflict, message.to_string())
}

pub(super) fn over_capacity(message: impl Display) -> Refusal {
    refusal(RefusalKind::OverCapacity, message.to_string())
}

pub(super) fn not_found(kind: ObjectKind, id: Uuid) -> Refusal {
    let message = format!("there is no {} {id}", name(kind));
    refusal(RefusalKind::NotFound, message)
}

pub(super) fn exists(kind: ObjectKind, id: Uuid) -> Refusal {
    conflict(format_args!("there is a {} {id} already", name(kind)))
}

pub(super) fn full(kind: ObjectKind, limit: usize) -> Refusal {
    over_capacity(format_args!("there are {limit} {}s already", name(kind)))
}

pub(super) const fn name(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Router => "router",
        ObjectKind::Transport => "transport",
        ObjectKind::Producer => "producer",
        ObjectKind::Consumer => "consumer",
    }
}
