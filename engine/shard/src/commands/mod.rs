//! Commands: objects come, change and go. Off the packet path.

mod close;
mod streams;
mod transports;

use uuid::Uuid;
use weirgate_wire::{Answer, Refusal, RefusalKind};

use crate::consumer::Consumer;
use crate::shard::{Object, Shard};
use crate::transport::{PlainEnd, Transport};
use crate::{CommandBody, Timestamp};

pub(crate) type Outcome = Result<Answer, Refusal>;

fn refuse<T>(kind: RefusalKind, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal {
        kind,
        message: message.into(),
    })
}

pub(crate) fn not_found<T>(what: &str, id: Uuid) -> Result<T, Refusal> {
    refuse(
        RefusalKind::NotFound,
        format!("no {what} {id} on this shard"),
    )
}

impl Shard {
    /// `None` for commands that are not answered.
    pub(crate) fn execute(&mut self, now: Timestamp, body: CommandBody) -> Option<Outcome> {
        Some(match body {
            CommandBody::SendDtls { id, datagrams } => {
                self.send_dtls(id, &datagrams);
                return None;
            }
            CommandBody::CreateWebRtcTransport {
                id,
                ice,
                ice_consent_timeout_s,
                initial_outgoing_bps,
            } => self.create_webrtc(now, id, ice, ice_consent_timeout_s, initial_outgoing_bps),
            CommandBody::CreatePlainTransport {
                id,
                rtp_socket,
                rtp_local,
                rtcp,
                comedia,
                srtp,
            } => {
                let end = PlainEnd::new(rtp_socket, rtp_local, rtcp, comedia);
                self.create_plain(id, end, srtp.as_ref())
            }
            CommandBody::ConnectPlain {
                id,
                remote,
                rtcp_remote,
                srtp,
            } => self.connect_plain(now, id, remote, rtcp_remote, srtp.as_ref()),
            CommandBody::RestartIce { id, ice } => self.restart_ice(id, ice),
            CommandBody::SetSrtpKeys { id, send, receive } => {
                self.set_srtp_keys(now, id, &send, &receive)
            }
            CommandBody::SetBitrates {
                id,
                max_incoming,
                max_outgoing,
                min_outgoing,
            } => self.set_bitrates(now, id, max_incoming, max_outgoing, min_outgoing),
            CommandBody::CreateProducer {
                transport,
                source,
                config,
            } => self.create_producer(now, transport, source, config),
            CommandBody::Relay { producer, to, on } => self.relay(now, producer, to, on),
            CommandBody::OpenSource {
                origin,
                source,
                config,
            } => self.open_source(now, origin, source, config),
            CommandBody::CreateConsumer { transport, config } => {
                self.create_consumer(now, transport, config)
            }
            CommandBody::Close { kind, id } => self.close(now, kind, id),
            CommandBody::SetPaused { kind, id, paused } => self.set_paused(now, kind, id, paused),
            CommandBody::SetPreferredLayers { id, layers } => {
                self.set_preferred_layers(now, id, layers)
            }
            CommandBody::SetPriority { id, priority } => self.set_priority(now, id, priority),
            CommandBody::RequestKeyFrame { consumer } => self.ask_key_frame(now, consumer),
            CommandBody::SetTrace { kind, id, types } => self.set_trace(kind, id, types),
            CommandBody::GetStats { kind, id } => self.stats(now, kind, id),
            CommandBody::GetCounters => Ok(Answer::Counters(vec![self.all_counters()])),
        })
    }

    pub(super) fn find_consumer(&mut self, id: Uuid) -> Result<(u32, &mut Consumer), Refusal> {
        let Some(Object::Consumer(index)) = self.objects.get(&id).copied() else {
            return not_found("consumer", id);
        };
        match self.consumers.get_mut(index as usize) {
            Some(consumer) => Ok((index, consumer)),
            None => not_found("consumer", id),
        }
    }

    pub(super) fn find_transport(&mut self, id: Uuid) -> Result<(u32, &mut Transport), Refusal> {
        let index = self.transport_index(&id);
        match index.and_then(|index| Some((index, self.transports.get_mut(index as usize)?))) {
            Some(found) => Ok(found),
            None => not_found("transport", id),
        }
    }
}
