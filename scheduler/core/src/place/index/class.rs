//! Classes of instances: those that no request that was ever asked can tell apart, but by what they have free.

use std::collections::{BTreeMap, BTreeSet};

use super::ranking::{Cursor, Entry, Ranking, Slot};
use super::slots::Free;
use crate::place::order::Order;
use crate::state::Instance;

/// Number of a class.
pub(super) type ClassId = u32;
/// Number of a domain: a value of a facet, or the lack of it.
pub(super) type DomainId = u32;

/// Values of a facet by which classes are formed, at most: beyond it each instance is asked for itself.
const VALUES: usize = 64;
/// Classes, at most, for the same reason.
const CLASSES: usize = 1024;

/// Something about instances that requests ask about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Facet {
    /// An attribute of the name.
    Attribute(String),
    /// The agent's version.
    AgentVersion,
}

/// What an instance has of a facet: nothing, something without a value, or a value.
type Value = Option<Option<String>>;

impl Facet {
    fn of(&self, instance: &Instance) -> Value {
        match self {
            Self::Attribute(name) => instance.attribute(name).map(|value| value.map(str::to_owned)),
            Self::AgentVersion => Some(Some(instance.facts.agent_version.clone())),
        }
    }
}

/// A class.
#[derive(Debug)]
pub(super) struct Class {
    /// An instance of it, which stands for all.
    pub(super) example: Slot,
    /// Its instances.
    pub(super) members: BTreeSet<Slot>,
    /// By order, where one was asked for.
    rankings: [Option<Ranking>; Order::ALL.len()],
    /// Its domain in each facet that was ever spread over.
    domains: BTreeMap<usize, DomainId>,
    signature: Vec<Value>,
}

/// All classes, and what they are formed by.
#[derive(Debug, Default)]
pub(super) struct Classes {
    facets: Vec<Facet>,
    /// Facets with too many values to form classes by.
    personal: BTreeSet<Facet>,
    classes: Vec<Class>,
    /// Whether the agent is connected, and the values of the facets.
    numbers: BTreeMap<(bool, Vec<Value>), ClassId>,
    /// The values of the facets that are spread over, with how many there are.
    values: BTreeMap<usize, BTreeMap<Option<String>, DomainId>>,
}

impl Classes {
    /// Whether classes are formed by the facet already, or must not be.
    pub(super) fn knows(&self, facet: &Facet) -> bool {
        self.facets.contains(facet) || self.personal.contains(facet)
    }

    pub(super) fn is_personal(&self, facet: &Facet) -> bool {
        self.personal.contains(facet)
    }

    pub(super) fn position(&self, facet: &Facet) -> Option<usize> {
        self.facets.iter().position(|known| known == facet)
    }

    /// Takes a facet in. All instances must be given classes anew.
    pub(super) fn learn<'i>(&mut self, facet: Facet, instances: impl Iterator<Item = &'i Instance>) {
        let mut values = BTreeSet::new();
        for instance in instances {
            values.insert(facet.of(instance));
            if values.len() > VALUES {
                self.personal.insert(facet);
                return;
            }
        }
        if self.numbers.len().saturating_mul(values.len()) > CLASSES {
            self.personal.insert(facet);
        } else {
            self.facets.push(facet);
        }
    }

    /// Forgets the classes, not what they are formed by.
    pub(super) fn clear(&mut self) {
        self.classes.clear();
        self.numbers.clear();
        self.values.clear();
    }

    /// The class of an instance; a new one where none is like it.
    pub(super) fn class_of(&mut self, instance: &Instance, slot: Slot) -> ClassId {
        let signature: Vec<Value> = self.facets.iter().map(|facet| facet.of(instance)).collect();
        let next = ClassId::try_from(self.classes.len()).unwrap_or(ClassId::MAX);
        let key = (instance.connected, signature);
        if let Some(known) = self.numbers.get(&key) {
            return *known;
        }
        let mut class = Class {
            example: slot,
            members: BTreeSet::new(),
            rankings: Default::default(),
            domains: BTreeMap::new(),
            signature: key.1.clone(),
        };
        for (facet, values) in &mut self.values {
            class.domains.insert(*facet, domain(values, &class.signature, *facet));
        }
        self.classes.push(class);
        self.numbers.insert(key, next);
        next
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = ClassId> + use<> {
        0..ClassId::try_from(self.classes.len()).unwrap_or(ClassId::MAX)
    }

    pub(super) fn get(&self, class: ClassId) -> &Class {
        &self.classes[class as usize]
    }

    pub(super) fn get_mut(&mut self, class: ClassId) -> &mut Class {
        &mut self.classes[class as usize]
    }

    /// Numbers the values of the facet, and says how many there are. Instances without it, and those where it has no
    /// value, are one domain.
    pub(super) fn spread_over(&mut self, facet: usize) -> usize {
        let classes = &mut self.classes;
        let values = self.values.entry(facet).or_insert_with(|| {
            let mut values = BTreeMap::new();
            for class in classes {
                class
                    .domains
                    .insert(facet, domain(&mut values, &class.signature, facet));
            }
            values
        });
        values.len()
    }
}

