//! States of the past, and the records that made them: what is answered to those who ask how it was.
//!
//! States that answers have named a moment ago are at hand. Older ones are made again from a snapshot and the records
//! after it: one at a time, on a thread for what takes long, so that they cost the present no more than one core and one
//! state's memory. A few are kept for as long as they are asked for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use berth_model::fault::{Fault, FaultClass};
use berth_model::time::Timestamp;
use berth_scheduler_core::change::Record;
use berth_scheduler_core::keys::Revision;
use berth_scheduler_core::state::State;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::recovery::{RecoveryError, decode, recover_at};
use super::{Engine, closed};
use crate::clock;
use crate::journal::{Found, Journal, JournalError};

/// States that answers have named which are at hand, and for how long: who reads page after page, or what an earlier answer
/// has named, asks for the same again.
const RECENT: usize = 16;
const RECENT_FOR: Duration = Duration::from_secs(30);
/// States made again that are kept, and tasks in them together; one state is kept however large it is.
const REMADE: usize = 4;
const REMADE_TASKS: usize = 500_000;
const REMADE_FOR: Duration = Duration::from_secs(60);
/// Callers that wait for a state to be made, and for how long.
const WAITING: usize = 16;
const PATIENCE: Duration = Duration::from_secs(25);
/// How long a revision is waited for that another scheduler has told, and how often it is looked for.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(10);

/// The past of an engine's state; clones share it.
#[derive(Clone)]
pub struct Past(Arc<Shared>);

struct Shared {
    engine: Engine,
    journal: Box<dyn Records>,
    kept: Mutex<Kept>,
    /// The turn to make a state.
    turn: Arc<Semaphore>,
    waiting: Semaphore,
}

/// What is read of a journal.
trait Records: Send + Sync {
    fn read(&self, from: Revision, limit: usize) -> BoxFuture<'_, Result<Found, JournalError>>;

    fn state_at(&self, revision: Revision) -> BoxFuture<'_, Result<State, RecoveryError>>;
}

struct Of<J>(Arc<J>);

impl<J: Journal> Records for Of<J> {
    fn read(&self, from: Revision, limit: usize) -> BoxFuture<'_, Result<Found, JournalError>> {
        Box::pin(self.0.read(from, limit))
    }

    fn state_at(&self, revision: Revision) -> BoxFuture<'_, Result<State, RecoveryError>> {
        Box::pin(recover_at(&*self.0, revision))
    }
}

/// The states that need not be made.
#[derive(Default)]
struct Kept {
    recent: VecDeque<Held>,
    remade: VecDeque<Held>,
}

struct Held {
    state: Arc<State>,
    used: Instant,
}

impl std::fmt::Debug for Past {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Past").finish_non_exhaustive()
    }
}

impl Past {
    /// The past of what the engine has appended to the journal, and those before it.
    #[must_use]
    pub fn new<J: Journal>(engine: Engine, journal: Arc<J>) -> Self {
        Self(Arc::new(Shared {
            engine,
            journal: Box::new(Of(journal)),
            kept: Mutex::default(),
            turn: Arc::new(Semaphore::new(1)),
            waiting: Semaphore::new(WAITING),
        }))
    }

