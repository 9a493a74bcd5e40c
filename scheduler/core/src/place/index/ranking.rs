//! The instances of one class in one order, so that the best with enough of both resources is found in a few steps
//! however many there are.
//!
//! A B+ tree of three levels: sorted leaves, branches of leaves, and one root of all branches. Above each leaf, and above
//! each branch, stands the most that any of its entries has of the resource that does not lead. What leads is a range of
//! the order itself, so only the leaf in which the range begins can look as if it had an instance and have none: nothing
//! that is full in one resource is ever walked over. Leaves and branches are small and stay where they are in memory, so
//! that no change moves more than one of each.

mod branch;
mod leaf;
mod walk;

use self::branch::{Branch, Level};
use self::leaf::Leaf;
pub(super) use self::walk::{Cursor, Meeting};
use crate::place::order::Order;

/// An instance by its rank among those of the cluster in the order of ids.
pub(super) type Slot = u32;

/// An instance with its place in the order.
pub(super) type Entry = (u64, Slot);

/// Entries of a leaf, at most.
const LEAF: usize = if cfg!(test) { 8 } else { 32 };
/// Of those that are made at once: so that there is room for change.
const FILLED: usize = LEAF * 3 / 4;
/// Leaves of a branch, at most.
const FAN: usize = if cfg!(test) { 4 } else { 32 };

/// Instances in order.
#[derive(Debug)]
pub(super) struct Ranking {
    order: Order,
    leaves: Arena<Leaf>,
    branches: Arena<Branch>,
    root: Root,
}

/// All branches in order.
#[derive(Debug, Default)]
struct Root {
    keys: Vec<u64>,
    slots: Vec<Slot>,
    most: Vec<u32>,
    branches: Vec<u32>,
}

/// Things by number; those that are given back are used again.
#[derive(Debug)]
struct Arena<T> {
    items: Vec<T>,
    spare: Vec<u32>,
}

/// A leaf: its branch by the place in the root, and its own place in the branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spot {
    branch: usize,
    leaf: usize,
}

impl Ranking {
    /// A ranking of these entries: `(cpu, memory, slot)` of each instance.
    pub(super) fn of(order: Order, instances: impl IntoIterator<Item = (u32, u32, Slot)>) -> Self {
        let keyed = |(cpu, memory, slot)| (order.key(cpu, memory), slot);
        let mut entries: Vec<Entry> = instances.into_iter().map(keyed).collect();
        entries.sort_unstable();
        let mut ranking = Self {
            order,
            leaves: Arena::default(),
            branches: Arena::default(),
            root: Root::default(),
        };
        let leaves: Vec<u32> = entries
            .chunks(FILLED)
            .map(|chunk| ranking.leaves.put(Leaf::of(chunk)))
            .collect();
        for (at, chunk) in leaves.chunks(FAN * 3 / 4).enumerate() {
            let mut branch = Branch::default();
            for (place, number) in chunk.iter().enumerate() {
                let leaf = ranking.leaves.get(*number);
                branch.insert(place, leaf.first(), leaf.most(order), *number);
            }
            let (first, most) = (branch.first(), branch.most());
            let number = ranking.branches.put(branch);
            ranking.root.insert(at, first, most, number);
        }
        ranking
    }

    pub(super) fn insert(&mut self, cpu: u32, memory: u32, slot: Slot) {
        self.insert_all(&[(self.order.key(cpu, memory), slot)]);
    }

    pub(super) fn remove(&mut self, cpu: u32, memory: u32, slot: Slot) {
        self.remove_all(&[(self.order.key(cpu, memory), slot)], None);
    }

    /// Takes in entries that are in order.
    pub(super) fn insert_all(&mut self, mut entries: &[Entry]) {
        while let Some(first) = entries.first() {
            if self.root.branches.is_empty() {
                let leaf = self.leaves.put(Leaf::default());
                let mut branch = Branch::default();
                branch.insert(0, *first, 0, leaf);
                let branch = self.branches.put(branch);
                self.root.insert(0, *first, 0, branch);
            }
            let spot = self.spot_of(*first);
            let here = self.belonging(entries, spot);
            let room = LEAF - self.leaf(spot).len();
            let (gap, run) = self.gap(spot, &entries[..here]);
            if run > LEAF {
                self.insert_run(spot, gap, &entries[..run]);
                entries = &entries[run..];
                continue;
            }
            if room == 0 {
                self.split(spot, LEAF / 2);
                continue;
            }
            let (here, rest) = entries.split_at(here.min(room));
            entries = rest;
            self.fill(spot, here);
        }
    }

