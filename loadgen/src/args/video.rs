//! How video is asked for, such as `720p@1.5M`, `1080p60@4M`, `360p` or `1.5M`.

use std::str::FromStr;

use anyhow::{Context as _, Error, Result, ensure};
use weirgate_loadgen::units::parse_bitrate;

/// Lines and the bitrate that goes with them where none is given, the largest first.
const SIZES: [(u16, u64); 5] = [
    (2160, 12_000_000),
    (1080, 3_000_000),
    (720, 1_500_000),
    (360, 500_000),
    (180, 150_000),
];
const FRAME_RATE: u32 = 30;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Video {
    pub(super) height: u16,
    pub(super) frame_rate: u32,
    pub(super) bitrate_bps: u64,
}

impl FromStr for Video {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (size, bitrate) = match text.split_once('@') {
            Some((size, bitrate)) => (Some(size), Some(bitrate)),
            None if text.contains('p') => (Some(text), None),
            None => (None, Some(text)),
        };
        let size = size.map(parse_size).transpose()?;
        let bitrate = bitrate.map(parse_bitrate).transpose()?;
        let height = size.map_or_else(|| height_of(bitrate), |(height, _)| height);
        let bitrate_bps = bitrate.unwrap_or_else(|| bitrate_of(height));
        ensure!(
            (10_000..=1_000_000_000).contains(&bitrate_bps),
            "`{text}`: the bitrate must be from 10k to 1000M"
        );
        Ok(Self {
            height,
            frame_rate: size.map_or(FRAME_RATE, |(_, frame_rate)| frame_rate),
            bitrate_bps,
        })
    }
}

fn parse_size(text: &str) -> Result<(u16, u32)> {
    let wrong = || format!("`{text}` is no size such as 720p or 1080p60");
    let (height, frame_rate) = text.split_once('p').with_context(wrong)?;
    let height: u16 = height.parse().with_context(wrong)?;
    let frame_rate = match frame_rate {
        "" => FRAME_RATE,
        digits => digits.parse().with_context(wrong)?,
    };
    ensure!((90..=4320).contains(&height), "`{text}`: from 90p to 4320p");
    ensure!(
        (1..=240).contains(&frame_rate),
        "`{text}`: from 1 to 240 frames per second"
    );
    Ok((height, frame_rate))
}

fn height_of(bitrate: Option<u64>) -> u16 {
    let fits = |&&(_, usual): &&(u16, u64)| bitrate.is_some_and(|bps| bps >= usual);
    SIZES.iter().find(fits).map_or(180, |(height, _)| *height)
}

fn bitrate_of(height: u16) -> u64 {
    let fits = |&&(lines, _): &&(u16, u64)| height >= lines;
    let found = SIZES.iter().find(fits);
    found.map_or(150_000, |(_, bitrate)| *bitrate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_bitrates_are_understood() {
        let video = |height, frame_rate, bitrate_bps| Video {
            height,
            frame_rate,
            bitrate_bps,
        };
        for (text, expected) in [
            ("720p@1.5M", video(720, 30, 1_500_000)),
            ("1080p60@4M", video(1080, 60, 4_000_000)),
            ("360p", video(360, 30, 500_000)),
            ("1.5M", video(720, 30, 1_500_000)),
            ("300k", video(180, 30, 300_000)),
        ] {
            assert_eq!(text.parse::<Video>().unwrap(), expected, "{text}");
        }
        for text in ["", "p", "720", "720p@", "720q@1M", "720p0@1M", "9999p", "5"] {
            assert!(text.parse::<Video>().is_err(), "{text}");
        }
    }
}
