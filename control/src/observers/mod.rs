//! RTP observers: who of some producers is loud, or speaks, with mediasoup's options and events.
//!
//! Pure bookkeeping. What has to outlive this process is a record, kept by the engine as a note.

mod audio_levels;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::rooms::SpeakerDetector;
use audio_levels::AudioLevels;

/// Observers of one server.
pub const MAX_OBSERVERS: usize = 16_384;

/// What an observer looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Watch {
    /// mediasoup's `AudioLevelObserver`.
    AudioLevel {
        /// Volumes told at a time.
        max_entries: u16,
        /// Mean level in dBov from which one is told.
        threshold: i8,
        /// ms between two looks.
        interval_ms: u16,
    },
    /// mediasoup's `ActiveSpeakerObserver`.
    ActiveSpeaker {
        /// ms between two looks.
        interval_ms: u16,
    },
}

impl Watch {
    /// mediasoup's name of the type.
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::AudioLevel { .. } => "audiolevel",
            Self::ActiveSpeaker { .. } => "activespeaker",
        }
    }

    /// ms between two looks.
    pub const fn interval_ms(self) -> u16 {
        match self {
            Self::AudioLevel { interval_ms, .. } | Self::ActiveSpeaker { interval_ms } => {
                interval_ms
            }
        }
    }
}

/// What the engine keeps of an observer for us.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ObserverRecord {
    /// Its router.
    pub router: Uuid,
    /// What it looks for.
    pub watch: Watch,
    /// Whom it listens to, in the order in which they were added.
    pub producers: Vec<Uuid>,
    /// It does not listen now.
    pub is_paused: bool,
    /// The caller's.
    pub app_data: Value,
}

/// What an observer tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// The loudest, the loudest first, with their mean levels in dBov.
    Volumes(Vec<(Uuid, i8)>),
    /// Nobody is loud any more.
    Silence,
    /// Somebody else speaks.
    DominantSpeaker(Uuid),
}

/// An observer.
#[derive(Debug)]
pub struct Observer {
    /// What the engine keeps of it for us.
    pub record: ObserverRecord,
    levels: AudioLevels,
    speakers: SpeakerDetector,
    dominant: Option<Uuid>,
    due: Option<Instant>,
}

impl Observer {
    fn new(record: ObserverRecord) -> Self {
        Self {
            record,
            levels: AudioLevels::default(),
            speakers: SpeakerDetector::default(),
            dominant: None,
            due: None,
        }
    }

    fn hear(&mut self, now: Instant, producer: Uuid, dbov: i8, peak_dbov: i8) {
        if self.record.is_paused {
            return;
        }
        match self.record.watch {
            Watch::AudioLevel { .. } => self.levels.hear(producer, dbov),
            Watch::ActiveSpeaker { .. } => self.speakers.hear(now, producer, peak_dbov),
        }
    }

    fn look(&mut self, now: Instant) -> Option<Observed> {
        let interval = Duration::from_millis(self.record.watch.interval_ms().into());
        let due = *self.due.get_or_insert(now + interval);
        if self.record.is_paused || now < due {
            return None;
        }
        self.due = Some(now + interval);
        match self.record.watch {
            Watch::AudioLevel {
                max_entries,
                threshold,
                ..
            } => self.levels.look(max_entries.into(), threshold),
            Watch::ActiveSpeaker { .. } => {
                let speaker = self.speakers.decide(now)??;
                let is_new = self.dominant.replace(speaker) != Some(speaker);
                is_new.then_some(Observed::DominantSpeaker(speaker))
            }
        }
    }

    fn forget(&mut self, producer: Uuid) {
        self.record.producers.retain(|known| *known != producer);
        self.levels.forget(producer);
        self.speakers.forget(producer);
        self.dominant = self.dominant.filter(|known| *known != producer);
    }
}

/// All observers.
#[derive(Debug, Default)]
pub struct Observers {
    by_id: HashMap<Uuid, Observer>,
    by_producer: HashMap<Uuid, Vec<Uuid>>,
}

