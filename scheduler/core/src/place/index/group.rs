//! Which instances run tasks of a group, and how many: what `spread` and `distinctInstance` count.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::class::{Class, ClassId, DomainId};
use super::ranking::Slot;
use super::slots::Slots;

/// Number of a group.
pub(super) type GroupId = u32;

/// Tasks of one group. How many an instance has is counted with the instance.
#[derive(Debug)]
pub(super) struct Group {
    name: Arc<str>,
    /// How many instances have any.
    spans: usize,
    /// Those that do, once requests ask for instances by the groups that they have.
    members: Option<BTreeSet<Slot>>,
    /// The same by class and count, once it is asked for.
    levels: Option<BTreeSet<(ClassId, u32, Slot)>>,
    /// Tasks by domain of the facets that the group is spread over.
    domains: Vec<(usize, Vec<u32>)>,
}

/// All groups that have tasks or were asked about.
#[derive(Debug, Default)]
pub(super) struct Groups {
    numbers: BTreeMap<Arc<str>, GroupId>,
    groups: Vec<Group>,
    has_members: bool,
}

impl Groups {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The number of the group; a new one where it was not known.
    pub(super) fn number(&mut self, name: &Arc<str>) -> GroupId {
        if let Some(known) = self.numbers.get(name) {
            return *known;
        }
        let next = GroupId::try_from(self.groups.len()).unwrap_or(GroupId::MAX);
        self.numbers.insert(Arc::clone(name), next);
        self.groups.push(Group {
            name: Arc::clone(name),
            spans: 0,
            members: self.has_members.then(BTreeSet::new),
            levels: None,
            domains: Vec::new(),
        });
        next
    }

    /// Keeps the instances of each group from now on.
    pub(super) fn keep_members(&mut self, slots: &Slots) {
        if std::mem::replace(&mut self.has_members, true) {
            return;
        }
        for group in &mut self.groups {
            group.members = Some(BTreeSet::new());
        }
        for slot in slots.all() {
            for tasks in slots.tasks(slot) {
                let members = &mut self.groups[tasks.group as usize].members;
                members.get_or_insert_default().insert(slot);
            }
        }
    }

    /// The instances, in order, that have a task of a group whose name passes the test. They must be kept.
    pub(super) fn members(&self, test: impl Fn(&str) -> bool) -> Vec<Slot> {
        let passing = self.groups.iter().filter(|group| test(&group.name));
        let mut members: Vec<Slot> = passing
            .flat_map(|group| group.members.iter().flatten().copied())
            .collect();
        members.sort_unstable();
        members.dedup();
        members
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
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// How many instances have any.
    pub(super) const fn spans(&self) -> usize {
        self.spans
    }

    /// An instance of the class has more or fewer than before.
    #[inline]
    pub(super) fn change(&mut self, slot: Slot, before: u32, count: u32, id: ClassId, class: &Class) {
        match (before, count) {
            (0, 1..) => self.spans += 1,
            (1.., 0) => self.spans = self.spans.saturating_sub(1),
            _ => {}
        }
        if self.members.is_some() || self.levels.is_some() || !self.domains.is_empty() {
            self.change_kept(slot, before, count, id, class);
        }
    }

    /// The same in what is kept of the group because it was asked for.
    fn change_kept(&mut self, slot: Slot, before: u32, count: u32, id: ClassId, class: &Class) {
        if let Some(members) = &mut self.members {
            match count {
                0 => members.remove(&slot),
                1.. => members.insert(slot),
            };
        }
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

    /// Counts by domain from now on. `counts` are those of all instances.
    pub(super) fn count_domains(
        &mut self,
        facet: usize,
        domains: usize,
        counts: impl Iterator<Item = (Slot, u32)>,
        domain: impl Fn(Slot) -> DomainId,
    ) {
        if let Some((_, tasks)) = self.domains.iter_mut().find(|(known, _)| *known == facet) {
            tasks.resize(domains.max(tasks.len()), 0);
            return;
        }
        let mut tasks = vec![0; domains];
        if self.spans > 0 {
            for (slot, count) in counts.filter(|(_, count)| *count > 0) {
                tasks[domain(slot) as usize] += count;
            }
        }
        self.domains.push((facet, tasks));
    }

    /// Tasks of the group in a domain.
    pub(super) fn in_domain(&self, facet: usize, domain: DomainId) -> u32 {
        let tasks = self.domains.iter().find(|(known, _)| *known == facet);
        tasks
            .and_then(|(_, tasks)| tasks.get(domain as usize))
            .copied()
            .unwrap_or(0)
    }

    /// Orders instances by class and count from now on. `counts` are those of all instances.
    pub(super) fn level(&mut self, counts: impl Iterator<Item = (Slot, u32)>, class: impl Fn(Slot) -> ClassId) {
        let spans = self.spans;
        self.levels.get_or_insert_with(|| {
            if spans == 0 {
                return BTreeSet::new();
            }
            let counts = counts.filter(|(_, count)| *count > 0);
            counts.map(|(slot, count)| (class(slot), count, slot)).collect()
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
