//! What became of one time at which a schedule was due.

use std::sync::Arc;

use berth_model::id::TaskId;
use berth_model::schedule::RunOutcome;
use berth_model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// One time at which a schedule was due, or was asked to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// 1, 2, 3 ... within the schedule.
    pub number: u64,
    /// When it was due; none where somebody asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// When it was looked at first.
    pub at: Timestamp,
    /// What became of it.
    pub outcome: RunOutcome,
    /// Why not all its tasks were started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
    /// How often its tasks were tried.
    #[serde(default)]
    pub attempts: u32,
    /// Its tasks, placed or waiting for room.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskId>,
    /// Times at which the schedule was due before it that passed unused.
    #[serde(default)]
    pub missed: u32,
    /// Its tasks that have stopped as they should.
    #[serde(default)]
    pub succeeded: u32,
    /// Its tasks that have stopped otherwise.
    #[serde(default)]
    pub failed: u32,
    /// How the first of these did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Arc<str>>,
    /// Since when nothing more is to come of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

/// That tasks of a run are missing, and when they are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// The run's number.
    pub run: u64,
    /// When it was due.
    pub due: Timestamp,
    /// Tasks that are missing.
    pub missing: u32,
    /// Attempts so far.
    pub attempts: u32,
    /// When the next one is.
    pub at: Timestamp,
}

impl Run {
    /// Notes the end of one of its tasks: nothing, or how it failed.
    pub(crate) fn note_end(&mut self, failure: Option<Arc<str>>, at: Timestamp) {
        match failure {
            None => self.succeeded += 1,
            Some(failure) => {
                self.failed += 1;
                self.failure.get_or_insert(failure);
            }
        }
        self.settle(at);
    }

    /// Ends the run where nothing more is to come of it.
    pub(crate) fn settle(&mut self, at: Timestamp) {
        let ended = usize::try_from(self.succeeded + self.failed).is_ok_and(|ended| ended >= self.tasks.len());
        if ended && self.outcome != RunOutcome::Retrying {
            self.ended.get_or_insert(at);
        }
    }
}