impl Observers {
    /// Adds an observer, with whom it listens to.
    pub fn insert(&mut self, id: Uuid, record: ObserverRecord) {
        for producer in &record.producers {
            self.by_producer.entry(*producer).or_default().push(id);
        }
        self.by_id.insert(id, Observer::new(record));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// One of them.
    pub fn get(&self, id: Uuid) -> Option<&Observer> {
        self.by_id.get(&id)
    }

    /// One of them, to pause or resume.
    pub fn get_mut(&mut self, id: Uuid) -> Option<&mut Observer> {
        self.by_id.get_mut(&id)
    }

    /// Those of a router, in the order of their ids.
    pub fn of_router(&self, router: Uuid) -> Vec<Uuid> {
        let own = self
            .by_id
            .iter()
            .filter(|(_, it)| it.record.router == router);
        let mut ids: Vec<Uuid> = own.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    /// Those that listen to a producer.
    pub fn of_producer(&self, producer: Uuid) -> &[Uuid] {
        self.by_producer.get(&producer).map_or(&[], Vec::as_slice)
    }

    /// Lets an observer listen to a producer; false where it does already.
    pub fn add_producer(&mut self, id: Uuid, producer: Uuid) -> bool {
        let Some(observer) = self.by_id.get_mut(&id) else {
            return false;
        };
        if observer.record.producers.contains(&producer) {
            return false;
        }
        observer.record.producers.push(producer);
        self.by_producer.entry(producer).or_default().push(id);
        true
    }

    /// Ends that; false where it did not listen.
    pub fn remove_producer(&mut self, id: Uuid, producer: Uuid) -> bool {
        let Some(listening) = self.by_producer.get_mut(&producer) else {
            return false;
        };
        let before = listening.len();
        listening.retain(|known| *known != id);
        let is_removed = listening.len() < before;
        if listening.is_empty() {
            self.by_producer.remove(&producer);
        }
        if let Some(observer) = self.by_id.get_mut(&id) {
            observer.forget(producer);
        }
        is_removed
    }

    /// A producer is gone.
    pub fn drop_producer(&mut self, producer: Uuid) {
        for id in self.by_producer.remove(&producer).unwrap_or_default() {
            if let Some(observer) = self.by_id.get_mut(&id) {
                observer.forget(producer);
            }
        }
    }

    /// Takes an observer away.
    pub fn remove(&mut self, id: Uuid) -> Option<Observer> {
        let observer = self.by_id.remove(&id)?;
        for producer in &observer.record.producers {
            if let Some(listening) = self.by_producer.get_mut(producer) {
                listening.retain(|known| *known != id);
            }
        }
        self.by_producer
            .retain(|_, listening| !listening.is_empty());
        Some(observer)
    }

    /// Takes a producer's mean and loudest level over about 200 ms, in dBov.
    pub fn hear(&mut self, now: Instant, producer: Uuid, dbov: i8, peak_dbov: i8) {
        for id in self.by_producer.get(&producer).into_iter().flatten() {
            if let Some(observer) = self.by_id.get_mut(id) {
                observer.hear(now, producer, dbov, peak_dbov);
            }
        }
    }

    /// What there is to tell, with the observer that tells it.
    pub fn look(&mut self, now: Instant) -> Vec<(Uuid, Observed)> {
        let observers = self.by_id.iter_mut();
        observers
            .filter_map(|(id, observer)| Some((*id, observer.look(now)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Uuid = Uuid::from_u128(1);
    const B: Uuid = Uuid::from_u128(2);
    const OBSERVER: Uuid = Uuid::from_u128(9);

    fn watching(watch: Watch) -> Observers {
        let mut observers = Observers::default();
        observers.insert(
            OBSERVER,
            ObserverRecord {
                router: Uuid::nil(),
                watch,
                producers: vec![A, B],
                is_paused: false,
                app_data: Value::Null,
            },
        );
        observers
    }

    /// Ten seconds in steps of 200 ms; what is told.
    fn ten_seconds(
        observers: &mut Observers,
        now: &mut Instant,
        levels: &[(Uuid, i8)],
    ) -> Vec<Observed> {
        let mut told = Vec::new();
        for _ in 0..50 {
            for (producer, dbov) in levels {
                observers.hear(*now, *producer, *dbov, *dbov);
            }
            told.extend(observers.look(*now).into_iter().map(|(_, told)| told));
            *now += Duration::from_millis(200);
        }
        told
    }

    #[test]
    fn volumes_are_told_once_an_interval_and_silence_once() {
        let mut observers = watching(Watch::AudioLevel {
            max_entries: 1,
            threshold: -60,
            interval_ms: 1_000,
        });
        let mut now = Instant::now();
        let told = ten_seconds(&mut observers, &mut now, &[(A, -40), (B, -30)]);
        assert_eq!(told, vec![Observed::Volumes(vec![(B, -30)]); 9]);
        let told = ten_seconds(&mut observers, &mut now, &[(A, -70)]);
        assert_eq!(told.last(), Some(&Observed::Silence));
        assert!(ten_seconds(&mut observers, &mut now, &[]).is_empty());
    }

    #[test]
    fn a_speaker_is_told_once() {
        let mut observers = watching(Watch::ActiveSpeaker { interval_ms: 300 });
        let mut now = Instant::now();
        let told = ten_seconds(&mut observers, &mut now, &[(A, -30)]);
        assert_eq!(told, [Observed::DominantSpeaker(A)]);
        assert!(ten_seconds(&mut observers, &mut now, &[]).is_empty());
        assert!(ten_seconds(&mut observers, &mut now, &[(A, -30)]).is_empty());
        let told = ten_seconds(&mut observers, &mut now, &[(B, -30)]);
        assert_eq!(told, [Observed::DominantSpeaker(B)]);
    }

    #[test]
    fn nothing_is_kept_of_what_is_removed() {
        let mut observers = watching(Watch::ActiveSpeaker { interval_ms: 300 });
        assert!(!observers.add_producer(OBSERVER, A), "it is there already");
        assert!(observers.remove_producer(OBSERVER, A));
        assert!(!observers.remove_producer(OBSERVER, A));
        observers.drop_producer(B);
        assert!(observers.by_producer.is_empty());
        assert!(observers.get(OBSERVER).unwrap().record.producers.is_empty());
        assert!(observers.add_producer(OBSERVER, A));
        assert!(observers.remove(OBSERVER).is_some());
        assert!(observers.by_producer.is_empty() && observers.by_id.is_empty());
    }
}
