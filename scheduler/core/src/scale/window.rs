//! What was measured, minute by minute.

use berth_model::time::Timestamp;

use super::{MINUTES_IN, Sample};

const MINUTE: i64 = 60_000;

/// The averages of the last minutes, the newest last; nothing for a minute of which nothing is known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window(Vec<Option<f64>>);

impl Window {
    /// The minutes that end at `now`.
    pub(super) fn of(samples: &[Sample], now: Timestamp) -> Self {
        let mut sums = vec![(0.0, 0.0); MINUTES_IN];
        for sample in samples {
            let age = now.as_millis().saturating_sub(sample.at.as_millis());
            // What is said to be of the future is of a clock that was set.
            let minute = usize::try_from(age / MINUTE).ok().filter(|_| age >= 0);
            if let Some((sum, count)) = minute.and_then(|minute| sums.get_mut(minute))
                && sample.value.is_finite()
            {
                *sum += sample.value;
                *count += 1.0;
            }
        }
        let mean = |(sum, count): (f64, f64)| (count > 0.0).then(|| sum / count);
        Self(sums.into_iter().rev().map(mean).collect())
    }

    /// The last minutes, the newest last; nothing where one of them is not known.
    pub(super) fn last(&self, minutes: usize) -> Option<Vec<f64>> {
        let first = self.0.len().checked_sub(minutes)?;
        self.0.iter().skip(first).copied().collect()
    }

    /// Of how many of the last minutes something is known.
    pub(super) fn known(&self, minutes: usize) -> usize {
        self.0.iter().rev().take(minutes).flatten().count()
    }
}
