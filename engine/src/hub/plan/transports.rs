//! Transports: made, connected, restarted.

use std::net::{IpAddr, SocketAddr};

use uuid::Uuid;
use weirgate_shard::{CommandBody, ShardNo};
use weirgate_wire::{Answer, IceState, ObjectKind, Refusal, SrtpKey, TraceTypes};

use super::{created, room};
use crate::hub::pending::{Change, Plan};
use crate::hub::plain_ports::PlainSocket;
use crate::hub::registry::{PlainBody, PlainEnd, Transport, TransportBody, WebRtcBody};
use crate::hub::{Hub, credentials, limits, refuse, validate};
use crate::placement::Seat;
use crate::shard_thread::ShardTask;

/// What a WebRTC transport is made of.
pub(super) struct WebRtcRequest {
    pub(super) router: Uuid,
    pub(super) ice_consent_timeout_s: u32,
    pub(super) initial_outgoing_bps: u32,
    pub(super) blob: Vec<u8>,
}

/// What a plain transport is made of.
pub(super) struct PlainRequest {
    pub(super) router: Uuid,
    pub(super) listen: (IpAddr, Option<u16>),
    /// `None` with rtcp-mux.
    pub(super) rtcp_listen: Option<(IpAddr, Option<u16>)>,
    pub(super) comedia: bool,
    pub(super) srtp: Option<SrtpKey>,
    pub(super) blob: Vec<u8>,
}

impl Hub {
    pub(super) fn plan_webrtc(
        &mut self,
        id: Uuid,
        request: WebRtcRequest,
    ) -> Result<Plan, Refusal> {
        self.may_add_transport(id, request.router)?;
        let shard = self.place();
        let ice = credentials::generate(shard)?;
        self.blobs.take(request.blob.len())?;
        let body = TransportBody::WebRtc(WebRtcBody {
            ice: ice.clone(),
            state: IceState::New,
            tuple: None,
            keyed: false,
        });
        self.add_transport(id, request.router, shard, request.blob, body);
        let answer = Answer::WebRtcTransport {
            shard,
            ice_ufrag: ice.ufrag.clone(),
            ice_pwd: ice.pwd.clone(),
        };
        let command = CommandBody::CreateWebRtcTransport {
            id,
            ice,
            ice_consent_timeout_s: request.ice_consent_timeout_s,
            initial_outgoing_bps: request.initial_outgoing_bps,
        };
        Ok(created(
            ObjectKind::Transport,
            id,
            answer,
            vec![(shard, ShardTask::new(command))],
        ))
    }

    pub(super) fn plan_plain(&mut self, id: Uuid, request: PlainRequest) -> Result<Plan, Refusal> {
        self.may_add_transport(id, request.router)?;
        if let Some(key) = &request.srtp {
            validate::srtp_key("srtp", key)?;
        }
        self.blobs.take(request.blob.len())?;
        let blob_bytes = request.blob.len();
        let plan = self.open_plain(id, request);
        if plan.is_err() {
            self.blobs.give(blob_bytes);
        }
        plan
    }

    fn open_plain(&mut self, id: Uuid, request: PlainRequest) -> Result<Plan, Refusal> {
        let (ip, port) = request.listen;
        let rtp = self.ports.open("listen_ip", ip, port)?;
        let rtcp = match request.rtcp_listen {
            None => None,
            Some((ip, port)) => match self.ports.open("rtcp_listen_ip", ip, port) {
                Ok(socket) => Some(socket),
                Err(refusal) => {
                    self.ports.close(rtp.id);
                    return Err(refusal);
                }
            },
        };
        let shard = self.place();
        let mut task = ShardTask::new(CommandBody::CreatePlainTransport {
            id,
            rtp_socket: rtp.id,
            rtp_local: rtp.local,
            rtcp: rtcp.as_ref().map(|rtcp| (rtcp.id, rtcp.local)),
            comedia: request.comedia,
            srtp: request.srtp,
        });
        let mut end = |socket: PlainSocket| {
            task.add.push((socket.id, socket.socket));
            PlainEnd {
                socket: socket.id,
                local: socket.local,
                remote: None,
            }
        };
        let plain = PlainBody {
            rtp: end(rtp),
            rtcp: rtcp.map(end),
        };
        let answer = plain_answer(shard, &plain);
        let body = TransportBody::Plain(plain);
        self.add_transport(id, request.router, shard, request.blob, body);
        Ok(created(
            ObjectKind::Transport,
            id,
            answer,
            vec![(shard, task)],
        ))
    }

