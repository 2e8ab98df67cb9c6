//! What is said of a run or a search, before it is laid out as text or as a page.

/// How good or bad a note is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grade {
    /// Every bound was kept.
    Passed,
    /// A bound was broken, or the server did wrong.
    Failed,
    /// The figures say more about the generator than about the server.
    Inconclusive,
    /// To be known when reading the figures.
    Note,
}

impl Grade {
    /// As it is printed in front of the note.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Passed => "PASSED",
            Self::Failed => "FAILED",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Note => "NOTE",
        }
    }

    /// Of the page's style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Passed => "good",
            Self::Failed => "bad",
            Self::Inconclusive | Self::Note => "warn",
        }
    }
}

/// Something to know before the figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) grade: Grade,
    pub(super) text: String,
}

/// A single figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact {
    pub(super) name: &'static str,
    /// With its unit.
    pub(super) value: String,
}

/// Figures in rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Table {
    /// With the unit of its figures.
    pub(super) title: String,
    pub(super) head: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
    /// The last column holds words, not figures.
    pub(super) ends_in_text: bool,
}

impl Table {
    /// Whether a column but the first holds words.
    pub(super) fn is_text(&self, column: &usize) -> bool {
        self.ends_in_text && *column + 1 == self.head.len()
    }
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Summary {
    pub(super) heading: String,
    /// What was asked of whom.
    pub(super) about: String,
    pub(super) notes: Vec<Note>,
    pub(super) facts: Vec<Fact>,
    pub(super) tables: Vec<Table>,
}

impl Summary {
    pub(super) fn note(&mut self, grade: Grade, text: impl Into<String>) {
        self.notes.push(Note {
            grade,
            text: text.into(),
        });
    }

    pub(super) fn fact(&mut self, name: &'static str, value: impl Into<String>) {
        self.facts.push(Fact {
            name,
            value: value.into(),
        });
    }
}
