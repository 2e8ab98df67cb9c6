//! Sockets: how they are bound, their options, and the table a back end keeps them in.

mod bind;
mod options;
mod quiet;
mod table;

pub use bind::{bind_media, bind_plain};
pub use options::poll_busily;
pub(crate) use options::{join_datagrams, joining_known, segmentation_offload_known, try_set};
pub use quiet::bind_quiet;
pub(crate) use quiet::{RTCP_MASK, RTCP_TYPES, VERSION_2, VERSION_MASK};
pub(crate) use table::{SocketTable, Token};
