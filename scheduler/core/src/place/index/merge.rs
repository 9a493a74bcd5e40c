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
use super::ranking::{Cursor, Entry, Slot};

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
    best: Option<Best>,
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

#[derive(Debug, Clone, Copy)]
struct Best {
    entry: Entry,
    id: InstanceId,
    room: u32,
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
    fn begin(&mut self, index: &Index, plan: &Plan) {
        let group = index.groups.get(plan.group);
        let is_everywhere = plan.counts_instances() && group.spans() >= index.slots.len();
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
    pub(super) fn place_in_order(&mut self, question: &mut Question<'_>, count: u32) -> Vec<InstanceId> {
        let plan = question.plan;
        let mut merge = std::mem::take(&mut self.merge);
        merge.begin(self, plan);
        let mut placed: Vec<InstanceId> = Vec::with_capacity(count.min(1024) as usize);
        let mut left = count;
        while left > 0
            && let Some((area, head)) = self.next_head(&mut merge, question)
        {
            let head = &mut merge.heads[head];
            let Some(best) = &mut head.best else { break };
            // Where all areas are one, nothing becomes better than what was best and has room.
            let copies = if plan.areas.len() == 1 { left.min(best.room) } else { 1 };
            placed.extend(std::iter::repeat_n(best.id, copies as usize));
            left -= copies;
            if plan.once() {
                head.taken.push(best.entry);
                head.copies = 1;
            } else {
                if head.copies == 0 {
                    head.taken.push(best.entry);
                }
                head.copies += copies;
                let (cpu, memory) = question.size(copies);
                best.entry.0 = plan.order.after(best.entry.0, cpu, memory);
            }
            best.room -= copies;
            if best.room == 0 {
                head.is_stale = true;
                merge.areas[area].best = None;
                if !plan.once() {
                    self.count_taken(question, head);
                }
            }
            merge.count(plan, area, copies);
        }
        for head in &mut merge.heads {
            self.count_taken(question, head);
        }
        self.merge = merge;
        placed
    }

    /// The area and the head of the next copy.
    fn next_head(&mut self, merge: &mut Merge, question: &mut Question<'_>) -> Option<(usize, usize)> {
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
                    let found = (front.level, found.entry, area, head);
                    best = Some(best.map_or(found, |best| best.min(found)));
                }
            }
            if let Some((_, _, area, head)) = best {
                return Some((area, head));
            }
        }
    }

    /// Finds the best head of an area, or that there is none any more.
    fn look(&mut self, merge: &mut Merge, question: &mut Question<'_>, area: usize) {
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
                    let found = (found.entry, at);
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
        let plan = question.plan;
        head.is_stale = false;
        let next = match &mut head.few {
            Some(few) => few.pop(),
            None => self.walk(question, head.class, &mut head.cursor, level),
        };
        head.best = next.map(|entry| Best {
            entry,
            id: self.slots.id(entry.1),
            room: if plan.once() { 1 } else { self.room(question, entry) },
        });
    }

    fn walk(&self, question: &Question<'_>, class: ClassId, cursor: &mut Option<Cursor>, level: u32) -> Option<Entry> {
        let plan = question.plan;
        let ranking = self.classes.get(class).ranking(plan.order)?;
        let demand = &question.request.demand;
        let (span, other) = plan.order.span(demand.cpu.0, demand.memory.0);
        let cursor = cursor.get_or_insert_with(|| ranking.seek(&span));
        let at_level = |slot: Slot| !plan.counts_instances() || self.slots.count(slot, plan.group) == level;
        let accepts = |slot: Slot| at_level(slot) && (!plan.asks || self.accepts(question, slot));
        ranking.next(cursor, *span.end(), other, accepts)
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
    fn count_taken(&mut self, question: &mut Question<'_>, head: &mut Head) {
        if head.taken.is_empty() {
            return;
        }
        let copies = std::mem::take(&mut head.copies);
        let met = head.cursor.take().filter(|_| head.taken.len() == 1);
        self.take_all(question, head.class, &head.taken, met, copies);
        head.taken.clear();
    }
}
