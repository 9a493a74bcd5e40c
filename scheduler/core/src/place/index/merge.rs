//! The instances of the copies of one call, where an order decides: a merge of the rankings of all classes.
//!
//! Classes whose instances are equally good by what is spread over form an *area*. Of each class the next instance is
//! known (its head), so that a copy costs a comparison of heads. Copies are counted as placed when a head has no room
//! left, or all at once where no instance is met twice: as nothing that is not chosen from any more has to be known, the
//! rankings stand still during a walk along them.

use std::cmp::Ordering;

use berth_model::id::InstanceId;

use super::Index;
use super::choose::Question;
use super::class::{ClassId, DomainId};
use super::prepared::Plan;
use super::ranking::{Cursor, Entry, Meeting, Slot};
use crate::place::Request;

/// Instances with one count of tasks that are sorted rather than met on a walk along a class, whatever its size.
const FEW: usize = if cfg!(test) { 4 } else { 16 };

/// Classes whose instances are in the same domains of all facets that are spread over.
#[derive(Debug)]
pub(super) struct Area {
    pub(super) domains: Vec<DomainId>,
    pub(super) classes: Vec<ClassId>,
}

/// What is kept for the length of a call. Its memory is used again by the next.
#[derive(Debug, Default)]
pub(super) struct Merge {
    areas: Vec<Front>,
    heads: Vec<Head>,
    /// Tasks of the group in the domains of each area, facet by facet.
    tasks: Vec<u32>,
}

/// How far an area has been used.
#[derive(Debug, Clone, Copy)]
struct Front {
    /// Its heads.
    first: usize,
    end: usize,
    /// Tasks of the group on the instances that are chosen from.
    level: u32,
    /// The best of its heads, once it has been looked for.
    best: Option<usize>,
    /// No instance takes a further copy: room only shrinks.
    is_full: bool,
}

/// How far a class has been used.
#[derive(Debug, Default)]
struct Head {
    class: ClassId,
    /// The best instance, with what is free there now.
    best: Option<Entry>,
    /// How many copies it takes, once that was asked.
    room: Option<u32>,
    /// Whether the best has to be looked for.
    is_stale: bool,
    /// How far the ranking was walked along.
    cursor: Option<Cursor>,
    /// The instances of the level, the best last, where they are few.
    few: Option<Vec<Entry>>,
    /// Instances that were chosen and are not counted yet, with their places before that, in order.
    taken: Vec<Entry>,
    /// Copies on each of them.
    copies: u32,
}

/// Where the next copy goes.
#[derive(Debug, Clone, Copy)]
struct Next {
    area: usize,
    head: usize,
    best: Entry,
}

impl Plan {
    /// Whether tasks of the group are counted by instance.
    const fn counts_instances(&self) -> bool {
        self.distinct || self.by_instance
    }

    /// Whether an instance takes one copy at most before others are looked at.
    const fn once(&self) -> bool {
        self.counts_instances() || self.ports
    }
}

impl Merge {
    fn begin(&mut self, index: &Index, request: &Request, plan: &Plan) {
        let group = index.groups.get(plan.group);
        let has_all = group.spans() >= index.slots.len();
        let is_everywhere = plan.counts_instances() && has_all || index.ports.are_everywhere(&request.demand.ports);
        self.areas.clear();
        self.tasks.clear();
        let mut first = 0;
        for area in &plan.areas {
            let end = first + area.classes.len();
            if self.heads.len() < end {
                self.heads.resize_with(end, Head::default);
            }
            for (head, class) in self.heads[first..end].iter_mut().zip(&area.classes) {
                head.class = *class;
                head.best = None;
                head.room = None;
                head.is_stale = !is_everywhere;
                head.cursor = None;
                head.few = None;
            }
            let facets = plan.facets.iter().zip(&area.domains);
            self.tasks
                .extend(facets.map(|(facet, domain)| group.in_domain(*facet, *domain)));
            self.areas.push(Front {
                first,
                end,
                level: 0,
                best: None,
                is_full: false,
            });
            first = end;
        }
    }

    /// Tasks in the domains of one area against those of another.
    fn compare(&self, plan: &Plan, one: usize, other: usize) -> Ordering {
        let facets = plan.facets.len();
        let tasks = |area: usize| &self.tasks[area * facets..(area + 1) * facets];
        tasks(one).cmp(tasks(other))
    }

    /// Counts copies in all areas that share a domain with this one.
    fn count(&mut self, plan: &Plan, area: usize, copies: u32) {
        let facets = plan.facets.len();
        if facets == 0 {
            return;
        }
        for (tasks, other) in self.tasks.chunks_exact_mut(facets).zip(&plan.areas) {
            for ((tasks, one), other) in tasks.iter_mut().zip(&plan.areas[area].domains).zip(&other.domains) {
                *tasks += if one == other { copies } else { 0 };
            }
        }
    }
}

