//! From a container of a task definition to what Docker is asked to create.
//!
//! The mapping is that of the ECS agent (ECS guide, "Task definition parameters"). It must not invent: a member that
//! cannot be honoured is an error, never left out in silence.

mod gpus;
mod linux;
mod namespaces;
mod volume;

use std::collections::BTreeMap;

use berth_model::gpu::GpuId;
use berth_model::quantity::Protocol;
use berth_model::task_definition::{
    ContainerDefinition, HealthCheck, Link, NetworkMode, PortMapping, PortRange, Secret,
};
use serde::Serialize;

pub use linux::{Device, Tmpfs};
pub use namespaces::TASK_NETWORK;
pub use volume::{Lifetime, VolumeRequest};

use crate::context;
use crate::fingerprint::fingerprint;
use crate::image::Pin;
use crate::name;
use crate::pause;
use crate::spec::TaskSpec;

const MIB: i64 = 1024 * 1024;
/// The kernel's bounds of CPU shares.
const SHARES: std::ops::RangeInclusive<i64> = 2..=262_144;

/// A container as Docker is to create it, with what it needs of the host first. Secrets are in it by reference alone.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct CreateRequest {
    /// Docker's name of the container.
    pub name: String,
    /// The image.
    pub image: String,
    /// Docker's id of the image, where its name alone may come to mean another.
    pub image_id: Option<String>,
    /// Replaces the image's entry point when not empty.
    pub entry_point: Vec<String>,
    /// Replaces the image's command when not empty.
    pub command: Vec<String>,
    /// `NAME=value`.
    pub environment: Vec<String>,
    /// The caller's labels and ours.
    pub labels: BTreeMap<String, String>,
    /// User to run as.
    pub user: Option<String>,
    /// Directory to start in.
    pub working_directory: Option<String>,
    /// Host name inside.
    pub hostname: Option<String>,
    /// No network at all.
    pub network_disabled: bool,
    /// Standard input stays open.
    pub open_stdin: bool,
    /// A terminal is allocated.
    pub tty: bool,
    /// Seconds that `docker stop` waits.
    pub stop_timeout: Option<i64>,
    /// What the host gives it.
    pub host: HostSettings,
    /// Volumes that must be there before the container.
    pub volumes: Vec<VolumeRequest>,
    /// Files whose variables join `environment`, which wins over them; the first to name a variable wins.
    pub environment_files: Vec<String>,
    /// Secrets that join the environment.
    pub secrets: Vec<Secret>,
    /// Secrets that join the options of the log driver.
    pub log_secrets: Vec<Secret>,
    /// How Docker finds out whether it is well; as the image says where absent.
    pub health_check: Option<HealthCheck>,
}

/// The part of a container that concerns the host.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct HostSettings {
    /// `bridge`, `host`, `none`, [`TASK_NETWORK`] or `container:<name>`.
    pub network_mode: String,
    /// `host` or `container:<name>`; a process namespace of its own where absent.
    pub pid_mode: Option<String>,
    /// `host`, `none`, `shareable` or `container:<name>`; Docker's default where absent.
    pub ipc_mode: Option<String>,
    /// CPU shares, 2 to 262144.
    pub cpu_shares: i64,
    /// Hard limit in bytes.
    pub memory: Option<i64>,
    /// Soft limit in bytes.
    pub memory_reservation: Option<i64>,
    /// Memory and swap together in bytes; -1 is without limit.
    pub memory_swap: Option<i64>,
    /// 0 to 100.
    pub memory_swappiness: Option<i64>,
    /// Ports that the host forwards.
    pub ports: Vec<Forward>,
    /// Ranges of ports that the host forwards from ports in a row, which are chosen when the container is created.
    pub port_ranges: Vec<ForwardRange>,
    /// `source:target[:ro]`.
    pub binds: Vec<String>,
    /// `container[:ro]`.
    pub volumes_from: Vec<String>,
    /// `container:alias`.
    pub links: Vec<String>,
    /// All of the host's devices and capabilities.
    pub privileged: bool,
    /// The root file system cannot be written.
    pub readonly_root_filesystem: bool,
    /// A small init that reaps children and passes on signals.
    pub init: bool,
    /// Name servers.
    pub dns: Vec<String>,
    /// Search domains.
    pub dns_search: Vec<String>,
    /// `name:address`.
    pub extra_hosts: Vec<String>,
    /// Security options.
    pub security_options: Vec<String>,
    /// Name, soft and hard limit.
    pub ulimits: Vec<(String, i64, i64)>,
    /// Where its output goes; Docker's default where absent.
    pub log: Option<(String, BTreeMap<String, String>)>,
    /// Capabilities to add.
    pub capabilities_added: Vec<String>,
    /// Capabilities to drop.
    pub capabilities_dropped: Vec<String>,
    /// Devices of the host.
    pub devices: Vec<Device>,
    /// Bytes of `/dev/shm`.
    pub shm_size: Option<i64>,
    /// File systems in memory.
    pub tmpfs: Vec<Tmpfs>,
    /// Kernel settings of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// GPUs that it has to itself. It needs the runtime that gives them.
    // Requests without are what they were before there were any, and so is the hash that names them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<GpuId>,
}

