use redb::{Durability, ReadableTable};

use super::super::Subject;
use super::tables::{CHUNKS, RECORDS};
use super::*;

impl Embedded {
    /// Flips a bit in a byte of what is stored, as if it had been written so.
    pub(in crate::journal) fn damage(&self, subject: Subject, byte: usize) {
        let flip = |stored: &[u8]| {
            let mut stored = stored.to_vec();
            stored[byte] ^= 1;
            stored
        };
        self.store
            .write("damage", Durability::Immediate, |transaction| {
                match subject {
                    Subject::Record(revision) => {
                        let mut records = transaction.open_table(RECORDS)?;
                        let damaged = flip(records.get(revision.0)?.unwrap().value());
                        records.insert(revision.0, &*damaged)?;
                    }
                    Subject::Chunk { snapshot, place } => {
                        let mut chunks = transaction.open_table(CHUNKS)?;
                        let damaged = flip(chunks.get((snapshot.0, place))?.unwrap().value());
                        chunks.insert((snapshot.0, place), &*damaged)?;
                    }
                    Subject::Entry(_) => panic!("it is damaged where it lies"),
                }
                Ok(())
            })
            .unwrap();
    }
}

async fn append(journal: &Embedded, expected: u64, text: &str) -> Appended {
    journal
        .append(Revision(expected), text.as_bytes().to_vec())
        .await
        .unwrap()
}

#[tokio::test]
async fn what_was_committed_is_there_after_opening_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    {
        let journal = Embedded::open(&path).unwrap();
        append(&journal, 0, "a").await;
        append(&journal, 1, "b").await;
    }
    let journal = reopen(&path);
    let records = vec![(Revision(1), b"a".to_vec()), (Revision(2), b"b".to_vec())];
    assert_eq!(journal.read(Revision(1), 10).await.unwrap(), Found::Records(records));
    assert_eq!(append(&journal, 2, "c").await, Appended::Committed(Revision(3)));
}

/// The thread of a dropped journal ends a moment later, and only then is the file free.
fn reopen(path: &Path) -> Embedded {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        match Embedded::open(path) {
            Ok(journal) => return journal,
            Err(error) if std::time::Instant::now() > deadline => panic!("{error:?}"),
            Err(_) => std::thread::yield_now(),
        }
    }
}

#[tokio::test]
async fn one_file_has_one_owner() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let _owner = Embedded::open(&path).unwrap();
    assert!(matches!(Embedded::open(&path), Err(JournalError::Open { .. })));
}
