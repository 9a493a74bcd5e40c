//! Which other schedulers are heard, and up to where: only who hears all can say what no gateway says. Pure: time is an
//! argument.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use berth_scheduler_core::keys::{ReplicaId, Revision};

use super::streams::REMEMBERED;

/// How long gateways have to find a scheduler that has just started.
pub(super) const RETURN: Duration = Duration::from_secs(15);
/// A scheduler that has said nothing for so long is not heard: five of its messages.
const SILENCE: Duration = Duration::from_secs(5);

/// How long it may take until a scheduler that has ended is not counted among those that live.
const NOTICED: Duration = Duration::from_secs(20);

/// What is heard of the other schedulers.
#[derive(Debug)]
pub(super) struct Hearing {
    started: Instant,
    /// Whether it is known who lives.
    knows_others: bool,
    others: BTreeMap<ReplicaId, Other>,
}

#[derive(Debug, Default)]
struct Other {
    /// When it last had told all, and what it had seen by then. None where it is not listened to.
    whole: Option<Whole>,
    /// When it had last told all, listened to or not.
    heard: Option<Instant>,
    /// Since when it is not among those that live.
    gone: Option<Instant>,
}

/// A scheduler has told all that it knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole {
    /// It looked at its gateways when it had this.
    pub(crate) revision: Revision,
    /// Streams of gateways that it has.
    pub(crate) gateways: u32,
    /// When that was heard.
    pub(crate) at: Instant,
}

impl Hearing {
    pub(super) fn since(started: Instant) -> Self {
        Self {
            started,
            knows_others: false,
            others: BTreeMap::new(),
        }
    }

    /// A scheduler has told all.
    pub(super) fn hear(&mut self, other: ReplicaId, whole: Whole) {
        let known = self.others.entry(other).or_default();
        known.whole = Some(whole);
        known.heard = Some(whole.at);
    }

    /// It is listened to no more.
    pub(super) fn lose(&mut self, other: ReplicaId) {
        if let Some(known) = self.others.get_mut(&other) {
            known.whole = None;
        }
    }

    /// These live; none where that is not known. To be told every second, so that who is gone is since then.
    pub(super) fn observe(&mut self, live: Option<&BTreeSet<ReplicaId>>, now: Instant) {
        self.knows_others = live.is_some();
        let Some(live) = live else { return };
        for other in live {
            self.others.entry(*other).or_default().gone = None;
        }
        for (other, known) in &mut self.others {
            if !live.contains(other) {
                known.gone.get_or_insert(now);
            }
        }
        self.others.retain(|_, known| !known.is_over(now));
    }

    /// Whether no gateway can be there that is not known here, and each has been looked at when its scheduler had seen
    /// `since`.
    pub(super) fn is_whole(&self, since: Revision, now: Instant) -> bool {
        let returned = now.duration_since(self.started) >= RETURN;
        returned && self.knows_others && self.others.values().all(|other| other.has_told(since, now))
    }

    /// How many streams of gateways each other scheduler has that is heard.
    pub(super) fn gateways(&self) -> BTreeMap<ReplicaId, u32> {
        let heard = self.others.iter();
        heard
            .filter_map(|(other, known)| Some((*other, known.whole?.gateways)))
            .collect()
    }
}

impl Other {
    fn has_told(&self, since: Revision, now: Instant) -> bool {
        // What was heard up to its end is all: its gateways are known, and away since.
        let to_the_end = |gone: Instant| self.heard.is_some_and(|heard| gone.duration_since(heard) <= NOTICED);
        if self.gone.is_some_and(to_the_end) {
            return true;
        }
        self.whole
            .is_some_and(|whole| whole.revision >= since && now.duration_since(whole.at) < SILENCE)
    }

    /// Whether gateways that it may have had are believed to be gone too.
    fn is_over(&self, now: Instant) -> bool {
        self.gone.is_some_and(|gone| now.duration_since(gone) >= REMEMBERED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const B: ReplicaId = ReplicaId(2);

    struct World {
        hearing: Hearing,
        now: Instant,
    }

    impl World {
        /// Long after a start, with `B` alive.
        fn new() -> Self {
            let started = Instant::now();
            let mut world = Self {
                hearing: Hearing::since(started),
                now: started + RETURN,
            };
            world.live(&[B]);
            world
        }

        fn live(&mut self, live: &[ReplicaId]) {
            self.hearing.observe(Some(&live.iter().copied().collect()), self.now);
        }

        fn hear(&mut self, revision: u64) {
            let whole = Whole {
                revision: Revision(revision),
                gateways: 2,
                at: self.now,
            };
            self.hearing.hear(B, whole);
        }

        fn is_whole(&self, since: u64) -> bool {
            self.hearing.is_whole(Revision(since), self.now)
        }
    }

    #[test]
    fn after_a_start_gateways_have_time_to_find_the_scheduler() {
        let started = Instant::now();
        let mut hearing = Hearing::since(started);
        hearing.observe(Some(&BTreeSet::new()), started);
        assert!(!hearing.is_whole(Revision(0), started + RETURN / 2));
        assert!(hearing.is_whole(Revision(0), started + RETURN));
    }

    #[test]
    fn a_scheduler_that_lives_must_have_told_all_after_it_saw_what_is_asked_about() {
        let mut world = World::new();
        assert!(!world.is_whole(0), "never heard");
        world.hear(7);
        assert!(world.is_whole(7));
        assert!(!world.is_whole(8));
        world.hear(8);
        assert!(world.is_whole(8));
        world.hearing.observe(None, world.now);
        assert!(!world.is_whole(8), "there may be others by now");
        assert_eq!(world.hearing.gateways(), [(B, 2)].into());
    }

    #[test]
    fn a_scheduler_that_is_silent_or_lost_is_not_heard() {
        let mut world = World::new();
        world.hear(7);
        world.now += SILENCE;
        assert!(!world.is_whole(7));
        world.hear(7);
        assert!(world.is_whole(7));
        world.hearing.lose(B);
        assert!(!world.is_whole(7));
    }

    #[test]
    fn of_one_that_is_gone_the_gateways_are_known_or_waited_for() {
        let mut world = World::new();
        world.hear(7);
        world.hearing.lose(B);
        world.live(&[]);
        assert!(world.is_whole(7), "its gateways are away, which others count");
        let mut world = World::new();
        world.hear(7);
        world.hearing.lose(B);
        world.now += NOTICED * 2;
        world.live(&[]);
        assert!(!world.is_whole(7), "nobody knows which it had at last");
        world.now += REMEMBERED;
        world.live(&[]);
        assert!(world.is_whole(7));
        world.live(&[B]);
        assert!(!world.is_whole(7));
    }
}
