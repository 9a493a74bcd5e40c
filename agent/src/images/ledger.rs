//! Which images tasks have used, and when last: by id, since tags move. Kept in one small file of the state directory;
//! a lost file only means that the agent begins anew to learn which images are its business.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use berth_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::spool::{self, SpoolError};

const FILE: &str = "images.json";

/// What is known of images. Its lock is never held while anything is waited for.
#[derive(Debug)]
pub(super) struct Ledger {
    path: PathBuf,
    state: Mutex<State>,
    removal_over: Notify,
}

#[derive(Debug, Default)]
struct State {
    images: BTreeMap<String, Entry>,
    removing: Option<String>,
    unsaved: bool,
}

/// An image. Members may be added; readers ignore those that they do not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    last_used: Timestamp,
    /// The names under which this agent has pulled it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pulled: BTreeSet<String>,
}

impl Ledger {
    /// The ledger of the state directory.
    pub(super) fn open(state_dir: &Path) -> Self {
        let path = state_dir.join(FILE);
        let images = match std::fs::read(&path).map(|content| serde_json::from_slice(&content)) {
            Ok(Ok(images)) => images,
            Ok(Err(error)) => {
                tracing::warn!(path = %path.display(), %error, "the list of used images cannot be read; it begins anew");
                BTreeMap::new()
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the list of used images cannot be read; it begins anew");
                BTreeMap::new()
            }
        };
        Self {
            path,
            state: Mutex::new(State {
                images,
                ..State::default()
            }),
            removal_over: Notify::new(),
        }
    }

    /// A task needs the image. False where it is just being removed.
    pub(super) fn used(&self, id: &str, now: Timestamp) -> bool {
        let mut state = self.state();
        if state.removing.as_deref() == Some(id) {
            return false;
        }
        state.entry(id, now).last_used = now;
        true
    }

    /// The image was pulled under the name.
    pub(super) fn pulled(&self, id: &str, name: &str, now: Timestamp) {
        self.state().entry(id, now).pulled.insert(name.to_owned());
    }

    /// Whether this agent has pulled the image under the name.
    pub(super) fn was_pulled(&self, id: &str, name: &str) -> bool {
        self.state()
            .images
            .get(id)
            .is_some_and(|entry| entry.pulled.contains(name))
    }

    /// Containers of these images run, or did until now.
    pub(super) fn ran<'a>(&self, ids: impl Iterator<Item = &'a String>, now: Timestamp) {
        let mut state = self.state();
        for id in ids {
            if let Some(entry) = state.images.get_mut(id) {
                entry.last_used = now;
                state.unsaved = true;
            }
        }
    }

    /// When each image was last used. What Docker does not have any more is forgotten.
    pub(super) fn last_uses(&self, exists: impl Fn(&str) -> bool) -> BTreeMap<String, Timestamp> {
        let mut state = self.state();
        let before = state.images.len();
        state.images.retain(|id, _| exists(id));
        state.unsaved |= state.images.len() != before;
        let last_use = |(id, entry): (&String, &Entry)| (id.clone(), entry.last_used);
        state.images.iter().map(last_use).collect()
    }

    /// Begins to remove the image, unless it was used since `planned`. Until the end nobody is given it.
    pub(super) fn begin_removal(&self, id: &str, planned: Timestamp) -> bool {
        let mut state = self.state();
        let unused = state.images.get(id).is_some_and(|entry| entry.last_used < planned);
        if unused {
            state.removing = Some(id.to_owned());
        }
        unused
    }

    /// The removal is over, whatever came of it.
    pub(super) fn end_removal(&self, removed: bool) {
        {
            let mut state = self.state();
            if let Some(id) = state.removing.take().filter(|_| removed) {
                state.images.remove(&id);
                state.unsaved = true;
            }
        }
        self.removal_over.notify_waiters();
    }

    /// Returns when the image is not being removed.
    pub(super) async fn removal_over(&self, id: &str) {
        loop {
            // Waits from here on, so that an end between the look and the wait is not missed.
            let over = self.removal_over.notified();
            if self.state().removing.as_deref() != Some(id) {
                return;
            }
            over.await;
        }
    }

    /// Writes what has changed. Blocks.
    pub(super) fn save(&self) -> Result<(), SpoolError> {
        let images = {
            let mut state = self.state();
            if !std::mem::take(&mut state.unsaved) {
                return Ok(());
            }
            state.images.clone()
        };
        let saved = match serde_json::to_vec(&images) {
            Ok(content) => spool::replace(&self.path, &content),
            Err(error) => {
                tracing::error!(%error, "the list of used images cannot be encoded");
                Ok(())
            }
        };
        if saved.is_err() {
            self.state().unsaved = true;
        }
        saved
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn entry(&mut self, id: &str, now: Timestamp) -> &mut Entry {
        self.unsaved = true;
        self.images.entry(id.to_owned()).or_insert_with(|| Entry {
            last_used: now,
            pulled: BTreeSet::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn uses_and_pulls_outlive_a_restart_and_a_broken_file_does_no_harm() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(directory.path());
        ledger.pulled("a", "app:1", at(1));
        assert!(ledger.used("a", at(2)) && ledger.used("b", at(3)));
        ledger.save().unwrap();
        let again = Ledger::open(directory.path());
        assert!(again.was_pulled("a", "app:1") && !again.was_pulled("a", "app:2"));
        let uses = again.last_uses(|id| id != "b");
        assert_eq!(uses, BTreeMap::from([("a".to_owned(), at(2))]));
        std::fs::write(directory.path().join(FILE), b"[half").unwrap();
        assert!(Ledger::open(directory.path()).last_uses(|_| true).is_empty());
    }

    #[test]
    fn an_image_that_is_being_removed_is_given_to_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(directory.path());
        assert!(ledger.used("a", at(5)));
        assert!(!ledger.begin_removal("a", at(5)), "used since it was planned");
        assert!(ledger.begin_removal("a", at(6)));
        assert!(!ledger.used("a", at(7)));
        assert!(ledger.removal_over("b").now_or_never().is_some());
        let mut waiting = Box::pin(ledger.removal_over("a"));
        assert!(waiting.as_mut().now_or_never().is_none());
        ledger.end_removal(true);
        assert!(waiting.now_or_never().is_some());
        assert!(ledger.used("a", at(8)));
    }
}
