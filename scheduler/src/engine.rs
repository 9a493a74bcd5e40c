//! The engine: the only appender. Decides commands against the newest state, makes their changes durable, folds them,
//! publishes the new state and answers.
//!
//! Commands that come while a record is being written are decided together, on the state that the record will make, and
//! share the next one (group commit). When another writer's record came first, the engine catches up and decides its
//! commands again: the same rules, the new state. Whatever the state leads to (assignments, wake-ups) is told to the
//! [`Observer`], which writes nothing.

mod appender;
mod pending;
mod recovery;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use berth_model::fault::{Fault, FaultClass};
use berth_scheduler_core::change::Record;
use berth_scheduler_core::command::{Command, Principal};
use berth_scheduler_core::state::State;
use tokio::sync::{mpsc, oneshot};

use crate::journal::Journal;
use appender::Appender;
use pending::{Submitted, Waiting};
pub use recovery::{RecoveryError, recover, write_snapshot};

/// Commands that may wait.
const QUEUE: usize = 4096;
/// How long a caller waits for a place in the queue before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(5);

/// Learns of every new state after it is published.
pub trait Observer: Send + Sync + 'static {
    /// The record is durable and `state` has it.
    fn published(&self, state: &State, record: &Record, bytes: usize);
}

/// A handle to the engine; clones share it.
#[derive(Debug, Clone)]
pub struct Engine {
    queue: mpsc::Sender<Waiting>,
    view: Arc<ArcSwap<State>>,
}

impl Engine {
    /// Starts the engine's thread on a state that was recovered from the journal.
    ///
    /// The thread ends when all handles are gone, or with the process when the journal fails: what is on disk then is
    /// for the next start to find out.
    ///
    /// # Errors
    /// The operating system's, when there can be no thread.
    pub fn start<J: Journal>(
        state: State,
        journal: Arc<J>,
        observer: Arc<dyn Observer>,
        seed: u64,
    ) -> std::io::Result<Self> {
        let (queue, commands) = mpsc::channel(QUEUE);
        let view = Arc::new(ArcSwap::from_pointee(state));
        let appender = Appender::new(Arc::clone(&view), journal, observer, seed);
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        std::thread::Builder::new().name("engine".to_owned()).spawn(move || {
            if let Err(error) = runtime.block_on(appender.run(commands)) {
                let error = anyhow::Error::new(error);
                tracing::error!(error = format!("{error:#}"), "journal failed, ending");
                std::process::exit(JOURNAL_FAILED);
            }
        })?;
        Ok(Self { queue, view })
    }

    /// The newest state: a snapshot that nothing changes any more.
    #[must_use]
    pub fn view(&self) -> Arc<State> {
        self.view.load_full()
    }

    /// Decides the command and answers when what it changed is durable and in [`Engine::view`].
    ///
    /// Dropping the future does not take the command back.
    ///
    /// # Errors
    /// The fault that the command was refused with; `ThrottlingException` when too many wait; `ServerException` when
    /// the engine is gone.
    pub async fn submit<C: Command + 'static>(&self, command: C, by: Principal) -> Result<C::Outcome, Fault> {
        let (answer, answered) = oneshot::channel();
        let waiting = Box::new(Submitted::new(command, by, answer));
        self.queue
            .send_timeout(waiting, PATIENCE)
            .await
            .map_err(|error| match error {
                mpsc::error::SendTimeoutError::Timeout(_) => Fault::new(FaultClass::Throttling, "Rate exceeded"),
                mpsc::error::SendTimeoutError::Closed(_) => closed(),
            })?;
        answered.await.map_err(|_| closed())?
    }
}

/// The exit code of a process whose journal failed.
const JOURNAL_FAILED: i32 = 4;

fn closed() -> Fault {
    Fault::server("The scheduler is shutting down. Try again later.")
}

#[cfg(test)]
mod tests;
