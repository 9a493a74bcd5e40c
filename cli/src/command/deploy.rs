//! `berth deploy`: another definition for a service, or an application of Elastic Beanstalk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use berth_compose::{Files, dockerrun};
use berth_proto::ecs::v1::{Service, UpdateServiceRequest};
use clap::Args;

use super::compose::{self, DEFAULT_MEMORY, apply};
use super::services::{until_inactive, watch};
use crate::Ending;
use crate::api::Api;
use crate::args::duration;
use crate::output::Output;
use crate::show::{Now, services as show};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  berth deploy web nginx:5
  berth deploy web nginx              the newest revision of the family
  berth deploy web nginx:5 --timeout-after 30m
  berth deploy Dockerrun.aws.json --name site --count 2 --env STAGE=prod

Ctrl-C ends the watching, not the deployment.
Exit status 1: the deployment failed (and was rolled back, where the service says so), or did not end in time.")]
pub(crate) struct DeployArgs {
    /// Name or ARN of the service; or a Dockerrun.aws.json, version 1 or 2, which becomes a service
    #[arg(value_name = "SERVICE|DOCKERRUN")]
    what: String,
    /// What it is to run: FAMILY, FAMILY:REVISION or an ARN
    #[arg(value_name = "TASKDEF")]
    task_definition: Option<String>,
    /// How long the deployment is watched
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = duration)]
    timeout_after: Duration,
    #[command(flatten)]
    application: ApplicationArgs,
}

/// What a Dockerrun.aws.json does not say.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of a Dockerrun.aws.json")]
struct ApplicationArgs {
    /// Name of the service and of the task definition [default: the name of the file's directory]
    #[arg(long, conflicts_with = "task_definition")]
    name: Option<String>,
    /// How many tasks [default: as many as there are, or 1]
    #[arg(long, short = 'n', conflicts_with = "task_definition")]
    count: Option<u16>,
    /// A variable of all containers; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable, conflicts_with = "task_definition")]
    env: Vec<(String, String)>,
    /// MiB that are reserved for the container of version 1 [default: 128]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(i32).range(6..), conflicts_with = "task_definition")]
    default_memory: Option<i32>,
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("it must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) async fn run(args: DeployArgs, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    let limit = args.timeout_after;
    let service = match args.task_definition {
        Some(definition) => redeploy(args.what, definition, api).await?,
        None => match Box::pin(application(&args.what, &args.application, api, output)).await? {
            Some(service) => service,
            None => return Ok(Ending::Done),
        },
    };
    let (ending, service) = watch::deployment(api, output, &service, limit).await?;
    output.answer(&service, |service| {
        show::one(Some(service), &[], None, Now::of_the_clock())
    })?;
    Ok(ending)
}

/// Gives the service the definition.
async fn redeploy(service: String, definition: String, api: &Api) -> anyhow::Result<Service> {
    let request = UpdateServiceRequest {
        service: Some(service),
        task_definition: Some(definition),
        // The definition that it has already is rolled out again, as it was asked for.
        force_new_deployment: Some(true),
        ..Default::default()
    };
    let service = api.update_service(request).await?.service;
    service.context("the scheduler does not say what became of the service")
}

/// Makes a service of the file, or changes the one that was made of it; none where it is as it is to be.
async fn application(
    file: &str,
    args: &ApplicationArgs,
    api: &Api,
    output: &mut Output,
) -> anyhow::Result<Option<Service>> {
    if is_bundle(file) {
        bail!(
            "{file}: source bundles are not read: unpack it, and deploy the Dockerrun.aws.json in it, or the \
             docker-compose.yml with `berth compose up`"
        );
    }
    let path = std::path::absolute(PathBuf::from(file)).with_context(|| file.to_owned())?;
    let text = compose::Disk
        .read(&path.display().to_string())
        .map_err(anyhow::Error::msg)
        .with_context(|| file.to_owned())?;
    let Some(text) = text else {
        bail!("{file}: there is no such file; a service needs a task definition: berth deploy {file} TASKDEF");
    };
    let name = match &args.name {
        Some(name) => name.clone(),
        None => named_after(&path)
            .context("the file's directory has no name that could be the service's: give it a --name")?,
    };
    let there = api
        .tagged_services(std::slice::from_ref(&name))
        .await?
        .into_iter()
        .next();
    let there = match there {
        Some(service) if service.status() == "DRAINING" => {
            until_inactive(api, service.service_arn()).await?;
            None
        }
        there => there.filter(|service| service.status() == "ACTIVE"),
    };
    let running = there
        .as_ref()
        .and_then(|service| u16::try_from(service.desired_count()).ok());
    let options = dockerrun::Options {
        name: name.clone(),
        count: args.count.or(running).unwrap_or(1),
        environment: args.env.iter().cloned().collect::<BTreeMap<_, _>>(),
        default_memory: args.default_memory.unwrap_or(DEFAULT_MEMORY),
    };
    let translation = dockerrun::translate(&text, &options).with_context(|| file.to_owned())?;
    compose::tell(&translation, output)?;
    let wanted = translation.services.first().context("the file has no service")?;
    let plan = apply::plan(api, wanted, &name, there.as_ref()).await?;
    if plan.step == apply::Step::Nothing {
        output.progress(&format!("{name}: unchanged"))?;
        return Ok(None);
    }
    let service = apply::apply(api, wanted, &name, &plan, None).await?;
    service
        .context("the scheduler does not say what became of the service")
        .map(Some)
}

/// Whether it is called as the archives are that Elastic Beanstalk takes (Elastic Beanstalk, "Create an application source
/// bundle").
fn is_bundle(file: &str) -> bool {
    let extension = Path::new(file).extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| {
        ["zip", "war"]
            .iter()
            .any(|bundle| extension.eq_ignore_ascii_case(bundle))
    })
}

/// The name of the directory that the file lies in, as far as ECS takes it.
fn named_after(path: &Path) -> Option<String> {
    let directory = path.parent()?.file_name()?.to_str()?;
    let fits = |c: &char| c.is_ascii_alphanumeric() || *c == '-' || *c == '_';
    let name: String = directory.chars().filter(fits).collect();
    (!name.is_empty()).then_some(name)
}
