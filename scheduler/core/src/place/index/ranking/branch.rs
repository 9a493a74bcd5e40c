//! A branch: up to [`FAN`] leaves that come one after the other, and what stands above them.

use super::{Entry, FAN, Slot};

/// Leaves in order. The length stands first, as it is read with the first keys.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Branch {
    len: usize,
    /// First entries of the leaves.
    keys: [u64; FAN],
    slots: [Slot; FAN],
    /// Most of the other resource in each leaf.
    most: [u32; FAN],
    /// Their numbers.
    leaves: [u32; FAN],
}

/// Entries in order, as leaves and what is above them keep them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level<'a> {
    pub(super) keys: &'a [u64],
    pub(super) slots: &'a [Slot],
}

impl<'a> Level<'a> {
    /// Those that stand together with the same key.
    pub(super) fn runs(self) -> impl Iterator<Item = (u64, &'a [Slot])> {
        let mut left = self.slots;
        self.keys.chunk_by(|one, other| one == other).filter_map(move |equal| {
            let (run, rest) = left.split_at(equal.len());
            left = rest;
            Some((*equal.first()?, run))
        })
    }

    pub(super) fn entry(self, at: usize) -> Option<Entry> {
        Some((*self.keys.get(at)?, *self.slots.get(at)?))
    }

    /// How many entries stand before this one.
    pub(super) fn position(self, (key, slot): Entry) -> usize {
        let at = self.keys.partition_point(|other| *other < key);
        // Equal instances stand together in the order of their slots.
        if self.keys.get(at) != Some(&key) {
            return at;
        }
        let equal = self.keys[at..].partition_point(|other| *other == key);
        at + self.slots[at..at + equal].partition_point(|other| *other < slot)
    }

    /// How many entries stand before this one, itself included.
    pub(super) fn position_after(self, entry: Entry) -> usize {
        let at = self.position(entry);
        at + usize::from(self.entry(at) == Some(entry))
    }
}

impl Default for Branch {
    fn default() -> Self {
        Self {
            len: 0,
            keys: [0; FAN],
            slots: [0; FAN],
            most: [0; FAN],
            leaves: [0; FAN],
        }
    }
}

impl Branch {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn level(&self) -> Level<'_> {
        Level {
            keys: &self.keys[..self.len],
            slots: &self.slots[..self.len],
        }
    }

    /// The first entry of the first leaf, where there is one.
    pub(super) const fn first(&self) -> Entry {
        (self.keys[0], self.slots[0])
    }

    pub(super) fn most(&self) -> u32 {
        self.most[..self.len].iter().copied().max().unwrap_or(0)
    }

    pub(super) fn most_of(&self, leaf: usize) -> u32 {
        self.most[leaf]
    }

    pub(super) fn number(&self, leaf: usize) -> u32 {
        self.leaves[leaf]
    }

    /// The numbers of all leaves.
    pub(super) fn leaves(&self) -> &[u32] {
        &self.leaves[..self.len]
    }

    /// Whether there is such a leaf, with an entry that has so much of the other resource.
    pub(super) fn has(&self, leaf: usize, other: u32) -> bool {
        leaf < self.len && self.most[leaf] >= other
    }

    /// The first leaf from this one on that has an entry with so much of the other resource.
    pub(super) fn next(&self, from: usize, other: u32) -> Option<usize> {
        at_least(&self.most[..self.len], from, other)
    }

    pub(super) fn set_first(&mut self, leaf: usize, (key, slot): Entry) {
        self.keys[leaf] = key;
        self.slots[leaf] = slot;
    }

    pub(super) fn set_most(&mut self, leaf: usize, most: u32) {
        self.most[leaf] = most;
    }

    pub(super) fn raise(&mut self, leaf: usize, most: u32) {
        self.most[leaf] = self.most[leaf].max(most);
    }

    /// Puts a leaf at the place; there must be room.
    pub(super) fn insert(&mut self, at: usize, (key, slot): Entry, most: u32, leaf: u32) {
        let end = self.len;
        self.keys.copy_within(at..end, at + 1);
        self.slots.copy_within(at..end, at + 1);
        self.most.copy_within(at..end, at + 1);
        self.leaves.copy_within(at..end, at + 1);
        self.keys[at] = key;
        self.slots[at] = slot;
        self.most[at] = most;
        self.leaves[at] = leaf;
        self.len += 1;
    }

    /// Takes the leaf from its place: its number, and its most of the other resource.
    pub(super) fn remove(&mut self, at: usize) -> (u32, u32) {
        let (leaf, most) = (self.leaves[at], self.most[at]);
        let end = self.len;
        self.keys.copy_within(at + 1..end, at);
        self.slots.copy_within(at + 1..end, at);
        self.most.copy_within(at + 1..end, at);
        self.leaves.copy_within(at + 1..end, at);
        self.len -= 1;
        (leaf, most)
    }

    /// Gives away the leaves from this place on.
    pub(super) fn split(&mut self, at: usize) -> Self {
        let mut upper = Self {
            len: self.len - at,
            ..Self::default()
        };
        upper.keys[..upper.len].copy_from_slice(&self.keys[at..self.len]);
        upper.slots[..upper.len].copy_from_slice(&self.slots[at..self.len]);
        upper.most[..upper.len].copy_from_slice(&self.most[at..self.len]);
        upper.leaves[..upper.len].copy_from_slice(&self.leaves[at..self.len]);
        self.len = at;
        upper
    }
}

/// The first place from this one on where the value is so great.
pub(super) fn at_least(values: &[u32], from: usize, bound: u32) -> Option<usize> {
    let found = values.get(from..)?.iter().position(|value| *value >= bound)?;
    Some(from + found)
}
