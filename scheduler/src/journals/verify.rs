//! Reads all of a journal and sees that it adds up.

use std::time::Instant;

use anyhow::{Context, bail};
use berth_scheduler_core::fold::fold_record;
use berth_scheduler_core::invariant::violations;
use berth_scheduler_core::keys::Revision;
use berth_scheduler_core::state::State;

use super::{range, say, size};
use crate::engine::{decode, restore};
use crate::journal::{Found, Journal};

const READ_AT_ONCE: usize = 256;

/// What a journal holds, as it was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) snapshots: usize,
    pub(super) records: u64,
    /// Bytes of the records.
    pub(super) bytes: u64,
    /// A checksum of all records in order.
    pub(super) digest: u32,
    /// The newest revision.
    pub(super) head: Revision,
}

impl Content {
    /// Counts a record.
    pub(super) fn add(&mut self, revision: Revision, record: &[u8]) {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.digest);
        hasher.update(&revision.0.to_le_bytes());
        hasher.update(record);
        self.digest = hasher.finalize();
        self.records += 1;
        self.bytes += u64::try_from(record.len()).unwrap_or(u64::MAX);
        self.head = revision;
    }
}

/// Reads everything: each checksum is right, no record is missing, all of them fold, each snapshot is the state at its
/// revision, and the states are sound.
///
/// # Errors
/// The first thing that is wrong.
pub(super) async fn examine(journal: &impl Journal) -> anyhow::Result<(Content, State)> {
    let kept = journal.snapshots().await?;
    let mut content = Content {
        snapshots: kept.len(),
        ..Content::default()
    };
    let mut state = State::default();
    if let Found::Compacted { .. } = journal.read(Revision(1), 1).await?
        && let Some(oldest) = kept.first()
    {
        state = state_at(journal, oldest.revision).await?;
    }
    let mut snapshots = kept.iter().map(|kept| kept.revision).peekable();
    loop {
        let revision = state.revision();
        if snapshots.next_if_eq(&revision).is_some() {
            if state_at(journal, revision).await? != state {
                bail!("the snapshot at {revision} is not what the records before it add up to");
            }
            sound(&state)?;
        }
        let next = revision.next();
        let records = match journal
            .read(next, READ_AT_ONCE.min(until(&mut snapshots, revision)))
            .await?
        {
            Found::Compacted { oldest } => bail!("record {next} is missing: {oldest} is the first"),
            Found::Records(records) if records.is_empty() => break,
            Found::Records(records) => records,
        };
        for (revision, record) in records {
            if revision != state.revision().next() {
                bail!(
                    "record {} is missing: {revision} is in its place",
                    state.revision().next()
                );
            }
            fold_record(&mut state, &decode(revision, &record)?);
            content.add(revision, &record);
        }
    }
    if let Some(beyond) = snapshots.next() {
        bail!(
            "the records end with {}, before the snapshot at {beyond}",
            state.revision()
        );
    }
    sound(&state)?;
    content.head = state.revision();
    Ok((content, state))
}

/// How many records there are up to the next snapshot.
fn until(snapshots: &mut std::iter::Peekable<impl Iterator<Item = Revision>>, from: Revision) -> usize {
    let next = snapshots.peek().map_or(u64::MAX, |next| next.0);
    usize::try_from(next.saturating_sub(from.0)).unwrap_or(usize::MAX)
}

async fn state_at(journal: &impl Journal, revision: Revision) -> anyhow::Result<State> {
    let snapshot = journal.snapshot_before(revision).await?;
    let snapshot = snapshot.filter(|snapshot| snapshot.revision == revision);
    let snapshot = snapshot.with_context(|| format!("the snapshot at {revision} is gone"))?;
    Ok(restore(revision, &snapshot.chunks)?)
}

fn sound(state: &State) -> anyhow::Result<()> {
    let violations = violations(state);
    if let Some(first) = violations.first() {
        bail!(
            "the state at revision {} is not sound: {first} ({} in all)",
            state.revision(),
            violations.len()
        );
    }
    Ok(())
}

/// Verifies a journal and says what was found.
pub(super) async fn run(journal: &impl Journal) -> anyhow::Result<()> {
    let begun = Instant::now();
    let (content, state) = examine(journal).await?;
    let first = Revision(content.head.0 + 1 - content.records);
    say(&format!(
        "sound: {}, {}; {} snapshots; {} clusters, {} tasks; {:.1} s",
        range(first, content.head),
        size(content.bytes),
        content.snapshots,
        state.clusters().count(),
        state.task_count(),
        begun.elapsed().as_secs_f64()
    ))
}
