//! The times at which a schedule is due, and when within their windows they begin.

use berth_model::name::ScheduleName;
use berth_model::schedule::{FlexibleTimeWindow, Recurrence, RetryPolicy};
use berth_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::command::nth_draw;

/// Due times before those that may still run that are counted one by one.
const COUNTED: u32 = 1000;

/// A time at which a schedule is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Occurrence {
    /// When it is due.
    pub due: Timestamp,
    /// When its run begins: then, or somewhere in its flexible window.
    pub begin: Timestamp,
}

/// What has come due since a schedule last ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// The newest of it.
    pub newest: Occurrence,
    /// How many were due before that one; of those that are too old to run a thousand are counted, and no more.
    pub before: u32,
    /// What comes next.
    pub next: Option<Occurrence>,
}

impl Occurrence {
    /// The first time after the instant at which the schedule of that name is due.
    ///
    /// In a flexible window it begins at a moment that follows from the name and the time alone, so that schedules that
    /// are due at the same time do not begin together; never after the next time at which it is due.
    #[must_use]
    pub fn after(
        instant: Timestamp,
        name: &ScheduleName,
        recurrence: &Recurrence,
        window: FlexibleTimeWindow,
        retry: &RetryPolicy,
    ) -> Option<Self> {
        let due = recurrence.next(instant)?;
        let mut span = retry.latest_begin(window);
        if !span.is_zero()
            && let Some(next) = recurrence.next(due)
        {
            span = span.min(next.since(due));
        }
        let begin = match i64::try_from(span.as_millis()) {
            Ok(millis @ 1..) => Timestamp::from_millis(due.as_millis().saturating_add(share(name, due) % millis)),
            Ok(_) | Err(_) => due,
        };
        Some(Self { due, begin })
    }

    /// What has come due by `now`, where this has.
    #[must_use]
    pub fn passed(
        self,
        now: Timestamp,
        name: &ScheduleName,
        recurrence: &Recurrence,
        window: FlexibleTimeWindow,
        retry: &RetryPolicy,
    ) -> Passed {
        let patience = i64::try_from(retry.patience(window).as_millis()).unwrap_or(i64::MAX);
        // What is due then may still run.
        let floor = Timestamp::from_millis(now.as_millis().saturating_sub(patience));
        let (mut newest, mut before) = (self, 0_u32);
        loop {
            let is_old = before >= COUNTED && newest.due < floor;
            let from = match is_old {
                true => Timestamp::from_millis(floor.as_millis().saturating_sub(1)),
                false => newest.due,
            };
            match Self::after(from, name, recurrence, window, retry) {
                Some(later) if later.begin <= now => {
                    newest = later;
                    before = before.saturating_add(1);
                }
                next => return Passed { newest, before, next },
            }
        }
    }
}

/// A number that follows from the name and the time: FNV-1a over both, mixed.
fn share(name: &ScheduleName, due: Timestamp) -> i64 {
    let time = due.as_millis().to_le_bytes();
    let bytes = name.as_str().bytes().chain(time);
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    i64::try_from(nth_draw(hash, 1) >> 1).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use berth_model::schedule::{Expression, Zone};

    use super::*;

    const MINUTE: i64 = 60_000;

    fn every(minutes: i64) -> Recurrence {
        let unit = if minutes == 1 { "minute" } else { "minutes" };
        Recurrence {
            expression: Expression::parse(&format!("rate({minutes} {unit})")).unwrap(),
            zone: Zone::parse("UTC").unwrap(),
            anchor: Timestamp::default(),
            start: None,
            end: None,
        }
    }

    fn name(text: &str) -> ScheduleName {
        ScheduleName::parse(text).unwrap()
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn without_a_window_a_run_begins_when_it_is_due() {
        let retry = RetryPolicy::default();
        let next = Occurrence::after(at(1), &name("a"), &every(5), FlexibleTimeWindow::Off, &retry);
        let due = at(5 * MINUTE);
        assert_eq!(next, Some(Occurrence { due, begin: due }));
    }

    #[test]
    fn in_a_window_runs_begin_apart_and_always_at_the_same_moment() {
        let (retry, window) = (RetryPolicy::default(), FlexibleTimeWindow::Minutes(15));
        let begin = |text: &str| {
            let next = Occurrence::after(at(1), &name(text), &every(60), window, &retry).unwrap();
            assert_eq!(next.due, at(60 * MINUTE));
            assert!((next.due..next.due + Duration::from_secs(14 * 60)).contains(&next.begin));
            next.begin
        };
        let begins: std::collections::BTreeSet<_> = (0..50).map(|number| begin(&format!("job-{number}"))).collect();
        assert!(begins.len() > 45, "{begins:?}");
        assert_eq!(begin("job-1"), begin("job-1"));
    }

    #[test]
    fn a_window_wider_than_the_interval_keeps_runs_in_order() {
        let (retry, window, every) = (RetryPolicy::default(), FlexibleTimeWindow::Minutes(60), every(1));
        let mut last = Occurrence::after(at(1), &name("a"), &every, window, &retry).unwrap();
        for _ in 0..100 {
            let next = Occurrence::after(last.due, &name("a"), &every, window, &retry).unwrap();
            assert!(last.begin < next.due && next.due <= next.begin);
            last = next;
        }
    }

    #[test]
    fn what_passed_is_counted_and_the_newest_is_found() {
        let (retry, window) = (RetryPolicy::default(), FlexibleTimeWindow::Off);
        let first = Occurrence::after(at(1), &name("a"), &every(1), window, &retry).unwrap();
        let passed = first.passed(at(10 * MINUTE + 5), &name("a"), &every(1), window, &retry);
        assert_eq!((passed.newest.due, passed.before), (at(10 * MINUTE), 9));
        assert_eq!(passed.next.map(|next| next.due), Some(at(11 * MINUTE)));
    }

    #[test]
    fn years_that_passed_cost_no_more_than_what_may_still_run() {
        let (retry, window) = (RetryPolicy::default(), FlexibleTimeWindow::Off);
        let first = Occurrence::after(at(1), &name("a"), &every(1), window, &retry).unwrap();
        let years = 20 * 365 * 24 * 60 * MINUTE;
        let passed = first.passed(at(years), &name("a"), &every(1), window, &retry);
        assert_eq!(passed.newest.due, at(years));
        // A thousand of the old ones, and a day of minutes.
        assert!((1000..=2500).contains(&passed.before), "{}", passed.before);
    }
}
