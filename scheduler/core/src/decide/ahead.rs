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
    /// How many changes are in it.
    taken: usize,
}

impl<'s> Ahead<'s> {
    pub(super) const fn of(base: &'s State) -> Self {
        Self {
            base,
            further: None,
            taken: 0,
        }
    }

    /// The state after all that was decided.
    pub(super) fn state(&self) -> &State {
        self.further.as_ref().unwrap_or(self.base)
    }

    /// Takes in what is new of all that was decided so far.
    pub(super) fn take(&mut self, decided: &[Change]) {
        let new = decided.get(self.taken..).unwrap_or_default();
        self.taken = decided.len();
        if !new.is_empty() {
            let state = self.further.get_or_insert_with(|| self.base.clone());
            new.iter().for_each(|change| fold(state, change));
        }
    }

    pub(super) fn leave(self, cluster: ClusterKey, env: &mut Env<'_>) {
        if let Some(further) = &self.further {
            env.memory().go_back(cluster, self.base, further);
        }
    }
}
