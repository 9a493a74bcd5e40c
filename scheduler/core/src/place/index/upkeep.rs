//! Keeping the index true: as the state says, and ahead of it by what was just placed.

use std::sync::Arc;

use berth_model::status::InstanceStatus;

use super::group::GroupId;
use super::prepared::Plan;
use super::ranking::Slot;
use super::slots::{Membership, free};
use super::{Index, active};
use crate::keys::InstanceKey;

use crate::place::Request;
use crate::place::order::Order;
use crate::state::{Instance, State};

impl Index {
    /// Looks at every instance anew.
    pub(super) fn rebuild(&mut self, state: &State) {
        self.slots.clear();
        self.classes.clear();
        self.groups.clear();
        self.prepared.clear();
        for instance in active(state, self.cluster) {
            let slot = self.slots.next();
            let class = self.classes.class_of(instance, slot);
            self.slots.push(instance, class);
            self.classes.get_mut(class).join(slot, free(instance));
            self.regroup(slot, instance);
        }
        self.seen = state.instance_changes;
    }

    /// Forms the classes anew: by more facets than before.
    pub(super) fn classify<'i>(&mut self, instance: &impl Fn(Slot) -> Option<&'i Instance>) {
        self.classes.clear();
        self.groups.forget_classes();
        self.prepared.clear();
        for slot in self.slots.all() {
            let Some(instance) = instance(slot) else { continue };
            let class = self.classes.class_of(instance, slot);
            self.slots.set_class(slot, class);
            self.classes.get_mut(class).join(slot, self.slots.free(slot));
        }
    }

    /// Takes in the instance as the state has it; says no where instances have come or gone.
    pub(super) fn refresh(&mut self, state: &State, key: InstanceKey) -> bool {
        let instance = state
            .instance(key)
            .filter(|instance| instance.status == InstanceStatus::Active);
        let (slot, instance) = match (self.slots.find(key.instance), instance) {
            (None, None) => return true,
            (Some(slot), Some(instance)) => (slot, instance),
            (None, Some(_)) | (Some(_), None) => return false,
        };
        if self.slots.has_moved(slot, instance) {
            self.reclassify(slot, instance);
        }
        self.set_free(slot, free(instance));
        if !self.slots.has_groups_of(slot, instance) {
            self.regroup(slot, instance);
        }
        true
    }

    fn reclassify(&mut self, slot: Slot, instance: &Instance) {
        let before = self.slots.class(slot);
        let after = self.classes.class_of(instance, slot);
        // What was found out about a request may hang on what the instance was like.
        self.prepared.clear();
        if before != after {
            let free = self.slots.free(slot);
            self.classes.get_mut(before).leave(slot, free);
            self.classes.get_mut(after).join(slot, free);
            self.slots.set_class(slot, after);
            self.groups.forget_classes();
        }
    }

    fn set_free(&mut self, slot: Slot, free: (u32, u32)) {
        let before = self.slots.free(slot);
        if before != free {
            self.classes.get_mut(self.slots.class(slot)).change(slot, before, free);
            self.slots.set_free(slot, free);
        }
    }

    fn regroup(&mut self, slot: Slot, instance: &Instance) {
        let groups = instance.groups.iter().map(|(name, count)| Membership {
            name: Arc::clone(name),
            group: self.groups.number(name),
            count: *count,
        });
        let groups: Vec<Membership> = groups.collect();
        let kept: Vec<(GroupId, u32)> = groups.iter().map(|entry| (entry.group, entry.count)).collect();
        for gone in self.slots.set_groups(slot, groups) {
            if kept.iter().all(|(group, _)| *group != gone.group) {
                self.count(slot, gone.group, 0);
            }
        }
        for (group, count) in kept {
            self.count(slot, group, count);
        }
    }

    fn count(&mut self, slot: Slot, group: GroupId, count: u32) {
        let id = self.slots.class(slot);
        self.groups.get_mut(group).set(slot, count, id, self.classes.get(id));
    }

    /// How many copies the instance gets at once: as many as would follow one by one, where no other instance can become
    /// better by it.
    pub(super) fn copies(&self, plan: &Plan, request: &Request, slot: Slot, wanted: u32) -> u32 {
        let fills = plan.order != Order::MostFree && plan.facets.is_empty();
        if !fills || plan.by_instance || plan.random || plan.distinct || plan.devices {
            return 1;
        }
        let (cpu, memory) = self.slots.free(slot);
        let room = |free: u32, each: u32| free.checked_div(each).unwrap_or(u32::MAX);
        let room = room(cpu, request.demand.cpu.0).min(room(memory, request.demand.memory.0));
        wanted.min(room).max(1)
    }

    /// Counts copies as placed.
    pub(super) fn take(&mut self, slot: Slot, request: &Request, copies: u32, group: GroupId) {
        let (cpu, memory) = self.slots.free(slot);
        let left = |free: u32, each: u32| free.saturating_sub(each.saturating_mul(copies));
        self.set_free(
            slot,
            (left(cpu, request.demand.cpu.0), left(memory, request.demand.memory.0)),
        );
        let count = self.slots.join(slot, &request.group, group, copies);
        self.count(slot, group, count);
        self.slots.run_ahead(slot);
    }
}
