//! `berth schedules`.

mod request;

use anyhow::Context;
use berth_proto::v1::{Schedule, UpdateScheduleRequest};
use clap::Subcommand;

use self::request::{CreateArgs, UpdateArgs};
use crate::Ending;
use crate::api::Api;
use crate::output::Output;
use crate::show::{Now, schedules as show};

#[derive(Debug, Subcommand)]
pub(crate) enum SchedulesCommand {
    /// Run tasks at certain times, or again and again
    #[command(after_help = "\
Examples:
  berth schedules create nightly --cron '0 3 * * ? *' --timezone Europe/Berlin --task-definition backup
  berth schedules create sweep --rate '15 minutes' --task-definition sweep --overlap skip
  berth schedules create once --at 2026-12-24T18:00:00 --task-definition mail --delete-after-completion
  berth schedules create report --cron '0 6 ? * MON-FRI *' --window 10m --task-definition report:4 \\
      --env app:KIND=daily --command app -- ./report --all

The fields of --cron are minutes, hours, day of the month, month, day of the week and year; one of the two days is '?'.")]
    Create(CreateArgs),
    /// Change a schedule; what is not named stays as it is
    #[command(after_help = "\
Examples:
  berth schedules update nightly --cron '30 2 * * ? *'
  berth schedules update nightly --task-definition backup:7 --count 2
  berth schedules update nightly --no-end")]
    Update(UpdateArgs),
    /// Let a schedule run again when it is due; what came due meanwhile is not made up for
    #[command(after_help = "Example:\n  berth schedules enable nightly")]
    Enable {
        /// Name or ARN
        name: String,
    },
    /// Let a schedule rest: it runs nothing until it is enabled
    #[command(after_help = "Example:\n  berth schedules disable nightly")]
    Disable {
        /// Name or ARN
        name: String,
    },
    /// Delete a schedule with its history; its tasks go on
    #[command(after_help = "Example:\n  berth schedules delete nightly")]
    Delete {
        /// Name or ARN
        name: String,
    },
    /// List the schedules
    #[command(after_help = "Example:\n  berth schedules list --output json")]
    List,
    /// Show one schedule, when it is due next and its last runs
    #[command(after_help = "Example:\n  berth schedules show nightly")]
    Show {
        /// Name or ARN
        name: String,
    },
    /// Run a schedule now, whatever its state; what is due stays so
    #[command(after_help = "\
Example:
  berth schedules run nightly

Exit status 1: not all its tasks were started.")]
    Run {
        /// Name or ARN
        name: String,
    },
    /// Show the runs of a schedule, the newest last
    #[command(after_help = "Example:\n  berth schedules history nightly --last 20")]
    History {
        /// Name or ARN
        name: String,
        /// Only so many
        #[arg(long, value_name = "RUNS", value_parser = clap::value_parser!(u8).range(1..=100))]
        last: Option<u8>,
    },
}

pub(super) async fn run(command: SchedulesCommand, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    match command {
        SchedulesCommand::Create(args) => {
            let answer = api.create_schedule(args.request()).await?;
            print(output, answer.schedule)?;
        }
        SchedulesCommand::Update(args) => {
            let known = match args.changes_target() {
                true => Some(look(api, args.name()).await?),
                false => None,
            };
            let answer = api.update_schedule(args.request(known)).await?;
            print(output, answer.schedule)?;
        }
        SchedulesCommand::Enable { name } => set_state(api, output, name, "ENABLED").await?,
        SchedulesCommand::Disable { name } => set_state(api, output, name, "DISABLED").await?,
        SchedulesCommand::Delete { name } => {
            api.delete_schedule(name.clone()).await?;
            output.answer(&(), |()| show::deleted(&name))?;
        }
        SchedulesCommand::List => {
            let answer = api.all_schedules().await?;
            output.answer(&answer, |answer| show::list(&answer.schedules, Now::of_the_clock()))?;
        }
        SchedulesCommand::Show { name } => {
            let answer = api.describe_schedule(name, None).await?;
            output.answer(&answer, |answer| show::one(answer, Now::of_the_clock()))?;
        }
        SchedulesCommand::Run { name } => {
            let answer = api.run_schedule(name).await?;
            output.answer(&answer, |answer| {
                show::runs(answer.run.iter(), None, Now::of_the_clock())
            })?;
            if answer.run.is_some_and(|run| run.outcome != "STARTED") {
                return Ok(Ending::Incomplete);
            }
        }
        SchedulesCommand::History { name, last } => {
            let answer = api.describe_schedule(name, last.map(i32::from)).await?;
            output.answer(&answer, |answer| {
                show::runs(answer.runs.iter().rev(), answer.schedule.as_ref(), Now::of_the_clock())
            })?;
        }
    }
    Ok(Ending::Done)
}

/// The schedule as it is now.
async fn look(api: &Api, name: &str) -> anyhow::Result<Schedule> {
    let answer = api.describe_schedule(name.to_owned(), Some(0)).await?;
    answer.schedule.context("the scheduler does not describe the schedule")
}

async fn set_state(api: &Api, output: &mut Output, name: String, state: &str) -> anyhow::Result<()> {
    let request = UpdateScheduleRequest {
        name: Some(name),
        state: Some(state.to_owned()),
        ..Default::default()
    };
    let answer = api.update_schedule(request).await?;
    print(output, answer.schedule)
}

fn print(output: &mut Output, schedule: Option<Schedule>) -> anyhow::Result<()> {
    let schedule = schedule.context("the scheduler does not say what became of the schedule")?;
    output.answer(&schedule, |schedule| show::pairs(schedule, Now::of_the_clock()))
}
