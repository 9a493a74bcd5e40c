use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use berth_model::name::ClusterName;
use berth_scheduler_core::change::{Change, Entry};
use berth_scheduler_core::command::{Decision, Env};
use berth_scheduler_core::decide::cluster::{CreateCluster, DeleteCluster};
use berth_scheduler_core::keys::{ClusterKey, Revision};
use tokio::task::JoinHandle;

use super::appender::encode;
use super::*;
use crate::clock;
use crate::journal::memory::Memory;
use crate::journal::{JournalError, Subject};

/// A record that another writer appends as `revision`.
fn rival(revision: u64, changes: Vec<Change>) -> Vec<u8> {
    encode(&Record {
        v: Record::FORMAT,
        revision: Revision(revision),
        entries: vec![Entry {
            at: clock::now(),
            by: "rival".into(),
            changes,
        }],
    })
}

struct Nobody;

impl Observer for Nobody {
    fn published(&self, _state: &State, _record: &Record, _bytes: usize) {}
}

fn start(journal: &Arc<Memory>) -> Engine {
    Engine::start(State::default(), Arc::clone(journal), Arc::new(Nobody), 1).unwrap()
}

fn name(text: &str) -> ClusterName {
    ClusterName::parse(text).unwrap()
}

fn create(text: &str) -> CreateCluster {
    CreateCluster {
        providers: Vec::new(),
        strategy: Vec::new(),
        name: name(text),
        tags: Vec::new(),
    }
}

#[tokio::test]
async fn an_answer_comes_after_the_record_is_durable_and_the_state_has_it() {
    let journal = Arc::new(Memory::held());
    let engine = start(&journal);
    let mut submitted = tokio::spawn({
        let engine = engine.clone();
        async move { engine.submit(create("a"), "test".into()).await }
    });
    let early = timeout(Duration::from_millis(50), &mut submitted).await;
    assert!(early.is_err(), "answered before the record was durable");
    assert!(
        engine.view().cluster(&name("a")).is_none(),
        "published before the record was durable"
    );
    journal.let_through(1);
    submitted.await.unwrap().unwrap();
    assert!(engine.view().cluster(&name("a")).is_some());
}

/// A command that says how often it was decided.
struct Counted {
    command: CreateCluster,
    decided: Arc<AtomicUsize>,
}

impl Command for Counted {
    type Outcome = ();

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        let decision = self.command.decide(state, env);
        self.decided.fetch_add(1, Ordering::SeqCst);
        decision
    }
}

/// Submits one command, and while its record is being written as many others; returns once all are decided.
async fn submit_while_writing(engine: &Engine, journal: &Memory, others: usize) -> Vec<JoinHandle<Result<(), Fault>>> {
    let decided = Arc::new(AtomicUsize::new(0));
    let spawn = |text: String| {
        let engine = engine.clone();
        let command = Counted {
            command: create(&text),
            decided: Arc::clone(&decided),
        };
        tokio::spawn(async move { engine.submit(command, "test".into()).await })
    };
    let mut submitted = vec![spawn("first".to_owned())];
    while journal.appends() == 0 {
        tokio::task::yield_now().await;
    }
    submitted.extend((0..others).map(|n| spawn(format!("c{n}"))));
    while decided.load(Ordering::SeqCst) <= others {
        tokio::task::yield_now().await;
    }
    submitted
}

#[tokio::test]
async fn commands_that_come_while_a_record_is_written_share_the_next() {
    let journal = Arc::new(Memory::held());
    let engine = start(&journal);
    let submitted = submit_while_writing(&engine, &journal, 50).await;
    assert_eq!(engine.view().revision(), Revision(0), "nothing is durable yet");
    journal.let_through(2);
    for command in submitted {
        command.await.unwrap().unwrap();
    }
    assert_eq!(journal.head().await.unwrap(), Revision(2));
    assert_eq!(engine.view().revision(), Revision(2));
    assert_eq!(engine.view().clusters().count(), 51);
}

