//! A client on a WebRTC transport: ICE, then DTLS, then SRTP, as a browser does it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use tokio::sync::mpsc;

use crate::api::{Api, Candidate, WebRtcOffer};
use crate::dtls_client::{DtlsParameters, DtlsRole, DtlsSession, Handshake, Identity};
use crate::ice::{Agent, AgentEvent, Credentials, Nomination, Timing};
use crate::leg::{Handshaking, Leg, Media, Protection, Route, bind};
use crate::srtp_leg::SrtpSuite;

/// DTLS datagrams that may wait for the handshake.
const MAX_QUEUED_RECORDS: usize = 64;

/// How a WebRTC client behaves.
#[derive(Clone)]
pub struct WebRtcSetup {
    /// Our certificate.
    pub identity: Identity,
    /// Our DTLS role.
    pub role: DtlsRole,
    /// Our ICE credentials.
    pub credentials: Credentials,
    /// SRTP suites offered.
    pub suites: Vec<SrtpSuite>,
    /// How the pair is nominated.
    pub nomination: Nomination,
    /// Intervals of checks.
    pub timing: Timing,
    /// IPv6 instead of IPv4; also taken where the server offers nothing else.
    pub ipv6: bool,
    /// ICE and DTLS each fail after so long.
    pub timeout: Duration,
}

impl WebRtcSetup {
    /// As browsers do: DTLS client, aggressive nomination, IPv4.
    pub fn new() -> Result<Self> {
        Ok(Self {
            identity: Identity::shared()?,
            role: DtlsRole::Client,
            credentials: Credentials::random()?,
            suites: SrtpSuite::ALL.to_vec(),
            nomination: Nomination::Aggressive,
            timing: Timing::default(),
            ipv6: false,
            timeout: Duration::from_secs(10),
        })
    }

    /// What the server must be told before the handshake.
    pub fn dtls_parameters(&self) -> DtlsParameters {
        DtlsParameters {
            role: self.role,
            fingerprints: vec![self.identity.fingerprint().clone()],
        }
    }
}

/// A WebRTC transport and our end of it.
pub struct WebRtcClient {
    /// Id of the transport.
    pub id: String,
    /// Our end.
    pub leg: Leg,
    /// What else the agent finds out.
    pub events: mpsc::UnboundedReceiver<AgentEvent>,
    /// The finished handshake.
    pub session: DtlsSession,
}

impl WebRtcClient {
    /// Makes a transport on a router through the HTTP API and connects to it. Its `appData` has what
    /// servers that negotiate by SDP want to know before anything else, and others do not need.
    pub async fn connect<M: Media>(
        api: &Api,
        router: &str,
        setup: &WebRtcSetup,
        media: Arc<Mutex<M>>,
    ) -> Result<Self> {
        let app_data = json!({"direction": M::DIRECTION, "iceParameters": setup.credentials});
        let offer = api
            .create_webrtc_transport(router, &json!({"appData": app_data}))
            .await?;
        api.connect_webrtc(&offer.id, &setup.dtls_parameters())
            .await?;
        Self::establish(&offer, setup, media).await
    }

    /// Connects to a transport that was told [`WebRtcSetup::dtls_parameters`].
    pub async fn establish<M: Media>(
        offer: &WebRtcOffer,
        setup: &WebRtcSetup,
        media: Arc<Mutex<M>>,
    ) -> Result<Self> {
        let mut offered = offer.ice_candidates.iter();
        let ipv6 = setup.ipv6 || !offered.any(|it| it.ip.parse::<Ipv4Addr>().is_ok());
        let candidates = addresses(&offer.ice_candidates, ipv6)?;
        let mut agent = Agent::new(
            offer.ice_parameters.clone(),
            candidates.clone(),
            setup.nomination,
        )?;
        agent.set_timing(setup.timing);
        agent.set_local(setup.credentials.clone());
        let (event_sender, mut events) = mpsc::unbounded_channel();
        let (record_sender, records) = mpsc::channel(MAX_QUEUED_RECORDS);
        let handshaking = Handshaking {
            agent,
            events: event_sender,
            records: record_sender,
        };
        let any = if ipv6 {
            IpAddr::from(Ipv6Addr::UNSPECIFIED)
        } else {
            IpAddr::from(Ipv4Addr::UNSPECIFIED)
        };
        let socket = bind(SocketAddr::new(any, 0))?;
        let first = *candidates.first().context("no candidate")?;
        let route = Route::muxed(first);
        let leg = Leg::start(
            socket,
            None,
            route,
            &Protection::Awaited,
            Some(handshaking),
            media,
        )?;
        nominated(&mut events, setup.timeout).await?;
        let handshake = Handshake {
            identity: setup.identity.clone(),
            role: setup.role,
            suites: setup.suites.clone(),
            expected: offer.dtls_parameters.fingerprints.clone(),
        };
        let session = handshake
            .run(Arc::clone(leg.outbound()), records, setup.timeout)
            .await?;
        leg.outbound().protect(&Protection::Srtp {
            send: session.send.clone(),
            receive: session.receive.clone(),
        })?;
        Ok(Self {
            id: offer.id.clone(),
            leg,
            events,
            session,
        })
    }

    /// Says good-bye and closes the socket; the transport is the caller's to close.
    pub async fn close(self) {
        self.session.close().await;
        self.leg.close().await;
    }
}

/// The UDP candidates of one family, the most preferred first.
pub fn addresses(candidates: &[Candidate], ipv6: bool) -> Result<Vec<SocketAddr>> {
    let mut usable: Vec<(u32, SocketAddr)> = candidates
        .iter()
        .filter(|candidate| candidate.protocol == "udp")
        .filter_map(|candidate| {
            let ip: IpAddr = candidate.ip.parse().ok()?;
            (ip.is_ipv6() == ipv6).then(|| (candidate.priority, (ip, candidate.port).into()))
        })
        .collect();
    if usable.is_empty() {
        let family = if ipv6 { "IPv6" } else { "IPv4" };
        bail!("the server offers no {family} UDP candidate");
    }
    usable.sort_by_key(|(priority, _)| std::cmp::Reverse(*priority));
    Ok(usable.into_iter().map(|(_, address)| address).collect())
}

async fn nominated(
    events: &mut mpsc::UnboundedReceiver<AgentEvent>,
    timeout: Duration,
) -> Result<SocketAddr> {
    let wait = async {
        match events.recv().await {
            Some(AgentEvent::Nominated(address)) => Ok(address),
            Some(AgentEvent::Refused(code)) => bail!("the server refuses ICE checks with {code}"),
            Some(AgentEvent::ConsentLost) => bail!("the server stopped answering ICE checks"),
            None => bail!("the socket was closed"),
        }
    };
    tokio::time::timeout(timeout, wait)
        .await
        .with_context(|| format!("no candidate answered ICE checks within {timeout:?}"))?
}
