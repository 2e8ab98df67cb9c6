//! Commands about transports: they come, get their far end and keys, and are limited.

use std::net::SocketAddr;

use uuid::Uuid;
use weirgate_srtp::{Opener, Sealer};
use weirgate_wire::{Answer, IceState, Refusal, RefusalKind, SrtpKey};

use super::{Outcome, refuse};
use crate::grants::TIMES_LIFTED;
use crate::ice::IceAgent;
use crate::shard::{Object, Shard};
use crate::transport::{PlainEnd, Transport, TransportKind};
use crate::{Timestamp, WebRtcCredentials};

impl Shard {
    pub(super) fn create_webrtc(
        &mut self,
        now: Timestamp,
        id: Uuid,
        ice: WebRtcCredentials,
        consent_timeout_s: u32,
        initial_outgoing_bps: u32,
    ) -> Outcome {
        let ufrag = ice.ufrag.clone();
        let pwd = ice.pwd.clone();
        let max_paths = self.config.limits.paths_per_transport;
        let agent = IceAgent::new(ice, consent_timeout_s, max_paths, now);
        let index = self.add_transport(id, TransportKind::WebRtc(agent), true)?;
        self.ufrags.insert(ufrag.clone(), index);
        if let Some(transport) = self.transports.get_mut(index as usize) {
            transport.initial_outgoing_bps = initial_outgoing_bps;
        }
        Ok(Answer::WebRtcTransport {
            shard: self.config.shard,
            ice_ufrag: ufrag,
            ice_pwd: pwd,
        })
    }

    pub(super) fn create_plain(
        &mut self,
        id: Uuid,
        end: PlainEnd,
        srtp: Option<&SrtpKey>,
    ) -> Outcome {
        let sealer = srtp.map(Sealer::new).transpose();
        let Ok(sealer) = sealer else {
            return refuse(RefusalKind::Invalid, "the SRTP key does not fit its suite");
        };
        let (rtp_socket, rtcp) = (end.rtp_socket, end.rtcp);
        let index = self.add_transport(id, TransportKind::Plain(end), srtp.is_some())?;
        self.plain_sockets.insert(rtp_socket, (index, false));
        if let Some((rtcp_socket, _)) = rtcp {
            self.plain_sockets.insert(rtcp_socket, (index, true));
        }
        if let Some(transport) = self.transports.get_mut(index as usize) {
            transport.sealer = sealer;
        }
        self.plain_answer(index)
    }

    pub(super) fn add_transport(
        &mut self,
        id: Uuid,
        kind: TransportKind,
        secure: bool,
    ) -> Result<u32, Refusal> {
        if self.transports.len() >= self.config.limits.transports {
            return refuse(
                RefusalKind::OverCapacity,
                "the shard has no room for more transports",
            );
        }
        if self.objects.contains_key(&id) {
            return refuse(RefusalKind::Conflict, format!("{id} exists already"));
        }
        let feedback_ssrc = self.rng.next_u32() | 1;
        let probator_sequence = (self.rng.next_u32() & 0x7fff) as u16;
        let index = self.transports.insert(Transport::new(
            id,
            kind,
            secure,
            feedback_ssrc,
            probator_sequence,
        )) as u32;
        self.objects.insert(id, Object::Transport(index));
        Ok(index)
    }

    pub(super) fn connect_plain(
        &mut self,
        now: Timestamp,
        id: Uuid,
        remote: Option<SocketAddr>,
        rtcp_remote: Option<SocketAddr>,
        srtp: Option<&SrtpKey>,
    ) -> Outcome {
        let max_ssrcs = self.config.limits.ssrcs_per_transport;
        let (index, transport) = self.find_transport(id)?;
        let secure = transport.secure;
        let TransportKind::Plain(end) = &mut transport.kind else {
            return refuse(RefusalKind::Invalid, "not a plain transport");
        };
        if end.connected {
            return refuse(RefusalKind::Conflict, "the transport is connected already");
        }
        if !end.comedia && remote.is_none() {
            return refuse(
                RefusalKind::Invalid,
                "without comedia ip and port are needed",
            );
        }
        if secure != srtp.is_some() {
            let message = if secure {
                "srtpParameters are needed"
            } else {
                "SRTP is not enabled"
            };
            return refuse(RefusalKind::Invalid, message);
        }
        let opener = srtp.map(|key| Opener::new(key, max_ssrcs)).transpose();
        let Ok(opener) = opener else {
            return refuse(RefusalKind::Invalid, "the SRTP key does not fit its suite");
        };
        end.connected = true;
        if !end.comedia {
            end.rtp_remote = remote;
            end.rtcp_remote = rtcp_remote;
        }
        let ends = [
            end.rtp_remote.map(|remote| (end.rtp_socket, remote)),
            end.rtcp
                .zip(end.rtcp_remote)
                .map(|((socket, _), remote)| (socket, remote)),
        ];
        transport.opener = opener;
        for (socket, remote) in ends.into_iter().flatten() {
            self.settle(socket, remote);
        }
        self.on_sendable(now, index);
        self.plain_answer(index)
    }

