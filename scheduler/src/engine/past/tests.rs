use std::sync::Arc;

use berth_model::name::ClusterName;
use berth_scheduler_core::decide::cluster::CreateCluster;

use super::*;
use crate::engine::{Observer, write_snapshot};
use crate::journal::memory::Memory;

struct Nobody;

impl Observer for Nobody {
    fn published(&self, _state: &State, _record: &Record, _bytes: usize) {}
}

/// An engine that has made so many clusters, a revision each.
async fn with_clusters(count: u64) -> (Engine, Arc<Memory>, Past) {
    let journal = Arc::new(Memory::default());
    let engine = Engine::start(State::default(), Arc::clone(&journal), Arc::new(Nobody), 1).unwrap();
    let past = Past::new(engine.clone(), Arc::clone(&journal));
    create(&engine, count).await;
    (engine, journal, past)
}

async fn create(engine: &Engine, count: u64) {
    let before = engine.view().revision().0;
    for number in before + 1..=before + count {
        let command = CreateCluster {
            providers: Vec::new(),
            strategy: Vec::new(),
            name: ClusterName::parse(&format!("c{number}")).unwrap(),
            tags: Vec::new(),
        };
        engine.submit(command, "test".into()).await.unwrap();
    }
}

#[tokio::test]
async fn the_state_at_each_revision_is_what_it_was() {
    let (engine, _journal, past) = with_clusters(0).await;
    let mut states = vec![State::clone(&engine.view())];
    for _ in 0..5 {
        create(&engine, 1).await;
        states.push(State::clone(&engine.view()));
    }
    for state in &states {
        assert_eq!(*past.at(state.revision()).await.unwrap(), *state);
    }
    let fault = past.at(Revision(6)).await.unwrap_err();
    assert_eq!(fault.message, "Revision 6 does not exist yet: the newest is 5.");
}

#[tokio::test]
async fn a_state_that_is_asked_for_again_is_not_made_again() {
    let (_engine, _journal, past) = with_clusters(3).await;
    let (first, again) = (past.at(Revision(2)).await.unwrap(), past.at(Revision(2)).await.unwrap());
    assert!(Arc::ptr_eq(&first, &again));
}

#[tokio::test]
async fn a_state_that_was_named_is_at_hand_when_the_journal_has_gone_on() {
    let (engine, _journal, past) = with_clusters(3).await;
    let named = engine.view();
    past.note(&named);
    create(&engine, 1).await;
    assert!(Arc::ptr_eq(&past.at(Revision(3)).await.unwrap(), &named));
}

#[tokio::test]
async fn a_revision_that_another_scheduler_has_just_told_is_waited_for() {
    let (engine, journal, _past) = with_clusters(1).await;
    let other = Engine::start(State::default(), Arc::clone(&journal), Arc::new(Nobody), 2).unwrap();
    let past = Past::new(other, journal);
    for _ in 0..10 {
        create(&engine, 1).await;
        let told = engine.view();
        assert_eq!(*past.at(told.revision()).await.unwrap(), *told);
    }
}

#[tokio::test]
async fn callers_that_ask_at_once_share_one_making() {
    let (_engine, _journal, past) = with_clusters(4).await;
    let asking = (0..WAITING).map(|_| {
        let past = past.clone();
        tokio::spawn(async move { past.at(Revision(2)).await })
    });
    let mut states = Vec::new();
    for asked in asking.collect::<Vec<_>>() {
        states.push(asked.await.unwrap().unwrap());
    }
    assert!(states.iter().all(|state| Arc::ptr_eq(state, &states[0])));
}

#[tokio::test]
async fn more_than_a_few_do_not_wait() {
    let (_engine, _journal, past) = with_clusters(4).await;
    let turn = Arc::clone(&past.0.turn).acquire_owned().await.unwrap();
    let waiting: Vec<_> = (0..WAITING)
        .map(|_| {
            let past = past.clone();
            tokio::spawn(async move { past.at(Revision(2)).await })
        })
        .collect();
    while past.0.waiting.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let refused = past.at(Revision(1)).await.unwrap_err();
    assert_eq!(refused.class, FaultClass::Throttling);
    drop(turn);
    for waits in waiting {
        waits.await.unwrap().unwrap();
    }
    past.at(Revision(1)).await.unwrap();
}

#[tokio::test]
async fn what_the_journal_does_not_keep_is_refused_with_what_it_keeps() {
    let (engine, journal, past) = with_clusters(4).await;
    write_snapshot(&*journal, &engine.view(), 0).await.unwrap();
    create(&engine, 2).await;
    journal.truncate(Revision(5)).await.unwrap();
    let fault = past.at(Revision(2)).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::InvalidParameter);
    assert!(
        fault
            .message
            .starts_with("Revision 2 is older than what the journal keeps: its oldest revision is "),
        "{fault}"
    );
    assert!(fault.message.contains(" of 20"), "it says of when that is: {fault}");
    assert_eq!(past.at(Revision(5)).await.unwrap().revision(), Revision(5));

    let fault = past.revision_at(Timestamp::from_millis(1)).await.unwrap_err();
    assert!(
        fault.message.contains("is older than what the journal keeps"),
        "{fault}"
    );
}

#[tokio::test]
async fn a_time_is_the_last_revision_that_was_there_then() {
    let (engine, _journal, past) = with_clusters(1).await;
    for _ in 0..4 {
        // Times are told in milliseconds.
        sleep(Duration::from_millis(3)).await;
        create(&engine, 1).await;
    }
    for revision in (1..=5).map(Revision) {
        let time = past.time_of(revision).await.unwrap();
        assert_eq!(past.revision_at(time).await, Ok(revision));
        let before = Timestamp::from_millis(time.as_millis() - 1);
        assert_eq!(past.revision_at(before).await, Ok(Revision(revision.0 - 1)));
    }
    assert_eq!(past.revision_at(clock::now()).await, Ok(Revision(5)));
    let ahead = clock::now() + Duration::from_secs(60);
    assert!(
        past.revision_at(ahead)
            .await
            .unwrap_err()
            .message
            .contains("lies in the future")
    );
}

#[test]
fn few_states_are_kept_and_those_that_nobody_asks_for_are_dropped() {
    let now = Instant::now();
    let mut kept = Kept::default();
    let state = |revision| {
        let record = Record {
            v: Record::FORMAT,
            revision: Revision(revision),
            entries: Vec::new(),
        };
        let mut state = State::default();
        berth_scheduler_core::fold::fold_record(&mut state, &record);
        Arc::new(state)
    };
    for revision in 1..=40 {
        kept.note(&state(revision), now);
        kept.keep(&state(100 + revision), now + Duration::from_secs(revision));
    }
    assert_eq!((kept.recent.len(), kept.remade.len()), (RECENT, REMADE));
    assert!(kept.find(Revision(40), now).is_some() && kept.find(Revision(140), now).is_some());
    assert!(kept.find(Revision(1), now).is_none() && kept.find(Revision(101), now).is_none());
    kept.drop_idle(now + RECENT_FOR + REMADE_FOR + Duration::from_secs(60));
    assert_eq!((kept.recent.len(), kept.remade.len()), (0, 0));
}

#[test]
fn a_large_state_makes_the_others_go_before_it_is_made() {
    let mut kept = Kept::default();
    kept.keep(&Arc::new(State::default()), Instant::now());
    kept.make_room(REMADE_TASKS);
    assert_eq!(kept.remade.len(), 1, "it holds no task");
    kept.make_room(REMADE_TASKS + 1);
    assert_eq!(kept.remade.len(), 0);
}
