//! `berth stop`.

use std::time::Duration;

use berth_proto::ecs::v1::{DescribeTasksResponse, Task};
use clap::Args;

use super::ps;
use crate::Ending;
use crate::api::Api;
use crate::args::duration;
use crate::output::Output;
use crate::show::{Now, tasks as show};
use crate::wait::{self, Goal, Waited};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  berth stop 3f2a
  berth stop 3f2a 91c0 --reason \"bad release\" --wait")]
pub(crate) struct StopArgs {
    /// ARNs, ids, or the beginnings of ids with at least four characters
    #[arg(value_name = "TASK", required = true)]
    tasks: Vec<String>,
    /// Why, for whoever reads the task's stoppedReason
    #[arg(long)]
    reason: Option<String>,
    /// Wait until all have stopped
    #[arg(long)]
    wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration, requires = "wait")]
    wait_timeout: Duration,
}

pub(super) async fn run(args: StopArgs, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    let arns = ps::named(api, &args.tasks).await?;
    let mut stopping = Vec::new();
    let mut ending = Ending::Done;
    for arn in arns {
        match api.stop_task(arn.clone(), args.reason.clone()).await {
            Ok(answer) => stopping.extend(answer.task),
            // The others are to be stopped all the same.
            Err(error) => {
                output.problem(&format!("task \"{arn}\": {error}"))?;
                ending = Ending::Incomplete;
            }
        }
    }
    if args.wait && !stopping.is_empty() {
        let arns: Vec<_> = stopping.iter().map(|task| task.task_arn().to_owned()).collect();
        match wait::for_tasks(api, output, &arns, Goal::Stopped, args.wait_timeout).await? {
            Waited::Settled(tasks) => stopping = tasks,
            Waited::Interrupted => return Ok(Ending::Interrupted),
        }
    }
    if !stopping.is_empty() {
        output.answer(&of_tasks(stopping), |answer| {
            show::list(&answer.tasks, Now::of_the_clock())
        })?;
    }
    Ok(ending)
}

/// Several answers of StopTask have no shape of their own in ECS: they are told as DescribeTasks would.
fn of_tasks(tasks: Vec<Task>) -> DescribeTasksResponse {
    DescribeTasksResponse {
        tasks,
        failures: Vec::new(),
    }
}
