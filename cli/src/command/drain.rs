//! `berth drain`, which is `berth instances drain` too.

use std::time::Duration;

use anyhow::Context;
use berth_proto::ecs::v1::ContainerInstance;
use clap::Args;
use tokio::time::{Instant, sleep};

use super::{instances, refuse_failures};
use crate::Ending;
use crate::api::Api;
use crate::args::duration;
use crate::output::Output;
use crate::show::ids;
use crate::show::instances::{self as show, UsageByArn};

/// Between two looks at the instance.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  berth drain 7c1e                    place nothing more there
  berth instances drain 7c1e          the same
  berth drain 7c1e --wait             and wait until nothing runs there
  berth drain 7c1e --deadline 15m     and stop after 15 minutes what still runs

Ctrl-C leaves the instance DRAINING and stops nothing; `berth instances activate` takes it back.")]
pub(crate) struct DrainArgs {
    /// An ARN, an id, or the beginning of one with at least four characters
    #[arg(value_name = "INSTANCE")]
    id: String,
    /// Stop what still runs after this time; implies --wait
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    deadline: Option<Duration>,
    /// Wait until nothing runs on the instance
    #[arg(long)]
    wait: bool,
}

pub(super) async fn run(args: DrainArgs, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    let arn = instances::named(api, args.id).await?;
    let answer = api.set_instance_status(arn, "DRAINING").await?;
    refuse_failures("container instance", &answer.failures)?;
    let Some(instance) = answer.container_instances.first() else {
        anyhow::bail!("the scheduler does not say what became of the instance");
    };
    if !args.wait && args.deadline.is_none() {
        output.answer(&answer, |answer| {
            show::list(&answer.container_instances, &UsageByArn::new())
        })?;
        return Ok(Ending::Done);
    }
    let arn = instance.container_instance_arn().to_owned();
    let id = ids::of_arn(&arn);
    let emptied = tokio::select! {
        emptied = until_empty(api, output, &arn, args.deadline) => Some(emptied?),
        interrupt = tokio::signal::ctrl_c() => {
            interrupt.context("cannot listen for Ctrl-C")?;
            None
        }
    };
    let Some(answer) = emptied else {
        output.progress(&format!(
            "interrupted: {id} stays DRAINING, and nothing more is stopped; `berth instances activate {id}` takes it back"
        ))?;
        return Ok(Ending::Interrupted);
    };
    output.progress(&format!("drained: nothing runs on {id}, and nothing is placed there"))?;
    output.answer(&answer, |answer| {
        show::list(&answer.container_instances, &UsageByArn::new())
    })?;
    Ok(Ending::Done)
}

/// Looks at the instance until nothing runs there, and stops at the deadline what does.
async fn until_empty(
    api: &Api,
    output: &mut Output,
    arn: &str,
    deadline: Option<Duration>,
) -> anyhow::Result<berth_proto::ecs::v1::DescribeContainerInstancesResponse> {
    let mut stop_at = deadline.map(|deadline| Instant::now() + deadline);
    let id = ids::of_arn(arn);
    let mut told = None;
    loop {
        let answer = api.describe_instances(&[arn.to_owned()]).await?;
        refuse_failures("container instance", &answer.failures)?;
        let instance = answer.container_instances.first();
        let status = instance.map(ContainerInstance::status).unwrap_or_default();
        anyhow::ensure!(
            status == "DRAINING",
            "container instance \"{id}\" is {status} and no longer DRAINING: somebody changed it"
        );
        // Those that are on their way to STOPPED are in none of ECS's counts.
        let live = live_tasks(api, arn).await?;
        if live.is_empty() {
            return Ok(answer);
        }
        if told != Some(live.len()) {
            output.progress(&format!("draining {id}: {}", left(live.len(), stop_at)))?;
            told = Some(live.len());
        }
        if stop_at.is_some_and(|at| Instant::now() >= at) {
            stop_at = None;
            let limit = deadline.unwrap_or_default().as_secs();
            output.progress(&format!(
                "the deadline of {limit} s has passed: stopping {}",
                tasks(live.len())
            ))?;
            let reason = format!("drain of container instance {id}: the deadline of {limit} s has passed");
            for task in live {
                // One that has just ended by itself needs no stop.
                if let Err(error) = api.stop_task(task, Some(reason.clone())).await {
                    output.problem(&error.to_string())?;
                }
            }
        }
        let until_stop = stop_at.map(|at| at.saturating_duration_since(Instant::now()));
        sleep(until_stop.map_or(PAUSE, |left| left.min(PAUSE))).await;
    }
}

/// Tasks of the instance that have not stopped.
async fn live_tasks(api: &Api, arn: &str) -> anyhow::Result<Vec<String>> {
    let mut live = api.list_tasks_on(arn, "RUNNING").await?;
    let stopping = api.list_tasks_on(arn, "STOPPED").await?;
    let described = api.describe_tasks(&stopping).await?;
    let ending = described.tasks.iter().filter(|task| task.last_status() != "STOPPED");
    live.extend(ending.map(|task| task.task_arn().to_owned()));
    Ok(live)
}

fn left(count: usize, stop_at: Option<Instant>) -> String {
    let left = format!("{} left", tasks(count));
    match stop_at {
        Some(at) => {
            let seconds = at.saturating_duration_since(Instant::now()).as_secs();
            format!("{left}, to be stopped in {seconds} s")
        }
        None => left,
    }
}

fn tasks(count: usize) -> String {
    format!("{count} {}", if count == 1 { "task" } else { "tasks" })
}
