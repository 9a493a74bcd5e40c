//! What one agent has been told, and the difference to what it must run now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_model::arn::Namespace;
use berth_model::id::{ClusterName, DefinitionId, TaskId};
use berth_model::status::{DesiredStatus, InstanceStatus};
use berth_proto::agent::v1::{Assignment, Assignments};
use berth_scheduler_core::keys::{InstanceKey, TaskKey};
use berth_scheduler_core::state::{State, Task};

use super::{Touched, wire};
use crate::api::describe;

/// The assignments that an agent has been sent on this stream.
#[derive(Debug, Default)]
pub(super) struct Sent {
    version: u64,
    tasks: BTreeMap<TaskId, DesiredStatus>,
    definitions: BTreeSet<DefinitionId>,
}

/// An instance in a state.
pub(super) struct Place<'a> {
    pub(super) state: &'a State,
    pub(super) key: InstanceKey,
    pub(super) cluster: &'a ClusterName,
    pub(super) namespace: &'a Namespace,
}

impl Place<'_> {
    fn is_active(&self) -> bool {
        let instance = self.state.instance(self.key);
        instance.is_some_and(|instance| instance.status != InstanceStatus::Inactive)
    }

    /// The task, if the instance must know of it.
    fn assigned(&self, task: TaskId) -> Option<&Arc<Task>> {
        let key = TaskKey {
            cluster: self.key.cluster,
            task,
        };
        let task = self.state.task(key)?;
        (!task.is_stopped() && task.instance == self.key.instance).then_some(task)
    }
}

impl Sent {
    /// The message that brings the agent up to the state: the complete set the first time, then what differs among
    /// the touched tasks, or nothing where nothing does.
    ///
    /// An instance that was deregistered has nothing to run: a complete set without tasks says so, and its agent
    /// proposes to stop what it has.
    pub(super) fn update(&mut self, place: &Place<'_>, touched: &Touched) -> Option<Assignments> {
        let active = place.is_active();
        let emptied = !active && !self.tasks.is_empty();
        let complete = self.version == 0 || emptied;
        let mut message = Assignments {
            complete,
            applies_to: self.version,
            ..Assignments::default()
        };
        if emptied {
            self.tasks.clear();
        } else if active && (complete || touched.all) {
            let live: BTreeSet<TaskId> = place.state.live_tasks_on(place.key).map(|task| task.id).collect();
            let known: Vec<TaskId> = self.tasks.keys().copied().collect();
            for task in known.into_iter().chain(live) {
                self.bring_up(task, place, &mut message);
            }
        } else if active {
            for task in &touched.tasks {
                self.bring_up(*task, place, &mut message);
            }
        }
        if !complete && message.assignments.is_empty() && message.forgotten_task_arns.is_empty() {
            return None;
        }
        self.version += 1;
        message.results_in = self.version;
        Some(message)
    }

    /// Adds to the message what the agent does not know of the task.
    fn bring_up(&mut self, id: TaskId, place: &Place<'_>, message: &mut Assignments) {
        match place.assigned(id) {
            Some(task) if self.tasks.get(&id) != Some(&task.desired) => {
                self.tasks.insert(id, task.desired);
                self.add_definition(place.state, task, place.namespace, message);
                message
                    .assignments
                    .push(assignment(task, place.cluster, place.namespace));
            }
            Some(_) => {}
            None => {
                if self.tasks.remove(&id).is_some() {
                    message
                        .forgotten_task_arns
                        .push(place.namespace.task(place.cluster, id));
                }
            }
        }
    }

    fn add_definition(&mut self, state: &State, task: &Task, namespace: &Namespace, message: &mut Assignments) {
        let id = &task.launch.definition;
        if !self.definitions.contains(id)
            && let Some(registered) = state.definition(id)
        {
            message
                .task_definitions
                .push(describe::task_definition(registered, namespace));
            self.definitions.insert(id.clone());
        }
    }
}

fn assignment(task: &Task, cluster: &ClusterName, namespace: &Namespace) -> Assignment {
    let launch = &task.launch;
    Assignment {
        task_arn: namespace.task(cluster, task.id),
        task_definition_arn: namespace.definition(&launch.definition),
        desired_status: task.desired.name().to_owned(),
        overrides: (!launch.overrides.is_empty()).then(|| describe::overrides(&launch.overrides)),
        group: launch.group.to_string(),
        started_by: launch.started_by.as_deref().unwrap_or_default().to_owned(),
        seen_running: task.times.started.is_some(),
        tags: describe::tags(&launch.tags),
        gpus: wire::gpus(&task.gpus),
    }
}

#[cfg(test)]
mod tests;
