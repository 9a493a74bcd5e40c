//! Between whoever has entered a session and the container: bytes to and fro, until one of them is gone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use berth_proto::session::v1::{End, FromContainer, ToContainer, from_container, to_container};
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Pipe;

/// A session in which nothing passes for so long is ended, as ECS does it ("Using ECS Exec": 20 minutes).
const IDLE_MINUTES: u32 = 20;
const MINUTE: Duration = Duration::from_secs(60);

/// Passes on what comes, until the command ends, the client or the agent goes away, or nothing passes for long; says
/// which it was. The client is told the end, where it is there.
///
/// Whoever does not read is waited for: neither side holds more than a few messages.
pub(crate) async fn relay(
    client: impl Stream<Item = ToContainer>,
    out: &mpsc::Sender<FromContainer>,
    pipe: Pipe,
    shutdown: &CancellationToken,
) -> String {
    let passed = AtomicBool::new(false);
    let Pipe { to, mut from } = pipe;
    let up = async {
        loop {
            let end = match from.message().await {
                Ok(Some(FromContainer {
                    message: Some(from_container::Message::End(end)),
                })) => end,
                Ok(Some(message)) => {
                    passed.store(true, Ordering::Relaxed);
                    if out.send(message).await.is_err() {
                        return (None, GONE.to_owned());
                    }
                    continue;
                }
                Ok(None) | Err(_) => because("the connection to the agent broke"),
            };
            let words = words(&end);
            return (Some(end), words);
        }
    };
    let down = async {
        let mut client = std::pin::pin!(client);
        while let Some(message) = client.next().await {
            passed.store(true, Ordering::Relaxed);
            // An agent that has gone away is noticed by what it does not say any more.
            if to.send(message).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let (end, words) = tokio::select! {
        ended = up => ended,
        () = down => (None, GONE.to_owned()),
        () = out.closed() => (None, GONE.to_owned()),
        () = stands_still(&passed) => told(&format!("nothing passed for {IDLE_MINUTES} minutes")),
        () = shutdown.cancelled() => told("the scheduler stopped"),
    };
    if let Some(end) = end {
        let last = FromContainer {
            message: Some(from_container::Message::End(end)),
        };
        if out.send_timeout(last, Duration::from_secs(10)).await.is_err() {
            tracing::debug!("the end of a session was not told: its client is gone");
        }
    }
    words
}

const GONE: &str = "the client went away";

fn because(reason: &str) -> End {
    End {
        exit_code: None,
        reason: reason.to_owned(),
    }
}

fn told(reason: &str) -> (Option<End>, String) {
    (Some(because(reason)), reason.to_owned())
}

/// How a command ended.
pub(super) fn words(end: &End) -> String {
    match (end.exit_code, &end.reason) {
        (Some(code), reason) if reason.is_empty() => format!("exit code {code}"),
        (Some(code), reason) => format!("exit code {code}: {reason}"),
        (None, reason) => reason.clone(),
    }
}

/// Ends when nothing has passed for long.
async fn stands_still(passed: &AtomicBool) {
    let mut still = 0;
    while still < IDLE_MINUTES {
        tokio::time::sleep(MINUTE).await;
        still = if passed.swap(false, Ordering::Relaxed) {
            0
        } else {
            still + 1
        };
    }
}

/// That nothing more comes for standard input.
pub(crate) fn input_end() -> ToContainer {
    ToContainer {
        message: Some(to_container::Message::InputEnd(berth_proto::session::v1::InputEnd {})),
    }
}
