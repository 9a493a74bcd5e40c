//! The engine's loop: decide, append, publish, answer. While one record is being written the next is decided.
//!
//! Where others write the same journal too, their records are followed and folded as they come, a record of ours that
//! came second is decided again, and pauses keep writers out of each other's way.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use berth_model::fault::{Fault, FaultClass};
use berth_scheduler_core::change::Record;
use berth_scheduler_core::command::nth_draw;
use berth_scheduler_core::commit::pace::Pace;
use berth_scheduler_core::commit::{GroupCommit, Next};
use berth_scheduler_core::invariant;
use berth_scheduler_core::keys::Revision;
use berth_scheduler_core::state::State;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::follower::News;
use super::instruments::Instruments;
use super::pending::{Queue, Waiting};
use super::{EngineError, Observer, recovery};
use crate::clock;
use crate::journal::{Appended, Found, Journal, JournalError};

/// Records that are read at once while catching up.
const READ_AT_ONCE: usize = 256;
/// How long to wait before a read that gave nothing is made again.
const READ_AGAIN: Duration = Duration::from_millis(200);
/// Tasks up to which debug builds check every invariant after every record.
const CHECKED_TASKS: usize = 500;
/// Parts the draws of pauses from those of decisions.
const PAUSES: u64 = 0x9e37_79b9_7f4a_7c15;

/// The only one that appends to the journal and publishes states.
pub(super) struct Appender<J> {
    view: Arc<ArcSwap<State>>,
    journal: Arc<J>,
    observer: Arc<dyn Observer>,
    instruments: Arc<Instruments>,
    commit: GroupCommit<Waiting>,
    queue: Queue,
    pace: Pace,
    seed: u64,
    pauses: u64,
    /// Others have appended since our last record.
    met: bool,
    /// Nothing is appended before.
    resume: Option<Instant>,
}

impl<J: Journal> Appender<J> {
    pub(super) fn new(
        (view, journal, instruments): (Arc<ArcSwap<State>>, Arc<J>, Arc<Instruments>),
        observer: Arc<dyn Observer>,
        queue: mpsc::Receiver<Waiting>,
        seed: u64,
    ) -> Self {
        let commit = GroupCommit::new(State::clone(&view.load()), seed);
        Self {
            view,
            journal,
            observer,
            instruments,
            commit,
            queue: Queue::new(queue),
            pace: Pace::default(),
            seed,
            pauses: 0,
            met: false,
            resume: None,
        }
    }

    /// Runs until no handle is left.
    pub(super) async fn run(mut self, mut news: Option<News>) -> Result<(), EngineError> {
        while self.queue.is_open() {
            let room = self.commit.room();
            tokio::select! {
                commands = self.queue.next(room), if room > 0 => self.commit.take(commands, clock::now()),
                heard = next(&mut news) => self.hear(heard?)?,
                () = sleep_until(self.resume.unwrap_or_else(Instant::now)), if self.resume.is_some() => self.resume = None,
            }
            self.proceed().await?;
        }
        self.resume = None;
        self.proceed().await
    }

    /// Appends and answers until there is nothing to do, or it is time for a pause.
    async fn proceed(&mut self) -> Result<(), EngineError> {
        while self.resume.is_none() {
            match self.commit.proceed() {
                Next::Append {
                    after,
                    record,
                    commands,
                } => {
                    // All are told, also behind one that stays: none is taken back from now on.
                    if commands.iter().filter(|command| !command.leave()).count() > 0 {
                        self.leave_out();
                        continue;
                    }
                    let bytes = encode(record);
                    if bytes.len() > self.journal.max_record() {
                        self.part(bytes.len());
                    } else {
                        self.append(after, bytes).await?;
                    }
                }
                Next::Confirm => self.confirm().await?,
                Next::Answer(commands) => commands.into_iter().for_each(|command| command.answer()),
                Next::Nothing => break,
            }
        }
        Ok(())
    }

    /// Appends the record that is on its way; commands that come meanwhile are decided on the state that it makes.
    async fn append(&mut self, after: Revision, bytes: Vec<u8>) -> Result<(), EngineError> {
        let size = bytes.len();
        let begun = Instant::now();
        let journal = Arc::clone(&self.journal);
        let mut append = pin!(journal.append(after, bytes));
        let appended = loop {
            let room = self.commit.room();
            tokio::select! {
                appended = &mut append => break appended?,
                commands = self.queue.next(room), if self.queue.is_open() && room > 0 => {
                    self.commit.take(commands, clock::now());
                }
            }
        };
        let took = begun.elapsed();
        let draw = self.draw();
        match appended {
            Appended::Committed(_) => {
                self.instruments.appended(took, size);
                if let Some(committed) = self.commit.committed() {
                    publish(&self.view, &*self.observer, committed.state, &committed.record, size);
                    committed.answers.into_iter().for_each(|command| command.answer());
                }
                self.queue.widen();
                let met = std::mem::take(&mut self.met);
                self.pause(|pace| pace.won(took, met, draw));
            }
            Appended::Conflict { head } => {
                self.instruments.conflict();
                tracing::debug!(revision = %after, %head, "another writer came first");
                self.catch_up(head).await?;
                self.pause(|pace| pace.lost(took, draw));
            }
        }
        Ok(())
    }

