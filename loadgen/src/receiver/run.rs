//! A flow as a row of runs: pieces of one stream after another, as a server forwards one layer of
//! simulcast at a time. Without simulcast there is one run.

use super::window::{Arrival, SeenWindow};
use crate::clock::NS_PER_S;
use crate::marker::Marker;

/// Across a switch the RTP time may differ from the time between both packets by so much, in ns.
const MAX_SWITCH_ERROR_NS: i64 = NS_PER_S as i64 / 2;

/// Where a packet stands in the flow as it was sent to us.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Extended RTP sequence number.
    pub(super) sequence: u64,
    /// RTP timestamp.
    pub(super) timestamp: u32,
}

/// What a packet of the flow turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Noted {
    pub(super) arrival: Arrival,
    /// Its sequence number does not follow.
    pub(super) renumbered: bool,
    /// Its timestamp does not follow.
    pub(super) wrong_timestamp: bool,
    /// It begins a run of another stream.
    pub(super) switched: bool,
}

/// All runs of a flow; those before the last two as sums only.
#[derive(Debug)]
pub(super) struct Runs {
    clock_rate: u32,
    current: Option<Run>,
    previous: Option<Run>,
    settled_lost: u64,
    settled_unique: u64,
}

#[derive(Debug)]
struct Run {
    stream: u32,
    seen: SeenWindow,
    /// Sequence number minus index, while the server drops nothing on purpose.
    sequence_offset: i64,
    timestamp_offset: u32,
    first_sequence: u64,
    end_sequence: u64,
    /// Timestamp and intended send time of the packet with the highest sequence number.
    latest: (u32, u64),
}

impl Runs {
    pub(super) fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            current: None,
            previous: None,
            settled_lost: 0,
            settled_unique: 0,
        }
    }

    /// Notes a packet; `None` for one of a stream whose run ended before the last switch but one.
    pub(super) fn note(&mut self, marker: &Marker, place: Place) -> Option<Noted> {
        let Some(current) = &mut self.current else {
            self.current = Some(Run::new(marker, place));
            return Some(Noted::first());
        };
        if current.stream == marker.stream {
            return Some(current.note(marker, place));
        }
        if place.sequence < current.end_sequence {
            let previous = self.previous.as_mut();
            let previous = previous.filter(|run| run.stream == marker.stream)?;
            return Some(previous.note(marker, place));
        }
        let wrong_timestamp = !current.is_continued(marker, place, self.clock_rate);
        let ended = self.current.replace(Run::new(marker, place));
        if let Some(settled) = std::mem::replace(&mut self.previous, ended) {
            self.settled_unique += settled.seen.unique();
            self.settled_lost += settled.lost() + settled.gap_to(self.previous.as_ref());
        }
        Some(Noted {
            wrong_timestamp,
            switched: true,
            ..Noted::first()
        })
    }

    /// The stream of the latest run.
    pub(super) fn stream(&self) -> Option<u32> {
        self.current.as_ref().map(|run| run.stream)
    }

    /// Different packets of all runs.
    pub(super) fn unique(&self) -> u64 {
        let runs = self.previous.iter().chain(&self.current);
        self.settled_unique + runs.map(|run| run.seen.unique()).sum::<u64>()
    }

    /// Missing within all runs so far and between them.
    pub(super) fn lost(&self) -> u64 {
        let inside = self.previous.iter().chain(&self.current).map(Run::lost);
        let previous = self.previous.as_ref();
        let between = previous.map_or(0, |run| run.gap_to(self.current.as_ref()));
        self.settled_lost + inside.sum::<u64>() + between
    }

    /// One above the highest index of the latest run.
    pub(super) fn end(&self) -> u64 {
        self.current.as_ref().map_or(0, |run| run.seen.end())
    }
}

impl Noted {
    fn first() -> Self {
        Self {
            arrival: Arrival::Newest,
            renumbered: false,
            wrong_timestamp: false,
            switched: false,
        }
    }
}

impl Run {
    fn new(marker: &Marker, place: Place) -> Self {
        let mut seen = SeenWindow::default();
        seen.note(marker.index);
        Self {
            stream: marker.stream,
            seen,
            sequence_offset: offset(marker, place),
            timestamp_offset: place.timestamp.wrapping_sub(marker.timestamp),
            first_sequence: place.sequence,
            end_sequence: place.sequence + 1,
            latest: (place.timestamp, marker.intended_ns),
        }
    }

