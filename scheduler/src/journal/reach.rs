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

/// What has been wrong for longest: one who begins to miss answers late does not make the trouble young.
pub(super) fn longest<'a>(reaches: impl IntoIterator<Item = &'a Reach>) -> Option<Trouble> {
    let troubles = reaches.into_iter().filter_map(Reach::trouble);
    troubles.min_by_key(|trouble| trouble.since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_does_not_become_young_when_another_begins_to_miss() {
        let (reads, appends) = (Reach::default(), Reach::default());
        reads.missed(&"a read");
        while reads.trouble().unwrap().since == Instant::now() {}
        appends.missed(&"an append");
        let reason = || longest([&appends, &reads]).map(|trouble| trouble.reason);
        assert_eq!(reason().as_deref(), Some("a read"));
        reads.reached();
        assert_eq!(reason().as_deref(), Some("an append"));
        appends.reached();
        assert_eq!(reason(), None);
    }
}
