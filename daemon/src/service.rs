//! A daemon and whoever started it: the service manager, and the signals that end it.

use std::io;

pub use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Tells the service manager; without one there is nobody to tell.
pub fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager cannot be told");
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
