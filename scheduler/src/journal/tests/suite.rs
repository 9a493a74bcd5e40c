//! The tests themselves, on any bed.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

fn text(of: &impl ToString) -> Vec<u8> {
    of.to_string().into_bytes()
}

pub(super) async fn append(journal: &impl Journal, expected: u64, record: impl ToString) -> Appended {
    journal.append(Revision(expected), text(&record)).await.unwrap()
}

/// Appends records that say their own revision.
pub(super) async fn fill(journal: &impl Journal, revisions: std::ops::RangeInclusive<u64>) {
    for revision in revisions {
        let appended = append(journal, revision - 1, revision).await;
        assert_eq!(appended, Appended::Committed(Revision(revision)));
    }
}

/// All that is there from a record on.
pub(super) async fn records(journal: &impl Journal, from: u64) -> Vec<(u64, String)> {
    let mut all = Vec::new();
    loop {
        let next = all.last().map_or(from, |(revision, _)| revision + 1);
        match journal.read(Revision(next), 1000).await.unwrap() {
            Found::Records(records) if records.is_empty() => return all,
            Found::Records(records) => all.extend(readable(records)),
            Found::Compacted { oldest } => panic!("compacted to {oldest}"),
        }
    }
}

fn readable(records: Vec<(Revision, Vec<u8>)>) -> Vec<(u64, String)> {
    let readable = |(revision, record): (Revision, _)| (revision.0, String::from_utf8(record).unwrap());
    records.into_iter().map(readable).collect()
}

/// What [`fill`] leaves.
fn own_numbers(revisions: std::ops::RangeInclusive<u64>) -> Vec<(u64, String)> {
    revisions.map(|revision| (revision, revision.to_string())).collect()
}

/// The records that a follower is told until it has `count`, quiet times left out.
async fn followed(journal: &impl Journal, from: u64, count: usize) -> Vec<(u64, String)> {
    let mut stream = pin!(journal.follow(Revision(from)));
    let mut told = Vec::new();
    while told.len() < count {
        match timeout(PATIENCE, stream.next()).await.unwrap().unwrap().unwrap() {
            Followed::Records(records) => {
                assert!(!records.is_empty(), "nothing was told as something");
                told.extend(readable(records));
            }
            Followed::Quiet { .. } => {}
            Followed::Compacted { oldest } => panic!("compacted to {oldest}"),
        }
    }
    told
}

pub(super) async fn revisions_are_dense_and_the_expected_one_is_checked(bed: impl Bed) {
    let journal = bed.user().await;
    assert_eq!(journal.head().await.unwrap(), Revision(0));
    fill(&*journal, 1..=2).await;
    for stale in [0, 1] {
        let conflict = Appended::Conflict { head: Revision(2) };
        assert_eq!(append(&*journal, stale, "stale").await, conflict);
    }
    assert_eq!(records(&*journal, 1).await, own_numbers(1..=2));
    assert_eq!(records(&*journal, 3).await, []);
    assert_eq!(journal.head().await.unwrap(), Revision(2));
}

pub(super) async fn records_are_read_in_order_as_they_were_appended(bed: impl Bed) {
    let journal = bed.user().await;
    let sent: Vec<Vec<u8>> = [0, 1, 5000, 250_000]
        .into_iter()
        .map(|size: u32| (0..size).map(|n| u8::try_from(n % 256).unwrap()).collect())
        .collect();
    for (expected, record) in (0..).zip(&sent) {
        journal.append(Revision(expected), record.clone()).await.unwrap();
    }
    let numbered: Vec<_> = (1..).map(Revision).zip(sent).collect();
    let reader = bed.user().await;
    assert_eq!(
        reader.read(Revision(1), 10).await.unwrap(),
        Found::Records(numbered.clone())
    );
    assert_eq!(
        reader.read(Revision(2), 2).await.unwrap(),
        Found::Records(numbered[1..3].to_vec())
    );
}

pub(super) async fn of_writers_at_one_place_exactly_one_gets_it(bed: impl Bed) {
    for round in 0..5 {
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..4 {
            let journal = bed.user().await;
            writers.spawn(async move { (writer, append(&*journal, round, writer).await) });
        }
        let outcomes = writers.join_all().await;
        let won: Vec<_> = outcomes
            .iter()
            .filter(|(_, appended)| *appended == Appended::Committed(Revision(round + 1)))
            .collect();
        assert_eq!(won.len(), 1, "{outcomes:?}");
        let last = records(&*bed.user().await, round + 1).await;
        assert_eq!(last, [(round + 1, won[0].0.to_string())]);
    }
}

