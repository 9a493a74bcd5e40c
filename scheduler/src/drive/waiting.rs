//! Brings tasks that wait together with what makes room for them.
//!
//! Woken by records: what a change may have made possible on an instance is held against the shapes of waiting tasks, and
//! for each that fits a command is submitted. Nothing is looked at again and again; the only timer is the next deadline.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use berth_model::fault::Fault;
use berth_scheduler_core::change::{Change, Record};
use berth_scheduler_core::decide::queue::{EndOverdue, PlaceQueued};
use berth_scheduler_core::state::State;
use berth_scheduler_core::wake::Hints;
use futures_util::{StreamExt, stream};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::clock;
use crate::engine::{Engine, Observer};
use crate::replicas::Replicas;

/// Commands that are on their way at once: they share records.
const AT_ONCE: usize = 64;
/// Pause after a command that could not be submitted.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest sleep before a deadline: a clock that was set is noticed by then.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// What records have made possible since the last look.
#[derive(Debug, Default)]
pub struct Wakeups {
    hints: Mutex<Hints>,
    wake: Notify,
}

impl Wakeups {
    fn take(&self) -> Hints {
        std::mem::take(&mut *self.hints.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, hints: Hints) {
        self.hints.lock().unwrap_or_else(PoisonError::into_inner).merge(hints);
    }
}

impl Observer for Wakeups {
    fn published(&self, state: &State, record: &Record, _bytes: usize) {
        let mut hints = Hints::default();
        let mut queued = false;
        for change in record.entries.iter().flat_map(|entry| &entry.changes) {
            hints.note(state, change);
            queued |= matches!(change, Change::TasksQueued { .. });
        }
        // A new deadline may be the next one.
        if !hints.is_empty() || queued {
            self.put(hints);
            self.wake.notify_one();
        }
    }
}

/// Places tasks that wait as soon as there is room, and ends those whose time is over. Runs until the process ends.
pub async fn admit(engine: Engine, wakeups: Arc<Wakeups>, replicas: Arc<Replicas>) {
    let mut moves = replicas.moves();
    let mut looked = false;
    loop {
        if !replicas.owns("waiting tasks") {
            looked = false;
            drop(wakeups.take());
            tokio::select! {
                () = wakeups.wake.notified() => {}
                Ok(()) = moves.changed() => {}
            }
            continue;
        }
        if !looked {
            // What made room while nobody looked is not known.
            looked = true;
            wakeups.put(Hints::everywhere(&engine.view()));
        }
        let hints = wakeups.take();
        let done = async {
            place(&engine, &hints).await?;
            end_overdue(&engine).await
        };
        if let Err(fault) = done.await {
            tracing::warn!(error = %fault, "waiting tasks not placed or ended");
            wakeups.put(hints);
            sleep(PAUSE).await;
            continue;
        }
        tokio::select! {
            () = wakeups.wake.notified() => {}
            () = sleep(until_next_deadline(&engine.view())) => {}
            Ok(()) = moves.changed() => {}
        }
    }
}

/// Submits the shapes that are woken, in their order, until none is.
async fn place(engine: &Engine, hints: &Hints) -> Result<(), Fault> {
    loop {
        let woken = hints.woken(&engine.view());
        if woken.is_empty() {
            return Ok(());
        }
        let submitted = woken.into_iter().map(|(shape, count)| {
            let command = PlaceQueued { shape, count };
            engine.submit(command, "scheduler".into())
        });
        let mut placed = stream::iter(submitted).buffered(AT_ONCE);
        while let Some(placed) = placed.next().await {
            tracing::debug!(tasks = placed?, "waiting tasks placed");
        }
    }
}

async fn end_overdue(engine: &Engine) -> Result<(), Fault> {
    let next = engine.view().queue().deadlines().next();
    let mut due = next.is_some_and(|(at, _)| at <= clock::now());
    while due {
        due = engine.submit(EndOverdue, "scheduler".into()).await?;
    }
    Ok(())
}

fn until_next_deadline(state: &State) -> Duration {
    let next = state.queue().deadlines().next();
    next.map_or(LONGEST_SLEEP, |(at, _)| at.since(clock::now()).min(LONGEST_SLEEP))
}

#[cfg(test)]
mod cost;
#[cfg(test)]
mod tests;
