//! The instances by the powers of two that they have free, for chance to draw from.
//!
//! Drawn from all instances, nearly all lots of a nearly full cluster would be blanks. Of those that have the greatest power of
//! two that the request asks for, half or so can take a copy however full the cluster is. Where they are a quarter of all or
//! more, all are drawn from and the blanks told by one bit: the nth of all needs no search, and stays the nth while copies are
//! placed.

use super::bitmap::Bitmap;
use super::ranking::Slot;
use super::slots::Free;
use crate::place::order::are_many;

/// One set of instances for each power of two, CPU and memory apart.
#[derive(Debug)]
pub(super) struct Octaves {
    slots: usize,
    cpu: Vec<Bitmap>,
    memory: Vec<Bitmap>,
}

/// From which instances chance draws. While instances only lose what they have free, an equal pool is the same pool, or has
/// only got more blanks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pool {
    by_memory: bool,
    /// The power of two that they have free; any do where there is none.
    power: Option<u32>,
    /// They are drawn for among all: those without so much free are blanks.
    among_all: bool,
    /// From how many is drawn.
    pub(super) len: usize,
}

impl Octaves {
    /// Of these instances, in order.
    pub(super) fn of(slots: usize, free: impl Iterator<Item = (Slot, Free)>) -> Self {
        let mut octaves = Self {
            slots,
            cpu: Vec::new(),
            memory: Vec::new(),
        };
        let none = Free {
            cpu: 0,
            memory: 0,
            gpus: 0,
        };
        for (slot, free) in free {
            octaves.change(slot, none, free);
        }
        octaves
    }

    /// An instance has more or less free than before.
    #[inline]
    pub(super) fn change(&mut self, slot: Slot, before: Free, after: Free) {
        change(&mut self.cpu, self.slots, slot, (before.cpu, after.cpu));
        change(&mut self.memory, self.slots, slot, (before.memory, after.memory));
    }

    /// What chance draws from for a request: the smaller of the sets of its two resources.
    pub(super) fn pool(&self, cpu: u32, memory: u32) -> Pool {
        let pool = |by_memory: bool, amount: u32| {
            let power = amount.checked_ilog2();
            Pool {
                by_memory,
                power,
                among_all: false,
                len: power.map_or(self.slots, |power| self.set(by_memory, power).map_or(0, Bitmap::len)),
            }
        };
        let (by_cpu, by_memory) = (pool(false, cpu), pool(true, memory));
        let fewer = if by_memory.len < by_cpu.len { by_memory } else { by_cpu };
        if are_many(fewer.len, self.slots) {
            return Pool {
                among_all: true,
                len: self.slots,
                ..fewer
            };
        }
        fewer
    }

    /// The nth of what is drawn from, in the order of ids; nothing where that is a blank.
    pub(super) fn nth(&self, pool: Pool, nth: usize) -> Option<Slot> {
        let Some(power) = pool.power else {
            return Slot::try_from(nth).ok();
        };
        let having = self.set(pool.by_memory, power)?;
        if pool.among_all {
            return Slot::try_from(nth).ok().filter(|slot| having.contains(*slot));
        }
        having.nth(nth)
    }

    fn set(&self, by_memory: bool, power: u32) -> Option<&Bitmap> {
        let sets = if by_memory { &self.memory } else { &self.cpu };
        sets.get(power as usize)
    }
}

#[inline]
fn change(sets: &mut Vec<Bitmap>, slots: usize, slot: Slot, (before, after): (u32, u32)) {
    let powers = |amount: u32| (u32::BITS - amount.leading_zeros()) as usize;
    let (before, after) = (powers(before), powers(after));
    if after < before {
        sets[after..before].iter_mut().for_each(|set| set.remove(slot));
    } else if before < after {
        if sets.len() < after {
            sets.resize_with(after, || Bitmap::new(slots));
        }
        sets[before..after].iter_mut().for_each(|set| set.insert(slot));
    }
}