impl Index {
    /// Places up to `count` copies, each on the instance that is best for it.
    pub(super) fn place_in_order(&mut self, question: &Question<'_>, count: u32) -> Vec<InstanceId> {
        let plan = question.plan;
        let mut merge = std::mem::take(&mut self.merge);
        merge.begin(self, question.request, plan);
        let mut placed: Vec<InstanceId> = Vec::with_capacity(count.min(1024) as usize);
        let mut left = count;
        while left > 0
            && let Some(next) = self.next_head(&mut merge, question)
        {
            let before = placed.len();
            if plan.once() {
                self.take_run(&mut merge, question, next, left, &mut placed);
            } else {
                self.take_copies(&mut merge, question, next, left, &mut placed);
            }
            let copies = u32::try_from(placed.len() - before).unwrap_or(left);
            merge.count(plan, next.area, copies);
            left -= copies;
        }
        for head in &mut merge.heads {
            self.count_taken(question, head);
        }
        self.merge = merge;
        placed
    }

    /// Places copies on the best instance of a head.
    fn take_copies(
        &mut self,
        merge: &mut Merge,
        question: &Question<'_>,
        next: Next,
        left: u32,
        placed: &mut Vec<InstanceId>,
    ) {
        let plan = question.plan;
        let head = &mut merge.heads[next.head];
        let room = head.room.unwrap_or_else(|| self.room(question, next.best));
        // Where all areas are one, nothing becomes better than what was best and has room.
        let copies = if plan.areas.len() == 1 { left.min(room) } else { 1 };
        placed.extend(std::iter::repeat_n(self.slots.id(next.best.1), copies as usize));
        if head.copies == 0 {
            head.taken.push(next.best);
        }
        head.copies += copies;
        if copies < room {
            let (cpu, memory) = question.size(copies);
            head.best = Some((plan.order.after(next.best.0, cpu, memory), next.best.1));
            head.room = Some(room - copies);
        } else {
            head.is_stale = true;
            merge.areas[next.area].best = None;
            self.count_taken(question, head);
        }
    }

    /// Places a copy each on the best instance of a head and, where all areas are one, on those that follow it before
    /// the best of any other head.
    fn take_run(
        &self,
        merge: &mut Merge,
        question: &Question<'_>,
        next: Next,
        left: u32,
        placed: &mut Vec<InstanceId>,
    ) {
        let front = &mut merge.areas[next.area];
        front.best = None;
        let others = (front.first..front.end).filter(|at| *at != next.head);
        let before = others.filter_map(|at| merge.heads[at].best).min();
        let head = &mut merge.heads[next.head];
        head.is_stale = true;
        head.copies = 1;
        let mut taken = std::mem::take(&mut head.taken);
        let from = taken.len();
        taken.push(next.best);
        if left > 1 && question.plan.areas.len() == 1 {
            let full = from + left as usize;
            self.meet(question, head, front.level, |entry| {
                if before.is_some_and(|before| entry > before) {
                    return Meeting::Before;
                }
                taken.push(entry);
                if taken.len() < full {
                    Meeting::Pass
                } else {
                    Meeting::Last
                }
            });
        }
        placed.extend(taken[from..].iter().map(|(_, slot)| self.slots.id(*slot)));
        head.taken = taken;
    }

    /// The area and the head of the next copy.
    fn next_head(&mut self, merge: &mut Merge, question: &Question<'_>) -> Option<Next> {
        let plan = question.plan;
        loop {
            let open = (0..merge.areas.len()).filter(|area| !merge.areas[*area].is_full);
            let lowest = open.reduce(|lowest, area| match merge.compare(plan, area, lowest) {
                Ordering::Less => area,
                Ordering::Equal | Ordering::Greater => lowest,
            })?;
            let mut best: Option<(u32, Entry, usize, usize)> = None;
            for area in lowest..merge.areas.len() {
                if merge.areas[area].is_full || merge.compare(plan, area, lowest) != Ordering::Equal {
                    continue;
                }
                if merge.areas[area].best.is_none() {
                    self.look(merge, question, area);
                }
                let front = merge.areas[area];
                if let Some(head) = front.best
                    && let Some(found) = merge.heads[head].best
                {
                    let found = (front.level, found, area, head);
                    best = Some(best.map_or(found, |best| best.min(found)));
                }
            }
            if let Some((_, best, area, head)) = best {
                return Some(Next { area, head, best });
            }
        }
    }

