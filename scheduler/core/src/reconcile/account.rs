//! What tasks that ended and tasks that fail their health checks say of their deployment. Each is counted once: an ended
//! task is shown to one step, and one that fails is remembered until it passes or is gone.

use std::collections::BTreeSet;

use berth_model::id::{DeploymentId, TaskId};
use berth_model::service::RolloutState;
use berth_model::status::StopCode;
use berth_model::time::Timestamp;

use super::census::Standing;
use super::pass::Pass;
use super::{Phase, TaskView, events};
use crate::service::{BackOff, BackOffCause, Deployment, Explained, Subject};

/// Attempts in a row that fail before that is said.
const SAID_AFTER: u32 = 3;

/// Counts what ended and what fails, and clears what has recovered.
pub(super) fn account(pass: &mut Pass<'_>) {
    recover(pass);
    for task in pass.census.ended.clone() {
        ended(pass, task);
    }
    use_what_is_free(pass);
    checks(pass);
}

/// Why the end of the task speaks against its deployment.
fn failure(task: &TaskView, pass: &Pass<'_>) -> Option<BackOffCause> {
    let of_its_own = match task.stop_code {
        // What was stopped by somebody, or with its host, says nothing of what it ran.
        Some(
            StopCode::UserInitiated
            | StopCode::ServiceSchedulerInitiated
            | StopCode::SpotInterruption
            | StopCode::TerminationNotice
            | StopCode::InfrastructureHealth,
        ) => false,
        Some(StopCode::TaskFailedToStart | StopCode::EssentialContainerExited) | None => true,
    };
    if !of_its_own {
        return None;
    }
    let Some(since) = task.running_since else {
        return Some(BackOffCause::Launch);
    };
    // On ECS a task that was RUNNING never counts. One that ends this soon was at no time more than that.
    let ended_at = task.ended_at.unwrap_or(pass.now);
    (ended_at < since + pass.view.timing.stability).then_some(BackOffCause::Exit)
}

fn ended(pass: &mut Pass<'_>, task: &TaskView) {
    let Some(cause) = failure(task, pass) else {
        return;
    };
    explain(pass, task);
    let now = pass.now;
    if let Some(deployment) = pass.deployment_mut(task.deployment) {
        deployment.count_failure(now);
        deployment.back_off = Some(BackOff::after(deployment.back_off, cause, task.created_at, now));
    }
}

/// Says why the task failed. Of a deployment the first few are told: whose tasks fail for ever fail for the same cause.
fn explain(pass: &mut Pass<'_>, task: &TaskView) {
    let name = pass.view.name;
    let (Some(cause), Some(deployment)) = (&task.cause, pass.deployment_mut(task.deployment)) else {
        return;
    };
    let explained = &mut deployment.explained;
    if explained.told >= Explained::MOST {
        return;
    }
    explained.told += 1;
    let message = events::task_failed(name, task.id, cause);
    explained
        .first
        .get_or_insert_with(|| format!("(task {}) {cause}", task.id).into());
    pass.say(message);
}

/// Tries again at once what found no room, now that a task of the service has left some: more would be stopped to make
/// room otherwise.
fn use_what_is_free(pass: &mut Pass<'_>) {
    if pass.census.ended.is_empty() {
        return;
    }
    for deployment in &mut pass.deployments {
        if let Some(back_off) = &mut deployment.back_off
            && back_off.cause == BackOffCause::Placement
        {
            back_off.until = back_off.until.min(pass.now);
        }
    }
}

/// Counts tasks that have begun to fail their health checks.
fn checks(pass: &mut Pass<'_>) {
    let now = pass.now;
    let unhealthy: Vec<_> = pass
        .census
        .members
        .iter()
        .filter(|member| member.standing == Standing::Unhealthy)
        .map(|member| member.task)
        .collect();
    let recovered: BTreeSet<TaskId> = pass
        .census
        .members
        .iter()
        .filter(|member| member.standing != Standing::Unhealthy)
        .map(|member| member.task.id)
        .collect();
    let live: BTreeSet<TaskId> = pass.view.live().map(|task| task.id).collect();
    for deployment in &mut pass.deployments {
        deployment
            .failing
            .retain(|task| live.contains(task) && !recovered.contains(task));
    }
    for task in unhealthy {
        let Some(deployment) = pass.deployment_mut(task.deployment) else {
            continue;
        };
        if !deployment.failing.contains(&task.id) {
            deployment.failing.push(task.id);
            deployment.count_failure(now);
            let message = events::failed_checks(pass.view.name, task, pass.target_group(task));
            pass.say(message);
            explain(pass, task);
        }
    }
}

