//! One task on each instance that is to have one (ECS guide, "Daemon scheduling strategy").
//!
//! No instance ever has two: the old one stops before the new one starts, as far as the floor allows it. On an instance
//! that drains, the task stays until those of other services have gone.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use berth_model::id::{DeploymentId, InstanceId};
use berth_model::service::RolloutState;

use super::budget::Budget;
use super::census::{Member, Standing};
use super::pass::Pass;
use super::{Place, events};
use crate::service::Subject;

/// Starts what is missing and stops what is too much or replaced.
pub(super) fn hold(pass: &mut Pass<'_>) {
    let Some(primary) = pass.primary() else {
        return;
    };
    let (primary, failed) = (primary.id, primary.rollout.state == RolloutState::Failed);
    let stand_in = pass.last_completed().filter(|_| failed).map(|stand_in| stand_in.id);
    let places: BTreeSet<InstanceId> = pass.view.places.iter().copied().collect();
    let fits = |member: &Member<'_>| {
        let deployment = member.task.deployment;
        (deployment == primary || Some(deployment) == stand_in) && member.standing != Standing::Unhealthy
    };

    clear(pass, &places, fits);
    launch(
        pass,
        &places,
        match (failed, stand_in) {
            (false, _) => Some((primary, usize::MAX)),
            (true, stand_in) => stand_in.map(|stand_in| (stand_in, pass.floor())),
        },
    );
    replace(pass, &places, fits);
}

/// Stops what has no place: on instances that drain and are otherwise empty, that satisfy the constraints no longer, or
/// that have a better one.
fn clear(pass: &mut Pass<'_>, places: &BTreeSet<InstanceId>, fits: impl Fn(&Member<'_>) -> bool) {
    let mut on: BTreeMap<InstanceId, Vec<Member<'_>>> = BTreeMap::new();
    for member in &pass.census.members {
        on.entry(member.task.host.id).or_default().push(*member);
    }
    let mut surplus = Vec::new();
    for (instance, mut members) in on {
        if places.contains(&instance) {
            members.sort_by_key(|member| (Reverse((fits(member), member.standing)), member.task.created_at));
            surplus.extend(members.into_iter().skip(1));
        } else {
            surplus.extend(members.into_iter().filter(|member| has_no_place(member)));
        }
    }
    for member in surplus {
        if member.protected {
            pass.wake_at(member.task.protected_until.unwrap_or(pass.now));
        } else {
            pass.stop(member.task, None);
        }
    }
}

/// Whether a task has to leave an instance that is to have none. One whose agent is away for a moment need not.
const fn has_no_place(member: &Member<'_>) -> bool {
    let host = &member.task.host;
    if host.draining {
        !host.has_replicas
    } else {
        host.disconnected_since.is_none()
    }
}

/// Launches tasks of the deployment on instances that have none, until so many instances have one.
fn launch(pass: &mut Pass<'_>, places: &BTreeSet<InstanceId>, launcher: Option<(DeploymentId, usize)>) {
    let Some((deployment, up_to)) = launcher else {
        return;
    };
    let taken: BTreeSet<InstanceId> = pass
        .view
        .tasks
        .iter()
        .filter(|task| task.phase < super::Phase::Stopped)
        .map(|task| task.host.id)
        .collect();
    let held = pass
        .census
        .members
        .iter()
        .filter(|member| places.contains(&member.task.host.id))
        .count();
    let empty: Vec<_> = places
        .difference(&taken)
        .copied()
        .take(up_to.saturating_sub(held))
        .collect();
    if !empty.is_empty() && pass.may_launch(deployment) {
        pass.launch(deployment, Place::On(empty), 0);
    }
}

/// Stops tasks that others are to replace, as far as the floor allows it.
fn replace(pass: &mut Pass<'_>, places: &BTreeSet<InstanceId>, fits: impl Fn(&Member<'_>) -> bool) {
    let in_place = |member: &&Member<'_>| places.contains(&member.task.host.id);
    let members: Vec<_> = pass.census.members.iter().filter(in_place).copied().collect();
    let (keep, mut old): (Vec<Member<'_>>, Vec<_>) = members.iter().partition(|member| fits(member));
    let (desired, floor) = (pass.desired(), pass.floor());
    let unsettled = keep.iter().filter(|member| member.standing < Standing::Healthy).count();
    let starting: usize = pass
        .step
        .launches
        .iter()
        .filter_map(|launch| usize::try_from(launch.place.count()).ok())
        .sum();
    let mut budget = Budget::of(&members, desired, floor, unsettled + starting + pass.census.stopping());
    old.sort_by_key(|member| (member.standing, Reverse(member.task.created_at), member.task.id));
    let mut stuck = false;
    for member in old {
        if member.protected && member.standing != Standing::Unhealthy {
            pass.wake_at(member.task.protected_until.unwrap_or(pass.now));
            continue;
        }
        let unhealthy = member.standing == Standing::Unhealthy;
        let goes = if unhealthy {
            budget.spend_unhealthy()
        } else {
            budget.spend(member.standing)
        };
        if goes {
            pass.stop_member(&member);
        } else {
            stuck |= !unhealthy;
        }
    }
    let locked = stuck && desired > 0 && floor >= desired;
    let message = locked.then(|| events::deadlock(pass.view.name));
    pass.note(Subject::Deadlock, message);
}
