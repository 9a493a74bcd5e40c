//! What is true of schedules.

use std::collections::BTreeSet;

use berth_model::schedule::{RunOutcome, ScheduleState};
use berth_model::status::ClusterStatus;

use crate::keys::TaskKey;
use crate::state::{Schedule, State};

/// Each stands in the index when it has something to do, lists as live what is, and has a run for what it tries again.
pub(super) fn check(state: &State, wrong: &mut Vec<String>) {
    let schedules = state.schedules();
    let due: BTreeSet<_> = schedules.due().map(|(at, key)| (at, key.clone())).collect();
    let wakes = schedules.iter();
    let wakes: BTreeSet<_> = wakes
        .filter_map(|schedule| Some((schedule.wake()?, schedule.key())))
        .collect();
    if due != wakes {
        wrong.push("the schedules that are due are others than have something to do".to_owned());
    }
    for cluster in state.clusters() {
        if cluster.status == ClusterStatus::Inactive && schedules.count(cluster.key) > 0 {
            wrong.push(format!("cluster {} is INACTIVE and has schedules", cluster.name));
        }
    }
    for schedule in schedules.iter() {
        check_runs(schedule, wrong);
        check_tasks(state, schedule, wrong);
    }
}

fn check_runs(schedule: &Schedule, wrong: &mut Vec<String>) {
    let name = &schedule.name;
    if schedule.spec.state == ScheduleState::Disabled && schedule.wake().is_some() {
        wrong.push(format!("schedule {name} is DISABLED and has something to do"));
    }
    let numbers: Vec<u64> = schedule.runs.iter().rev().map(|run| run.number).collect();
    if !numbers.is_sorted_by(|one, other| one < other) || numbers.last().is_some_and(|last| *last != schedule.last_run)
    {
        wrong.push(format!("the runs of schedule {name} are not in order"));
    }
    for run in &schedule.runs {
        let number = run.number;
        let retried = schedule.retry.is_some_and(|retry| retry.run == number);
        if retried != (run.outcome == RunOutcome::Retrying) {
            wrong.push(format!("run {number} of schedule {name} is {}", run.outcome));
        }
        let live = schedule.live.values().filter(|of| **of == number).count();
        let ended = usize::try_from(run.succeeded + run.failed).unwrap_or(usize::MAX);
        if live + ended != run.tasks.len() {
            wrong.push(format!(
                "run {number} of schedule {name} has {} tasks, {live} live and {ended} ended",
                run.tasks.len()
            ));
        }
        if run.ended.is_some() == (live > 0 || retried) {
            wrong.push(format!("run {number} of schedule {name} is over, or is not, wrongly"));
        }
    }
}

fn check_tasks(state: &State, schedule: &Schedule, wrong: &mut Vec<String>) {
    for task in schedule.live.keys() {
        let key = TaskKey {
            cluster: schedule.cluster,
            task: *task,
        };
        let runs = state.task(key).is_some_and(|task| !task.is_stopped());
        let waits = state.queue().task(key).is_some_and(|task| task.is_waiting());
        let is_its = state
            .launch_of(key)
            .is_some_and(|launch| launch.schedule.as_ref() == Some(&schedule.name));
        if !(runs || waits) || !is_its {
            wrong.push(format!(
                "schedule {} lists task {task} as live, which is not",
                schedule.name
            ));
        }
    }
}
