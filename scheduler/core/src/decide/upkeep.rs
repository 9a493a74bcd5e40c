//! What the scheduler asks of itself.

use std::collections::BTreeMap;
use std::time::Duration;

use berth_model::fault::Fault;
use berth_model::id::{DefinitionId, TaskId};
use berth_model::name::ServiceName;
use berth_model::status::DefinitionStatus;
use berth_model::time::Timestamp;

use super::definition::deletion;
use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::keys::ClusterKey;
use crate::state::State;

/// Drops tasks from the state that stopped long ago (ECS keeps them for an hour; the journal keeps its history).
#[derive(Debug, Clone, Copy)]
pub struct ForgetStoppedTasks {
    /// How long a stopped task is kept.
    pub retention: Duration,
    /// Tasks to drop at once, at most.
    pub limit: usize,
}

/// Drops services from the state that have been INACTIVE for long.
#[derive(Debug, Clone, Copy)]
pub struct ForgetServices {
    /// How long an INACTIVE service is kept.
    pub retention: Duration,
}

/// Drops definitions that are to be deleted from the state.
#[derive(Debug, Clone)]
pub struct ForgetDefinitions {
    /// What [`unused_definitions`] has found in the state or in one before it. Nothing that is to be deleted is run anew, so
    /// that what is used by no task stays so.
    pub unused: Vec<DefinitionId>,
}

/// Has definitions deleted that have been INACTIVE for long.
#[derive(Debug, Clone, Copy)]
pub struct ExpireDefinitions {
    /// How long an INACTIVE definition is kept.
    pub retention: Duration,
    /// Definitions at once, at most.
    pub limit: usize,
}

/// The definitions that are to be deleted and that nothing uses any more: no task that is not forgotten, and no deployment
/// of a service. Looks at all tasks where there is something to delete.
#[must_use]
pub fn unused_definitions(state: &State) -> Vec<DefinitionId> {
    if state.deleting.is_empty() {
        return Vec::new();
    }
    let mut unused = state.deleting.clone();
    for task in state.tasks.values() {
        unused.remove(&task.launch.definition);
    }
    for (_, task) in state.queue.tasks() {
        unused.remove(&task.wait.launch.definition);
    }
    unused.into_iter().filter(|id| !is_deployed(state, id)).collect()
}

fn is_deployed(state: &State, id: &DefinitionId) -> bool {
    let mut deployments = state.services().flat_map(|service| service.deployments.iter());
    deployments.any(|deployment| deployment.definition == *id)
}

impl Command for ForgetDefinitions {
    /// How many were dropped.
    type Outcome = usize;

    fn decide(&self, state: &State, _env: &mut Env<'_>) -> Result<Decision<usize>, Fault> {
        let goes = |id: &&DefinitionId| state.deleting.contains(*id) && !is_deployed(state, id);
        let ids: Vec<DefinitionId> = self.unused.iter().filter(goes).cloned().collect();
        let outcome = ids.len();
        let changes = match ids.is_empty() {
            true => Vec::new(),
            false => vec![Change::DefinitionsForgotten { ids }],
        };
        Ok(Decision { changes, outcome })
    }
}

impl Command for ExpireDefinitions {
    /// How many are to be deleted now.
    type Outcome = usize;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<usize>, Fault> {
        let is_old = |at: Timestamp| at + self.retention < env.now();
        let revisions = state.families().flat_map(|(_, family)| family.iter());
        let old = revisions
            .filter(|known| known.status == DefinitionStatus::Inactive && known.deregistered_at.is_some_and(is_old));
        let changes: Vec<Change> = old
            .take(self.limit)
            .map(|known| deletion(known.id.clone(), env))
            .collect();
        Ok(Decision {
            outcome: changes.len(),
            changes,
        })
    }
}

impl Command for ForgetServices {
    /// How many were dropped.
    type Outcome = usize;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<usize>, Fault> {
        let mut old: BTreeMap<ClusterKey, Vec<ServiceName>> = BTreeMap::new();
        let is_old = |at: Timestamp| at + self.retention < env.now();
        let mut count = 0;
        for service in state
            .services()
            .filter(|service| service.inactive_at.is_some_and(is_old))
        {
            old.entry(service.cluster).or_default().push(service.name.clone());
            count += 1;
        }
        let forgotten = old
            .into_iter()
            .map(|(cluster, services)| Change::ServicesForgotten { cluster, services });
        Ok(Decision {
            changes: forgotten.collect(),
            outcome: count,
        })
    }
}

impl Command for ForgetStoppedTasks {
    /// How many were dropped.
    type Outcome = usize;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<usize>, Fault> {
        let retention = i64::try_from(self.retention.as_millis()).unwrap_or(i64::MAX);
        let before = env.now().as_millis().saturating_sub(retention);
        let mut old: BTreeMap<ClusterKey, Vec<TaskId>> = BTreeMap::new();
        let mut count = 0;
        for (_, key) in state
            .stopped_tasks()
            .take_while(|(at, _)| *at < before)
            .take(self.limit)
        {
            old.entry(key.cluster).or_default().push(key.task);
            count += 1;
        }
        let changes = old
            .into_iter()
            .map(|(cluster, tasks)| Change::TasksForgotten { cluster, tasks })
            .collect();
        Ok(Decision {
            changes,
            outcome: count,
        })
    }
}
