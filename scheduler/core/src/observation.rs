//! What agents say: of their hosts, of their tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use berth_model::gpu::GpuId;
use berth_model::quantity::{CpuUnits, HostPort, MemoryMib, PortSet, Protocol};
use berth_model::status::{ContainerStatus, HealthStatus, StopCode, TaskStatus};
use berth_model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What an instance's agent says of its host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InstanceFacts {
    /// CPU units that tasks may reserve.
    pub cpu: CpuUnits,
    /// Memory that tasks may reserve.
    pub memory: MemoryMib,
    /// Host ports that no task may ask for.
    pub reserved_ports: PortSet,
    /// GPUs that tasks may have.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub gpus: BTreeSet<GpuId>,
    /// Attributes; a capability has no value.
    pub attributes: BTreeMap<String, Option<String>>,
    /// The agent's version.
    pub agent_version: String,
    /// Docker's version.
    pub docker_version: String,
    /// The EC2 id of the host, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ec2_instance_id: Option<String>,
    /// Under which address other hosts reach it, where its agent knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
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

/// When the phases of a task began, by its host's clock.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskTimes {
    /// The first image was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_started: Option<Timestamp>,
    /// The last image was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_stopped: Option<Timestamp>,
    /// It was RUNNING.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// It began to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping: Option<Timestamp>,
    /// Its last container had ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_stopped: Option<Timestamp>,
}

/// A container of a task, as its agent sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerState {
    /// Its name in the definition.
    pub name: Arc<str>,
    /// Where it stands.
    pub last: ContainerStatus,
    /// Docker's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_id: Option<Arc<str>>,
    /// The digest of its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<Arc<str>>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// What went wrong, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
    /// Where the host offers its ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bindings: Vec<NetworkBinding>,
    /// The IPv4 address of its task, where the task has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Arc<str>>,
    /// What its health check says.
    pub health: HealthStatus,
    /// How often its agent has started it again in its place.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u32,
    /// Where it failed by itself, what it said last, in lines. Kept for a few failures of each deployment of a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_tail: Option<Arc<str>>,
}

/// Whether it is known what one of them said last.
pub(crate) fn has_log_tail(containers: &[ContainerState]) -> bool {
    containers.iter().any(|container| container.log_tail.is_some())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A port of the host that leads to a port of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkBinding {
    /// The address on the host.
    pub bind_ip: Arc<str>,
    /// The port inside.
    pub container_port: u16,
    /// The port outside.
    pub host_port: u16,
    /// The transport.
    pub protocol: Protocol,
    /// How many ports in a row it stands for, where a range is mapped; 0 for a single port.
    #[serde(default, skip_serializing_if = "is_single")]
    pub range: u16,
}

fn is_single(range: &u16) -> bool {
    *range == 0
}

impl NetworkBinding {
    /// The ports of the host, one by one.
    pub fn host_ports(&self) -> impl Iterator<Item = HostPort> + use<> {
        let (first, protocol) = (self.host_port, self.protocol);
        (first..=first.saturating_add(self.range.max(1) - 1)).map(move |port| HostPort { protocol, port })
    }
}

impl TaskTimes {
    /// What is known here, completed by what `other` knows: the first word on a time stays.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            pull_started: self.pull_started.or(other.pull_started),
            pull_stopped: self.pull_stopped.or(other.pull_stopped),
            started: self.started.or(other.started),
            stopping: self.stopping.or(other.stopping),
            execution_stopped: self.execution_stopped.or(other.execution_stopped),
        }
    }
}
