//! Placement at a cost that does not grow with the cluster.
//!
//! The same decisions as [`Scan`]'s, found without looking at every instance. Instances that agree on every attribute
//! which any request has asked about form a *class*: constraints are evaluated once for each. Within a class instances
//! are kept in the order in which they are to be chosen ([`ranking`]), so that the best with enough CPU and memory is
//! found in a few steps; ports, GPUs and what is each instance's own are checked on candidates. What a group has where is
//! counted beside, for `spread` and `distinctInstance`.
//!
//! Part of [`crate::command::Memory`]: it is never the state, only a faster way to read it. It is brought up to date from
//! the state's log of changed instances before each use, and made anew where the log does not reach back.

mod choose;
mod class;
mod explain;
mod group;
mod prepared;
mod ranking;
mod slots;
mod upkeep;

use std::collections::BTreeMap;

use berth_model::id::InstanceId;
use berth_model::status::InstanceStatus;

use self::choose::{Question, Walk};
use self::class::Classes;
use self::group::Groups;
use self::prepared::Prepared;
use self::ranking::Slot;
use self::slots::Slots;
use super::{Request, Solution, solve};
use crate::keys::{ClusterKey, InstanceKey};
use crate::state::{Instance, State};

/// The ACTIVE instances of one cluster, ready to be chosen from.
#[derive(Debug)]
pub struct Index {
    cluster: ClusterKey,
    /// The state's count of instance changes that are in here.
    seen: u64,
    slots: Slots,
    classes: Classes,
    groups: Groups,
    prepared: Vec<Prepared>,
}

impl Index {
    /// An index of the cluster.
    #[must_use]
    pub fn of(state: &State, cluster: ClusterKey) -> Self {
        let mut index = Self {
            cluster,
            seen: 0,
            slots: Slots::default(),
            classes: Classes::default(),
            groups: Groups::default(),
            prepared: Vec::new(),
        };
        index.rebuild(state);
        index
    }

    /// Takes in what has changed in the state.
    pub fn catch_up(&mut self, state: &State) {
        let Some(changed) = state.instances_changed_since(self.seen) else {
            self.rebuild(state);
            return;
        };
        let ahead = self.slots.take_ahead();
        let cluster = self.cluster;
        let mut changed = changed.filter(|key| key.cluster == cluster);
        let same = changed.all(|key| self.refresh(state, key)) && ahead.iter().all(|slot| self.return_to(state, *slot));
        if !same {
            self.rebuild(state);
        }
        self.seen = state.instance_changes;
    }

    /// Places as many of `count` copies as fit, best first, and explains the rest. Each copy counts as placed from now on,
    /// until the next [`Index::catch_up`] finds what has become of it.
    #[must_use]
    pub fn place(&mut self, state: &State, request: &Request, count: u32, seed: u64) -> Solution {
        self.search(state, request, count, seed, true)
    }

    /// As [`Index::place`], without a word on the rest, which may cost more than the search.
    #[must_use]
    pub fn fill(&mut self, state: &State, request: &Request, count: u32, seed: u64) -> Vec<InstanceId> {
        self.search(state, request, count, seed, false).placed
    }

    fn search(&mut self, state: &State, request: &Request, count: u32, seed: u64, explain: bool) -> Solution {
        let cluster = self.cluster;
        let ids = |instance: InstanceId| state.instance(InstanceKey { cluster, instance });
        let known = self.slots.ids();
        let instance = |slot: Slot| ids(*known.get(slot as usize)?);
        let at = self.prepare(request, &instance);
        let prepared = std::mem::take(&mut self.prepared);
        let mut solution = match &prepared[at].plan {
            None => solve(active(state, cluster), request, count, seed),
            Some(plan) => {
                let mut placed: Vec<(Slot, u32)> = Vec::new();
                let mut order = Vec::new();
                let mut walk = Walk::default();
                while let Some(turn) = u32::try_from(order.len()).ok().filter(|turn| *turn < count) {
                    let question = Question {
                        request,
                        plan,
                        instance: &instance,
                        placed: &placed,
                        seed,
                        turn,
                    };
                    let Some(slot) = self.choose(&question, &mut walk) else {
                        break;
                    };
                    let copies = self.copies(plan, request, slot, count - turn);
                    placed.push((slot, copies));
                    order.extend((0..copies).map(|_| self.slots.id(slot)));
                    self.take(slot, request, copies, plan.group);
                }
                let refused = (explain && u32::try_from(order.len()) != Ok(count)).then(|| {
                    let mut by_slot: BTreeMap<Slot, u32> = BTreeMap::new();
                    for (slot, copies) in placed {
                        *by_slot.entry(slot).or_default() += copies;
                    }
                    self.refused(state, request, plan, |slot| by_slot.get(&slot).copied().unwrap_or(0))
                });
                Solution { placed: order, refused }
            }
        };
        if let Some(refused) = &mut solution.refused {
            refused.explanation.complete(state, cluster);
        }
        self.prepared = prepared;
        solution
    }
}

/// The instances of a cluster that may be chosen.
pub(super) fn active(state: &State, cluster: ClusterKey) -> impl Iterator<Item = &std::sync::Arc<Instance>> {
    let all = state.instances_of(cluster);
    all.filter(|instance| instance.status == InstanceStatus::Active)
}

#[cfg(test)]
mod tests;
