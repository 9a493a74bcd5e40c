//! A command that waits for its record, whatever its type.

use berth_model::fault::Fault;
use berth_scheduler_core::change::Change;
use berth_scheduler_core::command::{Command, Env, Principal};
use berth_scheduler_core::commit::Pending;
use berth_scheduler_core::state::State;
use tokio::sync::oneshot;

/// A command with its caller.
pub(super) type Waiting = Box<dyn Answerable>;

/// A command whose caller can be told what was decided last.
pub(super) trait Answerable: Pending + Send {
    fn answer(self: Box<Self>);
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
}

impl<C: Command> Submitted<C> {
    pub(super) fn new(command: C, by: Principal, caller: oneshot::Sender<Result<C::Outcome, Fault>>) -> Self {
        Self {
            command,
            by,
            decided: None,
            caller,
        }
    }
}

impl<C: Command> Pending for Submitted<C> {
    fn decide(&mut self, state: &State, env: &mut Env<'_>) -> Vec<Change> {
        match self.command.decide(state, env) {
            Ok(decision) => {
                self.decided = Some(Ok(decision.outcome));
                decision.changes
            }
            Err(fault) => {
                self.decided = Some(Err(fault));
                Vec::new()
            }
        }
    }

    fn by(&self) -> Principal {
        Principal::clone(&self.by)
    }
}

impl<C: Command> Answerable for Submitted<C> {
    fn answer(self: Box<Self>) {
        if let Some(decided) = self.decided {
            // A caller that has gone away does not need its answer.
            drop(self.caller.send(decided));
        }
    }
}
