//! The agent's socket: `agent.sock` in the state directory, for its owner and root alone.
//!
//! One JSON object a line. A connection carries one [`Ask`]; the agent answers with [`Standing`] at once and after each
//! change, until nothing is left to wait for. A connection that ends takes nothing back.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use berth_agent_core::drain::Departure;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::{Progress, Request};
use crate::driver::now;

/// Connections at once; one more waits.
const CONNECTIONS: usize = 8;
/// For the request to come.
const REQUEST: Duration = Duration::from_secs(5);
const LONGEST_REQUEST: u64 = 4096;
/// After a failed accept, which is for want of something.
const PAUSE: Duration = Duration::from_secs(1);

/// What is asked of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ask {
    /// The host shuts down: drain, and stop in so many milliseconds what still runs.
    Drain { within_ms: u64 },
    /// It stays after all.
    Stay,
}

/// Where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// Tasks that have not ended, and ends that the scheduler has not recorded.
    Draining { tasks: usize, unrecorded: usize },
    /// The host stays.
    Staying,
    /// The request was not taken.
    Refused(String),
}

/// The socket's path.
pub(crate) fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("agent.sock")
}

/// Opens the socket. The state directory is locked: one that is there is left over.
///
/// # Errors
/// It cannot be made.
pub(crate) fn listen(state_dir: &Path) -> io::Result<UnixListener> {
    let path = path(state_dir);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves until aborted.
pub(crate) async fn serve(
    listener: UnixListener,
    requests: mpsc::Sender<Request>,
    progress: watch::Receiver<Progress>,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (requests, progress) = (requests.clone(), progress.clone());
                drop(tokio::spawn(async move {
                    if let Err(error) = attend(stream, &requests, progress).await {
                        tracing::debug!(%error, "a connection to the agent's socket ended early");
                    }
                    drop(permit);
                }));
            }
            Err(error) => {
                tracing::warn!(%error, "the agent's socket does not accept");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn attend(
    mut stream: UnixStream,
    requests: &mpsc::Sender<Request>,
    mut progress: watch::Receiver<Progress>,
) -> io::Result<()> {
    let mut line = String::new();
    {
        let mut reader = BufReader::new((&mut stream).take(LONGEST_REQUEST));
        tokio::time::timeout(REQUEST, reader.read_line(&mut line)).await??;
    }
    let leave = match serde_json::from_str(&line) {
        Ok(Ask::Drain { within_ms }) => Some((Departure::Shutdown, now() + Duration::from_millis(within_ms))),
        Ok(Ask::Stay) => None,
        Err(error) => return tell(&mut stream, &Standing::Refused(format!("no request: {error}"))).await,
    };
    let (done, taken) = oneshot::channel();
    let sent = requests.send(Request { leave, done }).await;
    let number = match (sent, taken.await) {
        (Ok(()), Ok(Ok(number))) => number,
        (Ok(()), Ok(Err(problem))) => return tell(&mut stream, &Standing::Refused(problem)).await,
        (Err(_), _) | (_, Err(_)) => {
            return tell(&mut stream, &Standing::Refused("the agent stops".to_owned())).await;
        }
    };
    loop {
        let now = *progress.borrow_and_update();
        if now.taken >= number {
            let standing = match now.deadline {
                Some(_) => Standing::Draining {
                    tasks: now.tasks,
                    unrecorded: now.unrecorded,
                },
                None => Standing::Staying,
            };
            tell(&mut stream, &standing).await?;
            if now.deadline.is_none() || (now.tasks, now.unrecorded) == (0, 0) {
                return Ok(());
            }
        }
        if progress.changed().await.is_err() {
            return Ok(());
        }
    }
}

async fn tell(stream: &mut UnixStream, standing: &Standing) -> io::Result<()> {
    let mut line = serde_json::to_vec(standing)?;
    line.push(b'\n');
    stream.write_all(&line).await
}
