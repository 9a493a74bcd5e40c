//! How long a writer waits before its next record, so that several writers share a journal without losing most of what
//! they send.
//!
//! All compare with one head, so of those that send at once one gets in. Who loses waits a random while that grows with
//! the pressure, and less the more often it has lost in a row. Who gets in under pressure waits for at least as long as
//! an append takes, so that others get their turn. One that always gets in cannot know whether others always lose: it
//! leaves such a gap now and then. What comes meanwhile shares the next record, so that waiting costs little.

use std::time::Duration;

/// No pause is longer.
const LONGEST: Duration = Duration::from_millis(100);
/// Doublings of a pause, at most.
const MOST_PRESSURE: u32 = 5;
/// Records after which a writer that meets nobody leaves a gap.
const ALONE: u32 = 8;

/// What a writer has met lately.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    /// Grows when others are met, falls with each record that got in at once after an own one.
    pressure: u32,
    lost_in_a_row: u32,
    won_in_a_row: u32,
    /// What an append takes, smoothed.
    takes: Duration,
}

impl Pace {
    /// A record got in; `met` says whether others appended since the one before. `draw` is random.
    pub fn won(&mut self, took: Duration, met: bool, draw: u64) -> Duration {
        self.learn(took);
        if met {
            self.pressure = (self.pressure + 1).min(MOST_PRESSURE);
            self.won_in_a_row = 0;
        } else if self.lost_in_a_row == 0 {
            self.pressure = self.pressure.saturating_sub(1);
        }
        self.lost_in_a_row = 0;
        self.won_in_a_row = (self.won_in_a_row + 1) % ALONE;
        let gap = match (self.pressure, self.won_in_a_row) {
            (0, 0) => self.takes + part(self.takes, draw),
            (0, _) => Duration::ZERO,
            (pressure, _) => self.takes + part(self.takes * pressure, draw),
        };
        gap.min(LONGEST)
    }

    /// Another's record came first. `draw` is random.
    pub fn lost(&mut self, took: Duration, draw: u64) -> Duration {
        self.learn(took);
        self.pressure = (self.pressure + 1).min(MOST_PRESSURE);
        self.lost_in_a_row = self.lost_in_a_row.saturating_add(1);
        self.won_in_a_row = 0;
        let window = (self.takes * (1 << self.pressure) / self.lost_in_a_row).max(self.takes);
        part(window.min(LONGEST), draw)
    }

    fn learn(&mut self, took: Duration) {
        // An append that was stuck for long says nothing of how long they take.
        let took = took.min(LONGEST);
        self.takes = if self.takes.is_zero() {
            took
        } else {
            (self.takes * 7 + took) / 8
        };
    }
}

/// A random part of the whole.
fn part(whole: Duration, draw: u64) -> Duration {
    let nanos = (u128::from(draw) * whole.as_nanos()) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::command::nth_draw;

    const APPEND: Duration = Duration::from_millis(1);

    #[test]
    fn who_meets_nobody_seldom_waits() {
        let mut pace = Pace::default();
        let pauses = (0..80).map(|_| pace.won(APPEND, false, u64::MAX));
        assert_eq!(pauses.filter(|pause| !pause.is_zero()).count(), 10);
    }

    #[test]
    fn who_lost_often_in_a_row_waits_less_and_nobody_for_long() {
        let mut pace = Pace::default();
        let pauses: Vec<Duration> = (0..20).map(|_| pace.lost(APPEND, u64::MAX)).collect();
        assert!(pauses[4] > pauses[10] && pauses[10] > pauses[19], "{pauses:?}");
        let mut pace = Pace::default();
        assert!(pace.lost(Duration::from_secs(60), u64::MAX) <= LONGEST);
        assert!(pace.won(Duration::from_secs(60), true, u64::MAX) <= LONGEST);
    }

    /// Writers that always have something to append, each knowing the head at once when it moves.
    #[test]
    fn several_writers_share_a_journal_and_lose_less_than_they_append() {
        for writers in [2, 3, 5] {
            let mut paces = vec![Pace::default(); writers];
            // When each sends next; when what it sent arrives, and the head that it knew.
            let mut events: BTreeSet<(Duration, usize, Option<u64>)> =
                (0..writers).map(|writer| (Duration::ZERO, writer, None)).collect();
            let (mut head, mut lost, mut won) = (0_u64, 0_u32, vec![0_u32; writers]);
            let mut last = vec![0_u64; writers];
            for nth in 0.. {
                let (now, writer, known) = events.pop_first().unwrap();
                if now > Duration::from_secs(3) {
                    break;
                }
                let draw = nth_draw(7, nth);
                let next = match known {
                    None => (now + APPEND - part(APPEND / 5, draw), writer, Some(head)),
                    Some(known) if known == head => {
                        let met = head > last[writer];
                        head += 1;
                        last[writer] = head;
                        won[writer] += 1;
                        (now + paces[writer].won(APPEND, met, draw), writer, None)
                    }
                    Some(_) => {
                        lost += 1;
                        (now + paces[writer].lost(APPEND, draw), writer, None)
                    }
                };
                events.insert(next);
            }
            let all: u32 = won.iter().sum();
            let (least, most) = (won.iter().min().unwrap(), won.iter().max().unwrap());
            assert!(*least * 4 > *most, "{writers}: {won:?}");
            assert!(lost < all, "{writers}: {lost} lost, {all} appended");
            assert!(all > 1000, "{writers}: {all} in three seconds");
        }
    }
}
