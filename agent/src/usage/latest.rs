//! The newest readings, for whoever shows them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use berth_agent_core::usage::{Figures, cpu_units};
use tokio::sync::watch;

/// One container at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// By the host's clock, to be shown.
    pub(crate) at: SystemTime,
    /// The same moment, to be counted with.
    pub(crate) taken: Instant,
    /// CPU time of all the host's cores since it was started, busy or not: what Docker calls `system_cpu_usage`.
    pub(crate) host_cpu_ns: u64,
    /// The host's cores.
    pub(crate) cores: u32,
    /// What the container uses.
    pub(crate) figures: Figures,
}

/// The last two readings of one container.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) newest: Arc<Reading>,
    /// None for a container that was read once.
    pub(crate) previous: Option<Arc<Reading>>,
}

impl Pair {
    /// CPU units used between the two.
    pub(crate) fn cpu_units(&self) -> Option<f64> {
        let previous = self.previous.as_ref()?;
        let elapsed = self.newest.taken.saturating_duration_since(previous.taken);
        let (before, now) = (&previous.figures.cpu, &self.newest.figures.cpu);
        cpu_units(before.total_ns, now.total_ns, elapsed)
    }

    /// Bytes a second that came in and went out between the two; none without a network of its own.
    pub(crate) fn network_rate(&self) -> Option<(f64, f64)> {
        let previous = self.previous.as_ref()?;
        let elapsed = self.newest.taken.saturating_duration_since(previous.taken);
        let (before, now) = (traffic(&previous.figures)?, traffic(&self.newest.figures)?);
        let rate = |before: u64, now: u64| per_second(now.checked_sub(before)?, elapsed);
        Some((rate(before.0, now.0)?, rate(before.1, now.1)?))
    }
}

fn traffic(figures: &Figures) -> Option<(u64, u64)> {
    let interfaces = figures.interfaces.as_ref()?;
    Some(interfaces.iter().fold((0, 0), |(received, sent), interface| {
        (received + interface.received.bytes, sent + interface.sent.bytes)
    }))
}

fn per_second(count: u64, elapsed: Duration) -> Option<f64> {
    (!elapsed.is_zero()).then(|| count as f64 / elapsed.as_secs_f64())
}

/// The readings of all running containers, by Docker's id.
pub(crate) type Readings = Arc<BTreeMap<String, Pair>>;

/// Where the newest readings are to be had. A container that has stopped is not among them.
#[derive(Debug, Clone)]
pub(crate) struct Latest(watch::Receiver<Readings>);

impl Latest {
    pub(super) fn new(readings: watch::Receiver<Readings>) -> Self {
        Self(readings)
    }

    /// The readings of the container with Docker's id.
    pub(crate) fn of(&self, runtime_id: &str) -> Option<Pair> {
        self.0.borrow().get(runtime_id).cloned()
    }
}
