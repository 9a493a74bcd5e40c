//! Made-up journals, each wrong in one way.

use std::sync::Arc;

use berth_model::id::InstanceId;
use berth_model::time::Timestamp;
use berth_scheduler_core::change::Entry;
use serde_json::json;

use super::*;

const TASK: TaskId = TaskId::from_bits(0x1);
const OTHER: TaskId = TaskId::from_bits(0x2);
const HOST: InstanceId = InstanceId::from_bits(0x9);

/// A record with these changes, as a journal has them.
fn record(revision: u64, changes: &[serde_json::Value]) -> Record {
    Record {
        v: Record::FORMAT,
        revision: Revision(revision),
        entries: vec![Entry {
            at: Timestamp::from_millis(0),
            by: Arc::from("test"),
            changes: serde_json::from_value(json!(changes)).unwrap(),
        }],
    }
}

/// A cluster with one host of 64 MiB, and a task definition.
fn begun() -> Replay {
    let mut replay = Replay::default();
    let cluster = json!({"ClusterCreated": {"name": "c", "key": 1}});
    let host = json!({"InstanceRegistered": {"cluster": 1, "instance": HOST, "at": 0, "facts": {
        "cpu": 1024, "memory": 64, "reserved_ports": [], "attributes": {}, "agent_version": "", "docker_version": "",
    }}});
    let definition = json!({"DefinitionRegistered": {
        "id": {"family": "short", "revision": 1}, "definition": {"family": "short"}, "at": 0,
    }});
    replay.add(&record(1, &[cluster, host, definition]));
    replay
}

fn placed(tasks: &[TaskId], memory: u32, token: &str) -> serde_json::Value {
    let placements: Vec<_> = tasks
        .iter()
        .map(|task| json!({"task": task, "instance": HOST}))
        .collect();
    json!({"TasksPlaced": {"cluster": 1, "placements": placements, "launch": {
        "definition": {"family": "short", "revision": 1}, "demand": {"cpu": 0, "memory": memory}, "group": "family:short", "created_at": 0,
        "client_token": {"token": token, "fingerprint": 0},
    }}})
}

fn problems(replay: Replay) -> Vec<String> {
    replay.finish().2
}

#[test]
fn a_sound_journal_tells_who_ran_when_and_nothing_else() {
    let mut replay = begun();
    replay.add(&record(2, &[placed(&[TASK, OTHER], 32, "a1")]));
    let (state, witness, problems) = replay.finish();
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(state.revision(), Revision(2));
    let run = witness.run(0xa1).unwrap();
    assert_eq!((run.revision, run.tasks.len()), (Revision(2), 2));
    assert_eq!(witness.first(TASK, |look| look.version == 1), Some(Revision(2)));
}

#[test]
fn a_host_that_is_given_more_than_it_has_is_found_at_that_revision() {
    let mut replay = begun();
    replay.add(&record(2, &[placed(&[TASK, OTHER], 33, "a1")]));
    let problems = problems(replay);
    assert_eq!(problems, [format!("revision 2: instance {HOST} is over-committed")]);
}

#[test]
fn a_request_that_runs_twice_and_a_task_that_is_placed_twice_are_found() {
    let mut replay = begun();
    replay.add(&record(2, &[placed(&[TASK], 8, "a1")]));
    replay.add(&record(3, &[placed(&[OTHER], 8, "a1")]));
    assert_eq!(
        problems(replay),
        ["revision 3: request a1 was carried out at revision 2 and again at 3"]
    );
    let mut replay = begun();
    replay.add(&record(2, &[placed(&[TASK], 8, "a1")]));
    replay.add(&record(3, &[placed(&[TASK], 8, "a2")]));
    let problems = problems(replay);
    assert_eq!(problems[0], format!("revision 3: task {TASK} is placed again"));
}

#[test]
fn a_record_that_is_missing_is_found() {
    let mut replay = begun();
    replay.add(&record(3, &[placed(&[TASK], 8, "a1")]));
    assert_eq!(problems(replay), ["revision 3: it should be revision 2"]);
}
