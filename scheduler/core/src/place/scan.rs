//! The plain exact scan: looks at every candidate for every copy. It is the oracle of anything quicker.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use berth_model::placement::{PackBy, SpreadKey, Strategy};

use super::fits::{Misfit, eligibility, room};
use super::{Refusal, Request, Solution};
use crate::state::Instance;

/// Without a strategy tasks go as those of an ECS service do: over the zones first, then over the instances.
const ZONE: &str = "ecs.availability-zone";

/// The candidates of one request, and what has been placed on them: it can go on placing equal copies for as long as
/// nothing else changes the instances.
#[derive(Debug)]
pub struct Scan {
    request: Request,
    /// By instance id.
    seats: Vec<Seat>,
    /// Seats that can take another copy, in order.
    open: Vec<usize>,
    /// Tasks of the group that are meant to run on each seat: apart, as the search for the next seat reads all of them.
    group: Vec<u32>,
    rules: Vec<Rule>,
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
    Random,
    Instance,
    Domain {
        /// The domain of each seat.
        of_seat: Vec<u32>,
        /// Tasks of the group in each domain, on full instances too.
        tasks: Vec<u32>,
    },
    Least(PackBy),
}

impl Scan {
    /// Looks at the candidates.
    #[must_use]
    pub fn new<'i>(candidates: impl IntoIterator<Item = &'i Arc<Instance>>, request: Request) -> Self {
        let mut seats: Vec<Seat> = candidates
            .into_iter()
            .map(|instance| Seat::new(instance, &request))
            .collect();
        seats.sort_by_key(|seat| seat.instance.id);
        let open = (0..seats.len()).filter(|at| seats[*at].has_room(&request)).collect();
        let default = [
            Strategy::Spread(SpreadKey::Attribute(ZONE.to_owned())),
            Strategy::Spread(SpreadKey::Instance),
        ];
        let strategies = match request.strategies.is_empty() {
            true => &default[..],
            false => &request.strategies,
        };
        let group: Vec<u32> = seats
            .iter()
            .map(|seat| seat.instance.tasks_of_group(&request.group))
            .collect();
        let rules = strategies
            .iter()
            .map(|strategy| Rule::new(strategy, &seats, &group))
            .collect();
        Self {
            request,
            seats,
            open,
            group,
            rules,
        }
    }

    /// What it places copies of.
    #[must_use]
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// Places as many of `count` further copies as fit, best first, and explains the rest.
    #[must_use]
    pub fn place(&mut self, count: u32, seed: u64) -> Solution {
        let mut placed = Vec::new();
        for turn in 0..count {
            let Some(chosen) = self.choose(seed, turn) else { break };
            placed.push(self.seats[chosen].instance.id);
            self.take(chosen);
        }
        let all_placed = u32::try_from(placed.len()) == Ok(count);
        let refusals = match all_placed {
            true => Vec::new(),
            false => self
                .seats
                .iter()
                .filter_map(|seat| seat.refusal(&self.request))
                .collect(),
        };
        Solution { placed, refusals }
    }

    /// The seat of the next copy: each strategy keeps the best of what the one before it left; then the smallest id,
    /// which is the first, as seats are in the order of ids.
    fn choose(&self, seed: u64, turn: u32) -> Option<usize> {
        let key = |rule: &Rule, at: usize| self.key(rule, at, seed, turn);
        let mut open = self.open.iter().copied();
        let mut best = open.next()?;
        let mut best_keys: Vec<u64> = self.rules.iter().map(|rule| key(rule, best)).collect();
        for at in open {
            let differs = |(rule, best): (&Rule, &u64)| Some(key(rule, at).cmp(best)).filter(|order| order.is_ne());
            if self.rules.iter().zip(&best_keys).find_map(differs) == Some(Ordering::Less) {
                best = at;
                for (best, rule) in best_keys.iter_mut().zip(&self.rules) {
                    *best = key(rule, at);
                }
            }
        }
        Some(best)
    }

    fn key(&self, rule: &Rule, at: usize, seed: u64, turn: u32) -> u64 {
        match rule {
            Rule::Random => mix(seed, turn, self.seats[at].instance.id.to_bits()),
            Rule::Instance => u64::from(self.group[at]),
            Rule::Domain { of_seat, tasks } => u64::from(tasks[of_seat[at] as usize]),
            Rule::Least(by) => u64::from(self.seats[at].left(*by, &self.request)),
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

    /// What stays free of the resource once the next copy is there.
    fn left(&self, by: PackBy, request: &Request) -> u32 {
        let (free, each) = match by {
            PackBy::Cpu => (self.instance.free_cpu().0, request.demand.cpu.0),
            PackBy::Memory => (self.instance.free_memory().0, request.demand.memory.0),
        };
        free.saturating_sub(each.saturating_mul(self.placed + 1))
    }
}

impl Rule {
    fn new(strategy: &Strategy, seats: &[Seat], group: &[u32]) -> Self {
        match strategy {
            Strategy::Random => Self::Random,
            Strategy::Spread(SpreadKey::Instance) => Self::Instance,
            Strategy::Spread(SpreadKey::Attribute(name)) => Self::domains(name, seats, group),
            Strategy::Binpack(by) => Self::Least(*by),
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

/// A number that follows from all three and looks like chance: the smallest of many is any of them.
const fn mix(seed: u64, turn: u32, id: u128) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
    let mut z =
        seed ^ (turn as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (id as u64) ^ ((id >> 64) as u64).rotate_left(32);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