    /// Removes entries that are in order. `met` is where a walk stands that has just met the first.
    pub(super) fn remove_all(&mut self, mut entries: &[Entry], mut met: Option<Cursor>) {
        while let Some(first) = entries.first()
            && !self.root.branches.is_empty()
        {
            let found = met.take().and_then(|met| self.spot_before(met, *first));
            let (spot, at) = found.unwrap_or_else(|| {
                let spot = self.spot_of(*first);
                (spot, self.leaf(spot).position(*first))
            });
            let gone = self.leaf_mut(spot).remove(entries, at);
            let (here, rest) = entries.split_at(gone.max(1));
            entries = rest;
            let most = here.iter().map(|(key, _)| self.order.other(*key)).max().unwrap_or(0);
            self.mend(spot, most);
        }
    }

    /// All instances in order, those of one leaf that share a place together.
    pub(super) fn runs(&self) -> impl Iterator<Item = (u64, &[Slot])> {
        let branches = self.root.branches.iter().map(|number| self.branches.get(*number));
        let leaves = branches.flat_map(|branch| branch.leaves().iter().copied());
        leaves.flat_map(|number| self.leaves.get(number).level().runs())
    }

    /// The leaf in which the entry is or belongs. There must be one.
    fn spot_of(&self, entry: Entry) -> Spot {
        let branch = self.root.level().position_after(entry).saturating_sub(1);
        let leaves = self.branches.get(self.root.branches[branch]).level();
        let leaf = leaves.position_after(entry).saturating_sub(1);
        Spot { branch, leaf }
    }

    /// How many of the entries, of which the first belongs to the leaf, do.
    fn belonging(&self, entries: &[Entry], spot: Spot) -> usize {
        if entries.len() == 1 {
            return 1;
        }
        let branch = self.branch(spot);
        let next = branch.level().entry(spot.leaf + 1);
        match next.or_else(|| self.root.level().entry(spot.branch + 1)) {
            Some(next) => entries.partition_point(|entry| *entry < next).max(1),
            None => entries.len(),
        }
    }

    fn branch(&self, spot: Spot) -> &Branch {
        self.branches.get(self.root.branches[spot.branch])
    }

    fn branch_mut(&mut self, spot: Spot) -> &mut Branch {
        self.branches.get_mut(self.root.branches[spot.branch])
    }

    fn leaf(&self, spot: Spot) -> &Leaf {
        self.leaves.get(self.branch(spot).number(spot.leaf))
    }

    fn leaf_mut(&mut self, spot: Spot) -> &mut Leaf {
        let number = self.branch(spot).number(spot.leaf);
        self.leaves.get_mut(number)
    }

    /// The leaf begins with this entry now.
    fn set_first(&mut self, spot: Spot, first: Entry) {
        self.branch_mut(spot).set_first(spot.leaf, first);
        if spot.leaf == 0 {
            self.root.keys[spot.branch] = first.0;
            self.root.slots[spot.branch] = first.1;
        }
    }

    /// The leaf has an entry with so much of the other resource now.
    fn raise(&mut self, spot: Spot, most: u32) {
        self.branch_mut(spot).raise(spot.leaf, most);
        let top = &mut self.root.most[spot.branch];
        *top = most.max(*top);
    }

    /// The leaf has lost entries, with this much of the other resource at most.
    fn mend(&mut self, spot: Spot, lost: u32) {
        let left = self.leaf(spot).len();
        let next = Spot {
            leaf: spot.leaf + 1,
            ..spot
        };
        let joins = next.leaf < self.branch(spot).len() && left + self.leaf(next).len() <= LEAF / 2;
        if joins {
            let number = self.branch(next).number(next.leaf);
            let next_leaf = std::mem::take(self.leaves.get_mut(number));
            self.leaf_mut(spot).append(&next_leaf);
        } else if left == 0 {
            self.remove_leaf(spot);
            return;
        }
        let first = self.leaf(spot).first();
        self.set_first(spot, first);
        if joins || lost >= self.branch(spot).most_of(spot.leaf) {
            let most = self.leaf(spot).most(self.order);
            self.branch_mut(spot).set_most(spot.leaf, most);
        }
        if joins {
            self.remove_leaf(next);
        }
        self.lower(spot.branch, lost);
    }

    /// The branch has lost an entry with this much of the other resource.
    fn lower(&mut self, branch: usize, lost: u32) {
        if lost >= self.root.most[branch] {
            self.root.most[branch] = self.branches.get(self.root.branches[branch]).most();
        }
    }

    /// Takes entries into a leaf that has room for them.
    fn fill(&mut self, spot: Spot, entries: &[Entry]) {
        let order = self.order;
        let leaf = self.leaf_mut(spot);
        leaf.merge(entries);
        let first = leaf.first();
        let most = entries.iter().map(|(key, _)| order.other(*key)).max().unwrap_or(0);
        self.set_first(spot, first);
        self.raise(spot, most);
    }

