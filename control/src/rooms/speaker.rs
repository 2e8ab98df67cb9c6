//! Who speaks: the loudest over a while, with inertia, so that a cough changes nothing. Where nobody
//! speaks the first sound is enough, as with mediasoup's observer.

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

/// Part of a new level that goes into the mean, rising and falling: a word is heard at once, and the
/// pause after it hardly.
const ATTACK: f32 = 0.8;
const DECAY: f32 = 0.2;

/// The engine tells levels this often. Of one who is not heard any more it tells once.
const LEVEL_INTERVAL: Duration = Duration::from_millis(200);

const SILENCE_DBOV: f32 = -127.0;
/// One who is as low as that is not listed.
const FORGOTTEN_DBOV: f32 = -120.0;

/// Finds the active speaker among the audio producers that it hears.
#[derive(Debug, Default)]
pub(crate) struct SpeakerDetector {
    loudness: HashMap<Uuid, Loudness>,
    speaker: Option<Uuid>,
    /// Who is about to take over, and since when.
    challenger: Option<(Uuid, Instant)>,
    silent_since: Option<Instant>,
}

#[derive(Debug)]
struct Loudness {
    dbov: f32,
    /// Of the last level in it.
    at: Instant,
}

impl Loudness {
    fn add(&mut self, at: Instant, dbov: f32) {
        let part = if dbov > self.dbov { ATTACK } else { DECAY };
        self.dbov += (dbov - self.dbov) * part;
        self.at = at;
    }

    /// Takes what was not heard for silence.
    fn fade(&mut self, now: Instant) {
        while now.saturating_duration_since(self.at) >= 2 * LEVEL_INTERVAL
            && self.dbov > FORGOTTEN_DBOV
        {
            self.add(self.at + LEVEL_INTERVAL, SILENCE_DBOV);
        }
    }
}

impl SpeakerDetector {
    /// Takes one level of a producer, in dBov.
    pub(crate) fn hear(&mut self, now: Instant, producer: Uuid, dbov: i8) {
        let entry = self.loudness.entry(producer).or_insert(Loudness {
            dbov: SILENCE_DBOV,
            at: now,
        });
        entry.fade(now);
        entry.add(now, dbov.into());
    }

    /// A producer is gone or paused.
    pub(crate) fn forget(&mut self, producer: Uuid) {
        self.loudness.remove(&producer);
    }

    /// The speaker, where there is a new one or none any more; `None` where nothing changed.
    pub(crate) fn decide(&mut self, now: Instant) -> Option<Option<Uuid>> {
        self.loudness.retain(|_, loudness| {
            loudness.fade(now);
            loudness.dbov > FORGOTTEN_DBOV
        });
        let Some((loudest, level)) = self.loudest() else {
            return self.silence(now);
        };
        self.silent_since = None;
        let Some(speaker) = self.speaker else {
            self.challenger = None;
            self.speaker = Some(loudest);
            return Some(self.speaker);
        };
        let speakers_level = self.level(speaker);
        if loudest == speaker || level < speakers_level + LEAD_DB {
            self.challenger = None;
            return None;
        }
        self.challenge(loudest, now)
    }

    fn loudest(&self) -> Option<(Uuid, f32)> {
        let levels = self
            .loudness
            .iter()
            .map(|(id, loudness)| (*id, loudness.dbov));
        let speaking = levels.filter(|(_, level)| *level > SPEECH_DBOV);
        speaking.max_by(|(_, a), (_, b)| a.total_cmp(b))
    }

    fn level(&self, producer: Uuid) -> f32 {
        self.loudness
            .get(&producer)
            .map_or(SILENCE_DBOV, |loudness| loudness.dbov)
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
                detector.hear(*now, *producer, *level);
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

    /// Beeps of 100 ms, a second apart: one loud interval, silence told once, then nothing.
    fn beep(detector: &mut SpeakerDetector, now: &mut Instant, beeping: Uuid) -> Vec<Option<Uuid>> {
        let mut decisions = feed(detector, now, 1, &[(beeping, -20)]);
        decisions.extend(feed(detector, now, 1, &[(beeping, -127)]));
        decisions.extend(feed(detector, now, 3, &[]));
        decisions
    }

    #[test]
    fn short_beeps_make_a_speaker_where_nobody_speaks() {
        let a = Uuid::from_u128(1);
        let (mut detector, mut now) = (SpeakerDetector::default(), Instant::now());
        let mut decisions = Vec::new();
        for _ in 0..20 {
            decisions.extend(beep(&mut detector, &mut now, a));
        }
        assert_eq!(decisions, [Some(a)], "and a speaker they stay");
        assert_eq!(feed(&mut detector, &mut now, 30, &[]), [None]);
        assert!(
            detector.loudness.is_empty(),
            "nothing is kept of the silent"
        );
    }

    #[test]
    fn short_beeps_do_not_interrupt() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (mut detector, mut now) = (SpeakerDetector::default(), Instant::now());
        feed(&mut detector, &mut now, 10, &[(a, -30)]);
        for _ in 0..10 {
            let loud = feed(&mut detector, &mut now, 1, &[(a, -30), (b, -5)]);
            let after = feed(&mut detector, &mut now, 4, &[(a, -30), (b, -127)]);
            assert!(loud.is_empty() && after.is_empty());
        }
    }
}
