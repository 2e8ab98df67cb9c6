//! Plain transports: RTP or SRTP to and from given addresses.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use uuid::Uuid;
use weirgate_wire::{Answer, Request, SrtpKey, SrtpSuite};

use super::Service;
use crate::{
    api::{
        ListenInfo, PlainConnect, PlainTransportAnswer, PlainTransportOptions, TransportTuple,
        app_data, plain_rtcp_tuple, plain_tuple,
    },
    engine_link::unexpected_answer,
    error::{ApiError, ErrorCode},
    model::{Plain, SrtpParameters, Transport, TransportKind, TransportRecord, blob},
};

/// mediasoup's default.
const DEFAULT_SUITE: SrtpSuite = SrtpSuite::AesCm128HmacSha1_80;

/// Media without keys is for this host, unless the caller says otherwise.
const DEFAULT_LISTEN_IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl Service {
    /// Makes a plain transport.
    ///
    /// # Errors
    /// `bad_request` naming the field, `not_found` for the router, and the engine's.
    pub async fn create_plain_transport(
        self: &Arc<Self>,
        router: Uuid,
        options: PlainTransportOptions,
    ) -> Result<PlainTransportAnswer, ApiError> {
        let ends = Ends::of(&options)?;
        let own = own_srtp(&options)?;
        let (key, srtp) = own.map_or((None, None), |(key, shown)| (Some(key), Some(shown)));
        let plain = Plain {
            rtcp_mux: options.rtcp_mux.unwrap_or(true),
            comedia: options.comedia.unwrap_or(false),
            srtp,
            announced_address: ends.announced,
            rtcp_announced_address: ends.rtcp_announced,
            ..Plain::default()
        };
        let (rtcp_mux, comedia) = (plain.rtcp_mux, plain.comedia);
        let kind = TransportKind::Plain(Box::new(plain));
        let own_data = app_data(options.app_data.clone());
        let record = TransportRecord::new(kind, own_data, None);
        let id = Uuid::new_v4();
        let creating = {
            let state = self.state();
            state.model.router(router)?;
            let request = Request::CreatePlainTransport {
                id,
                router,
                listen_ip: ends.ip,
                port: ends.port,
                rtcp_listen_ip: ends.rtcp_ip,
                rtcp_port: ends.rtcp_port,
                rtcp_mux,
                comedia,
                srtp: key,
                blob: blob(&record),
            };
            let service = Arc::clone(self);
            self.engine.request(request, move |answer| {
                let addresses = Addresses::of(answer)?;
                let mut transport = Transport::new(id, router, addresses.shard, record);
                let Some(plain) = transport.plain_mut() else {
                    return Err(ApiError::not_found("transport", id));
                };
                addresses.enter(plain);
                let answer = PlainTransportAnswer {
                    id,
                    tuple: plain_tuple(plain),
                    rtcp_tuple: plain_rtcp_tuple(plain),
                    srtp_parameters: plain.srtp.clone(),
                };
                service.add_transport(transport)?;
                Ok(answer)
            })
        };
        let made = creating.await;
        made.map_err(|error| in_options(error, &options))
    }

    /// Gives a plain transport its remote end.
    ///
    /// # Errors
    /// `bad_request` naming the field, `conflict` on the second call, and the engine's.
    pub async fn connect_plain(
        self: &Arc<Self>,
        id: Uuid,
        remote: PlainConnect,
    ) -> Result<(TransportTuple, Option<TransportTuple>), ApiError> {
        let connecting = {
            let mut state = self.state();
            let transport = state.model.transport_mut(id)?;
            let Some(plain) = transport.plain_mut() else {
                return Err(ApiError::conflict(format!("{id} is no plain transport")));
            };
            if plain.is_connected {
                return Err(ApiError::conflict(format!("{id} is connected already")));
            }
            let (rtp, rtcp) = remote_addresses(plain, &remote)?;
            let srtp = remote_srtp(plain, remote.srtp_parameters)?;
            let mut record = transport.record.clone();
            if let TransportKind::Plain(plain) = &mut record.kind {
                plain.is_connected = true;
            }
            let request = Request::ConnectPlain {
                id,
                remote: rtp,
                rtcp_remote: rtcp,
                srtp,
                blob: blob(&record),
            };
            let service = Arc::clone(self);
            self.engine.request(request, move |answer| {
                let addresses = Addresses::of(answer)?;
                let mut state = service.state();
                let Some(plain) = state.model.transport_mut(id)?.plain_mut() else {
                    return Err(ApiError::not_found("transport", id));
                };
                plain.is_connected = true;
                addresses.enter(plain);
                Ok((plain_tuple(plain), plain_rtcp_tuple(plain)))
            })
        };
        connecting.await
    }
}

