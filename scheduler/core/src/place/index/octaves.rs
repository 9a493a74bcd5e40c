//! The instances by the powers of two that they have free, for chance to draw from.
//!
//! Drawn from all instances, nearly all lots of a nearly full cluster would be blanks. Of those that have the greatest power of
//! two that the request asks for, half or so can take a copy however full the cluster is. Where they are a quarter of all or
//! more, all are drawn from and the blanks told by one bit: the nth of all needs no search, and stays the nth while copies are
//! placed.

use super::bitmap::Bitmap;
use super::ranking::Slot;
use super::slots::Free;
use crate::place::order::{are_many, fewest_of_many};

/// One set of instances for each power of two that was asked for, CPU and memory apart.
#[derive(Debug)]
pub(super) struct Octaves {
    slots: usize,
    cpu: Sets,
    memory: Sets,
}

/// The sets of one resource by power.
type Sets = [Option<Bitmap>; u32::BITS as usize];

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
    len: usize,
    /// After how many copies, at least, chance still takes the same from it as from the pool of then.
    lasts: usize,
}

impl Pool {
    /// Whether what was drawn from it is what would be drawn, so many copies later.
    #[inline]
    pub(super) const fn outlasts(self, copies: usize) -> bool {
        copies <= self.lasts
    }
}

/// A pool with its instances.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lots<'a> {
    pool: Pool,
    /// The instances that have the power of two free; nothing where any do.
    having: Option<&'a Bitmap>,
}

impl<'a> Lots<'a> {
    pub(super) const fn pool(self) -> Pool {
        self.pool
    }

    /// From how many is drawn.
    pub(super) const fn len(self) -> usize {
        self.pool.len
    }

    /// All that are no blanks, in the order of ids, where they are so many at most.
    pub(super) fn few(self, limit: usize) -> Option<impl Iterator<Item = Slot> + use<'a>> {
        let having = self.having.filter(|having| having.len() <= limit)?;
        Some(having.all())
    }

    /// The nth of what is drawn from, in the order of ids; nothing where that is a blank.
    #[inline]
    pub(super) fn nth(self, nth: usize) -> Option<Slot> {
        let slot = Slot::try_from(nth).ok();
        match self.having {
            None => slot,
            // Nobody is a blank where all have so much.
            Some(having) if self.pool.among_all => slot.filter(|slot| having.is_full() || having.contains(*slot)),
            Some(having) => having.nth(nth),
        }
    }
}

impl Octaves {
    /// Of so many instances.
    pub(super) fn new(slots: usize) -> Self {
        let none = || [const { None }; u32::BITS as usize];
        Self {
            slots,
            cpu: none(),
            memory: none(),
        }
    }

    /// Keeps from now on what chance draws from for a request. `free` are all instances.
    pub(super) fn keep(&mut self, cpu: u32, memory: u32, free: impl Fn(Slot) -> Free) {
        let slots = self.slots;
        keep(&mut self.cpu, slots, cpu, |slot| free(slot).cpu);
        keep(&mut self.memory, slots, memory, |slot| free(slot).memory);
    }

    /// An instance has more or less free than before.
    #[inline]
    pub(super) fn change(&mut self, slot: Slot, before: Free, after: Free) {
        change(&mut self.cpu, slot, (before.cpu, after.cpu));
        change(&mut self.memory, slot, (before.memory, after.memory));
    }

    /// What chance draws from for a request: the smaller of the sets of its two resources.
    #[inline]
    pub(super) fn pool(&self, cpu: u32, memory: u32) -> Pool {
        let pool = |by_memory: bool, amount: u32| {
            let power = amount.checked_ilog2();
            Pool {
                by_memory,
                power,
                among_all: false,
                len: power.map_or(self.slots, |power| self.set(by_memory, power).map_or(0, Bitmap::len)),
                lasts: 0,
            }
        };
        let (by_cpu, by_memory) = (pool(false, cpu), pool(true, memory));
        let fewer = if by_memory.len < by_cpu.len { by_memory } else { by_cpu };
        if are_many(fewer.len, self.slots) {
            return Pool {
                among_all: true,
                len: self.slots,
                lasts: fewer.len - fewest_of_many(self.slots),
                ..fewer
            };
        }
        fewer
    }

    /// The pool with its instances; nothing where it has none.
    #[inline]
    pub(super) fn lots(&self, pool: Pool) -> Option<Lots<'_>> {
        let having = match pool.power {
            Some(power) => Some(self.set(pool.by_memory, power)?),
            None => None,
        };
        Some(Lots { pool, having })
    }

    #[inline]
    fn set(&self, by_memory: bool, power: u32) -> Option<&Bitmap> {
        let sets = if by_memory { &self.memory } else { &self.cpu };
        sets.get(power as usize)?.as_ref()
    }
}

fn keep(sets: &mut Sets, slots: usize, amount: u32, free: impl Fn(Slot) -> u32) {
    let Some(power) = amount.checked_ilog2() else { return };
    sets[power as usize].get_or_insert_with(|| {
        let all = (0..slots).filter_map(|slot| Slot::try_from(slot).ok());
        let mut set = Bitmap::new(slots);
        all.filter(|slot| free(*slot) >> power > 0)
            .for_each(|slot| set.insert(slot));
        set
    });
}

#[inline]
fn change(sets: &mut Sets, slot: Slot, (before, after): (u32, u32)) {
    // The same greatest bit: mostly so, and quickly told.
    if before ^ after <= before & after {
        return;
    }
    let powers = |amount: u32| (u32::BITS - amount.leading_zeros()) as usize;
    let (before, after) = (powers(before), powers(after));
    if after < before {
        let sets = sets[after..before].iter_mut().flatten();
        sets.for_each(|set| set.remove(slot));
    } else {
        let sets = sets[before..after].iter_mut().flatten();
        sets.for_each(|set| set.insert(slot));
    }
}
