//! Tasks as targets of load balancers.

use std::sync::Arc;

use berth_model::id::TaskId;

use super::replace;
use crate::keys::{ClusterKey, TaskKey};
use crate::state::{State, Task};
use crate::target::{Target, TargetHealth};

pub(super) fn register(state: &mut State, cluster: ClusterKey, tasks: &[TaskId]) {
    for task in tasks {
        edit(state, cluster, *task, |task| {
            task.target.get_or_insert_with(Target::default);
        });
    }
}

pub(super) fn set_health(
    state: &mut State,
    cluster: ClusterKey,
    task: TaskId,
    health: TargetHealth,
    reason: &Arc<str>,
) {
    edit(state, cluster, task, |task| {
        if let Some(target) = &mut task.target {
            target.health = health;
            target.reason = Arc::clone(reason);
        }
    });
}

pub(super) fn deregister(state: &mut State, cluster: ClusterKey, tasks: &[TaskId]) {
    for task in tasks {
        edit(state, cluster, *task, |task| task.target = None);
    }
}

/// Edits a task, if there is one of the id that has not stopped.
fn edit(state: &mut State, cluster: ClusterKey, task: TaskId, edit: impl FnOnce(&mut Task)) {
    let key = TaskKey { cluster, task };
    if let Some(known) = state.task(key).filter(|known| !known.is_stopped()) {
        let mut next = Task::clone(known);
        edit(&mut next);
        replace(state, key, next);
    }
}
