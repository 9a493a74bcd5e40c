//! Task definitions: what a task is made of.
//!
//! The structs have the member names and shapes of ECS's JSON, so that one serde form serves the API, the journal and
//! the agent. Members that nothing here reads are kept as they came (`rest`) and echoed. A definition from outside is
//! worth nothing until [`TaskDefinition::validated`] has passed it.

pub mod capability;
pub mod compatibility;
mod container;
mod dependency;
pub mod fargate;
mod health;
mod linux;
mod secret;
mod size;
mod validate;
mod volume;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use container::{
    ContainerDefinition, HostEntry, KeyValuePair, Link, LogConfiguration, MountPoint, PortMapping, PortRange,
    ResourceRequirement, Ulimit, VolumeFrom,
};
pub use dependency::{Condition, Dependency, RestartPolicy};
pub use health::HealthCheck;
pub use linux::{Device, KernelCapabilities, LinuxParameters, SystemControl, Tmpfs};
pub use secret::{EnvironmentFile, RepositoryCredentials, Secret};
pub use volume::{DockerVolume, HostVolume, Volume};

use crate::placement::RawConstraint;
use crate::quantity::{CpuUnits, Demand, HostPort, MemoryMib, PortSet};
use crate::status::named;

named! {
    /// How the containers of a task reach the network.
    NetworkMode {
        /// Each container on Docker's bridge.
        Bridge = "bridge",
        /// All in the host's network.
        Host = "host",
        /// One address a task.
        Awsvpc = "awsvpc",
        /// No network.
        None = "none",
    }
}

/// A task definition, as ECS's RegisterTaskDefinition has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskDefinition {
    /// The family that the revision belongs to.
    #[serde(default)]
    pub family: String,
    /// One to ten containers.
    #[serde(default)]
    pub container_definitions: Vec<ContainerDefinition>,
    /// Volumes that `mountPoints` name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// `bridge` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_mode: Option<String>,
    /// CPU units of the whole task: digits once validated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// MiB of the whole task: digits once validated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// `memberOf` expressions that hold for every task of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub placement_constraints: Vec<RawConstraint>,
    /// EC2, EXTERNAL ...
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires_compatibilities: Vec<String>,
    /// Processor and operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_platform: Option<RuntimePlatform>,
    /// `host` or `task`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_mode: Option<String>,
    /// `host`, `task` or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipc_mode: Option<String>,
    /// Everything else that the caller gave, kept and echoed.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// The platform that the images are made for.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuntimePlatform {
    /// `X86_64` or `ARM64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_architecture: Option<String>,
    /// `LINUX` or one of the Windows families.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operating_system_family: Option<String>,
    /// Everything else that the caller gave.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl TaskDefinition {
    /// The network mode: `bridge` where none is given.
    #[must_use]
    pub fn network_mode(&self) -> NetworkMode {
        self.network_mode
            .as_deref()
            .and_then(NetworkMode::from_name)
            .unwrap_or(NetworkMode::Bridge)
    }

    /// The container of the name.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&ContainerDefinition> {
        self.container_definitions
            .iter()
            .find(|container| container.name == name)
    }

    /// The CPU units of the whole task, where it has a figure of its own.
    #[must_use]
    pub fn task_cpu(&self) -> Option<CpuUnits> {
        size::cpu(self.cpu.as_deref()?).ok()?.parse().ok().map(CpuUnits)
    }

    /// The memory of the whole task, where it has a figure of its own.
    #[must_use]
    pub fn task_memory(&self) -> Option<MemoryMib> {
        size::memory(self.memory.as_deref()?).ok()?.parse().ok().map(MemoryMib)
    }

    /// What one copy reserves: the task's own figures where it has them, else the sum over its containers, where
    /// `memoryReservation` counts before `memory` (ECS guide, task definition parameters).
    #[must_use]
    pub fn demand(&self) -> Demand {
        let containers = || self.container_definitions.iter();
        let cpu = self
            .task_cpu()
            .unwrap_or_else(|| sum(containers().map(ContainerDefinition::cpu)));
        let memory = self
            .task_memory()
            .unwrap_or_else(|| sum(containers().map(ContainerDefinition::reserved_memory)));
        Demand {
            cpu,
            memory,
            ports: self.fixed_host_ports(),
            gpus: sum(containers().map(ContainerDefinition::gpus)),
        }
    }

    /// The host ports that the definition fixes; dynamic ones are the agent's choice.
    fn fixed_host_ports(&self) -> PortSet {
        let mode = self.network_mode();
        self.container_definitions
            .iter()
            .flat_map(|container| &container.port_mappings)
            .filter_map(|mapping| {
                let port = match mode {
                    NetworkMode::Bridge => mapping.host_port?,
                    NetworkMode::Host => mapping.host_port.or(mapping.container_port)?,
                    NetworkMode::Awsvpc | NetworkMode::None => return None,
                };
                let port = u16::try_from(port).ok().filter(|port| *port > 0)?;
                Some(HostPort {
                    protocol: mapping.protocol(),
                    port,
                })
            })
            .collect()
    }
}

/// Whether a definition without a member of this value, which nothing here reads, is the same.
#[must_use]
pub fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn sum<Q: std::ops::AddAssign + Default>(parts: impl Iterator<Item = Q>) -> Q {
    let mut total = Q::default();
    for part in parts {
        total += part;
    }
    total
}
