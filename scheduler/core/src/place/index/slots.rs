//! The ACTIVE instances of a cluster by their rank in the order of ids, with what placement reads of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_model::id::InstanceId;

use super::class::ClassId;
use super::group::GroupId;
use super::octaves::Octaves;
use super::ranking::Slot;
use crate::observation::InstanceFacts;
use crate::state::Instance;

/// Groups of an instance that are counted beside what else is read of it.
const NEAR: usize = 3;

/// All instances.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Shared, as they only change with all else.
    ids: Arc<Vec<InstanceId>>,
    lines: Vec<Line>,
    /// What the classes were found by: another value means to look again.
    origins: Vec<Origin>,
    /// Slots that are ahead of the state, some of them more than once.
    ahead: Vec<Slot>,
    /// What chance draws from, once it does.
    octaves: Option<Octaves>,
}

/// What a placement reads and writes of an instance: one cache line.
#[derive(Debug)]
#[repr(align(64))]
struct Line {
    id: InstanceId,
    cpu: u32,
    memory: u32,
    class: ClassId,
    gpus: u32,
    /// Tasks by group.
    near: [Tasks; NEAR],
    /// Tasks of all other groups.
    far: Option<Box<Far>>,
}

/// Tasks of the groups that find no place in the line.
#[derive(Debug)]
struct Far(Vec<Tasks>);

/// Tasks of a group; no group where there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tasks {
    pub(super) group: GroupId,
    pub(super) count: u32,
}

/// What is free on an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Free {
    /// CPU units.
    pub(super) cpu: u32,
    /// MiB of memory.
    pub(super) memory: u32,
    /// GPUs.
    pub(super) gpus: u32,
}

/// What decides the class of an instance.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    facts: Arc<InstanceFacts>,
    given_attributes: Arc<BTreeMap<String, Option<String>>>,
    connected: bool,
}

impl Free {
    pub(super) fn of(instance: &Instance) -> Self {
        Self {
            cpu: instance.free_cpu().0,
            memory: instance.free_memory().0,
            gpus: instance.free_gpu_count().0,
        }
    }
}

impl Origin {
    pub(super) fn of(instance: &Instance) -> Self {
        Self {
            facts: Arc::clone(&instance.facts),
            given_attributes: Arc::clone(&instance.given_attributes),
            connected: instance.connected,
        }
    }

    fn is(&self, instance: &Instance) -> bool {
        Arc::ptr_eq(&self.facts, &instance.facts)
            && Arc::ptr_eq(&self.given_attributes, &instance.given_attributes)
            && self.connected == instance.connected
    }
}

impl Line {
    const fn free(&self) -> Free {
        let Self { cpu, memory, gpus, .. } = *self;
        Free { cpu, memory, gpus }
    }

    fn tasks(&self) -> impl Iterator<Item = &Tasks> {
        let far = self.far.iter().flat_map(|far| &far.0);
        self.near.iter().chain(far).filter(|tasks| tasks.count > 0)
    }

    fn find(&mut self, group: GroupId) -> Option<&mut Tasks> {
        let is_here = |tasks: &Tasks| tasks.group == group && tasks.count > 0;
        if let Some(at) = self.near.iter().position(is_here) {
            return Some(&mut self.near[at]);
        }
        self.far.as_mut()?.0.iter_mut().find(|tasks| is_here(tasks))
    }

    fn add(&mut self, tasks: Tasks) {
        match self.near.iter_mut().find(|place| place.count == 0) {
            Some(place) => *place = tasks,
            None => self.far.get_or_insert_with(|| Box::new(Far(Vec::new()))).0.push(tasks),
        }
    }
}

impl Slots {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Adds the instance with the next greater id.
    pub(super) fn push(&mut self, instance: &Instance, class: ClassId) {
        Arc::make_mut(&mut self.ids).push(instance.id);
        let free = Free::of(instance);
        self.lines.push(Line {
            id: instance.id,
            cpu: free.cpu,
            memory: free.memory,
            class,
            gpus: free.gpus,
            near: [Tasks::default(); NEAR],
            far: None,
        });
        self.origins.push(Origin::of(instance));
    }

