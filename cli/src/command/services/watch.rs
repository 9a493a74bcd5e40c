//! A deployment while it goes on: its events as they come, its counts as they change, and how it ends.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, bail};
use berth_proto::ecs::v1::{Deployment, Service};
use tokio::time::{Instant, sleep};

use super::{PAUSE, look};
use crate::Ending;
use crate::api::Api;
use crate::output::Output;
use crate::show::ids;

/// Cells of the bar.
const BAR: i32 = 20;

/// Where a deployment stands.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// It goes on, or the one that takes its place after it failed does.
    Running,
    /// It is complete.
    Completed,
    /// It failed, and this is why.
    Failed(String),
}

/// Tells on standard error how the service's newest deployment goes, until it has ended. `Incomplete` where it failed.
/// Ctrl-C ends the watching, never the deployment.
///
/// # Errors
/// A call fails, or `limit` passes.
pub(in crate::command) async fn deployment(
    api: &Api,
    output: &mut Output,
    service: &Service,
    limit: Duration,
) -> anyhow::Result<(Ending, Service)> {
    let watched = tokio::select! {
        watched = until_ended(api, output, service, limit) => Some(watched?),
        interrupt = tokio::signal::ctrl_c() => {
            interrupt.context("cannot listen for Ctrl-C")?;
            None
        }
    };
    if let Some(watched) = watched {
        return Ok(watched);
    }
    output.progress("interrupted: no longer watching, the deployment goes on; `berth services show` shows it")?;
    Ok((Ending::Interrupted, service.clone()))
}

async fn until_ended(
    api: &Api,
    output: &mut Output,
    begun: &Service,
    limit: Duration,
) -> anyhow::Result<(Ending, Service)> {
    let newest = begun.deployments.first().map(Deployment::id);
    let id = newest.context("the service has no deployment")?.to_owned();
    let deadline = Instant::now() + limit;
    // What had happened before is no news.
    let mut told: BTreeSet<String> = begun.events.iter().map(|event| event.id().to_owned()).collect();
    let mut last = String::new();
    let mut failed: Option<String> = None;
    loop {
        let service = look(api, begun.service_arn()).await?;
        for event in service.events.iter().rev() {
            if told.insert(event.id().to_owned()) {
                output.progress(event.message())?;
            }
        }
        let state = line(&service);
        if state != last {
            output.progress(&state)?;
            last = state;
        }
        match outcome(&service, &id, &mut failed) {
            Outcome::Running => {}
            Outcome::Completed => return Ok((Ending::Done, service)),
            Outcome::Failed(why) => {
                output.problem(&why)?;
                return Ok((Ending::Incomplete, service));
            }
        }
        if Instant::now() >= deadline {
            bail!("the deployment has not ended within {} s: {last}", limit.as_secs());
        }
        sleep(PAUSE).await;
    }
}

/// How the deployment stands; `failed` remembers why it failed, until what replaces it is there.
fn outcome(service: &Service, id: &str, failed: &mut Option<String>) -> Outcome {
    let ours = service.deployments.iter().find(|deployment| deployment.id() == id);
    let primary = service.deployments.first();
    if let Some(ours) = ours
        && ours.rollout_state() == "FAILED"
        && failed.is_none()
    {
        let definition = ids::of_arn(ours.task_definition());
        *failed = Some(format!(
            "deployment of {definition} failed: {}",
            ours.rollout_state_reason()
        ));
    }
    let is_ours = primary.is_some_and(|primary| primary.id() == id);
    let goes_on = primary.is_some_and(|primary| primary.rollout_state() == "IN_PROGRESS");
    match failed {
        Some(why) if is_ours || !goes_on => Outcome::Failed(why.clone()),
        Some(_) => Outcome::Running,
        None if is_ours && goes_on => Outcome::Running,
        None if is_ours && settled(service) => Outcome::Completed,
        None if is_ours => Outcome::Running,
        None => Outcome::Failed("another deployment has taken the place of this one".to_owned()),
    }
}

/// As the waiter `services-stable` has it.
fn settled(service: &Service) -> bool {
    service.deployments.len() == 1 && service.running_count() == service.desired_count()
}

