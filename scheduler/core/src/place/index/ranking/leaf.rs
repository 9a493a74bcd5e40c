//! A leaf: up to [`LEAF`] instances that stand next to each other in the order.

use super::branch::Level;
use super::{Entry, LEAF, Slot};
use crate::place::order::Order;

/// Instances in order. Of fixed size, so that a leaf is a few cache lines and no pointer is followed to it; in
/// this order, as the length and the first keys are read together.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Leaf {
    len: usize,
    keys: [u64; LEAF],
    slots: [Slot; LEAF],
}

impl Default for Leaf {
    fn default() -> Self {
        Self {
            len: 0,
            keys: [0; LEAF],
            slots: [0; LEAF],
        }
    }
}

impl Leaf {
    /// A leaf of entries that are in order, at most [`LEAF`].
    pub(super) fn of(entries: &[Entry]) -> Self {
        let mut leaf = Self::default();
        leaf.merge(entries);
        leaf
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn level(&self) -> Level<'_> {
        Level {
            keys: &self.keys[..self.len],
            slots: &self.slots[..self.len],
        }
    }

    /// The first entry of a leaf that has any.
    pub(super) const fn first(&self) -> Entry {
        (self.keys[0], self.slots[0])
    }

    /// The most that any entry has of the resource that does not lead.
    pub(super) fn most(&self, order: Order) -> u32 {
        let mask = order.mask();
        let keys = self.keys[..self.len].iter();
        keys.map(|key| mask.other(*key)).max().unwrap_or(0)
    }

    /// How many entries stand before this one.
    pub(super) fn position(&self, entry: Entry) -> usize {
        self.level().position(entry)
    }

    /// Takes in entries that are in order and for which there is room.
    pub(super) fn merge(&mut self, entries: &[Entry]) {
        let mut end = self.len;
        self.len += entries.len();
        // From the last on: what stands behind the place of each is moved once.
        for (before, entry) in entries.iter().enumerate().rev() {
            let stays = Level {
                keys: &self.keys[..end],
                slots: &self.slots[..end],
            };
            // Mostly all are behind what is here.
            if end
                .checked_sub(1)
                .and_then(|last| stays.entry(last))
                .is_some_and(|last| last > *entry)
            {
                let place = stays.position(*entry);
                self.keys.copy_within(place..end, place + before + 1);
                self.slots.copy_within(place..end, place + before + 1);
                end = place;
            }
            (self.keys[end + before], self.slots[end + before]) = *entry;
        }
    }

    /// Removes those of the entries, which are in order, that stand here, the first of them at `start`: says how many of
    /// them, from the first on, did.
    pub(super) fn remove(&mut self, entries: &[Entry], start: usize) -> usize {
        let (mut gone, mut kept) = (0, start);
        for at in start..self.len {
            if entries.get(gone) == Some(&(self.keys[at], self.slots[at])) {
                gone += 1;
            } else if gone == entries.len() {
                // Nothing else goes: the rest moves at once.
                self.keys.copy_within(at..self.len, kept);
                self.slots.copy_within(at..self.len, kept);
                break;
            } else {
                self.keys[kept] = self.keys[at];
                self.slots[kept] = self.slots[at];
                kept += 1;
            }
        }
        self.len -= gone;
        gone
    }

    /// Takes in the entries of the leaf that comes next, for which there is room.
    pub(super) fn append(&mut self, next: &Self) {
        let end = self.len + next.len;
        self.keys[self.len..end].copy_from_slice(&next.keys[..next.len]);
        self.slots[self.len..end].copy_from_slice(&next.slots[..next.len]);
        self.len = end;
    }

    /// Gives away what stands from this place on.
    pub(super) fn split(&mut self, at: usize) -> Self {
        let mut upper = Self {
            len: self.len - at,
            ..Self::default()
        };
        upper.keys[..upper.len].copy_from_slice(&self.keys[at..self.len]);
        upper.slots[..upper.len].copy_from_slice(&self.slots[at..self.len]);
        self.len = at;
        upper
    }
}
