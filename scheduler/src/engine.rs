//! The engine: the only appender. Decides commands against the newest state, makes their changes durable, folds them,
//! publishes the new state and answers.
//!
//! Commands that wait while a record is being written are decided together and share the next one (group commit). When
//! another writer's record came first, the engine catches up and decides its commands again: the same rules, the new
//! state. Whatever the state leads to (assignments, wake-ups) is told to the [`Observer`], which writes nothing.

mod pending;
mod recovery;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use berth_model::fault::{Fault, FaultClass};
use berth_scheduler_core::change::{Entry, Record};
use berth_scheduler_core::command::{Command, Env, Memory, Principal, nth_draw};
use berth_scheduler_core::fold::{fold, fold_record};
use berth_scheduler_core::invariant;
use berth_scheduler_core::state::State;
use tokio::sync::{mpsc, oneshot};

use crate::clock;
use crate::journal::{Appended, Found, Journal, JournalError};
use pending::{Pending, Waiting};
pub use recovery::{RecoveryError, recover, write_snapshot};

/// Commands that may wait.
const QUEUE: usize = 4096;
/// Commands that share a record.
const BATCH: usize = 256;
/// How long a caller waits for a place in the queue before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(5);
/// Records that are read at once while catching up.
const READ_AT_ONCE: usize = 256;
/// Tasks up to which debug builds check every invariant after every record.
const CHECKED_TASKS: usize = 500;

/// Learns of every new state after it is published.
pub trait Observer: Send + Sync + 'static {
    /// The record is durable and `state` has it.
    fn published(&self, state: &State, record: &Record, bytes: usize);
}

/// A handle to the engine; clones share it.
#[derive(Debug, Clone)]
pub struct Engine {
    queue: mpsc::Sender<Box<dyn Pending>>,
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
        let appender = Appender {
            view: Arc::clone(&view),
            journal,
            observer,
            seed,
            decisions: 0,
            memory: Memory::default(),
        };
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
        let waiting = Box::new(Waiting::new(command, by, answer));
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

struct Appender<J> {
    view: Arc<ArcSwap<State>>,
    journal: Arc<J>,
    observer: Arc<dyn Observer>,
    seed: u64,
    decisions: u64,
    memory: Memory,
}

impl<J: Journal> Appender<J> {
    async fn run(mut self, mut commands: mpsc::Receiver<Box<dyn Pending>>) -> Result<(), JournalError> {
        let mut batch = Vec::with_capacity(BATCH);
        while commands.recv_many(&mut batch, BATCH).await > 0 {
            self.commit(&mut batch).await?;
            for pending in batch.drain(..) {
                pending.answer();
            }
        }
        Ok(())
    }

    /// Decides the batch until its changes are appended to the state that they were decided on.
    async fn commit(&mut self, batch: &mut [Box<dyn Pending>]) -> Result<(), JournalError> {
        loop {
            let base = self.view.load_full();
            let (state, record) = self.decide(&base, batch);
            if record.entries.is_empty() {
                return Ok(());
            }
            let bytes = encode(&record);
            let size = bytes.len();
            match self.journal.append(base.revision(), bytes).await? {
                Appended::Committed(_) => {
                    self.publish(state, &record, size);
                    return Ok(());
                }
                Appended::Conflict { head } => {
                    tracing::debug!(revision = %base.revision(), %head, "another writer came first");
                    self.catch_up(&base).await?;
                }
            }
        }
    }

    /// Each command meets the state that the ones before it in the batch have made.
    fn decide(&mut self, base: &State, batch: &mut [Box<dyn Pending>]) -> (State, Record) {
        let mut state = base.clone();
        let mut record = Record {
            v: Record::FORMAT,
            revision: base.revision().next(),
            entries: Vec::new(),
        };
        for pending in batch {
            self.decisions += 1;
            let seed = nth_draw(self.seed, self.decisions);
            let mut env = Env::new(clock::now(), seed, &mut self.memory);
            let changes = pending.decide(&state, &mut env);
            if !changes.is_empty() {
                changes.iter().for_each(|change| fold(&mut state, change));
                record.entries.push(Entry {
                    at: env.now(),
                    by: pending.by(),
                    changes,
                });
            }
        }
        state.advance_to(record.revision);
        (state, record)
    }

    fn publish(&self, state: State, record: &Record, size: usize) {
        if cfg!(debug_assertions) && state.task_count() <= CHECKED_TASKS {
            let violations = invariant::violations(&state);
            debug_assert!(violations.is_empty(), "revision {}: {violations:?}", record.revision);
        }
        self.view.store(Arc::new(state));
        self.observer.published(&self.view.load(), record, size);
    }

    /// Folds the records that other writers appended after `base`.
    async fn catch_up(&self, base: &State) -> Result<(), JournalError> {
        let mut state = base.clone();
        loop {
            let Found::Records(records) = self.journal.read(state.revision().next(), READ_AT_ONCE).await? else {
                // Truncation keeps days of history: a live engine cannot have fallen behind it.
                return Err(JournalError::Closed);
            };
            if records.is_empty() {
                return Ok(());
            }
            for (revision, bytes) in records {
                let record = recovery::decode(revision, &bytes).map_err(|_| JournalError::Closed)?;
                fold_record(&mut state, &record);
                self.publish(state.clone(), &record, bytes.len());
            }
        }
    }
}

#[expect(clippy::expect_used, reason = "plain data with string keys always has a JSON form")]
fn encode(record: &Record) -> Vec<u8> {
    serde_json::to_vec(record).expect("a record has a JSON form")
}

#[cfg(test)]
mod tests;
