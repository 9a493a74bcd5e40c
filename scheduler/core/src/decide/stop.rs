//! StopTask.

use std::sync::Arc;

use berth_model::fault::Fault;
use berth_model::id::TaskId;
use berth_model::name::ClusterName;
use berth_model::status::{DesiredStatus, StopCode};
use berth_model::time::Timestamp;

use super::queue::ended_by_user;
use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::keys::TaskKey;
use crate::state::State;

/// Asks for a task to be stopped; one that stops or has stopped stays as it is (ECS API, StopTask).
#[derive(Debug, Clone)]
pub struct StopTask {
    /// Its cluster.
    pub cluster: ClusterName,
    /// The task.
    pub task: TaskId,
    /// Why, in the caller's words.
    pub reason: Option<Arc<str>>,
}

impl Command for StopTask {
    type Outcome = TaskKey;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<TaskKey>, Fault> {
        let cluster = state.active_cluster(&self.cluster)?.key;
        let key = TaskKey {
            cluster,
            task: self.task,
        };
        let text = || self.reason.clone().unwrap_or_else(|| "Task stopped by user".into());
        if let Some(task) = state.queue().task(key) {
            // No agent has anything to do for it: it is over at once.
            let change = task.is_waiting().then(|| ended_by_user(key, text(), env));
            return Ok(Decision {
                changes: change.into_iter().collect(),
                outcome: key,
            });
        }
        let task = state
            .task(key)
            .ok_or_else(|| Fault::invalid(format!("The referenced task was not found. taskId: {}", self.task)))?;
        if task.desired == DesiredStatus::Stopped {
            return Ok(Decision::unchanged(key));
        }
        Ok(Decision {
            changes: vec![requested(state, key, StopCode::UserInitiated, text(), env.now())],
            outcome: key,
        })
    }
}

/// That a task is to stop. Where it is a target of load balancers these let go of it first.
pub(super) fn requested(state: &State, key: TaskKey, code: StopCode, reason: Arc<str>, now: Timestamp) -> Change {
    let task = state.task(key).filter(|task| task.target.is_some());
    let service = task.and_then(|task| task.launch.service_key(key.cluster));
    let delay = service.and_then(|service| Some(state.service(&service)?.spec.deregistration_delay()));
    Change::TaskStopRequested {
        cluster: key.cluster,
        task: key.task,
        code,
        reason,
        at: now,
        deregister_by: delay.map(|delay| now + delay),
    }
}
