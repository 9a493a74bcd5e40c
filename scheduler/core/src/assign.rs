//! What each agent must be told: the difference between what it was sent and what the state has for it.
//!
//! A record says which tasks of which instances it touched ([`touched`]); what an agent knows of those is brought up to
//! the state ([`Sent::update`]). Nothing is remembered but ids, so that an agent is never sent what is no longer so.

mod definitions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_model::id::{DefinitionId, InstanceId, TaskId};
use berth_model::status::{DesiredStatus, InstanceStatus};

use crate::change::Change;
use crate::keys::{ClusterKey, InstanceKey, TaskKey};
use crate::state::{RegisteredDefinition, State, Task};
use definitions::Definitions;

/// What a change touches on an instance.
#[derive(Debug, Clone, Copy)]
pub enum Touch {
    /// One of its tasks.
    Task(TaskId),
    /// The instance itself: everything must be looked at.
    Instance,
}

/// What records have touched on an instance since it was last told something.
#[derive(Debug, Default)]
pub struct Touched {
    tasks: BTreeSet<TaskId>,
    all: bool,
}

impl Touched {
    /// Adds one.
    pub fn add(&mut self, what: Touch) {
        match what {
            Touch::Task(task) => {
                self.tasks.insert(task);
            }
            Touch::Instance => self.all = true,
        }
    }
}

/// The assignments that an agent has been sent on this stream.
#[derive(Debug, Default)]
pub struct Sent {
    version: u64,
    tasks: BTreeMap<TaskId, (DesiredStatus, DefinitionId)>,
    definitions: Definitions,
}

/// What brings an agent up to the state.
#[derive(Debug)]
pub struct Update<'a> {
    /// It replaces all that came before.
    pub complete: bool,
    /// The version that it adds to.
    pub applies_to: u64,
    /// The version that it makes.
    pub results_in: u64,
    /// Definitions of the tasks that the agent does not hold.
    pub definitions: Vec<&'a RegisteredDefinition>,
    /// The tasks that are new or to be what they were not, with what each is to be.
    pub tasks: Vec<&'a Arc<Task>>,
    /// Tasks that are none of the agent's any more.
    pub forgotten: Vec<TaskId>,
    /// Definitions that the agent drops.
    pub forgotten_definitions: Vec<DefinitionId>,
}

impl Sent {
    /// What brings the agent of the instance up to the state: the complete set the first time, then what differs among
    /// the touched tasks, or nothing where nothing does.
    ///
    /// An instance that was deregistered has nothing to run: a complete set without tasks says so, and its agent
    /// proposes to stop what it has.
    pub fn update<'a>(&mut self, state: &'a State, instance: InstanceKey, touched: &Touched) -> Option<Update<'a>> {
        let active = is_active(state, instance);
        let emptied = !active && !self.tasks.is_empty();
        let complete = self.version == 0 || emptied;
        let mut update = Update {
            complete,
            applies_to: self.version,
            results_in: self.version + 1,
            definitions: Vec::new(),
            tasks: Vec::new(),
            forgotten: Vec::new(),
            forgotten_definitions: Vec::new(),
        };
        if emptied {
            for (_, (_, definition)) in std::mem::take(&mut self.tasks) {
                self.definitions.release(&definition);
            }
        } else if active && (complete || touched.all) {
            let live: BTreeSet<TaskId> = state.live_tasks_on(instance).map(|task| task.id).collect();
            let known: Vec<TaskId> = self.tasks.keys().copied().collect();
            for task in known.into_iter().chain(live) {
                self.bring_up(task, state, instance, &mut update);
            }
        } else if active {
            for task in &touched.tasks {
                self.bring_up(*task, state, instance, &mut update);
            }
        }
        if !complete && update.tasks.is_empty() && update.forgotten.is_empty() {
            return None;
        }
        update.forgotten_definitions = self.definitions.forget_unused();
        self.version = update.results_in;
        Some(update)
    }

    /// Adds what the agent does not know of the task.
    fn bring_up<'a>(&mut self, id: TaskId, state: &'a State, instance: InstanceKey, update: &mut Update<'a>) {
        let known = self.tasks.get(&id);
        match assigned(state, instance, id) {
            Some(task) if known.is_none_or(|(desired, _)| *desired != task.assigned()) => {
                let definition = &task.launch.definition;
                if known.is_none()
                    && let Some(registered) = state.definition(definition)
                    && self.definitions.need(definition)
                {
                    update.definitions.push(registered);
                }
                self.tasks.insert(id, (task.assigned(), definition.clone()));
                update.tasks.push(task);
            }
            Some(_) => {}
            None => {
                if let Some((_, definition)) = self.tasks.remove(&id) {
                    self.definitions.release(&definition);
                    update.forgotten.push(id);
                }
            }
        }
    }
}

