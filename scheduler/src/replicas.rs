//! The schedulers that share a journal, and who does what.
//!
//! Each says every few seconds that it lives; one whose word has not moved for a while is gone. Services, schedules and
//! upkeep each have one owner among those that live, so that writers seldom meet. Nothing that must be right rests on
//! it: every decision is the journal's, and two owners at a time cost a look each.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use berth_scheduler_core::keys::ReplicaId;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::journal::Journal;

/// How often a scheduler says that it lives.
const BEAT: Duration = Duration::from_secs(3);
/// Silence after which it counts as gone: four beats, as for an agent and a little more.
const GONE: Duration = Duration::from_secs(12);
/// Silence after which nothing is kept of it.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// Who lives, as far as this scheduler knows.
#[derive(Debug)]
pub struct Replicas {
    own: Option<ReplicaId>,
    census: Mutex<Census>,
    /// Counts the times that somebody came or went.
    moves: watch::Sender<u64>,
}

impl Replicas {
    /// A scheduler that has its journal alone.
    #[must_use]
    pub fn alone() -> Self {
        Self::of(None)
    }

    /// A scheduler of its own number among others.
    #[must_use]
    pub fn among_others(own: ReplicaId) -> Self {
        Self::of(Some(own))
    }

    fn of(own: Option<ReplicaId>) -> Self {
        Self {
            own,
            census: Mutex::default(),
            moves: watch::channel(0).0,
        }
    }

    /// The number under which agents' streams are this scheduler's; none if it is alone.
    #[must_use]
    pub fn own(&self) -> Option<ReplicaId> {
        self.own
    }

    /// Whether this scheduler is to do it, whatever `what` is, as long as all hash it alike.
    #[must_use]
    pub fn owns(&self, what: impl Hash) -> bool {
        let Some(own) = self.own else { return true };
        let weight = |replica: ReplicaId| {
            let mut hasher = DefaultHasher::new();
            replica.hash(&mut hasher);
            what.hash(&mut hasher);
            hasher.finish()
        };
        let ours = weight(own);
        // Who lives here is certain, whatever the journal says.
        self.census().live.iter().all(|other| weight(*other) <= ours)
    }

    /// Whether a scheduler has been silent for so long that others may speak for it. For one that is alone all are.
    #[must_use]
    pub fn is_gone(&self, replica: ReplicaId) -> bool {
        let Some(own) = self.own else { return true };
        let census = self.census();
        own != replica && census.settled && !census.live.contains(&replica)
    }

    /// Hears of each time that somebody comes or goes, from now on.
    #[must_use]
    pub fn moves(&self) -> watch::Receiver<u64> {
        self.moves.subscribe()
    }

    fn census(&self) -> MutexGuard<'_, Census> {
        self.census.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was heard of each scheduler.
#[derive(Debug, Default)]
struct Census {
    /// The last beat of each, and when it was first seen.
    heard: BTreeMap<ReplicaId, (u64, Instant)>,
    live: BTreeSet<ReplicaId>,
    /// When all was heard last.
    at: Option<Instant>,
    /// Since when it was heard without a break.
    since: Option<Instant>,
    /// It was heard for long enough to know who is silent.
    settled: bool,
}

impl Census {
    /// Takes in what all have said; tells whether somebody has come or gone.
    fn hear(&mut self, beats: Vec<(ReplicaId, u64)>, now: Instant) -> bool {
        let broken = self.at.is_none_or(|at| now.duration_since(at) > 2 * BEAT);
        if broken {
            // Who was silent meanwhile, and who was not heard, cannot be told apart.
            self.since = Some(now);
            self.heard.values_mut().for_each(|(_, at)| *at = now);
        }
        self.at = Some(now);
        let before = std::mem::take(&mut self.heard);
        for (replica, beat) in beats {
            let at = match before.get(&replica) {
                Some((last, at)) if *last == beat => *at,
                Some(_) | None => now,
            };
            self.heard.insert(replica, (beat, at));
        }
        self.settled = self.since.is_some_and(|since| now.duration_since(since) >= GONE);
        let live = self.silent_for(now, |silence| silence < GONE);
        let moved = live != self.live;
        self.live = live;
        moved
    }

