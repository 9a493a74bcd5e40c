//! The plain exact scan: looks at every candidate for every copy. It is the oracle of anything quicker.

mod choice;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use berth_model::placement::{PackBy, SpreadKey, Strategy};

use super::fits::{Misfit, eligibility, room};
use super::order::{AHEAD, Chain, Order, are_many, draws, lot, octave};
use super::{Explanation, LISTED, Refusal, Refused, Request, Solution};
use crate::state::Instance;

pub use choice::{Choice, Criterion, Decided, RunnerUp, choices};

/// The candidates of one request, and what has been placed on them.
#[derive(Debug)]
pub(super) struct Scan {
    request: Request,
    /// By instance id.
    seats: Vec<Seat>,
    /// Seats that can take another copy, in order.
    open: Vec<usize>,
    /// Tasks of the group that are meant to run on each seat: apart, as the search for the next seat reads all of them.
    group: Vec<u32>,
    rules: Vec<Rule>,
    /// Whether chance decides what the rules leave.
    random: bool,
    /// What it takes the first from that it looks at.
    ahead: Pool,
}

/// Seats from which chance draws, by id.
#[derive(Debug, Default)]
struct Pool {
    all: Vec<usize>,
    /// Those of them that are no blanks.
    having: Vec<usize>,
}

/// A candidate and what this scan has put there.
#[derive(Debug)]
struct Seat {
    instance: Arc<Instance>,
    ineligible: Vec<Misfit>,
    placed: u32,
}

/// A strategy with what it counts: the smaller the key of a seat, the better.
#[derive(Debug)]
enum Rule {
    Instance,
    Domain {
        /// The domain of each seat.
        of_seat: Vec<u32>,
        /// Tasks of the group in each domain, on full instances too.
        tasks: Vec<u32>,
    },
    Least(PackBy),
    /// Decides what the strategies leave.
    Tie(Order),
}

impl Scan {
    /// Looks at the candidates.
    pub(super) fn new<'i>(candidates: impl IntoIterator<Item = &'i Arc<Instance>>, request: Request) -> Self {
        let mut seats: Vec<Seat> = candidates
            .into_iter()
            .map(|instance| Seat::new(instance, &request))
            .collect();
        seats.sort_by_key(|seat| seat.instance.id);
        let open = (0..seats.len()).filter(|at| seats[*at].has_room(&request)).collect();
        let chain = Chain::of(&request.strategies);
        let group: Vec<u32> = seats
            .iter()
            .map(|seat| seat.instance.tasks_of_group(&request.group))
            .collect();
        let tie = (!chain.random).then_some(Rule::Tie(chain.order));
        let strategies = chain.rules.iter().filter_map(|rule| Rule::of(rule, &seats, &group));
        let rules = strategies.chain(tie).collect();
        Self {
            request,
            seats,
            open,
            group,
            rules,
            random: chain.random,
            ahead: Pool::default(),
        }
    }

    /// Places as many of `count` further copies as fit, best first, and explains the rest.
    pub(super) fn place(&mut self, count: u32, seed: u64) -> Solution {
        let mut placed = Vec::new();
        for turn in 0..count {
            let Some(chosen) = self.choose(seed, turn) else { break };
            placed.push(self.seats[chosen].instance.id);
            self.take(chosen);
        }
        let all_placed = u32::try_from(placed.len()) == Ok(count);
        Solution {
            placed,
            refused: (!all_placed).then(|| self.refused()),
        }
    }

    fn refused(&self) -> Refused {
        let refusals = self.seats.iter().filter_map(|seat| seat.refusal(&self.request));
        let refusals: Vec<Refusal> = refusals.collect();
        let explanation = Explanation::of(&refusals, &self.request.demand);
        let closest = explanation.closest.clone();
        let others = refusals.into_iter().filter(|refusal| Some(refusal) != closest.as_ref());
        let listed = closest.iter().cloned().chain(others).take(LISTED).collect();
        Refused { explanation, listed }
    }

    /// The seat of the next copy: each rule keeps the best of what the one before it left; then chance, or the smallest
    /// id, which is the first, as seats are in the order of ids.
    fn choose(&mut self, seed: u64, turn: u32) -> Option<usize> {
        if self.random && turn.is_multiple_of(AHEAD) {
            self.ahead = self.pool();
        }
        let mut open = self.open.iter().copied();
        let mut best = open.next()?;
        let mut best_keys: Vec<u64> = self.rules.iter().map(|rule| self.key(rule, best)).collect();
        for at in open {
            if self.compare(at, &best_keys) == Ordering::Less {
                best = at;
                for (best, rule) in best_keys.iter_mut().zip(&self.rules) {
                    *best = self.key(rule, at);
                }
            }
        }
        if !self.random {
            return Some(best);
        }
        let equal = |at: &usize| self.compare(*at, &best_keys) == Ordering::Equal;
        let is_best = |at: &usize| self.open.binary_search(at).is_ok() && equal(at);
        self.draw(seed, turn, is_best).or_else(|| {
            let fitting: Vec<usize> = self.open.iter().copied().filter(equal).collect();
            fitting.get(lot(seed, turn, fitting.len())).copied()
        })
    }

    /// The first seat that chance looks at that passes the test.
    fn draw(&self, seed: u64, turn: u32, passes: impl Fn(&usize) -> bool) -> Option<usize> {
        let ahead = &self.ahead;
        let mut firsts = draws(seed, turn, 0, ahead.all.len()).map(|(draw, nth)| (draw, ahead.all[nth]));
        let (draw, first) = firsts.find(|(_, at)| ahead.having.binary_search(at).is_ok())?;
        if passes(&first) {
            return Some(first);
        }
        let pool = self.pool();
        let mut drawn = draws(seed, turn, draw + 1, pool.all.len()).map(|(_, nth)| pool.all[nth]);
        drawn.find(passes)
    }

    /// The seats from which chance draws, whether or not they can take a copy.
    fn pool(&self) -> Pool {
        let demand = &self.request.demand;
        let (cpu, memory) = (octave(demand.cpu.0), octave(demand.memory.0));
        let left = |at: &usize| self.seats[*at].left(&self.request);
        let by_cpu: Vec<usize> = (0..self.seats.len()).filter(|at| left(at).0 >= cpu).collect();
        let by_memory: Vec<usize> = (0..self.seats.len()).filter(|at| left(at).1 >= memory).collect();
        let fewer = if by_memory.len() < by_cpu.len() {
            by_memory
        } else {
            by_cpu
        };
        let all = match are_many(fewer.len(), self.seats.len()) {
            true => (0..self.seats.len()).collect(),
            false => fewer.clone(),
        };
        Pool { all, having: fewer }
    }

    fn compare(&self, at: usize, best_keys: &[u64]) -> Ordering {
        let differs = |(rule, best): (&Rule, &u64)| Some(self.key(rule, at).cmp(best)).filter(|order| order.is_ne());
        let difference = self.rules.iter().zip(best_keys).find_map(differs);
        difference.unwrap_or(Ordering::Equal)
    }

    fn key(&self, rule: &Rule, at: usize) -> u64 {
        match rule {
            Rule::Instance => u64::from(self.group[at]),
            Rule::Domain { of_seat, tasks } => u64::from(tasks[of_seat[at] as usize]),
            Rule::Least(by) => {
                let (cpu, memory) = self.seats[at].left(&self.request);
                u64::from(match by {
                    PackBy::Cpu => cpu,
                    PackBy::Memory => memory,
                })
            }
            Rule::Tie(order) => {
                let (cpu, memory) = self.seats[at].left(&self.request);
                order.key(cpu, memory)
            }
        }
    }

    fn take(&mut self, chosen: usize) {
        let seat = &mut self.seats[chosen];
        seat.placed += 1;
        self.group[chosen] += 1;
        if !seat.has_room(&self.request) {
            self.open.retain(|at| *at != chosen);
        }
        for rule in &mut self.rules {
            if let Rule::Domain { of_seat, tasks } = rule {
                tasks[of_seat[chosen] as usize] += 1;
            }
        }
    }
}

