//! Keeps the driver informed of what happens in Docker: events as hints, and the list of all containers as the truth.
//!
//! The stream of events may break or miss some; a list every few seconds and after every new stream makes up for it.
//! What a list does not show (that a container ended and runs again) is looked for container by container: after a
//! stream broke, and every few minutes.

mod runtime;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use berth_daemon::Backoff;
use futures_util::StreamExt;
use tokio::sync::{Notify, mpsc};

use crate::docker::Docker;
use crate::event::Event;
use runtime::{PATIENCE, Witness};

pub(crate) use runtime::Runtime;

/// What happens to a container is known after this at the latest, whatever became of the events.
const LIST_INTERVAL: Duration = Duration::from_secs(20);
/// What happens before the stream of events is open is not in it; a list soon after has it.
const AFTER_OPENING: Duration = Duration::from_millis(250);
/// Of so many lists one is followed by a look at every container: every five minutes.
const LISTS_A_LOOK: u32 = 15;

/// What the parts of the watch tell one another.
#[derive(Debug, Default)]
struct Signals {
    list_soon: Notify,
    /// Events were missed.
    gap: AtomicBool,
}

/// Watches until the driver is gone.
pub(crate) async fn watch(docker: Docker, events: mpsc::Sender<Event>, runtime: Runtime) {
    let signals = Signals::default();
    tokio::select! {
        () = hints(&docker, &events, &signals) => {}
        () = lists(&docker, &events, &signals, &runtime) => {}
        () = runtime::ping(&docker, &runtime) => {}
    }
}

async fn hints(docker: &Docker, events: &mpsc::Sender<Event>, signals: &Signals) {
    let mut backoff = Backoff::default();
    loop {
        let mut hints = std::pin::pin!(docker.hints());
        signals.list_soon.notify_one();
        loop {
            match hints.next().await {
                Some(Ok(hint)) => {
                    backoff = Backoff::default();
                    if events.send(Event::Hint(hint)).await.is_err() {
                        return;
                    }
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "docker's events broke off");
                    break;
                }
                None => {
                    tracing::warn!("docker's events ended");
                    break;
                }
            }
        }
        signals.gap.store(true, Ordering::Relaxed);
        tokio::time::sleep(backoff.next_pause()).await;
    }
}

async fn lists(docker: &Docker, events: &mpsc::Sender<Event>, signals: &Signals, runtime: &Runtime) {
    let mut reachable = true;
    let mut since_look = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LIST_INTERVAL) => {}
            () = signals.list_soon.notified() => tokio::time::sleep(AFTER_OPENING).await,
        }
        let gap = signals.gap.swap(false, Ordering::Relaxed);
        match list(docker, runtime).await {
            Ok(found) => {
                runtime.withdraw(&[Witness::List, Witness::Effect]);
                if !std::mem::replace(&mut reachable, true) {
                    tracing::info!("docker answers again");
                }
                since_look += 1;
                let look = gap || since_look >= LISTS_A_LOOK;
                if look {
                    since_look = 0;
                }
                if events.send(Event::Listed { found, look }).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                signals.gap.fetch_or(gap, Ordering::Relaxed);
                if std::mem::replace(&mut reachable, false) {
                    tracing::warn!(%error, "docker does not answer; tasks keep their state until it does");
                }
            }
        }
    }
}

/// A list, which is waited for longer than it takes to say that it is late.
async fn list(
    docker: &Docker,
    runtime: &Runtime,
) -> Result<Vec<berth_agent_core::recovery::Found>, berth_agent_core::failure::Failure> {
    let mut list = std::pin::pin!(docker.list());
    if let Ok(result) = tokio::time::timeout(PATIENCE, &mut list).await {
        return result;
    }
    let words = format!("Docker was asked to list its containers {} s ago", PATIENCE.as_secs());
    runtime.complain(Witness::List, &words);
    list.await
}
