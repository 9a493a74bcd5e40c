//! The schedulers that share a journal, and who does what.
//!
//! Each says every few seconds that it lives; one whose word has not moved for a while is gone. Services, schedules and
//! upkeep each have one owner among those that live, so that writers seldom meet. Nothing that must be right rests on
//! it: every decision is the journal's, and two owners at a time cost a look each. What agents and gateways say to one of
//! them, which no journal has, it tells the others (`tell`, `listen`).

pub(crate) mod dial;
pub mod listen;
pub mod shed;
pub mod tell;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use berth_scheduler_core::keys::ReplicaId;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::journal::{Beat, Journal};

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
    /// Where others reach this one.
    address: String,
    census: Mutex<Census>,
    /// Counts the times that somebody came or went.
    moves: watch::Sender<u64>,
    /// From when on all others know of this one.
    known_from: watch::Sender<Option<Instant>>,
}

impl Replicas {
    /// A scheduler that has its journal alone.
    #[must_use]
    pub fn alone() -> Self {
        Self::of(None, String::new())
    }

    /// A scheduler of its own number among others, which reach it at `HOST:PORT`.
    #[must_use]
    pub fn among_others(own: ReplicaId, address: String) -> Self {
        Self::of(Some(own), address)
    }

    /// A scheduler that knows who lives.
    #[cfg(test)]
    pub(crate) fn knowing(own: ReplicaId, live: &[ReplicaId]) -> Self {
        let replicas = Self::among_others(own, String::new());
        replicas.census().live.extend(live);
        replicas
    }

    fn of(own: Option<ReplicaId>, address: String) -> Self {
        Self {
            own,
            address,
            census: Mutex::default(),
            moves: watch::channel(0).0,
            known_from: watch::channel(None).0,
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

    /// The other schedulers that live, as far as is known, and where they are reached.
    #[must_use]
    pub fn others(&self) -> BTreeMap<ReplicaId, String> {
        let census = self.census();
        let others = census.live.iter().filter(|live| Some(**live) != self.own);
        let address = |other: &ReplicaId| Some((*other, census.heard.get(other)?.beat.address.clone()));
        others.filter_map(address).collect()
    }

    /// All other schedulers that may have gateways by now; none where that is not known. One that starts lets none in before
    /// everybody who knows it here knows of it ([`Self::is_known_to_others`]).
    #[must_use]
    pub fn certain_others(&self) -> Option<BTreeSet<ReplicaId>> {
        let Some(own) = self.own else {
            return Some(BTreeSet::new());
        };
        let census = self.census();
        let fresh = census.at.is_some_and(|at| at.elapsed() <= 2 * BEAT);
        fresh.then(|| census.live.iter().copied().filter(|live| *live != own).collect())
    }

    /// Waits until each other scheduler knows of this one, or knows that it does not know. Cancellation safe.
    pub async fn is_known_to_others(&self) {
        if self.own.is_none() {
            return;
        }
        let mut known_from = self.known_from.subscribe();
        // The sender is ours.
        if let Ok(from) = known_from.wait_for(Option::is_some).await.map(|from| *from) {
            sleep_until(from.unwrap_or_else(Instant::now)).await;
        }
    }

    /// How long nobody has come or gone; nothing while that is not known.
    #[must_use]
    pub fn calm_for(&self) -> Option<Duration> {
        let census = self.census();
        let moved = census.moved.filter(|_| census.settled)?;
        Some(moved.elapsed())
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
    heard: BTreeMap<ReplicaId, Heard>,
    live: BTreeSet<ReplicaId>,
    /// When all was heard last.
    at: Option<Instant>,
    /// Since when it was heard without a break.
    since: Option<Instant>,
    /// It was heard for long enough to know who is silent.
    settled: bool,
    /// When somebody came or went last.
    moved: Option<Instant>,
}

/// The last word of a scheduler, and when it was heard first.
#[derive(Debug)]
struct Heard {
    beat: Beat,
    at: Instant,
}

impl Census {
    /// Takes in what all have said; tells whether somebody has come or gone.
    fn hear(&mut self, beats: Vec<(ReplicaId, Beat)>, now: Instant) -> bool {
        let broken = self.at.is_none_or(|at| now.duration_since(at) > 2 * BEAT);
        if broken {
            // Who was silent meanwhile, and who was not heard, cannot be told apart.
            self.since = Some(now);
            self.heard.values_mut().for_each(|heard| heard.at = now);
        }
        self.at = Some(now);
        let before = std::mem::take(&mut self.heard);
        for (replica, beat) in beats {
            let at = match before.get(&replica) {
                Some(last) if last.beat.count == beat.count => last.at,
                Some(_) | None => now,
            };
            self.heard.insert(replica, Heard { beat, at });
        }
        self.settled = self.since.is_some_and(|since| now.duration_since(since) >= GONE);
        let live = self.silent_for(now, |silence| silence < GONE);
        let moved = live != self.live;
        self.live = live;
        if moved {
            self.moved = Some(now);
        }
        moved
    }

    fn silent_for(&self, now: Instant, matches: impl Fn(Duration) -> bool) -> BTreeSet<ReplicaId> {
        let heard = self.heard.iter();
        heard
            .filter(|(_, heard)| matches(now.duration_since(heard.at)))
            .map(|(replica, _)| *replica)
            .collect()
    }
}

/// Says that this scheduler lives and hears of the others, until the process ends.
pub async fn keep<J: Journal>(journal: Arc<J>, replicas: Arc<Replicas>) {
    let Some(own) = replicas.own else { return };
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for count in 0.. {
        ticks.tick().await;
        let dead = replicas
            .census()
            .silent_for(Instant::now(), |silence| silence >= FORGOTTEN);
        let dead: Vec<ReplicaId> = dead.into_iter().collect();
        let beat = Beat {
            count,
            address: replicas.address.clone(),
        };
        let beats = match journal.announce(own, &beat, &dead).await {
            Ok(beats) => beats,
            Err(error) => {
                let error = anyhow::Error::new(error);
                tracing::warn!(error = format!("{error:#}"), "other schedulers do not hear of this one");
                continue;
            }
        };
        replicas.known_from.send_if_modified(|from| {
            // Who is silent now hears of this one as soon as it hears of anybody.
            let wait = if beats.len() > 1 { 2 * BEAT } else { Duration::ZERO };
            let first = from.is_none();
            from.get_or_insert(Instant::now() + wait);
            first
        });
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
                replicas: Replicas::among_others(A, String::new()),
                now: Instant::now(),
            }
        }

        fn hear(&mut self, beats: &[(ReplicaId, u64)]) -> bool {
            self.now += BEAT;
            let beat = |(replica, count): &(ReplicaId, u64)| {
                let beat = Beat {
                    count: *count,
                    address: format!("{replica}:7700"),
                };
                (*replica, beat)
            };
            let beats = beats.iter().map(beat).collect();
            self.replicas.census().hear(beats, self.now)
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
        assert!(rounds.replicas.others().is_empty());
        assert!(rounds.replicas.is_gone(C), "it never was");
        assert!(rounds.hear(&[(A, 5), (B, 8)]));
        assert!(!rounds.replicas.is_gone(B));
        assert_eq!(rounds.replicas.others(), [(B, format!("{B}:7700"))].into());
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
        let owners = |live: &[ReplicaId], what: u32| -> Vec<ReplicaId> {
            let mut owners = live.to_vec();
            owners.retain(|own| Replicas::knowing(*own, live).owns(what));
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
