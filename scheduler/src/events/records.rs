//! What watching asks of the journal, whichever it is.

use std::sync::Arc;

use berth_model::arn::Namespace;
use berth_scheduler_core::event;
use berth_scheduler_core::keys::Revision;
use berth_scheduler_core::state::State;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};

use super::{Told, WatchError};
use crate::engine::{Engine, RecoveryError, decode, recover_at};
use crate::journal::{Followed, Found, Journal, JournalError};

/// A journal that is read.
pub(super) trait Records: Send + Sync {
    /// All records from a revision on, without end.
    fn follow(&self, from: Revision) -> BoxStream<'_, Result<Followed, JournalError>>;

    /// The state as it was at a revision, which what follows can be added to.
    fn state_at(&self, at: Revision) -> BoxFuture<'_, Result<State, RecoveryError>>;

    /// The newest revision.
    fn head(&self) -> BoxFuture<'_, Result<Revision, JournalError>>;
}

impl<J: Journal> Records for J {
    fn follow(&self, from: Revision) -> BoxStream<'_, Result<Followed, JournalError>> {
        Journal::follow(self, from).boxed()
    }

    fn state_at(&self, at: Revision) -> BoxFuture<'_, Result<State, RecoveryError>> {
        let state = async move {
            let state = recover_at(self, at).await?;
            // A state may be known, as the first is for ever, of which it is not known any more what followed.
            match self.read(at.next(), 1).await? {
                Found::Compacted { oldest } => Err(RecoveryError::TooOld {
                    wanted: at,
                    oldest: Revision(oldest.0.saturating_sub(1)),
                }),
                Found::Records(_) => Ok(state),
            }
        };
        state.boxed()
    }

    fn head(&self) -> BoxFuture<'_, Result<Revision, JournalError>> {
        Journal::head(self).boxed()
    }
}

/// A state that is brought forward record by record, with the events that follow from each.
pub(super) struct Derivation {
    state: State,
    namespace: Arc<Namespace>,
    engine: Engine,
}

impl Derivation {
    pub(super) fn of(state: State, namespace: Arc<Namespace>, engine: Engine) -> Self {
        Self {
            state,
            namespace,
            engine,
        }
    }

    /// The revision of its state.
    pub(super) fn revision(&self) -> Revision {
        self.state.revision()
    }

    /// Adds the next record and gives its events. Done on a thread for what takes long: a record may place thousands of
    /// tasks.
    ///
    /// # Errors
    /// [`WatchError::Failed`] where the bytes are not the record that comes next.
    pub(super) async fn add(
        mut self,
        revision: Revision,
        bytes: Vec<u8>,
    ) -> Result<(Self, Vec<Arc<Told>>), WatchError> {
        let derive = move || {
            let expected = self.revision().next();
            if revision != expected {
                let text = format!("record {expected} should follow, {revision} does");
                return Err(WatchError::Failed(text.into()));
            }
            let record = decode(revision, &bytes).map_err(|error| WatchError::failed(&error))?;
            let mut events = Vec::new();
            event::tell(&mut self.state, &record, |state, event| {
                events.extend(Told::new(state, &event, &self.namespace).map(Arc::new));
            });
            self.share();
            Ok((self, events))
        };
        let derived = tokio::task::spawn_blocking(derive).await;
        derived.unwrap_or_else(|error| Err(WatchError::failed(&error)))
    }

    /// Takes the engine's state where that is the same: two that are folded apart come to have nothing in common in memory.
    fn share(&mut self) {
        let newest = self.engine.view();
        if newest.revision() == self.revision() {
            self.state = newest.as_ref().clone();
        }
    }
}
