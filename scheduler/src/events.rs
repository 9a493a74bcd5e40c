//! What happens, told as it happens: events that follow from the journal's records, for watchers and sinks.
//!
//! Nothing is kept of them: an event is its place in the journal, so that whoever says how far it was told goes on there,
//! at this scheduler or at another, now or after a restart. The newest are derived once for all (`feed`); who begins
//! further back is served from the journal until it has caught up, a few at a time. A reader that does not keep up is
//! ended with the position from which to go on, and costs no other reader anything.

mod envelope;
mod feed;
mod file;
mod filter;
mod records;
mod ring;
mod watcher;
mod webhook;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use berth_model::arn::Namespace;
use berth_model::fault::{Fault, FaultClass};
use berth_scheduler_core::event::Position;
use berth_scheduler_core::keys::Revision;
use berth_scheduler_core::state::State;
use futures_util::Stream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::engine::{Engine, RecoveryError};
use crate::journal::{Journal, JournalError};
pub use envelope::Told;
use feed::Feed;
pub use file::keep_file;
pub use filter::Filter;
use records::{Derivation, Records};
use watcher::Watcher;
pub use webhook::{Sender, Webhook, keep_webhook};

/// How often a watcher is told how far it is.
pub const HEARTBEAT: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 5 });
/// Streams at a time.
const WATCHERS: usize = 1000;
/// Streams at a time that are served from the journal: each has a state of its own.
const FROM_JOURNAL: usize = 2;
/// A feed that begins for a watcher which is no further back than this begins where that was.
const NEAR: u64 = 10_000;

/// Where a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what happens from now on.
    Now,
    /// Behind a position.
    After(Position),
    /// So many revisions back, as far as the journal reaches.
    Last(u64),
}

/// Some of the events that are wanted, in order; none where there is only to say how far it is.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The events.
    pub events: Vec<Arc<Told>>,
    /// Behind them, and behind what was not wanted.
    pub position: Position,
    /// The newest revision of the journal, as far as this scheduler knows.
    pub head: Revision,
}

/// Why a stream does not begin, or ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// What it wants is not in the journal any more.
    #[error(
        "Events from revision {asked} on are not in the journal any more. The oldest that can be told is {oldest}."
    )]
    Compacted {
        /// The first revision that was wanted.
        asked: Revision,
        /// The oldest whose events can be had.
        oldest: Revision,
    },
    /// It wants what follows something that is not there.
    #[error("The journal ends with revision {head}, before {position}: it is another journal, or was restored.")]
    Ahead {
        /// Behind which it wants events.
        position: Position,
        /// The newest revision.
        head: Revision,
    },
    /// Others are served.
    #[error("{0} streams of events are open, as many as there may be. Try again later.")]
    TooMany(usize),
    /// Others are served from the journal.
    #[error("{0} streams are being served events from further back, as many as there may be. Try again later.")]
    TooManyBehind(usize),
    /// It does not keep up with what happens.
    #[error("The reader does not keep up. Go on after {after}.")]
    Slow {
        /// Behind what it was told.
        after: Position,
    },
    /// The scheduler ends.
    #[error("The scheduler is shutting down. Go on after {after}.")]
    Shutdown {
        /// Behind what it was told.
        after: Position,
    },
    /// Something is wrong with the scheduler or its journal.
    #[error("Events cannot be told: {0}.")]
    Failed(Arc<str>),
}

impl WatchError {
    fn failed(error: &dyn std::error::Error) -> Self {
        Self::Failed(berth_daemon::chain(error).into())
    }

    /// As ECS counts.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let class = match self {
            Self::Compacted { .. } | Self::Ahead { .. } => FaultClass::InvalidParameter,
            Self::TooMany(_) | Self::TooManyBehind(_) | Self::Slow { .. } => FaultClass::Throttling,
            Self::Shutdown { .. } | Self::Failed(_) => FaultClass::Server,
        };
        Fault::new(class, self.to_string())
    }
}

impl From<RecoveryError> for WatchError {
    fn from(error: RecoveryError) -> Self {
        match error {
            RecoveryError::TooOld { wanted, oldest } => Self::Compacted {
                asked: wanted.next(),
                oldest: oldest.next(),
            },
            other @ (RecoveryError::Journal(_)
            | RecoveryError::Record { .. }
            | RecoveryError::Snapshot { .. }
            | RecoveryError::NotYet { .. }
            | RecoveryError::Gap { .. }) => Self::failed(&other),
        }
    }
}

