//! Snapshots, and the records that they make unnecessary.

use berth_etcd::wire::{RangeRequest, TxnRequest};
use berth_etcd::{compare_mod_revision, delete, get, put, range};
use berth_scheduler_core::keys::Revision;
use bytes::Bytes;

use super::super::{JournalError, Snapshot};
use super::keys::{Complete, Keys};
use super::{Etcd, READ_AT_ONCE, answers, unexpected};

/// Records that one transaction deletes, so that no append waits long behind it.
const TRUNCATE_AT_ONCE: u64 = 1000;
/// How often a snapshot is read that is replaced meanwhile.
const READS: usize = 5;

/// Writes a snapshot beside the newest, then makes it the newest unless another came further.
pub(super) async fn write(
    journal: &Etcd,
    at: Revision,
    chunks: impl Iterator<Item = Vec<u8>> + Send,
) -> Result<(), JournalError> {
    const OPERATION: &str = "write a snapshot";
    let (newest, _) = newest(journal).await?;
    if newest.is_some_and(|newest| newest.revision >= at) {
        return Ok(());
    }
    let name = Keys::name_of_snapshot(at, &journal.next_id());
    let mut count = 0;
    for chunk in chunks {
        let txn = TxnRequest {
            success: vec![put(journal.keys.chunk(&name, count), chunk.into())],
            ..TxnRequest::default()
        };
        journal.txn(OPERATION, txn).await?;
        count += 1;
    }
    let complete = Complete {
        revision: at,
        name,
        chunks: count,
    };
    loop {
        let (newest, written) = self::newest(journal).await?;
        match newest {
            // It was done, and only the answer was lost.
            Some(newest) if newest == complete => return Ok(()),
            Some(newest) if newest.revision >= at => return drop_chunks(journal, &complete).await,
            Some(_) | None => {}
        }
        let (old, old_end) = journal.keys.chunks_before(at);
        let txn = TxnRequest {
            compare: vec![compare_mod_revision(journal.keys.snapshot(), written)],
            success: vec![
                put(journal.keys.snapshot(), complete.write()),
                // Also what others began to write and never completed.
                delete(old, old_end),
            ],
            failure: Vec::new(),
        };
        if journal.txn(OPERATION, txn).await?.succeeded {
            return Ok(());
        }
    }
}

async fn drop_chunks(journal: &Etcd, of: &Complete) -> Result<(), JournalError> {
    let txn = TxnRequest {
        success: vec![delete(
            journal.keys.chunk(&of.name, 0),
            journal.keys.chunks_end(&of.name),
        )],
        ..TxnRequest::default()
    };
    journal.txn("drop a snapshot", txn).await.map(drop)
}

/// The newest snapshot that is complete, and the store's revision at which that was written.
async fn newest(journal: &Etcd) -> Result<(Option<Complete>, i64), JournalError> {
    let txn = TxnRequest {
        success: vec![get(journal.keys.snapshot())],
        ..TxnRequest::default()
    };
    let [found] = answers(journal.txn("read the snapshot", txn).await?)?;
    match found.first() {
        None => Ok((None, 0)),
        Some(kv) => {
            let complete = Complete::read(&kv.value).ok_or_else(|| unexpected("the snapshot"))?;
            Ok((Some(complete), kv.mod_revision))
        }
    }
}

/// The revision of the newest snapshot.
pub(super) async fn revision(journal: &Etcd) -> Result<Revision, JournalError> {
    let (newest, _) = newest(journal).await?;
    Ok(newest.map_or(Revision::default(), |newest| newest.revision))
}

/// Reads the newest snapshot.
pub(super) async fn read(journal: &Etcd) -> Result<Option<Snapshot>, JournalError> {
    for _ in 0..READS {
        let (Some(complete), _) = newest(journal).await? else {
            return Ok(None);
        };
        // A newer one may have replaced it, whose writer has deleted some of these chunks.
        if let Some(snapshot) = complete.with(chunks(journal, &complete).await?) {
            return Ok(Some(snapshot));
        }
    }
    Err(unexpected("a snapshot of which chunks are missing"))
}

async fn chunks(journal: &Etcd, of: &Complete) -> Result<Vec<Vec<u8>>, JournalError> {
    let mut chunks: Vec<Vec<u8>> = Vec::new();
    while let Ok(place) = u32::try_from(chunks.len())
        && place < of.chunks
    {
        let range = RangeRequest {
            key: journal.keys.chunk(&of.name, place),
            range_end: journal.keys.chunks_end(&of.name),
            limit: i64::try_from(READ_AT_ONCE).unwrap_or(i64::MAX),
            ..RangeRequest::default()
        };
        let answer = journal
            .steadily("read the snapshot", || journal.client.range(range.clone()))
            .await?;
        if answer.kvs.is_empty() {
            break;
        }
        chunks.extend(answer.kvs.into_iter().map(|kv| Vec::from(kv.value)));
    }
    Ok(chunks)
}

/// Deletes records that the newest snapshot covers, some at a time.
pub(super) async fn truncate(journal: &Etcd, before: Revision) -> Result<(), JournalError> {
    const OPERATION: &str = "truncate";
    let end = before.min(revision(journal).await?.next());
    loop {
        let first = RangeRequest {
            key: journal.keys.record(Revision::default()),
            range_end: journal.keys.record(end),
            limit: 1,
            keys_only: true,
            ..RangeRequest::default()
        };
        let txn = TxnRequest {
            success: vec![range(first)],
            ..TxnRequest::default()
        };
        let [first] = answers(journal.txn(OPERATION, txn).await?)?;
        let Some(kv) = first.first() else {
            return Ok(());
        };
        let oldest = journal.keys.revision_of(&kv.key).ok_or_else(|| unexpected("a key"))?;
        let step = end.min(Revision(oldest.0.saturating_add(TRUNCATE_AT_ONCE)));
        let (from, to): (Bytes, Bytes) = (journal.keys.record(oldest), journal.keys.record(step));
        let txn = TxnRequest {
            success: vec![delete(from, to)],
            ..TxnRequest::default()
        };
        journal.txn(OPERATION, txn).await?;
    }
}
