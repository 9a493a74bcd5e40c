//! The records of a run: those in etcd are taken while it runs, since schedulers delete what a snapshot covers; a file is
//! read at the end.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use berth_scheduler::journal::etcd::Etcd;
use berth_scheduler::journal::{Followed, Journal};
use berth_scheduler_core::change::Record;
use berth_scheduler_core::keys::Revision;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_stream::StreamExt;

use super::bed::Bed;
use crate::journal::each_record;

/// No scheduler has this number as a writer; nothing is written here.
const READER: u64 = 0;
const CATCHES_UP_WITHIN: Duration = Duration::from_secs(60);

/// Where the records of a run come from.
pub(super) enum Records {
    /// A file, at the end.
    File,
    /// etcd, as they come.
    Etcd(Follower),
}

pub(super) struct Follower {
    taken: Arc<Mutex<Vec<Vec<u8>>>>,
    /// The revision up to which all are wanted, once that is known.
    until: watch::Sender<Option<Revision>>,
    thread: JoinHandle<Result<()>>,
}

impl Records {
    /// Begins to take them.
    pub(super) fn of(bed: &Bed) -> Result<Self> {
        if bed.members.is_empty() {
            return Ok(Self::File);
        }
        let address = bed.journal().parse()?;
        let taken = Arc::new(Mutex::default());
        let (until, wanted) = watch::channel(None);
        let own = Arc::clone(&taken);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async { follow(&Etcd::open(&address, READER)?, &own, wanted).await })
        });
        Ok(Self::Etcd(Follower { taken, until, thread }))
    }

    /// Tells all of them in order when nothing is written any more; gives their size in bytes.
    pub(super) fn each(self, bed: &mut Bed, mut tell: impl FnMut(&Record)) -> Result<usize> {
        match self {
            Self::File => {
                let scheduler = &mut bed.schedulers[0].process;
                let status = scheduler.terminate()?;
                ensure!(status.success(), "the scheduler ended with {status}");
                let mut size = 0;
                each_record(scheduler.data_dir(), |record| {
                    size += serde_json::to_vec(record).map_or(0, |bytes| bytes.len());
                    tell(record);
                })?;
                Ok(size)
            }
            Self::Etcd(follower) => {
                for seat in &mut bed.schedulers {
                    let status = seat.process.terminate()?;
                    ensure!(status.success(), "a scheduler ended with {status}");
                }
                let address = bed.journal().parse()?;
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                let head = runtime.block_on(async { Etcd::open(&address, READER)?.head().await })?;
                follower.until.send_replace(Some(head));
                follower.thread.join().map_err(|_| anyhow!("the follower panicked"))??;
                let taken = follower.taken.lock().unwrap_or_else(PoisonError::into_inner);
                for bytes in taken.iter() {
                    tell(&serde_json::from_slice(bytes).context("a record")?);
                }
                Ok(taken.iter().map(Vec::len).sum())
            }
        }
    }
}

/// Takes records until it is known how many there are, and these are there.
async fn follow(
    journal: &Etcd,
    taken: &Mutex<Vec<Vec<u8>>>,
    mut until: watch::Receiver<Option<Revision>>,
) -> Result<()> {
    let mut stream = pin!(journal.follow(Revision(1)));
    let mut last = Revision(0);
    loop {
        let wanted = *until.borrow_and_update();
        if wanted.is_some_and(|wanted| last >= wanted) {
            return Ok(());
        }
        let next = timeout(CATCHES_UP_WITHIN, stream.next());
        let told = tokio::select! {
            told = next => told.context("the journal tells nothing")?.context("the journal has ended")?,
            // What has been told so far is kept.
            changed = until.changed() => {
                changed.context("nobody is left")?;
                continue;
            }
        };
        match told {
            Ok(Followed::Records(records)) => {
                let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
                for (revision, bytes) in records {
                    last = revision;
                    taken.push(bytes);
                }
            }
            Ok(Followed::Quiet { .. }) | Err(_) => {}
            Ok(Followed::Compacted { oldest }) => bail!("records before {oldest} were deleted before they were read"),
        }
    }
}
