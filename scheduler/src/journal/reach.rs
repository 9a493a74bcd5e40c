//! Whether a journal that is elsewhere can be reached.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The journal has not been reached for a while.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// Since when nothing has come of what was asked.
    pub since: Instant,
    /// What was said last.
    pub reason: String,
}

/// What was learnt by asking.
#[derive(Debug, Default)]
pub(super) struct Reach(Mutex<Option<Trouble>>);

impl Reach {
    /// An answer came.
    pub(super) fn reached(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// None came.
    pub(super) fn missed(&self, reason: &impl ToString) {
        let mut trouble = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = trouble.as_ref().map_or_else(Instant::now, |trouble| trouble.since);
        *trouble = Some(Trouble {
            since,
            reason: reason.to_string(),
        });
    }

    /// What is wrong, if anything is.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
