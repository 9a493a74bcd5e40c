//! The instants at which a schedule is due.

use super::expression::Expression;
use super::zone::Zone;
use crate::time::Timestamp;

/// An expression with all that decides which instants it means.
///
/// Clocks that are put forward leave out what is due in between. What clocks show twice when they are put back is due
/// once, the first time. A `rate` counts time that has passed and knows no clocks: its day is 24 hours (EventBridge
/// Scheduler user guide, "Daylight savings time").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recurrence {
    /// What is meant.
    pub expression: Expression,
    /// Whose clocks.
    pub zone: Zone,
    /// Where a rate without a start begins: it is due then, and again after each interval.
    pub anchor: Timestamp,
    /// Nothing is due before; has no meaning for `at`.
    pub start: Option<Timestamp>,
    /// Nothing is due after; has no meaning for `at`.
    pub end: Option<Timestamp>,
}

impl Recurrence {
    /// The first occurrence after the instant; nothing where there is none any more.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        // An instant before the start's own: the start itself is in.
        let before_start = self
            .start
            .map(|start| Timestamp::from_millis(start.as_millis().saturating_sub(1)));
        let from = before_start.map_or(after, |start| start.max(after));
        let next = match &self.expression {
            Expression::At(civil) => return self.zone.instant(*civil).filter(|at| *at > after),
            Expression::Rate(rate) => Some(self.next_of_rate(rate.millis(), from)),
            Expression::Cron(cron) => {
                let mut civil = self.zone.civil(from)?;
                loop {
                    civil = cron.next(civil)?;
                    // What lies in a gap is left out; what lies in a fold may have been due before.
                    if let Some(at) = self.zone.instant(civil).filter(|at| *at > from) {
                        break Some(at);
                    }
                }
            }
        };
        next.filter(|at| self.end.is_none_or(|end| *at <= end))
    }

    /// The occurrences after the instant.
    pub fn occurrences(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        std::iter::successors(self.next(after), |last| self.next(*last))
    }

    fn next_of_rate(&self, interval: i64, after: Timestamp) -> Timestamp {
        let anchor = self.start.unwrap_or(self.anchor).as_millis();
        let passed = after.as_millis().saturating_sub(anchor);
        if passed < 0 {
            return Timestamp::from_millis(anchor);
        }
        let intervals = passed / interval + 1;
        Timestamp::from_millis(anchor.saturating_add(intervals.saturating_mul(interval)))
    }
}
