//! Keeps the driver informed of what happens in Docker: events as hints, and the list of all containers as the truth.
//!
//! The stream of events may break or miss some; a list every half minute and after every new stream makes up for it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{Notify, mpsc};

use crate::backoff::Backoff;
use crate::docker::Docker;
use crate::event::Event;

const LIST_INTERVAL: Duration = Duration::from_secs(30);
/// What happens before the stream of events is open is not in it; a list soon after has it.
const AFTER_OPENING: Duration = Duration::from_millis(250);

/// Watches until the driver is gone.
pub(crate) async fn watch(docker: Docker, events: mpsc::Sender<Event>) {
    let list_soon = Arc::new(Notify::new());
    tokio::select! {
        () = hints(&docker, &events, &list_soon) => {}
        () = lists(&docker, &events, &list_soon) => {}
    }
}

async fn hints(docker: &Docker, events: &mpsc::Sender<Event>, list_soon: &Notify) {
    let mut backoff = Backoff::default();
    loop {
        let mut hints = std::pin::pin!(docker.hints());
        list_soon.notify_one();
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
        tokio::time::sleep(backoff.next_pause()).await;
    }
}

async fn lists(docker: &Docker, events: &mpsc::Sender<Event>, list_soon: &Notify) {
    let mut reachable = true;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LIST_INTERVAL) => {}
            () = list_soon.notified() => tokio::time::sleep(AFTER_OPENING).await,
        }
        match docker.list().await {
            Ok(found) => {
                if !std::mem::replace(&mut reachable, true) {
                    tracing::info!("docker answers again");
                }
                if events.send(Event::Listed(found)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                if std::mem::replace(&mut reachable, false) {
                    tracing::warn!(%error, "docker does not answer; tasks keep their state until it does");
                }
            }
        }
    }
}
