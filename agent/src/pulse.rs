//! systemd's readiness and watchdog: the process counts as alive only while the driver takes in events.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use berth_daemon::service::{NotifyState, tell};

/// The driver's heartbeat.
#[derive(Debug, Clone)]
pub(crate) struct Pulse {
    beats: Arc<AtomicU64>,
    begun: Instant,
    /// Milliseconds from the beginning to the last beat.
    last: Arc<AtomicU64>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            beats: Arc::default(),
            begun: Instant::now(),
            last: Arc::default(),
        }
    }
}

impl Pulse {
    /// The driver lives.
    pub(crate) fn beat(&self) {
        self.last.store(self.elapsed(), Ordering::Relaxed);
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// For how long there has been no beat; none before the first.
    pub(crate) fn silence(&self) -> Option<Duration> {
        let has_begun = self.beats.load(Ordering::Relaxed) > 0;
        let last = self.last.load(Ordering::Relaxed);
        has_begun.then(|| Duration::from_millis(self.elapsed().saturating_sub(last)))
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Tells systemd's watchdog so, where it asks for it, as long as the driver lives. Until the first beat the agent
    /// waits for Docker, which is no fault of its own.
    pub(crate) async fn keep_watchdog(self) {
        let Some(limit) = sd_notify::watchdog_enabled() else {
            return;
        };
        let mut last = None;
        loop {
            tokio::time::sleep(limit / 2).await;
            let beats = self.beats.load(Ordering::Relaxed);
            if last != Some(beats) || beats == 0 {
                tell(&[NotifyState::Watchdog]);
            }
            last = Some(beats);
        }
    }
}
