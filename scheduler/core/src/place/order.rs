//! Which of the instances that can take a copy is the best one: shared by the scan and the index, so that both choose
//! the same.
//!
//! The strategies of a request are kept in their order; each leaves the next only what it holds equally good. What is
//! then still equal is decided by an [`Order`], and at last by the instance's id. ECS leaves that open; here a task goes
//! where it leaves the least free, unless it was to be spread over instances: then where the most is free.

use berth_model::placement::{PackBy, SpreadKey, Strategy};

/// Without a strategy tasks go as those of an ECS service do: over the zones first, then over the instances.
const ZONE: &str = "ecs.availability-zone";
/// How many instances are drawn by lot before those that fit are counted instead.
pub(super) const DRAWS: u32 = 64;

/// An order of instances by what they have free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    /// Least CPU first, then least memory.
    LeastCpu,
    /// Least memory first, then least CPU.
    LeastMemory,
    /// Most CPU first, then most memory.
    MostFree,
}

impl Order {
    /// All orders.
    pub(super) const ALL: [Self; 3] = [Self::LeastCpu, Self::LeastMemory, Self::MostFree];

    /// The order that packs the resource.
    pub(super) const fn of(by: PackBy) -> Self {
        match by {
            PackBy::Cpu => Self::LeastCpu,
            PackBy::Memory => Self::LeastMemory,
        }
    }

    /// The place of an instance with so much free: the smaller the better.
    pub(super) const fn key(self, cpu: u32, memory: u32) -> u64 {
        match self {
            Self::LeastCpu => join(cpu, memory),
            Self::LeastMemory => join(memory, cpu),
            Self::MostFree => join(!cpu, !memory),
        }
    }

    /// The resource that the order is not led by, of an instance at the place.
    pub(super) const fn other(self, key: u64) -> u32 {
        self.mask().other(key)
    }

    /// How the lower half of a place is read: for loops over many.
    pub(super) const fn mask(self) -> Mask {
        match self {
            Self::LeastCpu | Self::LeastMemory => Mask(0),
            Self::MostFree => Mask(u32::MAX),
        }
    }

    /// CPU units and memory that are free at the place.
    #[expect(clippy::cast_possible_truncation, reason = "the halves")]
    pub(super) const fn free(self, key: u64) -> (u32, u32) {
        let (high, low) = ((key >> 32) as u32, key as u32);
        match self {
            Self::LeastCpu => (high, low),
            Self::LeastMemory => (low, high),
            Self::MostFree => (!high, !low),
        }
    }

    /// The place of an instance that was at this one and has given so much: no more than it had.
    pub(super) const fn after(self, key: u64, cpu: u32, memory: u32) -> u64 {
        match self {
            Self::LeastCpu => key - join(cpu, memory),
            Self::LeastMemory => key - join(memory, cpu),
            Self::MostFree => key + join(cpu, memory),
        }
    }

    /// The places of instances that have enough of the resource that leads, and how much of the other is needed.
    pub(super) const fn span(self, cpu: u32, memory: u32) -> (std::ops::RangeInclusive<u64>, u32) {
        match self {
            Self::LeastCpu => (join(cpu, 0)..=u64::MAX, memory),
            Self::LeastMemory => (join(memory, 0)..=u64::MAX, cpu),
            Self::MostFree => (0..=join(!cpu, u32::MAX), memory),
        }
    }
}

/// See [`Order::mask`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Mask(u32);

impl Mask {
    /// See [`Order::other`].
    pub(super) const fn other(self, key: u64) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
        let low = key as u32;
        low ^ self.0
    }
}

const fn join(high: u32, low: u32) -> u64 {
    let (high, low) = (high as u64, low as u64);
    high << 32 | low
}

/// A request's strategies, read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chain {
    /// What is kept in order, up to `random`.
    pub(super) rules: Vec<Strategy>,
    /// Whether chance decides what the rules leave; then nothing comes after it.
    pub(super) random: bool,
    /// What decides otherwise.
    pub(super) order: Order,
}

