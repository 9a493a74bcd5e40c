//! `berth services`.

pub(super) mod listener;
mod request;
mod rollback;
mod traffic;
pub(super) mod watch;

use std::time::Duration;

use anyhow::Context;
use berth_proto::ecs::v1::{Service, UpdateServiceRequest};
use berth_proto::v1::TargetDescription;
use clap::Subcommand;
use tokio::time::{Instant, sleep};

use self::request::{CreateArgs, UpdateArgs};
use super::refuse_failures;
use crate::Ending;
use crate::api::Api;
use crate::args::duration;
use crate::output::Output;
use crate::show::{Now, autoscaling, services as show};

/// Between two looks at a service.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Subcommand)]
pub(crate) enum ServicesCommand {
    /// Keep so many tasks of a definition running, or one on every host
    #[command(after_help = "\
Examples:
  berth services create web nginx --count 3
  berth services create web nginx:4 --count 3 --circuit-breaker rollback --wait
  berth services create logs fluentd --daemon
  berth services create web nginx --count 3 --load-balancer http:80=nginx:80 --target-check 'http /healthz interval=5s'
  berth services create web nginx --count 3 --load-balancer http:80=nginx:80 --traffic canary=10:5m --bake 10m")]
    Create(CreateArgs),
    /// Change what a service is asked to do; another definition is a new deployment
    #[command(after_help = "\
Examples:
  berth services update web --count 5
  berth services update web --task-definition nginx:5 --min-healthy 50 --wait
  berth services update web --load-balancer http:8080=nginx:80
  berth services update web --target-check 'http /healthz' --deregistration-delay 1m
  berth services update web --force-new-deployment")]
    Update(UpdateArgs),
    /// Set how many tasks a service runs
    #[command(after_help = "Example:\n  berth services scale web 5 --wait")]
    Scale {
        /// Name or ARN
        name: String,
        /// How many tasks
        count: u16,
        /// Wait until as many run
        #[arg(long)]
        wait: bool,
        /// How long to wait
        #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration, requires = "wait")]
        wait_timeout: Duration,
    },
    /// Go back to what a service ran before
    #[command(long_about = "\
Go back to what a service ran before.

A deployment that is going on is given up, and what was there before it is deployed again. Where none is going on, the
definition of the newest earlier deployment that succeeded with another one is deployed.")]
    #[command(after_help = "Example:\n  berth services rollback web --wait")]
    Rollback {
        /// Name or ARN
        name: String,
        /// Wait until the service is as it was, and tell how it goes
        #[arg(long)]
        wait: bool,
        /// How long to wait
        #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration, requires = "wait")]
        wait_timeout: Duration,
    },
    /// Delete a service
    #[command(
        after_help = "Examples:\n  berth services delete web --force\n  berth services delete web --force --wait"
    )]
    Delete {
        /// Name or ARN
        name: String,
        /// Also where it is not scaled down to 0: its tasks are stopped
        #[arg(long)]
        force: bool,
        /// Wait until its last task has stopped
        #[arg(long)]
        wait: bool,
    },
    /// List the services
    #[command(after_help = "Example:\n  berth services list --output json")]
    List,
    /// Show one service, its deployments and its last events
    #[command(after_help = "Example:\n  berth services show web")]
    Show {
        /// Name or ARN
        name: String,
    },
    /// Show what has happened to a service, the newest last
    #[command(after_help = "Example:\n  berth services events web")]
    Events {
        /// Name or ARN
        name: String,
    },
}

