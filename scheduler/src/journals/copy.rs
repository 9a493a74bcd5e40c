//! Takes a journal's parts to another place, and looks at what has come of them before it is a journal.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use berth_scheduler_core::keys::Revision;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::verify::{Content, examine};
use super::{say, size};
use crate::engine::{chunks, recover};
use crate::journal::transfer::{Import, Part, Parts};
use crate::journal::{Journal, Kept};

/// How long the next part may be on its way.
const COMES_WITHIN: Duration = Duration::from_secs(60);

/// Copies all parts, verifies what has come of them, and makes it a journal.
pub(super) async fn copy(mut parts: Parts, mut import: impl Import, to: &str) -> anyhow::Result<()> {
    let mut progress = Progress::begin();
    let sent = take(&mut parts, &mut import, &mut progress).await?;
    progress.end()?;
    let whole = import.whole(sent.head).await?;
    let (found, _) = examine(&whole).await.context("what was copied is not sound")?;
    drop(whole);
    if found != sent {
        bail!("what was copied is not what was sent: {found:?} of {sent:?}");
    }
    import.publish().await?;
    say(&format!(
        "copied to {to}: {} records, {}, up to {}; {} snapshots; verified",
        sent.records,
        size(sent.bytes),
        sent.head,
        sent.snapshots
    ))
}

async fn take(parts: &mut Parts, import: &mut impl Import, progress: &mut Progress) -> anyhow::Result<Content> {
    let mut content = Content::default();
    let mut snapshot: Option<(Kept, Vec<Vec<u8>>)> = None;
    let mut newest = Revision::default();
    loop {
        let part = timeout(COMES_WITHIN, parts.recv()).await;
        let part = part.context("nothing more has come for a minute")?;
        match part.context("the journal was cut off before its end")?? {
            Part::Snapshot(kept) if snapshot.is_none() => {
                newest = kept.revision;
                content.snapshots += 1;
                snapshot = Some((kept, Vec::new()));
            }
            Part::Chunk(chunk) => match &mut snapshot {
                Some((_, chunks)) => chunks.push(chunk),
                None => bail!("a chunk of no snapshot was sent"),
            },
            Part::Records(records) if snapshot.is_none() => {
                for (revision, record) in &records {
                    if content.records > 0 && *revision != content.head.next() {
                        bail!("record {revision} was sent after {}", content.head);
                    }
                    content.add(*revision, record);
                }
                progress.at(&content)?;
                import.records(records).await?;
            }
            Part::End { head } if snapshot.is_none() => {
                if head != content.head.max(newest) {
                    bail!(
                        "the journal ends with {head}, what was sent with {}",
                        content.head.max(newest)
                    );
                }
                if head == Revision::default() {
                    bail!("there is nothing to copy: the journal is empty");
                }
                content.head = head;
                return Ok(content);
            }
            Part::Snapshot(_) | Part::Records(_) | Part::End { .. } => {
                bail!("a snapshot was cut off before its end");
            }
        }
        if let Some((kept, chunks)) = snapshot.take_if(|(kept, chunks)| u32::try_from(chunks.len()) == Ok(kept.chunks))
        {
            import.snapshot(kept, chunks).await?;
        }
    }
}

/// The newest state as a journal that has nothing else.
pub(super) async fn state_alone(journal: &impl Journal) -> anyhow::Result<Parts> {
    let state = recover(journal).await?;
    let chunks: Vec<Vec<u8>> = chunks(&state).collect();
    let kept = Kept {
        revision: state.revision(),
        chunks: u32::try_from(chunks.len())?,
        bytes: u64::try_from(chunks.iter().map(Vec::len).sum::<usize>())?,
        behind: 0,
    };
    let (out, parts) = mpsc::channel(1);
    tokio::spawn(async move {
        let head = kept.revision;
        let all = std::iter::once(Part::Snapshot(kept))
            .chain(chunks.into_iter().map(Part::Chunk))
            .chain([Part::End { head }]);
        for part in all {
            if out.send(Ok(part)).await.is_err() {
                return;
            }
        }
    });
    Ok(parts)
}

/// Says every second how far it is.
struct Progress {
    said: Instant,
    any: bool,
}

impl Progress {
    fn begin() -> Self {
        Self {
            said: Instant::now(),
            any: false,
        }
    }

    fn at(&mut self, content: &Content) -> io::Result<()> {
        if self.said.elapsed() < Duration::from_secs(1) {
            return Ok(());
        }
        self.said = Instant::now();
        self.any = true;
        let mut out = io::stderr().lock();
        write!(
            out,
            "\r{} records, {}, at {}",
            content.records,
            size(content.bytes),
            content.head
        )?;
        out.flush()
    }

    fn end(&self) -> io::Result<()> {
        if self.any {
            writeln!(io::stderr().lock())
        } else {
            Ok(())
        }
    }
}
