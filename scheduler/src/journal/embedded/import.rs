//! A file that a journal is copied into: beside its place until it is whole.

use std::path::{Path, PathBuf};

use berth_scheduler_core::keys::Revision;
use redb::Durability;

use super::super::frame::{Subject, seal};
use super::super::transfer::Import;
use super::super::{JournalError, Kept};
use super::Embedded;
use super::store::{Store, sync_directory_of};
use super::tables::{self, CHUNKS, COMPLETE, RECORDS};

/// A file that is being made.
#[derive(Debug)]
pub struct FileImport {
    target: PathBuf,
    partial: PathBuf,
    /// There until the file is whole.
    store: Option<Store>,
}

impl FileImport {
    /// Begins a file; what an earlier copy to the same place has left unfinished is removed.
    ///
    /// # Errors
    /// [`JournalError::Open`] when there is something in its place already.
    pub fn begin(target: &Path) -> Result<Self, JournalError> {
        let failed = |source: std::io::Error| open_failed(target, source.into());
        if target.try_exists().map_err(failed)? {
            return Err(open_failed(
                target,
                "there is a file already, and none is overwritten".into(),
            ));
        }
        let mut partial = target.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        if partial.try_exists().map_err(failed)? {
            std::fs::remove_file(&partial).map_err(failed)?;
        }
        let (store, _) = Store::open(&partial, tables::prepare)?;
        Ok(Self {
            target: target.to_owned(),
            partial,
            store: Some(store),
        })
    }

    fn store(&self) -> Result<&Store, JournalError> {
        self.store.as_ref().ok_or(JournalError::Closed)
    }
}

fn open_failed(path: &Path, source: super::super::Cause) -> JournalError {
    JournalError::Open {
        path: path.display().to_string(),
        source,
    }
}

impl Import for FileImport {
    type Whole = Embedded;

    async fn snapshot(&mut self, kept: Kept, chunks: Vec<Vec<u8>>) -> Result<(), JournalError> {
        let snapshot = kept.revision;
        self.store()?
            .write("write a snapshot", Durability::Immediate, |transaction| {
                let mut table = transaction.open_table(CHUNKS)?;
                for (place, chunk) in (0..).zip(&chunks) {
                    let sealed = seal(Subject::Chunk { snapshot, place }, &[chunk]);
                    table.insert((snapshot.0, place), &*sealed)?;
                }
                let mut complete = transaction.open_table(COMPLETE)?;
                complete.insert(snapshot.0, &*tables::entry(&kept))?;
                Ok(())
            })
    }

    async fn records(&mut self, records: Vec<(Revision, Vec<u8>)>) -> Result<(), JournalError> {
        self.store()?
            .write("write records", Durability::Immediate, |transaction| {
                let mut table = transaction.open_table(RECORDS)?;
                for (revision, record) in &records {
                    let sealed = seal(Subject::Record(*revision), &[record]);
                    table.insert(revision.0, &*sealed)?;
                }
                Ok(())
            })
    }

    async fn whole(&mut self, _head: Revision) -> Result<Embedded, JournalError> {
        drop(self.store.take());
        Embedded::open(&self.partial)
    }

    async fn publish(self) -> Result<(), JournalError> {
        // A link fails where a rename would overwrite what has come into its place meanwhile.
        let done = std::fs::hard_link(&self.partial, &self.target)
            .and_then(|()| std::fs::remove_file(&self.partial))
            .and_then(|()| sync_directory_of(&self.target));
        done.map_err(|source| open_failed(&self.target, source.into()))
    }
}