/// Ports that the host forwards from as many of its own in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ForwardRange {
    /// The ports inside.
    pub ports: PortRange,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// A port that the host forwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Forward {
    /// The port inside.
    pub container_port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port of the host; 0 is one that is free.
    pub host_port: u16,
}

/// The member of the definition that cannot be honoured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("container '{container}': {problem}")]
pub struct Unfit {
    container: String,
    problem: String,
}

/// What Docker is asked to create for the container at the place.
///
/// # Errors
/// Names the member that cannot be honoured, its value and the rule.
pub fn create_request(spec: &TaskSpec, at: usize) -> Result<CreateRequest, Unfit> {
    let Some(container) = spec.containers().get(at) else {
        return Err(Unfit {
            container: at.to_string(),
            problem: "the definition has no such container".to_owned(),
        });
    };
    let unfit = |problem: String| Unfit {
        container: container.name.clone(),
        problem,
    };
    let mut request = CreateRequest {
        name: name::container(spec, at),
        image: container.image.clone(),
        image_id: None,
        entry_point: container.entry_point.clone(),
        command: container.command.clone(),
        environment: environment(spec, container, at),
        labels: labels(spec, container),
        user: container.user.clone(),
        working_directory: container.working_directory.clone(),
        hostname: container.hostname.clone(),
        network_disabled: container.disable_networking.unwrap_or(false),
        open_stdin: container.interactive.unwrap_or(false),
        tty: container.pseudo_terminal.unwrap_or(false),
        stop_timeout: container.stop_timeout.map(i64::from),
        host: host_settings(spec, container).map_err(unfit)?,
        volumes: volume::needed(spec, container),
        environment_files: container
            .environment_files
            .iter()
            .map(|file| file.value.clone())
            .collect(),
        secrets: container.secrets.clone(),
        log_secrets: container
            .log_configuration
            .as_ref()
            .map(|log| log.secret_options.clone())
            .unwrap_or_default(),
        health_check: container.health_check.clone(),
    };
    linux::apply(container, &mut request.host).map_err(unfit)?;
    if pause::is_internal(&container.name) {
        namespaces::pause(spec, &mut request);
    } else {
        namespaces::join(spec, &mut request);
    }
    let hash = spec_hash(&request).map_err(|error| unfit(error.to_string()))?;
    request.labels.insert(name::SPEC_HASH.to_owned(), hash);
    Ok(request)
}

/// What the caller gives, where the agent is found, and which GPUs are the container's: the agent's word holds where both have a name, as on ECS.
fn environment(spec: &TaskSpec, container: &ContainerDefinition, at: usize) -> Vec<String> {
    let mut own = context::variables(spec, at);
    own.extend(gpus::variable(spec, container));
    let given = container
        .environment
        .iter()
        .filter(|variable| !own.iter().any(|(name, _)| *name == variable.name))
        .map(|variable| format!("{}={}", variable.name, variable.value));
    given
        .chain(own.iter().map(|(name, value)| format!("{name}={value}")))
        .collect()
}

fn labels(spec: &TaskSpec, container: &ContainerDefinition) -> BTreeMap<String, String> {
    let mut labels = container.docker_labels.clone();
    labels.extend(name::labels(spec));
    labels.insert(name::CONTAINER_NAME.to_owned(), container.name.clone());
    labels
}