/// Where a plain transport is to listen.
struct Ends {
    ip: IpAddr,
    port: Option<u16>,
    announced: Option<String>,
    rtcp_ip: IpAddr,
    rtcp_port: Option<u16>,
    rtcp_announced: Option<String>,
}

impl Ends {
    fn of(options: &PlainTransportOptions) -> Result<Self, ApiError> {
        let (ip, port, announced) = match (&options.listen_info, &options.listen_ip) {
            (Some(info), _) => listen("listenInfo", info)?,
            (None, Some(short)) => {
                let ip = parse_ip("listenIp", &short.ip)?;
                (ip, given_port(options.port), short.announced_ip.clone())
            }
            (None, None) => (DEFAULT_LISTEN_IP, given_port(options.port), None),
        };
        let (rtcp_ip, rtcp_port, rtcp_announced) = match &options.rtcp_listen_info {
            Some(_) if options.rtcp_mux.unwrap_or(true) => {
                return Err(ApiError::bad_field(
                    "rtcpListenInfo",
                    "is of use only with rtcpMux:false",
                ));
            }
            Some(info) => listen("rtcpListenInfo", info)?,
            None => (ip, None, announced.clone()),
        };
        Ok(Self {
            ip,
            port,
            announced,
            rtcp_ip,
            rtcp_port,
            rtcp_announced,
        })
    }
}

fn listen(
    name: &str,
    info: &ListenInfo,
) -> Result<(IpAddr, Option<u16>, Option<String>), ApiError> {
    let ip = parse_ip(&format!("{name}.ip"), &info.ip)?;
    Ok((ip, given_port(info.port), info.announced()))
}

/// What the engine says of an address or port, about the option that gave it.
fn in_options(mut error: ApiError, options: &PlainTransportOptions) -> ApiError {
    let Some((name, reason)) = error.message.split_once(": ") else {
        return error;
    };
    let (option, is_given) = match name {
        "listen_ip" => ("listenInfo", options.listen_info.is_some()),
        "rtcp_listen_ip" => ("rtcpListenInfo", options.rtcp_listen_info.is_some()),
        _ => return error,
    };
    let field = match (is_given, error.code) {
        (true, ErrorCode::Conflict) => format!("{option}.port"),
        (true, _) => format!("{option}.ip"),
        (false, ErrorCode::Conflict) => "port".to_owned(),
        (false, _) => "listenIp".to_owned(),
    };
    error.message = format!("{field}: {reason}");
    error.field = Some(field);
    error
}

/// mediasoup takes 0 for "any".
fn given_port(port: Option<u16>) -> Option<u16> {
    port.filter(|port| *port != 0)
}

fn parse_ip(field: &str, text: &str) -> Result<IpAddr, ApiError> {
    text.parse()
        .map_err(|_| ApiError::bad_field(field, format!("{text:?} is no IP address")))
}

fn own_srtp(
    options: &PlainTransportOptions,
) -> Result<Option<(SrtpKey, SrtpParameters)>, ApiError> {
    let suite = match &options.srtp_crypto_suite {
        Some(name) => suite_named("srtpCryptoSuite", name)?,
        None => DEFAULT_SUITE,
    };
    if !options.enable_srtp.unwrap_or(false) {
        return Ok(None);
    }
    let mut bytes = vec![0; suite.key_len() + suite.salt_len()];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "no random numbers");
        ApiError::engine_unavailable()
    })?;
    let shown = SrtpParameters {
        crypto_suite: suite.name().to_owned(),
        key_base64: BASE64_STANDARD.encode(&bytes),
    };
    Ok(SrtpKey::new(suite, bytes).map(|key| (key, shown)))
}