    fn note(&mut self, marker: &Marker, place: Place) -> Noted {
        let mut noted = Noted {
            arrival: self.seen.note(marker.index),
            ..Noted::first()
        };
        if matches!(noted.arrival, Arrival::Duplicate | Arrival::TooOld) {
            return noted;
        }
        let offset = offset(marker, place);
        if self.sequence_offset != offset {
            noted.renumbered = true;
            self.sequence_offset = offset;
        }
        let timestamp_offset = place.timestamp.wrapping_sub(marker.timestamp);
        if self.timestamp_offset != timestamp_offset {
            noted.wrong_timestamp = true;
            self.timestamp_offset = timestamp_offset;
        }
        self.first_sequence = self.first_sequence.min(place.sequence);
        if place.sequence >= self.end_sequence {
            self.end_sequence = place.sequence + 1;
            self.latest = (place.timestamp, marker.intended_ns);
        }
        noted
    }

    /// Missing between its first and its last packet.
    fn lost(&self) -> u64 {
        let first = self.seen.first().unwrap_or_default();
        (self.seen.end() - first).saturating_sub(self.seen.unique())
    }

    /// Sequence numbers between its last packet and the first of the next run.
    fn gap_to(&self, next: Option<&Self>) -> u64 {
        next.map_or(0, |next| {
            next.first_sequence.saturating_sub(self.end_sequence)
        })
    }

    /// Whether the RTP time goes on to the first packet of another stream as the time itself does.
    fn is_continued(&self, marker: &Marker, place: Place, clock_rate: u32) -> bool {
        let (timestamp, intended_ns) = self.latest;
        let advanced = i64::from(place.timestamp.wrapping_sub(timestamp) as i32);
        let advanced_ns = advanced * NS_PER_S as i64 / i64::from(clock_rate.max(1));
        let passed_ns = marker.intended_ns as i64 - intended_ns as i64;
        advanced > 0 && (advanced_ns - passed_ns).abs() < MAX_SWITCH_ERROR_NS
    }
}

fn offset(marker: &Marker, place: Place) -> i64 {
    (place.sequence as i64).wrapping_sub(marker.index as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packet `index` of a stream, 10 ms apart, at that place.
    fn note(runs: &mut Runs, stream: u32, index: u64, sequence: u64) -> Option<Noted> {
        let ms = sequence * 10;
        let marker = Marker {
            stream,
            index,
            intended_ns: ms * 1_000_000,
            frame: 0,
            timestamp: 7 * stream + 90 * ms as u32,
            key_frame: false,
        };
        let timestamp = 90 * ms as u32;
        runs.note(
            &marker,
            Place {
                sequence,
                timestamp,
            },
        )
    }

    #[test]
    fn a_switch_without_a_hole_loses_nothing() {
        let mut runs = Runs::new(90_000);
        for sequence in 100..110 {
            note(&mut runs, 1, sequence - 90, sequence);
        }
        let noted = note(&mut runs, 2, 5000, 110).unwrap();
        assert!(noted.switched && !noted.renumbered && !noted.wrong_timestamp);
        for sequence in 111..120 {
            note(&mut runs, 2, sequence + 4890, sequence);
        }
        assert_eq!((runs.unique(), runs.lost()), (20, 0));
        assert_eq!((runs.stream(), runs.end()), (Some(2), 5010));
        assert!(note(&mut runs, 1, 900, 120).unwrap().switched);
        assert_eq!((runs.unique(), runs.lost()), (21, 0));
    }

    #[test]
    fn holes_in_a_run_and_between_runs_are_lost_until_they_are_filled() {
        let mut runs = Runs::new(90_000);
        for (index, sequence) in [(0, 10), (2, 12)] {
            note(&mut runs, 1, index, sequence);
        }
        // Two of the first run's end or of the second's beginning are missing.
        note(&mut runs, 2, 70, 15);
        note(&mut runs, 2, 72, 17);
        assert_eq!(runs.lost(), 4);
        let late = note(&mut runs, 1, 3, 13).unwrap();
        assert_eq!((late.arrival, late.renumbered), (Arrival::Newest, false));
        note(&mut runs, 1, 1, 11);
        note(&mut runs, 2, 71, 16);
        assert_eq!((runs.unique(), runs.lost()), (7, 1));
        note(&mut runs, 3, 9, 19);
        assert_eq!(runs.lost(), 2);
        assert!(note(&mut runs, 1, 4, 14).is_none());
    }

    #[test]
    fn a_clock_that_stands_still_or_leaps_at_a_switch_is_wrong() {
        for (timestamp, wrong) in [(900, true), (1800, false), (900 + 90_000, true)] {
            let mut runs = Runs::new(90_000);
            note(&mut runs, 1, 0, 1);
            let marker = Marker {
                stream: 2,
                index: 0,
                intended_ns: 20_000_000,
                frame: 0,
                timestamp: 0,
                key_frame: true,
            };
            let place = Place {
                sequence: 2,
                timestamp,
            };
            let noted = runs.note(&marker, place).unwrap();
            assert_eq!(noted.wrong_timestamp, wrong, "{timestamp}");
        }
    }
}
