//! `berth run`.

mod request;

use std::time::Duration;

use berth_proto::ecs::v1::{RunTaskResponse, Task, TaskDefinition};
use clap::Args;

pub(super) use self::request::{Constraint, Strategy, TaskArgs, Variable, one, overrides, patience};
use super::plan;
use crate::Ending;
use crate::api::{Api, CallError};
use crate::args::duration;
use crate::output::{Output, Presentation};
use crate::show::{Now, placement, tasks as show};
use crate::wait::{self, Goal, Waited};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  berth run web
  berth run web:3 --count 25 --strategy spread=instanceId --constraint 'attribute:zone == a'
  berth run batch --count 100 --queue 2h
  berth run migrate --wait=stopped --env app:RELEASE=42 --command app -- ./migrate --all

Exit status 1: something was not placed; with --wait, a task stopped early; with --wait=stopped,
an essential container did not end with 0.")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    tasks: TaskArgs,
    /// Say what would be placed where, and place nothing; `berth plan` says more
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Let tasks that find no room wait for it for so long, rather than fail
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "dry_run")]
    queue: Option<Duration>,
    /// Wait until the tasks run, or until they have stopped
    #[arg(
        long,
        value_name = "STATUS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "running"
    )]
    wait: Option<Goal>,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration, requires = "wait")]
    wait_timeout: Duration,
}

pub(super) async fn run(args: RunArgs, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    if args.dry_run {
        return plan::tell(plan::of(&args.tasks, api.cluster()), api, output).await;
    }
    let (mut answer, failed) = place(&args, api).await;
    let placed = answer.tasks.len();
    let ended = match failed {
        Some(error) if placed == 0 => return Err(error.into()),
        Some(error) => {
            let so_far = format!("after {placed} of {} tasks were placed", args.tasks.count);
            Err(anyhow::Error::from(error).context(so_far))
        }
        None => match args.wait.filter(|_| placed > 0) {
            Some(goal) => wait_for(goal, &args, api, &mut answer, output).await,
            None => Ok(Ending::Done),
        },
    };
    // Also when the wait did not end well: these tasks are there now.
    output.answer(&answer, |answer| present(answer, args.tasks.count))?;
    let ended = ended?;
    if ended == Ending::Done && placed < usize::from(args.tasks.count) {
        return Ok(Ending::Incomplete);
    }
    Ok(ended)
}

/// Waits, and renews the tasks in `answer`.
async fn wait_for(
    goal: Goal,
    args: &RunArgs,
    api: &Api,
    answer: &mut RunTaskResponse,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let arns: Vec<_> = answer.tasks.iter().map(|task| task.task_arn().to_owned()).collect();
    match wait::for_tasks(api, output, &arns, goal, args.wait_timeout).await? {
        Waited::Interrupted => return Ok(Ending::Interrupted),
        Waited::Settled(tasks) => answer.tasks = tasks,
    }
    Ok(if went_well(api, &answer.tasks, goal).await? {
        Ending::Done
    } else {
        Ending::Incomplete
    })
}

/// Asks for the tasks in calls of ten. What was placed before a call failed is placed: both are told.
async fn place(args: &RunArgs, api: &Api) -> (RunTaskResponse, Option<CallError>) {
    let mut all = RunTaskResponse::default();
    for request in request::all(&args.tasks, args.queue, api.cluster()) {
        match api.run_task(request).await {
            Ok(answer) => {
                all.tasks.extend(answer.tasks);
                all.failures.extend(answer.failures);
            }
            Err(error) => return (all, Some(error)),
        }
    }
    (all, None)
}

fn present(answer: &RunTaskResponse, asked: u16) -> Presentation {
    let mut presentation = Presentation::default();
    if !answer.tasks.is_empty() {
        presentation = presentation.table(&show::table(&answer.tasks, Now::of_the_clock()));
    }
    let missing = usize::from(asked).saturating_sub(answer.tasks.len());
    if missing == 0 {
        return presentation;
    }
    let heading = format!("{missing} of {asked} tasks were not placed");
    let presentation = presentation.section(&heading, &placement::failures(&answer.failures));
    let of_all = placement::of_all(&answer.failures);
    of_all.into_iter().fold(presentation, Presentation::line)
}

/// Whether the tasks reached `goal` as tasks should.
async fn went_well(api: &Api, tasks: &[Task], goal: Goal) -> anyhow::Result<bool> {
    match goal {
        Goal::Running => Ok(tasks.iter().all(|task| task.last_status() == "RUNNING")),
        Goal::Stopped => {
            let Some(arn) = tasks.first().map(|task| task.task_definition_arn().to_owned()) else {
                return Ok(true);
            };
            let definition = api.describe_task_definition(arn).await?.task_definition;
            let definition = definition.unwrap_or_default();
            Ok(tasks.iter().all(|task| succeeded(task, &definition)))
        }
    }
}

/// Whether each essential container of the task ended with 0.
fn succeeded(task: &Task, definition: &TaskDefinition) -> bool {
    task.containers.iter().all(|container| {
        let definition = definition
            .container_definitions
            .iter()
            .find(|definition| definition.name == container.name);
        let essential = definition.is_none_or(|definition| definition.essential.unwrap_or(true));
        !essential || container.exit_code == Some(0)
    })
}

#[cfg(test)]
mod tests {
    use berth_proto::ecs::v1::{Container, ContainerDefinition, Task, TaskDefinition};

    use super::succeeded;

    fn task(exits: &[(&str, Option<i32>)]) -> Task {
        let container = |&(name, exit_code): &(&str, Option<i32>)| Container {
            name: Some(name.to_owned()),
            exit_code,
            ..Default::default()
        };
        Task {
            containers: exits.iter().map(container).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn a_task_succeeded_if_its_essential_containers_did() {
        let container = |name: &str, essential| ContainerDefinition {
            name: Some(name.to_owned()),
            essential,
            ..Default::default()
        };
        let definition = TaskDefinition {
            container_definitions: vec![container("app", None), container("logs", Some(false))],
            ..Default::default()
        };
        let well = |exits: &[_]| succeeded(&task(exits), &definition);
        assert!(well(&[("app", Some(0)), ("logs", Some(137))]));
        assert!(!well(&[("app", Some(2)), ("logs", Some(0))]));
        assert!(!well(&[("app", None), ("logs", Some(0))]));
    }
}
