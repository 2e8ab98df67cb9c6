//! Commands about producers and consumers: they come and change.

use uuid::Uuid;
use weirgate_wire::{
    Answer, ConsumerConfig, ExtensionKind, Layers, ObjectKind, ProducerConfig, Refusal, RefusalKind,
};

use super::{Outcome, not_found, refuse};
use crate::arrivals::Arrivals;
use crate::consumer::Consumer;
use crate::reports::REPORT_INTERVAL;
use crate::shard::{Object, Shard};
use crate::source::Source;
use crate::transport::{MAX_USED_SSRCS, SentSsrc, Transport};
use crate::wanted::Wanted;
use crate::{ShardNo, SourceNo, Timestamp};

impl Shard {
    pub(super) fn create_producer(
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
        let index = self.add_source(now, no, config)?;
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
    pub(super) fn check_producer(
        &self,
        transport_id: Uuid,
        config: &ProducerConfig,
    ) -> Result<(), Refusal> {
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

    pub(super) fn add_source(
        &mut self,
        now: Timestamp,
        no: SourceNo,
        config: ProducerConfig,
    ) -> Result<u32, Refusal> {
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
        let index = self.sources.insert(Source::new(no, config, limits, now)) as u32;
        self.objects.insert(id, Object::Producer(index));
        if self.source_numbers.len() <= no.index() {
            self.source_numbers.resize(no.index() + 1, None);
        }
        self.source_numbers[no.index()] = Some((no, index));
        Ok(index)
    }

    pub(super) fn open_source(
        &mut self,
        now: Timestamp,
        origin: ShardNo,
        no: SourceNo,
        config: ProducerConfig,
    ) -> Outcome {
        let index = self.add_source(now, no, config)?;
        if let Some(source) = self.sources.get_mut(index as usize) {
            source.origin = Some(origin);
            source.wanted = Wanted::abroad(now);
        }
        Ok(Answer::Done)
    }

    pub(super) fn relay(
        &mut self,
        now: Timestamp,
        producer: Uuid,
        to: ShardNo,
        on: bool,
    ) -> Outcome {
        let Some(Object::Producer(index)) = self.objects.get(&producer).copied() else {
            return not_found("producer", producer);
        };
        if let Some(source) = self.sources.get_mut(index as usize) {
            source.relays.retain(|&shard| shard != to);
            if on {
                source.relays.push(to);
                self.cross_rates(index, to);
            } else {
                source.wanted.forget_abroad(to);
            }
        }
        self.tell_wanted(now, index);
        Ok(Answer::Done)
    }

    pub(super) fn create_consumer(
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
        take_ssrcs(transport, &config)?;
        let Some(source) = self.sources.get_mut(source_index as usize) else {
            return not_found("producer", config.producer);
        };
        let (ssrc, rtx_ssrc) = (config.ssrc, config.rtx_ssrc);
        let wide_sequence_id = config.extensions.get(ExtensionKind::TransportWideCc);
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
            transport.takes_estimate |= estimates;
            transport.wide_sequence_id = transport.wide_sequence_id.or(wide_sequence_id);
            transport.start_estimate(now);
            let sent = [Some(ssrc), rtx_ssrc].into_iter().flatten();
            transport.sent_ssrcs.extend(sent.map(|ssrc| SentSsrc {
                ssrc,
                consumer: index,
            }));
        }
        self.list_taker(index);
        self.share_out(now, index);
        self.start_reports(now, transport_index);
        self.allocate(now, transport_index);
        Ok(Answer::Done)
    }

    pub(super) fn start_reports(&mut self, now: Timestamp, index: u32) {
        if let Some(transport) = self.transports.get_mut(index as usize)
            && transport.reports_at == Timestamp::NEVER
        {
            transport.reports_at = now + REPORT_INTERVAL / 2;
            self.schedule_round(index, now + REPORT_INTERVAL / 2);
        }
    }

    pub(super) fn set_paused(
        &mut self,
        now: Timestamp,
        kind: ObjectKind,
        id: Uuid,
        paused: bool,
    ) -> Outcome {
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

    pub(super) fn pause_or_start(&mut self, now: Timestamp, index: u32, paused: bool) {
        self.list_taker(index);
        if paused {
            self.interrupt(index);
        }
        let consumer = self.consumers.get(index as usize);
        if let Some(transport) = consumer.map(|consumer| consumer.transport) {
            self.allocate(now, transport);
        }
    }

    pub(super) fn set_preferred_layers(
        &mut self,
        now: Timestamp,
        id: Uuid,
        layers: Option<Layers>,
    ) -> Outcome {
        let (_, consumer) = self.find_consumer(id)?;
        consumer.config.preferred_layers = layers;
        let transport = consumer.transport;
        self.allocate(now, transport);
        Ok(Answer::Done)
    }

    pub(super) fn set_priority(&mut self, now: Timestamp, id: Uuid, priority: u8) -> Outcome {
        let (index, consumer) = self.find_consumer(id)?;
        consumer.config.priority = priority.max(1);
        let transport = consumer.transport;
        self.share_out(now, index);
        self.allocate(now, transport);
        Ok(Answer::Done)
    }

    pub(super) fn ask_key_frame(&mut self, now: Timestamp, id: Uuid) -> Outcome {
        let (index, _) = self.find_consumer(id)?;
        self.ask_key_frame_for(now, index);
        Ok(Answer::Done)
    }
}

/// Marks a consumer's SSRCs as used on its transport.
fn take_ssrcs(transport: &mut Transport, config: &ConsumerConfig) -> Result<(), Refusal> {
    let ssrcs = [Some(config.ssrc), config.rtx_ssrc].into_iter().flatten();
    let mut known = ssrcs.clone();
    if known.any(|ssrc| transport.used_ssrcs.contains(&ssrc)) {
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
    transport.used_ssrcs.extend(ssrcs);
    Ok(())
}
