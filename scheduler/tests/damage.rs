//! A scheduler does not start on a journal that is damaged: it says what is, where, and what to do.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::path::Path;
use std::process::{Command, Output};

use berth_scheduler::journal::Journal;
use berth_scheduler::journal::embedded::Embedded;
use berth_scheduler_core::keys::Revision;

const RECORD: &[u8] = b"a record whose bytes are easy to find";

/// A data directory with a journal of a few records, closed in good order.
async fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.redb");
    let journal = Embedded::open(&path).unwrap();
    for expected in 0..3 {
        journal.append(Revision(expected), RECORD.to_vec()).await.unwrap();
    }
    drop(journal);
    // Its thread ends a moment later.
    while redb::Database::open(&path).is_err() {}
    directory
}

fn refused(directory: &Path) -> (i32, String) {
    let Output { status, stderr, .. } = Command::new(env!("CARGO_BIN_EXE_berth-scheduler"))
        .args(["--listen", "127.0.0.1:0", "--data-dir"])
        .arg(directory)
        .output()
        .unwrap();
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

#[tokio::test]
async fn a_record_that_is_damaged_is_named_with_what_to_do() {
    let directory = directory().await;
    let path = directory.path().join("journal.redb");
    let mut bytes = std::fs::read(&path).unwrap();
    let found = bytes.windows(RECORD.len()).position(|window| window == RECORD);
    let mut places = found.into_iter();
    while let Some(place) = places.next() {
        bytes[place] ^= 1;
        let more = bytes.windows(RECORD.len()).position(|window| window == RECORD);
        places = more.into_iter();
    }
    std::fs::write(&path, bytes).unwrap();
    let (code, text) = refused(directory.path());
    assert_eq!(code, 5, "{text}");
    assert!(
        text.contains("record 1 in ") && text.contains("journal.redb is damaged: expected checksum"),
        "{text}"
    );
    assert!(text.contains("put a backup in its place"), "{text}");
}

#[tokio::test]
async fn a_file_that_is_cut_short_is_named_and_nobody_panics() {
    let directory = directory().await;
    let path = directory.path().join("journal.redb");
    let whole = std::fs::read(&path).unwrap();
    for size in [0, 100, whole.len() / 2] {
        std::fs::write(&path, &whole[..size]).unwrap();
        let (code, text) = refused(directory.path());
        assert_eq!(code, 5, "{text}");
        assert!(
            text.contains("journal.redb is damaged") && !text.contains("panicked"),
            "{text}"
        );
    }
}
