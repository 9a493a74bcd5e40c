//! The commands: each turns its arguments into calls and hands the answers to `show`.

mod access_keys;
mod autoscaling;
mod capacity;
mod clusters;
mod completions;
mod compose;
mod deploy;
mod doctor;
mod drain;
mod events;
mod exec;
mod history;
mod instances;
mod journal;
mod logs;
mod plan;
mod ps;
mod run;
mod schedules;
mod services;
mod settings;
mod stop;
mod support_bundle;
mod task_definitions;
mod top;
mod trust;

use std::cell::OnceCell;

use anyhow::bail;
use berth_proto::ecs::v1::Failure;
use clap::Subcommand;

use crate::Ending;
use crate::api::{Api, CallError};
use crate::args::Cli;
use crate::dev;
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start tasks from a task definition
    Run(run::RunArgs),
    /// Show where tasks would go and why, and how many more would fit; places nothing
    Plan(plan::PlanArgs),
    /// List tasks
    Ps(ps::PsArgs),
    /// Show what hosts and tasks use now, live
    Top(top::TopArgs),
    /// Show what happens to tasks, hosts and services, and why
    Events(events::EventsArgs),
    /// Tell what happened to a task, a service or a container instance: when, who asked, what, why
    #[command(subcommand)]
    History(history::HistoryCommand),
    /// Run a command in a container of a task
    Exec(exec::ExecArgs),
    /// Show what containers of tasks and services have written
    Logs(logs::LogsArgs),
    /// Stop tasks
    Stop(stop::StopArgs),
    /// Register, list and show task definitions
    #[command(subcommand, visible_alias = "td")]
    TaskDefinitions(task_definitions::TaskDefinitionsCommand),
    /// Give a service another task definition, or a Dockerrun.aws.json, and watch it being rolled out
    Deploy(deploy::DeployArgs),
    /// Run the services of a Compose file
    Compose(compose::ComposeArgs),
    /// Keep tasks running: create, update, scale, delete and show services
    #[command(subcommand, visible_alias = "svc")]
    Services(services::ServicesCommand),
    /// Let services follow their load: set, show, list and delete bounds and policies
    #[command(subcommand)]
    Autoscaling(autoscaling::AutoscalingCommand),
    /// Run tasks when they are due: create, change, delete and show schedules
    #[command(subcommand, visible_alias = "sched")]
    Schedules(schedules::SchedulesCommand),
    /// Place nothing more on a host, and empty it by a deadline
    Drain(drain::DrainArgs),
    /// List, drain and remove the hosts of a cluster
    Instances(instances::InstancesArgs),
    /// Create, list and delete clusters
    #[command(subcommand)]
    Clusters(clusters::ClustersCommand),
    /// Show and change account settings
    Settings(settings::SettingsArgs),
    /// Create, list, change and delete access keys, and say what each may do
    #[command(subcommand)]
    AccessKeys(access_keys::AccessKeysCommand),
    /// Create, list and revoke the tokens with which hosts join a cluster
    #[command(subcommand)]
    Tokens(trust::TokensCommand),
    /// List and remove what has joined a cluster
    #[command(subcommand)]
    Members(trust::MembersCommand),
    /// Show who vouches for the schedulers and hosts
    Ca(trust::CaArgs),
    /// Group hosts, divide tasks among the groups, and let their sizes follow what is to run
    #[command(subcommand, visible_alias = "cp")]
    CapacityProviders(capacity::CapacityProvidersCommand),
    /// Copy, back up, restore, verify and show the journals of schedulers
    Journal(journal::JournalArgs),
    /// Find out what is wrong with this host or a cluster, and what to do about it
    Doctor(doctor::DoctorArgs),
    /// Write one archive with what there is to know of this host and a cluster, without secrets
    SupportBundle(support_bundle::SupportBundleArgs),
    /// Run a scheduler and an agent on this machine until Ctrl-C
    Dev(dev::DevArgs),
    /// Print the completion script for a shell
    Completions(completions::CompletionsArgs),
}

