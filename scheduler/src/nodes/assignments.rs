//! What one agent has been told, and the difference to what it must run now.

mod definitions;

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
use definitions::Definitions;

/// The assignments that an agent has been sent on this stream.
#[derive(Debug, Default)]
pub(super) struct Sent {
    version: u64,
    tasks: BTreeMap<TaskId, (DesiredStatus, DefinitionId)>,
    definitions: Definitions,
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
            for (_, (_, definition)) in std::mem::take(&mut self.tasks) {
                self.definitions.release(&definition);
            }
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
        let unused = self.definitions.forget_unused();
        message.forgotten_task_definition_arns = unused.iter().map(|id| place.namespace.definition(id)).collect();
        self.version += 1;
        message.results_in = self.version;
        Some(message)
    }

    /// Adds to the message what the agent does not know of the task.
    fn bring_up(&mut self, id: TaskId, place: &Place<'_>, message: &mut Assignments) {
        let known = self.tasks.get(&id);
        match place.assigned(id) {
            Some(task) if known.is_none_or(|(desired, _)| *desired != task.assigned()) => {
                let definition = &task.launch.definition;
                if known.is_none() {
                    self.add_definition(definition, place, message);
                }
                self.tasks.insert(id, (task.assigned(), definition.clone()));
                message
                    .assignments
                    .push(assignment(task, place.cluster, place.namespace));
            }
            Some(_) => {}
            None => {
                if let Some((_, definition)) = self.tasks.remove(&id) {
                    self.definitions.release(&definition);
                    message
                        .forgotten_task_arns
                        .push(place.namespace.task(place.cluster, id));
                }
            }
        }
    }

    /// One task more needs the definition, which the message carries where the agent does not hold it.
    fn add_definition(&mut self, id: &DefinitionId, place: &Place<'_>, message: &mut Assignments) {
        let Some(registered) = place.state.definition(id) else {
            return;
        };
        if self.definitions.need(id) {
            message
                .task_definitions
                .push(describe::task_definition(registered, place.namespace));
        }
    }
}

fn assignment(task: &Task, cluster: &ClusterName, namespace: &Namespace) -> Assignment {
    let launch = &task.launch;
    Assignment {
        task_arn: namespace.task(cluster, task.id),
        task_definition_arn: namespace.definition(&launch.definition),
        desired_status: task.assigned().name().to_owned(),
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
