//! The scheduler's own loops: they read the published state and submit commands, or keep the journal short.

pub mod scaling;
pub mod schedules;
pub mod services;
pub mod targets;
pub mod waiting;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use berth_model::time::Timestamp;
use berth_scheduler_core::change::Record;
use berth_scheduler_core::decide::upkeep::{ForgetServices, ForgetStoppedTasks};
use berth_scheduler_core::keys::Revision;
use berth_scheduler_core::state::State;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock;
use crate::engine::{Engine, Observer, write_snapshot};
use crate::journal::{Found, Journal, JournalError};
use crate::replicas::Replicas;

/// Tasks that one record drops, so that no command waits long behind it.
const FORGET_AT_ONCE: usize = 1000;
/// Bytes of records after which a snapshot is worth its while: about a second of replay.
const SNAPSHOT_AFTER: u64 = 64 * 1024 * 1024;

/// Counts what has been appended since the last snapshot.
#[derive(Debug, Default)]
pub struct Growth {
    bytes: AtomicU64,
}

impl Observer for Growth {
    fn published(&self, _state: &State, _record: &Record, bytes: usize) {
        self.bytes
            .fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Forgets tasks that have stopped, and services that are INACTIVE, for longer than `retention`.
pub async fn forget_stopped(engine: Engine, retention: Duration, replicas: Arc<Replicas>) {
    let mut ticks = every(Duration::from_secs(10));
    loop {
        ticks.tick().await;
        if !replicas.owns("forgetting") {
            continue;
        }
        if let Err(fault) = engine.submit(ForgetServices { retention }, "scheduler".into()).await {
            tracing::warn!(error = %fault, "services not forgotten");
        }
        loop {
            let command = ForgetStoppedTasks {
                retention,
                limit: FORGET_AT_ONCE,
            };
            match engine.submit(command, "scheduler".into()).await {
                Ok(count) if count == FORGET_AT_ONCE => {}
                Ok(_) => break,
                Err(fault) => {
                    tracing::warn!(error = %fault, "stopped tasks not forgotten");
                    break;
                }
            }
        }
    }
}

/// For how long the journal keeps what happened.
#[derive(Debug, Clone, Copy)]
pub enum History {
    /// Records that are younger.
    Time(Duration),
    /// Records since the snapshot before the newest: enough for those that follow the journal.
    Snapshots,
}

/// Writes snapshots as the journal grows, and drops records behind them that are not to be kept.
pub async fn keep_short<J: Journal>(
    engine: Engine,
    journal: Arc<J>,
    growth: Arc<Growth>,
    history: History,
    replicas: Arc<Replicas>,
) {
    let mut ticks = every(Duration::from_secs(30));
    let mut last_size = 0_u64;
    for tick in 0_u64.. {
        ticks.tick().await;
        if tick % 2 == 1
            && let Err(error) = journal.tidy().await
        {
            tracing::warn!(error = format!("{:#}", anyhow::Error::new(error)), "journal not tidied");
        }
        let grown = growth.bytes.load(Ordering::Relaxed);
        // A large state is worth a snapshot less often: writing costs no more than the records did.
        if grown < SNAPSHOT_AFTER.max(last_size) || !replicas.owns("snapshots") {
            continue;
        }
        match snapshot(&engine, &*journal, history).await {
            Ok(size) => {
                growth.bytes.fetch_sub(grown, Ordering::Relaxed);
                last_size = u64::try_from(size).unwrap_or(u64::MAX);
            }
            Err(error) => {
                tracing::error!(error = format!("{:#}", anyhow::Error::new(error)), "snapshot failed");
            }
        }
    }
}

/// Writes a snapshot and drops what it makes unnecessary; gives its size in bytes.
async fn snapshot(engine: &Engine, journal: &impl Journal, history: History) -> Result<usize, JournalError> {
    let before = journal.latest_snapshot_revision().await?;
    let state = engine.view();
    let size = write_snapshot(journal, &state).await?;
    tracing::info!(revision = %state.revision(), size, "snapshot written");
    match history {
        History::Time(history) => drop_history(journal, state.revision(), history).await?,
        History::Snapshots => journal.truncate(before).await?,
    }
    Ok(size)
}

async fn drop_history(journal: &impl Journal, covered: Revision, history: Duration) -> Result<(), JournalError> {
    let millis = i64::try_from(history.as_millis()).unwrap_or(i64::MAX);
    let cutoff = Timestamp::from_millis(clock::now().as_millis().saturating_sub(millis));
    let Found::Compacted { oldest } = journal.read(Revision(0), 1).await? else {
        return Ok(());
    };
    // Revisions are dense and time does not run backwards between them: bisect for the first that is young enough.
    let (mut low, mut high) = (oldest.0, covered.0);
    while low < high {
        let middle = low.midpoint(high);
        match time_of(journal, Revision(middle)).await? {
            Some(at) if at < cutoff => low = middle + 1,
            Some(_) | None => high = middle,
        }
    }
    journal.truncate(Revision(low)).await
}

async fn time_of(journal: &impl Journal, revision: Revision) -> Result<Option<Timestamp>, JournalError> {
    let Found::Records(records) = journal.read(revision, 1).await? else {
        return Ok(None);
    };
    let record = records
        .first()
        .and_then(|(_, bytes)| serde_json::from_slice::<Record>(bytes).ok());
    Ok(record.and_then(|record| record.entries.first().map(|entry| entry.at)))
}
