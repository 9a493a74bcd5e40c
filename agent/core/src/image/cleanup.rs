//! Which images may go, and in which order: those that nothing needs, least recently used first.

use std::collections::BTreeMap;
use std::time::Duration;

use berth_model::time::Timestamp;

/// An image is safe for so long after its last use, however much room is wanted: a container may be about to be made
/// of it. All that takes longer than that is told by the tasks.
const GRACE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3600);

/// An image that the agent has used, as it stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Docker's id.
    pub id: String,
    /// When a task last needed it.
    pub last_used: Timestamp,
    /// A container is made of it, or is about to be.
    pub needed: bool,
    /// A registry knows it. What was built or loaded on the host could not be had again, and stays.
    pub restorable: bool,
}

/// Why room is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// In the course of time: no more than so many images, unused for so long.
    Routine {
        /// Since the last use.
        minimum_age: Duration,
        /// Images of one round.
        most: usize,
    },
    /// The disk is filling up: all that can go, until the caller has seen enough.
    Pressure,
}

/// Images that could not be removed: tried again later and later, so that they stop nothing else.
#[derive(Debug, Default, Clone)]
pub struct Stubborn {
    images: BTreeMap<String, (u32, Timestamp)>,
}

impl Stubborn {
    /// The image could not be removed.
    pub fn refused(&mut self, id: &str, now: Timestamp) {
        let (attempts, until) = self.images.entry(id.to_owned()).or_insert((0, now));
        let pause = FIRST_PAUSE
            .saturating_mul(2_u32.saturating_pow((*attempts).min(16)))
            .min(LONGEST_PAUSE);
        *attempts = attempts.saturating_add(1);
        *until = now + pause;
    }

    /// Forgets images that are gone.
    pub fn keep(&mut self, exists: impl Fn(&str) -> bool) {
        self.images.retain(|id, _| exists(id));
    }

    fn may_be_tried(&self, id: &str, now: Timestamp) -> bool {
        self.images
            .get(id)
            .is_none_or(|(_, until)| *until <= now || until.since(now) > LONGEST_PAUSE)
    }
}

/// The ids of the images to remove, in this order.
#[must_use]
pub fn plan(images: &[Stored], stubborn: &Stubborn, occasion: Occasion, now: Timestamp) -> Vec<String> {
    let (age, most) = match occasion {
        Occasion::Routine { minimum_age, most } => (minimum_age.max(GRACE), most),
        Occasion::Pressure => (GRACE, usize::MAX),
    };
    let mut going: Vec<&Stored> = images
        .iter()
        .filter(|image| !image.needed && image.restorable)
        .filter(|image| now.since(image.last_used) >= age && stubborn.may_be_tried(&image.id, now))
        .collect();
    going.sort_by(|a, b| (a.last_used, &a.id).cmp(&(b.last_used, &b.id)));
    going.into_iter().take(most).map(|image| image.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + seconds * 1000)
    }

    fn stored() -> impl Strategy<Value = Stored> {
        (0..20_u32, 0..10_000_i64, any::<bool>(), any::<bool>()).prop_map(|(id, used, needed, restorable)| Stored {
            id: format!("sha256:{id}"),
            last_used: at(used),
            needed,
            restorable,
        })
    }

    fn occasion() -> impl Strategy<Value = Occasion> {
        prop_oneof![
            Just(Occasion::Pressure),
            (0..7200_u64, 0..10_usize).prop_map(|(age, most)| Occasion::Routine {
                minimum_age: Duration::from_secs(age),
                most
            }),
        ]
    }

    proptest! {
        #[test]
        fn only_what_nothing_needs_goes_and_the_least_recently_used_first(
            images in proptest::collection::vec(stored(), 0..30),
            refused in proptest::collection::vec((0..20_u32, 0..10_000_i64), 0..10),
            occasion in occasion(),
            now in 0..20_000_i64,
        ) {
            let mut images = images;
            images.sort_by(|a, b| a.id.cmp(&b.id));
            images.dedup_by(|a, b| a.id == b.id);
            let mut stubborn = Stubborn::default();
            for (id, when) in &refused {
                stubborn.refused(&format!("sha256:{id}"), at(*when));
            }
            let going = plan(&images, &stubborn, occasion, at(now));
            let of = |id: &String| images.iter().find(|image| image.id == *id).unwrap();
            for id in &going {
                let image = of(id);
                prop_assert!(!image.needed && image.restorable);
                prop_assert!(at(now).since(image.last_used) >= GRACE);
                prop_assert!(stubborn.may_be_tried(id, at(now)));
            }
            prop_assert!(going.windows(2).all(|pair| of(&pair[0]).last_used <= of(&pair[1]).last_used));
            if let Occasion::Routine { minimum_age, most } = occasion {
                prop_assert!(going.len() <= most);
                prop_assert!(going.iter().all(|id| at(now).since(of(id).last_used) >= minimum_age));
            } else {
                // Nothing that may go is left out.
                let left = images.iter().filter(|image| !going.contains(&image.id));
                for image in left {
                    prop_assert!(
                        image.needed
                            || !image.restorable
                            || at(now).since(image.last_used) < GRACE
                            || !stubborn.may_be_tried(&image.id, at(now))
                    );
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_removed_is_tried_later_and_stops_nothing_else() {
        let image = |id: &str, used| Stored {
            id: id.to_owned(),
            last_used: at(used),
            needed: false,
            restorable: true,
        };
        let images = [image("old", 0), image("new", 10)];
        let mut stubborn = Stubborn::default();
        stubborn.refused("old", at(1000));
        let going = |stubborn: &Stubborn, now| plan(&images, stubborn, Occasion::Pressure, at(now));
        assert_eq!(going(&stubborn, 1001), ["new"]);
        assert_eq!(going(&stubborn, 1060), ["old", "new"]);
        stubborn.refused("old", at(1060));
        assert_eq!(going(&stubborn, 1120), ["new"]);
        assert_eq!(going(&stubborn, 1180), ["old", "new"]);
        stubborn.keep(|id| id != "old");
        assert!(stubborn.images.is_empty());
    }
}
