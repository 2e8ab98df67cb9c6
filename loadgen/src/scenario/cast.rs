//! The named scenarios: who is in which room, and who sends.

use std::time::Duration;

use anyhow::{Result, ensure};

/// A scenario by name. Within a room everyone takes what all others send.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cast {
    /// Everyone sends to everyone.
    Meeting {
        /// How many.
        participants: usize,
    },
    /// One sends, the others receive.
    Livestream {
        /// How many receive.
        receivers: usize,
    },
    /// Some speak, others listen; speakers hear each other.
    Audio {
        /// How many speak.
        speakers: usize,
        /// How many listen.
        listeners: usize,
    },
    /// Many meetings.
    Rooms {
        /// How many.
        rooms: usize,
        /// In each, sending to each other.
        participants: usize,
        /// In each, only receiving.
        viewers: usize,
    },
    /// Many calls of two.
    Pairs {
        /// How many.
        pairs: usize,
    },
    /// One sends, some watch, and others come and go.
    Churn {
        /// Who stay.
        watchers: usize,
        /// Others who join per second.
        joins_per_second: f64,
        /// How long each of those stays.
        stay: Duration,
    },
}

/// Who is in one room from the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RoomPlan {
    /// Participants that send.
    pub(super) senders: usize,
    /// Participants that only receive.
    pub(super) receivers: usize,
}

impl Cast {
    /// Its name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Meeting { .. } => "meeting",
            Self::Livestream { .. } => "livestream",
            Self::Audio { .. } => "audio",
            Self::Rooms { .. } => "rooms",
            Self::Pairs { .. } => "pairs",
            Self::Churn { .. } => "churn",
        }
    }

    /// What its load is a number of.
    pub fn load_unit(&self) -> &'static str {
        match self {
            Self::Meeting { .. } => "participants",
            Self::Livestream { .. } => "receivers",
            Self::Audio { .. } => "listeners",
            Self::Rooms { .. } => "rooms",
            Self::Pairs { .. } => "pairs",
            Self::Churn { .. } => "watchers",
        }
    }

    /// The same with another load.
    #[must_use]
    pub fn with_load(self, load: usize) -> Self {
        match self {
            Self::Meeting { .. } => Self::Meeting { participants: load },
            Self::Livestream { .. } => Self::Livestream { receivers: load },
            Self::Audio { speakers, .. } => Self::Audio {
                speakers,
                listeners: load,
            },
            Self::Rooms {
                participants,
                viewers,
                ..
            } => Self::Rooms {
                rooms: load,
                participants,
                viewers,
            },
            Self::Pairs { .. } => Self::Pairs { pairs: load },
            Self::Churn {
                joins_per_second,
                stay,
                ..
            } => Self::Churn {
                watchers: load,
                joins_per_second,
                stay,
            },
        }
    }

    /// What it was asked to do, to be shown.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Meeting { participants } => vec![("participants", participants.to_string())],
            Self::Livestream { receivers } => vec![("receivers", receivers.to_string())],
            Self::Audio {
                speakers,
                listeners,
            } => vec![
                ("speakers", speakers.to_string()),
                ("listeners", listeners.to_string()),
            ],
            Self::Rooms {
                rooms,
                participants,
                viewers,
            } => vec![
                ("rooms", rooms.to_string()),
                ("participants per room", participants.to_string()),
                ("viewers per room", viewers.to_string()),
            ],
            Self::Pairs { pairs } => vec![("pairs", pairs.to_string())],
            Self::Churn {
                watchers,
                joins_per_second,
                stay,
            } => vec![
                ("watchers", watchers.to_string()),
                ("joins per second", joins_per_second.to_string()),
                ("stay", format!("{} s", stay.as_secs_f64())),
            ],
        }
    }

    /// Fails where nobody would send, or nobody receive.
    pub(super) fn check(&self) -> Result<()> {
        match *self {
            Self::Meeting { participants } => {
                ensure!(participants >= 2, "a meeting takes 2 participants at least");
            }
            Self::Rooms {
                participants,
                viewers,
                ..
            } => ensure!(
                participants >= 1 && participants + viewers >= 2,
                "a room takes one who sends and one who receives at least"
            ),
            Self::Audio { speakers, .. } => ensure!(speakers >= 1, "nobody would speak"),
            Self::Churn {
                joins_per_second,
                stay,
                ..
            } => {
                ensure!(
                    joins_per_second > 0.0 && joins_per_second <= 1000.0,
                    "joins per second must be above 0 and at most 1000"
                );
                ensure!(!stay.is_zero(), "those who join must stay for some time");
            }
            Self::Livestream { .. } | Self::Pairs { .. } => {}
        }
        let come = usize::from(matches!(self, Self::Churn { .. }));
        ensure!(
            self.participants() + come >= 2,
            "nobody would receive anything"
        );
        Ok(())
    }

    /// Everyone who is there from the beginning.
    pub(super) fn participants(&self) -> usize {
        let rooms = self.rooms();
        rooms.iter().map(|room| room.senders + room.receivers).sum()
    }

    /// Those of them who send.
    pub(super) fn senders(&self) -> usize {
        self.rooms().iter().map(|room| room.senders).sum()
    }

    pub(super) fn rooms(&self) -> Vec<RoomPlan> {
        let room = |senders, receivers| RoomPlan { senders, receivers };
        match *self {
            Self::Meeting { participants } => vec![room(participants, 0)],
            Self::Livestream { receivers } => vec![room(1, receivers)],
            Self::Audio {
                speakers,
                listeners,
            } => vec![room(speakers, listeners)],
            Self::Rooms {
                rooms,
                participants,
                viewers,
            } => vec![room(participants, viewers); rooms],
            Self::Pairs { pairs } => vec![room(2, 0); pairs],
            Self::Churn { watchers, .. } => vec![room(1, watchers)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_has_a_place() {
        let churn = Cast::Churn {
            watchers: 9,
            joins_per_second: 5.0,
            stay: Duration::from_secs(2),
        };
        for (cast, participants) in [
            (Cast::Meeting { participants: 5 }, 5),
            (Cast::Livestream { receivers: 50 }, 51),
            (
                Cast::Audio {
                    speakers: 6,
                    listeners: 300,
                },
                306,
            ),
            (
                Cast::Rooms {
                    rooms: 7,
                    participants: 3,
                    viewers: 2,
                },
                35,
            ),
            (Cast::Pairs { pairs: 4 }, 8),
            (churn, 10),
        ] {
            assert_eq!(cast.participants(), participants, "{cast:?}");
            cast.check().unwrap();
        }
        for alone in [
            Cast::Meeting { participants: 1 },
            Cast::Livestream { receivers: 0 },
            Cast::Pairs { pairs: 0 },
            Cast::Rooms {
                rooms: 2,
                participants: 1,
                viewers: 0,
            },
        ] {
            assert!(alone.check().is_err(), "{alone:?}");
        }
    }
}
