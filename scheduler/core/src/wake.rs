//! What makes room, and for whom: from a change to the instances that it may have made room on, and from these to the
//! shapes of waiting tasks that fit there now.
//!
//! Holds as long as every change is looked at: then nothing waits for which there is room. Only hints come from here;
//! [`crate::decide::queue::PlaceQueued`] decides.

use std::collections::BTreeMap;

use berth_model::id::{InstanceId, TaskId};
use berth_model::status::{ContainerStatus, InstanceStatus, TaskStatus};

use crate::change::Change;
use crate::keys::{ClusterKey, InstanceKey, TaskKey};
use crate::launch::Placement;
use crate::observation::Observation;
use crate::place::{Request, fits};
use crate::state::{Instance, ShapeKey, State};

/// What may have become possible on an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hint {
    /// Tasks came or got on: only what looks at the tasks of an instance can fit now that did not before.
    Tasks,
    /// There may be room.
    Room,
}

/// Instances that something may have become possible on.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Hints(BTreeMap<InstanceKey, Hint>);

impl Hints {
    /// Every instance of clusters in which tasks wait: for a start, when nobody knows what was missed.
    #[must_use]
    pub fn everywhere(state: &State) -> Self {
        let waiting = state.clusters().filter(|cluster| cluster.queued > 0);
        let instances = waiting.flat_map(|cluster| {
            state.instances_of(cluster.key).map(|instance| InstanceKey {
                cluster: cluster.key,
                instance: instance.id,
            })
        });
        Self(instances.map(|key| (key, Hint::Room)).collect())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes in those of another.
    pub fn merge(&mut self, other: Self) {
        for (key, hint) in other.0 {
            self.add(key, hint);
        }
    }

    /// Takes in what a change may have made possible for tasks that wait. `state` has the change already, and may have
    /// others that came after it.
    pub fn note(&mut self, state: &State, change: &Change) {
        let Some((cluster, hint, place)) = hint(change) else {
            return;
        };
        let name = state.cluster_name(cluster);
        let known = name.and_then(|name| state.cluster(name));
        if known.is_none_or(|known| known.queued == 0) {
            return;
        }
        for instance in place.instances(state, cluster) {
            self.add(InstanceKey { cluster, instance }, hint);
        }
    }

    fn add(&mut self, key: InstanceKey, hint: Hint) {
        let known = self.0.entry(key).or_insert(hint);
        *known = hint.max(*known);
    }

    /// The shapes of waiting tasks that the instances could take now, with the number of copies; the one that waits longest
    /// first, and each as if those before it had been placed here.
    ///
    /// They may be placed elsewhere, so that it must be asked again when they are: until nothing is woken.
    #[must_use]
    pub fn woken(&self, state: &State) -> Vec<(ShapeKey, u32)> {
        let mut woken = Woken::default();
        for (key, hint) in &self.0 {
            let takes = |instance: &&Instance| instance.status == InstanceStatus::Active && instance.connected;
            if let Some(instance) = state.instance(*key).filter(takes) {
                woken.fill(state, key.cluster, instance, *hint);
            }
        }
        let mut shapes: Vec<_> = woken.copies.into_iter().collect();
        shapes.sort_by_key(|(name, _)| state.queue().shape(name).and_then(|shape| shape.oldest()));
        shapes
            .into_iter()
            .map(|(name, copies)| (name.clone(), copies))
            .collect()
    }
}

/// Copies of each shape that some instance could take.
#[derive(Default)]
struct Woken<'s> {
    copies: BTreeMap<&'s ShapeKey, u32>,
}

impl<'s> Woken<'s> {
    /// Fills the room of an instance with copies, those that wait longest first.
    fn fill(&mut self, state: &'s State, cluster: ClusterKey, instance: &Instance, hint: Hint) {
        let Some(least) = state.queue().least_memory(cluster) else {
            return;
        };
        let mut filled: Option<Instance> = None;
        for (name, shape) in state.queue().by_age(cluster) {
            let instance = filled.as_ref().unwrap_or(instance);
            if instance.free_memory() < least {
                return;
            }
            if hint == Hint::Tasks && !shape.follows_tasks {
                continue;
            }
            let woken = self.copies.get(name).copied().unwrap_or(0);
            let waiting = u32::try_from(shape.len()).unwrap_or(u32::MAX);
            let copies = room(instance, &shape.request, waiting.saturating_sub(woken));
            if copies > 0 {
                let mut next = instance.clone();
                for _ in 0..copies {
                    next.take_copy(&shape.request);
                }
                filled = Some(next);
                self.copies.insert(name, woken + copies);
            }
        }
    }
}

