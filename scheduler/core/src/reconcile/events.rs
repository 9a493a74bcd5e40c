//! The texts of service events and of stopped tasks (ECS guide, "Service event messages").

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use berth_model::id::{DeploymentId, InstanceId, TaskId};
use berth_model::name::ServiceName;
use berth_model::service::Percent;

use super::{Launch, Place, Presence, TaskView};
use crate::target::TargetHealth;

/// Tasks that one event names; of more it tells the number.
const NAMED: usize = 100;

/// Why a task could not be placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle<'a> {
    /// The cluster has no instance.
    NoInstance,
    /// The instance that came closest lacks something: one of the reasons of ECS's placement failures.
    Closest(InstanceId, &'a str),
}

/// `(service NAME) has started N tasks: (task ID) ...`, where some replace unhealthy ones with that said.
fn started(service: &ServiceName, tasks: &[TaskId], unhealthy_replaced: u32) -> String {
    let mut text = format!("(service {service}) has started {} tasks:{}.", tasks.len(), list(tasks));
    if unhealthy_replaced > 0 {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            " Amazon ECS replaced {unhealthy_replaced} tasks due to an unhealthy status."
        );
    }
    text
}

/// `(service NAME) was unable to place a task because no container instance met all of its requirements. ...`
#[must_use]
pub fn unplaced(service: &ServiceName, obstacle: Obstacle<'_>) -> String {
    const GUIDE: &str = "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.";
    let why = match obstacle {
        Obstacle::NoInstance => "Reason: No Container Instances were found in your cluster.".to_owned(),
        Obstacle::Closest(instance, reason) => {
            format!("The closest matching (container-instance {instance}) {}.", lack(reason))
        }
    };
    format!(
        "(service {service}) was unable to place a task because no container instance met all of its requirements. {why} {GUIDE}"
    )
}

/// The reasons of ECS's placement failures that have words of their own.
const LACKS: [(&str, &str); 4] = [
    ("RESOURCE:CPU", "has insufficient CPU units available"),
    ("RESOURCE:MEMORY", "has insufficient memory available"),
    ("RESOURCE:PORTS", "is already using a port required by your task"),
    ("ATTRIBUTE", "is missing an attribute required by your task"),
];

fn lack(reason: &str) -> String {
    match LACKS.iter().find(|(known, _)| *known == reason) {
        Some((_, words)) => (*words).to_owned(),
        None => format!("encountered error \"{}\"", reason.trim_end_matches('.')),
    }
}

/// The reason that a text of [`unplaced`] tells in words; nothing where it has none of [`LACKS`].
pub(crate) fn obstacle(message: &str) -> Option<&'static str> {
    let (_, closest) = message.split_once("The closest matching (container-instance ")?;
    let lack = LACKS.iter().find(|(_, words)| closest.contains(words));
    lack.map(|(reason, _)| *reason)
}

/// What is said of a service, said of one of its task sets: `(service NAME, taskSet ID) ...`.
#[must_use]
pub fn of_task_set(id: DeploymentId, message: &str) -> String {
    message.replacen(')', &format!(", taskSet {id})"), 1)
}

/// What is said of tasks that a launch has started; nothing where it has started none.
#[must_use]
pub fn launched(service: &ServiceName, launch: &Launch, tasks: &[TaskId]) -> Option<String> {
    if tasks.is_empty() {
        return None;
    }
    Some(match &launch.place {
        Place::Zone(zone) => format!(
            "(service {service}) has started {} tasks in {zone} to AZ Rebalance:{}.",
            tasks.len(),
            list(tasks)
        ),
        Place::Anywhere(_) | Place::On(_) => started(service, tasks, launch.unhealthy_replaced),
    })
}

/// `(service NAME) has stopped N running tasks: (task ID) ...`; nothing where none is stopped.
pub(super) fn stopped(service: &ServiceName, tasks: &[TaskId]) -> Option<String> {
    (!tasks.is_empty()).then(|| {
        format!(
            "(service {service}) has stopped {} running tasks:{}.",
            tasks.len(),
            list(tasks)
        )
    })
}

/// A task was stopped because another in its place runs in another zone.
pub(super) fn moved(service: &ServiceName, task: &TaskView) -> String {
    let zone = task.host.zone.as_deref().unwrap_or("no zone");
    format!(
        "(service {service}) has stopped 1 running tasks in {zone} due to AZ rebalancing:{}.",
        list(&[task.id])
    )
}

/// Tasks became targets.
pub(super) fn registered(service: &ServiceName, targets: usize, target_group: &str) -> String {
    format!("(service {service}) registered {targets} targets in (target-group {target_group})")
}

/// Tasks are targets no longer.
pub(crate) fn deregistered(service: &ServiceName, targets: usize, target_group: &str) -> String {
    format!("(service {service}) deregistered {targets} targets in (target-group {target_group})")
}

/// Tasks get no new connections, and are stopped when those that they have are gone.
pub(super) fn draining(service: &ServiceName, deployment: DeploymentId, tasks: usize) -> String {
    format!("(service {service}, taskSet {deployment}) has begun draining connections on {tasks} tasks.")
}