/// Whether the task is one of the instance's that is not over. What an agent runs and this is not said of it may stop.
pub(crate) fn is_assigned(state: &State, instance: InstanceKey, task: TaskId) -> bool {
    is_active(state, instance) && assigned(state, instance, task).is_some()
}

fn is_active(state: &State, instance: InstanceKey) -> bool {
    let instance = state.instance(instance);
    instance.is_some_and(|instance| instance.status != InstanceStatus::Inactive)
}

/// The task, if the instance must know of it.
fn assigned(state: &State, instance: InstanceKey, task: TaskId) -> Option<&Arc<Task>> {
    let cluster = instance.cluster;
    let task = state.task(TaskKey { cluster, task })?;
    (!task.is_stopped() && task.instance == instance.instance).then_some(task)
}

/// The tasks and instances whose assignments a change may alter.
#[must_use]
pub fn touched(state: &State, change: &Change) -> Vec<(InstanceKey, Touch)> {
    let on = |cluster: ClusterKey, instance: InstanceId| InstanceKey { cluster, instance };
    match change {
        Change::TasksPlaced {
            cluster, placements, ..
        }
        | Change::QueuedTasksPlaced { cluster, placements } => placements
            .iter()
            .map(|placement| (on(*cluster, placement.instance), Touch::Task(placement.task)))
            .collect(),
        Change::TargetsDeregistered { cluster, tasks } => {
            let key = |task: &TaskId| TaskKey {
                cluster: *cluster,
                task: *task,
            };
            let known = tasks.iter().filter_map(|task| state.task(key(task)));
            known
                .map(|task| (on(*cluster, task.instance), Touch::Task(task.id)))
                .collect()
        }
        Change::TaskStopRequested { cluster, task, .. } | Change::TaskObserved { cluster, task, .. } => {
            let key = TaskKey {
                cluster: *cluster,
                task: *task,
            };
            let known = state.task(key);
            known
                .map(|known| (on(*cluster, known.instance), Touch::Task(*task)))
                .into_iter()
                .collect()
        }
        Change::InstanceStatusSet { cluster, instance, .. } => vec![(on(*cluster, *instance), Touch::Instance)],
        Change::ClusterCreated { .. }
        | Change::ClusterUpdated { .. }
        | Change::ClusterDeleted { .. }
        | Change::AccountSettingSet { .. }
        | Change::CapacityProviderSet { .. }
        | Change::CapacityProviderDeleted { .. }
        | Change::ClusterProvidersSet { .. }
        | Change::DefinitionRegistered { .. }
        | Change::DefinitionDeregistered { .. }
        | Change::DefinitionDeletionRequested { .. }
        | Change::DefinitionsForgotten { .. }
        | Change::TagsSet { .. }
        | Change::InstanceRegistered { .. }
        | Change::InstanceConnection { .. }
        | Change::InstanceAttributesSet { .. }
        | Change::TasksQueued { .. }
        | Change::QueuedTaskEnded { .. }
        | Change::TaskProtectionSet { .. }
        | Change::TargetsRegistered { .. }
        | Change::TargetHealthSet { .. }
        | Change::TasksForgotten { .. }
        | Change::ServiceCreated { .. }
        | Change::ServiceUpdated { .. }
        | Change::ServiceStepped { .. }
        | Change::ServiceScalingSet { .. }
        | Change::ServiceScaled { .. }
        | Change::ServiceDeleted { .. }
        | Change::ServiceInactive { .. }
        | Change::ServicesForgotten { .. }
        | Change::ScheduleCreated { .. }
        | Change::ScheduleUpdated { .. }
        | Change::ScheduleRan { .. }
        | Change::ScheduleRetried { .. }
        | Change::ScheduleDeleted { .. }
        | Change::SessionOpened { .. }
        | Change::SessionEnded { .. }
        | Change::EventsDelivered { .. }
        | Change::JoinTokenPut { .. }
        | Change::JoinTokenDeleted { .. }
        | Change::MemberEnrolled { .. }
        | Change::MemberRemoved { .. }
        | Change::OperatorCertified { .. }
        | Change::AccessKeyPut { .. }
        | Change::AccessKeyDeleted { .. } => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
