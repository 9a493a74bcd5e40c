//! The journal of the simulated world: a list of records that appends are held against. It answers late or not at all;
//! that is the doing of [`crate::world`].

use std::sync::Arc;

use berth_scheduler_core::change::Record;
use berth_scheduler_core::keys::Revision;
use berth_scheduler_core::snapshot::{Piece, Restoration, pieces};
use berth_scheduler_core::state::State;

/// Which append of which process a record came by: a writer that had no answer knows its own record by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AppendId {
    pub(crate) replica: usize,
    pub(crate) epoch: u64,
    pub(crate) number: u64,
}

/// A record as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) id: AppendId,
    pub(crate) record: Arc<Record>,
}

#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// Records that were truncated.
    truncated: usize,
    records: Vec<Stored>,
    snapshot: Option<(Revision, Vec<Piece>)>,
}

impl Journal {
    pub(crate) fn head(&self) -> Revision {
        Revision(u64::try_from(self.truncated + self.records.len()).unwrap_or(u64::MAX))
    }

    /// Whether the record is the journal's newest now, for which `after` must have been.
    pub(crate) fn append(&mut self, after: Revision, stored: Stored) -> bool {
        let follows = after == self.head();
        if follows {
            self.records.push(stored);
        }
        follows
    }

    /// All records from the revision on; none where they are truncated.
    pub(crate) fn read(&self, from: Revision) -> Option<&[Stored]> {
        let from = usize::try_from(from.0).ok()?.checked_sub(1)?;
        self.records
            .get(from.checked_sub(self.truncated)?.min(self.records.len())..)
    }

    pub(crate) fn put_snapshot(&mut self, at: Revision, state: &State) {
        if self.snapshot.as_ref().is_none_or(|(known, _)| *known < at) {
            self.snapshot = Some((at, pieces(state).collect()));
        }
    }

    /// Drops all records that the snapshot covers, but for the last few.
    pub(crate) fn truncate(&mut self, keep: usize) {
        let covered = self.snapshot.as_ref().map_or(0, |(at, _)| at.0);
        let covered = usize::try_from(covered).unwrap_or(0);
        let surplus = covered.saturating_sub(keep).saturating_sub(self.truncated);
        let surplus = surplus.min(self.records.len());
        self.records.drain(..surplus);
        self.truncated += surplus;
    }

    /// Takes the newest record away: it was never on disk.
    pub(crate) fn lose_last(&mut self) {
        self.records.pop();
    }

    /// What a start reads: the snapshot's state and the records after it.
    pub(crate) fn recover(&self) -> (State, &[Stored]) {
        let state = match &self.snapshot {
            None => State::default(),
            Some((at, pieces)) => {
                let mut restoration = Restoration::default();
                for piece in pieces {
                    restoration.add(piece.clone());
                }
                restoration.finish(*at)
            }
        };
        let tail = self.read(state.revision().next()).unwrap_or_default();
        (state, tail)
    }
}
