//! What happens to each packet, drawn from a seed.

use super::settings::Settings;

/// Draws the fates of the packets of one direction.
///
/// The n-th packet's fate depends on the seed, on n and on the settings alone, never on time.
#[derive(Debug)]
pub(crate) struct Fates {
    random: fastrand::Rng,
    /// The bad state of [`super::settings::Bursts`].
    is_bad: bool,
}

/// What happens to one packet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Fate {
    pub(crate) is_lost: bool,
    pub(crate) is_doubled: bool,
    pub(crate) is_held_back: bool,
    /// Times the jitter, -1.0 to 1.0.
    pub(crate) jitter: f64,
}

impl Fates {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            is_bad: false,
        }
    }

    pub(crate) fn draw(&mut self, settings: &Settings) -> Fate {
        // As many for every packet, whatever is set, so that one setting does not disturb another.
        let [state, loss, double, hold, jitter] = std::array::from_fn(|_| self.random.f64());
        let loss_part = match settings.bursts {
            None => {
                self.is_bad = false;
                settings.loss
            }
            Some(bursts) => {
                let change = if self.is_bad {
                    bursts.leave
                } else {
                    bursts.enter
                };
                self.is_bad ^= state < change;
                if self.is_bad {
                    bursts.loss
                } else {
                    settings.loss
                }
            }
        };
        Fate {
            is_lost: loss < loss_part,
            is_doubled: double < settings.duplicate,
            is_held_back: settings.reorder.is_some_and(|reorder| hold < reorder.share),
            jitter: 2.0 * jitter - 1.0,
        }
    }
}

impl Fate {
    /// As if nothing random were set but the jitter.
    pub(crate) fn spared(self) -> Self {
        Self {
            is_lost: false,
            is_doubled: false,
            is_held_back: false,
            jitter: self.jitter,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::Bursts;
    use super::*;

    const PACKETS: usize = 200_000;

    fn losses(settings: &Settings, seed: u64) -> Vec<bool> {
        let mut fates = Fates::new(seed);
        (0..PACKETS).map(|_| fates.draw(settings).is_lost).collect()
    }

    fn share(losses: &[bool]) -> f64 {
        losses.iter().filter(|&&lost| lost).count() as f64 / losses.len() as f64
    }

    #[test]
    fn random_loss_has_its_share() {
        for loss in [0.0, 0.001, 0.05, 0.5, 1.0] {
            let settings = Settings {
                loss,
                ..Settings::default()
            };
            let off = share(&losses(&settings, 3)) - loss;
            let deviation = (loss * (1.0 - loss) / PACKETS as f64).sqrt();
            assert!(off.abs() <= 4.0 * deviation, "{loss}: {off} off");
        }
    }

    #[test]
    fn bursts_have_their_length_and_share() {
        let settings = Settings {
            bursts: Some(Bursts {
                enter: 0.01,
                leave: 0.2,
                loss: 1.0,
            }),
            ..Settings::default()
        };
        let losses = losses(&settings, 5);
        let bursts = losses.windows(2).filter(|pair| !pair[0] && pair[1]).count() as f64;
        let lost = losses.iter().filter(|&&lost| lost).count() as f64;
        // Mean length 1/leave; share enter/(enter + leave). About 1900 bursts.
        assert!(
            (lost / bursts - 5.0).abs() < 0.5,
            "length {}",
            lost / bursts
        );
        let part = share(&losses);
        assert!((part - 0.01 / 0.21).abs() < 0.006, "share {part}");
    }

    #[test]
    fn a_seed_decides_everything() {
        let settings = Settings {
            loss: 0.1,
            ..Settings::default()
        };
        assert_eq!(losses(&settings, 7), losses(&settings, 7));
        assert_ne!(losses(&settings, 7), losses(&settings, 8));
        // Other settings leave the losses as they are.
        let noisy = Settings {
            duplicate: 0.5,
            ..settings
        };
        assert_eq!(losses(&settings, 7), losses(&noisy, 7));
    }
}
