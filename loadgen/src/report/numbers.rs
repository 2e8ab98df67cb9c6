//! Numbers as they are printed, with their units.

/// `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `67,012` of packets per second, with a decimal where it is less than ten.
pub(super) fn rate(rate: f64) -> String {
    if rate < 10.0 {
        format!("{rate:.1}")
    } else {
        count(rate.round() as u64)
    }
}

/// `12.3 Mbit/s`, or in kbit/s or Gbit/s.
pub(super) fn bitrate(bits_per_second: f64) -> String {
    if bits_per_second >= 1e9 {
        format!("{:.2} Gbit/s", bits_per_second / 1e9)
    } else if bits_per_second >= 1e6 {
        format!("{:.1} Mbit/s", bits_per_second / 1e6)
    } else {
        format!("{:.1} kbit/s", bits_per_second / 1e3)
    }
}

/// A part of a whole, with the digits it takes to tell it from nothing: `0.0012 %`.
pub(super) fn percent(part: f64) -> String {
    let percent = part * 100.0;
    if percent == 0.0 {
        "0 %".to_owned()
    } else if percent < 0.0001 {
        "<0.0001 %".to_owned()
    } else if percent < 1.0 {
        format!("{percent:.4} %")
    } else {
        format!("{percent:.2} %")
    }
}

/// Milliseconds without unit, in three digits or so.
pub(super) fn ms(ms: f64) -> String {
    if ms >= 100.0 {
        format!("{ms:.0}")
    } else if ms >= 10.0 {
        format!("{ms:.1}")
    } else {
        format!("{ms:.2}")
    }
}

/// `12.3 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib >= 1024.0 {
        format!("{:.2} GiB", mib / 1024.0)
    } else {
        format!("{mib:.1} MiB")
    }
}

/// `1 receiver`, `2,000 receivers`, from the word for many.
pub(super) fn many(number: u64, word: &str) -> String {
    let one = word.strip_suffix('s').unwrap_or(word);
    let word = if number == 1 { one } else { word };
    format!("{} {word}", count(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(1_234_567), "1,234,567");
    }

    #[test]
    fn a_small_loss_does_not_read_as_none() {
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(1e-9), "<0.0001 %");
        assert_eq!(percent(0.000_012), "0.0012 %");
        assert_eq!(percent(0.5), "50.00 %");
    }

    #[test]
    fn units_grow_with_the_number() {
        assert_eq!(bitrate(1.5e6), "1.5 Mbit/s");
        assert_eq!(bitrate(64e3), "64.0 kbit/s");
        assert_eq!(bitrate(2.345e9), "2.35 Gbit/s");
        assert_eq!(rate(0.25), "0.2");
        assert_eq!(rate(12_345.6), "12,346");
        assert_eq!(bytes(5 << 30), "5.00 GiB");
        assert_eq!(many(1, "cores"), "1 core");
        assert_eq!(many(2_000, "cores"), "2,000 cores");
        assert_eq!(ms(0.123), "0.12");
        assert_eq!(ms(123.4), "123");
    }
}
