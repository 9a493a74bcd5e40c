//! Keeps the journal short: writes snapshots as it grows, and drops what is too old or too much.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use berth_model::time::Timestamp;
use berth_scheduler_core::change::Record;
use berth_scheduler_core::keys::Revision;
use berth_scheduler_core::state::State;

use super::every;
use crate::clock;
use crate::engine::{Engine, Observer, write_snapshot};
use crate::journal::{Found, Journal, JournalError, Kept};
use crate::replicas::Replicas;

/// Bytes of records after which a snapshot is worth its while: about a second of replay.
const SNAPSHOT_AFTER: u64 = 64 * 1024 * 1024;

/// Counts the bytes of records since the last snapshot.
#[derive(Debug, Default)]
pub struct Growth {
    bytes: AtomicU64,
}

impl Growth {
    /// Begins with those that were there before this process.
    #[must_use]
    pub fn from(bytes: u64) -> Self {
        Self { bytes: bytes.into() }
    }
}

impl Observer for Growth {
    fn published(&self, _state: &State, _record: &Record, bytes: usize) {
        self.bytes
            .fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// How much of what happened the journal keeps: no more than either says, and always what came since the snapshot before
/// the newest, for those that follow the journal.
#[derive(Debug, Clone, Copy)]
pub struct History {
    /// Records that are younger.
    pub age: Duration,
    /// Bytes of records, and of the snapshots before the newest.
    pub bytes: u64,
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
        match snapshot(&engine, &*journal, grown, history).await {
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
async fn snapshot(
    engine: &Engine,
    journal: &impl Journal,
    grown: u64,
    history: History,
) -> Result<usize, JournalError> {
    let state = engine.view();
    let size = write_snapshot(journal, &state, grown).await?;
    tracing::info!(revision = %state.revision(), size, "snapshot written");
    let now = clock::now();
    let millis = i64::try_from(history.age.as_millis()).unwrap_or(i64::MAX);
    let cutoff = Timestamp::from_millis(now.as_millis().saturating_sub(millis));
    let kept = journal.snapshots().await?;
    let too_much = within(&kept, history.bytes);
    let too_old = younger(journal, state.revision(), cutoff).await?;
    journal.truncate(too_much.max(too_old).min(followed(&kept))).await?;
    Ok(size)
}

/// The first record that those who follow the journal may not have: the one after the snapshot before the newest.
fn followed(kept: &[Kept]) -> Revision {
    match kept {
        [.., before, _] => before.revision.next(),
        _ => Revision::default(),
    }
}

/// The first record that is kept when records, and snapshots before the newest, may take so many bytes.
fn within(kept: &[Kept], limit: u64) -> Revision {
    let mut bytes = 0_u64;
    let mut first = followed(kept);
    for pair in kept.windows(2).rev() {
        let (before, next) = (pair[0], pair[1]);
        bytes = bytes.saturating_add(next.behind).saturating_add(before.bytes);
        if bytes > limit {
            return first;
        }
        first = before.revision.next();
    }
    // The records before the oldest snapshot, if they are still there.
    let before = kept.first().map_or(0, |oldest| oldest.behind);
    if bytes.saturating_add(before) > limit {
        first
    } else {
        Revision::default()
    }
}

/// The first record that is not older than `cutoff`; `covered` where all are.
async fn younger(journal: &impl Journal, covered: Revision, cutoff: Timestamp) -> Result<Revision, JournalError> {
    let Found::Compacted { oldest } = journal.read(Revision(0), 1).await? else {
        return Ok(Revision::default());
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
    Ok(Revision(low))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Snapshots of 10 bytes with so many bytes of records before each.
    fn kept(behind: &[u64]) -> Vec<Kept> {
        let kept = |(revision, behind): (u64, &u64)| Kept {
            revision: Revision(revision),
            chunks: 1,
            bytes: 10,
            behind: *behind,
        };
        (10..).step_by(10).zip(behind).map(kept).collect()
    }

    #[test]
    fn history_is_as_long_as_it_may_be_large() {
        let kept = kept(&[100, 100, 100, 100]);
        // The newest at 40 does not count. Those at 30, 20, 10 cost 110 each, the beginning 100.
        let first = |limit| within(&kept, limit).0;
        assert_eq!(first(430), 0);
        assert_eq!(first(429), 11);
        assert_eq!(first(330), 11);
        assert_eq!(first(329), 21);
        assert_eq!(first(220), 21);
        assert_eq!(first(219), 31);
    }

    #[test]
    fn what_came_since_the_snapshot_before_the_newest_is_kept_whatever_it_takes() {
        assert_eq!(within(&kept(&[100, 100, 100]), 1), Revision(21));
        assert_eq!(within(&kept(&[100, 100]), 1), Revision(11));
        assert_eq!(within(&kept(&[100]), 1), Revision(0));
        assert_eq!(within(&[], 1), Revision(0));
    }
}
