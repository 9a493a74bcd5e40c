//! What happened: the journal's vocabulary.
//!
//! Changes are facts. They are written once and read for ever, so a variant or a member is only ever added, with a
//! default, and never given a new meaning.

use std::sync::Arc;

use berth_model::id::{ClusterName, DefinitionId, InstanceId, TaskId};
use berth_model::overrides::TaskOverride;
use berth_model::quantity::Demand;
use berth_model::status::{InstanceStatus, LaunchType, StopCode, TaskStatus};
use berth_model::tag::Tag;
use berth_model::task_definition::TaskDefinition;
use berth_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::state::{ClusterKey, ContainerState, InstanceFacts, TaskTimes};

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

/// What one revision adds: the changes of one or more commands that were made durable together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The format of what follows; readers refuse one that they do not know.
    pub v: u32,
    /// The revision that the record makes.
    pub revision: Revision,
    /// One entry a command, in the order in which they were decided.
    pub entries: Vec<Entry>,
}

impl Record {
    /// The format that this build writes and the only one that it reads.
    pub const FORMAT: u32 = 1;
}

/// The changes of one command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was decided.
    pub at: Timestamp,
    /// Who asked.
    pub by: Arc<str>,
    /// What happened, in order.
    pub changes: Vec<Change>,
}

/// One fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// A cluster was made, or one of the name that was INACTIVE came back.
    ClusterCreated {
        /// Its name.
        name: ClusterName,
        /// Its number, by which tasks and instances are kept.
        key: ClusterKey,
        /// Its tags.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tags: Vec<Tag>,
    },
    /// A cluster became INACTIVE.
    ClusterDeleted {
        /// Its name.
        name: ClusterName,
    },
    /// A family got a new revision.
    DefinitionRegistered {
        /// Family and revision.
        id: DefinitionId,
        /// The definition, valid.
        definition: Arc<TaskDefinition>,
        /// Its tags.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tags: Vec<Tag>,
        /// When.
        at: Timestamp,
    },
    /// A revision became INACTIVE.
    DefinitionDeregistered {
        /// Family and revision.
        id: DefinitionId,
        /// When.
        at: Timestamp,
    },
    /// An instance joined, or came back with other facts about itself. It is connected.
    InstanceRegistered {
        /// The cluster that it serves.
        cluster: ClusterKey,
        /// The instance.
        instance: InstanceId,
        /// What it has.
        facts: Arc<InstanceFacts>,
        /// When.
        at: Timestamp,
    },
    /// The stream of an instance's agent came or went.
    InstanceConnection {
        /// Its cluster.
        cluster: ClusterKey,
        /// The instance.
        instance: InstanceId,
        /// Whether the agent is there.
        connected: bool,
    },
    /// An instance became ACTIVE, DRAINING or INACTIVE.
    InstanceStatusSet {
        /// Its cluster.
        cluster: ClusterKey,
        /// The instance.
        instance: InstanceId,
        /// The new status.
        status: InstanceStatus,
    },
    /// Copies of a definition were placed. This is what assigns a task to an instance.
    TasksPlaced {
        /// Their cluster.
        cluster: ClusterKey,
        /// What they have in common.
        launch: Arc<Launch>,
        /// Each copy.
        placements: Vec<Placement>,
    },
    /// A task is to stop.
    TaskStopRequested {
        /// Its cluster.
        cluster: ClusterKey,
        /// The task.
        task: TaskId,
        /// Why, as ECS counts.
        code: StopCode,
        /// Why, in words.
        reason: Arc<str>,
        /// When.
        at: Timestamp,
    },
    /// A task was seen in a new state.
    TaskObserved {
        /// Its cluster.
        cluster: ClusterKey,
        /// The task.
        task: TaskId,
        /// What was seen.
        observed: Arc<Observation>,
        /// When it was recorded.
        at: Timestamp,
    },
    /// Tasks that stopped long ago were dropped from the state.
    TasksForgotten {
        /// Their cluster.
        cluster: ClusterKey,
        /// The tasks.
        tasks: Vec<TaskId>,
    },
}

/// What the tasks of one call have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    /// What they run.
    pub definition: DefinitionId,
    /// What each reserves.
    pub demand: Demand,
    /// `family:<family>`, or what the caller said.
    pub group: Arc<str>,
    /// What the caller said of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_by: Option<Arc<str>>,
    /// What differs from the definition.
    #[serde(default, skip_serializing_if = "TaskOverride::is_empty")]
    pub overrides: TaskOverride,
    /// Tags of each task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// Where the caller asked for it to run.
    #[serde(default, skip_serializing_if = "LaunchType::is_default")]
    pub launch_type: LaunchType,
    /// The token by which the caller may ask again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_token: Option<ClientToken>,
    /// When they were placed.
    pub created_at: Timestamp,
}

/// A caller's idempotency token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientToken {
    /// What the caller sent.
    pub token: Arc<str>,
    /// A digest of the request: the same token with another digest is a conflict.
    pub fingerprint: u64,
}

/// One copy and where it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The copy.
    pub task: TaskId,
    /// Its instance.
    pub instance: InstanceId,
}

/// What an agent says of a task: the whole of what it knows, so that the newest replaces all before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Where the task stands.
    pub last_status: TaskStatus,
    /// Its containers.
    pub containers: Arc<[ContainerState]>,
    /// Why it stops, where the agent is the one who knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_code: Option<StopCode>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_reason: Option<Arc<str>>,
    /// When its phases began, by the host's clock.
    #[serde(default)]
    pub times: TaskTimes,
}
