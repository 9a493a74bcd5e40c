//! The journal of one machine: a redb file, written by one thread of its own.
//!
//! A record is durable when its answer is sent: each append is one transaction with one fsync. The file is locked by
//! the process that has it open.

mod import;
mod store;
mod tables;
mod writer;

use std::path::Path;
use std::sync::Arc;

use berth_scheduler_core::keys::Revision;
use futures_util::Stream;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Appended, Followed, Found, Journal, JournalError, Kept, Snapshot, follow, kept};
pub use import::FileImport;
use store::Store;
use writer::{Write, Writer};

/// Writes that may wait for the thread.
const QUEUE: usize = 64;

/// The journal in one file.
#[derive(Debug)]
pub struct Embedded {
    store: Arc<Store>,
    writes: mpsc::Sender<Write>,
    head: watch::Receiver<Revision>,
}

impl Embedded {
    /// Opens the journal, or makes an empty one where there is no file.
    ///
    /// What is in it is read, and its checksums looked at, only when it is asked for.
    ///
    /// # Errors
    /// [`JournalError::Open`] when the file is no journal of this format, or another process has it open;
    /// [`JournalError::Damaged`].
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let (store, head) = Store::open(path, tables::prepare)?;
        Self::write_to(store, head)
    }

    #[cfg(test)]
    pub(super) fn on(database: redb::Database) -> Result<Self, JournalError> {
        let store = Store::on(database, "a disk");
        let head = tables::prepare(&store)?;
        Self::write_to(store, head)
    }

    fn write_to(store: Store, head: Revision) -> Result<Self, JournalError> {
        let store = Arc::new(store);
        let (published, head) = watch::channel(head);
        let (writes, queue) = mpsc::channel(QUEUE);
        let writer = Writer {
            store: Arc::clone(&store),
            head: published,
        };
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(queue))
            .map_err(|error| JournalError::Open {
                path: store.name().to_owned(),
                source: error.into(),
            })?;
        Ok(Self { store, writes, head })
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
        read: impl FnOnce(&Store) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || read(&store))
            .await
            .map_err(|_| JournalError::Closed)?
    }
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
        self.read_blocking(move |store| tables::read(store, from, limit)).await
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
        behind: u64,
        chunks: impl Iterator<Item = Vec<u8>> + Send,
    ) -> Result<(), JournalError> {
        if kept::newest(&self.snapshots().await?) >= at {
            return Ok(());
        }
        let (mut count, mut size) = (0, 0);
        for bytes in chunks {
            let place = count;
            size += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            self.write(|answer| Write::Chunk {
                at,
                place,
                bytes,
                answer,
            })
            .await?;
            count += 1;
        }
        let kept = Kept {
            revision: at,
            chunks: count,
            bytes: size,
            behind,
        };
        self.write(|answer| Write::Complete { kept, answer }).await?;
        // The chunks of those that were left out for it.
        self.truncate(Revision::default()).await
    }

    async fn snapshots(&self) -> Result<Vec<Kept>, JournalError> {
        self.read_blocking(|store| {
            store.read("read the snapshots", |transaction| {
                tables::snapshots(store, transaction)
            })
        })
        .await
    }

    async fn snapshot_before(&self, at: Revision) -> Result<Option<Snapshot>, JournalError> {
        self.read_blocking(move |store| tables::snapshot_before(store, at))
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

#[cfg(test)]
mod tests;