/// Ends pauses whose cause is gone, and counts that stand against tasks that are healthy now.
fn recover(pass: &mut Pass<'_>) {
    let ids: Vec<DeploymentId> = pass.deployments.iter().map(|deployment| deployment.id).collect();
    for id in ids {
        let healthy = pass
            .members_of(id)
            .filter(|member| member.standing == Standing::Healthy)
            .count();
        let over = pass
            .deployments
            .iter()
            .find(|deployment| deployment.id == id)
            .and_then(|deployment| deployment.back_off)
            .is_some_and(|back_off| is_over(back_off, pass, id));
        let reset = pass.configuration().circuit_breaker.reset_on_healthy_task;
        let now = pass.now;
        if let Some(deployment) = pass.deployment_mut(id) {
            if over {
                deployment.back_off = None;
            }
            deployment.count_healthy(u32::try_from(healthy).unwrap_or(u32::MAX), reset, now);
        }
    }
}

/// Remembers how many tasks are healthy, to know when one more is.
pub(super) fn remember(pass: &mut Pass<'_>) {
    let Some(id) = pass.primary().map(|primary| primary.id) else {
        return;
    };
    let healthy = pass
        .members_of(id)
        .filter(|member| member.standing == Standing::Healthy)
        .count();
    if let Some(primary) = pass.primary_mut()
        && primary.rollout.state == RolloutState::InProgress
    {
        primary.breaker.healthy = u32::try_from(healthy).unwrap_or(u32::MAX);
    }
}

/// Whether a task that was launched since got further than the one that failed.
fn is_over(back_off: BackOff, pass: &Pass<'_>, id: DeploymentId) -> bool {
    let launched_since = |task: &TaskView| task.deployment == id && task.created_at > back_off.since;
    match back_off.cause {
        // Over when the next attempt is made, unless it fails too.
        BackOffCause::Placement => false,
        BackOffCause::Launch => {
            let ran = |task: &TaskView| task.running_since.is_some() && task.phase >= Phase::Running;
            pass.view.tasks.iter().any(|task| launched_since(task) && ran(task))
        }
        BackOffCause::Exit => pass
            .members_of(id)
            .any(|member| launched_since(member.task) && member.standing == Standing::Healthy),
    }
}

/// Says what hinders launches for longer than a moment.
pub(super) fn complain(pass: &mut Pass<'_>) {
    let back_off = pass.primary().and_then(|primary| primary.back_off);
    let cannot_start =
        back_off.filter(|back_off| back_off.cause == BackOffCause::Launch && back_off.attempts >= SAID_AFTER);
    let message = cannot_start.map(|_| events::cannot_start(pass.view.name));
    pass.note(Subject::CannotStart, message);
    if back_off.is_none_or(|back_off| back_off.cause != BackOffCause::Placement)
        && let Some(primary) = pass.primary_mut()
    {
        primary.notices.retain(|notice| notice.about != Subject::Unplaced);
    }
}

impl Deployment {
    /// A deployment that has completed or failed is not judged any more (ECS API, `Deployment.failedTasks`).
    fn count_failure(&mut self, now: Timestamp) {
        if self.is_primary() && self.rollout.state == RolloutState::InProgress {
            self.failed_tasks = self.failed_tasks.saturating_add(1);
            self.breaker.failures = self.breaker.failures.saturating_add(1);
            self.updated_at = now;
        }
    }

    fn count_healthy(&mut self, healthy: u32, reset: bool, now: Timestamp) {
        if !self.is_primary() || self.rollout.state != RolloutState::InProgress {
            return;
        }
        if healthy > self.breaker.healthy {
            if self.failed_tasks > 0 {
                self.failed_tasks = 0;
                self.updated_at = now;
            }
            if reset {
                self.breaker.failures = 0;
            }
        }
    }
}
