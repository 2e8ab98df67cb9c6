//! A load that rises and falls while it is measured: parts of the time in which a share of the
//! senders sends, and the others are silent.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Error, Result, ensure};

use crate::units::{parse_duration, parse_part};

/// Shorter phases tell no rates.
const SHORTEST: Duration = Duration::from_secs(1);

/// For so long that share of the senders sends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadStep {
    /// 0.0 to 1.0.
    pub share: f64,
    /// How long.
    pub lasts: Duration,
}

/// Steps one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadProfile(Vec<LoadStep>);

impl LoadProfile {
    /// These steps; at least one.
    pub fn new(steps: Vec<LoadStep>) -> Result<Self> {
        ensure!(!steps.is_empty(), "no step of load");
        for step in &steps {
            let (share, lasts) = (step.share, step.lasts);
            ensure!(
                share > 0.0 && share <= 1.0,
                "a share of senders of {share} is not above 0 and at most 1"
            );
            ensure!(
                lasts >= SHORTEST,
                "a step of {lasts:?} is shorter than {SHORTEST:?}"
            );
        }
        Ok(Self(steps))
    }

    /// All steps.
    pub fn steps(&self) -> &[LoadStep] {
        &self.0
    }

    /// All together.
    pub fn duration(&self) -> Duration {
        self.0.iter().map(|step| step.lasts).sum()
    }

    /// The number of the step that is under way after so long; the last one ever after.
    pub(super) fn at(&self, elapsed: Duration) -> usize {
        let mut end = Duration::ZERO;
        let ends = self.0.iter().map(|step| {
            end += step.lasts;
            end
        });
        let over = ends.take_while(|&end| end <= elapsed).count();
        over.min(self.0.len() - 1)
    }

    /// The share of senders before the first step and in it.
    pub(super) fn first_share(&self) -> f64 {
        self.0[0].share
    }
}

impl FromStr for LoadProfile {
    type Err = Error;

    /// `SHARE:TIME`, several with commas between: `30%:5s,90%:10s,30%:5s`.
    fn from_str(text: &str) -> Result<Self> {
        let steps = text.split(',').map(|step| {
            let (share, lasts) = step
                .split_once(':')
                .with_context(|| format!("`{step}` is not SHARE:TIME, such as 30%:5s"))?;
            Ok(LoadStep {
                share: parse_part(share)?,
                lasts: parse_duration(lasts)?,
            })
        });
        Self::new(steps.collect::<Result<_>>()?)
    }
}

/// Where a participant stands among all, 0.0 up to 1.0: those below a share send. Any share is
/// spread evenly over participants in the order in which they came, so over rooms.
pub(super) fn rank(participant: usize) -> f64 {
    // The van der Corput sequence.
    f64::from((participant as u32).reverse_bits()) / (f64::from(u32::MAX) + 1.0)
}

/// The same for who sends audio: spread evenly over any share that sends.
pub(super) fn mute_rank(participant: usize) -> f64 {
    // The golden ratio's multiples are spread evenly, and in no step with powers of two.
    const GOLDEN: f64 = 0.618_033_988_749_895;
    (participant as f64 * GOLDEN).fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_follow_one_another() {
        let profile: LoadProfile = "30%:5s,0.9:10s,30%:1500ms".parse().unwrap();
        let shares: Vec<f64> = profile.steps().iter().map(|step| step.share).collect();
        assert_eq!(shares, [0.3, 0.9, 0.3]);
        assert_eq!(profile.duration(), Duration::from_millis(16_500));
        for (ms, step) in [(0, 0), (4_999, 0), (5_000, 1), (15_000, 2), (99_000, 2)] {
            assert_eq!(profile.at(Duration::from_millis(ms)), step, "{ms}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "30%", "30%:", "0:5s", "120%:5s", "30%:5s,", "30%:10ms"] {
            assert!(text.parse::<LoadProfile>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_of_the_senders_is_spread_over_the_rooms() {
        for share in [0.25, 0.5, 0.75, 1.0] {
            for room in 0..8 {
                let sending = (room * 4..room * 4 + 4)
                    .filter(|&number| rank(number) < share)
                    .count();
                assert_eq!(sending as f64, share * 4.0, "{share} {room}");
            }
        }
        let speaking = |share| {
            let sending = (0..64).filter(move |&number| rank(number) < share);
            sending.filter(|&number| mute_rank(number) < 0.25).count()
        };
        assert!((3..=5).contains(&speaking(0.25)), "{}", speaking(0.25));
        assert!((15..=17).contains(&speaking(1.0)), "{}", speaking(1.0));
        let third = (0..24).filter(|&number| rank(number) < 1.0 / 3.0).count();
        assert!((7..=9).contains(&third), "{third}");
    }
}
