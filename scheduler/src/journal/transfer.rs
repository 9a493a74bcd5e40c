//! A whole journal on its way to another place: told in parts, taken in by an [`Import`].

use std::sync::Arc;
use std::time::Duration;

use berth_scheduler_core::keys::Revision;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Found, Journal, JournalError, Kept};

/// Parts that wait for whoever takes them.
const AHEAD: usize = 4;
/// Records that are read at once.
const READ_AT_ONCE: usize = 64;
/// Bytes of records in one part, unless one record has more.
const PART: usize = 1024 * 1024;
/// How long whoever takes the parts may leave one lying.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);

/// A part of a journal.
#[derive(Debug)]
pub enum Part {
    /// A snapshot, whose chunks are the next parts.
    Snapshot(Kept),
    /// The next chunk of the snapshot that was named last.
    Chunk(Vec<u8>),
    /// Records that follow those before.
    Records(Vec<(Revision, Vec<u8>)>),
    /// All was told.
    End {
        /// The newest revision.
        head: Revision,
    },
}

/// Parts as they come; without [`Part::End`] they are not all.
pub type Parts = mpsc::Receiver<Result<Part, JournalError>>;

/// Where a journal is copied to. Until it is published it is no journal that a scheduler would start on.
pub trait Import: Send {
    /// What comes of it.
    type Whole: Journal;

    /// Takes a snapshot; they come oldest first.
    fn snapshot(&mut self, kept: Kept, chunks: Vec<Vec<u8>>) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Takes records, which come in order.
    fn records(&mut self, records: Vec<(Revision, Vec<u8>)>) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Everything has come: the journal, to be looked at.
    fn whole(&mut self, head: Revision) -> impl Future<Output = Result<Self::Whole, JournalError>> + Send;

    /// Makes it a journal, at once.
    fn publish(self) -> impl Future<Output = Result<(), JournalError>> + Send;
}

/// Tells a journal from its oldest snapshot to its head, as that is when it is reached. Must be called within a runtime.
pub fn parts<J: Journal>(journal: Arc<J>) -> Parts {
    let (out, parts) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        if let Err(error) = tell(&*journal, &out).await {
            // Nobody may be left to hear of it.
            drop(out.send(Err(error)).await);
        }
    });
    parts
}

async fn tell(journal: &impl Journal, out: &mpsc::Sender<Result<Part, JournalError>>) -> Result<(), JournalError> {
    let send = async |part| match timeout(TAKEN_WITHIN, out.send(Ok(part))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(JournalError::Closed),
    };
    let mut begin = Revision::default();
    for kept in journal.snapshots().await? {
        let found = journal.snapshot_before(kept.revision).await?;
        // Others may have been left out since they were listed.
        let Some(snapshot) = found.filter(|found| found.revision == kept.revision) else {
            continue;
        };
        if begin == Revision::default() {
            begin = kept.revision;
        }
        send(Part::Snapshot(kept)).await?;
        for chunk in snapshot.chunks {
            send(Part::Chunk(chunk)).await?;
        }
    }
    let mut next = match journal.read(Revision(1), 1).await? {
        Found::Records(_) => Revision(1),
        Found::Compacted { .. } => begin.next(),
    };
    loop {
        let records = match journal.read(next, READ_AT_ONCE).await? {
            Found::Compacted { .. } => return Err(JournalError::Overtaken),
            Found::Records(records) if records.is_empty() => break,
            Found::Records(records) => records,
        };
        let mut part = Vec::new();
        let mut size = 0;
        for (revision, record) in records {
            if size > 0 && size + record.len() > PART {
                send(Part::Records(std::mem::take(&mut part))).await?;
                size = 0;
            }
            size += record.len();
            next = revision.next();
            part.push((revision, record));
        }
        send(Part::Records(part)).await?;
    }
    let head = Revision(next.0.saturating_sub(1));
    send(Part::End { head }).await
}
