//! The event log: what happened, numbered, kept for a while, for everyone who listens.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::watch;
use uuid::Uuid;

use crate::model::Owner;

/// Events kept for replay, traces apart.
pub const KEPT_EVENTS: usize = 8192;

/// Trace events kept for replay. They come in floods and must not push the others out.
pub const KEPT_TRACES: usize = 1024;

/// Listeners at a time.
pub const MAX_LISTENERS: usize = 256;

/// Numbers are reserved with the engine in blocks of this many, so that a new control goes on
/// above whatever the old one had given out.
pub const SEQUENCE_BLOCK: u64 = 4096;

/// One event, as `/v1/events` sends it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Number, growing, with gaps after a restart.
    pub seq: u64,
    /// ms since 1970.
    pub time: u64,
    /// Kind and mediasoup's event, such as `transport.icestatechange`.
    pub event: &'static str,
    /// The router concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router_id: Option<Uuid>,
    /// The transport concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport_id: Option<Uuid>,
    /// The producer concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub producer_id: Option<Uuid>,
    /// The consumer concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer_id: Option<Uuid>,
    /// The RTP observer concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtp_observer_id: Option<Uuid>,
    /// The room concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_id: Option<String>,
    /// The peer concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_id: Option<String>,
    /// What mediasoup's event carries, an object.
    #[schema(value_type = Object)]
    pub data: Value,
    /// A trace event: of these only the latest are kept, and what is not kept is not told as lost.
    #[serde(skip)]
    pub is_trace: bool,
}

impl Event {
    /// An event of that name, about nothing yet.
    pub fn new(event: &'static str) -> Self {
        Self {
            event,
            data: Value::Object(Map::new()),
            ..Self::default()
        }
    }

    /// A trace event of that name, about nothing yet.
    pub fn trace(event: &'static str) -> Self {
        Self {
            is_trace: true,
            ..Self::new(event)
        }
    }

    /// With room and peer of the transport's owner, where it has one.
    pub fn of_peer(mut self, owner: Option<&Owner>) -> Self {
        if let Some(owner) = owner {
            self.room_id = Some(owner.room.clone());
            self.peer_id = Some(owner.peer.clone());
        }
        self
    }

    /// With mediasoup's payload.
    pub fn with_data(mut self, data: Value) -> Self {
        self.data = data;
        self
    }
}

/// What a listener gets on one look.
#[derive(Debug, PartialEq)]
pub struct Batch {
    /// Events after the number asked for, oldest first.
    pub events: Vec<Event>,
    /// Numbers of events that are not kept any more, or were given out by an earlier control.
    pub lost: Option<(u64, u64)>,
    /// Ask for events after this number next.
    pub next_since: u64,
}

/// The log.
pub struct EventLog {
    inner: Mutex<Inner>,
    latest: watch::Sender<u64>,
}

struct Inner {
    events: VecDeque<Event>,
    traces: VecDeque<Event>,
    /// Number of the latest event.
    seq: u64,
    /// Everything up to here was given out by an earlier control or fell out of the log.
    gone: u64,
    reserved: u64,
}

impl Default for EventLog {
    fn default() -> Self {
        Self {
            inner: Mutex::new(Inner {
                events: VecDeque::new(),
                traces: VecDeque::new(),
                seq: 0,
                gone: 0,
                reserved: 0,
            }),
            latest: watch::Sender::new(0),
        }
    }
}

impl EventLog {
    /// Goes on above what an earlier control had reserved; to be called before the first event.
    pub fn resume_above(&self, reserved: u64) {
        let mut inner = self.lock();
        if inner.seq < reserved {
            inner.seq = reserved;
            inner.gone = reserved;
            inner.events.clear();
            inner.traces.clear();
            self.latest.send_replace(reserved);
        }
        inner.reserved = inner.reserved.max(reserved);
    }

    /// Numbers and keeps an event. Gives the bound to reserve with the engine where the reserved
    /// block is more than half used.
    pub fn push(&self, mut event: Event) -> Option<u64> {
        let mut inner = self.lock();
        inner.seq += 1;
        event.seq = inner.seq;
        event.time = unix_ms();
        inner.keep(event);
        self.latest.send_replace(inner.seq);
        if inner.reserved.saturating_sub(inner.seq) > SEQUENCE_BLOCK / 2 {
            return None;
        }
        inner.reserved = inner.seq + SEQUENCE_BLOCK;
        Some(inner.reserved)
    }

