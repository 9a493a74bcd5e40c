//! Snapshots, and the records that they make unnecessary.

use berth_etcd::wire::{KeyValue, RangeRequest, TxnRequest};
use berth_etcd::{compare_mod_revision, delete, get, put, range};
use berth_scheduler_core::keys::Revision;
use bytes::Bytes;

use super::super::{JournalError, Kept, Snapshot, Subject, kept};
use super::keys::{Complete, Keys, write_chunk};
use super::{Etcd, READ_AT_ONCE, answers, unexpected};

/// Records that one transaction deletes, so that no append waits long behind it.
const TRUNCATE_AT_ONCE: u64 = 1000;
/// How often a snapshot is read that is left out meanwhile.
const READS: usize = 5;

/// Writes a snapshot beside the others, then adds it to them unless another came further.
pub(super) async fn write(
    journal: &Etcd,
    at: Revision,
    behind: u64,
    chunks: impl Iterator<Item = Vec<u8>> + Send,
) -> Result<(), JournalError> {
    const OPERATION: &str = "write a snapshot";
    if kept::newest(&complete(journal).await?.0.kept()) >= at {
        return Ok(());
    }
    let name = Keys::name_of_snapshot(at, &journal.next_id());
    let (mut count, mut size) = (0, 0);
    for chunk in chunks {
        size += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        let txn = TxnRequest {
            success: vec![put(journal.keys.chunk(&name, count), write_chunk(at, count, &chunk))],
            ..TxnRequest::default()
        };
        journal.txn(OPERATION, txn).await?;
        count += 1;
    }
    let kept = Kept {
        revision: at,
        chunks: count,
        bytes: size,
        behind,
    };
    change(journal, OPERATION, |complete| {
        let has_come = kept::newest(&complete.kept()) < at;
        has_come.then(|| complete.with(kept, &name))
    })
    .await?;
    // It may have been done already, and only the answer lost.
    let (complete, _) = complete(journal).await?;
    if complete.0.iter().any(|(_, its)| *its == name) {
        return Ok(());
    }
    drop_chunks(journal, &name).await
}

/// Changes which snapshots are kept, unless `to` says that nothing is to be changed; drops the chunks of all others,
/// also of what was begun before the newest and never completed.
async fn change(
    journal: &Etcd,
    operation: &'static str,
    to: impl Fn(&Complete) -> Option<Complete>,
) -> Result<(), JournalError> {
    loop {
        let (complete, written) = complete(journal).await?;
        let Some(complete) = to(&complete) else {
            return Ok(());
        };
        let between = journal.keys.chunks_between(&complete).into_iter();
        let drop = between.map(|(begin, end)| delete(begin, end));
        let txn = TxnRequest {
            compare: vec![compare_mod_revision(journal.keys.snapshot(), written)],
            success: std::iter::once(put(journal.keys.snapshot(), complete.write()))
                .chain(drop)
                .collect(),
            failure: Vec::new(),
        };
        if journal.txn(operation, txn).await?.succeeded {
            return Ok(());
        }
    }
}

async fn drop_chunks(journal: &Etcd, name: &str) -> Result<(), JournalError> {
    let txn = TxnRequest {
        success: vec![delete(journal.keys.chunk(name, 0), journal.keys.chunks_end(name))],
        ..TxnRequest::default()
    };
    journal.txn("drop a snapshot", txn).await.map(drop)
}

/// The snapshots that are complete, and the store's revision at which that was written.
pub(super) async fn complete(journal: &Etcd) -> Result<(Complete, i64), JournalError> {
    let txn = TxnRequest {
        success: vec![get(journal.keys.snapshot())],
        ..TxnRequest::default()
    };
    let [found] = answers(journal.txn("read the snapshots", txn).await?)?;
    let written = found.first().map_or(0, |kv| kv.mod_revision);
    Ok((read_complete(&found)?, written))
}

/// What the key of the snapshots says.
pub(super) fn read_complete(found: &[KeyValue]) -> Result<Complete, JournalError> {
    let Some(kv) = found.first() else {
        return Ok(Complete::default());
    };
    Complete::read(&kv.value).ok_or_else(|| unexpected("the list of snapshots"))
}

/// Reads the newest snapshot at a revision or before it.
pub(super) async fn read(journal: &Etcd, at: Revision) -> Result<Option<Snapshot>, JournalError> {
    let mut missing = None;
    for _ in 0..READS {
        let (complete, _) = complete(journal).await?;
        let Some((kept, name)) = complete.0.iter().rfind(|(kept, _)| kept.revision <= at) else {
            return Ok(None);
        };
        let chunks = chunks(journal, name, *kept).await?;
        let count = chunks.len();
        if u32::try_from(count) == Ok(kept.chunks) {
            return Ok(Some(Snapshot {
                revision: kept.revision,
                chunks,
            }));
        }
        // It may have been left out for another, whose writer has deleted some of these chunks.
        let place = u32::try_from(count).unwrap_or(u32::MAX);
        let snapshot = kept.revision;
        let lies = String::from_utf8_lossy(&journal.keys.chunk(name, place)).into_owned();
        missing = Some(Subject::Chunk { snapshot, place }.damaged(lies, "to be there", "nothing"));
    }
    Err(missing.unwrap_or_else(|| unexpected("a snapshot")))
}

/// The chunks of a snapshot up to the first that is missing.
async fn chunks(journal: &Etcd, name: &str, kept: Kept) -> Result<Vec<Vec<u8>>, JournalError> {
    let mut chunks: Vec<Vec<u8>> = Vec::new();
    while let Ok(place) = u32::try_from(chunks.len())
        && place < kept.chunks
    {
        let range = RangeRequest {
            key: journal.keys.chunk(name, place),
            range_end: journal.keys.chunks_end(name),
            limit: i64::try_from(READ_AT_ONCE).unwrap_or(i64::MAX),
            ..RangeRequest::default()
        };
        let answer = journal
            .steadily("read a snapshot", || journal.client.range(range.clone()))
            .await?;
        let before = chunks.len();
        for (place, kv) in (place..).zip(answer.kvs) {
            if kv.key != journal.keys.chunk(name, place) {
                return Ok(chunks);
            }
            chunks.push(journal.keys.read_chunk(name, kept.revision, place, &kv.value)?);
        }
        if chunks.len() == before {
            break;
        }
    }
    Ok(chunks)
}

/// Deletes the snapshots that are not needed any more, then the records before the oldest that is left, some at a time.
pub(super) async fn truncate(journal: &Etcd, before: Revision) -> Result<(), JournalError> {
    const OPERATION: &str = "truncate";
    let (now, _) = complete(journal).await?;
    let Some(begin) = kept::begin(&now.kept(), before) else {
        return Ok(());
    };
    change(journal, OPERATION, |complete| {
        let all = complete.kept();
        let keep = kept::since(&all, begin);
        (keep.len() < all.len()).then(|| complete.keep(keep))
    })
    .await?;
    let end = begin.next();
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
