//! Tasks that wait for room: they are placed when there is some, and end when their time is over.

use std::borrow::Cow;
use std::sync::Arc;

use berth_model::fault::{Fault, FaultClass};
use berth_model::id::{InstanceId, TaskId};
use berth_model::name::ClusterName;
use berth_model::status::StopCode;
use berth_model::task_definition::TaskDefinition;

use super::deal::Dealer;
use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::keys::TaskKey;
use crate::launch::Placement;
use crate::place::Explanation;
use crate::state::{QueuedTask, ShapeKey, State};

/// Tasks of a cluster that may wait at once.
pub const MAX_QUEUED: u32 = 10_000;
/// Tasks that one command places or ends, so that no other waits long behind it.
pub const AT_ONCE: u32 = 256;
/// ECS's word for a cluster in which nothing can run (ECS guide, "Cluster auto scaling").
const NO_INSTANCES: &str = "NO ACTIVE INSTANCES";

/// Places tasks that wait, those of one shape, the longest waiting first, as far as there is room.
#[derive(Debug, Clone)]
pub struct PlaceQueued {
    /// The shape.
    pub shape: ShapeKey,
    /// How many, at most; never more than [`AT_ONCE`].
    pub count: u32,
}

/// Ends tasks that have waited for as long as they may.
#[derive(Debug, Clone, Copy)]
pub struct EndOverdue;

impl Command for PlaceQueued {
    /// How many were placed.
    type Outcome = usize;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<usize>, Fault> {
        let Some(shape) = state.queue().shape(&self.shape) else {
            return Ok(Decision::unchanged(0));
        };
        let cluster = self.shape.cluster;
        let waiting = u32::try_from(shape.len()).unwrap_or(u32::MAX);
        let count = waiting.min(self.count).min(AT_ONCE);
        let seed = env.draw();
        let index = env.memory().index(state, cluster);
        let instances = index.fill(state, &shape.request, count, seed);
        let mut dealer = Dealer::new(state, cluster);
        let mut gpus = |task: TaskId, instance: InstanceId| {
            let wanted = !shape.request.demand.gpus.is_none();
            let definition = wanted.then(|| effective(state, TaskKey { cluster, task })).flatten();
            definition.map_or_else(Arc::default, |definition| dealer.deal(&definition, instance))
        };
        let place = |(task, instance)| Placement {
            task,
            instance,
            gpus: gpus(task, instance),
        };
        let pairs = shape.waiting().zip(instances);
        let placements: Vec<Placement> = pairs.map(place).collect();
        let placed = placements.len();
        let change = (placed > 0).then_some(Change::QueuedTasksPlaced { cluster, placements });
        Ok(Decision {
            changes: change.into_iter().collect(),
            outcome: placed,
        })
    }
}

impl Command for EndOverdue {
    /// Whether there may be more of them.
    type Outcome = bool;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<bool>, Fault> {
        let limit = usize::try_from(AT_ONCE).unwrap_or(usize::MAX);
        let due = state.queue().deadlines().take_while(|(at, _)| *at <= env.now());
        let due: Vec<&Arc<QueuedTask>> = due.take(limit).filter_map(|(_, key)| state.queue().task(key)).collect();
        let mut said: Option<(&ShapeKey, Arc<str>)> = None;
        let mut changes = Vec::with_capacity(due.len());
        for task in &due {
            let reason = match &said {
                Some((shape, reason)) if *shape == task.shape() => Arc::clone(reason),
                Some(_) | None => overdue(state, task, env),
            };
            changes.push(Change::QueuedTaskEnded {
                cluster: task.shape().cluster,
                task: task.id,
                code: StopCode::TaskFailedToStart,
                reason: Arc::clone(&reason),
                at: env.now(),
            });
            said = Some((task.shape(), reason));
        }
        Ok(Decision {
            outcome: changes.len() == limit,
            changes,
        })
    }
}

/// What ECS says of a task that was never placed (ECS guide, "Cluster auto scaling").
fn overdue(state: &State, task: &QueuedTask, env: &mut Env<'_>) -> Arc<str> {
    let shape = task.shape();
    let seed = env.draw();
    let index = env.memory().index(state, shape.cluster);
    let known = state.queue().shape(shape);
    let refused = known.and_then(|known| index.place(state, &known.request, 1, seed).refused);
    let reason = match refused {
        Some(refused) => obstacle(Some(&refused.explanation)).0,
        // There is room at last, and the time is over.
        None => Arc::clone(&task.wait.reason),
    };
    format!("TaskFailedToStart: {reason}").into()
}

/// Why no instance of a cluster takes a copy: in ECS's words of the closest, and in full.
pub(super) fn obstacle(explanation: Option<&Explanation>) -> (Arc<str>, Arc<str>) {
    let closest = explanation.and_then(|explanation| explanation.closest.as_ref());
    let reason = closest.and_then(|closest| closest.misfits.first());
    let detail = explanation.map(Explanation::to_string).unwrap_or_default();
    (
        reason.map_or(NO_INSTANCES, |misfit| misfit.reason()).into(),
        detail.into(),
    )
}

/// What a task that waits runs.
fn effective(state: &State, key: TaskKey) -> Option<Cow<'_, TaskDefinition>> {
    let launch = state.launch_of(key)?;
    let registered = state.definition(&launch.definition)?;
    Some(launch.overrides.applied(&registered.definition))
}

/// Checks that so many more tasks may wait in the cluster.
///
/// # Errors
/// `LimitExceededException` naming the limit.
pub(super) fn check_length(state: &State, cluster: &ClusterName, more: usize) -> Result<(), Fault> {
    let waiting = state.cluster(cluster).map_or(0, |cluster| cluster.queued);
    let allowed = MAX_QUEUED.saturating_sub(waiting);
    if u32::try_from(more).is_ok_and(|more| more <= allowed) {
        return Ok(());
    }
    Err(Fault::new(
        FaultClass::LimitExceeded,
        format!("{waiting} tasks wait for room in cluster {cluster}, at most {MAX_QUEUED} may; {more} more do not."),
    ))
}

/// The end of a task that waits, by its user.
pub(super) fn ended_by_user(key: TaskKey, reason: Arc<str>, env: &Env<'_>) -> Change {
    Change::QueuedTaskEnded {
        cluster: key.cluster,
        task: key.task,
        code: StopCode::UserInitiated,
        reason,
        at: env.now(),
    }
}