    fn silent_for(&self, now: Instant, matches: impl Fn(Duration) -> bool) -> BTreeSet<ReplicaId> {
        let heard = self.heard.iter();
        heard
            .filter(|(_, (_, at))| matches(now.duration_since(*at)))
            .map(|(replica, _)| *replica)
            .collect()
    }
}

/// Says that this scheduler lives and hears of the others, until the process ends.
pub async fn keep<J: Journal>(journal: Arc<J>, replicas: Arc<Replicas>) {
    let Some(own) = replicas.own else { return };
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for beat in 0.. {
        ticks.tick().await;
        let dead = replicas
            .census()
            .silent_for(Instant::now(), |silence| silence >= FORGOTTEN);
        let dead: Vec<ReplicaId> = dead.into_iter().collect();
        let beats = match journal.announce(own, beat, &dead).await {
            Ok(beats) => beats,
            Err(error) => {
                let error = anyhow::Error::new(error);
                tracing::warn!(error = format!("{error:#}"), "other schedulers do not hear of this one");
                continue;
            }
        };
        let mut census = replicas.census();
        if census.hear(beats, Instant::now()) {
            let live = census.live.len();
            drop(census);
            tracing::info!(replica = %own, live, "schedulers on this journal");
            replicas.moves.send_modify(|moves| *moves += 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ReplicaId = ReplicaId(1);
    const B: ReplicaId = ReplicaId(2);
    const C: ReplicaId = ReplicaId(3);

    /// What `A` knows after rounds of beats, three seconds apart unless said otherwise.
    struct Rounds {
        replicas: Replicas,
        now: Instant,
    }

    impl Rounds {
        fn begin() -> Self {
            Self {
                replicas: Replicas::among_others(A),
                now: Instant::now(),
            }
        }

        fn hear(&mut self, beats: &[(ReplicaId, u64)]) -> bool {
            self.now += BEAT;
            self.replicas.census().hear(beats.to_vec(), self.now)
        }
    }

    #[test]
    fn who_says_nothing_new_for_four_beats_is_gone() {
        let mut rounds = Rounds::begin();
        assert!(rounds.hear(&[(A, 0), (B, 7)]));
        for beat in 1..4 {
            assert!(!rounds.hear(&[(A, beat), (B, 7)]), "{beat}");
            assert!(!rounds.replicas.is_gone(B));
        }
        assert!(rounds.hear(&[(A, 4), (B, 7)]));
        assert!(rounds.replicas.is_gone(B));
        assert!(!rounds.replicas.is_gone(A), "it is here");
        assert!(rounds.replicas.is_gone(C), "it never was");
        assert!(rounds.hear(&[(A, 5), (B, 8)]));
        assert!(!rounds.replicas.is_gone(B));
    }

    #[test]
    fn after_a_break_nobody_is_gone_until_it_was_listened_for_long_enough() {
        let mut rounds = Rounds::begin();
        rounds.hear(&[(A, 0), (B, 0)]);
        rounds.now += Duration::from_secs(60);
        assert!(!rounds.hear(&[(A, 1), (B, 0)]));
        assert!(!rounds.replicas.is_gone(B));
        assert!(!rounds.replicas.is_gone(C));
    }

    #[test]
    fn everything_has_exactly_one_owner_and_moves_only_when_it_must() {
        let all = [A, B, C];
        let known = |own: ReplicaId, live: &[ReplicaId]| {
            let replicas = Replicas::among_others(own);
            replicas.census().live.extend(live);
            replicas
        };
        let owners = |live: &[ReplicaId], what: u32| -> Vec<ReplicaId> {
            let mut owners = live.to_vec();
            owners.retain(|own| known(*own, live).owns(what));
            owners
        };
        let mut counts = BTreeMap::<ReplicaId, u32>::new();
        for what in 0..300 {
            let before = owners(&all, what);
            assert_eq!(before.len(), 1, "{what}");
            *counts.entry(before[0]).or_default() += 1;
            let after = owners(&[A, B], what);
            assert_eq!(after.len(), 1, "{what}");
            assert!(before == after || before == [C], "{what}: {before:?} {after:?}");
        }
        assert!(counts.values().all(|count| *count > 60), "{counts:?}");
        assert!(Replicas::alone().owns(1));
        assert!(Replicas::alone().is_gone(B));
    }
}
