//! The instances by the powers of two that they have free, for chance to draw from.
//!
//! Drawn from all instances, nearly all lots of a nearly full cluster would be blanks. Of those that have the greatest power of
//! two that the request asks for, half or so can take a copy however full the cluster is. Where they are a quarter of all or
//! more, all are drawn from and the blanks told by one bit: the nth of all needs no search.

use super::bitmap::Bitmap;
use super::ranking::Slot;
use super::slots::Free;
use crate::place::order::are_many;

/// One set of instances for each power of two that was asked for, CPU and memory apart.
#[derive(Debug)]
pub(super) struct Octaves {
    slots: usize,
    cpu: Sets,
    memory: Sets,
}

/// The sets of one resource by power.
type Sets = [Option<Bitmap>; u32::BITS as usize];

/// The instances from which chance draws for a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lots<'a> {
    /// From how many is drawn.
    len: usize,
    /// All are drawn from: those that are not among `having` are blanks.
    among_all: bool,
    /// Those that have the power of two free; nothing where any do.
    having: Option<&'a Bitmap>,
}

impl<'a> Lots<'a> {
    /// From how many is drawn.
    pub(super) const fn len(self) -> usize {
        self.len
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
            Some(having) if self.among_all => slot.filter(|slot| having.is_full() || having.contains(*slot)),
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

    /// What chance draws from for a request: the smaller of the sets of its two resources. Nothing where they are not kept.
    #[inline]
    pub(super) fn lots(&self, cpu: u32, memory: u32) -> Option<Lots<'_>> {
        let by_cpu = of(&self.cpu, cpu)?;
        let by_memory = of(&self.memory, memory)?;
        let len = |set: Option<&Bitmap>| set.map_or(self.slots, Bitmap::len);
        let having = if len(by_memory) < len(by_cpu) {
            by_memory
        } else {
            by_cpu
        };
        let among_all = are_many(len(having), self.slots);
        Some(Lots {
            len: if among_all { self.slots } else { len(having) },
            among_all,
            having,
        })
    }
}

/// The set of those that have the power of two of the amount; all where the amount is none.
#[inline]
fn of(sets: &Sets, amount: u32) -> Option<Option<&Bitmap>> {
    match amount.checked_ilog2() {
        None => Some(None),
        Some(power) => sets.get(power as usize)?.as_ref().map(Some),
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
