//! The ACTIVE instances of a cluster by their rank in the order of ids, with what placement reads of each.

use std::sync::Arc;

use berth_model::id::InstanceId;

use super::class::ClassId;
use super::group::GroupId;
use super::ranking::Slot;
use crate::observation::InstanceFacts;
use crate::state::Instance;

/// One entry an instance in each list.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Shared, as they only change with all else.
    ids: Arc<Vec<InstanceId>>,
    free: Vec<(u32, u32)>,
    classes: Vec<ClassId>,
    /// What the classes were found by: another value means to look again.
    origins: Vec<Origin>,
    /// Tasks by group, in the order of the groups' names.
    groups: Vec<Vec<Membership>>,
    /// Slots that are ahead of the state, each once.
    ahead: Vec<Slot>,
    is_ahead: Vec<bool>,
}

/// What decides the class of an instance.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    facts: Arc<InstanceFacts>,
    connected: bool,
}

impl Origin {
    pub(super) fn of(instance: &Instance) -> Self {
        Self {
            facts: Arc::clone(&instance.facts),
            connected: instance.connected,
        }
    }

    fn is(&self, instance: &Instance) -> bool {
        Arc::ptr_eq(&self.facts, &instance.facts) && self.connected == instance.connected
    }
}

/// Tasks of a group on an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Membership {
    pub(super) name: Arc<str>,
    pub(super) group: GroupId,
    pub(super) count: u32,
}

impl Slots {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Adds the instance with the next greater id.
    pub(super) fn push(&mut self, instance: &Instance, class: ClassId) {
        Arc::make_mut(&mut self.ids).push(instance.id);
        self.free.push(free(instance));
        self.classes.push(class);
        self.origins.push(Origin::of(instance));
        self.groups.push(Vec::new());
        self.is_ahead.push(false);
    }

    /// The slot of the instance that is pushed next.
    pub(super) fn next(&self) -> Slot {
        Slot::try_from(self.ids.len()).unwrap_or(Slot::MAX)
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn find(&self, id: InstanceId) -> Option<Slot> {
        let rank = self.ids.binary_search(&id).ok()?;
        Slot::try_from(rank).ok()
    }

    pub(super) fn ids(&self) -> Arc<Vec<InstanceId>> {
        Arc::clone(&self.ids)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = Slot> + use<> {
        0..self.next()
    }

    pub(super) fn id(&self, slot: Slot) -> InstanceId {
        self.ids[slot as usize]
    }

    /// CPU units and memory that no task reserves.
    pub(super) fn free(&self, slot: Slot) -> (u32, u32) {
        self.free[slot as usize]
    }

    pub(super) fn set_free(&mut self, slot: Slot, free: (u32, u32)) {
        self.free[slot as usize] = free;
    }

    pub(super) fn class(&self, slot: Slot) -> ClassId {
        self.classes[slot as usize]
    }

    pub(super) fn set_class(&mut self, slot: Slot, class: ClassId) {
        self.classes[slot as usize] = class;
    }

    /// Whether the class may be another than when it was found. From now on it is taken to be found by this instance.
    pub(super) fn has_moved(&mut self, slot: Slot, instance: &Instance) -> bool {
        let origin = &mut self.origins[slot as usize];
        let moved = !origin.is(instance);
        if moved {
            *origin = Origin::of(instance);
        }
        moved
    }

    /// Whether the instance's tasks by group are those that are counted here.
    pub(super) fn has_groups_of(&self, slot: Slot, instance: &Instance) -> bool {
        let counted = self.groups[slot as usize].iter();
        let counted = counted.map(|membership| (&membership.name, &membership.count));
        instance.groups.iter().eq(counted)
    }

    /// Counts more tasks of a group; gives how many there are now.
    pub(super) fn join(&mut self, slot: Slot, name: &Arc<str>, group: GroupId, tasks: u32) -> u32 {
        let groups = &mut self.groups[slot as usize];
        let known = groups.iter_mut().find(|membership| membership.group == group);
        if let Some(membership) = known {
            membership.count += tasks;
            return membership.count;
        }
        let at = groups.partition_point(|membership| membership.name < *name);
        let name = Arc::clone(name);
        groups.insert(
            at,
            Membership {
                name,
                group,
                count: tasks,
            },
        );
        tasks
    }

    /// The slot is not what the state says any more.
    pub(super) fn run_ahead(&mut self, slot: Slot) {
        if !std::mem::replace(&mut self.is_ahead[slot as usize], true) {
            self.ahead.push(slot);
        }
    }

    /// The slots that are ahead of the state, which is about to be looked at.
    pub(super) fn take_ahead(&mut self) -> Vec<Slot> {
        for slot in &self.ahead {
            self.is_ahead[*slot as usize] = false;
        }
        std::mem::take(&mut self.ahead)
    }

    pub(super) fn set_groups(&mut self, slot: Slot, groups: Vec<Membership>) -> Vec<Membership> {
        std::mem::replace(&mut self.groups[slot as usize], groups)
    }
}

/// CPU units and memory that no task reserves.
pub(super) fn free(instance: &Instance) -> (u32, u32) {
    (instance.free_cpu().0, instance.free_memory().0)
}