#[tokio::test]
async fn of_what_waits_when_the_journal_is_lost_only_what_had_left_is_not_known() {
    let journal = Arc::new(Memory::held());
    let engine = start(&journal);
    let mut submitted = submit_while_writing(&engine, &journal, 5).await;
    journal.say_trouble(Some(Instant::now() - CUT_OFF));
    let first = submitted.remove(0).await.unwrap().unwrap_err();
    assert!(first.message.ends_with("look before you try again."), "{first}");
    for command in submitted {
        let fault = command.await.unwrap().unwrap_err();
        assert!(
            fault.message.ends_with("Nothing was changed. Try again later."),
            "{fault}"
        );
    }
    journal.say_trouble(None);
    let last = tokio::spawn({
        let engine = engine.clone();
        async move { engine.submit(create("last"), "test".into()).await }
    });
    journal.let_through(2);
    last.await.unwrap().unwrap();
    let names: Vec<_> = engine
        .view()
        .clusters()
        .map(|cluster| cluster.name.to_string())
        .collect();
    assert_eq!(names, ["first", "last"]);
}

#[tokio::test]
async fn what_was_decided_on_a_record_that_lost_the_race_is_decided_again() {
    let journal = Arc::new(Memory::held());
    let engine = start(&journal);
    let submitted = submit_while_writing(&engine, &journal, 5).await;
    let theirs = Change::ClusterCreated {
        name: name("theirs"),
        key: ClusterKey(1),
        tags: Vec::new(),
    };
    journal.overtake(rival(1, vec![theirs]));
    journal.let_through(2);
    for command in submitted {
        command.await.unwrap().unwrap();
    }
    let state = engine.view();
    assert_eq!(state.revision(), Revision(2), "theirs, then all of ours in one");
    assert_eq!(state.cluster(&name("theirs")).unwrap().key, ClusterKey(1));
    let mut keys: Vec<u32> = state.clusters().map(|cluster| cluster.key.0).collect();
    keys.sort_unstable();
    assert_eq!(keys, [1, 2, 3, 4, 5, 6, 7], "every number was decided anew");
    assert_eq!(recover(&*journal).await.unwrap(), *state);
}

#[tokio::test]
async fn a_command_that_lost_the_race_is_decided_again_on_the_new_state() {
    let journal = Arc::new(Memory::default());
    let engine = start(&journal);
    let theirs = Change::ClusterCreated {
        name: name("theirs"),
        key: ClusterKey(1),
        tags: Vec::new(),
    };
    journal.overtake(rival(1, vec![theirs]));
    engine.submit(create("ours"), "test".into()).await.unwrap();
    let state = engine.view();
    assert_eq!(state.revision(), Revision(2));
    assert_eq!(state.cluster(&name("theirs")).unwrap().key, ClusterKey(1));
    assert_eq!(
        state.cluster(&name("ours")).unwrap().key,
        ClusterKey(2),
        "the number was decided anew"
    );

    journal.overtake(rival(3, vec![Change::ClusterDeleted { name: name("ours") }]));
    engine
        .submit(DeleteCluster { name: name("ours") }, "test".into())
        .await
        .unwrap();
    assert_eq!(engine.view().revision(), Revision(3), "nothing was left to write");
}

#[tokio::test]
async fn what_changes_nothing_is_answered_of_the_journals_newest_state() {
    let journal = Arc::new(Memory::default());
    let engine = start(&journal);
    engine.submit(create("ours"), "test".into()).await.unwrap();
    journal.append_untold(&rival(2, vec![Change::ClusterDeleted { name: name("ours") }]));
    // As far as this engine knows it is there.
    engine.submit(create("ours"), "test".into()).await.unwrap();
    let state = engine.view();
    assert_eq!(state.revision(), Revision(3), "theirs, then ours anew");
    assert!(state.active_cluster(&name("ours")).is_ok());

    journal.append_untold(&rival(4, vec![Change::ClusterDeleted { name: name("ours") }]));
    let refused = engine
        .submit(DeleteCluster { name: name("other") }, "test".into())
        .await;
    assert_eq!(refused, Err(Fault::cluster_not_found()));
    assert_eq!(
        engine.view().revision(),
        Revision(4),
        "a refusal is of the newest state too"
    );
}

