//! What one direction of a link does to its packets, and how that is written.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::units::{parse_bitrate, parse_duration, parse_part};

/// By how much a packet is held back where `reorder` does not say.
const HELD_BACK: Duration = Duration::from_millis(10);

/// What one direction does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Bits of whole IP packets per second; `None`: as fast as can be.
    pub rate: Option<u64>,
    /// From the end of a packet's transmission to its arrival.
    pub delay: Duration,
    /// Every packet's delay is drawn evenly from `delay` ± this; order is kept.
    pub jitter: Duration,
    /// Longest wait in the queue before the rate; who would wait longer is dropped.
    pub queue: Duration,
    /// Part of the packets that is lost.
    pub loss: f64,
    /// Losses in bursts, beside `loss`.
    pub bursts: Option<Bursts>,
    /// Part of the packets that arrives twice.
    pub duplicate: f64,
    /// Packets that others overtake.
    pub reorder: Option<Reorder>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rate: None,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            queue: Duration::from_millis(100),
            loss: 0.0,
            bursts: None,
            duplicate: 0.0,
            reorder: None,
        }
    }
}

impl Settings {
    /// Puts the settings that `change` names.
    pub fn apply(&mut self, change: &Change) {
        for named in &change.0 {
            match named.setting {
                Setting::Rate(rate) => self.rate = rate,
                Setting::Delay(delay) => self.delay = delay,
                Setting::Jitter(jitter) => self.jitter = jitter,
                Setting::Queue(queue) => self.queue = queue,
                Setting::Loss(loss) => self.loss = loss,
                Setting::Bursts(bursts) => self.bursts = bursts,
                Setting::Duplicate(duplicate) => self.duplicate = duplicate,
                Setting::Reorder(reorder) => self.reorder = reorder,
            }
        }
    }
}

/// The model of Gilbert and Elliott: a good and a bad state, each with its own loss; that of the
/// good state is [`Settings::loss`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bursts {
    /// Probability, at each packet, that the bad state begins.
    pub enter: f64,
    /// Probability, at each packet, that it ends.
    pub leave: f64,
    /// Part of the packets lost while it lasts.
    pub loss: f64,
}

/// Packets that are held back, so that those behind them overtake.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reorder {
    /// Part of the packets.
    pub share: f64,
    /// For how long.
    pub by: Duration,
}

/// Some settings, each with its new value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change(Vec<Named>);

#[derive(Debug, Clone, PartialEq)]
struct Named {
    setting: Setting,
    /// As it was given.
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Setting {
    Rate(Option<u64>),
    Delay(Duration),
    Jitter(Duration),
    Queue(Duration),
    Loss(f64),
    Bursts(Option<Bursts>),
    Duplicate(f64),
    Reorder(Option<Reorder>),
}

impl Change {
    /// Adds one, by its name.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let text = format!("{name}={value}");
        let setting = parse_setting(name, value).with_context(|| text.clone())?;
        self.0.push(Named { setting, text });
        Ok(())
    }

    /// Adds those of another; where both name the same, the other's hold.
    pub fn append(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let texts: Vec<&str> = self.0.iter().map(|named| named.text.as_str()).collect();
        f.write_str(&texts.join(","))
    }
}

/// Reads `rate=500k,delay=20ms`.
impl std::str::FromStr for Change {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut change = Self::default();
        for pair in text.split(',').map(str::trim) {
            let (name, value) = pair
                .split_once('=')
                .with_context(|| format!("`{pair}` is not NAME=VALUE"))?;
            change.set(name.trim(), value.trim())?;
        }
        Ok(change)
    }
}

fn parse_setting(name: &str, value: &str) -> Result<Setting> {
    let is_off = value == "none";
    Ok(match name {
        "rate" if is_off => Setting::Rate(None),
        "rate" => Setting::Rate(Some(parse_bitrate(value)?)),
        "delay" => Setting::Delay(parse_duration(value)?),
        "jitter" => Setting::Jitter(parse_duration(value)?),
        "queue" => Setting::Queue(parse_duration(value)?),
        "loss" => Setting::Loss(parse_part(value)?),
        "bursts" if is_off => Setting::Bursts(None),
        "bursts" => Setting::Bursts(Some(parse_bursts(value)?)),
        "duplicate" => Setting::Duplicate(parse_part(value)?),
        "reorder" if is_off => Setting::Reorder(None),
        "reorder" => Setting::Reorder(Some(parse_reorder(value)?)),
        _ => {
            bail!("no such setting: rate, delay, jitter, queue, loss, bursts, duplicate or reorder")
        }
    })
}

fn parse_bursts(value: &str) -> Result<Bursts> {
    let parts: Vec<&str> = value.split(':').collect();
    let (enter, leave, loss) = match parts[..] {
        [enter, leave] => (enter, leave, "100%"),
        [enter, leave, loss] => (enter, leave, loss),
        _ => bail!("must be ENTER:LEAVE or ENTER:LEAVE:LOSS"),
    };
    let bursts = Bursts {
        enter: parse_part(enter)?,
        leave: parse_part(leave)?,
        loss: parse_part(loss)?,
    };
    ensure!(bursts.leave > 0.0, "a burst that never ends: use loss=100%");
    Ok(bursts)
}

fn parse_reorder(value: &str) -> Result<Reorder> {
    let (share, by) = match value.split_once(':') {
        Some((share, by)) => (share, parse_duration(by)?),
        None => (value, HELD_BACK),
    };
    let share = parse_part(share)?;
    Ok(Reorder { share, by })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        let mut settings = Settings::default();
        settings.apply(&text.parse().unwrap());
        settings
    }

    #[test]
    fn every_setting_can_be_put_and_taken_back() {
        let all = settings(
            "rate=2M,delay=25ms,jitter=5ms,queue=80ms,loss=1%,bursts=0.5%:20%,duplicate=2%,reorder=3%:7ms",
        );
        let wanted = Settings {
            rate: Some(2_000_000),
            delay: Duration::from_millis(25),
            jitter: Duration::from_millis(5),
            queue: Duration::from_millis(80),
            loss: 0.01,
            bursts: Some(Bursts {
                enter: 0.005,
                leave: 0.2,
                loss: 1.0,
            }),
            duplicate: 0.02,
            reorder: Some(Reorder {
                share: 0.03,
                by: Duration::from_millis(7),
            }),
        };
        assert_eq!(all, wanted);
        let mut back = all;
        let nothing =
            "rate=none,delay=0,jitter=0,queue=100ms,loss=0,bursts=none,duplicate=0,reorder=none";
        back.apply(&nothing.parse().unwrap());
        assert_eq!(back, Settings::default());
    }

    #[test]
    fn what_is_not_named_stays() {
        let mut it = settings("rate=1M,loss=2%");
        it.apply(&"delay=3ms".parse().unwrap());
        assert_eq!((it.rate, it.loss), (Some(1_000_000), 0.02));
    }

    #[test]
    fn mistakes_are_refused_with_their_name() {
        for (text, said) in [
            ("speed=1M", "speed"),
            ("rate=fast", "rate=fast"),
            ("rate", "NAME=VALUE"),
            ("", "NAME=VALUE"),
            ("loss=200%", "loss=200%"),
            ("bursts=1%", "ENTER:LEAVE"),
            ("bursts=1%:0", "never ends"),
            ("delay=5q", "unknown unit"),
        ] {
            let error = text.parse::<Change>().unwrap_err();
            assert!(format!("{error:#}").contains(said), "{text}: {error:#}");
        }
    }
}