impl Command {
    /// Whether `--at` is its own, and says when a schedule is due.
    pub(crate) const fn has_a_time_of_its_own(&self) -> bool {
        use schedules::SchedulesCommand::{Create, Update};
        matches!(self, Self::Schedules(Create(_) | Update(_)))
    }
}

/// Does what the command line says.
///
/// # Errors
/// The command did not happen; what it printed before stands.
pub(crate) async fn run(cli: Cli, output: &mut Output) -> anyhow::Result<Ending> {
    let Cli { global, command } = cli;
    if global.at.is_some()
        && matches!(
            command,
            Command::Dev(_)
                | Command::Completions(_)
                | Command::Journal(_)
                | Command::Doctor(_)
                | Command::SupportBundle(_)
        )
    {
        bail!("--at asks a scheduler how things were: this command asks none");
    }
    let asked = OnceCell::new();
    let api = async || {
        let api = Api::connect(&global).await?;
        Ok::<_, CallError>(asked.get_or_init(|| api).clone())
    };
    let ending = match command {
        Command::Run(args) => run::run(args, &api().await?, output).await,
        Command::Plan(args) => plan::run(args, &api().await?, output).await,
        Command::Ps(args) => ps::run(args, &api().await?, output).await,
        Command::Top(args) => top::run(args, &api().await?, output).await,
        Command::Events(args) => events::run(args, &api().await?, output).await,
        Command::History(command) => history::run(command, &api().await?, output).await,
        Command::Exec(args) => Box::pin(exec::run(args, &api().await?, output)).await,
        Command::Logs(args) => Box::pin(logs::run(args, &api().await?, output)).await,
        Command::Stop(args) => stop::run(args, &api().await?, output).await,
        Command::TaskDefinitions(command) => task_definitions::run(command, &api().await?, output).await,
        Command::Deploy(args) => Box::pin(deploy::run(args, &api().await?, output)).await,
        Command::Compose(args) => Box::pin(compose::run(args, api, output)).await,
        Command::Services(command) => Box::pin(services::run(command, &api().await?, output)).await,
        Command::Autoscaling(command) => Box::pin(autoscaling::run(command, &api().await?, output)).await,
        Command::Schedules(command) => Box::pin(schedules::run(command, &api().await?, output)).await,
        Command::Drain(args) => drain::run(args, &api().await?, output).await,
        Command::Instances(args) => instances::run(args, &api().await?, output).await,
        Command::Clusters(command) => clusters::run(command, &api().await?, output).await,
        Command::Settings(args) => settings::run(args, &api().await?, output).await,
        Command::AccessKeys(command) => Box::pin(access_keys::run(command, &api().await?, output)).await,
        Command::Tokens(command) => trust::tokens(command, &api().await?, output).await,
        Command::Members(command) => trust::members(command, &api().await?, output).await,
        Command::Ca(args) => trust::ca(&args, &api().await?, output).await,
        Command::Journal(args) => journal::run(args, &global),
        Command::CapacityProviders(command) => capacity::run(command, &api().await?, output).await,
        Command::Doctor(args) => Box::pin(doctor::run(args, &global, output)).await,
        Command::SupportBundle(args) => Box::pin(support_bundle::run(args, &global, output)).await,
        Command::Dev(args) => dev::run(&args, &global, output).await,
        Command::Completions(args) => completions::run(&args, output),
    }?;
    if let Some(revision) = asked.get().filter(|api| api.is_past()).and_then(Api::revision) {
        output.progress(&format!("as of revision {revision}"))?;
    }
    Ok(ending)
}

/// The failure of a call that was about one thing, as an error: `container instance ID: MISSING`.
fn refuse_failures(what: &str, failures: &[Failure]) -> anyhow::Result<()> {
    let Some(failure) = failures.first() else {
        return Ok(());
    };
    let id = crate::show::ids::of_arn(failure.arn());
    match failure.detail() {
        "" => bail!("{what} \"{id}\": {}", failure.reason()),
        detail => bail!("{what} \"{id}\": {}: {detail}", failure.reason()),
    }
}
