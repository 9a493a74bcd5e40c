//! How many images are pulled at once: so many in all that make progress, and so many of one registry whether they do
//! or not. A registry that hangs thus holds up its own pulls and no other's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of all pulls.
#[derive(Debug)]
pub(super) struct Places {
    bound: usize,
    all: Arc<Semaphore>,
    registries: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

/// A pull's place among all, which it has only while it makes progress.
#[derive(Debug)]
pub(super) struct Place {
    all: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Places {
    pub(super) fn new(bound: usize) -> Self {
        Self {
            bound,
            all: Arc::new(Semaphore::new(bound)),
            registries: Mutex::default(),
        }
    }

    /// A place among those of the registry, for as long as it is held. Semaphores here are never closed.
    pub(super) async fn of_registry(&self, registry: &str) -> Option<OwnedSemaphorePermit> {
        let places = {
            let mut registries = self.registries.lock().unwrap_or_else(PoisonError::into_inner);
            registries.retain(|name, places| name == registry || Arc::strong_count(places) > 1);
            let places = registries
                .entry(registry.to_owned())
                .or_insert_with(|| Arc::new(Semaphore::new(self.bound)));
            Arc::clone(places)
        };
        places.acquire_owned().await.ok()
    }

    /// A place among all.
    pub(super) async fn take(&self) -> Place {
        Place {
            all: Arc::clone(&self.all),
            held: Arc::clone(&self.all).acquire_owned().await.ok(),
        }
    }
}

impl Place {
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// The pull is silent: another may go on.
    pub(super) fn give_up(&mut self) {
        self.held = None;
    }

    /// It makes progress again. Where no place is free it goes on all the same: Docker cannot be told to wait.
    pub(super) fn take_back(&mut self) {
        if self.held.is_none() {
            self.held = Arc::clone(&self.all).try_acquire_owned().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_registry_that_hangs_holds_up_its_own_pulls_alone() {
        let places = Places::new(2);
        let _dead = [places.of_registry("dead").await, places.of_registry("dead").await];
        let mut hanging = [places.take().await, places.take().await];
        assert!(places.of_registry("dead").now_or_never().is_none());
        assert!(places.of_registry("live").now_or_never().is_some());
        assert!(places.take().now_or_never().is_none());
        hanging[0].give_up();
        let live = places.take().now_or_never().unwrap();
        hanging[0].take_back();
        assert!(live.is_held() && !hanging[0].is_held());
    }
}
