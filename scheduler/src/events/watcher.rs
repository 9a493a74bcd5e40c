//! One stream of events: from the journal until it has caught up, then from the feed.

use std::sync::Arc;
use std::time::Duration;

use berth_scheduler_core::event::Position;
use berth_scheduler_core::keys::Revision;
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;

use super::feed::{Feed, Progress};
use super::ring::take;
use super::{Batch, Events, FROM_JOURNAL, Filter, HEARTBEAT, Told, WatchError};
use crate::engine::RecoveryError;
use crate::journal::{Followed, JournalError};

/// Batches that may wait for the reader.
const AHEAD: usize = 4;
/// How long a reader may take nothing while there is something to take.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 30 });
/// How long a stream waits for its turn to be served from the journal.
const TURN: Duration = Duration::from_secs(20);

/// What tells one reader.
#[derive(Debug)]
pub(super) struct Watcher {
    events: Arc<Events>,
    filter: Filter,
    outbox: mpsc::Sender<Batch>,
    /// Behind what was told or not wanted.
    position: Position,
    /// It begins where the journal does, if that does not reach back to its position.
    clamped: bool,
    /// When how far it is must be said again.
    due: Instant,
}

/// Why a watcher is over.
enum Over {
    /// Its reader is to be told.
    Error(WatchError),
    /// Its reader has gone.
    Unread,
}

impl From<WatchError> for Over {
    fn from(error: WatchError) -> Self {
        Self::Error(error)
    }
}

impl Watcher {
    /// Tells what is wanted behind a position, or, of a position that is `clamped`, behind the oldest that there is; ends
    /// with its reader.
    pub(super) fn start(
        events: Arc<Events>,
        (position, clamped): (Position, bool),
        filter: Filter,
        permit: OwnedSemaphorePermit,
    ) -> impl Stream<Item = Result<Batch, WatchError>> + Send + use<> {
        let (outbox, batches) = mpsc::channel(AHEAD);
        let (end, ended) = oneshot::channel();
        let watcher = Self {
            events,
            filter,
            outbox,
            position,
            clamped,
            due: Instant::now(),
        };
        tokio::spawn(async move {
            if let Over::Error(error) = watcher.run().await {
                // Who has stopped reading hears nothing.
                let _unheard = end.send(error);
            }
            drop(permit);
        });
        let end = ended
            .into_stream()
            .filter_map(|ended| std::future::ready(ended.ok().map(Err)));
        ReceiverStream::new(batches).map(Ok).chain(end)
    }

    async fn run(mut self) -> Over {
        let shutdown = self.events.shutdown.clone();
        let outbox = self.outbox.clone();
        let told = async {
            // How far it is says that the stream has begun, and what the head was.
            self.send(Vec::new(), self.position).await?;
            loop {
                let feed = self.events.feed_for(self.position).await;
                if !feed.covers(self.position) {
                    self.catch_up(&feed).await?;
                }
                // A feed may end for want of readers just when one comes.
                if feed.covers(self.position) {
                    self.listen(&feed).await?;
                }
            }
        };
        let over: Result<(), Over> = tokio::select! {
            over = told => over,
            () = outbox.closed() => Err(Over::Unread),
            () = shutdown.cancelled() => Ok(()),
        };
        match over {
            Err(over) => over,
            Ok(()) => WatchError::Shutdown { after: self.position }.into(),
        }
    }