    /// The bound reserved so far, for an engine that does not know it.
    pub fn reserved(&self) -> u64 {
        self.lock().reserved
    }

    /// At most `max` events after number `since`.
    pub fn after(&self, since: u64, max: usize) -> Batch {
        let inner = self.lock();
        let lost = (since < inner.gone).then_some((since + 1, inner.gone));
        let from = since.max(inner.gone);
        let events: Vec<Event> = inner.from(from).take(max).cloned().collect();
        let next_since = events.last().map_or(from, |event| event.seq);
        Batch {
            events,
            lost,
            next_since,
        }
    }

    /// Number of the latest event.
    pub fn latest(&self) -> u64 {
        self.lock().seq
    }

    /// Tells of new events.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn keep(&mut self, event: Event) {
        if event.is_trace {
            if self.traces.len() == KEPT_TRACES {
                self.traces.pop_front();
            }
            self.traces.push_back(event);
            return;
        }
        if self.events.len() == KEPT_EVENTS {
            let dropped = self.events.pop_front();
            self.gone = dropped.map_or(self.gone, |dropped| dropped.seq);
        }
        self.events.push_back(event);
    }

    /// Everything kept after number `seq`, in the order of the numbers.
    fn from(&self, seq: u64) -> impl Iterator<Item = &Event> {
        let after = |kept: &VecDeque<Event>| kept.partition_point(|event| event.seq <= seq);
        let mut events = self.events.range(after(&self.events)..).peekable();
        let mut traces = self.traces.range(after(&self.traces)..).peekable();
        std::iter::from_fn(move || match (events.peek(), traces.peek()) {
            (Some(event), Some(trace)) if trace.seq < event.seq => traces.next(),
            (Some(_), _) => events.next(),
            (None, _) => traces.next(),
        })
    }
}

/// The wall clock in ms since 1970.
pub fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(log: &EventLog, count: usize) {
        for _ in 0..count {
            log.push(Event::new("router.close"));
        }
    }

    fn numbers(batch: &Batch) -> Vec<u64> {
        batch.events.iter().map(|event| event.seq).collect()
    }

    #[test]
    fn events_are_replayed_from_the_number_asked_for() {
        let log = EventLog::default();
        push(&log, 5);
        let batch = log.after(2, 2);
        assert_eq!((numbers(&batch), batch.lost), (vec![3, 4], None));
        let batch = log.after(batch.next_since, 10);
        assert_eq!((numbers(&batch), batch.next_since), (vec![5], 5));
    }

    #[test]
    fn a_number_of_the_future_waits_for_its_turn() {
        let log = EventLog::default();
        push(&log, 2);
        let batch = log.after(7, 10);
        assert_eq!(
            (numbers(&batch), batch.next_since, batch.lost),
            (vec![], 7, None)
        );
    }

    #[test]
    fn what_fell_out_is_told_as_lost() {
        let log = EventLog::default();
        push(&log, KEPT_EVENTS + 3);
        let batch = log.after(1, 1);
        assert_eq!((numbers(&batch), batch.lost), (vec![4], Some((2, 3))));
    }

    #[test]
    fn traces_push_nothing_else_out() {
        let log = EventLog::default();
        push(&log, 2);
        for _ in 0..KEPT_EVENTS + KEPT_TRACES {
            log.push(Event::trace("producer.trace"));
        }
        push(&log, 1);
        let batch = log.after(0, 10_000);
        assert_eq!(batch.lost, None);
        assert_eq!(batch.events.len(), 3 + KEPT_TRACES);
        assert!(batch.events.is_sorted_by_key(|event| event.seq));
        assert_eq!(batch.next_since, log.latest());
    }

    #[test]
    fn numbers_go_on_above_an_earlier_controls() {
        let first = EventLog::default();
        let reserved = first.push(Event::new("router.close")).unwrap();
        push(&first, 100);
        let second = EventLog::default();
        second.resume_above(reserved);
        push(&second, 1);
        assert!(second.latest() > first.latest());
        let batch = second.after(3, 10);
        assert_eq!(batch.lost, Some((4, reserved)));
        assert_eq!(numbers(&batch), [reserved + 1]);
    }

    #[test]
    fn no_number_is_given_out_above_the_reserved_bound() {
        let log = EventLog::default();
        let mut reserved = 0;
        for _ in 0..3 * SEQUENCE_BLOCK {
            if let Some(bound) = log.push(Event::new("router.close")) {
                reserved = bound;
            }
            assert!(log.latest() <= reserved);
        }
    }
}