fn suite_named(field: &str, name: &str) -> Result<SrtpSuite, ApiError> {
    SrtpSuite::from_name(name).ok_or_else(|| {
        let names = SrtpSuite::ALL.map(SrtpSuite::name).join(", ");
        ApiError::bad_field(field, format!("{name:?} is not one of {names}"))
    })
}

fn remote_addresses(
    plain: &Plain,
    remote: &PlainConnect,
) -> Result<(Option<SocketAddr>, Option<SocketAddr>), ApiError> {
    if plain.comedia {
        for (field, is_given) in [
            ("ip", remote.ip.is_some()),
            ("port", remote.port.is_some()),
            ("rtcpPort", remote.rtcp_port.is_some()),
        ] {
            if is_given {
                let message = "must be left out with comedia, which learns the address";
                return Err(ApiError::bad_field(field, message));
            }
        }
        return Ok((None, None));
    }
    let ip = remote.ip.as_deref();
    let ip = parse_ip(
        "ip",
        ip.ok_or_else(|| ApiError::bad_field("ip", "is missing"))?,
    )?;
    let rtp = SocketAddr::new(ip, remote_port("port", remote.port)?);
    if plain
        .local
        .is_some_and(|local| local.is_ipv4() != rtp.is_ipv4())
    {
        let message = "is of another family than the transport listens on";
        return Err(ApiError::bad_field("ip", message));
    }
    let rtcp = match (plain.rtcp_mux, remote.rtcp_port) {
        (true, None) => None,
        (true, Some(_)) => {
            return Err(ApiError::bad_field(
                "rtcpPort",
                "must be left out with rtcpMux",
            ));
        }
        (false, port) => Some(SocketAddr::new(ip, remote_port("rtcpPort", port)?)),
    };
    Ok((Some(rtp), rtcp))
}

fn remote_port(field: &str, port: Option<u16>) -> Result<u16, ApiError> {
    match port {
        Some(0) => Err(ApiError::bad_field(field, "must be 1 to 65535")),
        Some(port) => Ok(port),
        None => Err(ApiError::bad_field(field, "is missing")),
    }
}

fn remote_srtp(plain: &Plain, remote: Option<SrtpParameters>) -> Result<Option<SrtpKey>, ApiError> {
    let (own, remote) = match (&plain.srtp, remote) {
        (None, None) => return Ok(None),
        (None, Some(_)) => {
            let message = "the transport was made without enableSrtp";
            return Err(ApiError::bad_field("srtpParameters", message));
        }
        (Some(_), None) => return Err(ApiError::bad_field("srtpParameters", "is missing")),
        (Some(own), Some(remote)) => (own, remote),
    };
    let suite = suite_named("srtpParameters.cryptoSuite", &remote.crypto_suite)?;
    if own.crypto_suite != remote.crypto_suite {
        let message = format!("must be the transport's, {}", own.crypto_suite);
        return Err(ApiError::bad_field("srtpParameters.cryptoSuite", message));
    }
    let bytes = BASE64_STANDARD.decode(&remote.key_base64).ok();
    let key = bytes.and_then(|bytes| SrtpKey::new(suite, bytes));
    key.map(Some).ok_or_else(|| {
        let len = suite.key_len() + suite.salt_len();
        let message = format!("must be {len} bytes as base64");
        ApiError::bad_field("srtpParameters.keyBase64", message)
    })
}

/// A plain transport's addresses as the engine tells them.
struct Addresses {
    shard: u16,
    local: SocketAddr,
    remote: Option<SocketAddr>,
    rtcp_local: Option<SocketAddr>,
    rtcp_remote: Option<SocketAddr>,
}

impl Addresses {
    fn of(answer: Answer) -> Result<Self, ApiError> {
        match answer {
            Answer::PlainTransport {
                shard,
                local,
                remote,
                rtcp_local,
                rtcp_remote,
            } => Ok(Self {
                shard,
                local,
                remote,
                rtcp_local,
                rtcp_remote,
            }),
            other => Err(unexpected_answer(&other)),
        }
    }

    fn enter(&self, plain: &mut Plain) {
        plain.local = Some(self.local);
        plain.remote = self.remote;
        plain.rtcp_local = self.rtcp_local;
        plain.rtcp_remote = self.rtcp_remote;
    }
}