    /// Where in the leaf the first of the entries belongs, and how many of them, all of which belong to the leaf, stand
    /// before what follows there.
    fn gap(&self, spot: Spot, entries: &[Entry]) -> (usize, usize) {
        if entries.len() <= LEAF {
            return (0, 0);
        }
        let level = self.leaf(spot).level();
        let gap = entries.first().map_or(0, |first| level.position(*first));
        let run = match level.entry(gap) {
            Some(next) => entries.partition_point(|entry| *entry < next),
            None => entries.len(),
        };
        (gap, run)
    }

    /// Takes in entries that stand between two of a leaf, most of them as leaves of their own.
    fn insert_run(&mut self, spot: Spot, gap: usize, run: &[Entry]) {
        let mut spot = if gap < self.leaf(spot).len() {
            self.split(spot, gap)
        } else {
            spot
        };
        let (here, rest) = run.split_at(FILLED.saturating_sub(gap).min(run.len()));
        if !here.is_empty() {
            self.fill(spot, here);
        }
        for chunk in rest.chunks(FILLED) {
            spot = self.insert_leaf(spot, Leaf::of(chunk));
        }
    }

    /// Makes a leaf of its own of what stands in this one from a place on: says where this one is then.
    fn split(&mut self, spot: Spot, at: usize) -> Spot {
        let order = self.order;
        let upper = self.leaf_mut(spot).split(at);
        let most = self.leaf(spot).most(order);
        self.branch_mut(spot).set_most(spot.leaf, most);
        let upper = self.insert_leaf(spot, upper);
        self.root.most[spot.branch] = self.branch(spot).most();
        match upper.leaf.checked_sub(1) {
            Some(leaf) => Spot { leaf, ..upper },
            None => spot,
        }
    }

    /// Puts a leaf behind another: says where it is.
    fn insert_leaf(&mut self, behind: Spot, leaf: Leaf) -> Spot {
        let (first, most) = (leaf.first(), leaf.most(self.order));
        let number = self.leaves.put(leaf);
        let mut spot = Spot {
            leaf: behind.leaf + 1,
            ..behind
        };
        if self.branch(behind).len() == FAN {
            // What comes in order leaves full branches behind.
            let at = if spot.leaf == FAN { FAN } else { FAN / 2 };
            let upper = self.branch_mut(behind).split(at);
            self.root.most[behind.branch] = self.branch(behind).most();
            let top = if at == FAN { first } else { upper.first() };
            let most = upper.most();
            let number = self.branches.put(upper);
            self.root.insert(behind.branch + 1, top, most, number);
            if at == FAN || spot.leaf > at {
                spot = Spot {
                    branch: behind.branch + 1,
                    leaf: spot.leaf - at,
                };
            }
        }
        self.branch_mut(spot).insert(spot.leaf, first, most, number);
        let top = &mut self.root.most[spot.branch];
        *top = most.max(*top);
        spot
    }

    fn remove_leaf(&mut self, spot: Spot) {
        let branch = self.branch_mut(spot);
        let (number, most) = branch.remove(spot.leaf);
        let first = (branch.len() > 0).then(|| branch.first());
        self.leaves.give_back(number);
        match first {
            Some((key, slot)) => {
                self.root.keys[spot.branch] = key;
                self.root.slots[spot.branch] = slot;
                self.lower(spot.branch, most);
            }
            None => {
                let number = self.root.remove(spot.branch);
                self.branches.give_back(number);
            }
        }
    }
}

impl Root {
    fn level(&self) -> Level<'_> {
        Level {
            keys: &self.keys,
            slots: &self.slots,
        }
    }

    fn insert(&mut self, at: usize, (key, slot): Entry, most: u32, branch: u32) {
        self.keys.insert(at, key);
        self.slots.insert(at, slot);
        self.most.insert(at, most);
        self.branches.insert(at, branch);
    }

    fn remove(&mut self, at: usize) -> u32 {
        self.keys.remove(at);
        self.slots.remove(at);
        self.most.remove(at);
        self.branches.remove(at)
    }
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            spare: Vec::new(),
        }
    }
}

impl<T> Arena<T> {
    fn put(&mut self, item: T) -> u32 {
        if let Some(number) = self.spare.pop() {
            self.items[number as usize] = item;
            return number;
        }
        self.items.push(item);
        u32::try_from(self.items.len() - 1).unwrap_or(u32::MAX)
    }

    fn give_back(&mut self, number: u32) {
        self.spare.push(number);
    }

    fn get(&self, number: u32) -> &T {
        &self.items[number as usize]
    }

    fn get_mut(&mut self, number: u32) -> &mut T {
        &mut self.items[number as usize]
    }
}

#[cfg(test)]
mod tests;
