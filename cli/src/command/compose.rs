//! `berth compose`.

pub(super) mod apply;
mod down;
mod families;
mod files;
mod jobs;
mod progress;
pub(super) mod request;
mod up;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use berth_compose::Translation;
use berth_proto::ecs::v1::DescribeTasksResponse;
use clap::{Args, Subcommand};

pub(super) use self::files::Disk;
use crate::Ending;
use crate::api::{Api, CallError};
use crate::args::duration;
use crate::output::Output;
use crate::show::{Now, tasks as show};

/// MiB that are reserved where a file names no memory.
pub(super) const DEFAULT_MEMORY: i32 = 128;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  berth compose up --wait
  berth compose -f compose.yaml -f compose.prod.yaml -p shop --gateway 10.0.0.9 up
  berth compose config                what the files become, as JSON; asks no scheduler
  berth compose ps
  berth compose down")]
pub(crate) struct ComposeArgs {
    #[command(flatten)]
    project: ProjectArgs,
    #[command(subcommand)]
    command: ComposeCommand,
}

/// Which project, and how its files are read.
#[derive(Debug, Args)]
pub(super) struct ProjectArgs {
    /// A file of the project; may be repeated, later ones are merged onto earlier ones; `-` is standard input [default:
    /// COMPOSE_FILE, or compose.yaml and its override here or above]
    #[arg(long, short, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// The project's name [default: COMPOSE_PROJECT_NAME, the file's `name`, or the directory's name]
    #[arg(long, short, value_name = "NAME")]
    project_name: Option<String>,
    /// Where relative paths begin [default: the directory of the first file]
    #[arg(long, value_name = "DIRECTORY")]
    project_directory: Option<PathBuf>,
    /// A profile that is active, besides those of COMPOSE_PROFILES; may be repeated, `*` is all
    #[arg(long, value_name = "NAME")]
    profile: Vec<String>,
    /// A file of variables in place of `.env`; may be repeated
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Where containers reach a gateway: its address, or `host-gateway` where each host has one. It publishes ports, and
    /// services reach one another by name
    #[arg(long, env = "BERTH_GATEWAY", value_name = "ADDRESS", value_parser = gateway)]
    gateway: Option<String>,
    /// MiB that are reserved for a service that names no memory
    #[arg(long, value_name = "MIB", default_value_t = DEFAULT_MEMORY, value_parser = clap::value_parser!(i32).range(6..))]
    default_memory: i32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ComposeCommand {
    /// Create what is missing and change what is different, in the order of depends_on
    #[command(after_help = "\
What of the files is not honoured is told, field by field. Ctrl-C ends the waiting; what is done stays.
Exit status 1: a service or a job failed, or was not there in time.")]
    Up(UpArgs),
    /// Delete the project's services, stop its jobs and deregister its task definitions
    Down {
        /// How long to wait for the last task to stop
        #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
        wait_timeout: Duration,
    },
    /// List the project's tasks
    Ps {
        /// Also tasks that are stopping or have stopped
        #[arg(long, short)]
        all: bool,
    },
    /// Show what the files become, as JSON, with what is not honoured
    Config {
        /// Show nothing, and only check
        #[arg(long, short)]
        quiet: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Wait for nothing but what depends_on asks for
    #[arg(long, short)]
    detach: bool,
    /// Wait until all services run and are healthy, as without --detach
    #[arg(long, conflicts_with = "detach")]
    wait: bool,
    /// How long to wait for any one service
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    wait_timeout: Duration,
    /// Delete services of the project that its files do not have any more
    #[arg(long)]
    remove_orphans: bool,
    /// Do nothing where a field is not honoured
    #[arg(long)]
    strict: bool,
}

fn gateway(text: &str) -> Result<String, String> {
    match text {
        "host-gateway" => Ok(text.to_owned()),
        text if text.parse::<std::net::IpAddr>().is_ok() => Ok(text.to_owned()),
        _ => Err("it must be an address such as 10.0.0.9, or host-gateway".to_owned()),
    }
}

/// Reads the files, and connects by `connect` where a scheduler is asked.
pub(super) async fn run(
    args: ComposeArgs,
    connect: impl AsyncFnOnce() -> Result<Api, CallError>,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let ComposeArgs { project, command } = args;
    match command {
        ComposeCommand::Config { quiet } => {
            let translation = files::translate(&project)?;
            if quiet {
                tell(&translation, output)?;
            } else {
                output.line(&serde_json::to_string_pretty(&translation)?)?;
            }
            Ok(Ending::Done)
        }
        ComposeCommand::Up(args) => {
            let translation = files::translate(&project)?;
            tell(&translation, output)?;
            let lost = translation.notes.iter().filter(|note| note.lost).count();
            if args.strict && lost > 0 {
                bail!("{lost} field(s) are not honoured: nothing was done");
            }
            up::run(&args, &translation, &connect().await?, output).await
        }
        ComposeCommand::Down { wait_timeout } => {
            let known = files::identify(&project)?;
            down::run(&known, wait_timeout, &connect().await?, output).await
        }
        ComposeCommand::Ps { all } => {
            let known = files::identify(&project)?;
            ps(&known.name, all, &connect().await?, output).await
        }
    }
}

/// Says what of the file is lost, and what means something else here.
pub(super) fn tell(translation: &Translation, output: &mut Output) -> anyhow::Result<()> {
    for note in &translation.notes {
        let kind = if note.lost { "not honoured" } else { "note" };
        output.progress(&format!("{kind}: {note}"))?;
    }
    Ok(())
}

async fn ps(project: &str, all: bool, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    let mut arns = Vec::new();
    for family in families::of_project(api, project).await? {
        arns.extend(api.list_tasks(Some(&family), "RUNNING").await?);
        if all {
            arns.extend(api.list_tasks(Some(&family), "STOPPED").await?);
        }
    }
    // Between the two calls a task may have been forgotten: nobody asked for it by name.
    let answer = DescribeTasksResponse {
        failures: Vec::new(),
        ..api.describe_tasks(&arns).await?
    };
    output.answer(&answer, |answer| show::list(&answer.tasks, Now::of_the_clock()))?;
    Ok(Ending::Done)
}
