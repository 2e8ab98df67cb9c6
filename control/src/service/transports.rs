//! What transports of every kind have.

use std::sync::Arc;

use uuid::Uuid;
use weirgate_wire::Request;

use super::Service;
use crate::{
    api::{
        ConnectAnswer, LocalEnd, PlainConnect, TransportAnswer, TransportDump, TransportOptions,
        WebRtcConnect, parse,
    },
    error::ApiError,
    model::{Bitrates, TransportKind, blob},
};

/// Which of a transport's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BitrateLimit {
    /// What the peer may send.
    MaxIncoming,
    /// What we send at most.
    MaxOutgoing,
    /// What the estimate never goes under.
    MinOutgoing,
}

/// mediasoup refuses to go lower: nothing is left of a call below this.
const LEAST_OUTGOING_BITRATE: u32 = 30_000;

impl Service {
    /// Makes a transport on a router.
    ///
    /// # Errors
    /// `bad_request` naming the field, `not_found` for the router, and the engine's.
    pub async fn create_transport(
        self: &Arc<Self>,
        router: Uuid,
        options: TransportOptions,
    ) -> Result<TransportAnswer, ApiError> {
        match options {
            TransportOptions::WebRtc(options) => {
                let answer = self.create_webrtc_transport(router, *options, None).await?;
                Ok(TransportAnswer::WebRtc(answer))
            }
            TransportOptions::Plain(options) => {
                let answer = self.create_plain_transport(router, *options).await?;
                Ok(TransportAnswer::Plain(answer))
            }
        }
    }

    /// Connects a transport; what the body holds depends on the transport's kind.
    ///
    /// # Errors
    /// As [`Service::connect_webrtc`] and [`Service::connect_plain`].
    pub async fn connect_transport(
        self: &Arc<Self>,
        id: Uuid,
        body: &[u8],
    ) -> Result<ConnectAnswer, ApiError> {
        let is_webrtc = self.state().model.transport(id)?.webrtc().is_some();
        if is_webrtc {
            let body: WebRtcConnect = parse(body)?;
            let dtls_local_role = self.connect_webrtc(id, body.dtls_parameters).await?;
            Ok(ConnectAnswer::WebRtc { dtls_local_role })
        } else {
            let body: PlainConnect = parse(body)?;
            let (tuple, rtcp_tuple) = self.connect_plain(id, body).await?;
            Ok(ConnectAnswer::Plain { tuple, rtcp_tuple })
        }
    }

    /// Sets one of a transport's limits, in bit/s; 0 for none.
    ///
    /// # Errors
    /// `bad_request` where the limits contradict each other, `not_found`, and the engine's.
    pub async fn set_bitrate(
        self: &Arc<Self>,
        id: Uuid,
        limit: BitrateLimit,
        bitrate: u32,
    ) -> Result<(), ApiError> {
        let setting = {
            let mut state = self.state();
            let transport = state.model.transport_mut(id)?;
            let bitrates = with_limit(transport.record.bitrates, limit, bitrate)?;
            // At once, so that two calls at a time do not undo each other.
            transport.record.bitrates = bitrates;
            let request = Request::SetBitrates {
                id,
                max_incoming: bitrates.max_incoming,
                max_outgoing: bitrates.max_outgoing,
                min_outgoing: bitrates.min_outgoing,
                blob: Some(blob(&transport.record)),
            };
            self.engine.request(request, |_| Ok(()))
        };
        setting.await
    }

    /// A transport as it stands.
    ///
    /// # Errors
    /// `not_found`.
    pub fn transport(&self, id: Uuid) -> Result<TransportDump, ApiError> {
        let candidates = self.facts().map(|facts| facts.candidates);
        let candidates = candidates.unwrap_or_default();
        let state = self.state();
        let transport = state.model.transport(id)?;
        let local = LocalEnd {
            candidates: &candidates,
            dtls: self.dtls_parameters(),
        };
        Ok(TransportDump::new(transport, &state.model, &local))
    }

    /// Names of the transports' kinds with their numbers, for the figures.
    pub(crate) fn transport_counts(&self) -> [(&'static str, usize); 2] {
        let state = self.state();
        let all = state.model.transports.len();
        let kinds = state.model.transports.values();
        let plain = kinds
            .filter(|it| matches!(it.record.kind, TransportKind::Plain(_)))
            .count();
        [("webrtc", all - plain), ("plain", plain)]
    }
}

fn with_limit(now: Bitrates, limit: BitrateLimit, bitrate: u32) -> Result<Bitrates, ApiError> {
    let is_outgoing = limit != BitrateLimit::MaxIncoming;
    if is_outgoing && bitrate != 0 && bitrate < LEAST_OUTGOING_BITRATE {
        let message = format!("must be 0 or at least {LEAST_OUTGOING_BITRATE}");
        return Err(ApiError::bad_field("bitrate", message));
    }
    let mut wanted = now;
    match limit {
        BitrateLimit::MaxIncoming => wanted.max_incoming = bitrate,
        BitrateLimit::MaxOutgoing => wanted.max_outgoing = bitrate,
        BitrateLimit::MinOutgoing => wanted.min_outgoing = bitrate,
    }
    let is_contradiction = wanted.max_outgoing != 0 && wanted.min_outgoing > wanted.max_outgoing;
    if is_contradiction {
        let message = "the least outgoing bitrate would be over the most";
        return Err(ApiError::bad_field("bitrate", message));
    }
    Ok(wanted)
}
