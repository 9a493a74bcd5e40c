//! A deployment that fails too often is given up, and the service goes back to the one that completed last (ECS guide,
//! "Deployment circuit breaker"). A user who stops a deployment has it go back too (ECS API, StopServiceDeployment).

use std::sync::Arc;

use berth_model::id::DeploymentId;
use berth_model::service::{DeploymentStatus, Percent, RolloutState};

use super::events;
use super::pass::Pass;
use crate::service::{Breaker, Deployment, Rollback, RollbackState, Rollout, Traffic};

/// What a rollback says that the breaker asked for.
const ROLLED_BACK: &str = "Service deployment rolled back because the circuit breaker threshold was exceeded.";
/// What a rollback says that has nowhere to go.
const NO_CANDIDATE: &str = "No rollback candidate was found to run the rollback.";

/// Gives the primary deployment up where it has failed too often, or where a user asked for it.
pub(super) fn judge(pass: &mut Pass<'_>) {
    let Some(primary) = pass.primary() else {
        return;
    };
    let (id, requested) = (primary.id, primary.is_stop_requested());
    if primary.rollout.state == RolloutState::InProgress && trips(pass, primary) {
        fail(pass, id);
    } else if requested {
        stop(pass, id);
    }
    follow(pass);
}

fn trips(pass: &Pass<'_>, primary: &Deployment) -> bool {
    let breaker = pass.configuration().circuit_breaker;
    let desired = u32::try_from(pass.desired()).unwrap_or(u32::MAX);
    breaker.enable && primary.breaker.failures >= breaker.threshold.failures(desired)
}

/// Ends the deployment, and begins to go back where the service is told to.
fn fail(pass: &mut Pass<'_>, id: DeploymentId) {
    let (name, now) = (pass.view.name, pass.now);
    let to = pass.last_completed().map(|target| target.id);
    let rollback = pass.configuration().circuit_breaker.rollback.then(|| Rollback {
        to,
        at: now,
        reason: if to.is_some() { ROLLED_BACK } else { NO_CANDIDATE }.into(),
        state: match to {
            Some(_) => RollbackState::InProgress,
            None => RollbackState::Failed,
        },
    });
    let goes_back = rollback.is_some();
    if let Some(failed) = pass.deployment_mut(id) {
        failed.rollout = Rollout {
            state: RolloutState::Failed,
            reason: "ECS deployment circuit breaker: tasks failed to start.".into(),
        };
        failed.rollback = rollback;
        failed.updated_at = now;
    }
    pass.say(events::deployment_failed(name, id));
    let failed = pass.deployments.iter().find(|deployment| deployment.id == id);
    let first = failed.and_then(|failed| failed.explained.first.as_deref());
    if let Some(message) = first.map(|cause| events::failed_first(name, id, cause)) {
        pass.say(message);
    }
    if let Some(target) = to.filter(|_| goes_back) {
        let reason = format!("ECS deployment circuit breaker: rolling back to deploymentId {target}.");
        go_back(pass, id, target, reason.into());
    }
}

/// Goes back because a user said so.
fn stop(pass: &mut Pass<'_>, id: DeploymentId) {
    let now = pass.now;
    let to = pass.last_completed().map(|target| target.id);
    if let Some(stopped) = pass.deployment_mut(id) {
        if let Some(rollback) = &mut stopped.rollback {
            rollback.to = to;
            rollback.state = match to {
                Some(_) => RollbackState::InProgress,
                None => {
                    rollback.reason = NO_CANDIDATE.into();
                    RollbackState::Failed
                }
            };
        }
        stopped.updated_at = now;
    }
    if let Some(target) = to {
        go_back(pass, id, target, events::in_progress(target).into());
    }
}

/// Makes `target` what the service is to consist of.
fn go_back(pass: &mut Pass<'_>, from: DeploymentId, target: DeploymentId, reason: Arc<str>) {
    let now = pass.now;
    if let Some(left) = pass.deployment_mut(from) {
        left.status = DeploymentStatus::Active;
        left.back_off = None;
        left.notices.clear();
    }
    let shifts = pass.configuration().shift.is_some();
    if let Some(target) = pass.deployment_mut(target) {
        // Its tasks are there: it gets all traffic back at once.
        target.traffic = shifts.then_some(Traffic {
            percent: Percent::ALL,
            since: now,
        });
        target.status = DeploymentStatus::Primary;
        target.rollout = Rollout {
            state: RolloutState::InProgress,
            reason,
        };
        target.failed_tasks = 0;
        target.breaker = Breaker::default();
        target.back_off = None;
        target.notices.clear();
        target.updated_at = now;
    }
}

/// Sees rollbacks to their end.
pub(super) fn follow(pass: &mut Pass<'_>) {
    let Some((primary, state)) = pass.primary().map(|primary| (primary.id, primary.rollout.state)) else {
        return;
    };
    let now = pass.now;
    for deployment in &mut pass.deployments {
        let Some(rollback) = &mut deployment.rollback else {
            continue;
        };
        if rollback.state != RollbackState::InProgress {
            continue;
        }
        rollback.state = match state {
            // Another deployment took its place.
            _ if rollback.to != Some(primary) => RollbackState::Failed,
            RolloutState::Failed => RollbackState::Failed,
            RolloutState::Completed => RollbackState::Successful,
            RolloutState::InProgress => continue,
        };
        deployment.updated_at = now;
    }
}

impl Deployment {
    fn is_stop_requested(&self) -> bool {
        let state = self.rollback.as_ref().map(|rollback| rollback.state);
        state == Some(RollbackState::Requested)
    }

    /// Whether its service is on its way back from it.
    pub(super) fn is_being_left(&self) -> bool {
        let state = self.rollback.as_ref().map(|rollback| rollback.state);
        state == Some(RollbackState::InProgress)
    }
}
