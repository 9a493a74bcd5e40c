//! Which tasks go first: not RUNNING before unhealthy before not yet healthy before healthy, those of an instance that
//! drains before others, then those of the zone that has most, of the instance that has most, and the youngest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_model::id::{InstanceId, TaskId};
use berth_model::time::Timestamp;

use super::census::Member;

type Zone = Option<Arc<str>>;

/// The candidates in the order in which they go. Where `population`, of which they are a part, runs decides which zone
/// and which instance has most; `first` says which of them go before all others.
pub(super) fn order<'v>(
    candidates: Vec<Member<'v>>,
    population: &[Member<'v>],
    first: impl Fn(&Member<'v>) -> bool,
) -> Vec<Member<'v>> {
    let mut crowd = Crowd::of(population);
    let mut classes: BTreeMap<_, Vec<Member<'v>>> = BTreeMap::new();
    for member in candidates {
        let class = (!first(&member), member.standing, !member.is_draining());
        classes.entry(class).or_default().push(member);
    }
    let mut ordered = Vec::new();
    for members in classes.into_values() {
        Pool::of(members, &crowd).drain(&mut crowd, &mut ordered);
    }
    ordered
}

/// How many tasks each zone and each instance has.
#[derive(Debug, Default)]
struct Crowd {
    zones: BTreeMap<Zone, usize>,
    instances: BTreeMap<InstanceId, usize>,
}

impl Crowd {
    fn of(population: &[Member<'_>]) -> Self {
        let mut crowd = Self::default();
        for member in population {
            *crowd.zones.entry(member.task.host.zone.clone()).or_default() += 1;
            *crowd.instances.entry(member.task.host.id).or_default() += 1;
        }
        crowd
    }

    fn on(&self, instance: InstanceId) -> usize {
        self.instances.get(&instance).copied().unwrap_or(0)
    }

    fn leave(&mut self, member: &Member<'_>) {
        let host = &member.task.host;
        let counts = [self.zones.get_mut(&host.zone), self.instances.get_mut(&host.id)];
        for count in counts.into_iter().flatten() {
            *count = count.saturating_sub(1);
        }
    }
}

/// By how much an instance has, then by its youngest task: what ranks instances of a zone.
type Rank = (usize, Timestamp, TaskId, InstanceId);

/// Tasks that only where they run and their age tell apart.
#[derive(Debug, Default)]
struct Pool<'v> {
    /// Those of each instance, the youngest last.
    instances: BTreeMap<InstanceId, Vec<Member<'v>>>,
    zones: BTreeMap<Zone, BTreeSet<Rank>>,
}

impl<'v> Pool<'v> {
    fn of(mut members: Vec<Member<'v>>, crowd: &Crowd) -> Self {
        let mut pool = Self::default();
        members.sort_by_key(|member| (member.task.created_at, member.task.id));
        for member in members {
            pool.instances.entry(member.task.host.id).or_default().push(member);
        }
        for (instance, members) in &pool.instances {
            if let Some(youngest) = members.last() {
                let zone = pool.zones.entry(youngest.task.host.zone.clone()).or_default();
                zone.insert(rank(youngest, *instance, crowd));
            }
        }
        pool
    }

    /// Takes all out in order.
    fn drain(mut self, crowd: &mut Crowd, ordered: &mut Vec<Member<'v>>) {
        while let Some(member) = self.take(crowd) {
            ordered.push(member);
        }
    }

    fn take(&mut self, crowd: &mut Crowd) -> Option<Member<'v>> {
        let fullest = |(zone, ranks): (&Zone, &BTreeSet<Rank>)| {
            let rank = *ranks.last()?;
            Some((crowd.zones.get(zone).copied().unwrap_or(0), rank, zone.clone()))
        };
        let (_, rank, zone) = self.zones.iter().filter_map(fullest).max()?;
        let instance = rank.3;
        let ranks = self.zones.get_mut(&zone)?;
        ranks.remove(&rank);
        let members = self.instances.get_mut(&instance)?;
        let taken = members.pop()?;
        crowd.leave(&taken);
        if let Some(next) = members.last() {
            ranks.insert((crowd.on(instance), next.task.created_at, next.task.id, instance));
        }
        Some(taken)
    }
}

fn rank(youngest: &Member<'_>, instance: InstanceId, crowd: &Crowd) -> Rank {
    (crowd.on(instance), youngest.task.created_at, youngest.task.id, instance)
}
