//! `berth ps`.

use berth_proto::ecs::v1::DescribeTasksResponse;
use clap::Args;

use crate::Ending;
use crate::api::Api;
use crate::output::Output;
use crate::select;
use crate::show::{Now, tasks as show};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  berth ps
  berth ps --all --family web
  berth ps 3f2a --output json")]
pub(crate) struct PsArgs {
    /// Also tasks that are stopping or have stopped
    #[arg(long, short)]
    all: bool,
    /// Only tasks of this task definition family
    #[arg(long, conflicts_with = "tasks")]
    family: Option<String>,
    /// Only these: ARNs, ids, or the beginnings of ids with at least four characters
    #[arg(value_name = "TASK")]
    tasks: Vec<String>,
}

pub(super) async fn run(args: PsArgs, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    let answer = if args.tasks.is_empty() {
        let mut arns = api.list_tasks(args.family.as_deref(), "RUNNING").await?;
        if args.all {
            arns.extend(api.list_tasks(args.family.as_deref(), "STOPPED").await?);
        }
        // Between the two calls a task may have been forgotten: nobody asked for it by name.
        DescribeTasksResponse {
            failures: Vec::new(),
            ..api.describe_tasks(&arns).await?
        }
    } else {
        api.describe_tasks(&named(api, &args.tasks).await?).await?
    };
    output.answer(&answer, |answer| show::list(&answer.tasks, Now::of_the_clock()))?;
    for failure in &answer.failures {
        output.problem(&format!("task \"{}\": {}", failure.arn(), failure.reason()))?;
    }
    Ok(if answer.failures.is_empty() {
        Ending::Done
    } else {
        Ending::Incomplete
    })
}

/// The tasks that `names` mean. Those that should run come first: a beginning that is unique among them is enough.
pub(super) async fn named(api: &Api, names: &[String]) -> anyhow::Result<Vec<String>> {
    if names.iter().all(|name| select::is_complete(name)) {
        return Ok(names.to_vec());
    }
    let running = api.list_tasks(None, "RUNNING").await?;
    let stopped = api.list_tasks(None, "STOPPED").await?;
    names
        .iter()
        .map(|name| {
            if select::is_complete(name) {
                return Ok(name.clone());
            }
            let begins = |arn: &&String| crate::show::ids::of_arn(arn).starts_with(name.as_str());
            let among = if running.iter().any(|arn| begins(&arn)) {
                &running
            } else {
                &stopped
            };
            select::by_prefix("task", name, among)
        })
        .collect()
}
