//! The instance of the next copy, where chance decides.

use std::hint::black_box;
use std::ops::Range;

use berth_model::id::InstanceId;

use super::Index;
use super::choose::Question;
use super::class::ClassId;
use super::octaves::Lots;
use super::ranking::Slot;
use crate::place::order::{AHEAD, draws, lot};

/// Instances that are looked at rather than found by rankings that are kept, which each copy from then on would change.
pub(super) const FEW: usize = if cfg!(test) { 4 } else { 1024 };

/// One copy of a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    /// Its number in the call, from 0.
    pub(super) number: u32,
    /// What chance looks at first for it; nothing where it does not decide, or all that it drew are blanks.
    first: Option<First>,
}

/// What chance looks at first for a copy.
#[derive(Debug, Clone, Copy)]
struct First {
    slot: Slot,
    /// The number of the draw that met it.
    draw: u32,
}

/// What chance looks at first for copies of a call, found for [`AHEAD`] of them at once.
#[derive(Debug, Default)]
pub(super) struct Draft(Vec<Option<First>>);

impl Index {
    /// Places up to `count` copies where chance decides among all.
    pub(super) fn place_by_lot(&mut self, question: &Question<'_>, count: u32) -> Vec<InstanceId> {
        let mut placed = Vec::with_capacity(count.min(1024) as usize);
        let mut draft = Draft::default();
        for number in 0..count {
            let turn = self.turn(&mut draft, question, number, count);
            let Some(slot) = self.choose_by_lot(question, turn, &question.plan.classes) else {
                break;
            };
            placed.push(self.slots.id(slot));
            self.take(question, slot, 1);
        }
        placed
    }

    /// The copy of that number, of so many: to be asked for in turn.
    #[inline]
    pub(super) fn turn(&self, draft: &mut Draft, question: &Question<'_>, number: u32, count: u32) -> Turn {
        let first = match (question.plan.random, count) {
            (false, _) => None,
            (true, 1) => self.lots(question).and_then(|lots| first(lots, question.seed, number)),
            (true, _) => {
                if number.is_multiple_of(AHEAD) {
                    self.draw_ahead(draft, question, number..count.min(number + AHEAD));
                }
                draft.0.get((number % AHEAD) as usize).copied().flatten()
            }
        };
        Turn { number, first }
    }

    /// Finds the instances that chance looks at first for each of some copies, and reads them all at once: where they are more
    /// than caches hold, each by itself would be waited for.
    fn draw_ahead(&self, draft: &mut Draft, question: &Question<'_>, turns: Range<u32>) {
        draft.0.clear();
        if let Some(lots) = self.lots(question) {
            draft.0.extend(turns.map(|turn| first(lots, question.seed, turn)));
        }
        // Nothing comes of it but that they are near.
        let read = |read, first: &First| read ^ self.slots.free(first.slot).cpu;
        black_box(draft.0.iter().flatten().fold(0, read));
    }

    /// What chance draws from.
    #[inline]
    fn lots(&self, question: &Question<'_>) -> Option<Lots<'_>> {
        let demand = &question.request.demand;
        self.slots.octaves()?.lots(demand.cpu.0, demand.memory.0)
    }

    /// The first of the instances that chance looks at for a copy that passes the test.
    #[inline]
    pub(super) fn draw(&self, question: &Question<'_>, turn: Turn, passes: impl Fn(Slot) -> bool) -> Option<Slot> {
        let First { slot, draw } = turn.first?;
        if passes(slot) {
            return Some(slot);
        }
        let others = look(self.lots(question)?, question.seed, turn.number, draw + 1);
        others.map(|other| other.slot).find(|other| passes(*other))
    }

    /// An instance of these classes that can take a copy.
    #[inline]
    pub(super) fn choose_by_lot(&mut self, question: &Question<'_>, turn: Turn, classes: &[ClassId]) -> Option<Slot> {
        let drawn = self.draw(question, turn, |slot| self.takes(question, classes, slot));
        drawn.or_else(|| self.lot_of_fitting(question, turn, classes))
    }

    /// One of the instances of these classes that can take a copy, where they are so few that chance did not meet one: they
    /// are looked up.
    #[cold]
    fn lot_of_fitting(&mut self, question: &Question<'_>, turn: Turn, classes: &[ClassId]) -> Option<Slot> {
        let few = self.lots(question).and_then(|lots| lots.few(FEW));
        let few = few.map(|few| few.filter(|slot| self.takes(question, classes, *slot)).collect());
        let mut fitting: Vec<Slot> = few.unwrap_or_else(|| self.fitting(question, classes));
        let nth = lot(question.seed, turn.number, fitting.len());
        (nth < fitting.len()).then(|| *fitting.select_nth_unstable(nth).1)
    }

    /// The instances of these classes that can take a copy, by the rankings: which are kept from now on.
    fn fitting(&mut self, question: &Question<'_>, classes: &[ClassId]) -> Vec<Slot> {
        let order = question.plan.order;
        self.rank(order, classes);
        let demand = &question.request.demand;
        let (span, other) = order.span(demand.cpu.0, demand.memory.0);
        let mut fitting = Vec::new();
        for ranking in classes
            .iter()
            .filter_map(|class| self.classes.get(*class).ranking(order))
        {
            let mut walk = ranking.seek(&span);
            let accepts = |slot| self.accepts(question, slot);
            while let Some((_, slot)) = ranking.next(&mut walk, *span.end(), other, accepts) {
                fitting.push(slot);
            }
        }
        fitting
    }
}

/// The first instance that chance meets for a copy.
#[inline]
fn first(lots: Lots<'_>, seed: u64, turn: u32) -> Option<First> {
    look(lots, seed, turn, 0).next()
}

/// The instances that chance looks at for a copy, from a draw on.
#[inline]
fn look(lots: Lots<'_>, seed: u64, turn: u32, from: u32) -> impl Iterator<Item = First> {
    let drawn = draws(seed, turn, from, lots.len());
    drawn.filter_map(move |(draw, nth)| lots.nth(nth).map(|slot| First { slot, draw }))
}
