//! The instance of the next copy, where no order decides alone: where candidates are few, or chance decides among those that
//! are spread over equally.

use berth_model::id::InstanceId;

use super::Index;
use super::class::ClassId;
use super::lot::{Draft, Turn};
use super::prepared::{Plan, needed_groups};
use super::ranking::Slot;
use crate::keys::InstanceKey;
use crate::place::Request;
use crate::place::fits::eligible;
use crate::place::order::lot;
use crate::state::{Instance, State};

/// One call: what the choice depends on besides the index.
pub(super) struct Question<'a> {
    pub(super) state: &'a State,
    pub(super) request: &'a Request,
    pub(super) plan: &'a Plan,
    pub(super) seed: u64,
}

impl Question<'_> {
    /// CPU units and memory of so many copies.
    pub(super) fn size(&self, copies: u32) -> (u32, u32) {
        let demand = &self.request.demand;
        (
            demand.cpu.0.saturating_mul(copies),
            demand.memory.0.saturating_mul(copies),
        )
    }
}

impl Index {
    /// Places up to `count` copies, each on the instance that is best for it.
    pub(super) fn place_one_by_one(&mut self, question: &Question<'_>, count: u32) -> Vec<InstanceId> {
        if question.plan.is_by_lot() {
            return self.place_by_lot(question, count);
        }
        let mut placed = Vec::new();
        let mut draft = Draft::default();
        while let Some(number) = u32::try_from(placed.len()).ok().filter(|number| *number < count) {
            let turn = self.turn(&mut draft, question, number, count);
            let Some(slot) = self.choose(question, turn) else { break };
            let copies = self.copies(question, slot, count - number);
            placed.extend(std::iter::repeat_n(self.slots.id(slot), copies as usize));
            self.take(question, slot, copies);
        }
        placed
    }

    /// The best instance that can take a copy.
    fn choose(&mut self, question: &Question<'_>, turn: Turn) -> Option<Slot> {
        let plan = question.plan;
        if let Some(few) = plan.few() {
            return self.choose_from(question, turn, few.iter().copied());
        }
        if plan.by_group
            && let Some(needed) = needed_groups(question.request)
        {
            return self.choose_from(question, turn, self.groups.members(needed).into_iter());
        }
        if plan.facets.is_empty() {
            return self.choose_by_lot(question, turn, &plan.classes);
        }
        let mut ranked: Vec<(Vec<u32>, ClassId)> = plan
            .classes
            .iter()
            .map(|class| (self.domain_counts(plan, *class), *class))
            .collect();
        ranked.sort_unstable();
        let mut equal = Vec::new();
        for level in ranked.chunk_by(|(one, _), (other, _)| one == other) {
            equal.clear();
            equal.extend(level.iter().map(|(_, class)| *class));
            if let Some(slot) = self.choose_by_lot(question, turn, &equal) {
                return Some(slot);
            }
        }
        None
    }

    /// Tasks of the group in the domains of the class, by the facets that are spread over.
    fn domain_counts(&self, plan: &Plan, class: ClassId) -> Vec<u32> {
        let group = self.groups.get(plan.group);
        let class = self.classes.get(class);
        let count = |facet: &usize| group.in_domain(*facet, class.domain(*facet));
        plan.facets.iter().map(count).collect()
    }

    /// The best of a list, by everything that counts.
    fn choose_from(&self, question: &Question<'_>, turn: Turn, list: impl Iterator<Item = Slot>) -> Option<Slot> {
        let plan = question.plan;
        let rules = |slot: Slot| {
            let level = if plan.by_instance {
                self.slots.count(slot, plan.group)
            } else {
                0
            };
            (self.domain_counts(plan, self.slots.class(slot)), level)
        };
        let mut best: Vec<Slot> = Vec::new();
        let mut best_rules = None;
        for slot in list.filter(|slot| self.takes(question, &plan.classes, *slot)) {
            let rules = rules(slot);
            if best_rules.as_ref().is_none_or(|best| rules < *best) {
                best_rules = Some(rules);
                best.clear();
                best.push(slot);
            } else if best_rules.as_ref() == Some(&rules) {
                best.push(slot);
            }
        }
        if plan.random {
            let drawn = self.draw(question, turn, |slot| best.binary_search(&slot).is_ok());
            return drawn.or_else(|| best.get(lot(question.seed, turn.number, best.len())).copied());
        }
        best.into_iter().min_by_key(|slot| (self.key(plan, *slot), *slot))
    }

    pub(super) fn key(&self, plan: &Plan, slot: Slot) -> u64 {
        let free = self.slots.free(slot);
        plan.order.key(free.cpu, free.memory)
    }

    /// Whether the instance is of one of the classes and can take a copy.
    #[inline]
    pub(super) fn takes(&self, question: &Question<'_>, classes: &[ClassId], slot: Slot) -> bool {
        let demand = &question.request.demand;
        let free = self.slots.free(slot);
        free.cpu >= demand.cpu.0
            && free.memory >= demand.memory.0
            && classes.binary_search(&self.slots.class(slot)).is_ok()
            && (!question.plan.asks_each() || self.accepts(question, slot))
    }

    /// Whether an instance that has enough CPU and memory and is of the right class can take a copy.
    pub(super) fn accepts(&self, question: &Question<'_>, slot: Slot) -> bool {
        let plan = question.plan;
        if plan.distinct && self.slots.count(slot, plan.group) > 0 {
            return false;
        }
        if let Some(chosen) = &plan.chosen
            && !chosen.contains(slot)
        {
            return false;
        }
        if plan.gpus > 0 && self.slots.free(slot).gpus < plan.gpus {
            return false;
        }
        if plan.ports && !self.ports.are_free(slot, &question.request.demand.ports) {
            return false;
        }
        if !plan.changing {
            return true;
        }
        let instance = self.instance_of(question.state, slot);
        instance.is_some_and(|instance| eligible(instance, question.request))
    }

    pub(super) fn instance_of<'s>(&self, state: &'s State, slot: Slot) -> Option<&'s Instance> {
        state.instance(InstanceKey {
            cluster: self.cluster,
            instance: self.slots.id(slot),
        })
    }
}
