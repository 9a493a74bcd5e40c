//! When a certificate is good, and when it is renewed.

use std::time::Duration;

use berth_model::time::Timestamp;

/// From when until when a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// Its first moment.
    pub begin: Timestamp,
    /// The moment from which on it is refused.
    pub end: Timestamp,
}

impl Life {
    /// Whether the certificate's time is over.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.end <= now
    }

    /// When its owner asks for another: at two thirds, and up to a twelfth of it earlier, by a number from 0 to 1 that is
    /// drawn anew each time, so that hosts that joined at once do not all come back at once.
    #[must_use]
    pub fn renewal(&self, drawn: f64) -> Timestamp {
        let whole = self.end.since(self.begin);
        let early = (whole / 12).mul_f64(drawn.clamp(0.0, 1.0));
        self.begin + (whole * 2 / 3).saturating_sub(early)
    }

    /// Whether attempts to renew it have failed for a while: less than a quarter of it is left, and another is asked for from a
    /// third on.
    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.end.since(now) < self.end.since(self.begin) / 4
    }

    /// Its first moment and the one from which on it is refused, in seconds since the epoch.
    #[must_use]
    pub fn as_epoch_seconds(&self) -> (f64, f64) {
        (self.begin.as_epoch_seconds(), self.end.as_epoch_seconds())
    }

    /// How long until the moment; nothing where it has passed.
    #[must_use]
    pub fn until(moment: Timestamp, now: Timestamp) -> Duration {
        moment.since(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn a_day_is_renewed_after_sixteen_hours_or_a_little_less() {
        let day = Life {
            begin: at(0),
            end: at(86_400),
        };
        assert_eq!(day.renewal(0.0), at(16 * 3600));
        assert_eq!(day.renewal(1.0), at(14 * 3600));
        assert!(!day.is_over(at(86_399)) && day.is_over(at(86_400)));
        assert!(!day.is_overdue(at(18 * 3600)) && day.is_overdue(at(18 * 3600 + 1)) && day.is_overdue(at(90_000)));
        assert_eq!(day.as_epoch_seconds(), (0.0, 86_400.0));
        assert_eq!(Life::until(at(5), at(3)), Duration::from_secs(2));
        assert_eq!(Life::until(at(3), at(5)), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn it_is_always_renewed_while_it_is_good(begin in 0_i64..4_000_000_000, seconds in 1_i64..1_000_000_000, drawn in 0.0_f64..=1.0) {
            let life = Life { begin: at(begin), end: at(begin + seconds) };
            let renewal = life.renewal(drawn);
            prop_assert!(life.begin <= renewal && renewal < life.end, "{renewal:?}");
        }
    }
}