pub(super) async fn run(command: ServicesCommand, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    match command {
        ServicesCommand::Create(args) => {
            let wait = args.wait_for();
            let cluster = cluster_arn(api, args.has_load_balancers()).await?;
            let answer = api.create_service(args.request(cluster.as_deref())?).await?;
            settle(api, output, answer.service, wait).await
        }
        ServicesCommand::Update(args) => {
            let wait = args.wait_for();
            let cluster = cluster_arn(api, args.has_load_balancers()).await?;
            let tags = args.tags();
            let answer = api.update_service(args.request(cluster.as_deref())?).await?;
            if !tags.is_empty() {
                let service = answer.service.as_ref().map(Service::service_arn);
                api.tag(service.unwrap_or_default(), tags).await?;
            }
            settle(api, output, answer.service, wait).await
        }
        ServicesCommand::Scale {
            name,
            count,
            wait,
            wait_timeout,
        } => {
            let request = UpdateServiceRequest {
                service: Some(name),
                desired_count: Some(i32::from(count)),
                ..Default::default()
            };
            let answer = api.update_service(request).await?;
            settle(api, output, answer.service, wait.then_some(wait_timeout)).await
        }
        ServicesCommand::Rollback {
            name,
            wait,
            wait_timeout,
        } => {
            let service = rollback::start(api, output, name).await?;
            settle(api, output, Some(service), wait.then_some(wait_timeout)).await
        }
        ServicesCommand::Delete { name, force, wait } => {
            let answer = api.delete_service(name, force).await?;
            let mut service = answer.service;
            if wait && let Some(deleted) = &service {
                service = Some(until_inactive(api, deleted.service_arn()).await?);
            }
            print(output, service)?;
            Ok(Ending::Done)
        }
        ServicesCommand::List => {
            let answer = api.all_services().await?;
            output.answer(&answer, |answer| show::list(&answer.services))?;
            Ok(Ending::Done)
        }
        ServicesCommand::Show { name } => {
            let answer = api.describe_services(&[name]).await?;
            refuse_failures("service", &answer.failures)?;
            let targets = targets(api, answer.services.first()).await?;
            let scaling = scaling(api, answer.services.first()).await?;
            output.answer(&answer, |answer| {
                show::one(answer.services.first(), &targets, scaling, Now::of_the_clock())
            })?;
            Ok(Ending::Done)
        }
        ServicesCommand::Events { name } => {
            let answer = api.describe_services(&[name]).await?;
            refuse_failures("service", &answer.failures)?;
            output.answer(&answer, |answer| {
                show::events(answer.services.first(), Now::of_the_clock())
            })?;
            Ok(Ending::Done)
        }
    }
}

/// The ARN of the cluster that is meant, which says in which region and account target groups are; only looked up where
/// there are some.
pub(super) async fn cluster_arn(api: &Api, has_load_balancers: bool) -> anyhow::Result<Option<String>> {
    if !has_load_balancers {
        return Ok(None);
    }
    let answer = api.described_cluster().await?;
    refuse_failures("cluster", &answer.failures)?;
    let cluster = answer.clusters.into_iter().next();
    let arn = cluster.and_then(|cluster| cluster.cluster_arn);
    arn.context("the scheduler does not describe the cluster").map(Some)
}

/// How the service's tasks are doing as targets, where it has load balancers.
async fn targets(api: &Api, service: Option<&Service>) -> anyhow::Result<Vec<TargetDescription>> {
    match service.filter(|service| !service.load_balancers.is_empty()) {
        Some(service) => Ok(api.targets(service.service_arn().to_owned()).await?.targets),
        None => Ok(Vec::new()),
    }
}

/// How the service is scaled, in short, where it is; of the past that is not known.
async fn scaling(api: &Api, service: Option<&Service>) -> anyhow::Result<Option<String>> {
    match service.filter(|_| !api.is_past()) {
        Some(service) => {
            let answer = api.service_scaling(service.service_arn().to_owned()).await?;
            Ok(autoscaling::in_short(&answer))
        }
        None => Ok(None),
    }
}

/// Prints the service as it is, or as it is once its deployment has ended where that is waited for.
async fn settle(
    api: &Api,
    output: &mut Output,
    service: Option<Service>,
    wait: Option<Duration>,
) -> anyhow::Result<Ending> {
    let service = service.context("the scheduler does not say what became of the service")?;
    let Some(limit) = wait else {
        print(output, Some(service))?;
        return Ok(Ending::Done);
    };
    let (ending, service) = watch::deployment(api, output, &service, limit).await?;
    print(output, Some(service))?;
    Ok(ending)
}

fn print(output: &mut Output, service: Option<Service>) -> anyhow::Result<()> {
    output.answer(&service.unwrap_or_default(), |service| {
        show::one(Some(service), &[], None, Now::of_the_clock())
    })
}

/// The one service of this ARN, which exists.
async fn look(api: &Api, arn: &str) -> anyhow::Result<Service> {
    let answer = api.describe_services(&[arn.to_owned()]).await?;
    refuse_failures("service", &answer.failures)?;
    let mut services = answer.services;
    services.pop().context("the scheduler does not describe the service")
}

/// As long as it takes: a task may take its time to stop.
pub(super) async fn until_inactive(api: &Api, arn: &str) -> anyhow::Result<Service> {
    let begun = Instant::now();
    const LONGEST: Duration = Duration::from_secs(3600);
    loop {
        let service = look(api, arn).await?;
        if service.status() == "INACTIVE" {
            return Ok(service);
        }
        if begun.elapsed() > LONGEST {
            anyhow::bail!("{} task(s) have not stopped within an hour", service.running_count());
        }
        sleep(PAUSE).await;
    }
}
