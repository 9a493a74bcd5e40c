//! How far a service is, looked at again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::bail;
use berth_compose::Service as Wanted;
use berth_proto::ecs::v1::{Deployment, Service, ServiceEvent};
use tokio::time::{Instant, sleep};

use crate::api::Api;
use crate::output::Output;

/// Between two looks at services.
const PAUSE: Duration = Duration::from_millis(500);

/// How far a service must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// A task of it runs.
    Started,
    /// All its tasks run, and those that have health checks are healthy.
    Running,
    /// All its tasks are healthy.
    Healthy,
}

/// How far it is.
#[derive(Debug, PartialEq, Eq)]
enum Reach {
    There,
    NotYet,
    Failed(String),
}

/// A service that is waited for.
#[derive(Debug)]
pub(super) struct Awaited<'w> {
    pub(super) wanted: &'w Wanted,
    pub(super) goal: Goal,
    /// The deployment that was begun for it, where one was.
    pub(super) deployment: Option<String>,
}

/// Waits until all are as far as they must be, and tells each change on standard error.
///
/// # Errors
/// A call fails, a deployment is given up, or `limit` passes.
pub(super) async fn wait(
    api: &Api,
    output: &mut Output,
    awaited: &[Awaited<'_>],
    told: &mut Told,
    limit: Duration,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + limit;
    let names: Vec<String> = awaited.iter().map(|one| one.wanted.service_name.clone()).collect();
    loop {
        let services = api.describe_services(&names).await?.services;
        let mut missing = Vec::new();
        for one in awaited {
            let name = &one.wanted.name;
            let service = services
                .iter()
                .find(|service| service.service_name() == one.wanted.service_name);
            let Some(service) = service.filter(|service| service.status() == "ACTIVE") else {
                bail!("{name}: the service was deleted meanwhile");
            };
            told.tell(name, service, output)?;
            match reach(one, service) {
                Reach::There => {}
                Reach::NotYet => missing.push(name.as_str()),
                Reach::Failed(why) => bail!("{name}: {why}"),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            bail!("not there within {} s: {}", limit.as_secs(), missing.join(", "));
        }
        sleep(PAUSE).await;
    }
}

fn reach(awaited: &Awaited<'_>, service: &Service) -> Reach {
    let Some(primary) = service.deployments.first() else {
        return Reach::NotYet;
    };
    if let Some(ours) = &awaited.deployment
        && primary.id() != ours
    {
        let earlier = service.deployments.iter().find(|deployment| deployment.id() == ours);
        let why = earlier
            .map(Deployment::rollout_state_reason)
            .filter(|why| !why.is_empty())
            .or_else(|| failure_of(ours, service));
        return Reach::Failed(match why {
            Some(why) => format!("its deployment failed, and the last one takes its place: {why}"),
            None => "another deployment has taken the place of this one".to_owned(),
        });
    }
    if primary.rollout_state() == "FAILED" {
        return Reach::Failed(format!("its deployment failed: {}", primary.rollout_state_reason()));
    }
    let all_run =
        primary.running_count() >= primary.desired_count() && service.running_count() >= service.desired_count();
    let is_alone = service.deployments.len() == 1;
    let completed = all_run && is_alone && primary.rollout_state() == "COMPLETED";
    let containers = &awaited.wanted.task_definition.container_definitions;
    let is_checked = containers
        .iter()
        .any(|container| container.health_check.as_ref().is_some_and(|check| !check.is_none()));
    let there = match awaited.goal {
        Goal::Started => service.desired_count() == 0 || primary.running_count() > 0,
        Goal::Running if !is_checked => all_run && is_alone,
        Goal::Running | Goal::Healthy => completed,
    };
    if there { Reach::There } else { Reach::NotYet }
}

/// Why a deployment failed that is on the list no more, since nothing of it runs: its service's events say so.
fn failure_of<'s>(deployment: &str, service: &'s Service) -> Option<&'s str> {
    let begin = format!("(deployment {deployment}) deployment failed: ");
    let mut messages = service.events.iter().map(ServiceEvent::message);
    messages.find_map(|message| message.split_once(&begin).map(|(_, why)| why))
}

/// What has been told of services.
#[derive(Debug, Default)]
pub(super) struct Told {
    events: BTreeSet<String>,
    lines: BTreeMap<String, String>,
}

impl Told {
    /// What has happened before is no news.
    pub(super) fn knows(&mut self, service: &Service) {
        self.events
            .extend(service.events.iter().map(|event| event.id().to_owned()));
    }

    fn tell(&mut self, name: &str, service: &Service, output: &mut Output) -> anyhow::Result<()> {
        for event in service.events.iter().rev() {
            let is_bad = [" failed", "unable to ", "rolling back"]
                .iter()
                .any(|part| event.message().contains(part));
            if self.events.insert(event.id().to_owned()) && is_bad {
                output.progress(event.message())?;
            }
        }
        let mut line = format!(
            "{name}: {} of {} running",
            service.running_count(),
            service.desired_count()
        );
        if service.pending_count() > 0 {
            line.push_str(&format!(", {} pending", service.pending_count()));
        }
        if self.lines.get(name) != Some(&line) {
            output.progress(&line)?;
            self.lines.insert(name.to_owned(), line);
        }
        Ok(())
    }
}
