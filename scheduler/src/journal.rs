//! The journal: the order of all changes, durable, behind one trait.
//!
//! Bytes in, bytes out: what a record says is the core's business. Only the engine (and its snapshots) calls it. What
//! every journal holds to is tried by one list of tests, `scheduler/tests/journal`.

pub mod embedded;
pub mod etcd;
mod follow;
pub mod memory;
mod reach;

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use berth_scheduler_core::keys::{ReplicaId, Revision};
use futures_util::Stream;
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
    /// `expected` is a revision that is, or was, the newest. Both answers are certain: a record that is answered with a conflict is not in the journal and will not be. After
    /// an error nobody knows what became of it.
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

    /// Puts a snapshot of the state at a revision; it replaces the one before it. One that is
    /// not newer than the newest is dropped.
    fn put_snapshot(
        &self,
        at: Revision,
        chunks: impl Iterator<Item = Vec<u8>> + Send,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// The newest complete snapshot.
    fn latest_snapshot(&self) -> impl Future<Output = Result<Option<Snapshot>, JournalError>> + Send;

    /// The revision of the newest complete snapshot; 0 where there is none.
    fn latest_snapshot_revision(&self) -> impl Future<Output = Result<Revision, JournalError>> + Send;

    /// Deletes the records before a revision; never those that no snapshot covers.
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
        beat: u64,
        dead: &[ReplicaId],
    ) -> impl Future<Output = Result<Vec<(ReplicaId, u64)>, JournalError>> + Send {
        debug_assert!(dead.is_empty(), "nobody else is there");
        std::future::ready(Ok(vec![(replica, beat)]))
    }

    /// Why nothing comes of what is asked, while that is so.
    fn trouble(&self) -> Option<Trouble> {
        None
    }
}

#[cfg(test)]
mod tests;