impl From<JournalError> for WatchError {
    fn from(error: JournalError) -> Self {
        Self::failed(&error)
    }
}

/// The events of a journal.
pub struct Events {
    engine: Engine,
    records: Arc<dyn Records>,
    namespace: Arc<Namespace>,
    shutdown: CancellationToken,
    /// The feed that is there for as long as it is read.
    feed: Mutex<Weak<Feed>>,
    /// Turns to begin one.
    starting: Semaphore,
    watchers: Arc<Semaphore>,
    from_journal: Semaphore,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Events {
    /// The events of what the engine's journal has; their streams end when `shutdown` is cancelled.
    #[must_use]
    pub fn new<J: Journal>(
        engine: Engine,
        journal: Arc<J>,
        namespace: Arc<Namespace>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            engine,
            records: journal,
            namespace,
            shutdown,
            feed: Mutex::default(),
            starting: Semaphore::new(1),
            watchers: Arc::new(Semaphore::new(WATCHERS)),
            from_journal: Semaphore::new(FROM_JOURNAL),
        }
    }

    /// The region and account of the ARNs.
    #[must_use]
    pub const fn namespace(&self) -> &Arc<Namespace> {
        &self.namespace
    }

    /// The newest revision that this scheduler knows.
    #[must_use]
    pub fn head(&self) -> Revision {
        self.engine.view().revision()
    }

    /// What is wanted from there on, without end: at once how far it is, then events as they come and every
    /// [`HEARTBEAT`] how far it is. An error is the last.
    ///
    /// # Errors
    /// [`WatchError`] for what the journal does not have, or has no more, and where too many watch.
    pub async fn watch(
        self: &Arc<Self>,
        start: Start,
        filter: Filter,
    ) -> Result<impl Stream<Item = Result<Batch, WatchError>> + Send + use<>, WatchError> {
        let permit = Arc::clone(&self.watchers).try_acquire_owned();
        let permit = permit.map_err(|_| WatchError::TooMany(WATCHERS))?;
        let position = self.begin(start).await?;
        let clamped = matches!(start, Start::Last(_));
        Ok(Watcher::start(Arc::clone(self), (position, clamped), filter, permit))
    }

    /// The position of a start, if it can be one.
    async fn begin(&self, start: Start) -> Result<Position, WatchError> {
        let known = self.head();
        match start {
            Start::Now => Ok(known.into()),
            Start::Last(revisions) => Ok(Revision(known.0.saturating_sub(revisions)).into()),
            // Another scheduler may have told of what this one has not heard of yet.
            Start::After(position) if position.revision > known => {
                let head = self.records.head().await?;
                match position.revision > head {
                    true => Err(WatchError::Ahead { position, head }),
                    false => Ok(position),
                }
            }
            Start::After(position) => Ok(position),
        }
    }

    fn feed(&self) -> Option<Arc<Feed>> {
        let feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        feed.filter(|feed| !feed.has_ended())
    }

    /// The feed, begun where there is none: where a watcher wants to go on that was cut off by a restart, since others were
    /// too; otherwise at the head.
    async fn feed_for(&self, position: Position) -> Arc<Feed> {
        if let Some(feed) = self.feed() {
            return feed;
        }
        let _turn = self.starting.acquire().await;
        if let Some(feed) = self.feed() {
            return feed;
        }
        let newest = self.engine.view();
        let whole = position.whole();
        let near = whole < newest.revision() && whole.0 + NEAR >= newest.revision().0;
        let state = match near {
            // Who wants to begin where the journal does not reach any more is told so when it is read.
            true => self.records.state_at(whole).await.ok(),
            false => None,
        };
        let state = state.unwrap_or_else(|| newest.as_ref().clone());
        let feed = Arc::new(Feed::behind(state.revision()));
        *self.feed.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&feed);
        let derivation = self.derivation(state);
        tokio::spawn(Arc::clone(&feed).run(derivation, Arc::clone(&self.records)));
        feed
    }

    fn derivation(&self, state: State) -> Derivation {
        Derivation::of(state, Arc::clone(&self.namespace), self.engine.clone())
    }
}

#[cfg(test)]
mod tests;