pub(super) async fn writers_that_catch_up_lose_nothing_and_repeat_nothing(bed: impl Bed) {
    const WRITERS: usize = 3;
    const EACH: usize = 15;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let journal = bed.user().await;
        writers.spawn(async move {
            let mut head = 0;
            for nth in 0..EACH {
                while let Appended::Conflict { head: newer } = append(&*journal, head, format!("{writer}.{nth}")).await
                {
                    assert!(newer.0 > head, "a conflict with nothing new at {newer}");
                    head = newer.0;
                }
                head += 1;
            }
        });
    }
    writers.join_all().await;
    let records = records(&*bed.user().await, 1).await;
    let revisions: Vec<u64> = records.iter().map(|(revision, _)| *revision).collect();
    assert_eq!(revisions, (1..=45).collect::<Vec<u64>>());
    let distinct: BTreeSet<&String> = records.iter().map(|(_, record)| record).collect();
    assert_eq!(distinct.len(), WRITERS * EACH);
}

pub(super) async fn a_follower_is_told_every_record_once_and_in_order(bed: impl Bed) {
    let writer = bed.user().await;
    fill(&*writer, 1..=10).await;
    let follower = bed.user().await;
    let following = tokio::spawn(async move { followed(&*follower, 1, 60).await });
    fill(&*writer, 11..=60).await;
    assert_eq!(following.await.unwrap(), own_numbers(1..=60));
    assert_eq!(followed(&*bed.user().await, 42, 19).await, own_numbers(42..=60));
}

pub(super) async fn a_follower_may_begin_before_the_record_is_there(bed: impl Bed) {
    let writer = bed.user().await;
    let follower = bed.user().await;
    let following = tokio::spawn(async move { followed(&*follower, 3, 2).await });
    fill(&*writer, 1..=4).await;
    assert_eq!(following.await.unwrap(), own_numbers(3..=4));
}

