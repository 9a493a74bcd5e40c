//! One container of a task definition.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    Dependency, EnvironmentFile, HealthCheck, LinuxParameters, RepositoryCredentials, RestartPolicy, Secret,
    SystemControl,
};
use crate::quantity::{CpuUnits, GpuCount, MemoryMib, Protocol};

/// A container, as ECS's ContainerDefinition has it. Numbers are signed as on the wire; validation has seen them.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerDefinition {
    /// Unique in the task.
    #[serde(default)]
    pub name: String,
    /// What Docker runs.
    #[serde(default)]
    pub image: String,
    /// CPU units; a share, never a cap.
    #[serde(default)]
    pub cpu: i32,
    /// Hard limit in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<i32>,
    /// Soft limit in MiB, which placement counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_reservation: Option<i32>,
    /// `name:alias` of containers that it reaches by name; bridge mode only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    /// Ports that the host forwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub port_mappings: Vec<PortMapping>,
    /// Whether the task ends with it; true where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub essential: Option<bool>,
    /// Replaces the image's entry point when not empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entry_point: Vec<String>,
    /// Replaces the image's command when not empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<KeyValuePair>,
    /// Files of environment variables, which those above win over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment_files: Vec<EnvironmentFile>,
    /// Environment variables whose values are secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Secret>,
    /// With what the image's registry lets the agent in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_credentials: Option<RepositoryCredentials>,
    /// How Docker finds out whether it is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// Volumes of the task inside the container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mount_points: Vec<MountPoint>,
    /// Containers whose mounts it takes over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes_from: Vec<VolumeFrom>,
    /// Containers that must have come so far before this one is created.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Dependency>,
    /// Seconds from its start within which it must meet the conditions of those that depend on it; 0 is no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_timeout: Option<i32>,
    /// Seconds between the stop signal and SIGKILL; the agent's default where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i32>,
    /// Whether it is started again when it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<RestartPolicy>,
    /// Host name inside the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// User (and group) to run as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Directory to start in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
    /// No network at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_networking: Option<bool>,
    /// All of the host's devices and capabilities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privileged: Option<bool>,
    /// The root file system cannot be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readonly_root_filesystem: Option<bool>,
    /// Standard input stays open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interactive: Option<bool>,
    /// A terminal is allocated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pseudo_terminal: Option<bool>,
    /// Name servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_servers: Vec<String>,
    /// Search domains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_search_domains: Vec<String>,
    /// Lines of `/etc/hosts`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<HostEntry>,
    /// Labels of the caller on the container.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub docker_labels: BTreeMap<String, String>,
    /// Security options of Docker.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub docker_security_options: Vec<String>,
    /// Limits of the container's processes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ulimits: Vec<Ulimit>,
    /// Where its output goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_configuration: Option<LogConfiguration>,
    /// What it asks of the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linux_parameters: Option<LinuxParameters>,
    /// Kernel settings of its namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub system_controls: Vec<SystemControl>,
    /// Devices that are counted, as GPUs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource_requirements: Vec<ResourceRequirement>,
    /// Everything else that the caller gave, kept and echoed.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A name with a value.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyValuePair {
    /// The name.
    #[serde(default)]
    pub name: String,
    /// The value; empty where absent.
    #[serde(default)]
    pub value: String,
    /// Everything else that the caller gave.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A port of the container and how the host offers it.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortMapping {
    /// The port inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_port: Option<i32>,
    /// The port of the host; 0 or absent means one that is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_port: Option<i32>,
    /// `tcp` or `udp`; tcp where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// A range of ports instead of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_port_range: Option<String>,
    /// Everything else that the caller gave.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A volume inside a container.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MountPoint {
    /// The volume's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_volume: Option<String>,
    /// The absolute path inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_path: Option<String>,
    /// Whether it can only be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// Everything else that the caller gave.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Mounts taken over from another container of the task.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeFrom {
    /// The other container's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_container: Option<String>,
    /// Whether they can only be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// Everything else that the caller gave.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A line of `/etc/hosts`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostEntry {
    /// The name.
    #[serde(default)]
    pub hostname: String,
    /// The address.
    #[serde(default)]
    pub ip_address: String,
    /// Everything else that the caller gave.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A limit of the container's processes.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ulimit {
    /// `nofile`, `nproc` ...
    #[serde(default)]
    pub name: String,
    /// The limit that warns.
    #[serde(default)]
    pub soft_limit: i32,
    /// The limit that holds.
    #[serde(default)]
    pub hard_limit: i32,
    /// Everything else that the caller gave.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Docker's log driver and its options.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogConfiguration {
    /// The driver's name.
    #[serde(default)]
    pub log_driver: String,
    /// Options that the driver understands.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Options whose values are secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_options: Vec<Secret>,
    /// Everything else that the caller gave.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A number of devices.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceRequirement {
    /// How many, for a GPU.
    #[serde(default)]
    pub value: String,
    /// `GPU`, `InferenceAccelerator` or `NeuronDevice`.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Everything else that the caller gave.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl ResourceRequirement {
    /// Whether it is GPUs that are counted.
    #[must_use]
    pub fn is_gpu(&self) -> bool {
        self.kind == "GPU"
    }
}

