//! Prints what is in a journal.

use anyhow::bail;
use berth_scheduler_core::change::Record;
use berth_scheduler_core::keys::Revision;

use super::{ShowArgs, range, say, size};
use crate::engine::decode;
use crate::journal::{Found, Journal};

const READ_AT_ONCE: usize = 256;

/// Shows what `args` asks for.
pub(super) async fn run(journal: &impl Journal, args: &ShowArgs) -> anyhow::Result<()> {
    if args.from.is_none() && args.to.is_none() {
        return summary(journal, args.json).await;
    }
    let oldest = oldest(journal).await?;
    let from = args.from.map_or(oldest, Revision);
    if from < oldest {
        bail!("record {from} is not kept any more: the oldest is {oldest}");
    }
    let to = args.to.map_or(Revision(u64::MAX), Revision);
    let mut next = from;
    while next <= to {
        let behind = usize::try_from(to.0 - next.0).unwrap_or(usize::MAX).saturating_add(1);
        let records = match journal.read(next, behind.min(READ_AT_ONCE)).await? {
            Found::Compacted { oldest } => bail!("record {next} was deleted meanwhile: the oldest is {oldest}"),
            Found::Records(records) if records.is_empty() => break,
            Found::Records(records) => records,
        };
        for (revision, bytes) in records {
            if args.json {
                // A record is JSON already.
                say(&String::from_utf8_lossy(&bytes))?;
            } else {
                print(&decode(revision, &bytes)?)?;
            }
            next = revision.next();
        }
    }
    Ok(())
}

/// The oldest record that is kept, or would be.
async fn oldest(journal: &impl Journal) -> anyhow::Result<Revision> {
    Ok(match journal.read(Revision(0), 1).await? {
        Found::Compacted { oldest } => oldest,
        Found::Records(_) => Revision(1),
    })
}

fn print(record: &Record) -> anyhow::Result<()> {
    for entry in &record.entries {
        say(&format!(
            "{} {} by {}",
            record.revision,
            entry.at.to_rfc3339(),
            entry.by
        ))?;
        for change in &entry.changes {
            say(&format!("    {}", serde_json::to_string(change)?))?;
        }
    }
    Ok(())
}

async fn summary(journal: &impl Journal, json: bool) -> anyhow::Result<()> {
    let (first, head) = (oldest(journal).await?, journal.head().await?);
    let snapshots = journal.snapshots().await?;
    if json {
        let snapshots: Vec<_> = snapshots
            .iter()
            .map(|kept| serde_json::json!({"revision": kept.revision.0, "chunks": kept.chunks, "bytes": kept.bytes}))
            .collect();
        let summary = serde_json::json!({"first": first.0, "head": head.0, "snapshots": snapshots});
        return say(&summary.to_string());
    }
    say(&range(first, head))?;
    for kept in &snapshots {
        say(&format!("snapshot at {}: {}", kept.revision, size(kept.bytes)))?;
    }
    Ok(())
}
