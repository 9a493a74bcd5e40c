//! Two clocks, and what reading them takes.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Reads of a clock by which its own time is found out.
const READS: usize = 20_000;

/// How one row's calls are timed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Clock {
    /// The wall's: quick to read, so that it can time a single placement.
    Wall,
    /// What this thread has had of a core: what other processes take from it in the middle of a long call does not count.
    Thread,
}

impl Clock {
    /// The clock for a call of so many copies.
    pub(crate) const fn of(copies: u32) -> Self {
        if copies == 1 { Self::Wall } else { Self::Thread }
    }

    /// How long the work takes, reading the clock included.
    pub(crate) fn time<T>(self, work: impl FnOnce() -> T) -> (T, Duration) {
        match self {
            Self::Wall => {
                let began = Instant::now();
                let done = work();
                (done, began.elapsed())
            }
            Self::Thread => {
                let began = thread_time();
                let done = work();
                (done, thread_time().saturating_sub(began))
            }
        }
    }

    /// What it says that nothing takes: the median of many.
    pub(crate) fn own_time(self) -> Duration {
        let mut times: Vec<Duration> = (0..READS).map(|_| self.time(|| ()).1).collect();
        times.sort_unstable();
        times.get(READS / 2).copied().unwrap_or_default()
    }
}

/// What this thread has had of a core.
pub(crate) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanoseconds)
}
