//! What happens to tasks that wait.

use std::sync::Arc;

use berth_model::id::TaskId;
use berth_model::time::Timestamp;

use super::with_cluster;
use crate::keys::{ClusterKey, TaskKey};
use crate::launch::{Launch, Placement, Wait, pool};
use crate::place::Request;
use crate::state::{QueueEnd, QueuedTask, ShapeKey, State, Stop};

/// A task that has no instance, without what it shares with the others of its call.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: TaskId,
    pub(crate) arrival: u64,
    pub(crate) end: Option<QueueEnd>,
}

/// Adds tasks behind all that have ever waited in the cluster.
pub(super) fn enqueue(state: &mut State, cluster: ClusterKey, wait: &Arc<Wait>, tasks: &[TaskId]) {
    let mut first = 0;
    with_cluster(state, cluster, |cluster| {
        first = cluster.arrivals;
        cluster.arrivals += u64::try_from(tasks.len()).unwrap_or(u64::MAX);
    });
    let entry = |(arrival, id): (u64, &TaskId)| Entry {
        id: *id,
        arrival,
        end: None,
    };
    add(state, cluster, wait, (first..).zip(tasks).map(entry));
    super::remember_token(state, cluster, &wait.launch, tasks.iter().copied());
}

/// Adds tasks of one call, with the arrival and the end that each has.
pub(crate) fn add(state: &mut State, cluster: ClusterKey, wait: &Arc<Wait>, tasks: impl IntoIterator<Item = Entry>) {
    let Some(request) = request(state, wait) else { return };
    let shape = ShapeKey::of(cluster, &request);
    for Entry { id, arrival, end } in tasks {
        let key = TaskKey { cluster, task: id };
        match &end {
            None => with_cluster(state, cluster, |cluster| {
                cluster.queued += 1;
                cluster.pending += 1;
                cluster.live += 1;
            }),
            Some(end) => drop(state.stopped.insert((end.at.as_millis(), key))),
        }
        let task = QueuedTask {
            id,
            wait: Arc::clone(wait),
            arrival,
            end,
            shape: shape.clone(),
        };
        state.queue.add(task, &request);
    }
}

/// What the tasks ask of instances; follows from their definition, which is kept for as long as they are.
fn request(state: &State, wait: &Wait) -> Option<Arc<Request>> {
    let registered = state.definition(&wait.launch.definition)?;
    let effective = wait.launch.overrides.applied(&registered.definition);
    let group = Arc::clone(&wait.launch.group);
    let (constraints, strategies) = (wait.constraints.clone(), wait.strategies.clone());
    let request = Request {
        pool: pool(wait.launch.launch_type, wait.launch.provider.as_ref()),
        ..Request::of(registered, &effective, group, constraints, strategies)
    };
    Some(Arc::new(request))
}

/// Gives tasks that wait their instances.
pub(super) fn place(state: &mut State, cluster: ClusterKey, placements: &[Placement]) {
    for placement in placements {
        let key = TaskKey {
            cluster,
            task: placement.task,
        };
        let Some(task) = take(state, key) else { continue };
        super::place(state, cluster, &task.wait.launch, std::slice::from_ref(placement));
        if let Some(placed) = state.tasks.get_mut(&key) {
            // Who saw it wait sees that it has changed.
            Arc::make_mut(placed).version += 1;
        }
    }
}

/// Ends a task that waits.
pub(super) fn end(state: &mut State, key: TaskKey, stop: Stop, at: Timestamp) {
    let Some(task) = take(state, key) else { return };
    super::schedule::ended_waiting(state, key, &task.wait.launch, &stop, at);
    let stop = Arc::new(stop);
    state.queue.keep_ended(key, &task, QueueEnd { stop, at });
    state.stopped.insert((at.as_millis(), key));
}

fn take(state: &mut State, key: TaskKey) -> Option<Arc<QueuedTask>> {
    let task = state.queue.take(key)?;
    with_cluster(state, key.cluster, |cluster| {
        cluster.queued = cluster.queued.saturating_sub(1);
        cluster.pending = cluster.pending.saturating_sub(1);
        cluster.live = cluster.live.saturating_sub(1);
    });
    Some(task)
}

/// Drops a task that ended waiting.
pub(super) fn forget(state: &mut State, key: TaskKey) -> Option<Arc<Launch>> {
    let task = state.queue.forget(key)?;
    let at = task.end.as_ref().map_or(0, |end| end.at.as_millis());
    state.stopped.remove(&(at, key));
    Some(Arc::clone(&task.wait.launch))
}
