//! `berth compose up`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use berth_compose::{Condition, Kind, Service as Wanted, Translation};
use berth_proto::ecs::v1::{Deployment, DescribeServicesResponse, Service};

use super::apply::{self, Plan, Step};
use super::progress::{self, Awaited, Goal, Told};
use super::request::{PROJECT, tag};
use super::{UpArgs, down, jobs};
use crate::Ending;
use crate::api::Api;
use crate::command::services::{cluster_arn, until_inactive};
use crate::output::Output;
use crate::show::services as show;

pub(super) async fn run(
    args: &UpArgs,
    translation: &Translation,
    api: &Api,
    output: &mut Output,
) -> anyhow::Result<Ending> {
    let done = tokio::select! {
        done = up(args, translation, api, output) => Some(done?),
        interrupt = tokio::signal::ctrl_c() => {
            interrupt.context("cannot listen for Ctrl-C")?;
            None
        }
    };
    if done.is_none() {
        output.progress("interrupted: what is done stays; `berth compose up` goes on from there")?;
        return Ok(Ending::Interrupted);
    }
    let names: Vec<String> = translation
        .services
        .iter()
        .map(|service| service.service_name.clone())
        .collect();
    let answer = DescribeServicesResponse {
        failures: Vec::new(),
        ..api.describe_services(&names).await?
    };
    output.answer(&answer, |answer| show::list(&answer.services))?;
    Ok(Ending::Done)
}

async fn up(args: &UpArgs, translation: &Translation, api: &Api, output: &mut Output) -> anyhow::Result<()> {
    let project = translation.project.as_str();
    let mut told = Told::default();
    let there = there(api, translation, &mut told).await?;
    orphans(args, translation, api, output).await?;
    let listens = translation.services.iter().any(|service| !service.listeners.is_empty());
    let cluster = cluster_arn(api, listens).await?;
    let mut plans = BTreeMap::new();
    for service in &translation.services {
        let plan = apply::plan(api, service, project, there.get(&service.service_name)).await?;
        plans.insert(service.name.as_str(), plan);
    }
    let runs = jobs_to_run(&translation.services, &plans, &args.services);
    let mut deployments = BTreeMap::new();
    for service in &translation.services {
        let Some(plan) = plans.get(service.name.as_str()) else {
            continue;
        };
        let acts =
            runs.contains(service.name.as_str()) || (service.kind == Kind::Service && plan.step != Step::Nothing);
        if !acts {
            output.progress(&format!("{}: unchanged", service.name))?;
            continue;
        }
        let needs = needs(service, &translation.services, &deployments);
        if !needs.is_empty() {
            progress::wait(api, output, &needs, &mut told, args.wait_timeout).await?;
        }
        match service.kind {
            Kind::Job => {
                let definition = apply::definition(api, service, project, plan).await?;
                output.progress(&format!("{}: runs", service.name))?;
                jobs::run(api, output, service, &definition, args.wait_timeout).await?;
            }
            Kind::Service => {
                let applied = apply::apply(api, service, project, plan, cluster.as_deref()).await?;
                let newest = applied.as_ref().and_then(|applied| applied.deployments.first());
                deployments.extend(newest.map(|newest| (service.name.as_str(), Deployment::id(newest).to_owned())));
                let what = if plan.step == Step::Create {
                    "created"
                } else {
                    "changed"
                };
                output.progress(&format!("{}: {what}", service.name))?;
            }
        }
    }
    if args.detach && !args.wait {
        return Ok(());
    }
    let services = translation
        .services
        .iter()
        .filter(|service| service.kind == Kind::Service);
    let all: Vec<Awaited<'_>> = services
        .map(|wanted| awaited(wanted, Goal::Running, &deployments))
        .collect();
    progress::wait(api, output, &all, &mut told, args.wait_timeout).await
}

fn awaited<'w>(wanted: &'w Wanted, goal: Goal, deployments: &BTreeMap<&str, String>) -> Awaited<'w> {
    let deployment = deployments.get(wanted.name.as_str()).cloned();
    Awaited {
        wanted,
        goal,
        deployment,
    }
}

/// What the service waits for; jobs have ended before anything comes after them.
fn needs<'w>(service: &Wanted, all: &'w [Wanted], deployments: &BTreeMap<&str, String>) -> Vec<Awaited<'w>> {
    let need = |dependency: &berth_compose::Dependency| {
        let other = all.iter().find(|other| other.name == dependency.service)?;
        let goal = match dependency.condition {
            Condition::Healthy => Goal::Healthy,
            Condition::Started | Condition::Completed => Goal::Started,
        };
        (other.kind == Kind::Service).then(|| awaited(other, goal, deployments))
    };
    service.depends_on.iter().filter_map(need).collect()
}

/// The jobs that are to run: those that are asked for by name, those that are new, and those that something waits for which
/// is created or changed.
fn jobs_to_run<'w>(services: &'w [Wanted], plans: &BTreeMap<&str, Plan>, named: &[String]) -> BTreeSet<&'w str> {
    let mut runs: BTreeSet<&str> = BTreeSet::new();
    // From those that wait to what they wait for.
    for service in services.iter().rev().filter(|service| service.kind == Kind::Job) {
        let plan = |service: &Wanted| plans.get(service.name.as_str());
        let is_new = plan(service).is_none_or(|plan| plan.definition.is_none());
        let mut waiting = services.iter().filter(|other| {
            let needs = &other.depends_on;
            needs
                .iter()
                .any(|need| need.service == service.name && need.condition == Condition::Completed)
        });
        let is_waited_for = waiting.any(|other| match other.kind {
            Kind::Job => runs.contains(other.name.as_str()),
            Kind::Service => plan(other).is_none_or(|plan| plan.step != Step::Nothing),
        });
        // One that nobody waits for is a job by its mode alone.
        if is_new || is_waited_for || named.contains(&service.name) {
            runs.insert(&service.name);
        }
    }
    runs
}

/// The services of the translation that are there. Those that are on their way out are waited for.
async fn there(api: &Api, translation: &Translation, told: &mut Told) -> anyhow::Result<BTreeMap<String, Service>> {
    let names: Vec<String> = translation
        .services
        .iter()
        .map(|service| service.service_name.clone())
        .collect();
    let mut there = BTreeMap::new();
    for service in api.tagged_services(&names).await? {
        match service.status() {
            "INACTIVE" => {}
            "DRAINING" => drop(until_inactive(api, service.service_arn()).await?),
            _ => {
                told.knows(&service);
                there.insert(service.service_name().to_owned(), service);
            }
        }
    }
    Ok(there)
}

/// Names the services of the project that the files do not have, and deletes them where that is asked for.
async fn orphans(args: &UpArgs, translation: &Translation, api: &Api, output: &mut Output) -> anyhow::Result<()> {
    let wanted: BTreeSet<&str> = translation
        .services
        .iter()
        .filter(|service| service.kind == Kind::Service)
        .map(|service| service.service_name.as_str())
        .collect();
    for service in down::services_of(api, &translation.project).await? {
        let name = service.service_name();
        if wanted.contains(name) || translation.left_out.contains(name) || tag(&service.tags, PROJECT).is_none() {
            continue;
        }
        if args.remove_orphans {
            api.delete_service(service.service_arn().to_owned(), true).await?;
            until_inactive(api, service.service_arn()).await?;
            super::families::deregister(api, &translation.project, name).await?;
            output.progress(&format!("{name}: deleted, the files do not have it"))?;
        } else {
            output.progress(&format!(
                "{name}: is of the project, and the files do not have it; --remove-orphans deletes it"
            ))?;
        }
    }
    Ok(())
}
