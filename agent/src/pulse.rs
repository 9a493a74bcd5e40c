//! systemd's readiness and watchdog: the process counts as alive only while the driver takes in events.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use berth_daemon::service::{NotifyState, tell};

/// The driver's heartbeat.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pulse {
    beats: Arc<AtomicU64>,
}

impl Pulse {
    /// The driver lives.
    pub(crate) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
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
