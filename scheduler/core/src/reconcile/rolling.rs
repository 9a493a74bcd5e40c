//! A count of tasks, held and replaced between the floor and the ceiling (ECS guide, "Rolling update").
//!
//! Tasks are of two kinds. Those to keep are of the primary deployment and fit to stay. Those to replace are of other
//! deployments, unhealthy, or on an instance that drains; they stay until others are healthy in their place, or until
//! there is no other way to make room for these and the floor allows it.

use std::collections::BTreeSet;

use berth_model::id::{DeploymentId, TaskId};
use berth_model::service::RolloutState;

use super::budget::Budget;
use super::census::{Member, Standing};
use super::pass::Pass;
use super::{Place, events, rebalance, scale_in, shift};
use crate::service::Subject;

/// What a step wants of a service of type REPLICA.
#[derive(Debug)]
struct Plan<'v> {
    /// Which deployment may launch tasks, and how many tasks to keep it launches up to.
    launcher: DeploymentId,
    up_to: usize,
    /// How many tasks to keep there are to be at most.
    target: usize,
    desired: usize,
    floor: usize,
    ceiling: usize,
    keep: Vec<Member<'v>>,
    replace: Vec<Member<'v>>,
    /// Tasks that are neither kept nor replaced: the traffic is theirs.
    held: BTreeSet<TaskId>,
}

/// Starts what is missing and stops what is too much or replaced.
pub(super) fn hold(pass: &mut Pass<'_>) {
    stop_pending_on_draining(pass);
    let Some(mut plan) = Plan::of(pass) else {
        return;
    };
    let missing = plan.up_to.saturating_sub(plan.keep.len());
    let (lacking, relaunched) = hold_last(pass, &plan);
    let launches = launch(pass, &plan, missing, relaunched);
    if lacking > relaunched && plan.room(pass) <= launches + relaunched && pass.census.leaving() == 0 {
        plan.replace.extend(shift::first_to_go(pass, &plan.held));
    }
    stop(pass, &plan, missing + lacking, launches + relaunched);
    tell(pass, &plan, missing);
}

/// Launches what the last deployment lacks as long as it has traffic, before anything of the next; says how many that
/// is, and how many of them there is room for.
fn hold_last(pass: &mut Pass<'_>, plan: &Plan<'_>) -> (usize, usize) {
    let Some((last, lacking)) = shift::lacking(pass) else {
        return (0, 0);
    };
    let count = lacking.min(plan.room(pass));
    if count == 0 || !pass.may_launch(last) {
        return (lacking, 0);
    }
    let unhealthy = |member: &&Member<'_>| member.standing == Standing::Unhealthy;
    let replaced = pass.members_of(last).filter(unhealthy).count().min(count);
    pass.launch(
        last,
        Place::Anywhere(u32::try_from(count).unwrap_or(u32::MAX)),
        replaced,
    );
    (lacking, count)
}

/// What has not begun to run where it may not stay need not begin (ECS guide, "Container instance draining").
fn stop_pending_on_draining(pass: &mut Pass<'_>) {
    let leaves =
        |member: &&Member<'_>| member.standing == Standing::Pending && member.is_draining() && !member.protected;
    let leaving: Vec<_> = pass
        .census
        .members
        .iter()
        .filter(leaves)
        .map(|member| member.task)
        .collect();
    for task in leaving {
        pass.stop(task, None);
    }
}

impl<'v> Plan<'v> {
    fn of(pass: &mut Pass<'v>) -> Option<Self> {
        let (desired, floor, ceiling) = (pass.desired(), pass.floor(), pass.ceiling());
        let primary = pass.primary()?;
        let primary_id = primary.id;
        // A deployment that failed launches nothing more. Where the service does not go back, the one before it keeps
        // up the floor, and no more than that.
        let stands_in = match primary.rollout.state {
            RolloutState::Failed => Some(pass.last_completed().map(|stand_in| stand_in.id)),
            RolloutState::InProgress | RolloutState::Completed => None,
        };
        let (launcher, up_to) = match stands_in {
            None => (primary_id, desired),
            Some(Some(stand_in)) => (stand_in, floor),
            Some(None) => (primary_id, 0),
        };
        let stays = |member: &&Member<'v>| {
            (member.task.deployment == primary_id || member.task.deployment == launcher)
                && member.standing != Standing::Unhealthy
                && (!member.is_draining() || member.protected)
        };
        let held = shift::held(pass);
        let is_free = |member: &&Member<'v>| !held.contains(&member.task.id);
        let (keep, replace): (Vec<_>, Vec<_>) = pass.census.members.iter().filter(is_free).partition(stays);
        let extra = rebalance::extra(pass, &keep);
        Some(Self {
            launcher,
            up_to: up_to + extra,
            target: desired + extra,
            desired,
            floor,
            ceiling,
            keep,
            replace,
            held,
        })
    }

    fn healthy_kept(&self) -> usize {
        let healthy = |member: &&Member<'_>| member.standing == Standing::Healthy;
        self.keep.iter().filter(healthy).count()
    }

    /// Tasks to replace that others have replaced.
    fn replaced(&self) -> usize {
        let kept = self.healthy_kept().min(self.desired);
        (kept + self.replace.len()).saturating_sub(self.desired)
    }

    /// Room under the ceiling.
    fn room(&self, pass: &Pass<'_>) -> usize {
        self.ceiling.saturating_sub(pass.census.used())
    }
}