/// `[########............] web:3 2/5, 1 pending; web:2 3 running`
fn line(service: &Service) -> String {
    let mut line = String::new();
    for (at, deployment) in service.deployments.iter().enumerate() {
        let definition = ids::of_arn(deployment.task_definition());
        let (running, desired) = (deployment.running_count(), deployment.desired_count());
        if at == 0 {
            line = format!("[{}] {definition} {running}/{desired}", bar(running, desired));
        } else {
            line.push_str(&format!("; {definition} {running} running"));
        }
        if deployment.pending_count() > 0 {
            line.push_str(&format!(", {} pending", deployment.pending_count()));
        }
        if deployment.failed_tasks() > 0 {
            line.push_str(&format!(", {} failed", deployment.failed_tasks()));
        }
    }
    line
}

fn bar(running: i32, desired: i32) -> String {
    let full = match desired {
        0 => BAR,
        desired => (running.min(desired) * BAR) / desired,
    };
    (0..BAR).map(|cell| if cell < full { '#' } else { '.' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(id: &str, definition: &str, counts: (i32, i32, i32), rollout: &str) -> Deployment {
        let (desired, running, pending) = counts;
        Deployment {
            id: Some(id.to_owned()),
            task_definition: Some(format!("arn:aws:ecs:x:0:task-definition/{definition}")),
            desired_count: Some(desired),
            running_count: Some(running),
            pending_count: Some(pending),
            rollout_state: Some(rollout.to_owned()),
            rollout_state_reason: Some("tasks failed to start.".to_owned()),
            ..Default::default()
        }
    }

    fn service(deployments: Vec<Deployment>) -> Service {
        Service {
            desired_count: Some(4),
            running_count: Some(deployments.iter().map(Deployment::running_count).sum()),
            deployments,
            ..Default::default()
        }
    }

    #[test]
    fn a_line_has_the_new_deployments_bar_and_what_runs_of_the_old() {
        let both = service(vec![
            deployment("2", "web:3", (4, 1, 2), "IN_PROGRESS"),
            deployment("1", "web:2", (0, 3, 0), "COMPLETED"),
        ]);
        assert_eq!(
            line(&both),
            "[#####...............] web:3 1/4, 2 pending; web:2 3 running"
        );
    }

    #[test]
    fn a_deployment_is_watched_until_it_is_alone_and_complete() {
        let mut failed = None;
        let old = deployment("1", "web:2", (0, 1, 0), "COMPLETED");
        let mut new = deployment("2", "web:3", (4, 4, 0), "IN_PROGRESS");
        let mut at = |deployments: Vec<Deployment>| outcome(&service(deployments), "2", &mut failed);
        assert_eq!(at(vec![new.clone(), old.clone()]), Outcome::Running);
        new.rollout_state = Some("COMPLETED".to_owned());
        assert_eq!(at(vec![new.clone(), old]), Outcome::Running);
        assert_eq!(at(vec![new]), Outcome::Completed);
    }

    #[test]
    fn a_deployment_that_is_rolled_back_fails_once_the_old_one_stands_again() {
        let mut failed = None;
        let new = deployment("2", "web:3", (0, 0, 0), "FAILED");
        let mut old = deployment("1", "web:2", (4, 3, 1), "IN_PROGRESS");
        let mut at = |deployments: Vec<Deployment>| outcome(&service(deployments), "2", &mut failed);
        assert_eq!(at(vec![old.clone(), new]), Outcome::Running);
        assert_eq!(at(vec![old.clone()]), Outcome::Running, "why it failed is remembered");
        old.rollout_state = Some("COMPLETED".to_owned());
        let why = "deployment of web:3 failed: tasks failed to start.".to_owned();
        assert_eq!(at(vec![old]), Outcome::Failed(why));
    }

    #[test]
    fn a_deployment_whose_place_another_takes_has_not_succeeded() {
        let other = service(vec![deployment("3", "web:4", (4, 0, 4), "IN_PROGRESS")]);
        assert!(matches!(outcome(&other, "2", &mut None), Outcome::Failed(_)));
    }
}