/// So much of the traffic goes to a deployment from now on. ECS tells it by the deployment's lifecycle stage alone.
pub(super) fn traffic_shifted(service: &ServiceName, deployment: DeploymentId, percent: Percent) -> String {
    format!("(service {service}) (deployment {deployment}) has {percent} percent of the production traffic.")
}

/// The service is as it should be.
pub(super) fn steady(service: &ServiceName) -> String {
    format!("(service {service}) has reached a steady state.")
}

/// A deployment has completed.
pub(super) fn deployment_completed(service: &ServiceName, deployment: DeploymentId) -> String {
    format!("(service {service}) (deployment {deployment}) deployment completed.")
}

/// The circuit breaker has ended a deployment.
pub(super) fn deployment_failed(service: &ServiceName, deployment: DeploymentId) -> String {
    format!("(service {service}) (deployment {deployment}) deployment failed: tasks failed to start.")
}

/// A task has failed its health checks as often as it may.
pub(super) fn failed_checks(service: &ServiceName, task: &TaskView, target_group: Option<&str>) -> String {
    let id = task.id;
    match (target_problem(task), target_group) {
        (Some(reason), Some(group)) => {
            format!("(service {service}) (task {id}) is unhealthy in (target-group {group}) due to (reason {reason})")
        }
        _ => format!("(service {service}) (task {id}) failed container health checks."),
    }
}

/// What its load balancers say against a task.
fn target_problem(task: &TaskView) -> Option<&str> {
    let target = task.target.as_ref()?;
    (target.health == TargetHealth::Unhealthy).then_some(&*target.reason)
}

/// Why a task failed. ECS has no such event.
pub(super) fn task_failed(service: &ServiceName, task: TaskId, cause: &str) -> String {
    format!("(service {service}) (task {task}) failed: {cause}")
}

/// Why the first task of a deployment failed that the circuit breaker has ended. ECS has no such event.
pub(super) fn failed_first(service: &ServiceName, deployment: DeploymentId, cause: &str) -> String {
    format!("(service {service}) (deployment {deployment}) failed first with: {cause}")
}

/// Launches fail again and again.
pub(super) fn cannot_start(service: &ServiceName) -> String {
    format!("(service {service}) is unable to consistently start tasks successfully.")
}

/// Neither may anything be started nor stopped.
pub(super) fn deadlock(service: &ServiceName) -> String {
    format!(
        "(service {service}) was unable to stop or start tasks during a deployment because of the service deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again."
    )
}

/// More tasks are protected than the service wants.
pub(super) fn protected(service: &ServiceName, deployment: DeploymentId) -> String {
    format!(
        "(service {service}) was unable to reach steady state because task set ({deployment}) was unable to scale in. Reason: The number of protected tasks are more than the desired count of tasks."
    )
}

/// So many instances are lost that none of their tasks is replaced. ECS, which never replaces them, has no text.
pub(super) fn storm(service: &ServiceName, presence: Presence) -> String {
    format!(
        "(service {service}) replaces no tasks of lost container instances: {} of {} are lost, too many at once.",
        presence.lost, presence.instances
    )
}

/// A zone has at least two tasks more than another.
pub(super) fn unbalanced(service: &ServiceName, zones: &BTreeMap<Arc<str>, usize>) -> String {
    format!(
        "(service {service}) is not AZ balanced with {}. AZ Rebalancing in progress.",
        counts(zones)
    )
}

/// Zones have equally many tasks, give or take one.
pub(super) fn balanced(service: &ServiceName, zones: &BTreeMap<Arc<str>, usize>) -> String {
    format!("(service {service}) is AZ balanced with {}.", counts(zones))
}

/// A task could not be moved.
pub(super) fn rebalance_stopped(service: &ServiceName) -> String {
    format!("(service {service}) stopped AZ Rebalancing.")
}

/// The `rolloutStateReason` of a deployment on its way.
pub(crate) fn in_progress(deployment: DeploymentId) -> String {
    format!("ECS deployment {deployment} in progress.")
}

/// The `stoppedReason` of a task that its health checks end.
pub(super) fn failed_checks_reason(task: &TaskView, target_group: Option<&str>) -> String {
    match (target_problem(task), target_group) {
        (Some(_), Some(group)) => format!("Task failed ELB health checks in (target-group {group})"),
        _ => "Task failed container health checks".to_owned(),
    }
}

/// The `stoppedReason` of a task that its service has no more use for.
pub(super) fn stop_reason(deployment: DeploymentId) -> String {
    format!("Scaling activity initiated by (deployment {deployment})")
}

fn counts(zones: &BTreeMap<Arc<str>, usize>) -> String {
    let counts: Vec<_> = zones
        .iter()
        .map(|(zone, count)| format!("{count} tasks in {zone}"))
        .collect();
    counts.join(", ")
}

fn list(tasks: &[TaskId]) -> String {
    let mut text = String::new();
    for task in tasks.iter().take(NAMED) {
        let _ = write!(text, " (task {task})");
    }
    if tasks.len() > NAMED {
        text.push_str(" ...");
    }
    text
}