/// The two parts of an entry of `links`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link<'a> {
    /// The container that is reached.
    pub container: &'a str,
    /// The name under which it is reached: its own where none is given.
    pub alias: &'a str,
}

impl<'a> Link<'a> {
    /// Reads `name` or `name:alias`.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        let (container, alias) = text.split_once(':').unwrap_or((text, text));
        Self { container, alias }
    }
}

impl ContainerDefinition {
    /// CPU units that it reserves.
    #[must_use]
    pub fn cpu(&self) -> CpuUnits {
        CpuUnits(u32::try_from(self.cpu).unwrap_or(0))
    }

    /// Memory that it reserves: the soft limit where it has one, else the hard one.
    #[must_use]
    pub fn reserved_memory(&self) -> MemoryMib {
        let mib = self.memory_reservation.or(self.memory).unwrap_or(0);
        MemoryMib(u32::try_from(mib).unwrap_or(0))
    }

    /// GPUs that it has to itself.
    #[must_use]
    pub fn gpus(&self) -> GpuCount {
        let gpus = self.resource_requirements.iter().filter(|required| required.is_gpu());
        GpuCount(gpus.map(|required| required.value.parse().unwrap_or(0)).sum())
    }

    /// Whether its health is checked as the definition says. A check that only its image has does not count.
    #[must_use]
    pub fn has_health_check(&self) -> bool {
        self.health_check.as_ref().is_some_and(|check| !check.is_none())
    }

    /// Whether the task ends when this container does.
    #[must_use]
    pub fn is_essential(&self) -> bool {
        self.essential.unwrap_or(true)
    }
}

/// Ports in a row, from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last, not before the first.
    pub last: u16,
}

impl PortRange {
    /// Reads `<first>-<last>`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (first > 0 && first <= last).then_some(Self { first, last })
    }

    /// Whether a port is in both.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl std::fmt::Display for PortRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl PortMapping {
    /// The range that it maps, where it maps one.
    #[must_use]
    pub fn range(&self) -> Option<PortRange> {
        PortRange::parse(self.container_port_range.as_deref()?)
    }

    /// The ports inside, one or several.
    #[must_use]
    pub fn container_ports(&self) -> Option<PortRange> {
        self.range().or_else(|| {
            let port = u16::try_from(self.container_port?).ok()?;
            Some(PortRange {
                first: port,
                last: port,
            })
        })
    }

    /// The transport: TCP where none is given.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match self.protocol.as_deref() {
            Some("udp") => Protocol::Udp,
            Some(_) | None => Protocol::Tcp,
        }
    }
}
