//! A command that waits for its record, whatever its type.

use berth_model::fault::Fault;
use berth_scheduler_core::change::Change;
use berth_scheduler_core::command::{Command, Env, Principal};
use berth_scheduler_core::state::State;
use tokio::sync::oneshot;

/// A command with its caller.
pub(super) trait Pending: Send {
    /// Decides the command against the state; forgets what was decided before.
    fn decide(&mut self, state: &State, env: &mut Env<'_>) -> Vec<Change>;

    /// Who asked.
    fn by(&self) -> Principal;

    /// Tells the caller what was decided last.
    fn answer(self: Box<Self>);
}

/// The one implementation.
pub(super) struct Waiting<C: Command> {
    command: C,
    by: Principal,
    decided: Option<Result<C::Outcome, Fault>>,
    caller: oneshot::Sender<Result<C::Outcome, Fault>>,
}

impl<C: Command> Waiting<C> {
    pub(super) fn new(command: C, by: Principal, caller: oneshot::Sender<Result<C::Outcome, Fault>>) -> Self {
        Self {
            command,
            by,
            decided: None,
            caller,
        }
    }
}

impl<C: Command> Pending for Waiting<C> {
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

    fn answer(self: Box<Self>) {
        if let Some(decided) = self.decided {
            // A caller that has gone away does not need its answer.
            drop(self.caller.send(decided));
        }
    }
}
