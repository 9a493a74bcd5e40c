use super::*;

async fn append(journal: &Embedded, expected: u64, text: &str) -> Appended {
    journal
        .append(Revision(expected), text.as_bytes().to_vec())
        .await
        .unwrap()
}

async fn revisions(journal: &Embedded, from: u64) -> Vec<u64> {
    match journal.read(Revision(from), 100).await.unwrap() {
        Found::Records(records) => records.into_iter().map(|(revision, _)| revision.0).collect(),
        Found::Compacted { oldest } => panic!("compacted to {oldest}"),
    }
}

#[tokio::test]
async fn revisions_are_dense_and_the_expected_one_is_checked() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Embedded::open(&directory.path().join("journal")).unwrap();
    assert_eq!(append(&journal, 0, "a").await, Appended::Committed(Revision(1)));
    assert_eq!(append(&journal, 1, "b").await, Appended::Committed(Revision(2)));
    for stale in [0, 1, 3] {
        assert_eq!(
            append(&journal, stale, "c").await,
            Appended::Conflict { head: Revision(2) }
        );
    }
    assert_eq!(revisions(&journal, 1).await, [1, 2]);
    assert_eq!(revisions(&journal, 3).await, Vec::<u64>::new());
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

#[tokio::test]
async fn a_snapshot_replaces_the_one_before_and_an_unfinished_one_is_not_seen() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Embedded::open(&directory.path().join("journal")).unwrap();
    assert_eq!(journal.latest_snapshot().await.unwrap(), None);
    let chunk = |text: &str| text.as_bytes().to_vec();
    journal
        .put_snapshot(Revision(5), [chunk("a"), chunk("b")].into_iter())
        .await
        .unwrap();
    journal
        .write(|answer| Write::Chunk {
            at: Revision(9),
            place: 0,
            bytes: chunk("half"),
            answer,
        })
        .await
        .unwrap();
    let first = Snapshot {
        revision: Revision(5),
        chunks: vec![chunk("a"), chunk("b")],
    };
    assert_eq!(journal.latest_snapshot().await.unwrap(), Some(first));
    journal
        .put_snapshot(Revision(9), [chunk("c")].into_iter())
        .await
        .unwrap();
    let second = Snapshot {
        revision: Revision(9),
        chunks: vec![chunk("c")],
    };
    assert_eq!(journal.latest_snapshot().await.unwrap(), Some(second));
}

#[tokio::test]
async fn truncation_stops_at_the_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Embedded::open(&directory.path().join("journal")).unwrap();
    for revision in 0..10 {
        append(&journal, revision, "x").await;
    }
    journal.truncate(Revision(8)).await.unwrap();
    assert_eq!(revisions(&journal, 1).await.len(), 10, "nothing covers them");
    journal.put_snapshot(Revision(4), std::iter::empty()).await.unwrap();
    journal.truncate(Revision(8)).await.unwrap();
    assert_eq!(
        journal.read(Revision(1), 1).await.unwrap(),
        Found::Compacted { oldest: Revision(5) }
    );
    assert_eq!(revisions(&journal, 5).await, [5, 6, 7, 8, 9, 10]);
    assert_eq!(append(&journal, 10, "y").await, Appended::Committed(Revision(11)));
}
