//! A journal in memory: deterministic, with faults on demand. For tests and simulations; nothing in it outlives the
//! process.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use berth_scheduler_core::keys::Revision;
use futures_util::Stream;
use tokio::sync::{Semaphore, watch};

use super::{Appended, Followed, Found, Journal, JournalError, Snapshot, follow};

/// What an injected error says.
const ASKED_FOR: &str = "a failure that was asked for";

/// What goes wrong with the next call of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It fails before it has had an effect.
    Before,
    /// It has its effect, and fails then.
    After,
}

/// The operations of a journal that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// [`Journal::append`].
    Append,
    /// [`Journal::read`], also for those who follow.
    Read,
    /// The last step of [`Journal::put_snapshot`].
    Snapshot,
}

/// The journal in memory.
#[derive(Debug)]
pub struct Memory {
    log: Mutex<Log>,
    head: watch::Sender<Revision>,
    /// Appends go through it: without a permit they wait.
    gate: Semaphore,
    max_record: usize,
}

#[derive(Debug, Default)]
struct Log {
    records: BTreeMap<Revision, Vec<u8>>,
    snapshot: Option<Snapshot>,
    failures: VecDeque<(Operation, Failure)>,
    /// The record that another writer gets in before the next append.
    rival: Option<Vec<u8>>,
    appends: usize,
}

impl Log {
    fn head(&self) -> Revision {
        let newest = self.records.last_key_value().map(|(revision, _)| *revision);
        let covered = self.snapshot.as_ref().map(|snapshot| snapshot.revision);
        newest.max(covered).unwrap_or_default()
    }

    fn push(&mut self, record: Vec<u8>) -> Revision {
        let revision = self.head().next();
        self.records.insert(revision, record);
        revision
    }

    fn failure(&mut self, operation: Operation) -> Option<Failure> {
        let (_, failure) = self.failures.pop_front_if(|(which, _)| *which == operation)?;
        Some(failure)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            log: Mutex::default(),
            head: watch::channel(Revision::default()).0,
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            max_record: usize::MAX,
        }
    }
}

impl Memory {
    /// A journal whose appends wait until [`Memory::let_through`] allows them.
    #[must_use]
    pub fn held() -> Self {
        Self {
            gate: Semaphore::new(0),
            ..Self::default()
        }
    }

    /// A journal that takes no record of more than so many bytes.
    #[must_use]
    pub fn of_small_records(max_record: usize) -> Self {
        Self {
            max_record,
            ..Self::default()
        }
    }

    /// Allows so many appends of a journal that was [`held`](Self::held).
    pub fn let_through(&self, appends: usize) {
        self.gate.add_permits(appends);
    }

    /// How many appends were asked for, those that wait included.
    #[must_use]
    pub fn appends(&self) -> usize {
        self.log().appends
    }

    /// Lets an operation fail once. Failures happen in the order in which they were asked for.
    pub fn fail(&self, operation: Operation, failure: Failure) {
        self.log().failures.push_back((operation, failure));
    }

    /// Gets another writer's record in just before the next append.
    pub fn overtake(&self, record: Vec<u8>) {
        self.log().rival = Some(record);
    }

    /// Appends another writer's record of which those who follow are not told yet.
    pub fn append_untold(&self, record: Vec<u8>) {
        self.log().push(record);
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unreachable(operation: &'static str) -> JournalError {
    JournalError::Unreachable {
        operation,
        source: ASKED_FOR.into(),
    }
}

fn failed(operation: &'static str) -> JournalError {
    JournalError::Storage {
        operation,
        source: ASKED_FOR.into(),
    }
}

impl Journal for Memory {
    async fn append(&self, expected: Revision, record: Vec<u8>) -> Result<Appended, JournalError> {
        self.log().appends += 1;
        self.gate.acquire().await.map_err(|_| JournalError::Closed)?.forget();
        if record.len() > self.max_record {
            return Err(JournalError::TooLarge {
                size: record.len(),
                limit: self.max_record,
            });
        }
        let mut log = self.log();
        if let Some(rival) = log.rival.take() {
            self.head.send_replace(log.push(rival));
        }
        let failure = log.failure(Operation::Append);
        if failure == Some(Failure::Before) {
            return Err(failed("append a record"));
        }
        let head = log.head();
        if expected != head {
            return Ok(Appended::Conflict { head });
        }
        let revision = log.push(record);
        self.head.send_replace(revision);
        match failure {
            None => Ok(Appended::Committed(revision)),
            Some(_) => Err(failed("append a record")),
        }
    }

    async fn read(&self, from: Revision, limit: usize) -> Result<Found, JournalError> {
        let mut log = self.log();
        if log.failure(Operation::Read).is_some() {
            return Err(unreachable("read records"));
        }
        let oldest = log.records.first_key_value().map(|(oldest, _)| *oldest);
        let oldest = oldest.unwrap_or_else(|| log.head().next());
        if oldest > from {
            return Ok(Found::Compacted { oldest });
        }
        let found = log.records.range(from..).take(limit);
        Ok(Found::Records(
            found.map(|(revision, record)| (*revision, record.clone())).collect(),
        ))
    }

    async fn head(&self) -> Result<Revision, JournalError> {
        Ok(self.log().head())
    }

    fn follow(&self, from: Revision) -> impl Stream<Item = Result<Followed, JournalError>> + Send {
        follow::by_notice(self, self.head.subscribe(), from)
    }

    async fn put_snapshot(
        &self,
        at: Revision,
        chunks: impl Iterator<Item = Vec<u8>> + Send,
    ) -> Result<(), JournalError> {
        let snapshot = Snapshot {
            revision: at,
            chunks: chunks.collect(),
        };
        let mut log = self.log();
        let failure = log.failure(Operation::Snapshot);
        if failure == Some(Failure::Before) {
            return Err(unreachable("write a snapshot"));
        }
        if log.snapshot.as_ref().is_none_or(|newest| newest.revision < at) {
            log.snapshot = Some(snapshot);
        }
        failure.map_or(Ok(()), |_| Err(unreachable("write a snapshot")))
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn max_record(&self) -> usize {
        self.max_record
    }

    async fn latest_snapshot(&self) -> Result<Option<Snapshot>, JournalError> {
        Ok(self.log().snapshot.clone())
    }

    async fn latest_snapshot_revision(&self) -> Result<Revision, JournalError> {
        let snapshot = &self.log().snapshot;
        Ok(snapshot.as_ref().map_or(Revision::default(), |it| it.revision))
    }

    async fn truncate(&self, before: Revision) -> Result<(), JournalError> {
        let mut log = self.log();
        let covered = log.snapshot.as_ref().map_or(Revision::default(), |it| it.revision);
        let keep = before.min(covered.next());
        log.records = log.records.split_off(&keep);
        Ok(())
    }
}
