//! What the gateways say of the tasks that they send traffic to.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_model::fault::Fault;
use berth_model::id::TaskId;

use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::keys::{ClusterKey, ServiceKey, TaskKey};
use crate::reconcile::events;
use crate::service::ServiceEvent;
use crate::state::{State, Task};
use crate::target::TargetHealth;

/// Records how targets of a cluster are, and that no gateway has a connection of some of them any more.
///
/// What is said of a task that is no target, or leaves no longer, is late and changes nothing.
#[derive(Debug, Clone)]
pub struct RecordTargets {
    /// Their cluster.
    pub cluster: ClusterKey,
    /// Each target's health, with why it is not well.
    pub health: Vec<(TaskId, TargetHealth, Arc<str>)>,
    /// Tasks that are to stop and have no connection left as far as the gateways can tell. Those whose time is up are
    /// let go of whether or not they are named.
    pub drained: Vec<TaskId>,
}

impl Command for RecordTargets {
    type Outcome = ();

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        let mut changes = Vec::new();
        for (task, health, reason) in &self.health {
            let target = self.task(state, *task).and_then(|task| task.target.as_ref());
            // The reason alone is no news: it may change with every check.
            if target.is_some_and(|target| target.health != *health) {
                changes.push(Change::TargetHealthSet {
                    cluster: self.cluster,
                    task: *task,
                    health: *health,
                    reason: Arc::clone(reason),
                });
            }
        }
        self.deregister(state, env, &mut changes);
        Ok(Decision { changes, outcome: () })
    }
}

impl RecordTargets {
    fn task<'s>(&self, state: &'s State, task: TaskId) -> Option<&'s Arc<Task>> {
        state.task(TaskKey {
            cluster: self.cluster,
            task,
        })
    }

    /// Lets go of the tasks, and says so to their services.
    fn deregister(&self, state: &State, env: &mut Env<'_>, changes: &mut Vec<Change>) {
        let now = env.now();
        let overdue = state.deregistering().take_while(|(by, _)| *by <= now);
        let overdue = overdue.filter(|(_, key)| key.cluster == self.cluster);
        let named = self.drained.iter().copied().chain(overdue.map(|(_, key)| key.task));
        let mut tasks: Vec<TaskId> = named
            .filter(|task| {
                self.task(state, *task)
                    .is_some_and(|task| task.deregister_by().is_some())
            })
            .collect();
        tasks.sort_unstable();
        tasks.dedup();
        if tasks.is_empty() {
            return;
        }
        let mut by_service: BTreeMap<ServiceKey, BTreeMap<&str, usize>> = BTreeMap::new();
        for task in tasks.iter().filter_map(|task| self.task(state, *task)) {
            let key = task.launch.service_key(self.cluster);
            let Some(service) = key.and_then(|key| state.service(&key)) else {
                continue;
            };
            let groups = by_service.entry(service.key()).or_default();
            for load_balancer in service.load_balancers_of_task(task) {
                *groups.entry(&load_balancer.target_group_arn).or_default() += 1;
            }
        }
        changes.push(Change::TargetsDeregistered {
            cluster: self.cluster,
            tasks,
        });
        for (key, groups) in by_service {
            let messages = groups
                .into_iter()
                .map(|(arn, count)| events::deregistered(&key.service, count, arn));
            let events = messages.map(|message| ServiceEvent {
                id: env.draw(),
                at: now,
                message: message.into(),
            });
            changes.push(Change::ServiceStepped {
                cluster: self.cluster,
                deployments: Vec::new(),
                accounted: Vec::new(),
                events: events.collect(),
                service: key.service,
            });
        }
    }
}

#[cfg(test)]
mod tests;
