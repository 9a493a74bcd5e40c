//! The instance of the next copy, where chance decides.

use std::hint::black_box;
use std::ops::Range;

use berth_model::id::InstanceId;

use super::Index;
use super::choose::Question;
use super::class::ClassId;
use super::octaves::{Lots, Pool};
use super::ranking::Slot;
use crate::place::order::{draws, lot};

/// Copies that are drawn for at once, at most.
const AHEAD: u32 = 64;
/// Instances that are looked at rather than found by rankings that are kept, which each copy from then on would change.
pub(super) const FEW: usize = if cfg!(test) { 4 } else { 1024 };

/// What chance looks at first for each of some copies, while it draws from the same instances.
#[derive(Debug, Default)]
struct Draft {
    pool: Pool,
    /// Nothing where all draws are blanks.
    slots: Vec<Option<Slot>>,
}

impl Index {
    /// Places up to `count` copies where chance decides among all: the instances that it looks at first are found for many
    /// copies at once.
    pub(super) fn place_by_lot(&mut self, question: &Question<'_>, count: u32) -> Vec<InstanceId> {
        let classes = &question.plan.classes;
        let mut placed = Vec::with_capacity(count.min(1024) as usize);
        let mut draft = Draft::default();
        for turn in 0..count {
            let at = (turn % AHEAD) as usize;
            if at == 0 {
                self.draw_ahead(&mut draft, question, turn..count.min(turn + AHEAD));
            }
            let holds = |slot: &Slot| {
                self.takes(question, classes, *slot)
                    && (draft.pool.outlasts(at) || self.pool(question) == Some(draft.pool))
            };
            let drafted = draft.slots.get(at).copied().flatten().filter(holds);
            let Some(slot) = drafted.or_else(|| self.choose_by_lot(question, turn, classes)) else {
                break;
            };
            placed.push(self.slots.id(slot));
            self.take(question, slot, 1);
        }
        placed
    }

    /// What chance draws from.
    #[inline]
    fn pool(&self, question: &Question<'_>) -> Option<Pool> {
        let demand = &question.request.demand;
        let octaves = self.slots.octaves();
        octaves.map(|octaves| octaves.pool(demand.cpu.0, demand.memory.0))
    }

    /// The same with its instances.
    #[inline]
    fn lots(&self, question: &Question<'_>) -> Option<Lots<'_>> {
        self.slots.octaves()?.lots(self.pool(question)?)
    }

    /// The first of the instances that chance looks at for a copy that passes the test.
    #[inline]
    pub(super) fn draw(&self, question: &Question<'_>, turn: u32, passes: impl Fn(Slot) -> bool) -> Option<Slot> {
        look(self.lots(question)?, question.seed, turn).find(|slot| passes(*slot))
    }

    /// Finds the instances that chance looks at first for each of some copies, and reads them all at once: where they are more
    /// than caches hold, each by itself would be waited for.
    fn draw_ahead(&self, draft: &mut Draft, question: &Question<'_>, turns: Range<u32>) {
        draft.slots.clear();
        if let Some(lots) = self.lots(question) {
            draft.pool = lots.pool();
            let firsts = turns.map(|turn| look(lots, question.seed, turn).next());
            draft.slots.extend(firsts);
        }
        // Nothing comes of it but that they are near.
        let read = |read, slot: &Slot| read ^ self.slots.free(*slot).cpu;
        black_box(draft.slots.iter().flatten().fold(0, read));
    }

    /// An instance of these classes that can take a copy.
    pub(super) fn choose_by_lot(&mut self, question: &Question<'_>, turn: u32, classes: &[ClassId]) -> Option<Slot> {
        let drawn = self.draw(question, turn, |slot| self.takes(question, classes, slot));
        drawn.or_else(|| self.lot_of_fitting(question, turn, classes))
    }

    /// One of the instances of these classes that can take a copy, where they are so few that chance did not meet one: they
    /// are looked up.
    #[cold]
    fn lot_of_fitting(&mut self, question: &Question<'_>, turn: u32, classes: &[ClassId]) -> Option<Slot> {
        let few = self.lots(question).and_then(|lots| lots.few(FEW));
        let few = few.map(|few| few.filter(|slot| self.takes(question, classes, *slot)).collect());
        let mut fitting: Vec<Slot> = few.unwrap_or_else(|| self.fitting(question, classes));
        let nth = lot(question.seed, turn, fitting.len());
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

/// The instances that chance looks at for a copy.
#[inline]
fn look(lots: Lots<'_>, seed: u64, turn: u32) -> impl Iterator<Item = Slot> {
    draws(seed, turn, lots.len()).filter_map(move |nth| lots.nth(nth))
}
