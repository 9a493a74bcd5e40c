//! Launches that fail are tried again after a pause that grows (ECS guide, "Service throttle logic").

use std::time::Duration;

use berth_model::time::Timestamp;

use crate::service::{BackOff, BackOffCause};

/// The pause after the first attempt; each that follows is twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause: the 15 minutes of ECS's best-practices guide. Its current page says 27.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// The longest pause after tasks that were RUNNING and soon ended. ECS makes none; what they lack may be back at any time.
const LONGEST_AFTER_EXIT: Duration = Duration::from_secs(60);

impl BackOff {
    /// What follows from a failure at this time of something that was tried at `tried_at`. What was tried no later than the
    /// last failure belongs to the same attempt.
    #[must_use]
    pub(super) fn after(previous: Option<Self>, cause: BackOffCause, tried_at: Timestamp, now: Timestamp) -> Self {
        if let Some(same) = previous.filter(|previous| tried_at <= previous.since) {
            // It was to be tried again at once, and was.
            let until = same.since + pause(same.cause, same.attempts);
            return Self { until, ..same };
        }
        let attempts = previous.map_or(0, |previous| previous.attempts).saturating_add(1);
        Self {
            cause,
            attempts,
            since: now,
            until: now + pause(cause, attempts),
        }
    }
}

fn pause(cause: BackOffCause, attempts: u32) -> Duration {
    let longest = match cause {
        BackOffCause::Placement | BackOffCause::Launch => LONGEST,
        BackOffCause::Exit => LONGEST_AFTER_EXIT,
    };
    let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
    FIRST.saturating_mul(doubled).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pause_is_twice_the_last_up_to_15_minutes_or_one() {
        let pauses = |cause| (1..=12).map(move |attempts| pause(cause, attempts).as_secs());
        let launch: Vec<_> = pauses(BackOffCause::Launch).collect();
        assert_eq!(launch, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        let exit: Vec<_> = pauses(BackOffCause::Exit).collect();
        assert_eq!(exit[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pause(BackOffCause::Launch, u32::MAX), LONGEST);
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