fn domain(values: &mut BTreeMap<Option<String>, DomainId>, signature: &[Value], facet: usize) -> DomainId {
    let next = DomainId::try_from(values.len()).unwrap_or(DomainId::MAX);
    *values.entry(signature[facet].clone().flatten()).or_insert(next)
}

impl Class {
    /// The class's domain in a facet that is spread over.
    pub(super) fn domain(&self, facet: usize) -> DomainId {
        self.domains.get(&facet).copied().unwrap_or(0)
    }

    /// The ranking in the order, where one was made.
    pub(super) fn ranking(&self, order: Order) -> Option<&Ranking> {
        self.rankings[order as usize].as_ref()
    }

    /// Whether there is any ranking.
    #[inline]
    pub(super) fn is_ranked(&self) -> bool {
        self.rankings.iter().any(Option::is_some)
    }

    /// Makes the ranking in the order, unless there is one: from now on it is kept.
    pub(super) fn rank(&mut self, order: Order, free: impl Fn(Slot) -> Free) {
        if self.ranking(order).is_none() {
            self.rankings[order as usize] = Some(self.ranked(order, free));
        }
    }

    /// The instances in the order.
    pub(super) fn ranked(&self, order: Order, free: impl Fn(Slot) -> Free) -> Ranking {
        let entries = self.members.iter().map(|slot| {
            let Free { cpu, memory, .. } = free(*slot);
            (cpu, memory, *slot)
        });
        Ranking::of(order, entries)
    }

    pub(super) fn join(&mut self, slot: Slot, free: Free) {
        if self.members.is_empty() {
            self.example = slot;
        }
        self.members.insert(slot);
        for ranking in self.rankings.iter_mut().flatten() {
            ranking.insert(free.cpu, free.memory, slot);
        }
    }

    pub(super) fn leave(&mut self, slot: Slot, free: Free) {
        self.members.remove(&slot);
        for ranking in self.rankings.iter_mut().flatten() {
            ranking.remove(free.cpu, free.memory, slot);
        }
        if self.example == slot
            && let Some(other) = self.members.first()
        {
            self.example = *other;
        }
    }

    /// An instance of the class has more or less free than before.
    pub(super) fn change(&mut self, slot: Slot, before: Free, after: Free) {
        if (before.cpu, before.memory) == (after.cpu, after.memory) {
            return;
        }
        for ranking in self.rankings.iter_mut().flatten() {
            ranking.remove(before.cpu, before.memory, slot);
            ranking.insert(after.cpu, after.memory, slot);
        }
    }

    /// Instances of the class, in the order, each have so much less free than before. `met` is where a
    /// walk in the order stands that has just met the first of them.
    pub(super) fn take(&mut self, order: Order, entries: &[Entry], (cpu, memory): (u32, u32), met: Option<Cursor>) {
        if (cpu, memory) == (0, 0) {
            return;
        }
        for (known, ranking) in Order::ALL.into_iter().zip(&mut self.rankings) {
            let Some(ranking) = ranking else { continue };
            let place = |(key, slot): &Entry| {
                let (cpu, memory) = order.free(*key);
                (known.key(cpu, memory), *slot)
            };
            let after = |(key, slot): &Entry| (known.after(*key, cpu, memory), *slot);
            let met = met.filter(|_| known == order);
            if let [entry] = entries {
                let before = place(entry);
                ranking.remove_all(&[before], met);
                ranking.insert_all(&[after(&before)]);
                continue;
            }
            let mut before: Vec<Entry> = entries.iter().map(place).collect();
            if known != order {
                before.sort_unstable();
            }
            ranking.remove_all(&before, met);
            // Those with the same size taken from them stay in order.
            before.iter_mut().for_each(|entry| *entry = after(entry));
            ranking.insert_all(&before);
        }
    }
}
