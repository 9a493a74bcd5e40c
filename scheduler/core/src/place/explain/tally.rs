//! The summary without a list of all refusals: classes of instances are counted at once, and words are made in the end.

use berth_model::quantity::MemoryMib;

use super::super::fits::{Clause, clauses, fits, room};
use super::super::{Misfit, Refusal, Request};
use super::{Cause, Distance, Explanation};
use crate::state::Instance;

/// An instance by its rank among the candidates in the order of ids.
type Rank = u32;

/// What was counted so far.
#[derive(Debug)]
pub(in crate::place) struct Tally<'r> {
    request: &'r Request,
    /// Each clause with the instances that do not satisfy it: how many, and the first.
    clauses: Vec<(Clause<'r>, Count)>,
    /// What else is in the way on eligible instances.
    rooms: Vec<(Misfit, Count)>,
    cpu: Lack,
    memory: Lack,
    candidates: u32,
    eligible: u32,
    closest: Option<(Distance, Rank)>,
}

/// Instances on which the same thing is in the way: how many, and the first.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::place) struct Count {
    instances: u32,
    first: Rank,
}

impl Count {
    pub(in crate::place) fn add(&mut self, instances: u32, first: Rank) {
        self.first = if self.instances == 0 {
            first
        } else {
            self.first.min(first)
        };
        self.instances += instances;
    }
}

/// Instances that lack some of a resource.
#[derive(Debug, Default)]
struct Lack {
    instances: u32,
    /// What is missing where the least is, and where that is.
    nearest: Option<(u32, Rank)>,
}

impl Lack {
    fn note(&mut self, missing: u32, instances: u32, rank: Rank) {
        if missing == 0 {
            return;
        }
        self.instances += instances;
        if self.nearest.is_none_or(|nearest| (missing, rank) < nearest) {
            self.nearest = Some((missing, rank));
        }
    }
}

/// Counts what is in the way of another instance, and keeps where the least is missing.
fn add(rooms: &mut Vec<(Misfit, Count)>, misfit: Misfit, rank: Rank) {
    let Some((known, count)) = rooms.iter_mut().find(|(known, _)| known.is_like(&misfit)) else {
        rooms.push((
            misfit,
            Count {
                instances: 1,
                first: rank,
            },
        ));
        return;
    };
    count.instances += 1;
    if (misfit.missing(), rank) < (known.missing(), count.first) {
        *known = misfit;
        count.first = rank;
    }
}