    pub(super) fn plan_connect_plain(
        &mut self,
        id: Uuid,
        remote: Option<SocketAddr>,
        rtcp_remote: Option<SocketAddr>,
        srtp: Option<SrtpKey>,
        blob: Vec<u8>,
    ) -> Result<Plan, Refusal> {
        let plain = self.plain(id)?;
        if rtcp_remote.is_some() && plain.rtcp.is_none() {
            return Err(refuse::invalid("rtcp_remote: the transport has rtcp-mux"));
        }
        let rtcp_local = plain.rtcp.as_ref().map(|rtcp| rtcp.local);
        same_family("remote", plain.rtp.local, remote)?;
        same_family(
            "rtcp_remote",
            rtcp_local.unwrap_or(plain.rtp.local),
            rtcp_remote,
        )?;
        if let Some(key) = &srtp {
            validate::srtp_key("srtp", key)?;
        }
        let body = CommandBody::ConnectPlain {
            id,
            remote,
            rtcp_remote,
            srtp,
        };
        let change = Change::Connected;
        self.change(ObjectKind::Transport, id, body, Some(blob), change)
    }

    pub(super) fn plan_restart_ice(
        &mut self,
        id: Uuid,
        blob: Option<Vec<u8>>,
    ) -> Result<Plan, Refusal> {
        self.webrtc(id)?;
        let ice = credentials::generate(self.registry.transport(id)?.shard)?;
        let body = CommandBody::RestartIce {
            id,
            ice: ice.clone(),
        };
        self.change(ObjectKind::Transport, id, body, blob, Change::Ice(ice))
    }

    fn may_add_transport(&self, id: Uuid, router: Uuid) -> Result<(), Refusal> {
        self.registry.router(router)?;
        if self.registry.transports.contains_key(&id) {
            return Err(refuse::exists(ObjectKind::Transport, id));
        }
        let transports = self.registry.transports.len();
        room(ObjectKind::Transport, transports, limits::TRANSPORTS)
    }

    fn add_transport(
        &mut self,
        id: Uuid,
        router: Uuid,
        shard: ShardNo,
        blob: Vec<u8>,
        body: TransportBody,
    ) {
        let transport = Transport {
            router,
            shard,
            blob,
            body,
            trace: TraceTypes::NONE,
            producers: Default::default(),
            consumers: Default::default(),
            changed: false,
        };
        self.registry.add_transport(id, transport);
    }

    fn place(&mut self) -> ShardNo {
        let seats = self.shards.iter().map(|shard| Seat {
            transports: self.registry.census(shard.number()).transports,
            load: shard.load(),
        });
        let seats: Vec<Seat> = seats.collect();
        self.placement.place(self.facts.clock.now(), &seats)
    }

    pub(super) fn webrtc(&self, id: Uuid) -> Result<&WebRtcBody, Refusal> {
        match &self.registry.transport(id)?.body {
            TransportBody::WebRtc(webrtc) => Ok(webrtc),
            TransportBody::Plain(_) => Err(refuse::invalid(format_args!(
                "transport {id} is a plain one"
            ))),
        }
    }

    fn plain(&self, id: Uuid) -> Result<&PlainBody, Refusal> {
        match &self.registry.transport(id)?.body {
            TransportBody::Plain(plain) => Ok(plain),
            TransportBody::WebRtc(_) => Err(refuse::invalid(format_args!(
                "transport {id} is a WebRTC one"
            ))),
        }
    }
}

/// The addresses of a plain transport as they stand.
pub(in crate::hub) fn plain_answer(shard: ShardNo, plain: &PlainBody) -> Answer {
    let rtcp = plain.rtcp.as_ref();
    Answer::PlainTransport {
        shard,
        local: plain.rtp.local,
        remote: plain.rtp.remote,
        rtcp_local: rtcp.map(|rtcp| rtcp.local),
        rtcp_remote: rtcp.and_then(|rtcp| rtcp.remote),
    }
}

fn same_family(field: &str, local: SocketAddr, remote: Option<SocketAddr>) -> Result<(), Refusal> {
    match remote {
        Some(remote) if remote.is_ipv4() != local.is_ipv4() => Err(refuse::invalid(format_args!(
            "{field}: {remote} was given, the socket is bound to {local}"
        ))),
        Some(remote) if remote.port() == 0 => Err(refuse::invalid(format_args!(
            "{field}: {remote} was given, a port is 1 to 65535"
        ))),
        _ => Ok(()),
    }
}