impl Chain {
    pub(super) fn of(strategies: &[Strategy]) -> Self {
        let mut rules: Vec<Strategy> = match strategies {
            [] => vec![
                Strategy::Spread(SpreadKey::Attribute(ZONE.to_owned())),
                Strategy::Spread(SpreadKey::Instance),
            ],
            given => given.to_vec(),
        };
        let random = rules.iter().position(|rule| *rule == Strategy::Random);
        if let Some(at) = random {
            rules.truncate(at);
        }
        let packs = rules.iter().rev().map_while(|rule| match rule {
            Strategy::Binpack(by) => Some(*by),
            Strategy::Spread(_) | Strategy::Random => None,
        });
        let order = match (packs.last(), rules.last()) {
            (Some(by), _) => Order::of(by),
            (None, Some(Strategy::Spread(SpreadKey::Instance))) => Order::MostFree,
            (None, _) => Order::LeastCpu,
        };
        Self {
            rules,
            random: random.is_some(),
            order,
        }
    }
}

/// The greatest power of two that an amount reaches. Chance draws from the instances that have so much free of CPU or of
/// memory, whichever are fewer: so that what it draws mostly can take a copy, however full the cluster is.
pub(super) const fn octave(amount: u32) -> u32 {
    match amount.checked_ilog2() {
        Some(power) => 1 << power,
        None => 0,
    }
}

/// Whether chance draws from all instances rather than from those that have an octave free: where these are a quarter of all
/// or more, it is quicker to draw again than to find the nth of them, and [`DRAWS`] are as good as never all blanks.
pub(super) const fn are_many(having: usize, all: usize) -> bool {
    having >= all.div_ceil(4)
}

/// Copies of a call for which chance draws at once. What it looks at first for each of them it takes from the instances that
/// had an octave free before the first of them was placed: so that it is known whatever the others take, and all can be read
/// at once. What it looks at after that it takes from those that have so much free by then.
pub(super) const AHEAD: u32 = if cfg!(test) { 4 } else { 64 };

/// The ranks, among so many instances in the order of their ids, that chance looks at for one copy, from a draw on, each with
/// the number of its draw.
pub(super) fn draws(seed: u64, turn: u32, from: u32, instances: usize) -> impl Iterator<Item = (u32, usize)> {
    let end = if instances == 0 { 0 } else { DRAWS };
    (from..end).map(move |draw| (draw, pick(seed, turn, draw, instances)))
}

/// The one of so many that chance takes when it knows all that fit.
pub(super) fn lot(seed: u64, turn: u32, fitting: usize) -> usize {
    pick(seed, turn, DRAWS, fitting)
}

#[expect(clippy::cast_possible_truncation, reason = "less than a length")]
fn pick(seed: u64, turn: u32, draw: u32, among: usize) -> usize {
    let salt = u64::from(turn) << 32 | u64::from(draw);
    let mut z = seed ^ salt.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    // The upper bits of a product: as even as a remainder and without the division.
    ((u128::from(z) * among as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_order_puts_the_better_instance_first() {
        assert!(Order::LeastCpu.key(1, 9) < Order::LeastCpu.key(2, 1));
        assert!(Order::LeastMemory.key(9, 1) < Order::LeastMemory.key(1, 2));
        assert!(Order::MostFree.key(2, 1) < Order::MostFree.key(1, 9));
        assert!(Order::MostFree.key(1, 9) < Order::MostFree.key(1, 2));
        assert_eq!(Order::MostFree.other(Order::MostFree.key(1, 9)), 9);
        assert_eq!(Order::LeastMemory.other(Order::LeastMemory.key(7, 3)), 7);
        for order in [Order::LeastCpu, Order::LeastMemory, Order::MostFree] {
            assert_eq!(order.free(order.key(5, 8)), (5, 8));
            assert_eq!(order.after(order.key(5, 8), 4, 8), order.key(1, 0));
        }
    }

    #[test]
    fn a_span_holds_just_those_with_enough_of_what_leads() {
        for order in [Order::LeastCpu, Order::LeastMemory, Order::MostFree] {
            let (span, other) = order.span(5, 7);
            for (cpu, memory, enough) in [(5, 7, true), (6, 8, true), (4, 9, false), (9, 6, false)] {
                let key = order.key(cpu, memory);
                assert_eq!(
                    span.contains(&key) && order.other(key) >= other,
                    enough,
                    "{order:?} {cpu} {memory}"
                );
            }
        }
    }

    #[test]
    fn chance_is_even_and_repeatable() {
        let mut hits = [0_u32; 10];
        for turn in 0..1000 {
            assert_eq!(lot(3, turn, 10), lot(3, turn, 10));
            hits[lot(3, turn, 10)] += 1;
        }
        assert!(hits.iter().all(|count| (60..140).contains(count)), "{hits:?}");
        assert_eq!(draws(1, 0, 0, 0).count(), 0);
    }
}
