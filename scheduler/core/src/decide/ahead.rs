//! The state as it will be after the first changes of a decision, for what the same decision places next.

use crate::change::Change;
use crate::command::Env;
use crate::fold::fold;
use crate::keys::ClusterKey;
use crate::state::State;

/// A state, and what has been decided on it. [`Ahead::leave`] ends it, whatever becomes of the decision: what finds
/// instances has followed it, and is to be of the state that there is.
#[derive(Debug)]
pub(super) struct Ahead<'s> {
    base: &'s State,
    /// Nothing where nothing has been decided yet.
    further: Option<State>,
}

impl<'s> Ahead<'s> {
    pub(super) const fn of(base: &'s State) -> Self {
        Self { base, further: None }
    }

    /// The state after all that was decided.
    pub(super) fn state(&self) -> &State {
        self.further.as_ref().unwrap_or(self.base)
    }

    /// Takes in what was decided next.
    pub(super) fn take(&mut self, changes: &[Change]) {
        if !changes.is_empty() {
            let state = self.further.get_or_insert_with(|| self.base.clone());
            changes.iter().for_each(|change| fold(state, change));
        }
    }

    pub(super) fn leave(self, cluster: ClusterKey, env: &mut Env<'_>) {
        if let Some(further) = &self.further {
            env.memory().go_back(cluster, self.base, further);
        }
    }
}
