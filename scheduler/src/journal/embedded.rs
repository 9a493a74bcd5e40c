//! The journal of one machine: a redb file, written by one thread of its own.
//!
//! A record is durable when its answer is sent: each append is one transaction with one fsync. The file is locked by
//! the process that has it open.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use berth_scheduler_core::keys::Revision;
use futures_util::Stream;
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::{mpsc, oneshot, watch};

use super::{Appended, Followed, Found, Journal, JournalError, Snapshot, follow};

const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");
/// Chunks of snapshots by revision and place.
const SNAPSHOTS: TableDefinition<'_, (u64, u32), &[u8]> = TableDefinition::new("snapshots");
/// The revision of the newest complete snapshot, under [`COMPLETE`].
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const COMPLETE: &str = "complete snapshot";

/// Writes that may wait for the thread.
const QUEUE: usize = 64;
/// Records that one transaction deletes, so that an append never waits long behind a truncation.
const TRUNCATE_AT_ONCE: u64 = 1000;

/// The journal in one file.
#[derive(Debug)]
pub struct Embedded {
    database: Arc<Database>,
    writes: mpsc::Sender<Write>,
    head: watch::Receiver<Revision>,
}

#[derive(Debug)]
enum Write {
    Append {
        expected: Revision,
        record: Vec<u8>,
        answer: oneshot::Sender<Result<Appended, JournalError>>,
    },
    Chunk {
        at: Revision,
        place: u32,
        bytes: Vec<u8>,
        answer: oneshot::Sender<Result<(), JournalError>>,
    },
    Complete {
        at: Revision,
        chunks: u32,
        answer: oneshot::Sender<Result<(), JournalError>>,
    },
    Truncate {
        before: Revision,
        answer: oneshot::Sender<Result<ControlFlow<()>, JournalError>>,
    },
}

impl Embedded {
    /// Opens the journal, or makes an empty one.
    ///
    /// # Errors
    /// [`JournalError::Open`] when the file is no journal, is damaged, or another process has it open.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let failed = |source: redb::Error| JournalError::Open {
            path: path.display().to_string(),
            source: Box::new(source),
        };
        let database = Database::create(path).map_err(|error| failed(error.into()))?;
        Self::on(database).map_err(failed)
    }

    pub(super) fn on(database: Database) -> Result<Self, redb::Error> {
        let database = Arc::new(database);
        let (published, head) = watch::channel(prepare(&database)?);
        let (writes, queue) = mpsc::channel(QUEUE);
        let writer = Writer {
            database: Arc::clone(&database),
            head: published,
        };
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(queue))
            .map_err(redb::Error::Io)?;
        Ok(Self { database, writes, head })
    }

    async fn write<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, JournalError>>) -> Write,
    ) -> Result<T, JournalError> {
        let (answer, answered) = oneshot::channel();
        self.writes
            .send(request(answer))
            .await
            .map_err(|_| JournalError::Closed)?;
        answered.await.map_err(|_| JournalError::Closed)?
    }

    async fn read_blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        read: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, JournalError> {
        let database = Arc::clone(&self.database);
        tokio::task::spawn_blocking(move || read(&database))
            .await
            .map_err(|_| JournalError::Closed)?
            .map_err(|source| storage(operation, source))
    }
}

fn storage(operation: &'static str, source: impl Into<redb::Error>) -> JournalError {
    JournalError::Storage {
        operation,
        source: Box::new(source.into()),
    }
}

/// The revision of the newest complete snapshot.
fn covered(transaction: &redb::ReadTransaction) -> Result<Revision, redb::Error> {
    let complete = transaction.open_table(META)?.get(COMPLETE)?;
    Ok(complete.map_or(Revision::default(), |at| Revision(at.value())))
}

/// Makes the tables and finds the newest revision.
fn prepare(database: &Database) -> Result<Revision, redb::Error> {
    let transaction = database.begin_write()?;
    let newest;
    {
        let records = transaction.open_table(RECORDS)?;
        newest = records.last()?.map(|(revision, _)| Revision(revision.value()));
        transaction.open_table(SNAPSHOTS)?;
    }
    let complete = transaction
        .open_table(META)?
        .get(COMPLETE)?
        .map(|at| Revision(at.value()));
    transaction.commit()?;
    Ok(newest.max(complete).unwrap_or_default())
}

impl Journal for Embedded {
    async fn append(&self, expected: Revision, record: Vec<u8>) -> Result<Appended, JournalError> {
        self.write(|answer| Write::Append {
            expected,
            record,
            answer,
        })
        .await
    }

    async fn read(&self, from: Revision, limit: usize) -> Result<Found, JournalError> {
        self.read_blocking("read records", move |database| {
            let transaction = database.begin_read()?;
            let records = transaction.open_table(RECORDS)?;
            let oldest = match records.first()? {
                Some((oldest, _)) => Revision(oldest.value()),
                None => covered(&transaction)?.next(),
            };
            if oldest > from {
                return Ok(Found::Compacted { oldest });
            }
            let mut found = Vec::new();
            for record in records.range(from.0..)?.take(limit) {
                let (revision, bytes) = record?;
                found.push((Revision(revision.value()), bytes.value().to_vec()));
            }
            Ok(Found::Records(found))
        })
        .await
    }

    async fn head(&self) -> Result<Revision, JournalError> {
        Ok(*self.head.borrow())
    }

