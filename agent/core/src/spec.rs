//! What a task is to run: the assignment, resolved.

use std::sync::Arc;

use berth_model::id::{InstanceId, TaskId};
use berth_model::task_definition::{ContainerDefinition, NetworkMode, TaskDefinition, Volume};
use serde::{Deserialize, Serialize};

use crate::context::TaskContext;
use crate::pause;

/// Everything that is needed to run one task, and that outlives a restart of the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// The task.
    pub id: TaskId,
    /// Its ARN, as the scheduler writes it.
    pub arn: String,
    /// Name of the cluster.
    pub cluster: String,
    /// The instance that runs it.
    pub instance: InstanceId,
    /// ARN of the definition.
    pub definition_arn: String,
    /// The definition's revision.
    pub revision: i32,
    /// The definition with the task's overrides in it, and with the [`pause`] container where its tasks need one;
    /// shared by all tasks that override nothing.
    pub definition: Arc<TaskDefinition>,
    /// What it is told of itself.
    #[serde(default)]
    pub context: TaskContext,
}

impl TaskSpec {
    /// The containers, in the order of the definition; behind them the pause container of a task that needs one.
    #[must_use]
    pub fn containers(&self) -> &[ContainerDefinition] {
        &self.definition.container_definitions
    }

    /// The container of the name, and where it stands.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.containers().iter().position(|container| container.name == name)
    }

    /// Whether Docker reports host ports for the container.
    #[must_use]
    pub fn has_forwarded_ports(&self, at: usize) -> bool {
        self.definition.network_mode() == NetworkMode::Bridge
            && self
                .containers()
                .get(at)
                .is_some_and(|container| !container.port_mappings.is_empty())
    }

    /// Where the container stands that holds the task's namespaces, if the task shares any.
    #[must_use]
    pub fn pause(&self) -> Option<usize> {
        self.position(pause::NAME)
    }

    /// Whether the container at the place holds the task's own address.
    #[must_use]
    pub fn holds_address(&self, at: usize) -> bool {
        self.definition.network_mode() == NetworkMode::Awsvpc && self.pause() == Some(at)
    }

    /// Whether the task has volumes of its own, which go with it.
    #[must_use]
    pub fn has_own_volumes(&self) -> bool {
        self.definition.volumes.iter().any(Volume::is_own)
    }
}

/// The part of a task's ARN that is its id.
#[must_use]
pub fn task_id_of(arn: &str) -> Option<TaskId> {
    arn.rsplit('/').next()?.parse().ok()
}

/// A definition of containers of which only the names are known.
#[must_use]
pub(crate) fn bare_definition(family: &str, containers: impl Iterator<Item = String>) -> TaskDefinition {
    TaskDefinition {
        family: family.to_owned(),
        container_definitions: containers
            .map(|name| ContainerDefinition {
                name,
                ..ContainerDefinition::default()
            })
            .collect(),
        volumes: Vec::new(),
        network_mode: None,
        cpu: None,
        memory: None,
        placement_constraints: Vec::new(),
        requires_compatibilities: Vec::new(),
        runtime_platform: None,
        pid_mode: None,
        ipc_mode: None,
        rest: serde_json::Map::new(),
    }
}

/// The definition of a task whose own cannot be read.
#[must_use]
pub fn empty_definition() -> Arc<TaskDefinition> {
    Arc::new(bare_definition("", std::iter::empty()))
}