#[tokio::test]
async fn a_refusal_changes_nothing() {
    let journal = Arc::new(Memory::default());
    let engine = start(&journal);
    let refused = engine.submit(DeleteCluster { name: name("none") }, "test".into()).await;
    assert_eq!(refused, Err(Fault::cluster_not_found()));
    assert_eq!(journal.head().await.unwrap(), Revision(0));
}

#[tokio::test]
async fn a_start_gives_the_state_of_snapshot_and_tail() {
    let journal = Arc::new(Memory::default());
    let engine = start(&journal);
    for text in ["a", "b", "c"] {
        engine.submit(create(text), "test".into()).await.unwrap();
    }
    assert_eq!(recover(&*journal).await.unwrap(), *engine.view());
    write_snapshot(&*journal, &engine.view(), 0).await.unwrap();
    engine.submit(create("d"), "test".into()).await.unwrap();
    assert_eq!(recover(&*journal).await.unwrap(), *engine.view());
}

#[tokio::test]
async fn the_state_at_each_revision_that_is_kept_can_be_had() {
    let journal = Arc::new(Memory::default());
    let engine = start(&journal);
    let mut states = vec![engine.view()];
    for nth in 1..=9 {
        engine.submit(create(&format!("c{nth}")), "test".into()).await.unwrap();
        states.push(engine.view());
        if nth % 3 == 0 {
            write_snapshot(&*journal, &engine.view(), 0).await.unwrap();
        }
    }
    let same = |at: usize| {
        let (journal, state) = (Arc::clone(&journal), Arc::clone(&states[at]));
        async move { assert_eq!(recover_at(&*journal, state.revision()).await.unwrap(), *state) }
    };
    for at in 0..=9 {
        same(at).await;
    }
    let error = recover_at(&*journal, Revision(10)).await.unwrap_err().to_string();
    assert!(
        error.contains("revision 10 is not in the journal yet: its newest is 9"),
        "{error}"
    );
    journal.truncate(Revision(5)).await.unwrap();
    for at in 3..=9 {
        same(at).await;
    }
    let error = recover_at(&*journal, Revision(2)).await.unwrap_err().to_string();
    assert!(
        error.contains("revision 2 any more: the oldest that it keeps is 3"),
        "{error}"
    );
}

