//! Which instances run tasks of a group, and how many: what `spread` and `distinctInstance` count.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::class::{Class, ClassId, DomainId};
use super::ranking::Slot;

/// Number of a group.
pub(super) type GroupId = u32;

/// Tasks of one group.
#[derive(Debug, Default)]
pub(super) struct Group {
    counts: BTreeMap<Slot, u32>,
    /// The same by class and count, once it is asked for.
    levels: Option<BTreeSet<(ClassId, u32, Slot)>>,
    /// Tasks by domain of the facets that the group is spread over.
    domains: BTreeMap<usize, Vec<u32>>,
}

/// All groups that have tasks or were asked about.
#[derive(Debug, Default)]
pub(super) struct Groups {
    numbers: BTreeMap<Arc<str>, GroupId>,
    groups: Vec<Group>,
}

impl Groups {
    pub(super) fn clear(&mut self) {
        self.numbers.clear();
        self.groups.clear();
    }

    /// The number of the group; a new one where it was not known.
    pub(super) fn number(&mut self, name: &Arc<str>) -> GroupId {
        if let Some(known) = self.numbers.get(name) {
            return *known;
        }
        let next = GroupId::try_from(self.groups.len()).unwrap_or(GroupId::MAX);
        self.numbers.insert(Arc::clone(name), next);
        self.groups.push(Group::default());
        next
    }

    /// The groups whose name passes the test.
    pub(super) fn named(&self, test: impl Fn(&str) -> bool) -> impl Iterator<Item = &Group> {
        let passing = self.numbers.iter().filter(move |(name, _)| test(name));
        passing.map(|(_, number)| &self.groups[*number as usize])
    }

    pub(super) fn get(&self, group: GroupId) -> &Group {
        &self.groups[group as usize]
    }

    pub(super) fn get_mut(&mut self, group: GroupId) -> &mut Group {
        &mut self.groups[group as usize]
    }

    /// Classes and domains have changed their numbers, or instances their class.
    pub(super) fn forget_classes(&mut self) {
        for group in &mut self.groups {
            group.levels = None;
            group.domains.clear();
        }
    }
}

impl Group {
    /// Tasks of the group on the instance.
    pub(super) fn count(&self, slot: Slot) -> u32 {
        self.counts.get(&slot).copied().unwrap_or(0)
    }

    /// Instances that have any.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.counts.keys().copied()
    }

    /// How many instances have any.
    pub(super) fn spans(&self) -> usize {
        self.counts.len()
    }

    /// Sets the count of an instance of the class.
    pub(super) fn set(&mut self, slot: Slot, count: u32, id: ClassId, class: &Class) {
        let before = match count {
            0 => self.counts.remove(&slot).unwrap_or(0),
            _ => self.counts.insert(slot, count).unwrap_or(0),
        };
        if let Some(levels) = &mut self.levels {
            levels.remove(&(id, before, slot));
            if count > 0 {
                levels.insert((id, count, slot));
            }
        }
        for (facet, tasks) in &mut self.domains {
            if let Some(tasks) = tasks.get_mut(class.domain(*facet) as usize) {
                *tasks = (*tasks + count).saturating_sub(before);
            }
        }
    }

    /// Counts by domain from now on.
    pub(super) fn count_domains(&mut self, facet: usize, domains: usize, domain: impl Fn(Slot) -> DomainId) {
        let counts = &self.counts;
        let tasks = self.domains.entry(facet).or_insert_with(|| {
            let mut tasks = vec![0; domains];
            for (slot, count) in counts {
                tasks[domain(*slot) as usize] += count;
            }
            tasks
        });
        if tasks.len() < domains {
            tasks.resize(domains, 0);
        }
    }

    /// Tasks of the group in a domain.
    pub(super) fn in_domain(&self, facet: usize, domain: DomainId) -> u32 {
        let tasks = self.domains.get(&facet);
        tasks.and_then(|tasks| tasks.get(domain as usize)).copied().unwrap_or(0)
    }

    /// Orders instances by class and count from now on.
    pub(super) fn level(&mut self, class: impl Fn(Slot) -> ClassId) {
        let counts = &self.counts;
        self.levels.get_or_insert_with(|| {
            counts
                .iter()
                .map(|(slot, count)| (class(*slot), *count, *slot))
                .collect()
        });
    }

    /// The next greater count that occurs in the class.
    pub(super) fn level_after(&self, class: ClassId, count: u32) -> Option<u32> {
        let above = (class, count + 1, 0)..=(class, u32::MAX, Slot::MAX);
        self.levels.as_ref()?.range(above).next().map(|(_, count, _)| *count)
    }

    /// The instances of the class that have just so many.
    pub(super) fn at_level(&self, class: ClassId, count: u32) -> impl Iterator<Item = Slot> + '_ {
        let level = (class, count, 0)..=(class, count, Slot::MAX);
        self.levels
            .iter()
            .flat_map(move |levels| levels.range(level.clone()).map(|(_, _, slot)| *slot))
    }
}
