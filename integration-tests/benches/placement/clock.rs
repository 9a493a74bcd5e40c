//! Two clocks, what reading them takes, and what the machine takes of a thread's time.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Reads of a clock by which its own time is found out.
const READS: usize = 20_000;
/// For how long interruptions are looked for.
const WATCHED: Duration = Duration::from_millis(500);
/// What is no interruption between one reading of the clock and the next.
const NOTHING: Duration = Duration::from_micros(5);

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

/// What the machine does in a thread's time, and as if the thread did it: ticks, interrupts, other machines on the same core.
/// A call of tens of microseconds that meets one of these is several times as long.
#[derive(Debug)]
pub(crate) struct Interruptions {
    /// How often in a second.
    pub(crate) rate: f64,
    /// How long each, in microseconds: the mean.
    pub(crate) mean: f64,
}

impl Interruptions {
    /// Looks for them where nothing else is done.
    pub(crate) fn measure() -> Self {
        let began = thread_time();
        let (mut last, mut count, mut sum) = (began, 0_u32, Duration::ZERO);
        while last.saturating_sub(began) < WATCHED {
            let now = thread_time();
            let gap = now.saturating_sub(last);
            if gap > NOTHING {
                count += 1;
                sum += gap;
            }
            last = now;
        }
        Self {
            rate: f64::from(count) / WATCHED.as_secs_f64(),
            mean: sum.as_secs_f64() * 1e6 / f64::from(count.max(1)),
        }
    }
}

/// What this thread has had of a core.
pub(crate) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanoseconds)
}
