//! The engine: the only appender. Decides commands against the newest state, makes their changes durable, folds them,
//! publishes the new state and answers.
//!
//! Commands that come while a record is being written are decided together, on the state that the record will make, and
//! share the next one (group commit). When another writer's record came first, the engine catches up and decides its
//! commands again: the same rules, the new state. Whatever the state leads to (assignments, wake-ups) is told to the
//! [`Observer`], which writes nothing.

mod appender;
mod error;
mod follower;
mod instruments;
mod past;
mod pending;
mod recovery;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use berth_daemon::metrics::Page;
use berth_model::fault::{Fault, FaultClass};
use berth_scheduler_core::change::Record;
use berth_scheduler_core::command::{Command, Principal};
use berth_scheduler_core::keys::Revision;
use berth_scheduler_core::state::State;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::journal::{Journal, Trouble};
use appender::Appender;
pub use error::EngineError;
use instruments::Instruments;
pub use past::Past;
use pending::{Submitted, Waiting};
pub use recovery::{RecoveryError, recover, recover_at, recover_measured, write_snapshot};
pub(crate) use recovery::{chunks, restore};

/// Commands that may wait.
const QUEUE: usize = 4096;
/// How long a caller waits for a place in the queue before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the journal may be out of reach before callers are told: an election of etcd's takes less.
const CUT_OFF: Duration = Duration::from_secs(8);
/// How often a caller that waits is looked after.
const LOOK: Duration = Duration::from_secs(1);

/// Learns of every new state after it is published.
pub trait Observer: Send + Sync + 'static {
    /// The record is durable and `state` has it.
    fn published(&self, state: &State, record: &Record, bytes: usize);
}

/// A handle to the engine; clones share it.
#[derive(Clone)]
pub struct Engine {
    queue: mpsc::Sender<Waiting>,
    view: Arc<ArcSwap<State>>,
    journal: Arc<dyn Reach>,
    instruments: Arc<Instruments>,
}

/// What a handle asks of the journal.
trait Reach: Send + Sync {
    fn is_shared(&self) -> bool;

    fn trouble(&self) -> Option<Trouble>;
}

impl<J: Journal> Reach for J {
    fn is_shared(&self) -> bool {
        Journal::is_shared(self)
    }

    fn trouble(&self) -> Option<Trouble> {
        Journal::trouble(self)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
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
        let (reach, followed): (Arc<dyn Reach>, _) = (Arc::<J>::clone(&journal), Arc::clone(&view));
        let instruments = Arc::new(Instruments::new());
        let parts = (Arc::clone(&view), Arc::clone(&journal), Arc::clone(&instruments));
        let appender = Appender::new(parts, observer, commands, seed);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        std::thread::Builder::new().name("engine".to_owned()).spawn(move || {
            let run = async {
                // Where nobody else writes there is nothing to hear.
                let news = Journal::is_shared(&*journal).then(|| follower::follow(journal, followed));
                appender.run(news).await
            };
            if let Err(error) = runtime.block_on(run) {
                let code = if error.is_damage() { DAMAGED } else { JOURNAL_FAILED };
                let error = anyhow::Error::new(error);
                tracing::error!(error = format!("{error:#}"), "journal failed, ending");
                std::process::exit(code.into());
            }
        })?;
        Ok(Self {
            queue,
            view,
            journal: reach,
            instruments,
        })
    }

    /// The newest state: a snapshot that nothing changes any more.
    #[must_use]
    pub fn view(&self) -> Arc<State> {
        self.view.load_full()
    }

    /// Decides the command and answers when what it changed is durable and in [`Engine::view`].
    ///
    /// Dropping the future does not take the command back. Where the journal is not reached for a while it is taken back,
    /// unless its record is on its way.
    ///
    /// # Errors
    /// The fault that the command was refused with; `ThrottlingException` when too many wait; `ServerException` when
    /// the engine is gone, or the journal has not been reached for a while.
    pub async fn submit<C: Command + 'static>(&self, command: C, by: Principal) -> Result<C::Outcome, Fault> {
        if let Some(reason) = self.cut_off() {
            return Err(Fault::unavailable(format!(
                "{reason}. Nothing was changed. Try again later."
            )));
        }
        let (answer, mut answered) = oneshot::channel();
        let waiting = Box::new(Submitted::new(command, by, answer, Arc::clone(&self.instruments)));
        let hold = waiting.hold();
        self.queue
            .send_timeout(waiting, PATIENCE)
            .await
            .map_err(|error| match error {
                mpsc::error::SendTimeoutError::Timeout(_) => Fault::new(FaultClass::Throttling, "Rate exceeded"),
                mpsc::error::SendTimeoutError::Closed(_) => closed(),
            })?;
        loop {
            // A file is either written or the process ends.
            if !self.journal.is_shared() {
                return answered.await.map_err(|_| closed())?;
            }
            match timeout(LOOK, &mut answered).await {
                Ok(answer) => return answer.map_err(|_| closed())?,
                Err(_) => {
                    if let Some(reason) = self.cut_off() {
                        let outcome = match hold.take_back() {
                            true => "Nothing was changed. Try again later.",
                            false => "It is not known whether anything was changed: look before you try again.",
                        };
                        return Err(Fault::unavailable(format!("{reason}. {outcome}")));
                    }
                }
            }
        }
    }

    /// Whether the journal is out of reach, for however short a time.
    pub(crate) fn is_in_trouble(&self) -> bool {
        self.journal.trouble().is_some()
    }

    /// Tells what the engine has counted, and how many commands wait for it.
    pub(crate) fn tell_figures(&self, page: &mut Page) {
        let waiting = self.queue.max_capacity().saturating_sub(self.queue.capacity());
        page.gauge("berth_command_queue_length", "Commands that wait to be decided.")
            .only(waiting as f64);
        page.gauge(
            "berth_command_queue_limit",
            "Commands that may wait before callers are throttled.",
        )
        .only(self.queue.max_capacity() as f64);
        page.gauge("berth_journal_revision", "The newest revision that this scheduler has.")
            .only(self.view.load().revision().0 as f64);
        page.gauge("berth_journal_reachable", "Whether the journal can be reached: 1 or 0.")
            .only(f64::from(u8::from(!self.is_in_trouble())));
        self.instruments.tell(page);
    }

    /// Why nothing can be changed at present: what a scheduler says that cannot reach its journal. What it shows may be
    /// old then.
    #[must_use]
    pub fn cut_off(&self) -> Option<String> {
        let trouble = self.journal.trouble()?;
        let lasts = trouble.since.elapsed();
        (lasts >= CUT_OFF).then(|| {
            format!(
                "The scheduler has not reached its journal for {} seconds: {}",
                lasts.as_secs(),
                trouble.reason
            )
        })
    }
}

/// The record in the bytes, if this build knows its format.
///
/// # Errors
/// [`RecoveryError::Record`] where it does not.
pub(crate) fn decode(revision: Revision, bytes: &[u8]) -> Result<Record, RecoveryError> {
    recovery::decode(revision, bytes)
}

/// The exit code of a process whose journal failed.
const JOURNAL_FAILED: u8 = 4;
/// The exit code of a process whose journal is damaged: to be started again only with another.
pub(crate) const DAMAGED: u8 = 5;

fn closed() -> Fault {
    Fault::unavailable("The scheduler is shutting down. Try again later.")
}

#[cfg(test)]
mod tests;
