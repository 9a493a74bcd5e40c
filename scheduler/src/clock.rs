//! The wall clock: the one place of the scheduler that reads it.

use std::time::{SystemTime, UNIX_EPOCH};

use berth_model::time::Timestamp;

/// Now, by the host's clock.
#[must_use]
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