/// How many of so many copies the instance has room for.
fn room(instance: &Instance, request: &Request, copies: u32) -> u32 {
    let demand = &request.demand;
    if instance.free_cpu() < demand.cpu || instance.free_memory() < demand.memory {
        return 0;
    }
    let fitting = (0..copies).take_while(|placed| fits(instance, request, *placed).is_empty());
    u32::try_from(fitting.count()).unwrap_or(u32::MAX)
}

/// Where a change may have made something possible.
enum Place<'c> {
    Instance(InstanceId),
    OfTask(TaskId),
    Placements(&'c [Placement]),
}

impl Place<'_> {
    fn instances(&self, state: &State, cluster: ClusterKey) -> Vec<InstanceId> {
        match self {
            Self::Instance(instance) => vec![*instance],
            Self::OfTask(task) => {
                match state.task(TaskKey { cluster, task: *task }) {
                    Some(task) => vec![task.instance],
                    // Forgotten with its last change: nobody knows where it was.
                    None => state.instances_of(cluster).map(|instance| instance.id).collect(),
                }
            }
            Self::Placements(placements) => placements.iter().map(|placement| placement.instance).collect(),
        }
    }
}

fn hint(change: &Change) -> Option<(ClusterKey, Hint, Place<'_>)> {
    match change {
        Change::InstanceRegistered { cluster, instance, .. }
        | Change::InstanceStatusSet { cluster, instance, .. }
        | Change::InstanceAttributesSet { cluster, instance, .. }
        | Change::InstanceConnection { cluster, instance, .. } => {
            Some((*cluster, Hint::Room, Place::Instance(*instance)))
        }
        // A task that is to stop is no longer one of its group.
        Change::TaskStopRequested { cluster, task, .. } => Some((*cluster, Hint::Room, Place::OfTask(*task))),
        Change::TaskObserved {
            cluster,
            task,
            observed,
            ..
        } => Some((*cluster, seen(observed), Place::OfTask(*task))),
        Change::TasksPlaced {
            cluster, placements, ..
        }
        | Change::QueuedTasksPlaced { cluster, placements } => {
            Some((*cluster, Hint::Tasks, Place::Placements(placements)))
        }
        Change::ClusterCreated { .. }
        | Change::ClusterUpdated { .. }
        | Change::ClusterDeleted { .. }
        | Change::AccountSettingSet { .. }
        | Change::CapacityProviderSet { .. }
        | Change::CapacityProviderDeleted { .. }
        | Change::ClusterProvidersSet { .. }
        | Change::DefinitionRegistered { .. }
        | Change::DefinitionDeregistered { .. }
        | Change::DefinitionDeletionRequested { .. }
        | Change::DefinitionsForgotten { .. }
        | Change::TagsSet { .. }
        | Change::TasksQueued { .. }
        | Change::QueuedTaskEnded { .. }
        | Change::TaskProtectionSet { .. }
        | Change::TargetsRegistered { .. }
        | Change::TargetHealthSet { .. }
        | Change::TargetsDeregistered { .. }
        | Change::TasksForgotten { .. }
        | Change::ServiceCreated { .. }
        | Change::ServiceUpdated { .. }
        | Change::ServiceStepped { .. }
        | Change::ServiceScalingSet { .. }
        | Change::ServiceScaled { .. }
        | Change::ServiceDeleted { .. }
        | Change::ServiceInactive { .. }
        | Change::ServicesForgotten { .. }
        | Change::ScheduleCreated { .. }
        | Change::ScheduleUpdated { .. }
        | Change::ScheduleRan { .. }
        | Change::ScheduleRetried { .. }
        | Change::ScheduleDeleted { .. }
        | Change::SessionOpened { .. }
        | Change::SessionEnded { .. }
        | Change::EventsDelivered { .. }
        | Change::JoinTokenPut { .. }
        | Change::JoinTokenDeleted { .. }
        | Change::MemberEnrolled { .. }
        | Change::MemberRemoved { .. }
        | Change::OperatorCertified { .. }
        | Change::AccessKeyPut { .. }
        | Change::AccessKeyDeleted { .. } => None,
    }
}

/// A container that has stopped has let go of its ports, a task that stops of its group, one that has stopped of all.
fn seen(observed: &Observation) -> Hint {
    let ended = observed
        .containers
        .iter()
        .any(|container| container.last == ContainerStatus::Stopped);
    match ended || observed.last_status >= TaskStatus::Stopping || observed.stop_code.is_some() {
        true => Hint::Room,
        false => Hint::Tasks,
    }
}
