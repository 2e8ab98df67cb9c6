//! Closing: an object goes with all that hangs on it in this shard.

use uuid::Uuid;
use weirgate_wire::{Answer, ObjectKind};

use super::{Outcome, not_found};
use crate::Timestamp;
use crate::shard::{Object, Shard};
use crate::transport::TransportKind;

impl Shard {
    pub(super) fn close(&mut self, now: Timestamp, kind: ObjectKind, id: Uuid) -> Outcome {
        match (kind, self.objects.get(&id).copied()) {
            (ObjectKind::Transport, Some(Object::Transport(index))) => {
                self.close_transport(now, index)
            }
            (ObjectKind::Producer, Some(Object::Producer(index))) => self.close_source(now, index),
            (ObjectKind::Consumer, Some(Object::Consumer(index))) => {
                self.close_consumer(now, index)
            }
            _ => return not_found("object", id),
        }
        Ok(Answer::Done)
    }

    pub(super) fn close_transport(&mut self, now: Timestamp, index: u32) {
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return;
        };
        let consumers = std::mem::take(&mut transport.consumers);
        let producers = std::mem::take(&mut transport.producers);
        for consumer in consumers {
            self.close_consumer(now, consumer);
        }
        for producer in producers {
            self.close_source(now, producer);
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

    pub(super) fn close_source(&mut self, now: Timestamp, index: u32) {
        if !self.sources.contains(index as usize) {
            return;
        }
        let source = self.sources.remove(index as usize);
        for &consumer in &source.consumers {
            self.close_consumer(now, consumer);
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

    pub(super) fn close_consumer(&mut self, now: Timestamp, index: u32) {
        if !self.consumers.contains(index as usize) {
            return;
        }
        let consumer = self.consumers.remove(index as usize);
        self.objects.remove(&consumer.config.id);
        if let Some(source) = self.sources.get_mut(consumer.source as usize) {
            source.consumers.retain(|&other| other != index);
            source.list_taker(index, false, false);
            source.wanted.change(consumer.wants, None);
            self.tell_wanted(now, consumer.source);
        }
        if let Some(transport) = self.transports.get_mut(consumer.transport as usize) {
            transport.consumers.retain(|&other| other != index);
            transport.sent_ssrcs.retain(|sent| sent.consumer != index);
            transport.queue.remove(index);
        }
    }
}
