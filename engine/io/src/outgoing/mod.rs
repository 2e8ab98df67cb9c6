//! Sending: trains become messages, messages go out by a back end's [`Wire`], and what failed is
//! told or, where it was the segmentation offload, tried again datagram by datagram.

mod messages;
mod refusals;
mod sender;

pub(crate) use messages::Messages;
pub(crate) use sender::{Sender, Way, Wire};
