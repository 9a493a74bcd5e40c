//! Why no instance takes a copy, from classes and rankings where those can tell.
//!
//! What a class can tell is asked once a class. What room there is, is read from the rankings, for instances with equally
//! much at once, and without looking at the instances themselves. Where a request asks for GPUs, or for what each instance
//! must be asked itself, every instance is.

use std::collections::BTreeMap;

use berth_model::id::InstanceId;

use super::lot::FEW;
use super::ports::Asked;
use super::prepared::Plan;
use super::ranking::Slot;
use super::{Index, active};
use crate::place::explain::{Count, Tally};
use crate::place::{Misfit, Refused, Request, listed};
use crate::state::{Instance, State};

/// What else than room keeps copies off instances, and off how many.
struct Obstacles<'a> {
    /// Of each instance whether it has a task of the group, where there must be none.
    has_task: Option<Vec<bool>>,
    ports: Vec<Asked<'a>>,
    distinct: Count,
    held: Vec<Count>,
    reserved: Vec<Count>,
}

impl Index {
    /// What is said of a request of which no instance takes a further copy, where copies are on their way to `placed`.
    pub(super) fn refused(&mut self, state: &State, request: &Request, plan: &Plan, placed: &[InstanceId]) -> Refused {
        let mut by_slot: BTreeMap<Slot, u32> = BTreeMap::new();
        for slot in placed.iter().filter_map(|id| self.slots.find(*id)) {
            *by_slot.entry(slot).or_default() += 1;
        }
        let placed = |slot: Slot| by_slot.get(&slot).copied().unwrap_or(0);
        let mut tally = Tally::of(request);
        if plan.gpus > 0 || plan.changing || plan.chosen.is_some() {
            for (slot, instance) in (0..).zip(active(state, self.cluster)) {
                tally.ask(slot, instance, placed(slot));
            }
        } else {
            // Where chance decides, every copy from then on would change rankings that nothing else asks for.
            if !plan.random || self.slots.len() > FEW {
                self.rank(plan.order, &plan.classes);
            }
            self.tally_classes(&mut tally, request, plan, &|slot| self.instance_of(state, slot));
        }
        let explanation = tally.finish(|slot| self.instance_of(state, slot), placed);
        let listed = listed(
            active(state, self.cluster),
            request,
            explanation.closest.as_ref(),
            |id| self.slots.find(id).map_or(0, &placed),
        );
        Refused { explanation, listed }
    }

    fn tally_classes<'i>(
        &self,
        tally: &mut Tally<'_>,
        request: &Request,
        plan: &Plan,
        instance: &impl Fn(Slot) -> Option<&'i Instance>,
    ) {
        let mut obstacles = self.obstacles(request, plan);
        for id in self.classes.ids() {
            let class = self.classes.get(id);
            let Some(first) = class.members.first().copied() else {
                continue;
            };
            let Some(example) = instance(first) else { continue };
            let members = u32::try_from(class.members.len()).unwrap_or(u32::MAX);
            if !tally.class(example, members, first) {
                continue;
            }
            let made;
            let ranking = match class.ranking(plan.order) {
                Some(kept) => kept,
                None => {
                    made = class.ranked(plan.order, |slot| self.slots.free(slot));
                    &made
                }
            };
            for (key, slots) in ranking.runs() {
                let (cpu, memory) = plan.order.free(key);
                let nearest = obstacles.count(slots);
                tally.count_equal(slots, (cpu, memory), nearest);
            }
        }
        tally.count_taken(Misfit::Distinct, obstacles.distinct);
        for ((asked, held), reserved) in obstacles.ports.iter().zip(&obstacles.held).zip(&obstacles.reserved) {
            for (count, reserved) in [(*held, false), (*reserved, true)] {
                let port = asked.port;
                tally.count_taken(Misfit::Port { port, reserved }, count);
            }
        }
    }

    fn obstacles<'a>(&'a self, request: &'a Request, plan: &Plan) -> Obstacles<'a> {
        let ports: Vec<Asked<'a>> = self.ports.asked(&request.demand.ports).collect();
        // In the order in which they are in memory.
        let has_task = |slot| self.slots.count(slot, plan.group) > 0;
        let is_counted = plan.distinct && self.groups.get(plan.group).spans() > 0;
        Obstacles {
            has_task: is_counted.then(|| self.slots.all().map(has_task).collect()),
            distinct: Count::default(),
            held: vec![Count::default(); ports.len()],
            reserved: vec![Count::default(); ports.len()],
            ports,
        }
    }
}

impl Obstacles<'_> {
    /// Counts what is in the way on instances, which are in order: gives the first of those with the least in the way, and
    /// how much that is.
    fn count(&mut self, slots: &[Slot]) -> (usize, Slot) {
        if self.has_task.is_none() && self.ports.is_empty() {
            return (0, slots.first().copied().unwrap_or_default());
        }
        let mut nearest = (usize::MAX, Slot::MAX);
        for slot in slots {
            let mut found = 0;
            if self.has_task.as_ref().is_some_and(|has| has[*slot as usize]) {
                self.distinct.add(1, *slot);
                found += 1;
            }
            for ((asked, held), reserved) in self.ports.iter().zip(&mut self.held).zip(&mut self.reserved) {
                if asked.is_reserved(*slot) {
                    reserved.add(1, *slot);
                    found += 1;
                } else if asked.is_held(*slot) {
                    held.add(1, *slot);
                    found += 1;
                }
            }
            nearest = nearest.min((found, *slot));
        }
        nearest
    }
}
