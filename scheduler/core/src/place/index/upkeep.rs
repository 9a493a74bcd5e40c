//! Keeping the index true: as the state says, and ahead of it by what was just placed.

use berth_model::status::InstanceStatus;

use super::choose::Question;
use super::class::ClassId;
use super::group::GroupId;
use super::ports::Ports;
use super::ranking::{Cursor, Entry, Slot};
use super::slots::{Free, Tasks};
use super::{Index, active};
use crate::keys::InstanceKey;

use crate::place::order::Order;
use crate::state::{Instance, State};

impl Index {
    /// Looks at every instance anew.
    pub(super) fn rebuild(&mut self, state: &State) {
        self.slots.clear();
        self.classes.clear();
        self.groups.clear();
        self.forget_requests();
        for instance in active(state, self.cluster) {
            let slot = self.slots.next();
            let class = self.classes.class_of(instance, slot);
            self.slots.push(instance, class);
            self.classes.get_mut(class).join(slot, Free::of(instance));
            self.regroup(slot, instance);
        }
        self.ports = Ports::of(active(state, self.cluster).map(AsRef::as_ref));
        self.seen = state.instance_changes;
    }

    /// Forms the classes anew: by more facets than before.
    pub(super) fn classify<'i>(&mut self, instance: &impl Fn(Slot) -> Option<&'i Instance>) {
        self.classes.clear();
        self.groups.forget_classes();
        self.forget_requests();
        for slot in self.slots.all() {
            let Some(instance) = instance(slot) else { continue };
            let class = self.classes.class_of(instance, slot);
            self.slots.set_class(slot, class);
            self.classes.get_mut(class).join(slot, self.slots.free(slot));
        }
    }

    /// Takes in the instance as the state has it; says no where instances have come or gone.
    pub(super) fn refresh(&mut self, state: &State, key: InstanceKey) -> bool {
        match (self.slots.find(key.instance), active_instance(state, key)) {
            (None, None) => true,
            (Some(slot), Some(instance)) => {
                self.update(slot, instance);
                true
            }
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    /// Takes back what was counted as placed on the instance and is not in the state; says no where it has gone.
    pub(super) fn return_to(&mut self, state: &State, slot: Slot) -> bool {
        let key = InstanceKey {
            cluster: self.cluster,
            instance: self.slots.id(slot),
        };
        let instance = active_instance(state, key);
        if let Some(instance) = instance {
            self.update(slot, instance);
        }
        instance.is_some()
    }

    fn update(&mut self, slot: Slot, instance: &Instance) {
        if self.slots.has_moved(slot, instance) {
            self.reclassify(slot, instance);
            self.ports.set_reserved(slot, instance);
        }
        self.set_free(slot, Free::of(instance));
        self.ports.set_held(slot, instance);
        self.regroup(slot, instance);
    }

    fn reclassify(&mut self, slot: Slot, instance: &Instance) {
        let before = self.slots.class(slot);
        let after = self.classes.class_of(instance, slot);
        // What was found out about a request may hang on what the instance was like.
        self.forget_requests();
        if before != after {
            let free = self.slots.free(slot);
            self.classes.get_mut(before).leave(slot, free);
            self.classes.get_mut(after).join(slot, free);
            self.slots.set_class(slot, after);
            self.groups.forget_classes();
        }
    }

    fn set_free(&mut self, slot: Slot, free: Free) {
        let before = self.slots.free(slot);
        if before != free {
            self.classes.get_mut(self.slots.class(slot)).change(slot, before, free);
            self.slots.set_free(slot, free);
        }
    }

    /// Counts the instance's tasks by group as the state has them.
    fn regroup(&mut self, slot: Slot, instance: &Instance) {
        let mut changed: Vec<(GroupId, u32, u32)> = Vec::new();
        let mut known = 0;
        for Tasks { group, count } in self.slots.tasks(slot) {
            let now = instance.tasks_of_group(self.groups.get(group).name());
            if now != count {
                changed.push((group, count, now));
            }
            known += usize::from(now > 0);
        }
        if known < instance.groups.len() {
            for (name, count) in &instance.groups {
                let group = self.groups.number(name);
                if self.slots.count(slot, group) == 0 {
                    changed.push((group, 0, *count));
                }
            }
        }
        for (group, before, count) in changed {
            self.slots.set_count(slot, group, count);
            self.count(slot, group, before, count);
        }
    }

    fn count(&mut self, slot: Slot, group: GroupId, before: u32, count: u32) {
        let id = self.slots.class(slot);
        let class = self.classes.get(id);
        self.groups.get_mut(group).change(slot, before, count, id, class);
    }

    /// How many copies the instance gets at once: as many as would follow one by one, where no other instance can become
    /// better by it.
    pub(super) fn copies(&self, question: &Question<'_>, slot: Slot, wanted: u32) -> u32 {
        let plan = question.plan;
        let fills = plan.order != Order::MostFree && plan.facets.is_empty();
        if !fills || plan.by_instance || plan.random || plan.distinct || plan.ports || plan.gpus > 0 {
            return 1;
        }
        let free = self.slots.free(slot);
        let demand = &question.request.demand;
        let room = |free: u32, each: u32| free.checked_div(each).unwrap_or(u32::MAX);
        let room = room(free.cpu, demand.cpu.0).min(room(free.memory, demand.memory.0));
        wanted.min(room).max(1)
    }

    /// Counts copies as placed.
    #[inline]
    pub(super) fn take(&mut self, question: &Question<'_>, slot: Slot, copies: u32) {
        let id = self.slots.class(slot);
        if self.classes.get(id).is_ranked() {
            let entry = (self.key(question.plan, slot), slot);
            let size = question.size(copies);
            self.classes.get_mut(id).take(question.plan.order, &[entry], size, None);
        }
        self.count_copies(question, id, std::iter::once(slot), copies);
    }

    /// Counts copies as placed on each of these instances of a class, which are in order. `met` is where a walk stands that
    /// has just met the first of them.
    pub(super) fn take_all(
        &mut self,
        question: &Question<'_>,
        id: ClassId,
        entries: &[Entry],
        met: Option<Cursor>,
        copies: u32,
    ) {
        let size = question.size(copies);
        self.classes.get_mut(id).take(question.plan.order, entries, size, met);
        self.count_copies(question, id, entries.iter().map(|(_, slot)| *slot), copies);
    }

    /// Counts copies as placed on each of these instances of a class, but in the class.
    #[inline]
    fn count_copies(&mut self, question: &Question<'_>, id: ClassId, slots: impl Iterator<Item = Slot>, copies: u32) {
        let plan = question.plan;
        let (cpu, memory) = question.size(copies);
        let gpus = plan.gpus.saturating_mul(copies);
        let class = self.classes.get(id);
        let group = self.groups.get_mut(plan.group);
        for slot in slots {
            let before = self.slots.place(slot, Free { cpu, memory, gpus }, plan.group, copies);
            group.change(slot, before, before + copies, id, class);
            if plan.ports {
                self.ports.take(slot, question.request.demand.ports.iter());
            }
        }
    }
}

/// The instance, where it may be chosen.
fn active_instance(state: &State, key: InstanceKey) -> Option<&Instance> {
    let instance = state.instance(key);
    instance.filter(|instance| instance.status == InstanceStatus::Active)
}
