//! Which tasks go first: not RUNNING before unhealthy before not yet healthy before healthy, those of an instance that
//! drains before others, then those of the zone that has most, of the instance that has most, and the youngest. Those of
//! a service that packs them go from where the most is free afterwards, so that instances become empty (ECS guide, "Use
//! strategies to define Amazon ECS task placement").

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_model::id::{InstanceId, TaskId};
use berth_model::placement::{PackBy, SpreadKey, Strategy};
use berth_model::time::Timestamp;

use super::census::Member;
use super::{Host, TaskView};

type Zone = Option<Arc<str>>;

/// The candidates in the order in which they go. Where `population`, of which they are a part, runs decides which zone
/// and which instance has most; `first` says which of them go before all others.
pub(super) fn order<'v>(
    candidates: Vec<Member<'v>>,
    population: &[Member<'v>],
    strategies: &[Strategy],
    first: impl Fn(&Member<'v>) -> bool,
) -> Vec<Member<'v>> {
    let mut crowd = Crowd::of(population, Rule::of(strategies));
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

/// What the strategies of a service say about its tasks that go.
#[derive(Debug, Clone, Copy)]
struct Rule {
    /// Whether zones are kept equal.
    zones: bool,
    /// What is packed within a zone, or over all instances.
    pack: Option<PackBy>,
}

impl Rule {
    fn of(strategies: &[Strategy]) -> Self {
        let over_attribute = |strategy: &&Strategy| matches!(strategy, Strategy::Spread(SpreadKey::Attribute(_)));
        let spreads = strategies.iter().take_while(over_attribute).count();
        // After any other strategy there is nothing left to pack.
        let pack = match strategies.get(spreads) {
            Some(Strategy::Binpack(by)) => Some(*by),
            Some(Strategy::Random | Strategy::Spread(_)) | None => None,
        };
        Self {
            zones: spreads > 0 || pack.is_none(),
            pack,
        }
    }
}

/// Where the tasks of a service are, and what is free there as they go.
#[derive(Debug)]
struct Crowd {
    rule: Rule,
    zones: BTreeMap<Zone, usize>,
    /// By instance how many tasks it has, or what those that went have left free.
    instances: BTreeMap<InstanceId, u64>,
}

impl Crowd {
    fn of(population: &[Member<'_>], rule: Rule) -> Self {
        let mut crowd = Self {
            rule,
            zones: BTreeMap::new(),
            instances: BTreeMap::new(),
        };
        for member in population {
            let host = &member.task.host;
            *crowd.zones.entry(crowd.zone(host)).or_default() += 1;
            *crowd.instances.entry(host.id).or_default() += u64::from(rule.pack.is_none());
        }
        crowd
    }

    /// The zone that an instance counts to.
    fn zone(&self, host: &Host) -> Zone {
        host.zone.clone().filter(|_| self.rule.zones)
    }

    /// The more, the sooner the task goes.
    fn weight(&self, task: &TaskView) -> u64 {
        let on = self.instances.get(&task.host.id).copied().unwrap_or(0);
        let free = match self.rule.pack {
            Some(PackBy::Cpu) => task.host.free_cpu.0,
            Some(PackBy::Memory) => task.host.free_memory.0,
            None => return on,
        };
        on + self.left_by(task) + u64::from(free)
    }

    /// What the task leaves free of what is packed.
    fn left_by(&self, task: &TaskView) -> u64 {
        match self.rule.pack {
            Some(PackBy::Cpu) => task.cpu.0.into(),
            Some(PackBy::Memory) => task.memory.0.into(),
            None => 0,
        }
    }

    fn leave(&mut self, member: &Member<'_>) {
        let task = member.task;
        if let Some(count) = self.zones.get_mut(&self.zone(&task.host)) {
            *count = count.saturating_sub(1);
        }
        let left = self.left_by(task);
        if let Some(on) = self.instances.get_mut(&task.host.id) {
            *on = match self.rule.pack {
                Some(_) => *on + left,
                None => on.saturating_sub(1),
            };
        }
    }
}

/// By how much its youngest task weighs, then by how young that is: what ranks instances of a zone.
type Rank = (u64, Timestamp, TaskId, InstanceId);

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
                let zone = pool.zones.entry(crowd.zone(&youngest.task.host)).or_default();
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
        let (_, heaviest, zone) = self.zones.iter().filter_map(fullest).max()?;
        let instance = heaviest.3;
        let ranks = self.zones.get_mut(&zone)?;
        ranks.remove(&heaviest);
        let members = self.instances.get_mut(&instance)?;
        let taken = members.pop()?;
        crowd.leave(&taken);
        if let Some(next) = members.last() {
            ranks.insert(rank(next, instance, crowd));
        }
        Some(taken)
    }
}

fn rank(youngest: &Member<'_>, instance: InstanceId, crowd: &Crowd) -> Rank {
    let task = youngest.task;
    (crowd.weight(task), task.created_at, task.id, instance)
}
