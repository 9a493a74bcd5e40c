//! The numbers by which things are kept: of records, clusters, instances and tasks.

use std::ops::Bound;

use berth_model::id::{DefinitionId, InstanceId, TaskId};
use berth_model::name::{ClusterName, ScheduleName, ServiceName};
use serde::{Deserialize, Serialize};

/// The number of a record in the journal: 1, 2, 3 ... without gaps. 0 is the state before the first.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// The number that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a scheduler that shares its journal with others: drawn at each of its starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplicaId(pub u64);

impl std::fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The number of a cluster: given once, never to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterKey(pub u32);

/// A task's place in the state: ids are unique, the cluster in front keeps a cluster's tasks together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey {
    /// The cluster.
    pub cluster: ClusterKey,
    /// The task.
    pub task: TaskId,
}

impl TaskKey {
    /// The keys of a cluster's tasks whose id is greater than `after`.
    pub(crate) fn range_after(cluster: ClusterKey, after: Option<TaskId>) -> (Bound<Self>, Bound<Self>) {
        let key = |task| Self { cluster, task };
        let start = match after {
            None => Bound::Included(key(TaskId::from_bits(0))),
            Some(task) => Bound::Excluded(key(task)),
        };
        (start, Bound::Included(key(TaskId::from_bits(u128::MAX))))
    }
}

/// A service's place in the state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// The cluster.
    pub cluster: ClusterKey,
    /// The service.
    pub service: ServiceName,
}

/// A schedule's place in the state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScheduleKey {
    /// The cluster.
    pub cluster: ClusterKey,
    /// The schedule.
    pub schedule: ScheduleName,
}

/// An instance's place in the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceKey {
    /// The cluster.
    pub cluster: ClusterKey,
    /// The instance.
    pub instance: InstanceId,
}

/// What has tags of its own; those of a service stand in its spec, where they have a meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tagged {
    /// A cluster.
    Cluster(ClusterName),
    /// A revision of a task definition.
    Definition(DefinitionId),
    /// A container instance.
    Instance(ClusterKey, InstanceId),
    /// A task.
    Task(ClusterKey, TaskId),
}
