//! `berth compose`.

pub(super) mod apply;
mod down;
mod families;
mod files;
mod jobs;
mod logs;
mod progress;
pub(super) mod request;
mod up;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use berth_compose::Translation;
use berth_proto::ecs::v1::DescribeTasksResponse;
use clap::{Args, Subcommand};

use self::families::Family;
pub(super) use self::files::Disk;
use self::files::Known;
use super::logs::FormArgs;
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
  berth compose up
  berth compose up --detach web       web alone, and what it depends on
  berth compose -f compose.yaml -f compose.prod.yaml -p shop --gateway 10.0.0.9 up
  berth compose config                what the files become, as JSON; asks no scheduler
  berth compose ps
  berth compose logs --follow web
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
What of the files is not honoured is told, field by field. Ctrl-C ends the waiting; what is done stays, and runs on.
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
        /// Only tasks of these services
        #[arg(value_name = "SERVICE")]
        services: Vec<String>,
    },
    /// Show what the project's services write, merged, in the order of time
    #[command(after_help = "\
Of services these are the tasks that run, and with --follow those that they start later too; of a job its last run.")]
    Logs {
        /// Only of these services
        #[arg(value_name = "SERVICE")]
        services: Vec<String>,
        #[command(flatten)]
        form: FormArgs,
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
    /// Only these services, their profiles active, and what they depend on [default: all of the active profiles]
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Wait for nothing but what depends_on asks for
    #[arg(long, short)]
    detach: bool,
    /// Wait until all services run and are healthy, although --detach is given; the same as neither
    #[arg(long)]
    wait: bool,
    /// Leave out what the named services depend on
    #[arg(long, requires = "services")]
    no_deps: bool,
    /// How many tasks a service has, whatever the files say; may be repeated
    #[arg(long, value_name = "SERVICE=COUNT", value_parser = scale)]
    scale: Vec<(String, u16)>,
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

fn scale(text: &str) -> Result<(String, u16), String> {
    let (name, count) = text.rsplit_once('=').ok_or("it must be SERVICE=COUNT")?;
    let count = count.parse().map_err(|_| "COUNT must be 0 to 65535")?;
    Ok((name.to_owned(), count))
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
            let translation = files::translate(&project, &BTreeSet::new(), BTreeMap::new())?;
            if quiet {
                tell(&translation, output)?;
            } else {
                output.line(&serde_json::to_string_pretty(&translation)?)?;
            }
            Ok(Ending::Done)
        }
        ComposeCommand::Up(args) => {
            let translation = wanted(&project, &args)?;
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
        ComposeCommand::Ps { all, services } => {
            let known = files::identify(&project)?;
            ps(&known, all, &services, &connect().await?, output).await
        }
        ComposeCommand::Logs { services, form } => {
            let known = files::identify(&project)?;
            logs::run(&known, &services, &form, &connect().await?, output).await
        }
    }
}

/// What `up` is to make: the project, or the services of it that are named.
fn wanted(project: &ProjectArgs, args: &UpArgs) -> anyhow::Result<Translation> {
    let named: BTreeSet<String> = args.services.iter().cloned().collect();
    let translation = files::translate(project, &named, args.scale.iter().cloned().collect())?;
    if named.is_empty() {
        return Ok(translation);
    }
    Ok(translation.only(&named, !args.no_deps)?)
}

/// Says what of the file is lost, and what means something else here.
pub(super) fn tell(translation: &Translation, output: &mut Output) -> anyhow::Result<()> {
    for note in &translation.notes {
        let kind = if note.lost { "not honoured" } else { "note" };
        output.progress(&format!("{kind}: {note}"))?;
    }
    Ok(())
}

/// Checks that the project has these services: in its files, or in the cluster.
fn check_names(known: &Known, families: &[Family], names: &[String]) -> anyhow::Result<()> {
    for name in names {
        let of_files = known.translation.as_ref().and_then(|files| files.service(name));
        if of_files.is_none() && !families.iter().any(|family| family.service == *name) {
            bail!("the project \"{}\" has no service \"{name}\"", known.name);
        }
    }
    Ok(())
}

async fn ps(known: &Known, all: bool, services: &[String], api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    let families = families::of_project(api, &known.name).await?;
    check_names(known, &families, services)?;
    let mut arns = Vec::new();
    for family in families {
        if !services.is_empty() && !services.contains(&family.service) {
            continue;
        }
        arns.extend(api.list_tasks(Some(&family.name), "RUNNING").await?);
        if all {
            arns.extend(api.list_tasks(Some(&family.name), "STOPPED").await?);
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
