//! What one agent must be told, as it goes over the wire.

use berth_model::arn::Namespace;
use berth_model::name::ClusterName;
use berth_model::status::LaunchType;
use berth_proto::agent::v1::{Assignment, Assignments};
use berth_scheduler_core::assign::Update;
use berth_scheduler_core::state::Task;

use super::wire;
use crate::api::describe;

/// The message of an update.
pub(super) fn message(update: &Update<'_>, cluster: &ClusterName, namespace: &Namespace) -> Assignments {
    let tasks = update.tasks.iter();
    let definitions = update.definitions.iter();
    let forgotten_definitions = update.forgotten_definitions.iter();
    Assignments {
        complete: update.complete,
        applies_to: update.applies_to,
        results_in: update.results_in,
        assignments: tasks.map(|task| assignment(task, cluster, namespace)).collect(),
        task_definitions: definitions
            .map(|registered| describe::task_definition(registered, namespace))
            .collect(),
        forgotten_task_arns: update
            .forgotten
            .iter()
            .map(|task| namespace.task(cluster, *task))
            .collect(),
        forgotten_task_definition_arns: forgotten_definitions.map(|id| namespace.definition(id)).collect(),
    }
}

fn assignment(task: &Task, cluster: &ClusterName, namespace: &Namespace) -> Assignment {
    let launch = &task.launch;
    Assignment {
        task_arn: namespace.task(cluster, task.id),
        task_definition_arn: namespace.definition(&launch.definition),
        desired_status: task.assigned().name().to_owned(),
        overrides: (!launch.overrides.is_empty()).then(|| describe::overrides(&launch.overrides)),
        group: launch.group.to_string(),
        started_by: launch.started_by.as_deref().unwrap_or_default().to_owned(),
        seen_running: task.times.started.is_some(),
        tags: describe::tags(&launch.tags),
        gpus: wire::gpus(&task.gpus),
        launch_type: match launch.launch_type {
            LaunchType::Ec2 => String::new(),
            other @ (LaunchType::Fargate | LaunchType::External) => other.name().to_owned(),
        },
    }
}
