//! What was asked. A command is decided against one state, as often as it takes until its changes are appended.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_model::fault::Fault;
use berth_model::id::TaskId;
use berth_model::time::Timestamp;

use crate::change::Change;
use crate::keys::ClusterKey;
use crate::place::Index;
use crate::state::State;

/// What a decision may use besides the state: the world comes in as values.
#[derive(Debug)]
pub struct Env<'m> {
    now: Timestamp,
    seed: u64,
    drawn: u64,
    memory: &'m mut Memory,
}

/// What one decision leaves for the next so that it need not look at everything again. Never changes what is decided.
#[derive(Debug, Default)]
pub struct Memory {
    /// By cluster, what finds the instances of placements.
    indexes: BTreeMap<ClusterKey, Index>,
}

impl Memory {
    /// The index of the cluster's instances, as they are in the state.
    pub(crate) fn index(&mut self, state: &State, cluster: ClusterKey) -> &mut Index {
        let index = self.indexes.entry(cluster).or_insert_with(|| Index::of(state, cluster));
        index.catch_up(state);
        index
    }

    /// Returns from a state that further changes of `state` have made, and that will not be, or not yet.
    pub(crate) fn go_back(&mut self, cluster: ClusterKey, state: &State, from: &State) {
        if let Some(index) = self.indexes.get_mut(&cluster) {
            index.go_back(state, from);
        }
    }
}

/// What a command leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision<O> {
    /// What happens, in order; none where the state already is as asked.
    pub changes: Vec<Change>,
    /// What the caller is told once the changes are durable.
    pub outcome: O,
}

/// Something that somebody wants of the state.
pub trait Command: Send {
    /// What the caller is told.
    type Outcome: Send;

    /// Decides the command. Must not depend on anything but the arguments: it is called again when the state that it
    /// was decided on is no longer the newest.
    ///
    /// # Errors
    /// The fault that refuses the command; then nothing changes.
    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<Self::Outcome>, Fault>;
}

impl<O> Decision<O> {
    /// Nothing needs to change.
    pub const fn unchanged(outcome: O) -> Self {
        Self {
            changes: Vec::new(),
            outcome,
        }
    }
}

impl<'m> Env<'m> {
    /// The surroundings of one decision.
    #[must_use]
    pub const fn new(now: Timestamp, seed: u64, memory: &'m mut Memory) -> Self {
        Self {
            now,
            seed,
            drawn: 0,
            memory,
        }
    }

    pub(crate) const fn memory(&mut self) -> &mut Memory {
        self.memory
    }

    /// The time of the decision.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// The next number of the decision's sequence.
    pub const fn draw(&mut self) -> u64 {
        self.drawn = self.drawn.wrapping_add(1);
        nth_draw(self.seed, self.drawn)
    }

    /// A new task id: a version 7 UUID of the decision's time (RFC 9562), so that ids grow with time.
    pub fn task_id(&mut self) -> TaskId {
        let millis = u128::try_from(self.now.as_millis()).unwrap_or(0) & 0xffff_ffff_ffff;
        let random = (u128::from(self.draw()) << 64) | u128::from(self.draw());
        let a = (random >> 64) & 0xfff;
        let b = random & 0x3fff_ffff_ffff_ffff;
        TaskId::from_bits((millis << 80) | (0x7 << 76) | (a << 64) | (0b10 << 62) | b)
    }
}

/// The number at a place of the sequence that a seed begins (SplitMix64).
#[must_use]
pub const fn nth_draw(seed: u64, nth: u64) -> u64 {
    let mut z = seed.wrapping_add(nth.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Who asks: goes into the journal with the changes.
pub type Principal = Arc<str>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_ids_are_version_7_and_grow_with_time() {
        let id = |millis, seed| Env::new(Timestamp::from_millis(millis), seed, &mut Memory::default()).task_id();
        let earlier = id(1_700_000_000_000, 7);
        let later = id(1_700_000_000_001, 3);
        assert!(earlier < later);
        let text = later.to_string();
        assert_eq!(&text[12..13], "7");
        assert!(matches!(&text[16..17], "8" | "9" | "a" | "b"));
    }

    #[test]
    fn the_same_seed_draws_the_same_ids() {
        let ids = |seed| {
            let mut memory = Memory::default();
            let mut env = Env::new(Timestamp::from_millis(5), seed, &mut memory);
            [env.task_id(), env.task_id()]
        };
        assert_eq!(ids(1), ids(1));
        assert_ne!(ids(1)[0], ids(1)[1]);
        assert_ne!(ids(1), ids(2));
    }
}
