//! Who speaks: the loudest over a while, with inertia, so that a cough changes nothing.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use uuid::Uuid;

/// Below this, in dBov, nobody speaks.
const SPEECH_DBOV: f32 = -55.0;

/// How much louder another has to be, in dB.
const LEAD_DB: f32 = 5.0;

/// How long another has to be louder.
const TAKE_OVER_TIME: Duration = Duration::from_millis(400);

/// How long nobody has to speak until there is no speaker.
const SILENCE_TIME: Duration = Duration::from_secs(3);

/// Part of a new level that goes into the mean, rising and falling.
const ATTACK: f32 = 0.5;
const DECAY: f32 = 0.2;

const SILENCE_DBOV: f32 = -127.0;

/// Finds the active speaker of one room among its audio producers.
#[derive(Debug, Default)]
pub(super) struct SpeakerDetector {
    loudness: HashMap<Uuid, f32>,
    speaker: Option<Uuid>,
    /// Who is about to take over, and since when.
    challenger: Option<(Uuid, Instant)>,
    silent_since: Option<Instant>,
}

impl SpeakerDetector {
    /// Takes one level of a producer, in dBov.
    pub(super) fn hear(&mut self, producer: Uuid, dbov: i8) {
        let level = f32::from(dbov);
        if level <= SILENCE_DBOV {
            self.loudness.remove(&producer);
            return;
        }
        let mean = self.loudness.entry(producer).or_insert(SILENCE_DBOV);
        let part = if level > *mean { ATTACK } else { DECAY };
        *mean += (level - *mean) * part;
    }

    /// A producer is gone or paused.
    pub(super) fn forget(&mut self, producer: Uuid) {
        self.loudness.remove(&producer);
    }

    /// The speaker, where there is a new one or none any more; `None` where nothing changed.
    pub(super) fn decide(&mut self, now: Instant) -> Option<Option<Uuid>> {
        let Some((loudest, level)) = self.loudest() else {
            return self.silence(now);
        };
        self.silent_since = None;
        let Some(speaker) = self.speaker else {
            // Of several about equally loud the first stays, else none would ever be it.
            let first = self.challenger.map(|(challenger, _)| challenger);
            let stays = first.filter(|first| self.level(*first) + LEAD_DB > level);
            return self.challenge(stays.unwrap_or(loudest), now);
        };
        let speakers_level = self.level(speaker);
        if loudest == speaker || level < speakers_level + LEAD_DB {
            self.challenger = None;
            return None;
        }
        self.challenge(loudest, now)
    }

    fn loudest(&self) -> Option<(Uuid, f32)> {
        let speaking = self
            .loudness
            .iter()
            .filter(|(_, level)| **level > SPEECH_DBOV);
        let loudest = speaking.max_by(|(_, a), (_, b)| a.total_cmp(b));
        loudest.map(|(producer, level)| (*producer, *level))
    }

    fn level(&self, producer: Uuid) -> f32 {
        self.loudness
            .get(&producer)
            .copied()
            .unwrap_or(SILENCE_DBOV)
    }

    fn silence(&mut self, now: Instant) -> Option<Option<Uuid>> {
        self.challenger = None;
        self.speaker?;
        let since = *self.silent_since.get_or_insert(now);
        if now.duration_since(since) < SILENCE_TIME {
            return None;
        }
        self.speaker = None;
        Some(None)
    }

    fn challenge(&mut self, producer: Uuid, now: Instant) -> Option<Option<Uuid>> {
        let since = match self.challenger {
            Some((challenger, since)) if challenger == producer => since,
            _ => {
                self.challenger = Some((producer, now));
                now
            }
        };
        if now.duration_since(since) < TAKE_OVER_TIME {
            return None;
        }
        self.challenger = None;
        self.speaker = Some(producer);
        Some(Some(producer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(200);

    /// Feeds `rounds` of equal levels; gives every decision.
    fn feed(
        detector: &mut SpeakerDetector,
        now: &mut Instant,
        rounds: usize,
        levels: &[(Uuid, i8)],
    ) -> Vec<Option<Uuid>> {
        let mut decisions = Vec::new();
        for _ in 0..rounds {
            for (producer, level) in levels {
                detector.hear(*producer, *level);
            }
            decisions.extend(detector.decide(*now));
            *now += STEP;
        }
        decisions
    }

    #[test]
    fn the_louder_one_takes_over_after_a_while() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (mut detector, mut now) = (SpeakerDetector::default(), Instant::now());
        assert_eq!(feed(&mut detector, &mut now, 10, &[(a, -30)]), [Some(a)]);
        let louder = feed(&mut detector, &mut now, 10, &[(a, -60), (b, -20)]);
        assert_eq!(louder, [Some(b)]);
    }

    #[test]
    fn a_cough_changes_nothing() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (mut detector, mut now) = (SpeakerDetector::default(), Instant::now());
        feed(&mut detector, &mut now, 10, &[(a, -30)]);
        let cough = feed(&mut detector, &mut now, 1, &[(a, -30), (b, 0)]);
        let after = feed(&mut detector, &mut now, 1, &[(a, -30), (b, -127)]);
        assert!(cough.is_empty() && after.is_empty());
    }

    #[test]
    fn equally_loud_ones_do_not_take_turns() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (mut detector, mut now) = (SpeakerDetector::default(), Instant::now());
        feed(&mut detector, &mut now, 10, &[(a, -30)]);
        assert!(feed(&mut detector, &mut now, 30, &[(a, -30), (b, -28)]).is_empty());
    }

    #[test]
    fn one_of_two_equally_loud_ones_becomes_the_speaker() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (mut detector, mut now) = (SpeakerDetector::default(), Instant::now());
        let mut decisions = Vec::new();
        for round in 0..10 {
            let levels = [(a, -30 - round % 2), (b, -31 + round % 2)];
            decisions.extend(feed(&mut detector, &mut now, 1, &levels));
        }
        assert_eq!(decisions.len(), 1);
    }

    #[test]
    fn silence_ends_a_speech_and_noise_begins_none() {
        let a = Uuid::from_u128(1);
        let (mut detector, mut now) = (SpeakerDetector::default(), Instant::now());
        assert!(feed(&mut detector, &mut now, 30, &[(a, -70)]).is_empty());
        feed(&mut detector, &mut now, 10, &[(a, -30)]);
        assert_eq!(feed(&mut detector, &mut now, 30, &[(a, -127)]), [None]);
        assert!(feed(&mut detector, &mut now, 30, &[]).is_empty());
    }
}
