//! A file of which bytes are not what they were, or not there: what is read of it is what was written, or is refused with
//! the reason.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::suite::{append, fill};
use super::*;

/// What a journal holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Content {
    records: Vec<(Revision, Vec<u8>)>,
    snapshots: Vec<Snapshot>,
}

async fn read_all(path: &Path) -> Result<Content, JournalError> {
    let journal = Embedded::open(path)?;
    let mut snapshots = Vec::new();
    for kept in journal.snapshots().await? {
        snapshots.extend(journal.snapshot_before(kept.revision).await?);
    }
    let mut records: Vec<(Revision, Vec<u8>)> = Vec::new();
    let mut next = snapshots.first().map_or(Revision(0), |oldest| oldest.revision).next();
    while let Found::Records(found) = journal.read(next, 7).await? {
        if found.is_empty() {
            break;
        }
        records.extend(found);
        next = records[records.len() - 1].0.next();
    }
    assert_eq!(journal.head().await?.next(), next);
    Ok(Content { records, snapshots })
}

/// A file with records and snapshots, as it lies there after a process has ended in good order, and after a kill.
struct Files {
    directory: tempfile::TempDir,
    content: Content,
    closed: Vec<u8>,
    killed: Vec<u8>,
}

async fn files() -> Files {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.redb");
    let journal = Embedded::open(&path).unwrap();
    fill(&journal, 1..=40).await;
    for at in [20, 30] {
        let chunks = (0..3).map(|place| vec![place; 700]);
        journal.put_snapshot(Revision(at), 0, chunks).await.unwrap();
    }
    journal.truncate(Revision(21)).await.unwrap();
    for expected in 40..60 {
        append(&journal, expected, "x".repeat(300)).await;
    }
    let killed = std::fs::read(&path).unwrap();
    drop(journal);
    free(&path);
    let content = read_all(&path).await.unwrap();
    assert_eq!((content.records.len(), content.snapshots.len()), (40, 2));
    free(&path);
    let closed = std::fs::read(&path).unwrap();
    Files {
        directory,
        content,
        closed,
        killed,
    }
}

/// Waits until nobody has the file open: the thread of a dropped journal ends a moment later.
fn free(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(error) = redb::Database::open(path) {
        assert!(Instant::now() < deadline, "{error:?}");
    }
}

impl Files {
    fn with(&self, bytes: &[u8]) -> PathBuf {
        let path = self.directory.path().join("damaged.redb");
        std::fs::remove_file(&path).ok();
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// Bytes at which something is written: all of the file's head, and some of every sector that is not empty.
fn places(bytes: &[u8]) -> Vec<usize> {
    let sectors = bytes.chunks(512).enumerate().skip(1);
    let written = sectors.filter(|(_, sector)| sector.iter().any(|byte| *byte != 0));
    let some = written.flat_map(|(nth, _)| [1, 67, 203, 331, 480].map(|byte| nth * 512 + byte));
    (0..320).chain(some.filter(|place| *place < bytes.len())).collect()
}

fn is_named(place: usize, error: &JournalError) {
    assert!(matches!(error, JournalError::Damaged { .. }), "byte {place}: {error:?}");
    let text = error.to_string();
    assert!(
        text.contains("damaged.redb is damaged: expected "),
        "byte {place}: {text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bit_that_flips_anywhere_changes_nothing_or_is_named() {
    let files = files().await;
    let mut named = 0;
    for place in places(&files.closed) {
        let mut damaged = files.closed.clone();
        damaged[place] ^= 1 << (place % 8);
        match read_all(&files.with(&damaged)).await {
            Ok(content) => assert!(content == files.content, "byte {place} was served"),
            Err(error) => {
                is_named(place, &error);
                named += 1;
            }
        }
    }
    assert!(named > 20, "{named}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_a_bit_that_flips_costs_the_last_commit_at_most() {
    let files = files().await;
    for place in places(&files.killed) {
        let mut damaged = files.killed.clone();
        damaged[place] ^= 1 << (place % 8);
        match read_all(&files.with(&damaged)).await {
            Ok(content) => {
                // One that was torn looks the same: it is left out, as nobody was told of it.
                let mut left_out = files.content.clone();
                left_out.records.pop();
                let known = content == files.content || content == left_out;
                assert!(known, "byte {place} was served");
            }
            Err(error) => is_named(place, &error),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_cut_is_named() {
    let files = files().await;
    let sizes = [0, 1, 319, 4096, 5000, files.closed.len() / 2, files.closed.len() - 1];
    for bytes in [&files.closed, &files.killed] {
        for size in sizes {
            is_named(size, &read_all(&files.with(&bytes[..size])).await.unwrap_err());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sectors_that_went_back_to_what_they_were_change_nothing_or_are_named() {
    let files = files().await;
    let path = files.directory.path().join("journal.redb");
    let before = std::fs::read(&path).unwrap();
    let journal = Embedded::open(&path).unwrap();
    for expected in 60..70 {
        append(&journal, expected, "y".repeat(300)).await;
    }
    drop(journal);
    free(&path);
    let content = read_all(&path).await.unwrap();
    free(&path);
    let after = std::fs::read(&path).unwrap();
    assert_eq!(before.len(), after.len());
    let mut tried = 0;
    for place in (0..after.len()).step_by(512) {
        let sector = place..place + 512;
        if before[sector.clone()] == after[sector.clone()] {
            continue;
        }
        tried += 1;
        let mut torn = after.clone();
        torn[sector.clone()].copy_from_slice(&before[sector]);
        match read_all(&files.with(&torn)).await {
            Ok(found) => assert!(found == content, "the sector at {place} was served"),
            Err(error) => is_named(place, &error),
        }
    }
    assert!(tried > 5, "{tried}");
}

#[test]
fn a_file_from_before_there_were_checksums_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("old.redb");
    let records: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("records");
    let database = redb::Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(records).unwrap().insert(1, &b"{}"[..]).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = Embedded::open(&path).unwrap_err();
    let text = format!("{:#}", anyhow::Error::new(error));
    assert!(text.contains("old.redb") && text.contains("no checksums"), "{text}");
}
