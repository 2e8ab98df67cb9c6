//! Commands: objects come, change and go. Off the packet path.

use std::net::SocketAddr;

use uuid::Uuid;
use weirgate_srtp::{Opener, Sealer};
use weirgate_wire::{
    Answer, ConsumerConfig, ExtensionKind, IceState, Layers, ObjectKind, ProducerConfig, Refusal,
    RefusalKind, SrtpKey,
};

use crate::arrivals::Arrivals;
use crate::consumer::Consumer;
use crate::ice::IceAgent;
use crate::shard::{Object, Shard};
use crate::source::Source;
use crate::ticks::REPORT_INTERVAL;
use crate::transport::{MAX_USED_SSRCS, PlainEnd, SentSsrc, Transport, TransportKind};
use crate::{CommandBody, ShardNo, SourceNo, Timestamp, WebRtcCredentials};

type Outcome = Result<Answer, Refusal>;

fn refuse<T>(kind: RefusalKind, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal {
        kind,
        message: message.into(),
    })
}

fn not_found<T>(what: &str, id: Uuid) -> Result<T, Refusal> {
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
            } => self.create_webrtc(now, id, ice, ice_consent_timeout_s),
            CommandBody::CreatePlainTransport {
                id,
                rtp_socket,
                rtp_local,
                rtcp,
                comedia,
                srtp,
            } => {
                let end = PlainEnd {
                    rtp_socket,
                    rtp_local,
                    rtcp,
                    rtp_remote: None,
                    rtcp_remote: None,
                    comedia,
                    connected: false,
                };
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
            CommandBody::Relay { producer, to, on } => self.relay(producer, to, on),
            CommandBody::OpenSource {
                origin,
                source,
                config,
            } => self.open_source(origin, source, config),
            CommandBody::CreateConsumer { transport, config } => {
                self.create_consumer(now, transport, config)
            }
            CommandBody::Close { kind, id } => self.close(kind, id),
            CommandBody::SetPaused { kind, id, paused } => self.set_paused(now, kind, id, paused),
            CommandBody::SetPreferredLayers { id, layers } => {
                self.set_preferred_layers(now, id, layers)
            }
            CommandBody::SetPriority { id, priority } => self.set_priority(id, priority),
            CommandBody::RequestKeyFrame { consumer } => self.ask_key_frame(now, consumer),
            CommandBody::GetStats { kind, id } => self.stats(now, kind, id),
            CommandBody::GetCounters => Ok(Answer::Counters(vec![self.all_counters()])),
        })
    }

    fn create_webrtc(
        &mut self,
        now: Timestamp,
        id: Uuid,
        ice: WebRtcCredentials,
        consent_timeout_s: u32,
    ) -> Outcome {
        let ufrag = ice.ufrag.clone();
        let pwd = ice.pwd.clone();
        let max_paths = self.config.limits.paths_per_transport;
        let agent = IceAgent::new(ice, consent_timeout_s, max_paths, now);
        let index = self.add_transport(id, TransportKind::WebRtc(agent), true)?;
        self.ufrags.insert(ufrag.clone(), index);
        Ok(Answer::WebRtcTransport {
            shard: self.config.shard,
            ice_ufrag: ufrag,
            ice_pwd: pwd,
        })
    }

    fn create_plain(&mut self, id: Uuid, end: PlainEnd, srtp: Option<&SrtpKey>) -> Outcome {
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

    fn add_transport(
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
        let index = self
            .transports
            .insert(Transport::new(id, kind, secure, feedback_ssrc)) as u32;
        self.objects.insert(id, Object::Transport(index));
        Ok(index)
    }

    fn connect_plain(
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
        transport.opener = opener;
        self.on_sendable(now, index);
        self.plain_answer(index)
    }

    fn plain_answer(&self, index: u32) -> Outcome {
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

    fn restart_ice(&mut self, id: Uuid, ice: WebRtcCredentials) -> Outcome {
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

    fn set_srtp_keys(
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

    fn send_dtls(&mut self, id: Uuid, datagrams: &[Vec<u8>]) {
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

    fn set_bitrates(
        &mut self,
        now: Timestamp,
        id: Uuid,
        max_incoming: u32,
        max_outgoing: u32,
        min_outgoing: u32,
    ) -> Outcome {
        let (_, transport) = self.find_transport(id)?;
        transport.max_incoming_bps = max_incoming;
        transport.max_outgoing_bps = max_outgoing;
        transport.min_outgoing_bps = min_outgoing;
        transport.limit_estimate(now);
        Ok(Answer::Done)
    }

    fn create_producer(
        &mut self,
        now: Timestamp,
        transport_id: Uuid,
        no: SourceNo,
        config: ProducerConfig,
    ) -> Outcome {
        self.check_producer(transport_id, &config)?;
        let extensions = config.extensions;
        let takes_feedback = config
            .codecs
            .iter()
            .any(|codec| codec.feedback.transport_cc);
        let index = self.add_source(no, config)?;
        let (transport_index, transport) = self.find_transport(transport_id)?;
        for kind in ExtensionKind::ALL {
            if let Some(id) = extensions.get(kind) {
                transport.extensions.set(kind, id);
            }
        }
        if takes_feedback && transport.takes_transport_feedback() {
            transport.arrivals.get_or_insert_with(Arrivals::new);
        }
        transport.producers.push(index);
        self.start_reports(now, transport_index);
        if let Some(source) = self.sources.get_mut(index as usize) {
            source.transport = Some(transport_index);
        }
        Ok(Answer::Done)
    }

    /// Names a producer's packets would be found by must not be another producer's.
    fn check_producer(&self, transport_id: Uuid, config: &ProducerConfig) -> Result<(), Refusal> {
        let Some(transport) = self
            .transport_index(&transport_id)
            .and_then(|index| self.transports.get(index as usize))
        else {
            return not_found("transport", transport_id);
        };
        if config.encodings.is_empty() || config.encodings.len() > 32 || config.codecs.is_empty() {
            return refuse(
                RefusalKind::Invalid,
                "a producer has 1 to 32 encodings and a codec",
            );
        }
        let ssrcs = |config: &ProducerConfig| -> Vec<u32> {
            config
                .encodings
                .iter()
                .flat_map(|e| [e.ssrc, e.rtx_ssrc])
                .flatten()
                .collect()
        };
        let own = ssrcs(config);
        for &index in &transport.producers {
            let Some(other) = self.sources.get(index as usize) else {
                continue;
            };
            if config.mid.is_some() && config.mid == other.config.mid {
                let mid = config.mid.as_deref().unwrap_or_default();
                return refuse(RefusalKind::Conflict, format!("MID {mid} is in use"));
            }
            if let Some(ssrc) = ssrcs(&other.config).iter().find(|ssrc| own.contains(ssrc)) {
                return refuse(RefusalKind::Conflict, format!("SSRC {ssrc} is in use"));
            }
        }
        Ok(())
    }

    fn add_source(&mut self, no: SourceNo, config: ProducerConfig) -> Result<u32, Refusal> {
        let limits = &self.config.limits;
        if self.sources.len() >= limits.sources {
            return refuse(
                RefusalKind::OverCapacity,
                "the shard has no room for more producers",
            );
        }
        let id = config.id;
        if self.objects.contains_key(&id) {
            return refuse(RefusalKind::Conflict, format!("{id} exists already"));
        }
        let index = self.sources.insert(Source::new(no, config, limits)) as u32;
        self.objects.insert(id, Object::Producer(index));
        if self.source_numbers.len() <= no.index() {
            self.source_numbers.resize(no.index() + 1, None);
        }
        self.source_numbers[no.index()] = Some((no, index));
        Ok(index)
    }

    fn open_source(&mut self, origin: ShardNo, no: SourceNo, config: ProducerConfig) -> Outcome {
        let index = self.add_source(no, config)?;
        if let Some(source) = self.sources.get_mut(index as usize) {
            source.origin = Some(origin);
        }
        Ok(Answer::Done)
    }

    fn relay(&mut self, producer: Uuid, to: ShardNo, on: bool) -> Outcome {
        let Some(source) = self.source_mut(producer) else {
            return not_found("producer", producer);
        };
        source.relays.retain(|&shard| shard != to);
        if on {
            source.relays.push(to);
        }
        Ok(Answer::Done)
    }

    fn create_consumer(
        &mut self,
        now: Timestamp,
        transport_id: Uuid,
        config: ConsumerConfig,
    ) -> Outcome {
        if self.consumers.len() >= self.config.limits.consumers {
            return refuse(
                RefusalKind::OverCapacity,
                "the shard has no room for more consumers",
            );
        }
        let id = config.id;
        let Some(Object::Producer(source_index)) = self.objects.get(&config.producer).copied()
        else {
            return not_found("producer", config.producer);
        };
        if self.objects.contains_key(&id) {
            return refuse(RefusalKind::Conflict, format!("{id} exists already"));
        }
        let first_sequence = (self.rng.next_u32() & 0x7fff) as u16;
        let first_rtx_sequence = (self.rng.next_u32() & 0x7fff) as u16;
        let (transport_index, transport) = self.find_transport(transport_id)?;
        let ssrcs = [Some(config.ssrc), config.rtx_ssrc];
        if ssrcs
            .iter()
            .flatten()
            .any(|ssrc| transport.used_ssrcs.contains(ssrc))
        {
            return refuse(
                RefusalKind::Conflict,
                "the SSRC was used on this transport before: it can not start over under one key",
            );
        }
        if transport.used_ssrcs.len() + 2 > MAX_USED_SSRCS {
            return refuse(
                RefusalKind::OverCapacity,
                "the transport had too many consumers",
            );
        }
        transport.used_ssrcs.extend(ssrcs.iter().flatten());
        let Some(source) = self.sources.get_mut(source_index as usize) else {
            return not_found("producer", config.producer);
        };
        let (ssrc, rtx_ssrc) = (config.ssrc, config.rtx_ssrc);
        let estimates = config.feedback.transport_cc || config.feedback.remb;
        let consumer = Consumer::new(
            config,
            transport_index,
            source_index,
            source,
            first_sequence,
            first_rtx_sequence,
        );
        let index = self.consumers.insert(consumer) as u32;
        source.consumers.push(index);
        self.objects.insert(id, Object::Consumer(index));
        if let Some(transport) = self.transports.get_mut(transport_index as usize) {
            transport.consumers.push(index);
            if estimates {
                transport.start_estimate(now);
            }
            let sent = [Some(ssrc), rtx_ssrc].into_iter().flatten();
            transport.sent_ssrcs.extend(sent.map(|ssrc| SentSsrc {
                ssrc,
                consumer: index,
            }));
        }
        self.start_reports(now, transport_index);
        self.retarget(now, index);
        self.start_consumer(now, index);
        Ok(Answer::Done)
    }

    fn start_reports(&mut self, now: Timestamp, index: u32) {
        if let Some(transport) = self.transports.get_mut(index as usize)
            && transport.reports_at == Timestamp::NEVER
        {
            transport.reports_at = now + REPORT_INTERVAL / 2;
            self.schedule(index, now + REPORT_INTERVAL / 2);
        }
    }

    fn set_paused(&mut self, now: Timestamp, kind: ObjectKind, id: Uuid, paused: bool) -> Outcome {
        match (kind, self.objects.get(&id).copied()) {
            (ObjectKind::Producer, Some(Object::Producer(index))) => {
                let Some(source) = self.sources.get_mut(index as usize) else {
                    return not_found("producer", id);
                };
                source.config.paused = paused;
                for consumer in source.consumers.clone() {
                    self.pause_or_start(now, consumer, paused);
                }
            }
            (ObjectKind::Consumer, Some(Object::Consumer(index))) => {
                if let Some(consumer) = self.consumers.get_mut(index as usize) {
                    consumer.config.paused = paused;
                }
                self.pause_or_start(now, index, paused);
            }
            _ => return not_found("producer or consumer", id),
        }
        Ok(Answer::Done)
    }

    fn pause_or_start(&mut self, now: Timestamp, index: u32, paused: bool) {
        if paused {
            if let Some(consumer) = self.consumers.get_mut(index as usize) {
                consumer.interrupt();
            }
            self.report_layers(index);
        } else {
            self.start_consumer(now, index);
        }
    }

    fn set_preferred_layers(
        &mut self,
        now: Timestamp,
        id: Uuid,
        layers: Option<Layers>,
    ) -> Outcome {
        let (index, consumer) = self.find_consumer(id)?;
        consumer.config.preferred_layers = layers;
        self.retarget(now, index);
        Ok(Answer::Done)
    }

    fn set_priority(&mut self, id: Uuid, priority: u8) -> Outcome {
        let (_, consumer) = self.find_consumer(id)?;
        consumer.config.priority = priority.max(1);
        Ok(Answer::Done)
    }

    fn ask_key_frame(&mut self, now: Timestamp, id: Uuid) -> Outcome {
        let (index, _) = self.find_consumer(id)?;
        self.want_key_frame_for(now, index);
        Ok(Answer::Done)
    }

    fn close(&mut self, kind: ObjectKind, id: Uuid) -> Outcome {
        match (kind, self.objects.get(&id).copied()) {
            (ObjectKind::Transport, Some(Object::Transport(index))) => self.close_transport(index),
            (ObjectKind::Producer, Some(Object::Producer(index))) => self.close_source(index),
            (ObjectKind::Consumer, Some(Object::Consumer(index))) => self.close_consumer(index),
            _ => return not_found("object", id),
        }
        Ok(Answer::Done)
    }

    fn close_transport(&mut self, index: u32) {
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return;
        };
        let consumers = std::mem::take(&mut transport.consumers);
        let producers = std::mem::take(&mut transport.producers);
        for consumer in consumers {
            self.close_consumer(consumer);
        }
        for producer in producers {
            self.close_source(producer);
        }
        let transport = self.transports.remove(index as usize);
        self.objects.remove(&transport.id);
        match &transport.kind {
            TransportKind::WebRtc(ice) => {
                for ufrag in ice.ufrags() {
                    self.ufrags.remove(ufrag);
                }
                for checked in ice.paths() {
                    self.forget_path(index, checked);
                }
            }
            TransportKind::Plain(end) => {
                self.plain_sockets.remove(&end.rtp_socket);
                if let Some((socket, _)) = end.rtcp {
                    self.plain_sockets.remove(&socket);
                }
            }
        }
    }

    fn close_source(&mut self, index: u32) {
        if !self.sources.contains(index as usize) {
            return;
        }
        let source = self.sources.remove(index as usize);
        for &consumer in &source.consumers {
            self.close_consumer(consumer);
        }
        self.objects.remove(&source.id());
        if let Some(slot) = self.source_numbers.get_mut(source.no.index())
            && slot.is_some_and(|(no, _)| no == source.no)
        {
            *slot = None;
        }
        self.talking.retain(|&talking| talking != index);
        let transport = source
            .transport
            .and_then(|transport| self.transports.get_mut(transport as usize));
        if let Some(transport) = transport {
            transport.producers.retain(|&producer| producer != index);
            transport.streams.retain(|stream| stream.source != index);
        }
    }

    fn close_consumer(&mut self, index: u32) {
        if !self.consumers.contains(index as usize) {
            return;
        }
        let consumer = self.consumers.remove(index as usize);
        self.objects.remove(&consumer.config.id);
        if let Some(source) = self.sources.get_mut(consumer.source as usize) {
            source.consumers.retain(|&other| other != index);
        }
        if let Some(transport) = self.transports.get_mut(consumer.transport as usize) {
            transport.consumers.retain(|&other| other != index);
            transport.sent_ssrcs.retain(|sent| sent.consumer != index);
            transport
                .queue
                .retain(|departure| departure.consumer != index);
        }
    }

    fn source_mut(&mut self, id: Uuid) -> Option<&mut Source> {
        match self.objects.get(&id) {
            Some(Object::Producer(index)) => self.sources.get_mut(*index as usize),
            _ => None,
        }
    }

    fn find_consumer(&mut self, id: Uuid) -> Result<(u32, &mut Consumer), Refusal> {
        let Some(Object::Consumer(index)) = self.objects.get(&id).copied() else {
            return not_found("consumer", id);
        };
        match self.consumers.get_mut(index as usize) {
            Some(consumer) => Ok((index, consumer)),
            None => not_found("consumer", id),
        }
    }

    fn find_transport(&mut self, id: Uuid) -> Result<(u32, &mut Transport), Refusal> {
        let index = self.transport_index(&id);
        match index.and_then(|index| Some((index, self.transports.get_mut(index as usize)?))) {
            Some(found) => Ok(found),
            None => not_found("transport", id),
        }
    }
}
