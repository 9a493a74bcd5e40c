//! What one agent has been told, and the difference to what it must run now.

use std::collections::{BTreeMap, BTreeSet};

use berth_model::arn::Namespace;
use berth_model::id::{ClusterName, DefinitionId, TaskId};
use berth_model::status::{DesiredStatus, InstanceStatus};
use berth_proto::agent::v1::{Assignment, Assignments};
use berth_scheduler_core::state::{InstanceKey, State, Task};

use crate::api::describe;

/// The assignments that an agent has been sent on this stream.
#[derive(Debug, Default)]
pub(super) struct Sent {
    version: u64,
    tasks: BTreeMap<TaskId, DesiredStatus>,
    definitions: BTreeSet<DefinitionId>,
}

impl Sent {
    /// The message that brings the agent up to the state: the complete set the first time, then the difference, or
    /// nothing where there is none.
    pub(super) fn update(
        &mut self,
        state: &State,
        key: InstanceKey,
        cluster: &ClusterName,
        namespace: &Namespace,
    ) -> Option<Assignments> {
        let complete = self.version == 0;
        let mut message = Assignments {
            complete,
            applies_to: self.version,
            ..Assignments::default()
        };
        let active = state
            .instance(key)
            .is_some_and(|instance| instance.status != InstanceStatus::Inactive);
        let mut now = BTreeMap::new();
        // A deregistered instance has nothing to run: its agent proposes to stop what it has.
        for task in state.live_tasks_on(key).filter(|_| active) {
            now.insert(task.id, task.desired);
            if self.tasks.get(&task.id) != Some(&task.desired) {
                self.add_definition(state, task, namespace, &mut message);
                message.assignments.push(assignment(task, cluster, namespace));
            }
        }
        let over = self.tasks.keys().filter(|task| !now.contains_key(task));
        message.forgotten_task_arns = over.map(|task| namespace.task(cluster, *task)).collect();
        if !complete && message.assignments.is_empty() && message.forgotten_task_arns.is_empty() {
            return None;
        }
        self.version += 1;
        self.tasks = now;
        message.results_in = self.version;
        Some(message)
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
    }
}
