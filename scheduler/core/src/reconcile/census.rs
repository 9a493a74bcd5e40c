//! The tasks of a service, sorted by what they are to it.

use berth_model::time::Timestamp;

use super::{Phase, TaskView, View};

/// The tasks of a service, sorted by what they are to it.
#[derive(Debug)]
pub(super) struct Census<'v> {
    /// Those that have stopped.
    pub(super) ended: Vec<&'v TaskView>,
    live: Vec<&'v TaskView>,
}

impl<'v> Census<'v> {
    pub(super) fn of(view: &'v View<'_>, _now: Timestamp) -> Self {
        let (ended, live) = view.tasks.iter().partition(|task| task.phase == Phase::Stopped);
        Self { ended, live }
    }

    /// Those that have not stopped.
    pub(super) fn live(&self) -> impl Iterator<Item = &'v TaskView> {
        self.live.iter().copied()
    }

    /// Those that are to run.
    pub(super) fn wanted(&self) -> impl Iterator<Item = &'v TaskView> {
        self.live().filter(|task| task.wanted && task.phase < Phase::Stopping)
    }
}