    /// The slot of the instance that is pushed next.
    pub(super) fn next(&self) -> Slot {
        Slot::try_from(self.lines.len()).unwrap_or(Slot::MAX)
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
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
        self.line(slot).id
    }

    /// What no task reserves.
    pub(super) fn free(&self, slot: Slot) -> Free {
        self.line(slot).free()
    }

    pub(super) fn set_free(&mut self, slot: Slot, free: Free) {
        let before = self.free(slot);
        let line = &mut self.lines[slot as usize];
        (line.cpu, line.memory, line.gpus) = (free.cpu, free.memory, free.gpus);
        if let Some(octaves) = &mut self.octaves {
            octaves.change(slot, before, free);
        }
    }

    /// Keeps from now on what chance draws from for copies of the size.
    pub(super) fn keep_octaves(&mut self, cpu: u32, memory: u32) {
        let lines = &self.lines;
        let octaves = self.octaves.get_or_insert_with(|| Octaves::new(lines.len()));
        octaves.keep(cpu, memory, |slot| lines[slot as usize].free());
    }

    /// What chance draws from, where it is kept.
    pub(super) const fn octaves(&self) -> Option<&Octaves> {
        self.octaves.as_ref()
    }

    /// Counts copies as placed: so much less is free, and more tasks of the group are there. Gives how many there were.
    #[inline]
    pub(super) fn place(&mut self, slot: Slot, size: Free, group: GroupId, copies: u32) -> u32 {
        let line = &mut self.lines[slot as usize];
        let before = line.free();
        line.cpu = line.cpu.saturating_sub(size.cpu);
        line.memory = line.memory.saturating_sub(size.memory);
        line.gpus = line.gpus.saturating_sub(size.gpus);
        if let Some(octaves) = &mut self.octaves {
            octaves.change(slot, before, line.free());
        }
        // The slot is not what the state says any more.
        if self.ahead.last() != Some(&slot) {
            self.ahead.push(slot);
        }
        if let Some(known) = line.find(group) {
            known.count += copies;
            return known.count - copies;
        }
        line.add(Tasks { group, count: copies });
        0
    }

    pub(super) fn class(&self, slot: Slot) -> ClassId {
        self.line(slot).class
    }

    pub(super) fn set_class(&mut self, slot: Slot, class: ClassId) {
        self.lines[slot as usize].class = class;
    }

    /// Tasks of the group.
    pub(super) fn count(&self, slot: Slot, group: GroupId) -> u32 {
        let line = self.line(slot);
        if let Some(tasks) = line.near.iter().find(|tasks| tasks.group == group && tasks.count > 0) {
            return tasks.count;
        }
        let mut far = line.far.iter().flat_map(|far| &far.0);
        far.find(|tasks| tasks.group == group).map_or(0, |tasks| tasks.count)
    }

    /// Tasks by group, in no order.
    pub(super) fn tasks(&self, slot: Slot) -> impl Iterator<Item = Tasks> + '_ {
        self.line(slot).tasks().copied()
    }

    /// Counts so many tasks of a group.
    pub(super) fn set_count(&mut self, slot: Slot, group: GroupId, count: u32) {
        let line = &mut self.lines[slot as usize];
        match line.find(group) {
            Some(known) => known.count = count,
            None => line.add(Tasks { group, count }),
        }
        if count == 0
            && let Some(far) = &mut line.far
        {
            far.0.retain(|tasks| tasks.count > 0);
            if far.0.is_empty() {
                line.far = None;
            }
        }
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

    /// The slots that are ahead of the state, which is about to be looked at: each once, in order.
    pub(super) fn take_ahead(&mut self) -> Vec<Slot> {
        let mut ahead = std::mem::take(&mut self.ahead);
        ahead.sort_unstable();
        ahead.dedup();
        ahead
    }

    /// Gives back what [`Slots::take_ahead`] gave: its memory is used again.
    pub(super) fn give_back(&mut self, mut ahead: Vec<Slot>) {
        ahead.clear();
        self.ahead = ahead;
    }

    fn line(&self, slot: Slot) -> &Line {
        &self.lines[slot as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_placement_reads_of_an_instance_is_one_cache_line() {
        assert_eq!(size_of::<Line>(), 64);
    }
}
