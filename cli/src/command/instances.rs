//! `berth instances`.

use clap::{Args, Subcommand};
use tonic::Code;

use super::drain::{self, DrainArgs};
use super::refuse_failures;
use crate::Ending;
use crate::api::{Api, CallError};
use crate::output::Output;
use crate::select;
use crate::show::Now;
use crate::show::instances::{self as show, UsageByArn};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  berth instances
  berth instances drain 7c1e
  berth instances attributes 7c1e --set stack=prod")]
pub(crate) struct InstancesArgs {
    #[command(subcommand)]
    command: Option<InstancesCommand>,
}

#[derive(Debug, Subcommand)]
enum InstancesCommand {
    /// List the container instances, with what is free and what is used now (the default)
    #[command(after_help = "Example:\n  berth instances list --cluster staging")]
    List,
    /// Show one container instance
    #[command(after_help = "Example:\n  berth instances show 7c1e")]
    Show {
        /// An ARN, an id, or the beginning of one with at least four characters
        id: String,
    },
    /// Place nothing more on a container instance; the same as `berth drain`
    Drain(DrainArgs),
    /// Place tasks on a drained container instance again
    #[command(after_help = "Example:\n  berth instances activate 7c1e")]
    Activate {
        /// An ARN, an id, or the beginning of one with at least four characters
        id: String,
    },
    /// Show the attributes of a container instance, give it some or take some back
    #[command(after_help = "\
Examples:
  berth instances attributes 7c1e
  berth instances attributes 7c1e --set stack=prod --set fast
  berth instances attributes 7c1e --remove fast

Placement constraints ask for them: --constraint 'attribute:stack == prod'. What is set here wins over the agent's
configuration until it is removed.")]
    Attributes {
        /// An ARN, an id, or the beginning of one with at least four characters
        id: String,
        /// Give it this attribute; may be repeated, up to 10 times
        #[arg(long, value_name = "NAME[=VALUE]")]
        set: Vec<String>,
        /// Take back what was set; may be repeated, up to 10 times
        #[arg(long, value_name = "NAME")]
        remove: Vec<String>,
    },
    /// Take a container instance out of its cluster
    #[command(after_help = "\
Examples:
  berth instances deregister 7c1e
  berth instances deregister 7c1e --force")]
    Deregister {
        /// An ARN, an id, or the beginning of one with at least four characters
        id: String,
        /// Also while tasks run on it
        #[arg(long)]
        force: bool,
    },
}

pub(super) async fn run(args: InstancesArgs, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    match args.command.unwrap_or(InstancesCommand::List) {
        InstancesCommand::List => {
            let arns = api.list_instances().await?;
            let answer = api.describe_instances(&arns).await?;
            let usage = usage(api, &arns).await?;
            output.answer(&answer, |answer| show::list(&answer.container_instances, &usage))?;
        }
        InstancesCommand::Show { id } => {
            let arn = named(api, id).await?;
            let answer = api.describe_instances(std::slice::from_ref(&arn)).await?;
            refuse_failures("container instance", &answer.failures)?;
            let usage = usage(api, &[arn]).await?;
            let now = Now::of_the_clock();
            output.answer(&answer, |answer| {
                show::one(answer.container_instances.first(), &usage, now)
            })?;
        }
        InstancesCommand::Drain(args) => return drain::run(args, api, output).await,
        InstancesCommand::Activate { id } => set_status(api, output, id, "ACTIVE").await?,
        InstancesCommand::Attributes { id, set, remove } => {
            let arn = named(api, id).await?;
            if !set.is_empty() {
                api.put_attributes(&arn, &set).await?;
            }
            if !remove.is_empty() {
                api.delete_attributes(&arn, &remove).await?;
            }
            let answer = api.describe_instances(&[arn]).await?;
            refuse_failures("container instance", &answer.failures)?;
            output.answer(&answer, |answer| show::attributes(answer.container_instances.first()))?;
        }
        InstancesCommand::Deregister { id, force } => {
            let arn = named(api, id).await?;
            let answer = api.deregister_instance(arn, force).await?;
            output.answer(&answer, |answer| {
                show::list(answer.container_instance.as_slice(), &UsageByArn::new())
            })?;
        }
    }
    Ok(Ending::Done)
}

async fn set_status(api: &Api, output: &mut Output, id: String, status: &str) -> anyhow::Result<()> {
    let arn = named(api, id).await?;
    let answer = api.set_instance_status(arn, status).await?;
    refuse_failures("container instance", &answer.failures)?;
    output.answer(&answer, |answer| {
        show::list(&answer.container_instances, &UsageByArn::new())
    })
}

/// The container instances that the names mean.
pub(super) async fn all_named(api: &Api, names: &[String]) -> anyhow::Result<Vec<String>> {
    let mut arns = Vec::new();
    for name in names {
        arns.push(named(api, name.clone()).await?);
    }
    Ok(arns)
}

pub(super) async fn named(api: &Api, name: String) -> anyhow::Result<String> {
    if select::is_complete(&name) {
        return Ok(name);
    }
    let arns = api.list_instances().await?;
    select::by_prefix("container instance", &name, &arns)
}

/// What the hosts use now; nothing where the scheduler does not tell, or the past is asked for.
async fn usage(api: &Api, instances: &[String]) -> Result<UsageByArn, CallError> {
    if api.is_past() {
        return Ok(UsageByArn::new());
    }
    let usage = match api.usage_of_instances(instances).await {
        Ok(usage) => usage,
        Err(CallError::Refused {
            code: Code::Unimplemented,
            ..
        }) => return Ok(UsageByArn::new()),
        Err(error) => return Err(error),
    };
    let figures = usage.into_iter();
    Ok(figures
        .filter_map(|of_one| Some((of_one.container_instance_arn, of_one.host?)))
        .collect())
}