impl<'r> Tally<'r> {
    pub(in crate::place) fn of(request: &'r Request) -> Self {
        let mut counted: Vec<(Clause<'r>, Count)> = Vec::new();
        for clause in clauses(request) {
            if counted.iter().all(|(known, _)| *known != clause) {
                counted.push((clause, Count::default()));
            }
        }
        Self {
            request,
            clauses: counted,
            rooms: Vec::new(),
            cpu: Lack::default(),
            memory: Lack::default(),
            candidates: 0,
            eligible: 0,
            closest: None,
        }
    }

    /// Counts an instance by asking it, where `placed` copies are on their way to it.
    pub(in crate::place) fn ask(&mut self, rank: Rank, instance: &Instance, placed: u32) {
        if !self.class(instance, 1, rank) {
            return;
        }
        let (mut missing_cpu, mut missing_memory) = (0, 0);
        let mut taken = 0;
        let rooms = &mut self.rooms;
        room(instance, self.request, placed, |misfit| match misfit {
            Misfit::Cpu { .. } => missing_cpu = misfit.missing().unwrap_or(0),
            Misfit::Memory { .. } => missing_memory = misfit.missing().unwrap_or(0),
            Misfit::NotActive(_)
            | Misfit::Agent
            | Misfit::Provider(_)
            | Misfit::Attribute(_)
            | Misfit::MemberOf(_)
            | Misfit::Distinct
            | Misfit::Gpu { .. }
            | Misfit::Port { .. } => {
                taken += 1;
                add(rooms, misfit, rank);
            }
        });
        self.count(1, rank, (missing_cpu, missing_memory), (taken, rank));
    }

    /// Counts instances that satisfy the same clauses, by one of them; says whether all are satisfied. Those that satisfy
    /// all are to be counted with [`Tally::count_equal`].
    pub(in crate::place) fn class(&mut self, example: &Instance, instances: u32, first: Rank) -> bool {
        let mut failing = 0;
        for (clause, count) in &mut self.clauses {
            if !clause.holds(example) {
                failing += 1;
                count.add(instances, first);
            }
        }
        if failing == 0 {
            return true;
        }
        self.candidates += instances;
        let distance = Distance {
            clauses: failing,
            taken: 0,
            missing: 0,
        };
        self.come_closer(distance, first);
        false
    }

    /// Counts eligible instances, in order, that have so much CPU and memory free. `nearest` is the least that else is in the
    /// way on any of them, and where.
    pub(in crate::place) fn count_equal(&mut self, ranks: &[Rank], (cpu, memory): (u32, u32), nearest: (usize, Rank)) {
        let Some(first) = ranks.first() else { return };
        let demand = &self.request.demand;
        let missing_cpu = demand.cpu.0.saturating_sub(cpu);
        let missing_memory = demand.memory.0.saturating_sub(memory);
        let instances = u32::try_from(ranks.len()).unwrap_or(u32::MAX);
        self.count(instances, *first, (missing_cpu, missing_memory), nearest);
    }

    /// Counts something else that is in the way on some of them, which there cannot be more or less of.
    pub(in crate::place) fn count_taken(&mut self, misfit: Misfit, count: Count) {
        if count.instances > 0 {
            self.rooms.push((misfit, count));
        }
    }

    /// Counts eligible instances that lack so much CPU and memory.
    fn count(&mut self, instances: u32, first: Rank, (cpu, memory): (u32, u32), (taken, nearest): (usize, Rank)) {
        self.candidates += instances;
        self.eligible += instances;
        self.cpu.note(cpu, instances, first);
        self.memory.note(memory, instances, first);
        let distance = Distance::within(&self.request.demand, taken, cpu, memory);
        self.come_closer(distance, nearest);
    }

    fn come_closer(&mut self, distance: Distance, rank: Rank) {
        if self.closest.is_none_or(|closest| (distance, rank) < closest) {
            self.closest = Some((distance, rank));
        }
    }

    /// The summary. `instance` gives the instance of a rank, `placed` the copies that are on their way to it.
    pub(in crate::place) fn finish<'i>(
        self,
        instance: impl Fn(Rank) -> Option<&'i Instance>,
        placed: impl Fn(Rank) -> u32,
    ) -> Explanation {
        let demand = &self.request.demand;
        let mut causes = Vec::new();
        let mut cause = |count: Count, misfit: Misfit, nearest: &Instance| {
            causes.push(Cause {
                instances: count.instances,
                nearest: nearest.id,
                misfit,
                holder: None,
            });
        };
        for (clause, count) in self.clauses.iter().filter(|(_, count)| count.instances > 0) {
            if let Some(first) = instance(count.first) {
                cause(*count, clause.misfit(first), first);
            }
        }
        for (misfit, count) in self.rooms {
            if let Some(first) = instance(count.first) {
                cause(count, misfit, first);
            }
        }
        let mut lacking = |lack: &Lack, misfit: &dyn Fn(u32) -> Misfit| {
            if let Some((missing, rank)) = lack.nearest
                && let Some(nearest) = instance(rank)
            {
                let count = Count {
                    instances: lack.instances,
                    first: rank,
                };
                cause(count, misfit(missing), nearest);
            }
        };
        lacking(&self.cpu, &|missing| Misfit::Cpu {
            needed: demand.cpu.0,
            free: demand.cpu.0 - missing,
        });
        lacking(&self.memory, &|missing| Misfit::Memory {
            needed: demand.memory,
            free: MemoryMib(demand.memory.0 - missing),
        });
        causes.sort_by(|one, other| one.misfit.cmp(&other.misfit));
        let closest = self.closest.and_then(|(_, rank)| Some((rank, instance(rank)?)));
        Explanation {
            candidates: self.candidates,
            eligible: self.eligible,
            draining: 0,
            causes,
            closest: closest.map(|(rank, instance)| Refusal {
                instance: instance.id,
                misfits: fits(instance, self.request, placed(rank)),
            }),
        }
    }
}
