//! Placement at a cost that does not grow with the cluster.
//!
//! The same decisions as [`Scan`]'s, found without looking at every instance. Instances that agree on every attribute
//! which any request has asked about form a *class*: constraints are evaluated once for each. Within a class instances
//! are kept in the order in which they are to be chosen ([`ranking`]), so that the best with enough CPU and memory is
//! found in a few steps; ports ([`ports`]), GPUs and what is each instance's own are checked on candidates. What a group has where is
//! counted beside, for `spread` and `distinctInstance`.
//!
//! Part of [`crate::command::Memory`]: it is never the state, only a faster way to read it. It is brought up to date from
//! the state's log of changed instances before each use, and made anew where the log does not reach back.

mod bitmap;
mod choose;
mod class;
mod explain;
mod group;
mod lot;
mod merge;
mod octaves;
mod ports;
mod prepared;
mod ranking;
mod slots;
mod upkeep;

use berth_model::id::InstanceId;
use berth_model::status::InstanceStatus;

use self::choose::Question;
use self::class::Classes;
use self::group::Groups;
use self::merge::Merge;
use self::ports::Ports;
use self::prepared::Remembered;
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
    ports: Ports,
    remembered: Remembered,
    /// What calls share is its memory alone.
    merge: Merge,
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
            ports: Ports::default(),
            remembered: Remembered::default(),
            merge: Merge::default(),
        };
        index.rebuild(state);
        index
    }

    /// Takes in what has changed in the state.
    pub fn catch_up(&mut self, state: &State) {
        let changed = state.instances_changed_since(self.seen);
        self.follow(state, changed);
    }

    /// Returns to a state from one that further changes of it have made, and that will not be.
    pub fn go_back(&mut self, state: &State, from: &State) {
        if self.seen > state.instance_changes {
            let changed = from.instances_changed_since(state.instance_changes);
            self.follow(state, changed);
        }
    }

    fn follow(&mut self, state: &State, changed: Option<impl Iterator<Item = InstanceKey>>) {
        let Some(changed) = changed else {
            self.rebuild(state);
            return;
        };
        let ahead = self.slots.take_ahead();
        let cluster = self.cluster;
        let mut changed = changed.filter(|key| key.cluster == cluster);
        let same = changed.all(|key| self.refresh(state, key)) && ahead.iter().all(|slot| self.return_to(state, *slot));
        if same {
            self.slots.give_back(ahead);
        } else {
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
        let at = self.prepare(state, request);
        let remembered = std::mem::take(&mut self.remembered);
        let plan = remembered.get(at).and_then(|prepared| prepared.plan.as_ref());
        let mut solution = match plan {
            None => solve(active(state, self.cluster), request, count, seed),
            Some(plan) => {
                let question = Question {
                    state,
                    request,
                    plan,
                    seed,
                };
                let placed = match plan.is_ordered() {
                    true => self.place_in_order(&question, count),
                    false => self.place_one_by_one(&question, count),
                };
                let refused =
                    (explain && placed.len() < count as usize).then(|| self.refused(state, request, plan, &placed));
                Solution { placed, refused }
            }
        };
        if let Some(refused) = &mut solution.refused {
            refused.explanation.complete(state, self.cluster);
        }
        self.remembered = remembered;
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