fn host_settings(spec: &TaskSpec, container: &ContainerDefinition) -> Result<HostSettings, String> {
    let mode = spec.definition.network_mode();
    let log = container.log_configuration.as_ref();
    let bytes = |mib: Option<i32>| mib.map(|mib| i64::from(mib) * MIB);
    Ok(HostSettings {
        network_mode: namespaces::network_mode(spec, container),
        cpu_shares: i64::from(container.cpu).clamp(*SHARES.start(), *SHARES.end()),
        memory: bytes(container.memory),
        memory_reservation: bytes(container.memory_reservation),
        ports: if mode == NetworkMode::Bridge {
            forwards(&container.port_mappings)?
        } else {
            Vec::new()
        },
        port_ranges: if mode == NetworkMode::Bridge {
            forwarded_ranges(&container.port_mappings)
        } else {
            Vec::new()
        },
        binds: volume::binds(spec, container)?,
        volumes_from: volume::taken_over(spec, container)?,
        links: links(spec, container)?,
        privileged: container.privileged.unwrap_or(false),
        readonly_root_filesystem: container.readonly_root_filesystem.unwrap_or(false),
        // Where the process namespace is another's, an init would reap nothing: its processes have another first one.
        init: spec.definition.pid_mode.is_none(),
        dns: container.dns_servers.clone(),
        dns_search: container.dns_search_domains.clone(),
        extra_hosts: container
            .extra_hosts
            .iter()
            .map(|host| format!("{}:{}", host.hostname, host.ip_address))
            .collect(),
        security_options: container
            .docker_security_options
            .iter()
            .map(|o| security_option(o))
            .collect(),
        ulimits: container
            .ulimits
            .iter()
            .map(|limit| {
                (
                    limit.name.clone(),
                    i64::from(limit.soft_limit),
                    i64::from(limit.hard_limit),
                )
            })
            .collect(),
        log: log.map(|log| (log.log_driver.clone(), log.options.clone())),
        gpus: gpus::given(spec, container)?,
        ..HostSettings::default()
    })
}

fn forwarded_ranges(mappings: &[PortMapping]) -> Vec<ForwardRange> {
    let range = |mapping: &PortMapping| {
        Some(ForwardRange {
            ports: mapping.range()?,
            protocol: mapping.protocol(),
        })
    };
    mappings.iter().filter_map(range).collect()
}

fn forwards(mappings: &[PortMapping]) -> Result<Vec<Forward>, String> {
    mappings
        .iter()
        .enumerate()
        .filter(|(_, mapping)| mapping.range().is_none())
        .map(|(at, mapping)| {
            let port = |name: &str, value: Option<i32>| {
                u16::try_from(value.unwrap_or(0)).map_err(|_| {
                    format!(
                        "portMappings[{at}].{name} is {}, it must be 0 to 65535",
                        value.unwrap_or(0)
                    )
                })
            };
            let container_port = port("containerPort", mapping.container_port)?;
            if container_port == 0 {
                return Err(format!(
                    "portMappings[{at}] must have a containerPort or a containerPortRange"
                ));
            }
            Ok(Forward {
                container_port,
                protocol: mapping.protocol(),
                host_port: port("hostPort", mapping.host_port)?,
            })
        })
        .collect()
}

fn links(spec: &TaskSpec, container: &ContainerDefinition) -> Result<Vec<String>, String> {
    container
        .links
        .iter()
        .enumerate()
        .map(|(at, text)| {
            let link = Link::parse(text);
            let docker_name = docker_name(spec, link.container)
                .ok_or_else(|| format!("links[{at}] is '{text}', which names no container of the task"))?;
            Ok(format!("{docker_name}:{}", link.alias))
        })
        .collect()
}

/// ECS writes `label:type:x` and `apparmor:x`; Docker deprecates the first colon in favour of `=`.
fn security_option(option: &str) -> String {
    match option.split_once([':', '=']) {
        Some((name, value)) => format!("{name}={value}"),
        None => option.to_owned(),
    }
}

fn docker_name(spec: &TaskSpec, container: &str) -> Option<String> {
    spec.position(container).map(|at| name::container(spec, at))
}

fn spec_hash(request: &CreateRequest) -> Result<String, serde_json::Error> {
    Ok(fingerprint(&serde_json::to_vec(request)?))
}

impl CreateRequest {
    /// The request for exactly the image that the task decided on. A name that no registry gave a digest stays as it
    /// is, for people; its id goes with it.
    #[must_use]
    pub fn made_of(mut self, pin: Option<&Pin>) -> Self {
        match pin {
            Some(pin @ Pin::Digest(_)) => self.image = pin.name(&self.image),
            Some(Pin::Id(id)) => self.image_id = Some(id.clone()),
            None => return self,
        }
        if let Some(label) = self.labels.get_mut(name::SPEC_HASH) {
            let image = self.image_id.as_ref().unwrap_or(&self.image);
            *label = fingerprint(format!("{label} {image}").as_bytes());
        }
        self
    }
}

#[cfg(test)]
mod tests;
