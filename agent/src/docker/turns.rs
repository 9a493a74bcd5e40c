//! Whose create or start is next: so many run at once, and a start that waits goes before every create.
//!
//! A create waits for the disk and a start for the processor, so that the two side by side keep a host busier than all
//! creates before all starts would; and what is created runs soon, however many tasks were assigned at once. Creates
//! do not starve: each start had a create before it, and restarts are paced.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The places, and who waits for one. They are as many as there are effects under way.
#[derive(Debug)]
pub(super) struct Turns {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: usize,
    starts: VecDeque<oneshot::Sender<Turn>>,
    creates: VecDeque<oneshot::Sender<Turn>>,
}

/// A place; whoever drops it passes it on.
#[derive(Debug)]
pub(super) struct Turn {
    /// None once it is handed back.
    turns: Option<Arc<Turns>>,
}

impl Turns {
    pub(super) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                free: places,
                starts: VecDeque::new(),
                creates: VecDeque::new(),
            }),
        })
    }

    /// A turn to create. Whoever stops waiting loses nothing and holds up nobody.
    pub(super) async fn create(self: &Arc<Self>) -> Turn {
        self.turn(|state| &mut state.creates).await
    }

    /// A turn to start, before all that wait to create; else as [`Turns::create`].
    pub(super) async fn start(self: &Arc<Self>) -> Turn {
        self.turn(|state| &mut state.starts).await
    }

    async fn turn(self: &Arc<Self>, queue: fn(&mut State) -> &mut VecDeque<oneshot::Sender<Turn>>) -> Turn {
        loop {
            let granted = {
                let mut state = self.state();
                if state.free > 0 {
                    state.free -= 1;
                    return self.place();
                }
                let (grant, granted) = oneshot::channel();
                queue(&mut state).push_back(grant);
                granted
            };
            // Nobody drops a grant but with the turn in it.
            if let Ok(turn) = granted.await {
                return turn;
            }
        }
    }

    fn pass_on(self: &Arc<Self>) {
        let mut state = self.state();
        let mut turn = self.place();
        while let Some(next) = state.starts.pop_front().or_else(|| state.creates.pop_front()) {
            match next.send(turn) {
                Ok(()) => return,
                // It has stopped waiting.
                Err(refused) => turn = refused,
            }
        }
        turn.turns = None;
        state.free += 1;
    }

    fn place(self: &Arc<Self>) -> Turn {
        Turn {
            turns: Some(Arc::clone(self)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.turns.take() {
            turns.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_start_goes_before_creates_that_waited_longer() {
        let turns = Turns::new(1);
        let held = turns.create().await;
        let mut create = Box::pin(turns.create());
        let mut start = Box::pin(turns.start());
        assert!(create.as_mut().now_or_never().is_none());
        assert!(start.as_mut().now_or_never().is_none());
        drop(held);
        assert!(create.as_mut().now_or_never().is_none());
        let started = start.now_or_never().unwrap();
        assert!(create.as_mut().now_or_never().is_none());
        drop(started);
        assert!(create.now_or_never().is_some());
    }

    #[tokio::test]
    async fn who_stops_waiting_takes_no_place_with_it() {
        let turns = Turns::new(2);
        let (one, two) = (turns.create().await, turns.start().await);
        let mut gone = Box::pin(turns.start());
        let mut granted = Box::pin(turns.start());
        assert!(gone.as_mut().now_or_never().is_none());
        assert!(granted.as_mut().now_or_never().is_none());
        drop(gone);
        drop(one);
        // It has been given a turn that it never came to use.
        drop(granted);
        drop(two);
        let both = (turns.create().now_or_never(), turns.create().now_or_never());
        assert!(both.0.is_some() && both.1.is_some());
        assert!(turns.create().now_or_never().is_none());
    }
}
