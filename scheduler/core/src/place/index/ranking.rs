//! The instances of one class in one order, so that the best with enough of both resources is found in a few steps
//! however many there are.
//!
//! Sorted leaves of up to 128 entries; above each leaf, and above each 64 leaves, stands the most that any of its entries has
//! of the resource that does not lead. What leads is a range of the order itself, so only the leaf in which the range
//! begins can look as if it had an instance and have none: nothing that is full in one resource is ever walked over.

use std::ops::RangeInclusive;

use crate::place::order::Order;

/// An instance by its rank among those of the cluster in the order of ids.
pub(super) type Slot = u32;

/// Entries of a leaf, at most.
const LEAF: usize = 128;
/// Two neighbours with no more than so many together become one.
const SPARSE: usize = 48;
/// Leaves under one entry of the top.
const FAN: usize = 64;

/// Instances in order.
#[derive(Debug)]
pub(super) struct Ranking {
    order: Order,
    leaves: Vec<Leaf>,
    /// First entry of each leaf.
    firsts: Vec<(u64, Slot)>,
    /// Most of the other resource in each leaf.
    most: Vec<u32>,
    /// Most of the other resource in each [`FAN`] leaves.
    tops: Vec<u32>,
}

#[derive(Debug, Default)]
struct Leaf {
    keys: Vec<u64>,
    slots: Vec<Slot>,
}

impl Ranking {
    /// A ranking of these entries: `(cpu, memory, slot)` of each instance.
    pub(super) fn of(order: Order, instances: impl IntoIterator<Item = (u32, u32, Slot)>) -> Self {
        let keyed = |(cpu, memory, slot)| (order.key(cpu, memory), slot);
        let mut entries: Vec<(u64, Slot)> = instances.into_iter().map(keyed).collect();
        entries.sort_unstable();
        let leaves: Vec<Leaf> = entries
            .chunks(LEAF / 2)
            .map(|chunk| {
                let (keys, slots) = chunk.iter().copied().unzip();
                Leaf { keys, slots }
            })
            .collect();
        let mut ranking = Self {
            order,
            firsts: leaves.iter().filter_map(Leaf::first).collect(),
            most: leaves.iter().map(|leaf| leaf.most(order)).collect(),
            leaves,
            tops: Vec::new(),
        };
        ranking.rebuild_tops(0);
        ranking
    }

    pub(super) fn insert(&mut self, cpu: u32, memory: u32, slot: Slot) {
        let key = self.order.key(cpu, memory);
        if self.leaves.is_empty() {
            self.insert_leaf(0, Leaf::default());
        }
        let at = self.leaf_of(key, slot);
        let leaf = &mut self.leaves[at];
        let place = leaf.position(key, slot);
        leaf.keys.insert(place, key);
        leaf.slots.insert(place, slot);
        if leaf.keys.len() > LEAF {
            let half = leaf.keys.len() / 2;
            let upper = Leaf {
                keys: leaf.keys.split_off(half),
                slots: leaf.slots.split_off(half),
            };
            self.insert_leaf(at + 1, upper);
            self.refresh(at);
            return;
        }
        if place == 0 {
            self.firsts[at] = (key, slot);
        }
        let other = self.order.other(key);
        if other > self.most[at] {
            self.most[at] = other;
            let top = &mut self.tops[at / FAN];
            *top = (*top).max(other);
        }
    }

    pub(super) fn remove(&mut self, cpu: u32, memory: u32, slot: Slot) {
        let key = self.order.key(cpu, memory);
        if self.leaves.is_empty() {
            return;
        }
        let at = self.leaf_of(key, slot);
        let leaf = &mut self.leaves[at];
        let place = leaf.position(key, slot);
        if leaf.keys.get(place) != Some(&key) || leaf.slots[place] != slot {
            return;
        }
        leaf.keys.remove(place);
        leaf.slots.remove(place);
        let left = leaf.keys.len();
        let next = self.leaves.get(at + 1).map_or(LEAF, |next| next.keys.len());
        if left + next <= SPARSE {
            let mut next = self.remove_leaf(at + 1);
            let leaf = &mut self.leaves[at];
            leaf.keys.append(&mut next.keys);
            leaf.slots.append(&mut next.slots);
            self.refresh(at);
        } else if left == 0 {
            drop(self.remove_leaf(at));
        } else {
            if place == 0 {
                self.firsts[at] = (self.leaves[at].keys[0], self.leaves[at].slots[0]);
            }
            if self.order.other(key) == self.most[at] {
                self.refresh_most(at);
            }
        }
    }

    /// The first instance whose place is in the span, that has enough of the other resource and that `accepts` takes.
    pub(super) fn first(
        &self,
        span: &RangeInclusive<u64>,
        other: u32,
        mut accepts: impl FnMut(Slot) -> bool,
    ) -> Option<(u64, Slot)> {
        let (from, until) = (*span.start(), *span.end());
        let start = self
            .firsts
            .partition_point(|first| *first < (from, 0))
            .saturating_sub(1);
        let mut at = self.next_leaf(start, other)?;
        loop {
            let leaf = &self.leaves[at];
            let begin = if at == start {
                leaf.keys.partition_point(|key| *key < from)
            } else {
                0
            };
            for (key, slot) in leaf.keys[begin..].iter().zip(&leaf.slots[begin..]) {
                if *key > until {
                    return None;
                }
                if self.order.other(*key) >= other && accepts(*slot) {
                    return Some((*key, *slot));
                }
            }
            at = self.next_leaf(at + 1, other)?;
        }
    }

