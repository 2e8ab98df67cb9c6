//! A client on a plain transport: RTP or SRTP with keys given through the API.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::api::{Api, PlainOptions, SrtpParameters};
use crate::leg::{Leg, Media, Protection, Route, bind};
use crate::srtp_leg::{SrtpKey, SrtpSuite};

/// How a plain transport is made.
#[derive(Debug, Clone, Copy)]
pub struct PlainSetup {
    /// Address the server listens on; we take ours that leads there.
    pub ip: IpAddr,
    /// SRTP, or none.
    pub suite: Option<SrtpSuite>,
    /// RTCP on the same port.
    pub rtcp_mux: bool,
    /// The server learns our address from our packets.
    pub comedia: bool,
}

impl PlainSetup {
    /// Over one port, with the addresses told.
    pub fn new(ip: IpAddr, suite: Option<SrtpSuite>) -> Self {
        Self {
            ip,
            suite,
            rtcp_mux: true,
            comedia: false,
        }
    }
}

/// A plain transport and our end of it.
pub struct PlainClient {
    /// Id of the transport.
    pub id: String,
    /// Our end.
    pub leg: Leg,
}

impl PlainClient {
    /// Makes the transport on a router and connects both ends.
    pub async fn connect<M: Media>(
        api: &Api,
        router: &str,
        setup: PlainSetup,
        media: Arc<Mutex<M>>,
    ) -> Result<Self> {
        let options = PlainOptions {
            listen_ip: setup.ip,
            rtcp_mux: setup.rtcp_mux,
            comedia: setup.comedia,
            enable_srtp: setup.suite.is_some(),
            srtp_crypto_suite: setup.suite,
        };
        let transport = api.create_plain_transport(router, &options).await?;
        let rtp = transport.tuple.local(setup.ip)?;
        let route = match &transport.rtcp_tuple {
            Some(tuple) if !setup.rtcp_mux => Route {
                rtp,
                rtcp: tuple.local(setup.ip)?,
            },
            _ => Route::muxed(rtp),
        };
        let own_ip = own_ip_towards(rtp)?;
        let socket = bind(SocketAddr::new(own_ip, 0))?;
        let rtcp_socket = (!setup.rtcp_mux)
            .then(|| bind(SocketAddr::new(own_ip, 0)))
            .transpose()?;

        let mut body = json!({});
        if !setup.comedia {
            body["ip"] = json!(own_ip);
            body["port"] = json!(socket.local_addr()?.port());
            if let Some(rtcp_socket) = &rtcp_socket {
                body["rtcpPort"] = json!(rtcp_socket.local_addr()?.port());
            }
        }
        let protection = match setup.suite {
            None => Protection::None,
            Some(suite) => {
                let theirs = transport
                    .srtp_parameters
                    .context("no srtpParameters in the answer")?;
                let send = SrtpKey::random(suite)?;
                body["srtpParameters"] = serde_json::to_value(SrtpParameters::from(&send))?;
                Protection::Srtp {
                    send,
                    receive: theirs.key()?,
                }
            }
        };
        let leg = Leg::start(socket, rtcp_socket, route, &protection, None, media)?;
        if !setup.comedia || setup.suite.is_some() {
            api.connect_plain(&transport.id, &body).await?;
        }
        Ok(Self {
            id: transport.id,
            leg,
        })
    }
}

/// A plain transport that leads to a socket which nobody reads: all that it costs is the server's.
pub struct PlainSink {
    /// Id of the transport.
    pub id: String,
    /// Port of the socket.
    pub port: u16,
    _socket: UdpSocket,
}

impl PlainSink {
    /// Makes the transport on a router.
    pub async fn connect(api: &Api, router: &str, setup: PlainSetup) -> Result<Self> {
        let options = PlainOptions {
            listen_ip: setup.ip,
            rtcp_mux: true,
            comedia: false,
            enable_srtp: setup.suite.is_some(),
            srtp_crypto_suite: setup.suite,
        };
        let transport = api.create_plain_transport(router, &options).await?;
        let own_ip = own_ip_towards(transport.tuple.local(setup.ip)?)?;
        let socket = UdpSocket::bind((own_ip, 0))?;
        // As small as can be: what is full is dropped at the least cost.
        socket2::SockRef::from(&socket).set_recv_buffer_size(1)?;
        let port = socket.local_addr()?.port();
        let mut body = json!({"ip": own_ip, "port": port});
        if let Some(suite) = setup.suite {
            let send = SrtpKey::random(suite)?;
            body["srtpParameters"] = serde_json::to_value(SrtpParameters::from(&send))?;
        }
        api.connect_plain(&transport.id, &body).await?;
        Ok(Self {
            id: transport.id,
            port,
            _socket: socket,
        })
    }
}

/// The address of ours that the kernel sends from to `remote`.
fn own_ip_towards(remote: SocketAddr) -> Result<IpAddr> {
    let any: IpAddr = match remote {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    // Sends nothing, but chooses.
    socket
        .connect(remote)
        .with_context(|| format!("no way to {remote}"))?;
    Ok(socket.local_addr()?.ip())
}
