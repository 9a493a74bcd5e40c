//! UpdateTaskProtection and GetTaskProtection: a task of a service says for how long nobody but its user may stop it.

use std::sync::Arc;
use std::time::Duration;

use berth_model::fault::Fault;
use berth_model::id::TaskId;
use berth_model::name::ClusterName;
use berth_model::time::Timestamp;

use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::keys::{ClusterKey, TaskKey};
use crate::state::{State, Task};

/// What the group of a service's tasks begins with.
const SERVICE_GROUP: &str = "service:";
/// Minutes of a protection that names no end, and the bounds of one that does (ECS API, UpdateTaskProtection).
const MINUTES: i32 = 120;
const MINUTES_ALLOWED: std::ops::RangeInclusive<i32> = 1..=2880;

/// UpdateTaskProtection.
#[derive(Debug, Clone)]
pub struct SetProtection {
    /// Their cluster.
    pub cluster: ClusterName,
    /// The tasks.
    pub tasks: Vec<TaskId>,
    /// For how long, or that it ends.
    pub span: Option<Duration>,
}

/// What is known of the protection of tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protections {
    /// The cluster's number.
    pub cluster: ClusterKey,
    /// Each task that can be protected, and until when it is.
    pub tasks: Vec<(TaskId, Option<Timestamp>)>,
    /// Those that cannot.
    pub failures: Vec<Unprotectable>,
}

/// A task that cannot be protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unprotectable {
    /// The task.
    pub task: TaskId,
    /// ECS's reason (ECS guide, "API failure reasons").
    pub reason: &'static str,
    /// Why, in words.
    pub detail: String,
}

/// For how long a request protects.
///
/// # Errors
/// `InvalidParameterException` for minutes that ECS does not allow.
pub fn span(enabled: bool, minutes: Option<i32>) -> Result<Option<Duration>, Fault> {
    let minutes = minutes.unwrap_or(MINUTES);
    if !MINUTES_ALLOWED.contains(&minutes) {
        return Err(Fault::invalid(format!(
            "expiresInMinutes {minutes} should be between {} and {}.",
            MINUTES_ALLOWED.start(),
            MINUTES_ALLOWED.end()
        )));
    }
    let seconds = u64::try_from(minutes).unwrap_or(0) * 60;
    Ok(enabled.then(|| Duration::from_secs(seconds)))
}

/// How the tasks are protected now.
#[must_use]
pub fn look(state: &State, cluster: ClusterKey, tasks: &[TaskId], now: Timestamp) -> Protections {
    sort(state, cluster, tasks, |task| task.protected_at(now))
}

impl Command for SetProtection {
    type Outcome = Protections;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<Protections>, Fault> {
        let cluster = state.active_cluster(&self.cluster)?.key;
        let until = self.span.map(|span| env.now() + span);
        let outcome = sort(state, cluster, &self.tasks, |_| until);
        let differs = |task: &TaskId| {
            let known = state.task(TaskKey { cluster, task: *task });
            known.is_some_and(|known| known.protected_until != until)
        };
        let changes = outcome.tasks.iter().map(|(task, _)| *task).filter(differs);
        Ok(Decision {
            changes: changes
                .map(|task| Change::TaskProtectionSet { cluster, task, until })
                .collect(),
            outcome,
        })
    }
}

fn sort(
    state: &State,
    cluster: ClusterKey,
    tasks: &[TaskId],
    until: impl Fn(&Task) -> Option<Timestamp>,
) -> Protections {
    let mut protections = Protections {
        cluster,
        tasks: Vec::new(),
        failures: Vec::new(),
    };
    for id in tasks {
        let key = TaskKey { cluster, task: *id };
        let known = match state.queue().task(key) {
            None => protectable(state.task(key).map(Arc::as_ref)),
            Some(_) => Err(("TASK_NOT_VALID", "The task runs nowhere.".to_owned())),
        };
        match known {
            Ok(task) => protections.tasks.push((*id, until(task))),
            Err((reason, detail)) => protections.failures.push(Unprotectable {
                task: *id,
                reason,
                detail,
            }),
        }
    }
    protections
}

fn protectable(task: Option<&Task>) -> Result<&Task, (&'static str, String)> {
    let task = task.ok_or(("MISSING", "There is no such task in the cluster.".to_owned()))?;
    let group = &task.launch.group;
    if !group.starts_with(SERVICE_GROUP) {
        let detail = format!("The task is of group '{group}'; only tasks of a service can be protected.");
        return Err(("TASK_NOT_VALID", detail));
    }
    if task.is_stopped() {
        return Err(("TASK_NOT_VALID", "The task has stopped.".to_owned()));
    }
    Ok(task)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protection_lasts_two_hours_where_nothing_is_said_and_two_days_at_most() {
        assert_eq!(span(true, None).unwrap(), Some(Duration::from_secs(7200)));
        assert_eq!(span(true, Some(2880)).unwrap(), Some(Duration::from_secs(172_800)));
        assert_eq!(span(false, None).unwrap(), None);
        for minutes in [0, -1, 2881] {
            let fault = span(true, Some(minutes)).unwrap_err();
            assert_eq!(
                fault.message,
                format!("expiresInMinutes {minutes} should be between 1 and 2880.")
            );
        }
    }
}
