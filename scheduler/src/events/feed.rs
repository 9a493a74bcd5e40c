//! The newest events, derived once for all who watch.
//!
//! A feed follows the journal for as long as somebody reads it and a minute longer. It waits for nobody: a reader that is
//! too slow finds that what it wants is not there any more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use berth_scheduler_core::event::Position;
use berth_scheduler_core::keys::Revision;
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::time::Instant;

use super::records::{Derivation, Records};
use super::ring::{Ring, Slice};
use super::{Told, WatchError};
use crate::journal::{Followed, JournalError};

/// How long a feed goes on without a reader: one whose connection broke comes back.
const LINGERS: Duration = Duration::from_secs(60);

/// The newest events.
#[derive(Debug)]
pub(super) struct Feed {
    ring: Mutex<Ring>,
    progress: watch::Sender<Progress>,
}

/// How far a feed is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// All events of the revision are there.
    At(Revision),
    /// Nothing more comes: something is wrong, or nobody read.
    Ended(Option<WatchError>),
}

impl Feed {
    pub(super) fn behind(revision: Revision) -> Self {
        Self {
            ring: Mutex::new(Ring::behind(revision)),
            progress: watch::channel(Progress::At(revision)).0,
        }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all events behind the position are here, or still to come.
    pub(super) fn covers(&self, position: Position) -> bool {
        self.ring().covers(position)
    }

    /// The next events behind the position; nothing where some of them are not here any more.
    pub(super) fn behind_position(&self, position: Position) -> Option<Slice> {
        self.ring().behind_position(position)
    }

    /// Hears of each revision that is put in.
    pub(super) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(&*self.progress.borrow(), Progress::Ended(_))
    }

    fn push(&self, revision: Revision, events: Vec<Arc<Told>>) {
        self.ring().push(revision, events);
        self.progress.send_replace(Progress::At(revision));
    }

    /// Follows the journal until nobody reads any more, or something is wrong.
    pub(super) async fn run(self: Arc<Self>, derivation: Derivation, records: Arc<dyn Records>) {
        let ended = match self.follow(derivation, &*records).await {
            Ok(()) => None,
            Err(error) => {
                tracing::warn!(%error, "events are not derived any more");
                Some(error)
            }
        };
        self.progress.send_replace(Progress::Ended(ended));
    }

    async fn follow(self: &Arc<Self>, mut derivation: Derivation, records: &dyn Records) -> Result<(), WatchError> {
        let mut stream = records.follow(derivation.revision().next());
        let mut read_at = Instant::now();
        while let Some(followed) = stream.next().await {
            match followed {
                Ok(Followed::Records(records)) => {
                    for (revision, bytes) in records {
                        let events;
                        (derivation, events) = derivation.add(revision, bytes).await?;
                        self.push(revision, events);
                    }
                }
                Ok(Followed::Quiet { .. }) => {}
                Ok(Followed::Compacted { oldest }) => {
                    let asked = derivation.revision().next();
                    return Err(WatchError::Compacted { asked, oldest });
                }
                Err(error @ JournalError::Unreachable { .. }) => {
                    tracing::warn!(error = berth_daemon::chain(&error), "journal not reached, tried again");
                }
                Err(error) => return Err(WatchError::failed(&error)),
            }
            // This task has one share of it; who finds the feed takes another.
            if Arc::strong_count(self) > 1 {
                read_at = Instant::now();
            } else if read_at.elapsed() >= LINGERS {
                return Ok(());
            }
        }
        Err(WatchError::Failed("the journal is not followed any more".into()))
    }
}
