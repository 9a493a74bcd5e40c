//! The thread that writes: one write after the other, each a transaction.

use std::ops::ControlFlow;
use std::sync::Arc;

use berth_scheduler_core::keys::Revision;
use redb::{Durability, ReadableTable};
use tokio::sync::{mpsc, oneshot, watch};

use super::super::frame::{Subject, seal};
use super::super::kept::{self, Kept};
use super::super::{Appended, JournalError};
use super::store::{Failure, Store};
use super::tables::{CHUNKS, COMPLETE, RECORDS, entry, list};

/// Records that one transaction deletes, so that an append never waits long behind a truncation.
const TRUNCATE_AT_ONCE: u64 = 1000;
/// Chunks that one transaction deletes.
const SWEEP_AT_ONCE: usize = 64;

/// What the thread is asked for.
#[derive(Debug)]
pub(super) enum Write {
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
        kept: Kept,
        answer: oneshot::Sender<Result<(), JournalError>>,
    },
    /// Deletes some of what is before a revision, and of the chunks that nothing names; says whether there is more.
    Truncate {
        before: Revision,
        answer: oneshot::Sender<Result<ControlFlow<()>, JournalError>>,
    },
}

/// Has the file's only write transactions.
pub(super) struct Writer {
    pub(super) store: Arc<Store>,
    /// The newest revision that is durable.
    pub(super) head: watch::Sender<Revision>,
}

impl Writer {
    pub(super) fn run(self, mut queue: mpsc::Receiver<Write>) {
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
                Write::Complete { kept, answer } => drop(answer.send(self.complete(kept))),
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
        let sealed = seal(Subject::Record(revision), &[record]);
        self.store
            .write("append a record", Durability::Immediate, |transaction| {
                transaction.open_table(RECORDS)?.insert(revision.0, &*sealed)?;
                Ok(())
            })?;
        self.head.send_replace(revision);
        Ok(Appended::Committed(revision))
    }

    fn put_chunk(&self, snapshot: Revision, place: u32, bytes: &[u8]) -> Result<(), JournalError> {
        let sealed = seal(Subject::Chunk { snapshot, place }, &[bytes]);
        // Made durable by whatever commits next; until it is complete nobody looks at it.
        self.store.write("write a snapshot", Durability::None, |transaction| {
            transaction.open_table(CHUNKS)?.insert((snapshot.0, place), &*sealed)?;
            Ok(())
        })
    }

    fn complete(&self, kept: Kept) -> Result<(), JournalError> {
        self.store
            .write("complete a snapshot", Durability::Immediate, |transaction| {
                let mut complete = transaction.open_table(COMPLETE)?;
                let mut all = list(&self.store, &complete)?;
                if kept::newest(&all) >= kept.revision {
                    return Ok(());
                }
                all.push(kept);
                let all = kept::thin(all);
                complete.retain(|_, _| false)?;
                for kept in &all {
                    complete.insert(kept.revision.0, &*entry(kept))?;
                }
                // Of one that was begun for the same revision and never completed.
                let revision = kept.revision.0;
                let mut chunks = transaction.open_table(CHUNKS)?;
                chunks.retain_in((revision, kept.chunks)..=(revision, u32::MAX), |_, _| false)?;
                Ok(())
            })
    }

    /// Deletes the entries of snapshots first, then their chunks, then records: whatever is still listed can be had.
    fn truncate(&self, before: Revision) -> Result<ControlFlow<()>, JournalError> {
        self.store.write("truncate", Durability::Immediate, |transaction| {
            let mut complete = transaction.open_table(COMPLETE)?;
            let all = list(&self.store, &complete)?;
            let begin = kept::begin(&all, before);
            let keep = kept::since(&all, begin.unwrap_or_default());
            if keep.len() < all.len() {
                complete.retain_in(..kept::oldest(keep).0, |_, _| false)?;
                return Ok(ControlFlow::Continue(()));
            }
            if sweep(&mut transaction.open_table(CHUNKS)?, keep)?.is_continue() {
                return Ok(ControlFlow::Continue(()));
            }
            let mut records = transaction.open_table(RECORDS)?;
            let oldest = records.first()?.map(|(revision, _)| revision.value());
            let (Some(begin), Some(oldest)) = (begin, oldest) else {
                return Ok(ControlFlow::Break(()));
            };
            // The record after the snapshot's revision is the first that is needed.
            let end = begin.next().0.min(oldest.saturating_add(TRUNCATE_AT_ONCE));
            if oldest >= end {
                return Ok(ControlFlow::Break(()));
            }
            records.retain_in(oldest..end, |_, _| false)?;
            Ok(ControlFlow::Continue(()))
        })
    }
}

/// Deletes some chunks that lie before the newest snapshot and are of none that is kept.
fn sweep(chunks: &mut redb::Table<'_, (u64, u32), &'static [u8]>, kept: &[Kept]) -> Result<ControlFlow<()>, Failure> {
    let mut begin = 0;
    for kept in kept {
        let end = kept.revision.0;
        let mut found = None;
        for chunk in chunks.range((begin, 0)..(end, 0))?.take(SWEEP_AT_ONCE) {
            let at = chunk?.0.value();
            found = Some((found.map_or(at, |(first, _)| first), at));
        }
        if let Some((first, last)) = found {
            chunks.retain_in(first..=last, |_, _| false)?;
            return Ok(ControlFlow::Continue(()));
        }
        begin = end.saturating_add(1);
    }
    Ok(ControlFlow::Break(()))
}
