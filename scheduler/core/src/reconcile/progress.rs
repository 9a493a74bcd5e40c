//! How far deployments are: when one has completed, when one is gone, when the service is as it should be.

use berth_model::id::InstanceId;
use berth_model::service::{DeploymentStatus, RolloutState, SchedulingStrategy};

use super::census::Standing;
use super::pass::Pass;
use super::{breaker, events, lost, rebalance};
use crate::service::{Breaker, Rollout, Subject};

/// Looks at what the step leaves.
pub(super) fn settle(pass: &mut Pass<'_>) {
    let whole = pass.step.launches.is_empty() && pass.step.stops.is_empty() && is_whole(pass);
    if whole {
        complete(pass);
    }
    breaker::follow(pass);
    drop_replaced(pass);
    let completed = pass
        .primary()
        .is_some_and(|primary| primary.rollout.state == RolloutState::Completed);
    let steady = whole && completed;
    let moving = pass.primary().is_some_and(|primary| primary.rebalance.is_some());
    // What moves between zones is no less steady for it.
    if steady || !moving {
        let message = steady.then(|| events::steady(pass.view.name));
        pass.note(Subject::SteadyState, message);
    }
    rebalance::look(pass, steady);
    warn_of_storm(pass);
}

/// Whether the service consists of healthy tasks of the primary deployment, as many as it wants, and of nothing else.
fn is_whole(pass: &Pass<'_>) -> bool {
    let Some(primary) = pass.primary() else {
        return false;
    };
    let members = &pass.census.members;
    let fits = members.iter().all(|member| {
        member.task.deployment == primary.id
            && member.standing == Standing::Healthy
            && (!member.is_draining() || member.protected || member.task.host.has_replicas)
    });
    let count = match pass.view.spec.scheduling {
        SchedulingStrategy::Replica => members.len() == pass.desired() + usize::from(primary.rebalance.is_some()),
        SchedulingStrategy::Daemon => {
            let has_task = |place: &InstanceId| members.iter().any(|member| member.task.host.id == *place);
            pass.view.places.iter().all(has_task)
        }
    };
    fits && count && pass.census.leaving() == 0
}

fn complete(pass: &mut Pass<'_>) {
    let (name, now) = (pass.view.name, pass.now);
    let Some(primary) = pass.primary_mut() else {
        return;
    };
    if primary.rollout.state != RolloutState::InProgress {
        return;
    }
    let id = primary.id;
    primary.rollout = Rollout {
        state: RolloutState::Completed,
        reason: format!("ECS deployment {id} completed.").into(),
    };
    primary.completed_at = Some(now);
    primary.updated_at = now;
    primary.failed_tasks = 0;
    primary.breaker = Breaker::default();
    pass.say(events::deployment_completed(name, id));
}

/// Lets go of deployments of which nothing runs and that nothing may have to go back to.
fn drop_replaced(pass: &mut Pass<'_>) {
    let now = pass.now;
    let completed = pass
        .primary()
        .is_some_and(|primary| primary.rollout.state == RolloutState::Completed);
    let way_back = pass.last_completed().map(|deployment| deployment.id);
    for deployment in &mut pass.deployments {
        let runs = pass.census.live.iter().any(|task| task.deployment == deployment.id);
        let needed = !completed && (way_back == Some(deployment.id) || deployment.is_being_left());
        if deployment.status == DeploymentStatus::Active && !runs && !needed {
            deployment.status = DeploymentStatus::Inactive;
            deployment.updated_at = now;
        }
    }
}

fn warn_of_storm(pass: &mut Pass<'_>) {
    let presence = pass.view.presence;
    let unknown = pass
        .census
        .members
        .iter()
        .any(|member| member.standing == Standing::Unknown);
    let storm = lost::is_storm(presence) && unknown;
    let message = storm.then(|| events::storm(pass.view.name, presence));
    pass.note(Subject::Storm, message);
}