    fn follow(&self, from: Revision) -> impl Stream<Item = Result<Followed, JournalError>> + Send {
        follow::by_notice(self, self.head.clone(), from)
    }

    async fn put_snapshot(
        &self,
        at: Revision,
        chunks: impl Iterator<Item = Vec<u8>> + Send,
    ) -> Result<(), JournalError> {
        if self.latest_snapshot_revision().await? >= at {
            return Ok(());
        }
        let mut count = 0;
        for bytes in chunks {
            let place = count;
            self.write(|answer| Write::Chunk {
                at,
                place,
                bytes,
                answer,
            })
            .await?;
            count += 1;
        }
        self.write(|answer| Write::Complete {
            at,
            chunks: count,
            answer,
        })
        .await
    }

    async fn latest_snapshot(&self) -> Result<Option<Snapshot>, JournalError> {
        self.read_blocking("read the snapshot", |database| {
            let transaction = database.begin_read()?;
            let Some(at) = transaction.open_table(META)?.get(COMPLETE)?.map(|at| at.value()) else {
                return Ok(None);
            };
            let snapshots = transaction.open_table(SNAPSHOTS)?;
            let mut chunks = Vec::new();
            for chunk in snapshots.range((at, 0)..=(at, u32::MAX))? {
                chunks.push(chunk?.1.value().to_vec());
            }
            Ok(Some(Snapshot {
                revision: Revision(at),
                chunks,
            }))
        })
        .await
    }

    async fn latest_snapshot_revision(&self) -> Result<Revision, JournalError> {
        self.read_blocking("read the snapshot", |database| covered(&database.begin_read()?))
            .await
    }

    async fn truncate(&self, before: Revision) -> Result<(), JournalError> {
        while self
            .write(|answer| Write::Truncate { before, answer })
            .await?
            .is_continue()
        {}
        Ok(())
    }
}

/// The thread that has the file's only write transactions.
struct Writer {
    database: Arc<Database>,
    /// The newest revision that is durable.
    head: watch::Sender<Revision>,
}

impl Writer {
    fn run(self, mut queue: mpsc::Receiver<Write>) {
        // A caller that does not wait for its answer any more is no reason to stop.
        while let Some(write) = queue.blocking_recv() {
            match write {
                Write::Append {
                    expected,
                    record,
                    answer,
                } => drop(answer.send(self.append(expected, &record))),
                Write::Chunk {
                    at,
                    place,
                    bytes,
                    answer,
                } => drop(answer.send(self.put_chunk(at, place, &bytes))),
                Write::Complete { at, chunks, answer } => drop(answer.send(self.complete(at, chunks))),
                Write::Truncate { before, answer } => drop(answer.send(self.truncate(before))),
            }
        }
    }

    fn append(&self, expected: Revision, record: &[u8]) -> Result<Appended, JournalError> {
        let head = *self.head.borrow();
        if expected != head {
            return Ok(Appended::Conflict { head });
        }
        let revision = expected.next();
        self.transact("append a record", Durability::Immediate, |transaction| {
            transaction.open_table(RECORDS)?.insert(revision.0, record)?;
            Ok(())
        })?;
        self.head.send_replace(revision);
        Ok(Appended::Committed(revision))
    }

    fn put_chunk(&self, at: Revision, place: u32, bytes: &[u8]) -> Result<(), JournalError> {
        // Made durable by whatever commits next; without `complete` nobody looks at it.
        self.transact("write a snapshot", Durability::None, |transaction| {
            transaction.open_table(SNAPSHOTS)?.insert((at.0, place), bytes)?;
            Ok(())
        })
    }

    fn complete(&self, at: Revision, chunks: u32) -> Result<(), JournalError> {
        self.transact("complete a snapshot", Durability::Immediate, |transaction| {
            transaction.open_table(META)?.insert(COMPLETE, at.0)?;
            let mut snapshots = transaction.open_table(SNAPSHOTS)?;
            snapshots.retain(|(revision, place), _| revision == at.0 && place < chunks)?;
            Ok(())
        })
    }

    /// Deletes some of the records; says whether there are more.
    fn truncate(&self, before: Revision) -> Result<ControlFlow<()>, JournalError> {
        self.transact("truncate", Durability::Immediate, |transaction| {
            let covered = transaction.open_table(META)?.get(COMPLETE)?.map_or(0, |at| at.value());
            let mut records = transaction.open_table(RECORDS)?;
            let Some(oldest) = records.first()?.map(|(revision, _)| revision.value()) else {
                return Ok(ControlFlow::Break(()));
            };
            // The record after the snapshot's revision is the first that is needed.
            let end = before
                .0
                .min(covered.saturating_add(1))
                .min(oldest.saturating_add(TRUNCATE_AT_ONCE));
            if oldest >= end {
                return Ok(ControlFlow::Break(()));
            }
            records.retain_in(oldest..end, |_, _| false)?;
            Ok(ControlFlow::Continue(()))
        })
    }

    fn transact<T>(
        &self,
        operation: &'static str,
        durability: Durability,
        work: impl FnOnce(&redb::WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, JournalError> {
        let attempt = || -> Result<T, redb::Error> {
            let mut transaction = self.database.begin_write()?;
            transaction.set_durability(durability)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        attempt().map_err(|source| storage(operation, source))
    }
}

#[cfg(test)]
mod tests;