impl Seat {
    fn new(instance: &Arc<Instance>, request: &Request) -> Self {
        Self {
            instance: Arc::clone(instance),
            ineligible: eligibility(instance, request),
            placed: 0,
        }
    }

    fn has_room(&self, request: &Request) -> bool {
        let mut free = self.ineligible.is_empty();
        if free {
            room(&self.instance, request, self.placed, |_| free = false);
        }
        free
    }

    fn refusal(&self, request: &Request) -> Option<Refusal> {
        let mut misfits = self.ineligible.clone();
        room(&self.instance, request, self.placed, |misfit| misfits.push(misfit));
        (!misfits.is_empty()).then_some(Refusal {
            instance: self.instance.id,
            misfits,
        })
    }

    /// CPU units and memory that are free with the copies that were placed here.
    fn left(&self, request: &Request) -> (u32, u32) {
        let left = |free: u32, each: u32| free.saturating_sub(each.saturating_mul(self.placed));
        (
            left(self.instance.free_cpu().0, request.demand.cpu.0),
            left(self.instance.free_memory().0, request.demand.memory.0),
        )
    }
}

impl Rule {
    fn of(strategy: &Strategy, seats: &[Seat], group: &[u32]) -> Option<Self> {
        match strategy {
            Strategy::Random => None,
            Strategy::Spread(SpreadKey::Instance) => Some(Self::Instance),
            Strategy::Spread(SpreadKey::Attribute(name)) => Some(Self::domains(name, seats, group)),
            Strategy::Binpack(by) => Some(Self::Least(*by)),
        }
    }

    /// Instances without the attribute are a domain of their own.
    fn domains(name: &str, seats: &[Seat], group: &[u32]) -> Self {
        let mut known: BTreeMap<Option<&str>, u32> = BTreeMap::new();
        let mut of_seat = Vec::with_capacity(seats.len());
        let mut tasks: Vec<u32> = Vec::new();
        for (seat, group) in seats.iter().zip(group) {
            let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
            let domain = *known.entry(seat.instance.attribute(name).flatten()).or_insert(next);
            of_seat.push(domain);
            if domain == next {
                tasks.push(0);
            }
            tasks[domain as usize] += group;
        }
        Self::Domain { of_seat, tasks }
    }
}

#[cfg(test)]
mod tests;
