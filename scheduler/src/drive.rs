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
pub async fn forget_stopped(engine: Engine, retention: Duration) {
    let mut ticks = every(Duration::from_secs(10));
    loop {
        ticks.tick().await;
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

/// Writes snapshots as the journal grows, and drops the records behind them that are older than `history`.
pub async fn keep_short<J: Journal>(engine: Engine, journal: Arc<J>, growth: Arc<Growth>, history: Duration) {
    let mut ticks = every(Duration::from_secs(30));
    let mut last_size = 0_u64;
    loop {
        ticks.tick().await;
        let grown = growth.bytes.load(Ordering::Relaxed);
        // A large state is worth a snapshot less often: writing costs no more than the records did.
        if grown < SNAPSHOT_AFTER.max(last_size) {
            continue;
        }
        let state = engine.view();
        match write_snapshot(&*journal, &state).await {
            Ok(size) => {
                growth.bytes.fetch_sub(grown, Ordering::Relaxed);
                last_size = u64::try_from(size).unwrap_or(u64::MAX);
                tracing::info!(revision = %state.revision(), size, "snapshot written");
            }
            Err(error) => {
                tracing::error!(error = format!("{:#}", anyhow::Error::new(error)), "snapshot failed");
                continue;
            }
        }
        if let Err(error) = drop_history(&*journal, state.revision(), history).await {
            tracing::error!(
                error = format!("{:#}", anyhow::Error::new(error)),
                "old records not dropped"
            );
        }
    }
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
