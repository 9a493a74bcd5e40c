//! A set of slots whose nth is found without going through those before it (rank and select).

use super::ranking::Slot;

/// Slots of a word.
const WORD: usize = u64::BITS as usize;
/// Words of a block.
const BLOCK: usize = 4;
/// Blocks of a stretch.
const STRETCH: usize = 16;

/// Some of so many slots, one bit each, with counts above.
#[derive(Debug)]
pub(super) struct Bitmap {
    words: Vec<u64>,
    /// How many are in each block.
    blocks: Vec<u32>,
    /// How many are in each stretch.
    stretches: Vec<u32>,
    len: usize,
    slots: usize,
}

impl Bitmap {
    /// None of so many slots.
    pub(super) fn new(slots: usize) -> Self {
        let words = slots.div_ceil(WORD);
        let blocks = words.div_ceil(BLOCK);
        Self {
            words: vec![0; words],
            blocks: vec![0; blocks],
            stretches: vec![0; blocks.div_ceil(STRETCH)],
            len: 0,
            slots,
        }
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Whether all slots are in it.
    pub(super) const fn is_full(&self) -> bool {
        self.len == self.slots
    }

    pub(super) fn contains(&self, slot: Slot) -> bool {
        let word = self.words.get(slot as usize / WORD);
        word.is_some_and(|word| word & bit(slot) != 0)
    }

    pub(super) fn insert(&mut self, slot: Slot) {
        let at = slot as usize / WORD;
        if self.words[at] & bit(slot) == 0 {
            self.words[at] |= bit(slot);
            self.blocks[at / BLOCK] += 1;
            self.stretches[at / BLOCK / STRETCH] += 1;
            self.len += 1;
        }
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        let at = slot as usize / WORD;
        if self.words[at] & bit(slot) != 0 {
            self.words[at] &= !bit(slot);
            self.blocks[at / BLOCK] -= 1;
            self.stretches[at / BLOCK / STRETCH] -= 1;
            self.len -= 1;
        }
    }

    /// All of them, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = Slot> + '_ {
        let words = (0..).step_by(WORD).zip(&self.words);
        words.flat_map(|(first, word): (Slot, &u64)| {
            let clear_lowest = |word: &u64| Some(word & (word - 1)).filter(|word| *word != 0);
            let left = std::iter::successors(Some(*word).filter(|word| *word != 0), clear_lowest);
            left.map(move |word| first + word.trailing_zeros())
        })
    }

    /// The slot before which there are so many.
    pub(super) fn nth(&self, nth: usize) -> Option<Slot> {
        if self.is_full() {
            return Slot::try_from(nth).ok().filter(|_| nth < self.slots);
        }
        let mut left = u32::try_from(nth).ok()?;
        let stretch = find(&self.stretches, 0, &mut left)?;
        let block = find(&self.blocks, stretch * STRETCH, &mut left)?;
        let words = self.words.get(block * BLOCK..)?.iter();
        for (at, word) in (block * BLOCK..).zip(words) {
            let ones = word.count_ones();
            if left < ones {
                let found = at * WORD + select(*word, left);
                return Slot::try_from(found).ok();
            }
            left -= ones;
        }
        None
    }
}

/// The bit of a slot in its word.
const fn bit(slot: Slot) -> u64 {
    1 << (slot % u64::BITS)
}

/// From this place on the first in which the count runs out.
fn find(counts: &[u32], from: usize, left: &mut u32) -> Option<usize> {
    for (at, count) in (from..).zip(counts.get(from..)?) {
        if *left < *count {
            return Some(at);
        }
        *left -= count;
    }
    None
}

/// Where the nth one of a word stands, of which there are more.
fn select(word: u64, nth: u32) -> usize {
    let (mut word, mut nth, mut at) = (word, nth, 0_u32);
    for width in [32, 16, 8] {
        let low = word & ((1 << width) - 1);
        let ones = low.count_ones();
        if nth < ones {
            word = low;
        } else {
            nth -= ones;
            word >>= width;
            at += width;
        }
    }
    for _ in 0..nth {
        word &= word - 1;
    }
    (at + word.trailing_zeros()) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_nth_of_a_bitmap_is_that_of_a_set(
            slots in 1_usize..20_000,
            changes in prop::collection::vec((any::<prop::sample::Index>(), prop::bool::weighted(0.7)), 0..400),
            all in any::<bool>(),
        ) {
            let mut bitmap = Bitmap::new(slots);
            let mut set = BTreeSet::new();
            if all {
                set.extend(0..Slot::try_from(slots).unwrap());
                set.iter().for_each(|slot| bitmap.insert(*slot));
            }
            for (which, is_in) in changes {
                let slot = Slot::try_from(which.index(slots)).unwrap();
                if is_in {
                    set.insert(slot);
                    bitmap.insert(slot);
                } else {
                    set.remove(&slot);
                    bitmap.remove(slot);
                }
                prop_assert_eq!(bitmap.contains(slot), is_in);
            }
            prop_assert_eq!(bitmap.len(), set.len());
            for (nth, slot) in set.iter().enumerate().step_by(1 + set.len() / 64) {
                prop_assert_eq!(bitmap.nth(nth), Some(*slot));
            }
            prop_assert_eq!(bitmap.nth(set.len()), None);
            prop_assert!(bitmap.all().eq(set));
        }
    }
}