    /// Gives back the memory of states that nobody has asked for lately; for as long as the process lives.
    pub async fn tidy_up(self) {
        let mut ticks = interval(RECENT_FOR);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.0.kept().drop_idle(Instant::now());
        }
    }

    /// Keeps a state at hand that an answer is about to name.
    pub fn note(&self, state: &Arc<State>) {
        self.0.kept().note(state, Instant::now());
    }

    /// The state at a revision.
    ///
    /// # Errors
    /// `InvalidParameterException` for a revision that does not exist, or that the journal does not reach back to any more;
    /// `ThrottlingException` where too many wait; `ServerException` where it takes too long or the journal cannot be read.
    pub async fn at(&self, revision: Revision) -> Result<Arc<State>, Fault> {
        let newest = self.reached(revision).await?;
        if newest.revision() == revision {
            return Ok(newest);
        }
        if let Some(state) = self.0.kept().find(revision, Instant::now()) {
            return Ok(state);
        }
        let place = self.0.waiting.try_acquire();
        let _place = place.map_err(|_| Fault::new(FaultClass::Throttling, "Rate exceeded"))?;
        let made = timeout(PATIENCE, self.made(revision, newest.task_count())).await;
        made.unwrap_or_else(|_elapsed| {
            Err(Fault::unavailable(format!(
                "The state at revision {revision} is still being made from the journal after {} seconds. Try again.",
                PATIENCE.as_secs()
            )))
        })
    }

    /// The newest state, once it has the revision.
    async fn reached(&self, revision: Revision) -> Result<Arc<State>, Fault> {
        let deadline = Instant::now() + FOLLOWS_WITHIN;
        loop {
            let newest = self.0.engine.view();
            if newest.revision() >= revision {
                return Ok(newest);
            }
            if !self.0.engine.journal.is_shared() || Instant::now() >= deadline {
                return Err(Fault::invalid(format!(
                    "Revision {revision} does not exist yet: the newest is {}.",
                    newest.revision()
                )));
            }
            sleep(LOOK).await;
        }
    }

    async fn made(&self, revision: Revision, about: usize) -> Result<Arc<State>, Fault> {
        let turn = Arc::clone(&self.0.turn).acquire_owned().await.map_err(|_| closed())?;
        if let Some(state) = self.0.kept().find(revision, Instant::now()) {
            return Ok(state);
        }
        let shared = Arc::clone(&self.0);
        let runtime = Handle::current();
        // Goes on when the caller has gone: who asks again finds it.
        let making = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            shared.kept().make_room(about);
            let state = Arc::new(runtime.block_on(shared.journal.state_at(revision))?);
            shared.kept().keep(&state, Instant::now());
            Ok(state)
        });
        match making.await {
            Ok(Ok(state)) => Ok(state),
            Ok(Err(RecoveryError::TooOld { oldest, .. })) => {
                Err(self.not_kept(&format!("Revision {revision}"), oldest).await)
            }
            Ok(Err(error)) => Err(unreadable(error)),
            Err(error) => Err(Fault::server(format!(
                "the state at revision {revision} was not made: {error}"
            ))),
        }
    }

    /// The last revision that was there at a time, by the clocks of the schedulers that wrote it.
    ///
    /// # Errors
    /// As [`Past::at`]; `InvalidParameterException` also for a time that lies ahead.
    pub async fn revision_at(&self, time: Timestamp) -> Result<Revision, Fault> {
        if time > clock::now() {
            return Err(Fault::invalid(format!("{} lies in the future.", time.to_rfc3339())));
        }
        let oldest = self.oldest().await?;
        let head = self.0.engine.view().revision();
        // Revisions are dense and time does not run backwards between them: bisect for the first that was later.
        let (mut low, mut high) = (oldest.0, head.0 + 1);
        while low < high {
            let middle = low.midpoint(high);
            match self.time_of(Revision(middle)).await? > time {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        match low {
            first if first == oldest.0 && first > 1 => Err(self.not_kept(&time.to_rfc3339(), oldest).await),
            later => Ok(Revision(later.saturating_sub(1))),
        }
    }

    /// When a record was written; the beginning of time for the state before the first.
    ///
    /// # Errors
    /// As [`Past::at`].
    pub async fn time_of(&self, revision: Revision) -> Result<Timestamp, Fault> {
        if revision == Revision(0) {
            return Ok(Timestamp::from_millis(0));
        }
        let bytes = match self.0.journal.read(revision, 1).await.map_err(RecoveryError::from) {
            Ok(Found::Records(mut records)) => records.pop(),
            Ok(Found::Compacted { oldest }) => return Err(self.older(&format!("Revision {revision}"), oldest, None)),
            Err(error) => return Err(unreadable(error)),
        };
        let (_, bytes) = bytes.ok_or_else(|| Fault::invalid(format!("Revision {revision} does not exist yet.")))?;
        let record = Self::decoded(revision, &bytes)?;
        Ok(record
            .entries
            .last()
            .map_or(Timestamp::from_millis(0), |entry| entry.at))
    }

    /// The oldest record that is kept.
    ///
    /// # Errors
    /// `ServerException` where the journal cannot be read.
    pub async fn oldest(&self) -> Result<Revision, Fault> {
        match self.0.journal.read(Revision(1), 1).await {
            Ok(Found::Records(_)) => Ok(Revision(1)),
            Ok(Found::Compacted { oldest }) => Ok(oldest),
            Err(error) => Err(unreadable(error.into())),
        }
    }

    /// Up to `limit` records as they are, from a revision on; fewer, or none, where the journal has no more or does not reach
    /// back so far.
    ///
    /// # Errors
    /// `ServerException` where the journal cannot be read.
    pub async fn records(&self, from: Revision, limit: usize) -> Result<Vec<(Revision, Vec<u8>)>, Fault> {
        match self.0.journal.read(from, limit).await {
            Ok(Found::Records(records)) => Ok(records),
            Ok(Found::Compacted { .. }) => Ok(Vec::new()),
            Err(error) => Err(unreadable(error.into())),
        }
    }

    /// The record in the bytes.
    ///
    /// # Errors
    /// `ServerException` for what this build does not understand.
    pub fn decoded(revision: Revision, bytes: &[u8]) -> Result<Record, Fault> {
        decode(revision, bytes).map_err(unreadable)
    }

    async fn not_kept(&self, what: &str, oldest: Revision) -> Fault {
        // Where a snapshot is the oldest, the first record after it tells about when that was.
        let mut time = self.time_of(oldest).await.ok();
        if time.is_none() {
            time = self.time_of(oldest.next()).await.ok();
        }
        self.older(what, oldest, time)
    }

    fn older(&self, what: &str, oldest: Revision, time: Option<Timestamp>) -> Fault {
        let of = time.map_or_else(String::new, |time| format!(" of {}", time.to_rfc3339()));
        Fault::invalid(format!(
            "{what} is older than what the journal keeps: its oldest revision is {oldest}{of}."
        ))
    }
}

impl Shared {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Whoever panicked left lists behind in which each state is whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn note(&mut self, state: &Arc<State>, now: Instant) {
        if let Some(newest) = self.recent.back_mut()
            && newest.state.revision() == state.revision()
        {
            newest.used = now;
            return;
        }
        let state = Arc::clone(state);
        self.recent.push_back(Held { state, used: now });
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    fn find(&mut self, revision: Revision, now: Instant) -> Option<Arc<State>> {
        let mut all = self.recent.iter_mut().chain(&mut self.remade);
        let held = all.find(|held| held.state.revision() == revision)?;
        held.used = now;
        Some(Arc::clone(&held.state))
    }

    /// Drops states, those first that nobody has asked for longest, until one of about so many tasks may be added.
    fn make_room(&mut self, tasks: usize) {
        let sum = |remade: &VecDeque<Held>| remade.iter().map(|held| held.state.task_count()).sum::<usize>();
        while !self.remade.is_empty() && (self.remade.len() >= REMADE || sum(&self.remade) + tasks > REMADE_TASKS) {
            let idle = self.remade.iter().enumerate().min_by_key(|(_, held)| held.used);
            if let Some((at, _)) = idle {
                self.remade.remove(at);
            }
        }
    }

    fn keep(&mut self, state: &Arc<State>, now: Instant) {
        self.make_room(state.task_count());
        let state = Arc::clone(state);
        self.remade.push_back(Held { state, used: now });
    }

    fn drop_idle(&mut self, now: Instant) {
        let is_used = |held: &Held, span: Duration| now.saturating_duration_since(held.used) < span;
        self.recent.retain(|held| is_used(held, RECENT_FOR));
        self.remade.retain(|held| is_used(held, REMADE_FOR));
    }
}

fn unreadable(error: RecoveryError) -> Fault {
    let is_away = matches!(error, RecoveryError::Journal(JournalError::Unreachable { .. }));
    let text = format!("{:#}", anyhow::Error::new(error));
    tracing::warn!(error = text, "the past cannot be read");
    match is_away {
        true => Fault::unavailable(format!("The journal cannot be read: {text}. Try again later.")),
        false => Fault::server(format!("The journal cannot be read: {text}")),
    }
}

#[cfg(test)]
mod tests;
