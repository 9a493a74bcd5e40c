//! The engine's loop: decide, append, publish, answer. While one record is being written the next is decided.

use std::pin::pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use berth_scheduler_core::change::{Entry, Record};
use berth_scheduler_core::command::{Env, Memory, nth_draw};
use berth_scheduler_core::fold::{fold, fold_record};
use berth_scheduler_core::invariant;
use berth_scheduler_core::state::State;
use tokio::sync::mpsc;

use super::Observer;
use super::pending::Pending;
use super::recovery;
use crate::clock;
use crate::journal::{Appended, Found, Journal, JournalError};

/// Commands that share a record, at most.
const BATCH: usize = 256;
/// Records that are read at once while catching up.
const READ_AT_ONCE: usize = 256;
/// Tasks up to which debug builds check every invariant after every record.
const CHECKED_TASKS: usize = 500;

/// A command that waits, whatever its type.
type Waiting = Box<dyn Pending>;

/// The only one that appends to the journal and publishes states.
pub(super) struct Appender<J> {
    view: Arc<ArcSwap<State>>,
    journal: Arc<J>,
    observer: Arc<dyn Observer>,
    seed: u64,
    decisions: u64,
    memory: Memory,
}

/// Commands that were decided together, and what they lead to once the record is durable.
struct Batch {
    commands: Vec<Waiting>,
    state: State,
    record: Record,
}

impl Batch {
    /// An empty batch on a state.
    fn on(base: &State) -> Self {
        let record = Record {
            v: Record::FORMAT,
            revision: base.revision().next(),
            entries: Vec::new(),
        };
        let mut state = base.clone();
        state.advance_to(record.revision);
        Self {
            commands: Vec::new(),
            state,
            record,
        }
    }

    fn room(&self) -> usize {
        BATCH.saturating_sub(self.commands.len())
    }

    fn answer(self) {
        self.commands.into_iter().for_each(|command| command.answer());
    }
}

impl<J: Journal> Appender<J> {
    pub(super) fn new(view: Arc<ArcSwap<State>>, journal: Arc<J>, observer: Arc<dyn Observer>, seed: u64) -> Self {
        Self {
            view,
            journal,
            observer,
            seed,
            decisions: 0,
            memory: Memory::default(),
        }
    }

    /// Runs until no handle is left.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Waiting>) -> Result<(), JournalError> {
        let mut fresh = Vec::with_capacity(BATCH);
        while queue.recv_many(&mut fresh, BATCH).await > 0 {
            let mut batch = Batch::on(&self.view.load());
            self.decide(&mut batch, &mut fresh);
            while !batch.record.entries.is_empty() {
                batch = self.commit(batch, &mut queue).await?;
            }
            // What changes nothing is true of the state that is published now.
            batch.answer();
        }
        Ok(())
    }

    /// Appends the batch; gives the next one, decided meanwhile on the state that this one makes.
    async fn commit(&mut self, batch: Batch, queue: &mut mpsc::Receiver<Waiting>) -> Result<Batch, JournalError> {
        let base = self.view.load_full();
        let bytes = encode(&batch.record);
        let size = bytes.len();
        let mut next = Batch::on(&batch.state);
        let mut fresh = Vec::new();
        let journal = Arc::clone(&self.journal);
        let mut append = pin!(journal.append(base.revision(), bytes));
        let mut open = true;
        let appended = loop {
            let room = next.room();
            tokio::select! {
                appended = &mut append => break appended?,
                count = queue.recv_many(&mut fresh, room), if open && room > 0 => {
                    open = count > 0;
                    self.decide(&mut next, &mut fresh);
                }
            }
        };
        match appended {
            Appended::Committed(_) => {
                let Batch {
                    commands,
                    state,
                    record,
                } = batch;
                self.publish(state, &record, size);
                commands.into_iter().for_each(|command| command.answer());
                Ok(next)
            }
            Appended::Conflict { head } => {
                tracing::debug!(revision = %base.revision(), %head, "another writer came first");
                self.catch_up(&base).await?;
                // What is remembered was true of states that will never be.
                self.memory = Memory::default();
                let mut commands = batch.commands;
                commands.append(&mut next.commands);
                let mut again = Batch::on(&self.view.load());
                self.decide(&mut again, &mut commands);
                Ok(again)
            }
        }
    }

    /// Adds commands to the batch: each meets the state that the ones before it have made.
    fn decide(&mut self, batch: &mut Batch, commands: &mut Vec<Waiting>) {
        for mut command in commands.drain(..) {
            self.decisions += 1;
            let seed = nth_draw(self.seed, self.decisions);
            let mut env = Env::new(clock::now(), seed, &mut self.memory);
            let changes = command.decide(&batch.state, &mut env);
            if !changes.is_empty() {
                changes.iter().for_each(|change| fold(&mut batch.state, change));
                batch.record.entries.push(Entry {
                    at: env.now(),
                    by: command.by(),
                    changes,
                });
            }
            batch.commands.push(command);
        }
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
pub(super) fn encode(record: &Record) -> Vec<u8> {
    serde_json::to_vec(record).expect("a record has a JSON form")
}