    pub(super) fn plain_answer(&self, index: u32) -> Outcome {
        match self
            .transports
            .get(index as usize)
            .map(|transport| &transport.kind)
        {
            Some(TransportKind::Plain(end)) => Ok(Answer::PlainTransport {
                shard: self.config.shard,
                local: end.rtp_local,
                remote: end.rtp_remote,
                rtcp_local: end.rtcp.map(|(_, local)| local),
                rtcp_remote: end.rtcp_remote,
            }),
            _ => refuse(RefusalKind::Invalid, "not a plain transport"),
        }
    }

    pub(super) fn restart_ice(&mut self, id: Uuid, ice: WebRtcCredentials) -> Outcome {
        let answer = Answer::WebRtcTransport {
            shard: self.config.shard,
            ice_ufrag: ice.ufrag.clone(),
            ice_pwd: ice.pwd.clone(),
        };
        let ufrag = ice.ufrag.clone();
        let (index, transport) = self.find_transport(id)?;
        let Some(agent) = transport.ice_mut() else {
            return refuse(RefusalKind::Invalid, "not a WebRTC transport");
        };
        if let Some(unused) = agent.restart(ice) {
            self.ufrags.remove(&unused);
        }
        self.ufrags.insert(ufrag, index);
        Ok(answer)
    }

    pub(super) fn set_srtp_keys(
        &mut self,
        now: Timestamp,
        id: Uuid,
        send: &SrtpKey,
        receive: &SrtpKey,
    ) -> Outcome {
        let max_ssrcs = self.config.limits.ssrcs_per_transport;
        let (index, transport) = self.find_transport(id)?;
        if transport.sealer.is_some() {
            return refuse(RefusalKind::Conflict, "the transport has its keys already");
        }
        let (Ok(sealer), Ok(opener)) = (Sealer::new(send), Opener::new(receive, max_ssrcs)) else {
            return refuse(RefusalKind::Invalid, "the SRTP key does not fit its suite");
        };
        transport.sealer = Some(sealer);
        transport.opener = Some(opener);
        self.on_sendable(now, index);
        Ok(Answer::Done)
    }

    pub(super) fn send_dtls(&mut self, id: Uuid, datagrams: &[Vec<u8>]) {
        let Some(index) = self.transport_index(&id) else {
            return;
        };
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return;
        };
        let state = transport.ice().map(IceAgent::state);
        let path = transport.ice().and_then(IceAgent::selected);
        let (Some(path), Some(IceState::Connected | IceState::Completed)) = (path, state) else {
            self.counters.dtls_dropped += datagrams.len() as u64;
            return;
        };
        transport.dtls_sent = true;
        for datagram in datagrams {
            self.send_promptly(path, datagram);
            self.counters.dtls_sent += 1;
        }
    }

    pub(super) fn set_bitrates(
        &mut self,
        now: Timestamp,
        id: Uuid,
        max_incoming: u32,
        max_outgoing: u32,
        min_outgoing: u32,
    ) -> Outcome {
        let (index, transport) = self.find_transport(id)?;
        if std::mem::replace(&mut transport.max_incoming_bps, max_incoming) != max_incoming {
            let is_lifted = max_incoming == 0;
            transport.lifted_limits = if is_lifted { TIMES_LIFTED } else { 0 };
            self.send_grant(now, index);
        }
        let (index, transport) = self.find_transport(id)?;
        transport.max_outgoing_bps = max_outgoing;
        transport.min_outgoing_bps = min_outgoing;
        transport.limit_estimate(now);
        self.allocate(now, index);
        Ok(Answer::Done)
    }
}
