//! What clients did and were told. Pure.

use std::time::Duration;

use berth_model::id::TaskId;
use berth_model::status::{DesiredStatus, TaskStatus};
use berth_scheduler_core::keys::Revision;

/// One call of one client. Times are those of one clock, since the start of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The scheduler that was asked, as a place in the bed; it stays the same over its restarts.
    pub scheduler: usize,
    /// Before anything was sent.
    pub began: Duration,
    /// After all of the answer was there, or the client gave up.
    pub ended: Duration,
    /// The revision that the answer names; none where it names none, or there is none.
    pub revision: Option<Revision>,
    /// What was asked and answered.
    pub call: Call,
}

/// What was asked, with what came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// RunTask with a client token: asked again with the same token it is the same request.
    Run {
        /// The token.
        token: u64,
        /// The tasks that were placed; none where there was no room.
        answer: Answer<Vec<TaskId>>,
    },
    /// StopTask.
    Stop {
        /// The task.
        task: TaskId,
        /// The task as it was shown, or that there is none.
        answer: Answer<Shown>,
    },
    /// DescribeTasks: a read, which changes nothing.
    Describe {
        /// The revision that was asked for; none where it was the newest.
        at: Option<Revision>,
        /// Each task as it was shown.
        answer: Answer<Vec<(TaskId, Shown)>>,
    },
}

/// What a client knows of its call's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<T> {
    /// It was done, and this came of it.
    Acknowledged(T),
    /// It was refused: nothing was changed.
    Refused,
    /// Nobody knows: no answer came, or one that says so.
    Unknown,
}

/// How a task was shown; none where it was said not to exist.
pub type Shown = Option<Look>;

/// A task as clients see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Its last status.
    pub last: TaskStatus,
    /// Its desired status.
    pub desired: DesiredStatus,
    /// Its version, which each change raises.
    pub version: u64,
}

impl<T> Answer<T> {
    /// What came of it, where it was done.
    #[must_use]
    pub const fn acknowledged(&self) -> Option<&T> {
        match self {
            Self::Acknowledged(value) => Some(value),
            Self::Refused | Self::Unknown => None,
        }
    }
}

impl Operation {
    /// How long the client waited.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.ended.saturating_sub(self.began)
    }
}
