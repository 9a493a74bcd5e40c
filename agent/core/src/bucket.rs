//! A token bucket: so many at once, so many a second.

use std::time::Duration;

/// Tokens, in thousandths so that short times count.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    rate: Rate,
    level: u64,
    filled: Duration,
}

/// How quickly a bucket fills and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens a second.
    pub per_second: u32,
    /// Tokens that it holds.
    pub burst: u32,
}

const WHOLE: u64 = 1000;

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            level: u64::from(rate.burst) * WHOLE,
            filled: Duration::ZERO,
        }
    }

    /// Takes a token, if there is one. `now` is the time since some fixed moment; a clock that goes back fills nothing.
    pub fn take(&mut self, now: Duration) -> bool {
        let millis = u64::try_from(now.saturating_sub(self.filled).as_millis()).unwrap_or(u64::MAX);
        // A millisecond fills as many thousandths as a second fills whole tokens.
        let gained = millis.saturating_mul(u64::from(self.rate.per_second));
        self.level = self
            .level
            .saturating_add(gained)
            .min(u64::from(self.rate.burst) * WHOLE);
        // What is left of a millisecond counts the next time.
        self.filled += Duration::from_millis(millis);
        if self.level < WHOLE {
            return false;
        }
        self.level -= WHOLE;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bucket: &mut Bucket, millis: u64, tries: usize) -> usize {
        (0..tries)
            .filter(|_| bucket.take(Duration::from_millis(millis)))
            .count()
    }

    #[test]
    fn a_burst_goes_through_and_then_so_many_a_second() {
        let mut bucket = Bucket::new(Rate {
            per_second: 40,
            burst: 60,
        });
        assert_eq!(taken(&mut bucket, 0, 100), 60);
        assert_eq!(taken(&mut bucket, 24, 10), 0);
        assert_eq!(taken(&mut bucket, 25, 10), 1);
        assert_eq!(taken(&mut bucket, 1025, 100), 40);
        assert_eq!(taken(&mut bucket, 1_000_000, 100), 60);
    }

    #[test]
    fn a_clock_that_goes_back_fills_nothing() {
        let mut bucket = Bucket::new(Rate {
            per_second: 1,
            burst: 1,
        });
        assert_eq!(taken(&mut bucket, 5000, 2), 1);
        assert_eq!(taken(&mut bucket, 1000, 2), 0);
        assert_eq!(taken(&mut bucket, 5999, 1), 0);
        assert_eq!(taken(&mut bucket, 6000, 1), 1);
    }

    #[test]
    fn many_short_waits_are_as_good_as_a_long_one() {
        let mut bucket = Bucket::new(Rate {
            per_second: 1,
            burst: 1,
        });
        assert!(bucket.take(Duration::ZERO));
        let through = (1..=2000_u64).filter(|half| bucket.take(Duration::from_micros(half * 500)));
        assert_eq!(through.count(), 1);
    }
}
