//! Numbers with units, as they stand on command lines and in files.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

/// A bitrate in bit/s, such as `300k`, `1.5M` or `2G`.
pub fn parse_bitrate(text: &str) -> Result<u64> {
    let lower = text.to_ascii_lowercase();
    let (digits, factor) = match lower.strip_suffix(['k', 'm', 'g']) {
        Some(digits) if lower.ends_with('k') => (digits, 1e3),
        Some(digits) if lower.ends_with('m') => (digits, 1e6),
        Some(digits) => (digits, 1e9),
        None => (lower.as_str(), 1.0),
    };
    let bits = number(digits, text)? * factor;
    ensure!(
        (1e3..=1e11).contains(&bits),
        "`{text}` is no bitrate from 1k to 100G"
    );
    Ok(bits as u64)
}

/// A part of a whole, 0.0 to 1.0, such as `0.001` or `0.1%`.
pub fn parse_part(text: &str) -> Result<f64> {
    let part = match text.strip_suffix('%') {
        Some(percent) => number(percent, text)? / 100.0,
        None => number(text, text)?,
    };
    ensure!(
        (0.0..=1.0).contains(&part),
        "`{text}` is neither from 0 to 1 nor a percentage"
    );
    Ok(part)
}

/// A time, such as `250us`, `20ms`, `1.5s`, `10m` or `1h`; seconds where no unit is given.
pub fn parse_duration(text: &str) -> Result<Duration> {
    let split = text
        .find(|character: char| character.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => bail!("`{text}` has an unknown unit: us, ms, s, m or h"),
    };
    let value = number(digits, text)?;
    ensure!(
        (0.0..=1e6).contains(&value),
        "`{text}` is not from 0 to 1000000"
    );
    Ok(Duration::from_secs_f64(value * seconds))
}

fn number(digits: &str, text: &str) -> Result<f64> {
    digits
        .trim()
        .parse()
        .with_context(|| format!("`{text}` is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_understood() {
        assert_eq!(parse_bitrate("1.5M").unwrap(), 1_500_000);
        assert_eq!(parse_bitrate("300k").unwrap(), 300_000);
        assert_eq!(parse_bitrate("2G").unwrap(), 2_000_000_000);
        assert_eq!(parse_bitrate("64000").unwrap(), 64_000);
        assert_eq!(parse_part("0.1%").unwrap(), 0.001);
        assert_eq!(parse_part("0.25").unwrap(), 0.25);
        assert_eq!(parse_duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(parse_duration("2").unwrap(), Duration::from_secs(2));
        assert_eq!(parse_duration("50us").unwrap(), Duration::from_micros(50));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "5", "k", "1e30", "NaN", "-5M", "5 M5"] {
            assert!(parse_bitrate(text).is_err(), "{text}");
        }
        for text in ["", "101%", "-1", "NaN", "%"] {
            assert!(parse_part(text).is_err(), "{text}");
        }
        for text in ["", "5d", "ms", "-1s", "NaNs"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