    /// All instances with their places, in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u64, Slot)> + '_ {
        let leaves = self.leaves.iter();
        leaves.flat_map(|leaf| leaf.keys.iter().copied().zip(leaf.slots.iter().copied()))
    }

    /// The first leaf from `at` on that has an entry with enough of the other resource.
    fn next_leaf(&self, at: usize, other: u32) -> Option<usize> {
        let in_group = |from: usize, until: usize| {
            let found = self.most.get(from..until)?.iter().position(|most| *most >= other)?;
            Some(from + found)
        };
        let end = self.most.len();
        let group = at / FAN;
        let rest = ((group + 1) * FAN).min(end);
        if at < rest
            && let Some(found) = in_group(at, rest)
        {
            return Some(found);
        }
        let later = self.tops.get(group + 1..)?.iter().position(|top| *top >= other)?;
        let group = group + 1 + later;
        in_group(group * FAN, ((group + 1) * FAN).min(end))
    }

    /// The leaf in which the entry is or belongs.
    fn leaf_of(&self, key: u64, slot: Slot) -> usize {
        self.firsts
            .partition_point(|first| *first <= (key, slot))
            .saturating_sub(1)
    }

    fn insert_leaf(&mut self, at: usize, leaf: Leaf) {
        self.firsts.insert(at, leaf.first().unwrap_or((0, 0)));
        self.most.insert(at, leaf.most(self.order));
        self.leaves.insert(at, leaf);
        self.rebuild_tops(at);
    }

    fn remove_leaf(&mut self, at: usize) -> Leaf {
        self.firsts.remove(at);
        self.most.remove(at);
        let leaf = self.leaves.remove(at);
        self.rebuild_tops(at);
        leaf
    }

    /// Makes what stands above a leaf true again.
    fn refresh(&mut self, at: usize) {
        if let Some(first) = self.leaves[at].first() {
            self.firsts[at] = first;
        }
        self.refresh_most(at);
    }

    fn refresh_most(&mut self, at: usize) {
        self.most[at] = self.leaves[at].most(self.order);
        let group = at / FAN;
        let until = ((group + 1) * FAN).min(self.most.len());
        self.tops[group] = self.most[group * FAN..until].iter().copied().max().unwrap_or(0);
    }

    /// The leaves from `at` on have moved.
    fn rebuild_tops(&mut self, at: usize) {
        self.tops.truncate(at / FAN);
        let groups = self.most.chunks(FAN).skip(self.tops.len());
        let tops: Vec<u32> = groups.map(|group| group.iter().copied().max().unwrap_or(0)).collect();
        self.tops.extend(tops);
    }
}

impl Leaf {
    fn first(&self) -> Option<(u64, Slot)> {
        Some((*self.keys.first()?, *self.slots.first()?))
    }

    fn most(&self, order: Order) -> u32 {
        self.keys.iter().map(|key| order.other(*key)).max().unwrap_or(0)
    }

    /// Where the entry is or belongs.
    fn position(&self, key: u64, slot: Slot) -> usize {
        let mut at = self.keys.partition_point(|other| *other < key);
        // Equal instances stand together in the order of their slots.
        if self.keys.get(at) == Some(&key) {
            let equal = self.keys[at..].partition_point(|other| *other == key);
            at += self.slots[at..at + equal].partition_point(|other| *other < slot);
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the ranking should find, by looking at all.
    fn oracle(order: Order, all: &[(u32, u32, Slot)], cpu: u32, memory: u32) -> Option<Slot> {
        let fits = |(c, m, _): &&(u32, u32, Slot)| *c >= cpu && *m >= memory;
        let best = all
            .iter()
            .filter(fits)
            .min_by_key(|(c, m, slot)| (order.key(*c, *m), *slot));
        best.map(|(_, _, slot)| *slot)
    }

    fn order() -> impl Strategy<Value = Order> {
        prop_oneof![Just(Order::LeastCpu), Just(Order::LeastMemory), Just(Order::MostFree)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_best_that_fits_is_found_after_any_change(
            order in order(),
            start in prop::collection::vec((0_u32..40, 0_u32..40), 0..400),
            changes in prop::collection::vec((any::<prop::sample::Index>(), 0_u32..40, 0_u32..40, any::<bool>()), 0..600),
            wanted in prop::collection::vec((0_u32..42, 0_u32..42), 1..20),
        ) {
            let mut all: Vec<(u32, u32, Slot)> =
                (0_u32..).zip(start).map(|(slot, (cpu, memory))| (cpu, memory, slot)).collect();
            let mut ranking = Ranking::of(order, all.iter().copied());
            for (step, (which, cpu, memory, goes)) in changes.into_iter().enumerate() {
                if !all.is_empty() {
                    let at = which.index(all.len());
                    let (c, m, slot) = all[at];
                    ranking.remove(c, m, slot);
                    if goes {
                        all.swap_remove(at);
                    } else {
                        ranking.insert(cpu, memory, slot);
                        all[at] = (cpu, memory, slot);
                    }
                }
                let (cpu, memory) = wanted[step % wanted.len()];
                let (span, other) = order.span(cpu, memory);
                let found = ranking.first(&span, other, |_| true).map(|(_, slot)| slot);
                prop_assert_eq!(found, oracle(order, &all, cpu, memory));
            }
        }
    }
}
