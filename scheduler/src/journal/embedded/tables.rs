//! What lies in the file, and how it reads.

use redb::{Durability, WriteTransaction};
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata, TableDefinition, TableHandle};

use berth_scheduler_core::keys::Revision;

use super::super::frame::{Subject, seal, unseal};
use super::super::kept::{self, Kept};
use super::super::{Found, JournalError, Snapshot};
use super::store::{Failure, Store, damaged};

/// Records by revision, sealed.
pub(super) const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");
/// Chunks of snapshots by revision and place, sealed.
pub(super) const CHUNKS: TableDefinition<'_, (u64, u32), &[u8]> = TableDefinition::new("snapshots");
/// The snapshots that are complete and kept, by revision: each its [`Kept`], sealed.
pub(super) const COMPLETE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("complete snapshots");
/// The format of all this, under [`FORMAT`].
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const FORMAT: &str = "format";
/// The only format that is read and written.
const THIS_FORMAT: u64 = 2;

/// Makes the tables of a new journal, or sees that they are those of one; gives its newest revision.
pub(super) fn prepare(store: &Store) -> Result<Revision, JournalError> {
    store.write("open", Durability::Immediate, |transaction| {
        let begins = transaction.list_tables()?.next().is_none();
        if begins {
            transaction.open_table(META)?.insert(FORMAT, THIS_FORMAT)?;
        } else {
            see_format(store, transaction)?;
        }
        transaction.open_table(RECORDS)?;
        transaction.open_table(CHUNKS)?;
        transaction.open_table(COMPLETE)?;
        Ok(())
    })?;
    store.read("open", |transaction| whole(store, transaction))
}

fn see_format(store: &Store, transaction: &WriteTransaction) -> Result<(), Failure> {
    let known = transaction.list_tables()?.any(|table| table.name() == META.name());
    let format = if known {
        transaction.open_table(META)?.get(FORMAT)?.map(|format| format.value())
    } else {
        None
    };
    let found = match format {
        Some(THIS_FORMAT) => return Ok(()),
        Some(format) => format!("format {format}"),
        None => "none: the file has no checksums".to_owned(),
    };
    Err(JournalError::Open {
        path: store.name().to_owned(),
        source: format!("this build reads journals of format {THIS_FORMAT}, this one has {found}").into(),
    }
    .into())
}

/// Sees that nothing is missing at either end or between, as far as that can be seen without reading it all; gives the
/// newest revision.
fn whole(store: &Store, transaction: &ReadTransaction) -> Result<Revision, Failure> {
    let kept = snapshots(store, transaction)?;
    let (origin, covered) = (kept::oldest(&kept), kept::newest(&kept));
    let records = transaction.open_table(RECORDS)?;
    let (Some((first, _)), Some((last, _))) = (records.first()?, records.last()?) else {
        return if records.len()? == 0 && origin == covered {
            Ok(covered)
        } else {
            Err(missing(store, origin.next(), "no record").into())
        };
    };
    let (first, last) = (Revision(first.value()), Revision(last.value()));
    let (count, spans) = (records.len()?, last.0.saturating_sub(first.0).saturating_add(1));
    if count != spans {
        let expected = format!("{spans} records, {first} to {last}");
        return Err(damaged(store.name(), expected, count.to_string()).into());
    }
    if first > origin.next() {
        return Err(missing(store, origin.next(), format!("record {first} as the first")).into());
    }
    if last < covered {
        return Err(missing(store, last.next(), format!("a snapshot at {covered}")).into());
    }
    Ok(last)
}

fn missing(store: &Store, revision: Revision, found: impl Into<String>) -> JournalError {
    Subject::Record(revision).damaged(store.name().to_owned(), "to be there", found)
}

/// The snapshots that are complete, oldest first.
pub(super) fn snapshots(store: &Store, transaction: &ReadTransaction) -> Result<Vec<Kept>, Failure> {
    list(store, &transaction.open_table(COMPLETE)?)
}

/// As [`snapshots`], of a table that is open.
pub(super) fn list(store: &Store, complete: &impl ReadableTable<u64, &'static [u8]>) -> Result<Vec<Kept>, Failure> {
    let mut found = Vec::new();
    for entry in complete.iter()? {
        let (revision, stored) = entry?;
        let subject = Subject::Entry(Revision(revision.value()));
        let text = unseal(subject, stored.value(), || store.name().to_owned())?;
        let kept = Kept::read(text)
            .ok_or_else(|| subject.damaged(store.name().to_owned(), "four numbers", String::from_utf8_lossy(text)))?;
        found.push(kept);
    }
    if u64::try_from(found.len()).ok() != Some(complete.len()?) {
        return Err(damaged(
            store.name(),
            format!("{} snapshots", complete.len()?),
            found.len().to_string(),
        )
        .into());
    }
    Ok(found)
}

/// A snapshot as [`list`] reads it.
pub(super) fn entry(kept: &Kept) -> Vec<u8> {
    seal(Subject::Entry(kept.revision), &[kept.write().as_bytes()])
}

/// Up to `limit` records from a revision on.
pub(super) fn read(store: &Store, from: Revision, limit: usize) -> Result<Found, JournalError> {
    store.read("read records", |transaction| {
        let records = transaction.open_table(RECORDS)?;
        let origin = kept::oldest(&snapshots(store, transaction)?);
        let (oldest, last) = match (records.first()?, records.last()?) {
            (Some((oldest, _)), Some((last, _))) => (Revision(oldest.value()), Revision(last.value())),
            _ => (origin.next(), origin),
        };
        if oldest > from {
            return if from <= origin {
                Ok(Found::Compacted { oldest })
            } else {
                Err(missing(store, from, format!("record {oldest} as the first")).into())
            };
        }
        Ok(Found::Records(in_order(store, &records, from..=last, limit)?))
    })
}

fn in_order(
    store: &Store,
    records: &ReadOnlyTable<u64, &'static [u8]>,
    wanted: std::ops::RangeInclusive<Revision>,
    limit: usize,
) -> Result<Vec<(Revision, Vec<u8>)>, Failure> {
    let mut next = *wanted.start();
    let mut found = Vec::new();
    for record in records.range(next.0..)?.take(limit) {
        let (revision, stored) = record?;
        let revision = Revision(revision.value());
        if revision != next {
            return Err(missing(store, next, format!("record {revision} in its place")).into());
        }
        let record = unseal(Subject::Record(revision), stored.value(), || store.name().to_owned())?;
        found.push((revision, record.to_vec()));
        next = revision.next();
    }
    if found.len() < limit && next <= *wanted.end() {
        return Err(missing(store, next, "nothing").into());
    }
    Ok(found)
}

/// The newest snapshot at a revision or before it.
pub(super) fn snapshot_before(store: &Store, at: Revision) -> Result<Option<Snapshot>, JournalError> {
    store.read("read a snapshot", |transaction| {
        let complete = snapshots(store, transaction)?;
        let Some(kept) = complete.iter().rfind(|kept| kept.revision <= at) else {
            return Ok(None);
        };
        let snapshot = kept.revision;
        let table = transaction.open_table(CHUNKS)?;
        let mut chunks = Vec::new();
        for place in 0..kept.chunks {
            let subject = Subject::Chunk { snapshot, place };
            let lies = || store.name().to_owned();
            let Some(stored) = table.get((snapshot.0, place))? else {
                return Err(subject.damaged(lies(), "to be there", "nothing").into());
            };
            chunks.push(unseal(subject, stored.value(), lies)?.to_vec());
        }
        Ok(Some(Snapshot {
            revision: snapshot,
            chunks,
        }))
    })
}
