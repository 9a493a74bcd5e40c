//! Registries that do not answer as they should are left alone for a while, each on its own: a dead one costs those
//! who need it a pause that grows, and nobody else anything.

use std::collections::BTreeMap;
use std::time::Duration;

use berth_model::time::Timestamp;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The registries in trouble.
#[derive(Debug, Default, Clone)]
pub struct Registries {
    troubled: BTreeMap<String, Trouble>,
}

/// What is wrong with a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    failures: u32,
    /// Before this moment it is not asked again.
    pub until: Timestamp,
    /// What it, or Docker on its behalf, said last.
    pub reason: String,
}

impl Registries {
    /// What is wrong with the registry, as far as is known.
    #[must_use]
    pub fn trouble(&self, registry: &str) -> Option<&Trouble> {
        self.troubled.get(registry)
    }

    /// How long the registry is to be left alone; none when it may be asked.
    #[must_use]
    pub fn pause(&self, registry: &str, now: Timestamp) -> Option<Duration> {
        let left = self.troubled.get(registry)?.until.since(now);
        // Further ahead than any pause: the host's clock went back.
        (left > Duration::ZERO && left <= LONGEST_PAUSE).then_some(left)
    }

    /// The registry could not be reached, is busy or broken. `fraction`, from 0 to 1 and drawn at random, spreads the
    /// next attempts of many hosts over the second half of the pause. Failures of attempts that were on their way
    /// together count once.
    pub fn failed(&mut self, registry: &str, reason: &str, fraction: f64, now: Timestamp) {
        let together = self.pause(registry, now).is_some();
        let failures = match self.troubled.get(registry) {
            Some(trouble) if together => trouble.failures,
            Some(trouble) => trouble.failures.saturating_add(1),
            None => 1,
        };
        let pause = FIRST_PAUSE
            .saturating_mul(2_u32.saturating_pow((failures - 1).min(10)))
            .min(LONGEST_PAUSE);
        let until = now + pause.mul_f64(0.5 + fraction.clamp(0.0, 1.0) / 2.0);
        self.troubled.insert(
            registry.to_owned(),
            Trouble {
                failures,
                until,
                reason: reason.to_owned(),
            },
        );
    }

    /// The registry answered, whatever it said.
    pub fn answered(&mut self, registry: &str) {
        self.troubled.remove(registry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + millis)
    }

    #[test]
    fn pauses_grow_with_failures_and_end_with_an_answer() {
        let mut registries = Registries::default();
        let mut now = at(0);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            registries.failed("a", "connection refused", 1.0, now);
            let pause = registries.pause("a", now).unwrap();
            pauses.push(pause.as_secs());
            now = now + pause;
            assert_eq!(registries.pause("a", now), None);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(registries.trouble("a").unwrap().reason, "connection refused");
        registries.answered("a");
        assert_eq!(registries.trouble("a"), None);
    }

    #[test]
    fn one_registry_says_nothing_of_another() {
        let mut registries = Registries::default();
        registries.failed("a", "timeout", 0.0, at(0));
        assert_eq!(registries.pause("a", at(0)), Some(Duration::from_millis(500)));
        assert_eq!(registries.pause("b", at(0)), None);
    }

    #[test]
    fn attempts_that_fail_together_count_once() {
        let mut registries = Registries::default();
        for _ in 0..10 {
            registries.failed("a", "timeout", 1.0, at(0));
        }
        assert_eq!(registries.pause("a", at(0)), Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_clock_that_goes_back_ends_the_pause() {
        let mut registries = Registries::default();
        registries.failed("a", "timeout", 1.0, at(1_000_000));
        assert_eq!(registries.pause("a", at(0)), None);
    }
}
