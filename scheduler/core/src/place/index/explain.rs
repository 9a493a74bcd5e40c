//! Why no instance takes a copy, from classes and rankings where those can tell.
//!
//! What a class can tell is asked once a class. What room there is, is read from the rankings: one number an instance,
//! without looking at the instances themselves. Where a request asks for ports or GPUs, or for what each instance must be asked
//! itself, every instance is.

use std::collections::BTreeMap;

use berth_model::id::InstanceId;

use super::prepared::Plan;
use super::ranking::Slot;
use super::{Index, active};
use crate::place::explain::Tally;
use crate::place::{Refused, Request, listed};
use crate::state::{Instance, State};

impl Index {
    /// What is said of a request of which no instance takes a further copy, where copies are on their way to `placed`.
    pub(super) fn refused(&mut self, state: &State, request: &Request, plan: &Plan, placed: &[InstanceId]) -> Refused {
        let mut by_slot: BTreeMap<Slot, u32> = BTreeMap::new();
        for slot in placed.iter().filter_map(|id| self.slots.find(*id)) {
            *by_slot.entry(slot).or_default() += 1;
        }
        let placed = |slot: Slot| by_slot.get(&slot).copied().unwrap_or(0);
        let mut tally = Tally::of(request);
        if plan.ports || plan.gpus > 0 || plan.changing || plan.chosen.is_some() {
            for (slot, instance) in (0..).zip(active(state, self.cluster)) {
                tally.ask(slot, instance, placed(slot));
            }
        } else {
            self.rank(plan.order, &plan.classes);
            self.tally_classes(&mut tally, plan, &|slot| self.instance_of(state, slot));
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

    fn tally_classes<'i>(&self, tally: &mut Tally<'_>, plan: &Plan, instance: &impl Fn(Slot) -> Option<&'i Instance>) {
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
            for (key, slot) in class
                .ranking(plan.order)
                .into_iter()
                .flat_map(|ranking| ranking.entries())
            {
                let (cpu, memory) = plan.order.free(key);
                let has_task = plan.distinct && self.slots.count(slot, plan.group) > 0;
                tally.count_free(slot, cpu, memory, has_task);
            }
        }
    }
}
