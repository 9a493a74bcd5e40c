//! The journal: the order of all changes, durable, behind one trait.
//!
//! Bytes in, bytes out: what a record says is the core's business. Only the engine (and its snapshots) calls it. What
//! every journal holds to is tried by one list of tests, `journal/tests`.
//!
//! Whatever is stored has a checksum and is checked when it is read: what is damaged is an error that says where, and is
//! neither served nor skipped.

pub mod embedded;
pub mod etcd;
mod follow;
mod frame;
mod kept;
pub mod memory;
mod reach;
pub mod transfer;

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use berth_scheduler_core::keys::{ReplicaId, Revision};
pub use frame::Subject;
use futures_util::Stream;
pub use kept::Kept;
pub use reach::Trouble;

/// A follower is told this often, at least, that the journal can still be reached.
pub const QUIET_AFTER: Duration = Duration::from_secs(1);

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// The record is durable under this revision.
    Committed(Revision),
    /// Another record came first: nothing was written, the journal's newest revision is `head`.
    Conflict {
        /// The newest revision.
        head: Revision,
    },
}

/// What a read found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Records with their revisions, in order; none only when the journal ends before `from`.
    Records(Vec<(Revision, Vec<u8>)>),
    /// The records were truncated; a snapshot has their sum.
    Compacted {
        /// The oldest record that is left.
        oldest: Revision,
    },
}

/// What a follower is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// The records that come next, in order, at least one: none is missing before or between them.
    Records(Vec<(Revision, Vec<u8>)>),
    /// The journal was reached and the follower has everything.
    Quiet {
        /// The newest revision.
        head: Revision,
    },
    /// What comes next was truncated; a snapshot has its sum. Nothing more follows.
    Compacted {
        /// The oldest record that is left.
        oldest: Revision,
    },
}

/// A snapshot as it was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The revision whose state it holds.
    pub revision: Revision,
    /// Its chunks in order.
    pub chunks: Vec<Vec<u8>>,
}

/// A scheduler's word that it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Moves with every word.
    pub count: u64,
    /// `HOST:PORT` under which other schedulers reach it.
    pub address: String,
}

/// What a journal's storage said.
type Cause = Box<dyn Error + Send + Sync>;

/// Why the journal could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// This cannot be opened as a journal.
    #[error("cannot open the journal at {path}")]
    Open {
        /// Where it lies.
        path: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// A read or write failed. After a failed write nobody knows what is on disk: the process must end.
    #[error("the journal failed to {operation}")]
    Storage {
        /// What was tried.
        operation: &'static str,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The journal cannot be reached, for now. Appends do not fail so: they wait until it can.
    #[error("the journal cannot be reached to {operation}")]
    Unreachable {
        /// What was tried.
        operation: &'static str,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The record is too large. Nothing was written.
    #[error("a record of {size} bytes is too large for the journal, which takes {limit}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The largest that is taken, in bytes.
        limit: usize,
    },
    /// Nobody can say any more what became of an append.
    #[error("it is not known whether record {revision} was appended: it was truncated since")]
    Unknown {
        /// The revision that the record was to have.
        revision: Revision,
    },
    /// The journal ends before what was read from it: it was deleted, or restored from a backup.
    #[error("the journal has gone back to revision {head}, after {expected} was read from it")]
    Rewound {
        /// Its newest revision now.
        head: Revision,
        /// A revision that was there.
        expected: Revision,
    },
    /// Something is not as it was written, or not there: the journal is to be restored.
    #[error("{what} in {lies} is damaged: expected {expected}, found {found}")]
    Damaged {
        /// What: a record with its revision, a chunk of a snapshot.
        what: String,
        /// The file or key in which it lies.
        lies: String,
        /// What should be there.
        expected: String,
        /// What is.
        found: String,
    },
    /// Its oldest records were deleted while it was read from its beginning.
    #[error("the journal was truncated while it was read: try again")]
    Overtaken,
    /// The journal's thread is gone.
    #[error("the journal is closed")]
    Closed,
}

/// An ordered, durable list of records with optimistic appends.
///
/// Revisions are dense: the record after `r` has revision `r + 1`. A future that is dropped may or may not have had its
/// effect; it never has half of one.
pub trait Journal: Send + Sync + 'static {
    /// Appends the record that follows `expected`, and answers once it is durable.
    ///
    /// `expected` is a revision that is, or was, the newest. Both answers are certain: a record that is answered with a
    /// conflict is not in the journal and will not be. After an error nobody knows what became of it.
    fn append(
        &self,
        expected: Revision,
        record: Vec<u8>,
    ) -> impl Future<Output = Result<Appended, JournalError>> + Send;

    /// Reads up to `limit` records, the first being `from`.
    fn read(&self, from: Revision, limit: usize) -> impl Future<Output = Result<Found, JournalError>> + Send;

    /// The newest revision, as of some moment between call and answer.
    fn head(&self) -> impl Future<Output = Result<Revision, JournalError>> + Send;

    /// All records from `from` on, those that are there and those that will be, without end.
    ///
    /// Each comes once, in order and without a gap, whoever appended it. After an error the stream may go on: what it
    /// tells next still follows what it told last.
    fn follow(&self, from: Revision) -> impl Stream<Item = Result<Followed, JournalError>> + Send;

    /// Puts a snapshot of the state at a revision, and leaves out some of those between the oldest and it where there
    /// are many. One that is not newer than the newest is dropped. `behind` is about how many bytes of records have come
    /// since the newest: what is said of it in [`Journal::snapshots`].
    fn put_snapshot(
        &self,
        at: Revision,
        behind: u64,
        chunks: impl Iterator<Item = Vec<u8>> + Send,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// The snapshots that are complete, oldest first. All records after the oldest are kept, so that the state at each
    /// revision from its own on can be had; where there is none history begins with the empty state.
    fn snapshots(&self) -> impl Future<Output = Result<Vec<Kept>, JournalError>> + Send;

    /// The newest complete snapshot of a state at, or before, a revision.
    fn snapshot_before(&self, at: Revision) -> impl Future<Output = Result<Option<Snapshot>, JournalError>> + Send;

    /// The newest complete snapshot.
    fn latest_snapshot(&self) -> impl Future<Output = Result<Option<Snapshot>, JournalError>> + Send {
        self.snapshot_before(Revision(u64::MAX))
    }

    /// Deletes what is older than the newest snapshot before a revision: history begins with that snapshot then, and all
    /// records from `before` on are kept. Without such a snapshot nothing is deleted.
    fn truncate(&self, before: Revision) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Gives back the room of what was overwritten and deleted; to be called every minute. Any number of users may.
    fn tidy(&self) -> impl Future<Output = Result<(), JournalError>> + Send {
        std::future::ready(Ok(()))
    }

    /// Whether others may append too, so that it is to be followed.
    fn is_shared(&self) -> bool {
        false
    }

    /// The largest record that is taken, in bytes.
    fn max_record(&self) -> usize {
        usize::MAX
    }

    /// Says that a scheduler lives, drops others that were found dead, and gives all that have said so, each with the
    /// beat that it said last. Nothing that must be right may rest on it.
    fn announce(
        &self,
        replica: ReplicaId,
        beat: &Beat,
        dead: &[ReplicaId],
    ) -> impl Future<Output = Result<Vec<(ReplicaId, Beat)>, JournalError>> + Send {
        debug_assert!(dead.is_empty(), "nobody else is there");
        std::future::ready(Ok(vec![(replica, beat.clone())]))
    }

    /// Why nothing comes of what is asked, while that is so.
    fn trouble(&self) -> Option<Trouble> {
        None
    }
}

#[cfg(test)]
mod tests;
