//! The engine's loop: decide, append, publish, answer. While one record is being written the next is decided.

use std::pin::pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use berth_scheduler_core::change::Record;
use berth_scheduler_core::commit::{GroupCommit, Next};
use berth_scheduler_core::invariant;
use berth_scheduler_core::keys::Revision;
use berth_scheduler_core::state::State;
use tokio::sync::mpsc;

use super::Observer;
use super::pending::Waiting;
use super::recovery;
use crate::clock;
use crate::journal::{Appended, Found, Journal, JournalError};

/// Records that are read at once while catching up.
const READ_AT_ONCE: usize = 256;
/// Tasks up to which debug builds check every invariant after every record.
const CHECKED_TASKS: usize = 500;

/// The only one that appends to the journal and publishes states.
pub(super) struct Appender<J> {
    view: Arc<ArcSwap<State>>,
    journal: Arc<J>,
    observer: Arc<dyn Observer>,
    commit: GroupCommit<Waiting>,
}

impl<J: Journal> Appender<J> {
    pub(super) fn new(view: Arc<ArcSwap<State>>, journal: Arc<J>, observer: Arc<dyn Observer>, seed: u64) -> Self {
        let commit = GroupCommit::new(State::clone(&view.load()), seed);
        Self {
            view,
            journal,
            observer,
            commit,
        }
    }

    /// Runs until no handle is left.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Waiting>) -> Result<(), JournalError> {
        let mut fresh = Vec::with_capacity(self.commit.room());
        while queue.recv_many(&mut fresh, self.commit.room()).await > 0 {
            self.commit.take(fresh.drain(..), clock::now());
            loop {
                match self.commit.proceed() {
                    Next::Append { after, record } => {
                        let bytes = encode(record);
                        self.append(after, bytes, &mut queue).await?;
                    }
                    Next::Answer(commands) => commands.into_iter().for_each(|command| command.answer()),
                    Next::Nothing => break,
                }
            }
        }
        Ok(())
    }

    /// Appends the record that is on its way; commands that come meanwhile are decided on the state that it makes.
    async fn append(
        &mut self,
        after: Revision,
        bytes: Vec<u8>,
        queue: &mut mpsc::Receiver<Waiting>,
    ) -> Result<(), JournalError> {
        let size = bytes.len();
        let mut fresh = Vec::new();
        let journal = Arc::clone(&self.journal);
        let mut append = pin!(journal.append(after, bytes));
        let mut open = true;
        let appended = loop {
            let room = self.commit.room();
            tokio::select! {
                appended = &mut append => break appended?,
                count = queue.recv_many(&mut fresh, room), if open && room > 0 => {
                    open = count > 0;
                    self.commit.take(fresh.drain(..), clock::now());
                }
            }
        };
        match appended {
            Appended::Committed(_) => {
                if let Some(committed) = self.commit.committed() {
                    publish(&self.view, &*self.observer, committed.state, &committed.record, size);
                    committed.answers.into_iter().for_each(|command| command.answer());
                }
            }
            Appended::Conflict { head } => {
                tracing::debug!(revision = %after, %head, "another writer came first");
                self.catch_up(after.next()).await?;
            }
        }
        Ok(())
    }

    /// Reads what other writers appended, the first being `from`, and decides what waits on it.
    async fn catch_up(&mut self, mut from: Revision) -> Result<(), JournalError> {
        loop {
            let Found::Records(records) = self.journal.read(from, READ_AT_ONCE).await? else {
                // Truncation keeps days of history: a live engine cannot have fallen behind it.
                return Err(JournalError::Closed);
            };
            let mut missed = Vec::with_capacity(records.len());
            for (revision, bytes) in records {
                let record = recovery::decode(revision, &bytes).map_err(|_| JournalError::Closed)?;
                missed.push((record, bytes.len()));
            }
            let Some((last, _)) = missed.last() else {
                return Ok(());
            };
            from = last.revision.next();
            let (view, observer) = (&self.view, &*self.observer);
            self.commit.overtaken(missed, clock::now(), |state, record, size| {
                publish(view, observer, state.clone(), record, size);
            });
        }
    }
}

/// Shows the state that the record has made.
fn publish(view: &ArcSwap<State>, observer: &dyn Observer, state: State, record: &Record, size: usize) {
    if cfg!(debug_assertions) && state.task_count() <= CHECKED_TASKS {
        let violations = invariant::violations(&state);
        debug_assert!(violations.is_empty(), "revision {}: {violations:?}", record.revision);
    }
    view.store(Arc::new(state));
    observer.published(&view.load(), record, size);
}

#[expect(clippy::expect_used, reason = "plain data with string keys always has a JSON form")]
pub(super) fn encode(record: &Record) -> Vec<u8> {
    serde_json::to_vec(record).expect("a record has a JSON form")
}
