//! Traffic that moves to a deployment which is there whole before any task of the last one stops: BLUE_GREEN, CANARY and
//! LINEAR (ECS guide, "Blue/green deployments").
//!
//! The same machine as for rolling deployments launches and stops; this says when it must leave the last deployment's
//! tasks alone, and how much of the traffic is whose.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use berth_model::id::{DeploymentId, TaskId};
use berth_model::service::{Percent, RolloutState, Shift};

use super::census::{Member, Standing};
use super::events;
use super::pass::Pass;
use crate::service::{Deployment, ServiceSpec, Traffic};

/// Moves the traffic on where that is due.
pub(super) fn advance(pass: &mut Pass<'_>) {
    let Some((shift, primary)) = moving(pass) else {
        return;
    };
    let (id, traffic) = (primary.id, primary.traffic);
    let healthy = pass
        .members_of(id)
        .filter(|member| member.standing == Standing::Healthy);
    if healthy.count() < pass.desired() {
        return;
    }
    let now = pass.now;
    let percent = match traffic {
        None => shift.after(Percent::default()),
        Some(traffic) => {
            let due = traffic.since + shift.pause_at(traffic.percent);
            if now < due {
                pass.wake_at(due);
                return;
            }
            if traffic.percent >= Percent::ALL {
                return;
            }
            shift.after(traffic.percent)
        }
    };
    if let Some(primary) = pass.primary_mut() {
        primary.traffic = Some(Traffic { percent, since: now });
        primary.updated_at = now;
    }
    pass.say(events::traffic_shifted(pass.view.name, id, percent));
    pass.wake_at(now + shift.pause_at(percent));
}

/// The last deployment, and how many tasks it lacks, as long as it has traffic.
pub(super) fn lacking(pass: &Pass<'_>) -> Option<(DeploymentId, usize)> {
    let (_, primary) = moving(pass)?;
    let last = last(&pass.deployments).filter(|_| leaves_some(primary))?;
    let fit = pass.members_of(last.id).filter(|member| is_fit(member)).count();
    let lacks = pass.desired().saturating_sub(fit);
    (lacks > 0).then_some((last.id, lacks))
}

/// Whether the deployment before this one has traffic.
fn leaves_some(primary: &Deployment) -> bool {
    primary.traffic.is_none_or(|traffic| traffic.percent < Percent::ALL)
}

fn is_fit(member: &Member<'_>) -> bool {
    !member.is_draining() && member.standing != Standing::Unhealthy
}

/// The tasks that stay although their deployment is not the primary any more, until that has had all traffic for long
/// enough: as many as the service wants, the best of them.
///
/// As long as they have traffic those on instances that drain stay too until others are healthy in their place.
pub(super) fn held(pass: &Pass<'_>) -> BTreeSet<TaskId> {
    let Some((shift, primary)) = moving(pass) else {
        return BTreeSet::new();
    };
    let is_over = |traffic: Traffic| {
        traffic.percent >= Percent::ALL && traffic.since + shift.pause_at(traffic.percent) <= pass.now
    };
    let last = last(&pass.deployments).filter(|_| !primary.traffic.is_some_and(is_over));
    let Some(last) = last else {
        return BTreeSet::new();
    };
    let mut members: Vec<&Member<'_>> = pass.members_of(last.id).collect();
    members.sort_by_key(|member| (Reverse(member.standing), member.task.id));
    let desired = pass.desired();
    let fit = members.iter().filter(|member| is_fit(member)).take(desired);
    let healthy = fit
        .clone()
        .filter(|member| member.standing == Standing::Healthy)
        .count();
    let drains = |member: &&&Member<'_>| member.is_draining() && member.standing != Standing::Unhealthy;
    let stay_on = match leaves_some(primary) {
        true => desired.saturating_sub(healthy),
        false => 0,
    };
    let draining = members.iter().filter(drains).take(stay_on);
    fit.chain(draining).map(|member| member.task.id).collect()
}

/// The one of these tasks that goes first where the ceiling leaves no room for another in its place: the worst of those
/// on instances that drain.
pub(super) fn first_to_go<'v>(pass: &Pass<'v>, held: &BTreeSet<TaskId>) -> Option<Member<'v>> {
    let drains = |member: &&Member<'_>| member.is_draining() && !member.protected && held.contains(&member.task.id);
    let members = pass.census.members.iter().filter(drains);
    members.min_by_key(|member| (member.standing, member.task.id)).copied()
}

/// The way traffic moves, and the deployment that it moves to, while it does.
fn moving<'p>(pass: &'p Pass<'_>) -> Option<(Shift, &'p Deployment)> {
    let shift = pass.configuration().shift?;
    let primary = pass.primary()?;
    let goes_back = pass.deployments.iter().any(Deployment::is_being_left);
    let has_last = last(&pass.deployments).is_some_and(|last| pass.members_of(last.id).next().is_some());
    let moves = primary.rollout.state == RolloutState::InProgress && !goes_back && has_last && pass.desired() > 0;
    moves.then_some((shift, primary))
}

/// The deployment that had the traffic: the one that completed last, besides the primary.
fn last(deployments: &[Deployment]) -> Option<&Deployment> {
    let completed = deployments.iter().filter(|deployment| !deployment.is_primary());
    completed
        .filter(|deployment| deployment.completed_at.is_some())
        .max_by_key(|deployment| deployment.completed_at)
}

/// How the traffic of a service is shared between deployments; empty where it goes by their tasks.
#[must_use]
pub fn shares(spec: &ServiceSpec, current: &[Deployment]) -> Vec<(DeploymentId, Percent)> {
    let primary = current.iter().find(|deployment| deployment.is_primary());
    let (Some(_), Some(primary)) = (spec.configuration.shift, primary) else {
        return Vec::new();
    };
    let Some(last) = last(current) else {
        return Vec::new();
    };
    if primary.rollout.state != RolloutState::InProgress {
        return Vec::new();
    }
    let own = primary.traffic.map_or(Percent::default(), |traffic| traffic.percent);
    let share = |deployment: &Deployment| {
        let percent = match deployment.id {
            id if id == primary.id => own,
            id if id == last.id => own.rest(),
            _ => Percent::default(),
        };
        (deployment.id, percent)
    };
    current.iter().map(share).collect()
}