    /// Finds the best head of an area, or that there is none any more.
    fn look(&mut self, merge: &mut Merge, question: &Question<'_>, area: usize) {
        let plan = question.plan;
        let front = &mut merge.areas[area];
        let heads = &mut merge.heads[front.first..front.end];
        loop {
            let mut best: Option<(Entry, usize)> = None;
            for (at, head) in heads.iter_mut().enumerate() {
                if head.is_stale {
                    self.advance(question, head, front.level);
                }
                if let Some(found) = head.best {
                    let found = (found, at);
                    best = Some(best.map_or(found, |best| best.min(found)));
                }
            }
            if let Some((_, at)) = best {
                front.best = Some(front.first + at);
                return;
            }
            for head in heads.iter_mut() {
                self.count_taken(question, head);
            }
            let next = match plan.by_instance && !plan.distinct {
                true => self.level_after(plan, heads, front.level),
                false => None,
            };
            let Some(level) = next else {
                front.is_full = true;
                return;
            };
            front.level = level;
            for head in heads.iter_mut() {
                head.is_stale = true;
                head.cursor = None;
                head.few = self.few_at_level(question, head.class, level);
            }
        }
    }

    /// The next greater count of tasks of the group that an instance of the classes has.
    fn level_after(&mut self, plan: &Plan, heads: &[Head], level: u32) -> Option<u32> {
        let slots = &self.slots;
        let counts = slots.all().map(|slot| (slot, slots.count(slot, plan.group)));
        let group = self.groups.get_mut(plan.group);
        group.level(counts, |slot| slots.class(slot));
        heads
            .iter()
            .filter_map(|head| group.level_after(head.class, level))
            .min()
    }

    /// The instances of a class that have just so many tasks of the group and can take a copy, the best last; nothing where
    /// they are so many that one is soon met on a walk.
    fn few_at_level(&self, question: &Question<'_>, class: ClassId, level: u32) -> Option<Vec<Entry>> {
        let plan = question.plan;
        let limit = self.classes.get(class).members.len().isqrt().max(FEW);
        let group = self.groups.get(plan.group);
        if group.at_level(class, level).nth(limit).is_some() {
            return None;
        }
        let fitting = group
            .at_level(class, level)
            .filter(|slot| self.takes(question, &[class], *slot));
        let mut few: Vec<Entry> = fitting.map(|slot| (self.key(plan, slot), slot)).collect();
        few.sort_unstable_by(|one, other| other.cmp(one));
        Some(few)
    }

    /// Finds the next instance of a class.
    fn advance(&self, question: &Question<'_>, head: &mut Head, level: u32) {
        let mut best = None;
        self.meet(question, head, level, |entry| {
            best = Some(entry);
            Meeting::Last
        });
        head.best = best;
        head.room = None;
        head.is_stale = false;
    }

    /// Meets the instances of a class that can take a copy, each but once in a call.
    #[inline]
    fn meet(&self, question: &Question<'_>, head: &mut Head, level: u32, mut met: impl FnMut(Entry) -> Meeting) {
        let plan = question.plan;
        if let Some(few) = &mut head.few {
            while let Some(entry) = few.pop() {
                match met(entry) {
                    Meeting::Pass => {}
                    Meeting::Last => break,
                    Meeting::Before => {
                        few.push(entry);
                        break;
                    }
                }
            }
            return;
        }
        let Some(ranking) = self.classes.get(head.class).ranking(plan.order) else {
            return;
        };
        let demand = &question.request.demand;
        let (span, other) = plan.order.span(demand.cpu.0, demand.memory.0);
        let cursor = head.cursor.get_or_insert_with(|| ranking.seek(&span));
        let at_level = |slot: Slot| !plan.counts_instances() || self.slots.count(slot, plan.group) == level;
        ranking.walk(cursor, *span.end(), other, |(key, slot)| {
            if at_level(slot) && (!plan.asks || self.accepts(question, slot)) {
                met((key, slot))
            } else {
                Meeting::Pass
            }
        });
    }

    /// How many copies an instance takes that can take one.
    fn room(&self, question: &Question<'_>, (key, slot): Entry) -> u32 {
        let demand = &question.request.demand;
        let (cpu, memory) = question.plan.order.free(key);
        let times = |free: u32, each: u32| free.checked_div(each).unwrap_or(u32::MAX);
        let gpus = match demand.gpus.0 {
            0 => u32::MAX,
            each => times(self.slots.free(slot).gpus, each),
        };
        times(cpu, demand.cpu.0).min(times(memory, demand.memory.0)).min(gpus)
    }

    /// Counts what was chosen of a class as placed.
    fn count_taken(&mut self, question: &Question<'_>, head: &mut Head) {
        if head.taken.is_empty() {
            return;
        }
        let copies = std::mem::take(&mut head.copies);
        let met = head.cursor.take().filter(|_| head.taken.len() == 1);
        self.take_all(question, head.class, &head.taken, met, copies);
        head.taken.clear();
    }
}
