//! What shards tell: kept in the objects, and passed on while control listens.
//!
//! While control is away the latest of each kind per object is what it gets after its snapshot;
//! DTLS records, audio levels and traces are of no use by then.

use uuid::Uuid;
use weirgate_wire::{Event, ToControl, Tuple};

use super::registry::{PlainEnd, TransportBody};
use super::{Hub, limits};

impl Hub {
    /// Takes an event in. One of an object that is closed since is dropped.
    pub(super) fn on_event(&mut self, event: Event) {
        if self.keep(&event).is_none() {
            return;
        }
        if !self.is_live() {
            match event {
                Event::Dtls { .. } => self.counters.dtls_dropped += 1,
                Event::AudioLevels(_) => self.counters.audio_levels_dropped += 1,
                Event::Trace(_) => self.counters.traces_dropped += 1,
                _ => self.counters.events_merged += 1,
            }
            return;
        }
        let behind = self.queued_bytes() > limits::OUTGOING_SOFT_BYTES;
        match event {
            Event::AudioLevels(_) if behind => self.counters.audio_levels_dropped += 1,
            Event::Trace(_) if behind => self.counters.traces_dropped += 1,
            event => self.send(&ToControl::Event(event)),
        }
    }

    /// Notes an event in its object; `None` where there is no such object.
    fn keep(&mut self, event: &Event) -> Option<()> {
        let away = !self.is_live();
        match event {
            Event::Ice {
                transport,
                state,
                tuple,
            } => {
                let transport = self.registry.transports.get_mut(transport)?;
                transport.changed |= away;
                if let TransportBody::WebRtc(webrtc) = &mut transport.body {
                    webrtc.state = *state;
                    webrtc.tuple = *tuple;
                }
            }
            Event::PlainTuple {
                transport,
                tuple,
                rtcp_tuple,
            } => {
                self.registry.transports.get_mut(transport)?.changed |= away;
                let remote = |tuple: &Option<Tuple>| tuple.map(|tuple| tuple.remote);
                let (remote, rtcp_remote) = (remote(tuple), remote(rtcp_tuple));
                self.registry.set_remote(*transport, remote, rtcp_remote);
            }
            Event::Dtls { transport, .. } => {
                self.registry.transports.get(transport)?;
            }
            Event::ProducerScore { producer, scores } => {
                let producer = self.registry.producers.get_mut(producer)?;
                producer.scores = Some(scores.clone());
            }
            Event::ProducerWanted { producer, spatial } => {
                let producer = self.registry.producers.get_mut(producer)?;
                producer.wanted = Some(*spatial);
            }
            Event::ProducerOrientation {
                producer,
                orientation,
            } => {
                let producer = self.registry.producers.get_mut(producer)?;
                producer.orientation = Some(*orientation);
            }
            Event::ConsumerScore {
                consumer,
                score,
                producer_score,
            } => {
                let consumer = self.registry.consumers.get_mut(consumer)?;
                consumer.score = Some((*score, *producer_score));
            }
            Event::ConsumerLayers { consumer, layers } => {
                self.registry.consumers.get_mut(consumer)?.layers = Some(*layers);
            }
            Event::AudioLevels(_) => {}
            // One that was on its way when tracing was switched off is dropped here.
            Event::Trace(trace) => {
                let traced = self.registry.trace_mut(trace.kind, trace.id)?;
                if !traced.has(trace.info.trace_type()) {
                    return None;
                }
            }
        }
        Some(())
    }

    /// What a transport told while control was away.
    pub(super) fn missed_of_transport(&mut self, id: Uuid) -> Option<Event> {
        let transport = self.registry.transports.get_mut(&id)?;
        if !std::mem::take(&mut transport.changed) {
            return None;
        }
        Some(match &transport.body {
            TransportBody::WebRtc(webrtc) => Event::Ice {
                transport: id,
                state: webrtc.state,
                tuple: webrtc.tuple,
            },
            TransportBody::Plain(plain) => Event::PlainTuple {
                transport: id,
                tuple: tuple_of(&plain.rtp),
                rtcp_tuple: plain.rtcp.as_ref().and_then(tuple_of),
            },
        })
    }

    /// The scores of a producer, what is wanted of it and its orientation, which its snapshot has not.
    pub(super) fn state_of_producer(&self, id: Uuid) -> Vec<Event> {
        let Some(producer) = self.registry.producers.get(&id) else {
            return Vec::new();
        };
        let scores = producer.scores.clone().map(|scores| Event::ProducerScore {
            producer: id,
            scores,
        });
        let wanted = producer.wanted.map(|spatial| Event::ProducerWanted {
            producer: id,
            spatial,
        });
        let orientation = producer
            .orientation
            .map(|orientation| Event::ProducerOrientation {
                producer: id,
                orientation,
            });
        [scores, wanted, orientation]
            .into_iter()
            .flatten()
            .collect()
    }

    /// The score and current layers of a consumer, which its snapshot has not.
    pub(super) fn state_of_consumer(&self, id: Uuid) -> Vec<Event> {
        let Some(consumer) = self.registry.consumers.get(&id) else {
            return Vec::new();
        };
        let score = consumer
            .score
            .map(|(score, producer_score)| Event::ConsumerScore {
                consumer: id,
                score,
                producer_score,
            });
        let layers = consumer.layers.map(|layers| Event::ConsumerLayers {
            consumer: id,
            layers,
        });
        score.into_iter().chain(layers).collect()
    }
}

fn tuple_of(end: &PlainEnd) -> Option<Tuple> {
    end.remote.map(|remote| Tuple {
        local: end.local,
        remote,
    })
}
