//! Which transport, here or on another shard, a datagram's path belongs to. Only paths that
//! authenticated are ever entered.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::{Path, ShardNo};

/// Whose a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Of the transport with that index, on this shard.
    Here(u32),
    /// Of another shard.
    Elsewhere(ShardNo),
}

#[derive(Debug)]
pub(crate) struct Flows {
    owners: HashMap<Path, Owner, RandomState>,
    foreign: usize,
    max_foreign: usize,
}

impl Flows {
    pub(crate) fn new(max_foreign: usize) -> Self {
        Self {
            owners: HashMap::default(),
            foreign: 0,
            max_foreign,
        }
    }

    pub(crate) fn get(&self, path: &Path) -> Option<Owner> {
        self.owners.get(path).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.owners.len()
    }

    /// Enters a path of a transport here; returns the transport that had it before.
    pub(crate) fn own(&mut self, path: Path, transport: u32) -> Option<u32> {
        match self.owners.insert(path, Owner::Here(transport)) {
            Some(Owner::Here(before)) => (before != transport).then_some(before),
            Some(Owner::Elsewhere(_)) => {
                self.foreign -= 1;
                None
            }
            None => None,
        }
    }

    /// Forgets a path of that transport; one that has gone to another owner stays.
    pub(crate) fn disown(&mut self, path: &Path, transport: u32) {
        if self.get(path) == Some(Owner::Here(transport)) {
            self.owners.remove(path);
        }
    }

    /// Takes note that a path that lands here is another shard's; false where the table is full.
    pub(crate) fn learn(&mut self, path: Path, owner: ShardNo) -> bool {
        let known = matches!(self.get(&path), Some(Owner::Elsewhere(_)));
        if !known && self.foreign >= self.max_foreign {
            return false;
        }
        self.foreign += usize::from(!known);
        self.owners.insert(path, Owner::Elsewhere(owner));
        true
    }

    /// Forgets a path of another shard.
    pub(crate) fn unlearn(&mut self, path: &Path, owner: ShardNo) {
        if self.get(path) == Some(Owner::Elsewhere(owner)) {
            self.owners.remove(path);
            self.foreign -= 1;
        }
    }
}