    /// Tells from the journal until the feed has what comes next.
    async fn catch_up(&mut self, feed: &Feed) -> Result<(), Over> {
        let events = Arc::clone(&self.events);
        let turn = timeout(TURN, events.from_journal.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(WatchError::TooManyBehind(FROM_JOURNAL).into());
        };
        let state = match events.records.state_at(self.position.whole()).await {
            Err(RecoveryError::TooOld { oldest, .. }) if self.clamped => {
                self.position = oldest.into();
                events.records.state_at(oldest).await
            }
            found => found,
        };
        let state = state.map_err(WatchError::from)?;
        let mut derivation = events.derivation(state);
        let mut stream = events.records.follow(derivation.revision().next());
        while let Some(followed) = stream.next().await {
            match followed {
                Ok(Followed::Records(records)) => {
                    for (revision, bytes) in records {
                        if feed.covers(self.position) {
                            return Ok(());
                        }
                        let told;
                        (derivation, told) = derivation.add(revision, bytes).await?;
                        self.tell_record(revision, &told).await?;
                    }
                }
                Ok(Followed::Quiet { .. }) => {}
                Ok(Followed::Compacted { oldest }) => {
                    let asked = derivation.revision().next();
                    return Err(WatchError::Compacted { asked, oldest }.into());
                }
                Err(JournalError::Unreachable { .. }) => {}
                Err(error) => return Err(WatchError::from(error).into()),
            }
            if feed.covers(self.position) || feed.has_ended() {
                return Ok(());
            }
            self.say_how_far().await?;
        }
        Err(WatchError::Failed("the journal is not followed any more".into()).into())
    }

    /// Tells what is new of a record, in as many batches as it takes.
    async fn tell_record(&mut self, revision: Revision, events: &[Arc<Told>]) -> Result<(), Over> {
        let mut rest = events;
        while !rest.is_empty() {
            let taken = take(rest.iter().map(Arc::clone));
            rest = &rest[taken.len()..];
            let Some(last) = taken.last().map(|last| last.position) else {
                break;
            };
            let new = taken.into_iter().filter(|event| event.position > self.position);
            let new: Vec<_> = new.collect();
            let position = if rest.is_empty() { revision.into() } else { last };
            self.tell(new, position).await?;
        }
        self.position = self.position.max(revision.into());
        self.say_how_far().await
    }

    /// Tells from the feed, until that has ended.
    async fn listen(&mut self, feed: &Feed) -> Result<(), Over> {
        let mut progress = feed.progress();
        loop {
            let ended = match &*progress.borrow_and_update() {
                Progress::At(_) => None,
                Progress::Ended(why) => Some(why.clone()),
            };
            loop {
                let Some(slice) = feed.behind_position(self.position) else {
                    return Err(WatchError::Slow { after: self.position }.into());
                };
                if slice.position == self.position {
                    break;
                }
                self.tell(slice.events, slice.position).await?;
            }
            if let Some(why) = ended {
                return why.map_or(Ok(()), |error| Err(error.into()));
            }
            tokio::select! {
                changed = progress.changed() => if changed.is_err() {
                    return Ok(());
                },
                () = sleep_until(self.due) => self.say_how_far().await?,
            }
        }
    }

    /// Tells those that are wanted.
    async fn tell(&mut self, events: Vec<Arc<Told>>, position: Position) -> Result<(), Over> {
        let wanted: Vec<_> = events.into_iter().filter(|event| self.filter.wants(event)).collect();
        if !wanted.is_empty() {
            return self.send(wanted, position).await;
        }
        self.position = self.position.max(position);
        self.say_how_far().await
    }

    /// Says how far it is, if that is due.
    async fn say_how_far(&mut self) -> Result<(), Over> {
        if Instant::now() < self.due {
            return Ok(());
        }
        self.send(Vec::new(), self.position).await
    }

    async fn send(&mut self, events: Vec<Arc<Told>>, position: Position) -> Result<(), Over> {
        let position = position.max(self.position);
        let batch = Batch {
            events,
            position,
            head: self.events.head().max(position.whole()),
        };
        match timeout(PATIENCE, self.outbox.send(batch)).await {
            Ok(Ok(())) => {
                self.position = position;
                self.due = Instant::now() + HEARTBEAT;
                Ok(())
            }
            Ok(Err(_)) => Err(Over::Unread),
            Err(_) => Err(WatchError::Slow { after: self.position }.into()),
        }
    }
}
