//! A command that waits for its record, whatever its type.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use berth_model::fault::Fault;
use berth_scheduler_core::change::Change;
use berth_scheduler_core::command::{Command, Env, Principal};
use berth_scheduler_core::commit::{BATCH, Pending};
use berth_scheduler_core::state::State;
use tokio::sync::{mpsc, oneshot};

use super::instruments::Instruments;

/// A command with its caller.
pub(super) type Waiting = Box<dyn Answerable>;

/// A command whose caller can be told what was decided last.
pub(super) trait Answerable: Pending + Send {
    fn answer(self: Box<Self>);

    /// Tells the caller that nothing came of it, whatever was decided.
    fn refuse(self: Box<Self>, fault: Fault);

    /// Its record is about to leave. False where the caller has taken it back, which it cannot do any more where it has not.
    fn leave(&self) -> bool;
}

/// Whether a command can be taken back: by its caller, until its record leaves.
#[derive(Debug, Clone, Default)]
pub(super) struct Hold(Arc<AtomicU8>);

const WAITS: u8 = 0;
const LEFT: u8 = 1;
const TAKEN_BACK: u8 = 2;

impl Hold {
    /// Whether nothing will come of the command. False where its record has left: what becomes of that is not known yet.
    pub(super) fn take_back(&self) -> bool {
        self.turn(TAKEN_BACK)
    }

    fn leave(&self) -> bool {
        self.turn(LEFT)
    }

    fn turn(&self, to: u8) -> bool {
        let turned = self.0.compare_exchange(WAITS, to, Ordering::AcqRel, Ordering::Acquire);
        turned.is_ok() || turned == Err(to)
    }
}

impl Pending for Waiting {
    fn decide(&mut self, state: &State, env: &mut Env<'_>) -> Vec<Change> {
        self.as_mut().decide(state, env)
    }

    fn by(&self) -> Principal {
        self.as_ref().by()
    }
}

/// The one implementation, a type a command.
pub(super) struct Submitted<C: Command> {
    command: C,
    by: Principal,
    decided: Option<Result<C::Outcome, Fault>>,
    caller: oneshot::Sender<Result<C::Outcome, Fault>>,
    hold: Hold,
    instruments: Arc<Instruments>,
}

impl<C: Command> Submitted<C> {
    pub(super) fn new(
        command: C,
        by: Principal,
        caller: oneshot::Sender<Result<C::Outcome, Fault>>,
        instruments: Arc<Instruments>,
    ) -> Self {
        Self {
            command,
            by,
            decided: None,
            caller,
            hold: Hold::default(),
            instruments,
        }
    }

    /// What its caller takes it back by.
    pub(super) fn hold(&self) -> Hold {
        self.hold.clone()
    }
}

impl<C: Command + 'static> Pending for Submitted<C> {
    fn decide(&mut self, state: &State, env: &mut Env<'_>) -> Vec<Change> {
        let begun = Instant::now();
        let decided = self.command.decide(state, env);
        let changes = decided.as_ref().is_ok_and(|decision| !decision.changes.is_empty());
        self.instruments.decided::<C>(begun.elapsed(), changes);
        match decided {
            Ok(decision) => {
                self.decided = Some(Ok(decision.outcome));
                decision.changes
            }
            Err(fault) => {
                self.instruments.refused();
                self.decided = Some(Err(fault));
                Vec::new()
            }
        }
    }

    fn by(&self) -> Principal {
        Principal::clone(&self.by)
    }
}

impl<C: Command + 'static> Answerable for Submitted<C> {
    fn answer(self: Box<Self>) {
        if let Some(decided) = self.decided {
            // A caller that has gone away does not need its answer.
            drop(self.caller.send(decided));
        }
    }

    fn refuse(self: Box<Self>, fault: Fault) {
        drop(self.caller.send(Err(fault)));
    }

    fn leave(&self) -> bool {
        self.hold.leave()
    }
}

/// The commands that wait to be taken, in order.
pub(super) struct Queue {
    incoming: mpsc::Receiver<Waiting>,
    /// Taken before, and put back.
    held: VecDeque<Waiting>,
    /// Commands that may share a record: fewer after one that was too large.
    at_once: usize,
    open: bool,
}

impl Queue {
    pub(super) fn new(incoming: mpsc::Receiver<Waiting>) -> Self {
        Self {
            incoming,
            held: VecDeque::new(),
            at_once: BATCH,
            open: true,
        }
    }

    /// Whether there may be more.
    pub(super) fn is_open(&self) -> bool {
        self.open || !self.held.is_empty()
    }

    /// The next commands, for a record that has room for so many; none when there will be none. Cancellation safe.
    pub(super) async fn next(&mut self, room: usize) -> Vec<Waiting> {
        let taken = BATCH.saturating_sub(room);
        let room = room.min(self.at_once.saturating_sub(taken));
        if room == 0 {
            return std::future::pending().await;
        }
        if !self.held.is_empty() {
            return self.held.drain(..room.min(self.held.len())).collect();
        }
        let mut commands = Vec::new();
        self.open = self.incoming.recv_many(&mut commands, room).await > 0;
        commands
    }

    /// Takes commands back, to give them again before others, so many at once.
    pub(super) fn put_back(&mut self, commands: Vec<Waiting>, at_once: usize) {
        for command in commands.into_iter().rev() {
            self.held.push_front(command);
        }
        self.at_once = at_once;
    }

    /// A record was small enough: the next may have more commands.
    pub(super) fn widen(&mut self) {
        self.at_once = self.at_once.saturating_mul(2).min(BATCH);
    }
}
