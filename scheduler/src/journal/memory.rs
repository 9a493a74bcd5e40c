//! A journal in memory: deterministic, with faults on demand. For tests and simulations; nothing in it outlives the
//! process.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use berth_scheduler_core::keys::Revision;
use futures_util::Stream;
use tokio::sync::{Semaphore, watch};

use super::frame::{seal, unseal};
use super::{Appended, Followed, Found, Journal, JournalError, Kept, Snapshot, Subject, Trouble, follow, kept};

/// Where it all lies, in messages.
const LIES: &str = "memory";
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
    /// Sealed, as everywhere.
    records: BTreeMap<Revision, Vec<u8>>,
    kept: Vec<Kept>,
    chunks: BTreeMap<(Revision, u32), Vec<u8>>,
    failures: VecDeque<(Operation, Failure)>,
    /// The record that another writer gets in before the next append.
    rival: Option<Vec<u8>>,
    appends: usize,
    trouble: Option<Trouble>,
}

impl Log {
    fn head(&self) -> Revision {
        let newest = self.records.last_key_value().map(|(revision, _)| *revision);
        newest.unwrap_or_default().max(kept::newest(&self.kept))
    }

    fn push(&mut self, record: &[u8]) -> Revision {
        let revision = self.head().next();
        let sealed = seal(Subject::Record(revision), &[record]);
        self.records.insert(revision, sealed);
        revision
    }

    fn put(&mut self, kept: Kept, chunks: Vec<Vec<u8>>) {
        let snapshot = kept.revision;
        if kept::newest(&self.kept) >= snapshot {
            return;
        }
        for (place, chunk) in (0..).zip(chunks) {
            let sealed = seal(Subject::Chunk { snapshot, place }, &[&chunk]);
            self.chunks.insert((snapshot, place), sealed);
        }
        self.kept.push(kept);
        self.keep(kept::thin(self.kept.clone()));
    }

    /// Keeps these snapshots alone.
    fn keep(&mut self, kept: Vec<Kept>) {
        self.chunks
            .retain(|(revision, _), _| kept.iter().any(|kept| kept.revision == *revision));
        self.kept = kept;
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

    /// Says from now on that it is out of reach, since then, or that it is not.
    pub fn say_trouble(&self, since: Option<Instant>) {
        let trouble = since.map(|since| Trouble {
            since,
            reason: ASKED_FOR.to_owned(),
        });
        self.log().trouble = trouble;
    }

    /// Gets another writer's record in just before the next append.
    pub fn overtake(&self, record: Vec<u8>) {
        self.log().rival = Some(record);
    }

    /// Appends another writer's record of which those who follow are not told yet.
    pub fn append_untold(&self, record: &[u8]) {
        self.log().push(record);
    }

    /// Damages a byte of what is stored: of the checksum, or what comes after it.
    pub fn damage(&self, subject: Subject, byte: usize) {
        let mut log = self.log();
        let stored = match subject {
            Subject::Record(revision) => log.records.get_mut(&revision),
            Subject::Chunk { snapshot, place } => log.chunks.get_mut(&(snapshot, place)),
            Subject::Entry(_) => None,
        };
        if let Some(byte) = stored.and_then(|stored| stored.get_mut(byte)) {
            *byte ^= 1;
        }
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
            self.head.send_replace(log.push(&rival));
        }
        let failure = log.failure(Operation::Append);
        if failure == Some(Failure::Before) {
            return Err(failed("append a record"));
        }
        let head = log.head();
        if expected != head {
            return Ok(Appended::Conflict { head });
        }
        let revision = log.push(&record);
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
        let mut found = Vec::new();
        for (revision, stored) in log.records.range(from..).take(limit) {
            let record = unseal(Subject::Record(*revision), stored, || LIES.to_owned())?;
            found.push((*revision, record.to_vec()));
        }
        Ok(Found::Records(found))
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
        behind: u64,
        chunks: impl Iterator<Item = Vec<u8>> + Send,
    ) -> Result<(), JournalError> {
        let chunks: Vec<Vec<u8>> = chunks.collect();
        let kept = Kept {
            revision: at,
            chunks: u32::try_from(chunks.len()).unwrap_or(u32::MAX),
            bytes: chunks
                .iter()
                .map(Vec::len)
                .sum::<usize>()
                .try_into()
                .unwrap_or(u64::MAX),
            behind,
        };
        let mut log = self.log();
        let failure = log.failure(Operation::Snapshot);
        if failure == Some(Failure::Before) {
            return Err(unreachable("write a snapshot"));
        }
        log.put(kept, chunks);
        failure.map_or(Ok(()), |_| Err(unreachable("write a snapshot")))
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn trouble(&self) -> Option<Trouble> {
        self.log().trouble.clone()
    }

    fn max_record(&self) -> usize {
        self.max_record
    }

    async fn snapshots(&self) -> Result<Vec<Kept>, JournalError> {
        Ok(self.log().kept.clone())
    }

    async fn snapshot_before(&self, at: Revision) -> Result<Option<Snapshot>, JournalError> {
        let log = self.log();
        let Some(kept) = log.kept.iter().rfind(|kept| kept.revision <= at) else {
            return Ok(None);
        };
        let snapshot = kept.revision;
        let chunks = log.chunks.range((snapshot, 0)..=(snapshot, u32::MAX));
        let chunks = chunks.map(|((_, place), stored)| {
            let subject = Subject::Chunk {
                snapshot,
                place: *place,
            };
            unseal(subject, stored, || LIES.to_owned()).map(<[u8]>::to_vec)
        });
        Ok(Some(Snapshot {
            revision: snapshot,
            chunks: chunks.collect::<Result<_, _>>()?,
        }))
    }

    async fn truncate(&self, before: Revision) -> Result<(), JournalError> {
        let mut log = self.log();
        if let Some(begin) = kept::begin(&log.kept, before) {
            log.records = log.records.split_off(&begin.next());
            let kept = kept::since(&log.kept, begin).to_vec();
            log.keep(kept);
        }
        Ok(())
    }
}
