//! Why an engine ends.

use berth_scheduler_core::keys::Revision;

use super::RecoveryError;
use crate::journal::JournalError;

/// The engine cannot go on. What is in the journal then is for the next start to find out.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The journal failed.
    #[error("the journal failed")]
    Journal(#[from] JournalError),
    /// What another writer appended is not what this build understands.
    #[error("what another scheduler appended cannot be folded")]
    Record(#[from] RecoveryError),
    /// The journal was truncated beyond what this scheduler has read.
    #[error("the journal begins with {oldest} and this scheduler has not read {from}: it begins anew with a snapshot")]
    Behind {
        /// The first that was to be read.
        from: Revision,
        /// The oldest that is left.
        oldest: Revision,
    },
    /// Nobody tells what others append.
    #[error("the journal is not followed any more")]
    NotFollowed,
}

impl EngineError {
    /// Whether the journal is not as it was written, so that another start would find the same.
    pub(super) fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Journal(JournalError::Damaged { .. })
                | Self::Record(RecoveryError::Journal(JournalError::Damaged { .. }))
        )
    }
}
