//! Launches that fail are tried again after a pause that grows (ECS guide, "Service throttle logic").

use std::time::Duration;

use berth_model::time::Timestamp;

use crate::service::{BackOff, BackOffCause};

/// The pause after the first attempt; each that follows is twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause: the 15 minutes of ECS's best-practices guide. Its current page says 27.
const LONGEST: Duration = Duration::from_secs(15 * 60);

impl BackOff {
    /// What follows from a failure at this time of something that was tried at `tried_at`. What was tried no later than the
    /// last failure belongs to the same attempt.
    #[must_use]
    pub(super) fn after(previous: Option<Self>, cause: BackOffCause, tried_at: Timestamp, now: Timestamp) -> Self {
        if let Some(same) = previous.filter(|previous| tried_at <= previous.since) {
            return same;
        }
        let attempts = previous.map_or(0, |previous| previous.attempts).saturating_add(1);
        Self {
            cause,
            attempts,
            since: now,
            until: now + pause(attempts),
        }
    }
}

fn pause(attempts: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
    FIRST.saturating_mul(doubled).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pause_is_twice_the_last_up_to_15_minutes() {
        let seconds: Vec<_> = (1..=12).map(|attempts| pause(attempts).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        assert_eq!(pause(u32::MAX), LONGEST);
    }

    #[test]
    fn tasks_of_one_pass_are_one_attempt() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let failed = |previous, tried, now| BackOff::after(previous, BackOffCause::Launch, at(tried), at(now));
        let first = failed(None, 10, 12);
        assert_eq!((first.attempts, first.until), (1, at(13)));
        assert_eq!(failed(Some(first), 10, 14), first, "launched with the one that failed");
        let second = failed(Some(first), 13, 15);
        assert_eq!((second.attempts, second.until), (2, at(17)));
    }
}
