//! Services that run once: tasks that others wait for.

use std::time::Duration;

use anyhow::{Context, bail};
use berth_compose::{Scheduling, Service as Wanted};
use berth_proto::ecs::v1::{RunTaskRequest, Task};

use crate::api::Api;
use crate::output::Output;
use crate::show::ids;
use crate::wait::{self, Goal};

/// Tasks that RunTask starts in one call (ECS API, RunTask).
const AT_ONCE: u16 = 10;

/// Runs the job and waits until it has ended.
///
/// # Errors
/// A call fails, a task is not placed or ends with something other than 0, or `limit` passes.
pub(super) async fn run(
    api: &Api,
    output: &mut Output,
    job: &Wanted,
    definition: &str,
    limit: Duration,
) -> anyhow::Result<()> {
    let count = match job.scheduling {
        Scheduling::Replicas(count) => count,
        Scheduling::Daemon => 1,
    };
    let mut arns = Vec::new();
    let mut left = count;
    while left > 0 {
        let part = left.min(AT_ONCE);
        left -= part;
        let request = RunTaskRequest {
            cluster: api.cluster().map(str::to_owned),
            task_definition: Some(definition.to_owned()),
            count: Some(i32::from(part)),
            placement_constraints: super::request::constraints(job),
            placement_strategy: super::request::strategies(job),
            ..Default::default()
        };
        let answer = api.run_task(request).await?;
        arns.extend(answer.tasks.iter().map(|task| task.task_arn().to_owned()));
        if let Some(failure) = answer.failures.first() {
            bail!(
                "{}: a task was not placed: {} {}",
                job.name,
                failure.reason(),
                failure.detail()
            );
        }
    }
    let tasks = wait::until_settled(api, output, &arns, Goal::Stopped, limit).await?;
    match tasks.iter().find(|task| !succeeded(task)) {
        None => Ok(()),
        Some(task) => {
            let exits = task.containers.iter().filter_map(|container| container.exit_code);
            let exits: Vec<String> = exits.map(|code| code.to_string()).collect();
            let id = ids::of_arn(task.task_arn());
            let codes = if exits.is_empty() {
                "none".to_owned()
            } else {
                exits.join(", ")
            };
            Err(anyhow::anyhow!(
                "task {id}: {} (exit code {codes})",
                task.stopped_reason()
            ))
            .with_context(|| format!("{} has failed", job.name))
        }
    }
}

fn succeeded(task: &Task) -> bool {
    !task.containers.is_empty() && task.containers.iter().all(|container| container.exit_code == Some(0))
}
