//! What the scheduler asks of itself.

use std::collections::BTreeMap;
use std::time::Duration;

use berth_model::fault::Fault;
use berth_model::id::{ServiceName, TaskId};
use berth_model::time::Timestamp;

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
