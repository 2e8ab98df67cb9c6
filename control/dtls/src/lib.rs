//! Sans-IO DTLS-SRTP endpoint (RFC 5764, RFC 6347): datagrams and the time go in, datagrams,
//! SRTP keys and the end of the connection come out.
//!
//! [`Certificate`] and [`DtlsContext`] are made once per process, a [`DtlsEndpoint`] once per
//! transport. No socket, clock or thread is used here; the one exception is said in [`flight`].
//!
//! ```
//! use std::time::Instant;
//! use weirgate_dtls::{Certificate, DtlsContext, DtlsEndpoint, DtlsOutput, DtlsRole};
//!
//! let ours = Certificate::generate()?;
//! let context = DtlsContext::new(&ours)?;
//! let now = Instant::now();
//! // A real caller gives the peer's fingerprints here.
//! let mut endpoint = DtlsEndpoint::new(&context, DtlsRole::Client, ours.fingerprints(), now)?;
//! assert!(matches!(endpoint.poll_output(), Some(DtlsOutput::Datagram(_))));
//! # Ok::<(), weirgate_dtls::DtlsError>(())
//! ```

mod certificate;
mod context;
mod endpoint;
mod error;
mod fingerprint;
pub mod flight;
mod hello;
mod keys;
mod record;
mod stream;

pub use certificate::Certificate;
pub use context::{DtlsContext, MTU_BYTES};
pub use endpoint::{DtlsEndpoint, DtlsOutput, DtlsRole, HANDSHAKE_DEADLINE, MAX_DATAGRAM_BYTES};
pub use error::{DtlsError, FailureReason};
pub use fingerprint::{Fingerprint, HashAlgorithm};
pub use keys::SrtpKeys;
