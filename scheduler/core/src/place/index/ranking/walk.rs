//! Walks along a ranking: over the instances that have enough of both resources, the best first.

use std::ops::RangeInclusive;

use super::branch::at_least;
use super::{Entry, Ranking, Slot, Spot};

/// How far a walk along the order has come. Holds for as long as the ranking does not change.
#[derive(Debug, Clone, Copy)]
pub(in crate::place::index) struct Cursor {
    spot: Spot,
    entry: usize,
}

/// What becomes of a walk where it meets an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::place::index) enum Meeting {
    /// It goes on.
    Pass,
    /// It ends behind the instance.
    Last,
    /// It ends before the instance.
    Before,
}

impl Ranking {
    /// Where a walk along the span begins.
    pub(in crate::place::index) fn seek(&self, span: &RangeInclusive<u64>) -> Cursor {
        let from = *span.start();
        // No slot is before the first: only keys have to be compared.
        let before = |keys: &[u64]| keys.partition_point(|key| *key < from);
        let mut spot = Spot { branch: 0, leaf: 0 };
        let mut entry = 0;
        if from > 0 && !self.root.branches.is_empty() {
            spot.branch = before(&self.root.keys).saturating_sub(1);
            let branch = self.branch(spot);
            spot.leaf = before(branch.level().keys).saturating_sub(1);
            entry = before(self.leaves.get(branch.number(spot.leaf)).level().keys);
        }
        Cursor { spot, entry }
    }

    /// Meets the instances up to a place in the order that have enough of the other resource.
    #[inline]
    pub(in crate::place::index) fn walk(
        &self,
        cursor: &mut Cursor,
        until: u64,
        other: u32,
        mut meet: impl FnMut(Entry) -> Meeting,
    ) {
        let mask = self.order.mask();
        loop {
            let spot = cursor.spot;
            let Some(number) = self.root.branches.get(spot.branch) else {
                return;
            };
            let branch = self.branches.get(*number);
            if branch.has(spot.leaf, other) {
                let level = self.leaves.get(branch.number(spot.leaf)).level();
                let from = cursor.entry.min(level.keys.len());
                for (key, slot) in level.keys[from..].iter().zip(&level.slots[from..]) {
                    if *key > until {
                        return;
                    }
                    let met = if mask.other(*key) >= other {
                        meet((*key, *slot))
                    } else {
                        Meeting::Pass
                    };
                    if met == Meeting::Before {
                        return;
                    }
                    cursor.entry += 1;
                    if met == Meeting::Last {
                        return;
                    }
                }
            }
            cursor.entry = 0;
            cursor.spot = match branch.next(spot.leaf + 1, other) {
                Some(leaf) => Spot { leaf, ..spot },
                None => self.first_leaf(spot.branch + 1, other),
            };
        }
    }

    /// The first instance that is met and accepted.
    pub(in crate::place::index) fn next(
        &self,
        cursor: &mut Cursor,
        until: u64,
        other: u32,
        mut accepts: impl FnMut(Slot) -> bool,
    ) -> Option<Entry> {
        let mut found = None;
        self.walk(cursor, until, other, |entry| match accepts(entry.1) {
            true => {
                found = Some(entry);
                Meeting::Last
            }
            false => Meeting::Pass,
        });
        found
    }

    /// The first leaf from this branch on that has an entry with so much of the other resource; behind all where none has.
    fn first_leaf(&self, from: usize, other: u32) -> Spot {
        let branch = at_least(&self.root.most, from, other).unwrap_or(self.root.branches.len());
        let leaves = self.root.branches.get(branch).map(|number| self.branches.get(*number));
        let leaf = leaves.and_then(|leaves| leaves.next(0, other)).unwrap_or(0);
        Spot { branch, leaf }
    }

    /// The leaf that a walk stands in, and the place there that it has just passed: where the entry is at that place.
    pub(super) fn spot_before(&self, Cursor { spot, entry }: Cursor, expected: Entry) -> Option<(Spot, usize)> {
        let branch = self.branches.get(*self.root.branches.get(spot.branch)?);
        let leaf = self.leaves.get(*branch.leaves().get(spot.leaf)?);
        let at = entry.checked_sub(1)?;
        (leaf.level().entry(at)? == expected).then_some((spot, at))
    }
}
