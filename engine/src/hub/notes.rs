//! Control's own opaque bytes, by key.

use std::collections::BTreeMap;

use weirgate_wire::Refusal;

use super::budget::BlobBudget;
use super::{limits, refuse};

/// What control wants to find again after a restart, beside its objects.
#[derive(Debug)]
pub(super) struct Notes {
    notes: BTreeMap<String, Vec<u8>>,
    blobs: BlobBudget,
}

impl Notes {
    pub(super) const fn new() -> Self {
        Self {
            notes: BTreeMap::new(),
            blobs: BlobBudget::new(limits::NOTE_BLOB_BYTES),
        }
    }

    /// Keeps a note, in place of an older one of that key.
    pub(super) fn put(&mut self, key: String, blob: Vec<u8>) -> Result<(), Refusal> {
        if key.len() > limits::NOTE_KEY_BYTES {
            return Err(refuse::invalid(format_args!(
                "key: {} bytes are over the limit of {}",
                key.len(),
                limits::NOTE_KEY_BYTES
            )));
        }
        let old = self.notes.get(&key).map(Vec::len);
        if old.is_none() && self.notes.len() >= limits::NOTES {
            return Err(refuse::over_capacity(format_args!(
                "there are {} notes already",
                limits::NOTES
            )));
        }
        self.blobs.give(old.unwrap_or(0));
        if let Err(refusal) = self.blobs.take(blob.len()) {
            // The old one was within the limits and stays.
            self.blobs.take(old.unwrap_or(0))?;
            return Err(refusal);
        }
        self.notes.insert(key, blob);
        Ok(())
    }

    /// Drops a note, if there is one of that key.
    pub(super) fn delete(&mut self, key: &str) {
        if let Some(blob) = self.notes.remove(key) {
            self.blobs.give(blob.len());
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Vec<u8>> {
        self.notes.get(key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &String> {
        self.notes.keys()
    }

    pub(super) fn len(&self) -> usize {
        self.notes.len()
    }

    pub(super) const fn blob_bytes(&self) -> usize {
        self.blobs.used()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weirgate_wire::RefusalKind;

    #[test]
    fn a_note_is_replaced_and_its_bytes_are_counted_once() {
        let mut notes = Notes::new();
        notes.put("a".into(), vec![0; 10]).unwrap();
        notes.put("a".into(), vec![0; 4]).unwrap();
        assert_eq!((notes.len(), notes.blob_bytes()), (1, 4));
        notes.delete("a");
        notes.delete("a");
        assert_eq!((notes.len(), notes.blob_bytes()), (0, 0));
    }

    #[test]
    fn every_limit_is_held_and_a_refused_note_leaves_the_old_one() {
        let mut notes = Notes::new();
        let kind = |result: Result<(), Refusal>| result.unwrap_err().kind;
        let long_key = "k".repeat(limits::NOTE_KEY_BYTES + 1);
        assert_eq!(kind(notes.put(long_key, vec![])), RefusalKind::Invalid);
        let long = vec![0; limits::BLOB_BYTES + 1];
        assert_eq!(kind(notes.put("k".into(), long)), RefusalKind::Invalid);

        let blobs = limits::NOTE_BLOB_BYTES / limits::BLOB_BYTES;
        for number in 0..blobs {
            notes
                .put(number.to_string(), vec![0; limits::BLOB_BYTES])
                .unwrap();
        }
        assert_eq!(
            kind(notes.put("x".into(), vec![1])),
            RefusalKind::OverCapacity
        );
        notes.put("0".into(), vec![7]).unwrap();
        notes
            .put("x".into(), vec![0; limits::BLOB_BYTES - 1])
            .unwrap();
        assert_eq!(
            kind(notes.put("0".into(), vec![1, 2])),
            RefusalKind::OverCapacity
        );
        assert_eq!(notes.get("0"), Some(&vec![7]));

        let mut notes = Notes::new();
        for number in 0..limits::NOTES {
            notes.put(number.to_string(), Vec::new()).unwrap();
        }
        assert_eq!(
            kind(notes.put("x".into(), vec![])),
            RefusalKind::OverCapacity
        );
        notes.put("0".into(), vec![1]).unwrap();
    }
}