    /// Sees that what is published is the newest, or makes it so: others may have undone what a command found done.
    async fn confirm(&mut self) -> Result<(), EngineError> {
        if Journal::is_shared(&*self.journal) {
            let head = loop {
                match self.journal.head().await {
                    Ok(head) => break head,
                    Err(JournalError::Unreachable { operation, source }) => {
                        tracing::warn!(operation, error = %source, "journal not reached, tried again");
                        sleep(READ_AGAIN).await;
                    }
                    Err(error) => return Err(error.into()),
                }
            };
            self.catch_up(head).await?;
        }
        self.commit.confirmed();
        Ok(())
    }

    /// What waits is decided again without the commands that their callers have taken back.
    fn leave_out(&mut self) {
        let mut commands = self.commit.withdraw();
        commands.retain(|command| command.leave());
        self.commit.take(commands, clock::now());
    }

    /// A record that the journal does not take is made again of fewer commands; one alone is refused.
    fn part(&mut self, size: usize) {
        let mut commands = self.commit.withdraw();
        if commands.len() == 1 {
            let limit = self.journal.max_record();
            let text = format!(
                "What this would change takes {size} bytes, of which the journal takes {limit} at once. Ask for less."
            );
            let refused = commands.into_iter();
            refused.for_each(|command| command.refuse(Fault::new(FaultClass::LimitExceeded, text.as_str())));
            return;
        }
        let first = commands.len() / 2;
        let rest = commands.split_off(first);
        tracing::debug!(size, commands = first + rest.len(), "record parted");
        self.queue.put_back(rest, first);
        self.commit.take(commands, clock::now());
    }

    /// Reads what other writers appended, up to the head at least, and decides what waits on it.
    async fn catch_up(&mut self, head: Revision) -> Result<(), EngineError> {
        loop {
            let newest = self.commit.published().revision();
            if newest >= head {
                return Ok(());
            }
            let from = newest.next();
            match self.journal.read(from, READ_AT_ONCE).await {
                Ok(Found::Records(records)) if !records.is_empty() => self.hear(records)?,
                Ok(Found::Records(_)) => {
                    tracing::warn!(%from, %head, "the journal was read as of before its head, read again");
                    sleep(READ_AGAIN).await;
                }
                Ok(Found::Compacted { oldest }) => return Err(EngineError::Behind { from, oldest }),
                Err(JournalError::Unreachable { operation, source }) => {
                    tracing::warn!(operation, error = %source, "journal not reached, tried again");
                    sleep(READ_AGAIN).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Folds what other writers appended, and decides what waits again. What is folded already is left out.
    fn hear(&mut self, records: Vec<(Revision, Vec<u8>)>) -> Result<(), EngineError> {
        let newest = self.commit.published().revision();
        let mut missed = Vec::new();
        for (revision, bytes) in records.into_iter().filter(|(revision, _)| *revision > newest) {
            missed.push((recovery::decode(revision, &bytes)?, bytes.len()));
        }
        if let Some((first, _)) = missed.first() {
            recovery::follows(newest, first.revision)?;
            self.met = true;
            let (view, observer) = (&self.view, &*self.observer);
            self.commit.overtaken(missed, clock::now(), |state, record, size| {
                publish(view, observer, state.clone(), record, size);
            });
        }
        Ok(())
    }

    fn draw(&mut self) -> u64 {
        self.pauses += 1;
        nth_draw(self.seed ^ PAUSES, self.pauses)
    }

    fn pause(&mut self, of: impl FnOnce(&mut Pace) -> Duration) {
        let pause = of(&mut self.pace);
        // Nobody is to be let in where nobody else writes.
        if !pause.is_zero() && Journal::is_shared(&*self.journal) {
            self.resume = Some(Instant::now() + pause);
        }
    }
}

/// What others appended; never comes where there are none.
async fn next(news: &mut Option<News>) -> Result<Vec<(Revision, Vec<u8>)>, EngineError> {
    match news {
        Some(news) => news.recv().await.unwrap_or(Err(EngineError::NotFollowed)),
        None => std::future::pending().await,
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