pub(super) async fn a_follower_hears_that_nothing_happens(bed: impl Bed) {
    let journal = bed.user().await;
    fill(&*journal, 1..=3).await;
    let mut stream = pin!(journal.follow(Revision(4)));
    let told = timeout(PATIENCE, stream.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(told, Followed::Quiet { head: Revision(3) });
}

pub(super) async fn a_follower_behind_the_truncation_is_told_so(bed: impl Bed) {
    let journal = bed.user().await;
    fill(&*journal, 1..=10).await;
    journal.put_snapshot(Revision(7), 0, std::iter::empty()).await.unwrap();
    journal.truncate(Revision(8)).await.unwrap();
    let mut stream = pin!(journal.follow(Revision(5)));
    let told = timeout(PATIENCE, stream.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(told, Followed::Compacted { oldest: Revision(8) });
}

fn snapshot(at: u64, chunks: &[&str]) -> Snapshot {
    Snapshot {
        revision: Revision(at),
        chunks: chunks.iter().map(text).collect(),
    }
}

async fn put(journal: &impl Journal, snapshot: Snapshot) {
    let Snapshot { revision, chunks } = snapshot;
    journal.put_snapshot(revision, 0, chunks.into_iter()).await.unwrap();
}

pub(super) async fn the_newest_snapshot_is_the_one_of_the_newest_state(bed: impl Bed) {
    let journal = bed.user().await;
    fill(&*journal, 1..=9).await;
    assert_eq!(journal.latest_snapshot().await.unwrap(), None);
    let (first, second) = (snapshot(5, &["a", "b", "c"]), snapshot(9, &["d"]));
    put(&*journal, first.clone()).await;
    assert_eq!(bed.user().await.latest_snapshot().await.unwrap(), Some(first));
    put(&*journal, second.clone()).await;
    assert_eq!(bed.user().await.latest_snapshot().await.unwrap(), Some(second.clone()));
    for late in [7, 9] {
        put(&*journal, snapshot(late, &["late"])).await;
        assert_eq!(journal.latest_snapshot().await.unwrap(), Some(second.clone()));
    }
}

pub(super) async fn a_snapshot_is_there_whole_or_not_at_all(mut bed: impl Bed) {
    let journal = bed.user().await;
    fill(&*journal, 1..=2).await;
    let chunks: Vec<Vec<u8>> = (0..40).map(|place: u32| text(&place)).collect();
    let (begun, beginning) = tokio::sync::oneshot::channel();
    let writing = tokio::spawn({
        let chunks = chunks.clone();
        async move {
            let mut begun = Some(begun);
            let chunks = chunks.into_iter().enumerate().map(|(place, chunk)| {
                if place == 3
                    && let Some(begun) = begun.take()
                {
                    begun.send(()).unwrap();
                }
                chunk
            });
            drop(journal.put_snapshot(Revision(2), 0, chunks).await);
        }
    });
    beginning.await.unwrap();
    writing.abort();
    bed.crash().await;
    drop(writing.await);
    let found = bed.user().await.latest_snapshot().await.unwrap();
    assert!(found.is_none_or(|found| found.chunks == chunks));
}

pub(super) async fn truncation_stops_at_a_snapshot(bed: impl Bed) {
    let journal = bed.user().await;
    fill(&*journal, 1..=10).await;
    journal.truncate(Revision(8)).await.unwrap();
    assert_eq!(records(&*journal, 1).await.len(), 10, "nothing covers them");
    put(&*journal, snapshot(4, &["sum"])).await;
    for before in [0, 3, 4] {
        journal.truncate(Revision(before)).await.unwrap();
        assert_eq!(records(&*journal, 1).await, own_numbers(1..=10), "{before}");
    }
    journal.truncate(Revision(8)).await.unwrap();
    let compacted = Found::Compacted { oldest: Revision(5) };
    assert_eq!(journal.read(Revision(1), 1).await.unwrap(), compacted);
    assert_eq!(records(&*journal, 5).await, own_numbers(5..=10));
    fill(&*journal, 11..=11).await;
}

/// The revisions of the snapshots that are kept, each of which is read whole.
async fn kept(journal: &impl Journal) -> Vec<u64> {
    let mut revisions = Vec::new();
    for kept in journal.snapshots().await.unwrap() {
        let read = journal.snapshot_before(kept.revision).await.unwrap().unwrap();
        assert_eq!(read.revision, kept.revision);
        assert_eq!(read.chunks.len(), usize::try_from(kept.chunks).unwrap());
        let bytes: usize = read.chunks.iter().map(Vec::len).sum();
        assert_eq!(u64::try_from(bytes).unwrap(), kept.bytes);
        revisions.push(kept.revision.0);
    }
    revisions
}

pub(super) async fn each_revision_that_is_kept_has_a_snapshot_before_it(mut bed: impl Bed) {
    let journal = bed.user().await;
    fill(&*journal, 1..=10).await;
    let snapshots = [3, 6, 9].map(|at| snapshot(at, &["state", &at.to_string()]));
    for snapshot in &snapshots {
        put(&*journal, snapshot.clone()).await;
    }
    let (third, sixth, ninth) = (Some(&snapshots[0]), Some(&snapshots[1]), Some(&snapshots[2]));
    for (at, expected) in [
        (0, None),
        (2, None),
        (3, third),
        (5, third),
        (6, sixth),
        (9, ninth),
        (70, ninth),
    ] {
        let found = bed.user().await.snapshot_before(Revision(at)).await.unwrap();
        assert_eq!(found.as_ref(), expected, "{at}");
    }
    journal.truncate(Revision(8)).await.unwrap();
    assert_eq!(kept(&*journal).await, [6, 9]);
    assert_eq!(journal.snapshot_before(Revision(5)).await.unwrap(), None);
    let compacted = Found::Compacted { oldest: Revision(7) };
    assert_eq!(journal.read(Revision(4), 1).await.unwrap(), compacted);
    drop(journal);
    bed.crash().await;
    let journal = bed.user().await;
    assert_eq!(journal.snapshot_before(Revision(8)).await.unwrap().as_ref(), sixth);
    assert_eq!(records(&*journal, 7).await, own_numbers(7..=10));
}

pub(super) async fn of_many_snapshots_few_are_kept_and_those_whole(bed: impl Bed) {
    let journal = bed.user().await;
    fill(&*journal, 1..=30).await;
    for at in 1..=30 {
        put(&*journal, snapshot(at, &["a", "state"])).await;
    }
    let kept = kept(&*bed.user().await).await;
    assert!((3..=12).contains(&kept.len()), "{kept:?}");
    assert_eq!((kept[0], kept[kept.len() - 1]), (1, 30));
    assert_eq!(records(&*journal, 1).await.len(), 30, "history begins where it did");
    journal.truncate(Revision(31)).await.unwrap();
    assert_eq!(self::kept(&*bed.user().await).await, [30]);
}

pub(super) async fn what_is_damaged_is_named_and_neither_served_nor_skipped(bed: impl Bed) {
    let journal = bed.user().await;
    fill(&*journal, 1..=5).await;
    put(&*journal, snapshot(2, &["first", "second"])).await;
    let record = Subject::Record(Revision(4));
    let chunk = Subject::Chunk {
        snapshot: Revision(2),
        place: 1,
    };
    for byte in 0..5 {
        bed.damage(record, byte).await;
        bed.damage(chunk, byte).await;
        let reader = bed.user().await;
        for from in [1, 4] {
            is_named(record, reader.read(Revision(from), 5).await);
        }
        let mut stream = pin!(reader.follow(Revision(4)));
        is_named(record, timeout(PATIENCE, stream.next()).await.unwrap().unwrap());
        is_named(chunk, reader.latest_snapshot().await);
        assert_eq!(records(&*reader, 5).await, own_numbers(5..=5));
        // Damaged twice it is whole again.
        bed.damage(record, byte).await;
        bed.damage(chunk, byte).await;
        assert_eq!(records(&*bed.user().await, 1).await, own_numbers(1..=5));
    }
}

fn is_named<T: std::fmt::Debug>(subject: Subject, found: Result<T, JournalError>) {
    let error = found.unwrap_err();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with(&format!("{subject} in ")), "{text}");
}

pub(super) async fn a_journal_without_records_goes_on_behind_its_snapshot(mut bed: impl Bed) {
    let journal = bed.user().await;
    fill(&*journal, 1..=6).await;
    put(&*journal, snapshot(6, &["sum"])).await;
    journal.truncate(Revision(7)).await.unwrap();
    drop(journal);
    bed.crash().await;
    let journal = bed.user().await;
    assert_eq!(journal.head().await.unwrap(), Revision(6));
    let compacted = Found::Compacted { oldest: Revision(7) };
    assert_eq!(journal.read(Revision(2), 1).await.unwrap(), compacted);
    assert_eq!(records(&*journal, 7).await, []);
    let conflict = Appended::Conflict { head: Revision(6) };
    assert_eq!(append(&*journal, 0, "stale").await, conflict);
    fill(&*journal, 7..=7).await;
}

pub(super) async fn what_was_acknowledged_survives_a_crash(mut bed: impl Bed) {
    let mut head = 0;
    let mut acknowledged: Vec<(u64, String)> = Vec::new();
    for round in 0..6_u64 {
        let journal = bed.user().await;
        let written = Arc::new(Mutex::new(Vec::new()));
        let writing = tokio::spawn({
            let written = Arc::clone(&written);
            async move {
                for revision in head + 1.. {
                    let record = format!("{round}.{revision}");
                    let Ok(appended) = journal.append(Revision(revision - 1), text(&record)).await else {
                        break;
                    };
                    assert_eq!(appended, Appended::Committed(Revision(revision)));
                    written.lock().unwrap().push((revision, record));
                }
            }
        });
        while written.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(3 + 7 * round)).await;
        writing.abort();
        bed.crash().await;
        drop(writing.await);
        acknowledged.append(&mut written.lock().unwrap());
        let found = records(&*bed.user().await, 1).await;
        assert_eq!(found[..acknowledged.len()], acknowledged, "round {round}");
        assert!(
            found.len() <= acknowledged.len() + 1,
            "round {round}: more than was sent"
        );
        // The one whose answer was lost, if it is there, is there whole.
        acknowledged.clone_from(&found);
        head = u64::try_from(found.len()).unwrap();
        assert_eq!(bed.user().await.head().await.unwrap(), Revision(head));
    }
}