/// Launches what is missing as far as there is room besides what is launched already; says how many.
fn launch(pass: &mut Pass<'_>, plan: &Plan<'_>, missing: usize, launched: usize) -> usize {
    let count = missing.min(plan.room(pass).saturating_sub(launched));
    if count == 0 || !pass.may_launch(plan.launcher) {
        return 0;
    }
    let unhealthy =
        |member: &&Member<'_>| member.standing == Standing::Unhealthy && member.task.deployment == plan.launcher;
    let replaced = plan.replace.iter().filter(unhealthy).count().min(count);
    let place = Place::Anywhere(u32::try_from(count).unwrap_or(u32::MAX));
    pass.launch(plan.launcher, place, replaced);
    count
}

fn stop<'v>(pass: &mut Pass<'v>, plan: &Plan<'v>, missing: usize, launches: usize) {
    let surplus = plan.keep.len().saturating_sub(plan.target);
    let replaced = plan.replaced();
    let to_make = room_to_make(pass, plan, missing, launches);
    let old_pending = |member: &Member<'_>| member.standing == Standing::Pending;
    if surplus + replaced + to_make == 0 && !plan.replace.iter().any(old_pending) {
        wait_for_protected(pass, &plan.replace);
        return;
    }
    let unsettled = plan
        .keep
        .iter()
        .filter(|member| member.standing < Standing::Healthy)
        .count();
    let in_flight = unsettled + launches + pass.census.leaving();
    let mut budget = Budget::of(&pass.census.members, plan.desired, plan.floor, in_flight);
    let population = pass.census.members.clone();
    let strategies = &pass.view.strategies;

    let (mut replaced, mut to_make) = (replaced, to_make);
    for member in scale_in::order(stoppable(pass, &plan.replace), &population, strategies, |_| false) {
        let goes = match member.standing {
            // Nobody misses what has not run yet and is not to stay.
            Standing::Pending => true,
            _ if replaced > 0 => budget.spend(member.standing),
            Standing::Unhealthy => to_make > 0 && budget.spend_unhealthy(),
            Standing::Unknown => false,
            Standing::Settling | Standing::Healthy => to_make > 0 && budget.spend(member.standing),
        };
        if !goes {
            continue;
        }
        if replaced > 0 {
            replaced -= 1;
        } else {
            to_make = to_make.saturating_sub(1);
        }
        pass.stop_member(&member);
    }
    scale_in(pass, plan, surplus, &mut budget, &population);
}

/// Stops tasks to keep of which there are too many.
fn scale_in<'v>(pass: &mut Pass<'v>, plan: &Plan<'v>, surplus: usize, budget: &mut Budget, population: &[Member<'v>]) {
    if surplus == 0 {
        return;
    }
    // Where another deployment stands in for one that failed, the one that failed goes first.
    let failed = |member: &Member<'_>| member.task.deployment != plan.launcher;
    let strategies = &pass.view.strategies;
    let mut left = surplus;
    for member in scale_in::order(stoppable(pass, &plan.keep), population, strategies, failed) {
        if left == 0 {
            break;
        }
        if budget.spend(member.standing) {
            pass.stop(member.task, None);
            left -= 1;
        }
    }
}

/// Tasks that must stop before others can start: those that the ceiling keeps out, or all that are missing where no
/// instance has room for any.
fn room_to_make(pass: &Pass<'_>, plan: &Plan<'_>, missing: usize, launches: usize) -> usize {
    let wanted = missing - launches;
    if pass.found_no_room(plan.launcher) {
        return wanted.saturating_sub(pass.census.stopping());
    }
    let kept_out = missing.saturating_sub(plan.room(pass));
    kept_out.saturating_sub(pass.census.leaving())
}

/// Those that are not protected. Unhealthy ones never are. The next step comes when a protection ends.
fn stoppable<'v>(pass: &mut Pass<'_>, members: &[Member<'v>]) -> Vec<Member<'v>> {
    wait_for_protected(pass, members);
    let may = |member: &&Member<'v>| !member.protected || member.standing == Standing::Unhealthy;
    members.iter().filter(may).copied().collect()
}

fn wait_for_protected(pass: &mut Pass<'_>, members: &[Member<'_>]) {
    let ends = members.iter().filter(|member| member.protected);
    if let Some(first) = ends.filter_map(|member| member.task.protected_until).min() {
        pass.wake_at(first);
    }
}

/// Says what keeps the service from what it wants.
fn tell(pass: &mut Pass<'_>, plan: &Plan<'_>, missing: usize) {
    let (name, desired) = (pass.view.name, plan.desired);
    // Nothing can be started before something stops, and nothing may stop before something is started.
    let locked = plan.ceiling <= desired && plan.floor >= desired && desired > 0 && missing > 0;
    let old = |member: &Member<'_>| plan.replace.iter().any(|old| old.task.id == member.task.id);
    let members = &pass.census.members;
    let stuck = members
        .iter()
        .any(|member| member.standing > Standing::Unhealthy && old(member));
    let protected = members.iter().filter(|member| member.protected).count();
    pass.note(Subject::Deadlock, (locked && stuck).then(|| events::deadlock(name)));

    let primary = pass.primary().map(|primary| primary.id);
    let too_many = primary.filter(|_| protected > desired);
    pass.note(
        Subject::Protected,
        too_many.map(|primary| events::protected(name, primary)),
    );
}
