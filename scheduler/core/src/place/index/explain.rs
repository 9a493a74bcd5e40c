//! Why no instance takes a copy, from classes and rankings where those can tell.
//!
//! What a class can tell is asked once a class. What room there is, is read from the rankings: one number an instance,
//! without looking at the instances themselves. Where a request asks for ports or GPUs, or for what each instance must be asked
//! itself, every instance is.

use super::prepared::Plan;
use super::ranking::Slot;
use super::{Index, active};
use crate::keys::InstanceKey;
use crate::place::explain::Tally;
use crate::place::{Refused, Request, listed};
use crate::state::{Instance, State};

impl Index {
    /// What is said of a request of which no instance takes a further copy, where `placed` are on their way to a slot.
    pub(super) fn refused(
        &self,
        state: &State,
        request: &Request,
        plan: &Plan,
        placed: impl Fn(Slot) -> u32,
    ) -> Refused {
        let mut tally = Tally::of(request);
        if plan.ports || plan.gpus > 0 || plan.changing || plan.chosen.is_some() {
            for (slot, instance) in (0..).zip(active(state, self.cluster)) {
                tally.ask(slot, instance, placed(slot));
            }
        } else {
            self.tally_classes(&mut tally, plan, &|slot| self.instance_of(state, slot));
        }
        let explanation = tally.finish(|slot| self.instance_of(state, slot), &placed);
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
            // A class that is chosen from is ranked by the order in which it is chosen from.
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

    fn instance_of<'s>(&self, state: &'s State, slot: Slot) -> Option<&'s Instance> {
        state.instance(InstanceKey {
            cluster: self.cluster,
            instance: self.slots.id(slot),
        })
    }
}
