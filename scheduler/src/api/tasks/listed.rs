//! The tasks of a cluster in one row, those with an instance and those without.

use berth_model::id::{InstanceId, TaskId};
use berth_model::status::DesiredStatus;
use berth_scheduler_core::keys::ClusterKey;
use berth_scheduler_core::launch::Launch;
use berth_scheduler_core::state::{QueuedTask, Service, State, Task};

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

/// The tasks of a service whose id is greater than `after`, by id. Those that are meant to run are among its live ones;
/// for others the cluster's are gone through.
pub(super) fn tasks_of_service<'s>(
    state: &'s State,
    service: &'s Service,
    desired: Option<DesiredStatus>,
    after: Option<TaskId>,
) -> Box<dyn Iterator<Item = Listed<'s>> + 's> {
    if desired == Some(DesiredStatus::Running) {
        let live = state.live_tasks_of(service);
        let rest = live.filter(move |task| after.is_none_or(|after| task.id > after));
        return Box::new(rest.map(|task| Listed::Placed(task)));
    }
    let is_of = |task: &Listed<'s>| {
        let launch = task.launch().service.as_ref();
        launch.is_some_and(|launch| launch.service == service.name)
    };
    Box::new(tasks_of(state, service.cluster, after).filter(is_of))
}
