//! Tasks move until zones have equally many: one at a time, the new one healthy before an old one stops (ECS guide,
//! "Balancing an Amazon ECS service across Availability Zones").

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use berth_model::service::{RolloutState, SchedulingStrategy};

use super::Place;
use super::census::{Member, Standing};
use super::events;
use super::pass::Pass;
use crate::service::{Rebalance, Subject};

/// How long a service is left as it is after a task could not be moved, unless its cluster gets room.
const RESTS_FOR: Duration = Duration::from_secs(30 * 60);

/// How many tasks more than wanted there are to be: one while a task is being moved.
pub(super) fn extra(pass: &mut Pass<'_>, keep: &[Member<'_>]) -> usize {
    let desired = pass.desired();
    let may = pass.view.spec.zone_rebalancing && pass.ceiling() > desired;
    let healthy = keep
        .iter()
        .filter(|member| member.standing == Standing::Healthy)
        .count();
    let name = pass.view.name;
    let Some(primary) = pass.primary_mut() else {
        return 0;
    };
    let Some(moving) = primary.rebalance.take() else {
        return 0;
    };
    if !may || primary.rollout.state != RolloutState::Completed {
        pass.note(Subject::ZoneBalance, None);
        return 0;
    }
    if healthy > desired {
        pass.rebalanced = true;
        return 0;
    }
    if keep.len() <= desired {
        pass.note(Subject::ZoneBalance, Some(events::rebalance_stopped(name)));
        return 0;
    }
    primary.rebalance = Some(moving);
    1
}

/// Begins to move a task, where the service is steady and a zone has two more than another.
pub(super) fn look(pass: &mut Pass<'_>, steady: bool) {
    let spec = pass.view.spec;
    if !spec.zone_rebalancing || spec.scheduling == SchedulingStrategy::Daemon {
        return pass.note(Subject::ZoneBalance, None);
    }
    let moving = pass.primary().is_some_and(|primary| primary.rebalance.is_some());
    if !steady || moving || pass.view.zones.len() < 2 || pass.ceiling() <= pass.desired() {
        return;
    }
    let zones = tasks_by_zone(pass);
    let emptiest = pass
        .view
        .zones
        .iter()
        .map(|zone| (zones.get(zone).copied().unwrap_or(0), zone))
        .min();
    let fullest = zones.values().copied().max().unwrap_or(0);
    let Some((least, zone)) = emptiest else {
        return;
    };
    if fullest - least < 2 {
        return balanced(pass, &zones);
    }
    if !rests(pass) {
        begin(pass, Arc::clone(zone), &zones);
    }
}

fn begin(pass: &mut Pass<'_>, zone: Arc<str>, zones: &BTreeMap<Arc<str>, usize>) {
    let (name, now) = (pass.view.name, pass.now);
    let Some(primary) = pass.primary_mut() else {
        return;
    };
    let id = primary.id;
    let under_way = primary
        .notices
        .iter()
        .any(|notice| notice.about == Subject::ZoneBalance && *notice.message != *events::rebalance_stopped(name));
    primary.rebalance = Some(Rebalance {
        zone: Arc::clone(&zone),
        at: now,
    });
    if !under_way {
        pass.note(Subject::ZoneBalance, Some(events::unbalanced(name, zones)));
    }
    pass.launch(id, Place::Zone(zone), 0);
}

fn balanced(pass: &mut Pass<'_>, zones: &BTreeMap<Arc<str>, usize>) {
    let name = pass.view.name;
    let Some(primary) = pass.primary_mut() else {
        return;
    };
    let told = primary.notices.len();
    primary.notices.retain(|notice| notice.about != Subject::ZoneBalance);
    if primary.notices.len() < told {
        pass.say(events::balanced(name, zones));
    }
}

/// Whether a move failed lately and nothing suggests that the next would not.
fn rests(pass: &mut Pass<'_>) -> bool {
    let stopped = events::rebalance_stopped(pass.view.name);
    let last = pass.primary().and_then(|primary| {
        let of_it = |about| about == Subject::ZoneBalance;
        primary
            .notices
            .iter()
            .find(|notice| of_it(notice.about) && *notice.message == *stopped)
            .map(|notice| notice.at)
    });
    let Some(at) = last else {
        return false;
    };
    let until = at + RESTS_FOR;
    let has_room = pass.view.room_since.is_some_and(|since| since > at);
    if has_room || until <= pass.now {
        return false;
    }
    pass.wake_at(until);
    true
}

fn tasks_by_zone(pass: &Pass<'_>) -> BTreeMap<Arc<str>, usize> {
    let mut zones: BTreeMap<Arc<str>, usize> = pass.view.zones.iter().map(|zone| (Arc::clone(zone), 0)).collect();
    for member in &pass.census.members {
        if let Some(zone) = &member.task.host.zone {
            *zones.entry(Arc::clone(zone)).or_default() += 1;
        }
    }
    zones
}
