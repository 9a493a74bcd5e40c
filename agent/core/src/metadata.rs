//! What a task and its containers are told of themselves: the JSON of ECS's task metadata endpoint, versions 3 and 4, and
//! of the ECS agent's introspection.
//!
//! Names and formats are ECS's (ECS guide, "Task metadata endpoint version 4", "Container introspection"). What has no
//! meaning here is left out: `VPCID`, `EphemeralStorageMetrics`, `ClockDrift`, `Snapshotter`, `ContainerInstanceTags`.

mod container;
mod introspection;
mod task;

use berth_model::time::Timestamp;

pub use container::{Container, container};
pub use introspection::{Instance, Task as IntrospectedTask, Tasks, introspected};
pub use task::{Surroundings, Task, task};

use crate::container::Phase;
use crate::record::Record;

/// The ECS agent's own words for how far something has come, which are not those of the API.
const NONE: &str = "NONE";
const RUNNING: &str = "RUNNING";
const STOPPED: &str = "STOPPED";

fn known(phase: Phase) -> &'static str {
    match phase {
        Phase::Waiting => NONE,
        Phase::Pulled => "PULLED",
        Phase::Created | Phase::Starting => "CREATED",
        Phase::Running => RUNNING,
        Phase::Stopped => STOPPED,
    }
}

/// A task has come as far as the last of its containers, and has stopped with all of them.
fn task_known(record: &Record) -> &'static str {
    let last = record.containers.iter().map(|container| container.phase).min();
    if record.ended_at.is_some() {
        return STOPPED;
    }
    match last {
        None => NONE,
        // Its end is not settled yet.
        Some(Phase::Stopped) => RUNNING,
        Some(phase) => known(phase),
    }
}

fn desired(record: &Record) -> &'static str {
    if record.stop.is_some() || record.ended_at.is_some() {
        STOPPED
    } else {
        RUNNING
    }
}

fn written(at: Option<Timestamp>) -> Option<String> {
    at.map(Timestamp::to_rfc3339)
}

/// An ARN of the same region and account as the task's.
fn arn_beside(task_arn: &str, resource: &str) -> String {
    let mut parts: Vec<&str> = task_arn.splitn(6, ':').collect();
    if let Some(last) = parts.get_mut(5) {
        *last = resource;
    }
    parts.join(":")
}

#[cfg(test)]
mod tests;
