//! The texts of service events and of stopped tasks (ECS guide, "Service event messages").

use std::fmt::Write as _;

use berth_model::id::{DeploymentId, InstanceId, ServiceName, TaskId};

use super::Stop;

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
#[must_use]
pub fn started(service: &ServiceName, tasks: &[TaskId], unhealthy_replaced: u32) -> String {
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

fn lack(reason: &str) -> String {
    match reason {
        "RESOURCE:CPU" => "has insufficient CPU units available".to_owned(),
        "RESOURCE:MEMORY" => "has insufficient memory available".to_owned(),
        "RESOURCE:PORTS" => "is already using a port required by your task".to_owned(),
        "ATTRIBUTE" => "is missing an attribute required by your task".to_owned(),
        other => format!("encountered error \"{}\"", other.trim_end_matches('.')),
    }
}

/// `(service NAME) has stopped N running tasks: (task ID) ...`; nothing where none is stopped.
pub(super) fn stopped(service: &ServiceName, stops: &[Stop]) -> Option<String> {
    let tasks: Vec<_> = stops.iter().map(|stop| stop.task).collect();
    (!tasks.is_empty()).then(|| {
        format!(
            "(service {service}) has stopped {} running tasks:{}.",
            tasks.len(),
            list(&tasks)
        )
    })
}

/// The `stoppedReason` of a task that its service has no more use for.
pub(super) fn stop_reason(deployment: DeploymentId) -> String {
    format!("Scaling activity initiated by (deployment {deployment})")
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
