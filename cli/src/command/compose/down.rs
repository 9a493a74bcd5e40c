//! `berth compose down`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use berth_proto::ecs::v1::Service;
use tokio::time::{Instant, sleep};

use super::families::{self, Family};
use super::files::Known;
use super::request::{PROJECT, SERVICE, tag};
use crate::Ending;
use crate::api::Api;
use crate::output::Output;
use crate::wait::{self, Goal};

/// Between two looks at services.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) async fn run(known: &Known, limit: Duration, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    let done = tokio::select! {
        done = down(known, limit, api, output) => Some(done?),
        interrupt = tokio::signal::ctrl_c() => {
            interrupt.context("cannot listen for Ctrl-C")?;
            None
        }
    };
    if done.is_none() {
        output.progress("interrupted: what is done stays; `berth compose down` goes on from there")?;
        return Ok(Ending::Interrupted);
    }
    Ok(Ending::Done)
}

/// The services of the project that are not INACTIVE.
pub(super) async fn services_of(api: &Api, project: &str) -> anyhow::Result<Vec<Service>> {
    let mut services = api.all_tagged_services().await?;
    services.retain(|service| tag(&service.tags, PROJECT) == Some(project) && service.status() != "INACTIVE");
    Ok(services)
}

async fn down(known: &Known, limit: Duration, api: &Api, output: &mut Output) -> anyhow::Result<()> {
    let project = known.name.as_str();
    let families = families::of_project(api, project).await?;
    let services = services_of(api, project).await?;
    if services.is_empty() && families.is_empty() {
        output.progress(&format!("{project}: there is nothing of the project"))?;
        return Ok(());
    }
    for layer in layers(known, services) {
        for service in &layer {
            if service.status() == "ACTIVE" {
                api.delete_service(service.service_arn().to_owned(), true).await?;
            }
        }
        gone(api, &layer, limit).await?;
        for service in &layer {
            output.progress(&format!("{}: deleted", label(service)))?;
        }
    }
    for Family { name: family, .. } in families {
        let mut tasks = api.list_tasks(Some(&family), "RUNNING").await?;
        for task in &tasks {
            api.stop_task(task.clone(), Some(format!("compose down of {project}")))
                .await?;
        }
        tasks.extend(stopping(api, &family).await?);
        if !tasks.is_empty() {
            wait::until_settled(api, output, &tasks, Goal::Stopped, limit).await?;
        }
        let count = families::deregister(api, project, &family).await?;
        output.progress(&format!("{family}: {count} revision(s) deregistered"))?;
    }
    Ok(())
}

/// Tasks of the family that were told to stop and still run: a service is INACTIVE once all of its are told.
async fn stopping(api: &Api, family: &str) -> anyhow::Result<Vec<String>> {
    let told = api.list_tasks(Some(family), "STOPPED").await?;
    let mut tasks = api.describe_tasks(&told).await?.tasks;
    tasks.retain(|task| task.last_status() != "STOPPED");
    Ok(tasks.into_iter().map(|task| task.task_arn().to_owned()).collect())
}

fn label(service: &Service) -> &str {
    tag(&service.tags, SERVICE).unwrap_or_else(|| service.service_name())
}

/// The services in the order in which they go: those that wait for others before these. What the files do not tell of goes
/// first.
fn layers(known: &Known, services: Vec<Service>) -> Vec<Vec<Service>> {
    let mut depth: BTreeMap<&str, usize> = BTreeMap::new();
    for service in known.translation.iter().flat_map(|translation| &translation.services) {
        let below = service
            .depends_on
            .iter()
            .filter_map(|need| depth.get(need.service.as_str()));
        let own = below.max().map_or(0, |below| below + 1);
        depth.insert(&service.name, own);
    }
    let mut layers: BTreeMap<std::cmp::Reverse<usize>, Vec<Service>> = BTreeMap::new();
    for service in services {
        let depth = depth.get(label(&service)).copied().unwrap_or(usize::MAX);
        layers.entry(std::cmp::Reverse(depth)).or_default().push(service);
    }
    layers.into_values().collect()
}

/// Waits until the last task of each has stopped.
async fn gone(api: &Api, services: &[Service], limit: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + limit;
    let arns: Vec<String> = services
        .iter()
        .map(|service| service.service_arn().to_owned())
        .collect();
    loop {
        let answer = api.describe_services(&arns).await?;
        let left: Vec<&str> = answer
            .services
            .iter()
            .filter(|service| service.status() != "INACTIVE")
            .map(Service::service_name)
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            bail!("not gone within {} s: {}", limit.as_secs(), left.join(", "));
        }
        sleep(PAUSE).await;
    }
}
