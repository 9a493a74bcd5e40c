//! What watchers are told of a history: each change of a status once, in order, and the same whoever derives it.

use std::collections::{BTreeMap, BTreeSet};

use berth_scheduler_core::change::{Change, Entry, Record};
use berth_scheduler_core::event::{DeploymentEvent, Event, Subject, tell};
use berth_scheduler_core::state::State;

/// What of a state counts as a status, by whom it is of.
fn statuses(state: &State) -> BTreeMap<String, String> {
    let mut statuses = BTreeMap::new();
    for (key, instance) in state.instances() {
        let used = (instance.used_cpu, instance.used_memory);
        let status = format!("{:?} {} {used:?}", instance.status, instance.connected);
        statuses.insert(format!("instance {}", key.instance), status);
    }
    let clusters: Vec<_> = state.clusters().map(|cluster| cluster.key).collect();
    for cluster in clusters {
        for task in state.tasks_of(cluster, None) {
            statuses.insert(
                format!("task {}", task.id),
                format!("{:?} {:?}", task.last, task.desired),
            );
        }
        for task in state.queue().tasks_of(cluster, None) {
            statuses.insert(format!("task {}", task.id), format!("waits {}", task.is_waiting()));
        }
    }
    let deployments = state.services().flat_map(|service| service.deployments.iter());
    // Of task sets only what their services say is told.
    for deployment in deployments.filter(|deployment| deployment.task_set.is_none()) {
        let status = format!("{:?}", deployment.rollout.state);
        statuses.insert(format!("deployment {}", deployment.id), status);
    }
    statuses
}

/// Of whom the event tells a status; nothing where it tells of something else.
fn of_whom(event: &Event) -> Option<String> {
    match &event.subject {
        Subject::Task(task) => Some(format!("task {task}")),
        Subject::Instance(instance) => Some(format!("instance {instance}")),
        Subject::Deployment(deployed) => {
            (deployed.name != DeploymentEvent::RollbackFailed).then(|| format!("deployment {}", deployed.deployment))
        }
        Subject::Service(_) => None,
    }
}

fn alone(record: &Record, entry: &Entry, change: &Change) -> Record {
    Record {
        entries: vec![Entry {
            changes: vec![change.clone()],
            ..entry.clone()
        }],
        ..record.clone()
    }
}

pub(super) fn check(records: &[Record], last: &State) {
    let (mut state, mut stepped) = (State::default(), State::default());
    let mut ids = BTreeSet::new();
    let mut position = None;
    for record in records {
        let mut told = Vec::new();
        tell(&mut state, record, |_, event| told.push(event));
        for event in &told {
            assert!(
                position < Some(event.position),
                "{:?} after {position:?}",
                event.position
            );
            assert_eq!(event.position.revision, record.revision);
            assert!(ids.insert(event.id()), "an id twice");
            position = Some(event.position);
        }

        let mut one_by_one = Vec::new();
        for entry in &record.entries {
            for change in &entry.changes {
                let before = statuses(&stepped);
                let mut events = Vec::new();
                tell(&mut stepped, &alone(record, entry, change), |_, event| {
                    events.push(event)
                });
                let after = statuses(&stepped);
                let told: Vec<String> = events.iter().filter_map(of_whom).collect();
                let distinct: BTreeSet<&String> = told.iter().collect();
                assert_eq!(
                    distinct.len(),
                    told.len(),
                    "twice of one change: {told:?} of {change:?}"
                );
                for (who, status) in &after {
                    let moved = before.get(who) != Some(status);
                    assert!(
                        !moved || distinct.contains(who),
                        "{who} is {status}: {told:?} of {change:?}"
                    );
                }
                one_by_one.extend(events);
            }
        }
        let subjects =
            |events: &[Event]| -> Vec<Subject> { events.iter().map(|event| event.subject.clone()).collect() };
        assert_eq!(subjects(&told), subjects(&one_by_one));
    }
    assert!(state == *last, "telling gives another state than folding");
}
