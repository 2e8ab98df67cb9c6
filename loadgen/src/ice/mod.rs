//! ICE as a full, controlling agent towards an ICE-lite server (RFC 8445), with consent checks
//! (RFC 7675).

mod agent;
mod stun;

pub use agent::{Agent, AgentEvent, Credentials, Nomination, Timing};
pub use stun::{Class, Message, MessageBuilder, StunError, attribute};
