//! The plain exact scan: looks at every candidate for every copy. It is the oracle of anything quicker.

use std::collections::BTreeMap;

use berth_model::placement::{PackBy, SpreadKey, Strategy};

use super::fits::{Misfit, eligibility, room};
use super::{Refusal, Request, Solution};
use crate::state::Instance;

/// Without a strategy tasks go as those of an ECS service do: over the zones first, then over the instances.
const ZONE: &str = "ecs.availability-zone";

/// A candidate and what this call has put there.
struct Seat<'i> {
    instance: &'i Instance,
    ineligible: Vec<Misfit>,
    placed: u32,
    group: u32,
    full: bool,
}

pub(super) fn solve<'i>(candidates: impl IntoIterator<Item = &'i Instance>, request: &Request<'_>) -> Solution {
    let mut seats: Vec<Seat<'i>> = candidates
        .into_iter()
        .map(|instance| Seat {
            instance,
            ineligible: eligibility(instance, request),
            placed: 0,
            group: instance.tasks_of_group(request.group),
            full: false,
        })
        .collect();
    let default = [
        Strategy::Spread(SpreadKey::Attribute(ZONE.to_owned())),
        Strategy::Spread(SpreadKey::Instance),
    ];
    let strategies = if request.strategies.is_empty() {
        &default[..]
    } else {
        request.strategies
    };
    for seat in &mut seats {
        seat.full = !seat.has_room(request);
    }
    let mut placed = Vec::new();
    for turn in 0..request.count {
        let Some(chosen) = choose(&seats, strategies, request, turn) else {
            break;
        };
        let seat = &mut seats[chosen];
        placed.push(seat.instance.id);
        seat.placed += 1;
        seat.group += 1;
        seat.full = !seat.has_room(request);
    }
    let all_placed = u32::try_from(placed.len()) == Ok(request.count);
    let refusals = if all_placed {
        Vec::new()
    } else {
        seats.into_iter().filter_map(|seat| seat.refusal(request)).collect()
    };
    Solution { placed, refusals }
}

impl Seat<'_> {
    fn has_room(&self, request: &Request<'_>) -> bool {
        let mut free = self.ineligible.is_empty();
        if free {
            room(self.instance, request, self.placed, |_| free = false);
        }
        free
    }

    fn refusal(self, request: &Request<'_>) -> Option<Refusal> {
        let mut misfits = self.ineligible;
        room(self.instance, request, self.placed, |misfit| misfits.push(misfit));
        (!misfits.is_empty()).then_some(Refusal {
            instance: self.instance.id,
            misfits,
        })
    }

    fn value(&self, attribute: &str) -> Option<&str> {
        self.instance.attribute(attribute).flatten()
    }

    /// What stays free of the resource once the next copy is there.
    fn left(&self, by: PackBy, request: &Request<'_>) -> u32 {
        let (free, each) = match by {
            PackBy::Cpu => (self.instance.free_cpu().0, request.demand.cpu.0),
            PackBy::Memory => (self.instance.free_memory().0, request.demand.memory.0),
        };
        free.saturating_sub(each.saturating_mul(self.placed + 1))
    }
}

/// The seat of the next copy: each strategy keeps the best of what the one before it left; then the smallest id.
fn choose(seats: &[Seat<'_>], strategies: &[Strategy], request: &Request<'_>, turn: u32) -> Option<usize> {
    let mut best: Vec<usize> = (0..seats.len()).filter(|at| !seats[*at].full).collect();
    for strategy in strategies {
        if best.len() <= 1 {
            break;
        }
        match strategy {
            Strategy::Random => best = vec![best[draw(request.seed, turn, best.len())]],
            Strategy::Spread(SpreadKey::Instance) => keep_least(&mut best, |at| seats[at].group),
            Strategy::Spread(SpreadKey::Attribute(name)) => {
                // Full instances count too: their tasks are in the domain all the same.
                let mut domains: BTreeMap<Option<&str>, u32> = BTreeMap::new();
                for seat in seats {
                    *domains.entry(seat.value(name)).or_default() += seat.group;
                }
                keep_least(&mut best, |at| domains.get(&seats[at].value(name)).copied());
            }
            Strategy::Binpack(by) => keep_least(&mut best, |at| seats[at].left(*by, request)),
        }
    }
    best.into_iter().min_by_key(|at| seats[*at].instance.id)
}

fn keep_least<K: Ord>(best: &mut Vec<usize>, key: impl Fn(usize) -> K) {
    if let Some(least) = best.iter().map(|at| key(*at)).min() {
        best.retain(|at| key(*at) == least);
    }
}

/// One of `count`, by the seed and the turn.
fn draw(seed: u64, turn: u32, count: usize) -> usize {
    let mut z = seed ^ u64::from(turn).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    z ^= z >> 33;
    let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
    usize::try_from(z % count).unwrap_or(0)
}

#[cfg(test)]
mod tests;
