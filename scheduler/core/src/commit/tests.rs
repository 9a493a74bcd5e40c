use std::sync::Arc;

use berth_model::name::ClusterName;

use super::*;
use crate::command::Command;
use crate::decide::cluster::CreateCluster;
use crate::keys::{ClusterKey, Revision};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Makes a cluster of the name.
struct Make(&'static str);

fn name(text: &str) -> ClusterName {
    ClusterName::parse(text).unwrap()
}

impl Pending for Make {
    fn decide(&mut self, state: &State, env: &mut Env<'_>) -> Vec<Change> {
        let command = CreateCluster {
            providers: Vec::new(),
            strategy: Vec::new(),
            name: name(self.0),
            tags: Vec::new(),
        };
        command
            .decide(state, env)
            .map_or_else(|_| Vec::new(), |decision| decision.changes)
    }

    fn by(&self) -> Principal {
        Arc::from("test")
    }
}

fn revision_of(next: &Next<'_, Make>) -> Option<u64> {
    match next {
        Next::Append { after, record, .. } => {
            assert_eq!(after.next(), record.revision);
            Some(record.revision.0)
        }
        Next::Confirm | Next::Answer(_) | Next::Nothing => None,
    }
}

fn theirs(revision: u64, text: &str, key: u32) -> (Record, ()) {
    let changes = vec![Change::ClusterCreated {
        name: name(text),
        key: ClusterKey(key),
        tags: Vec::new(),
    }];
    let record = Record {
        v: Record::FORMAT,
        revision: Revision(revision),
        entries: vec![Entry {
            at: NOW,
            by: "theirs".into(),
            changes,
        }],
    };
    (record, ())
}

#[test]
fn one_record_is_on_its_way_and_what_comes_meanwhile_shares_the_next() {
    let mut commit = GroupCommit::new(State::default(), 1);
    commit.take([Make("a")], NOW);
    assert_eq!(revision_of(&commit.proceed()), Some(1));
    commit.take([Make("b"), Make("c")], NOW);
    assert_eq!(revision_of(&commit.proceed()), None);
    assert_eq!(commit.published().clusters().count(), 0, "nothing is durable yet");

    let committed = commit.committed().unwrap();
    assert_eq!((committed.answers.len(), committed.state.clusters().count()), (1, 1));
    assert_eq!(revision_of(&commit.proceed()), Some(2));
    let committed = commit.committed().unwrap();
    assert_eq!((committed.answers.len(), committed.record.entries.len()), (2, 2));
    assert_eq!(commit.published().revision(), Revision(2));
    assert!(commit.committed().is_none());
}

#[test]
fn what_changes_nothing_is_answered_when_the_state_it_was_decided_on_is_durable() {
    let mut commit = GroupCommit::new(State::default(), 1);
    commit.take([Make("a")], NOW);
    assert_eq!(revision_of(&commit.proceed()), Some(1));
    commit.take([Make("a")], NOW);
    assert!(
        matches!(commit.proceed(), Next::Nothing),
        "answered before the record it was decided on is durable"
    );
    commit.committed().unwrap();
    assert!(matches!(commit.proceed(), Next::Confirm));
    commit.confirmed();
    assert!(matches!(commit.proceed(), Next::Answer(answers) if answers.len() == 1));
    assert!(matches!(commit.proceed(), Next::Nothing));
}

#[test]
fn what_was_overtaken_is_decided_again_in_its_order() {
    let mut commit = GroupCommit::new(State::default(), 1);
    commit.take([Make("a")], NOW);
    assert_eq!(revision_of(&commit.proceed()), Some(1));
    commit.take([Make("b"), Make("theirs")], NOW);

    let mut published = Vec::new();
    commit.overtaken(
        [theirs(1, "theirs", 1), theirs(2, "more", 2)],
        NOW,
        |state, record, ()| {
            assert_eq!(state.revision(), record.revision);
            published.push(record.revision.0);
        },
    );
    assert_eq!(published, [1, 2]);
    assert_eq!(revision_of(&commit.proceed()), Some(3));
    let committed = commit.committed().unwrap();
    assert_eq!(committed.answers.len(), 3);
    let key = |text| committed.state.cluster(&name(text)).unwrap().key.0;
    assert_eq!(["theirs", "more", "a", "b"].map(key), [1, 2, 3, 4]);
    assert_eq!(committed.record.entries.len(), 2, "what they did is not done again");
}

#[test]
fn other_writers_records_are_taken_in_while_nothing_waits() {
    let mut commit = GroupCommit::<Make>::new(State::default(), 1);
    commit.overtaken([theirs(1, "theirs", 1)], NOW, |_, _, ()| {});
    assert!(matches!(commit.proceed(), Next::Nothing));
    commit.take([Make("ours")], NOW);
    assert_eq!(revision_of(&commit.proceed()), Some(2));
}

#[test]
fn a_record_has_room_for_so_many_commands() {
    let mut commit = GroupCommit::new(State::default(), 1);
    let room = commit.room();
    commit.take(std::iter::repeat_with(|| Make("a")).take(room), NOW);
    assert_eq!(commit.room(), 0);
    assert_eq!(revision_of(&commit.proceed()), Some(1));
    assert_eq!(commit.room(), room);
}

#[test]
fn what_changes_nothing_is_answered_of_the_newest_state_alone() {
    let mut commit = GroupCommit::new(State::default(), 1);
    commit.overtaken([theirs(1, "a", 1)], NOW, |_, _, ()| {});
    commit.take([Make("a")], NOW);
    assert!(matches!(commit.proceed(), Next::Confirm));
    // Another has deleted it meanwhile.
    let (mut deleted, ()) = theirs(2, "a", 1);
    deleted.entries[0].changes = vec![Change::ClusterDeleted { name: name("a") }];
    commit.overtaken([(deleted, ())], NOW, |_, _, ()| {});
    commit.confirmed();
    assert_eq!(revision_of(&commit.proceed()), Some(3), "it is made again");
}

#[test]
fn what_comes_after_a_confirmation_needs_one_of_its_own() {
    let mut commit = GroupCommit::new(State::default(), 1);
    commit.overtaken([theirs(1, "a", 1)], NOW, |_, _, ()| {});
    commit.take([Make("a")], NOW);
    commit.confirmed();
    commit.take([Make("a")], NOW);
    assert!(matches!(commit.proceed(), Next::Confirm));
    commit.confirmed();
    assert!(matches!(commit.proceed(), Next::Answer(answers) if answers.len() == 2));
}
