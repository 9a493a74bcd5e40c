//! The tasks of a cluster in one row, those with an instance and those without.

use berth_model::id::{InstanceId, TaskId};
use berth_model::status::DesiredStatus;
use berth_scheduler_core::keys::ClusterKey;
use berth_scheduler_core::launch::Launch;
use berth_scheduler_core::state::{QueuedTask, State, Task};

/// A task as a list sees it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Listed<'s> {
    Placed(&'s Task),
    Queued(&'s QueuedTask),
}

impl<'s> Listed<'s> {
    pub(super) const fn id(&self) -> TaskId {
        match self {
            Self::Placed(task) => task.id,
            Self::Queued(task) => task.id,
        }
    }

    pub(super) fn launch(&self) -> &'s Launch {
        match self {
            Self::Placed(task) => &task.launch,
            Self::Queued(task) => &task.wait.launch,
        }
    }

    pub(super) const fn desired(&self) -> DesiredStatus {
        match self {
            Self::Placed(task) => task.desired,
            Self::Queued(task) if task.is_waiting() => DesiredStatus::Running,
            Self::Queued(_) => DesiredStatus::Stopped,
        }
    }

    pub(super) const fn instance(&self) -> Option<InstanceId> {
        match self {
            Self::Placed(task) => Some(task.instance),
            Self::Queued(_) => None,
        }
    }
}

/// The tasks whose id is greater than `after`, by id.
pub(super) fn tasks_of(state: &State, cluster: ClusterKey, after: Option<TaskId>) -> impl Iterator<Item = Listed<'_>> {
    let placed = state.tasks_of(cluster, after).map(|task| Listed::Placed(task));
    let queued = state.queue().tasks_of(cluster, after).map(|task| Listed::Queued(task));
    let (mut placed, mut queued) = (placed.peekable(), queued.peekable());
    std::iter::from_fn(move || match (placed.peek(), queued.peek()) {
        (Some(first), Some(second)) if second.id() < first.id() => queued.next(),
        (Some(_), _) => placed.next(),
        (None, _) => queued.next(),
    })
}
