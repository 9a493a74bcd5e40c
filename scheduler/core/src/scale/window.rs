//! What was measured, period by period.

use std::time::Duration;

use berth_model::time::Timestamp;

use super::{PERIODS_IN, Sample};

/// The averages of the last periods, the newest last; nothing for a period of which nothing is known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window(Vec<Option<Mean>>);

/// What was measured in one period.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Mean {
    value: f64,
    /// Whether all of it was whole.
    whole: bool,
}

impl Window {
    /// The periods that end at `now`.
    pub(super) fn of(samples: &[Sample], now: Timestamp, period: Duration) -> Self {
        let millis = i64::try_from(period.as_millis()).unwrap_or(i64::MAX).max(1);
        let mut sums = vec![(0.0, 0.0, true); places(PERIODS_IN)];
        for sample in samples {
            let age = now.as_millis().saturating_sub(sample.at.as_millis());
            // What is said to be of the future is of a clock that was set.
            let back = usize::try_from(age / millis).ok().filter(|_| age >= 0);
            if let Some((sum, count, whole)) = back.and_then(|back| sums.get_mut(back))
                && sample.value.is_finite()
            {
                *sum += sample.value;
                *count += 1.0;
                *whole &= sample.whole;
            }
        }
        let mean = |(sum, count, whole): (f64, f64, bool)| {
            let value = sum / count;
            (count > 0.0).then_some(Mean { value, whole })
        };
        Self(sums.into_iter().rev().map(mean).collect())
    }

    fn newest(&self, periods: u32) -> impl Iterator<Item = Option<Mean>> {
        let first = self.0.len().saturating_sub(places(periods));
        self.0.iter().skip(first).copied()
    }

    /// The last periods, the newest last; nothing where one of them is not known.
    pub(super) fn last(&self, periods: u32) -> Option<Vec<f64>> {
        self.newest(periods).map(|mean| Some(mean?.value)).collect()
    }

    /// The last periods, the newest last; nothing where one of them is not wholly known.
    pub(super) fn last_whole(&self, periods: u32) -> Option<Vec<f64>> {
        let value = |mean: Option<Mean>| mean.filter(|mean| mean.whole).map(|mean| mean.value);
        self.newest(periods).map(value).collect()
    }

    /// How many of the last periods are wholly known.
    pub(super) fn whole(&self, periods: u32) -> usize {
        self.newest(periods).flatten().filter(|mean| mean.whole).count()
    }
}

fn places(periods: u32) -> usize {
    usize::try_from(periods).unwrap_or(usize::MAX)
}
