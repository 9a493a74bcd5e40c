//! A daemon and whoever started it: the service manager, and the signals that end it.

use std::io;
use std::time::Duration;

pub use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Tells the service manager; without one there is nobody to tell.
pub fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}

/// Tells the service manager's watchdog, where it asks for it, that the process lives: as long as `lives` answers, which
/// asks what does the daemon's work. Who hangs there is ended by the service manager and started again.
pub async fn keep_watchdog<F: Future<Output = ()>>(lives: impl Fn() -> F) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    keep(limit, lives, || tell(&[NotifyState::Watchdog])).await;
}

async fn keep<F: Future<Output = ()>>(limit: Duration, lives: impl Fn() -> F, tell: impl Fn()) {
    loop {
        if tokio::time::timeout(limit / 2, lives()).await.is_ok() {
            tell();
        }
        tokio::time::sleep(limit / 4).await;
    }
}

/// From now on SIGTERM and SIGINT cancel `stop`, which the service manager is told first.
///
/// # Errors
/// The kernel gives no handler.
pub fn stop_on_signal(stop: CancellationToken) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    drop(tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        tell(&[NotifyState::Stopping]);
        stop.cancel();
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    async fn told(lives: impl Fn() -> std::pin::Pin<Box<dyn Future<Output = ()>>>) -> u32 {
        let told = AtomicU32::new(0);
        let keeping = keep(Duration::from_millis(40), lives, || {
            told.fetch_add(1, Ordering::Relaxed);
        });
        let over = tokio::time::timeout(Duration::from_millis(400), keeping).await;
        assert!(over.is_err(), "it never ends by itself");
        told.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn the_watchdog_is_told_as_long_as_the_work_goes_on() {
        assert!(told(|| Box::pin(ready(()))).await >= 2);
    }

    #[tokio::test]
    async fn the_watchdog_is_not_told_when_the_work_hangs() {
        assert_eq!(told(|| Box::pin(pending())).await, 0);
    }
}
