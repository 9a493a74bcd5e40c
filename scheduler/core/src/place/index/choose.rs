//! The instance of the next copy.

use std::collections::BTreeMap;

use super::Index;
use super::class::ClassId;
use super::prepared::{Plan, needed_groups};
use super::ranking::Slot;
use crate::place::Request;
use crate::place::fits::{eligible, has_ports};
use crate::place::order::{draws, lot};
use crate::state::Instance;

/// Instances of one count that are looked at one by one rather than found in order.
const FEW: usize = if cfg!(test) { 4 } else { 16 };

/// How far the classes were walked for the copies of one call that are each to have an instance without any of the
/// group. What was passed over stays unfit for as long as the call lasts: groups only grow and room only shrinks.
#[derive(Debug, Default)]
pub(super) struct Walk {
    from: BTreeMap<ClassId, u64>,
}

/// What the choice depends on besides the index.
pub(super) struct Question<'a, S> {
    pub(super) request: &'a Request,
    pub(super) plan: &'a Plan,
    /// The instance of a slot, as the state has it.
    pub(super) instance: &'a S,
    /// Copies of this call by instance.
    pub(super) placed: &'a [(Slot, u32)],
    pub(super) seed: u64,
    pub(super) turn: u32,
}

impl Index {
    /// The best instance that can take a copy.
    pub(super) fn choose<'i, S>(&self, question: &Question<'_, S>, walk: &mut Walk) -> Option<Slot>
    where
        S: Fn(Slot) -> Option<&'i Instance>,
    {
        let plan = question.plan;
        if let Some(few) = plan.few() {
            return self.choose_from(question, few.iter().copied());
        }
        if let Some(needed) = needed_groups(question.request).filter(|_| plan.changing) {
            return self.choose_from(question, self.groups.members(needed).into_iter());
        }
        if plan.facets.is_empty() {
            return self.choose_within(question, &plan.classes, walk);
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
            if let Some(slot) = self.choose_within(question, &equal, walk) {
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

    /// The best instance of classes that are equally good.
    fn choose_within<'i, S>(&self, question: &Question<'_, S>, classes: &[ClassId], walk: &mut Walk) -> Option<Slot>
    where
        S: Fn(Slot) -> Option<&'i Instance>,
    {
        let plan = question.plan;
        if plan.random {
            return self.choose_by_lot(question, classes);
        }
        let group = self.groups.get(plan.group);
        if plan.distinct || (plan.by_instance && group.spans() < self.slots.len()) {
            let found = self.first_without(question, classes, walk);
            if found.is_some() || plan.distinct {
                return found;
            }
        }
        if !plan.by_instance {
            return self.first_of(question, classes, |_| true);
        }
        let mut level = 0;
        while let Some(next) = classes
            .iter()
            .filter_map(|class| group.level_after(*class, level))
            .min()
        {
            level = next;
            let firsts = classes.iter().filter_map(|class| {
                let here = group.at_level(*class, level);
                if here.take(FEW + 1).count() > FEW {
                    return self.first_of(question, &[*class], |slot| self.slots.count(slot, plan.group) == level);
                }
                let fitting = group
                    .at_level(*class, level)
                    .filter(|slot| self.takes(question, classes, *slot));
                fitting.min_by_key(|slot| (self.key(plan, *slot), *slot))
            });
            if let Some(found) = firsts.min_by_key(|slot| (self.key(plan, *slot), *slot)) {
                return Some(found);
            }
        }
        None
    }

    /// The first in order of those that fit and have no task of the group.
    fn first_without<'i, S>(&self, question: &Question<'_, S>, classes: &[ClassId], walk: &mut Walk) -> Option<Slot>
    where
        S: Fn(Slot) -> Option<&'i Instance>,
    {
        let plan = question.plan;
        let demand = &question.request.demand;
        let (span, other) = plan.order.span(demand.cpu.0, demand.memory.0);
        let mut best: Option<(u64, Slot, ClassId)> = None;
        for class in classes {
            let Some(ranking) = self.classes.get(*class).ranking(plan.order) else {
                continue;
            };
            let from = walk.from.get(class).copied().unwrap_or(0).max(*span.start());
            let free = |slot| self.slots.count(slot, plan.group) == 0 && self.accepts(question, slot);
            let first = ranking.first(&(from..=*span.end()), other, free);
            walk.from.insert(*class, first.map_or(u64::MAX, |(key, _)| key));
            let first = first.map(|(key, slot)| (key, slot, *class));
            best = [best, first].into_iter().flatten().min();
        }
        best.map(|(_, slot, _)| slot)
    }

    /// The first in order of those that fit and pass.
    fn first_of<'i, S>(
        &self,
        question: &Question<'_, S>,
        classes: &[ClassId],
        mut passes: impl FnMut(Slot) -> bool,
    ) -> Option<Slot>
    where
        S: Fn(Slot) -> Option<&'i Instance>,
    {
        let demand = &question.request.demand;
        let (span, other) = question.plan.order.span(demand.cpu.0, demand.memory.0);
        let rankings = classes
            .iter()
            .filter_map(|class| self.classes.get(*class).ranking(question.plan.order));
        let firsts = rankings
            .filter_map(|ranking| ranking.first(&span, other, |slot| passes(slot) && self.accepts(question, slot)));
        firsts.min().map(|(_, slot)| slot)
    }

    fn choose_by_lot<'i, S>(&self, question: &Question<'_, S>, classes: &[ClassId]) -> Option<Slot>
    where
        S: Fn(Slot) -> Option<&'i Instance>,
    {
        let drawn = draws(question.seed, question.turn, self.slots.len())
            .filter_map(|rank| Slot::try_from(rank).ok())
            .find(|slot| self.takes(question, classes, *slot));
        drawn.or_else(|| {
            // So few can take it that chance did not meet one: those that can are looked up.
            let mut fitting = Vec::new();
            self.first_of(question, classes, |slot| {
                if self.accepts(question, slot) {
                    fitting.push(slot);
                }
                false
            });
            fitting.sort_unstable();
            fitting.get(lot(question.seed, question.turn, fitting.len())).copied()
        })
    }

    /// The best of a list, by everything that counts.
    fn choose_from<'i, S>(&self, question: &Question<'_, S>, list: impl Iterator<Item = Slot>) -> Option<Slot>
    where
        S: Fn(Slot) -> Option<&'i Instance>,
    {
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
            let mut drawn =
                draws(question.seed, question.turn, self.slots.len()).filter_map(|rank| Slot::try_from(rank).ok());
            let drawn = drawn.find(|slot| best.binary_search(slot).is_ok());
            return drawn.or_else(|| best.get(lot(question.seed, question.turn, best.len())).copied());
        }
        best.into_iter().min_by_key(|slot| (self.key(plan, *slot), *slot))
    }

    fn key(&self, plan: &Plan, slot: Slot) -> u64 {
        let free = self.slots.free(slot);
        plan.order.key(free.cpu, free.memory)
    }

    /// Whether the instance is of one of the classes and can take a copy.
    fn takes<'i, S>(&self, question: &Question<'_, S>, classes: &[ClassId], slot: Slot) -> bool
    where
        S: Fn(Slot) -> Option<&'i Instance>,
    {
        let demand = &question.request.demand;
        let free = self.slots.free(slot);
        free.cpu >= demand.cpu.0
            && free.memory >= demand.memory.0
            && classes.binary_search(&self.slots.class(slot)).is_ok()
            && self.accepts(question, slot)
    }

    /// Whether an instance that has enough CPU and memory and is of the right class can take a copy.
    fn accepts<'i, S>(&self, question: &Question<'_, S>, slot: Slot) -> bool
    where
        S: Fn(Slot) -> Option<&'i Instance>,
    {
        let plan = question.plan;
        if plan.distinct && self.slots.count(slot, plan.group) > 0 {
            return false;
        }
        if let Some(chosen) = &plan.chosen
            && chosen.binary_search(&slot).is_err()
        {
            return false;
        }
        if plan.gpus > 0 && self.slots.free(slot).gpus < plan.gpus {
            return false;
        }
        if !plan.ports && !plan.changing {
            return true;
        }
        let Some(instance) = (question.instance)(slot) else {
            return false;
        };
        if plan.changing && !eligible(instance, question.request) {
            return false;
        }
        // Each copy that was placed here has the ports.
        !plan.ports
            || (has_ports(instance, question.request) && question.placed.iter().all(|(placed, _)| *placed != slot))
    }
}