#[tokio::test]
async fn a_record_that_is_damaged_keeps_the_scheduler_from_starting() {
    // No engine is running: one that followed the journal would find the damage and end the process.
    let journal = Memory::default();
    for revision in 1..=2 {
        let record = rival(revision, Vec::new());
        journal.append(Revision(revision - 1), record).await.unwrap();
    }
    journal.damage(Subject::Record(Revision(2)), 9);
    let error = recover(&journal).await.unwrap_err();
    assert!(
        matches!(error, RecoveryError::Journal(JournalError::Damaged { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_record_that_cannot_be_understood_keeps_the_scheduler_from_starting() {
    let journal = Memory::default();
    let unknown = br#"{"v":2,"revision":2,"entries":[]}"#.to_vec();
    for (expected, record) in [(0, rival(1, Vec::new())), (1, unknown)] {
        journal.append(Revision(expected), record).await.unwrap();
    }
    let error = recover(&journal).await.unwrap_err();
    assert!(
        matches!(
            error,
            RecoveryError::Record {
                revision: Revision(2),
                ..
            }
        ),
        "{error}"
    );
}

/// Waits until a state is as it should be.
async fn until(engine: &Engine, what: impl Fn(&State) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !what(&engine.view()) {
        assert!(Instant::now() < deadline, "{:?}", engine.view());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_another_writer_appends_is_published_as_it_comes() {
    struct Heard(AtomicUsize);
    impl Observer for Heard {
        fn published(&self, _state: &State, _record: &Record, _bytes: usize) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let journal = Arc::new(Memory::default());
    let (ours, heard) = (start(&journal), Arc::new(Heard(AtomicUsize::new(0))));
    let theirs = Engine::start(State::default(), Arc::clone(&journal), Arc::clone(&heard) as _, 2).unwrap();
    for text in ["a", "b", "c"] {
        ours.submit(create(text), "test".into()).await.unwrap();
        until(&theirs, |state| state.cluster(&name(text)).is_some()).await;
    }
    assert_eq!(*theirs.view(), *ours.view());
    assert_eq!(heard.0.load(Ordering::SeqCst), 3, "each record once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_on_one_journal_lose_nothing_and_decide_on_the_same_state() {
    const ENGINES: u64 = 3;
    const EACH: usize = 40;
    let journal = Arc::new(Memory::default());
    let engines: Vec<Engine> = (0..ENGINES)
        .map(|seed| Engine::start(State::default(), Arc::clone(&journal), Arc::new(Nobody), seed).unwrap())
        .collect();
    let mut callers = tokio::task::JoinSet::new();
    for (number, engine) in engines.iter().enumerate() {
        for caller in 0..4 {
            let engine = engine.clone();
            callers.spawn(async move {
                for nth in 0..EACH / 4 {
                    let text = format!("c{number}-{caller}-{nth}");
                    engine.submit(create(&text), "test".into()).await.unwrap();
                    assert!(engine.view().cluster(&name(&text)).is_some());
                }
            });
        }
    }
    callers.join_all().await;
    let head = journal.head().await.unwrap();
    for engine in &engines {
        until(engine, |state| state.revision() == head).await;
        assert_eq!(*engine.view(), *engines[0].view());
    }
    let state = recover(&*journal).await.unwrap();
    assert_eq!(state, *engines[0].view());
    let mut keys: Vec<u32> = state.clusters().map(|cluster| cluster.key.0).collect();
    keys.sort_unstable();
    assert_eq!(keys, (1..=120).collect::<Vec<u32>>(), "every number was given once");
}

#[tokio::test]
async fn what_is_too_large_for_one_record_becomes_several_and_a_command_alone_is_refused() {
    let journal = Arc::new(Memory::of_small_records(600));
    let engine = start(&journal);
    let mut callers = tokio::task::JoinSet::new();
    for nth in 0..30 {
        let engine = engine.clone();
        callers.spawn(async move { engine.submit(create(&format!("c{nth}")), "test".into()).await });
    }
    let large = CreateCluster {
        providers: Vec::new(),
        strategy: Vec::new(),
        name: name("large"),
        tags: (0..20)
            .map(|nth| tag(&format!("key-{nth}"), &"x".repeat(100)))
            .collect(),
    };
    let refused = engine.submit(large, "test".into()).await.unwrap_err();
    assert_eq!(refused.class, FaultClass::LimitExceeded, "{refused}");
    assert!(refused.message.contains("the journal takes 600 at once"), "{refused}");
    for answer in callers.join_all().await {
        answer.unwrap();
    }
    assert_eq!(engine.view().clusters().count(), 30);
    assert_eq!(recover(&*journal).await.unwrap(), *engine.view());
}

fn tag(key: &str, value: &str) -> berth_model::tag::Tag {
    berth_model::tag::Tag {
        key: key.into(),
        value: value.into(),
    }
}

#[tokio::test]
async fn a_journal_that_cannot_be_read_after_a_conflict_is_read_again() {
    let journal = Arc::new(Memory::default());
    let engine = start(&journal);
    let theirs = Change::ClusterCreated {
        name: name("theirs"),
        key: ClusterKey(1),
        tags: Vec::new(),
    };
    journal.overtake(rival(1, vec![theirs]));
    for _ in 0..2 {
        journal.fail(
            crate::journal::memory::Operation::Read,
            crate::journal::memory::Failure::Before,
        );
    }
    engine.submit(create("ours"), "test".into()).await.unwrap();
    assert_eq!(engine.view().clusters().count(), 2);
}
