//! From a container of a task definition to what Docker is asked to create.
//!
//! The mapping is that of the ECS agent (ECS guide, "Task definition parameters"). It must not invent: a member that
//! cannot be honoured is an error, never left out in silence.

mod linux;

use std::collections::BTreeMap;

use berth_model::quantity::Protocol;
use berth_model::task_definition::{ContainerDefinition, Link, NetworkMode, PortMapping};
use serde::Serialize;

pub use linux::{Device, Tmpfs};

use crate::context;
use crate::image::Pin;
use crate::name;
use crate::spec::TaskSpec;

const MIB: i64 = 1024 * 1024;
/// The kernel's bounds of CPU shares.
const SHARES: std::ops::RangeInclusive<i64> = 2..=262_144;

/// A container as Docker is to create it, with the volumes that it needs first.
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
    /// Volumes to be made before the container.
    pub volumes: Vec<OwnVolume>,
}

/// The part of a container that concerns the host.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct HostSettings {
    /// `bridge`, `host` or `none`.
    pub network_mode: String,
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

/// A volume that lives as long as its task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwnVolume {
    /// Docker's name of it.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
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
        volumes: own_volumes(spec, container),
    };
    linux::apply(container, &mut request.host).map_err(unfit)?;
    let hash = spec_hash(&request).map_err(|error| unfit(error.to_string()))?;
    request.labels.insert(name::SPEC_HASH.to_owned(), hash);
    Ok(request)
}

/// What the caller gives, and where the agent is found: the agent's word holds where both have a name, as on ECS.
fn environment(spec: &TaskSpec, container: &ContainerDefinition, at: usize) -> Vec<String> {
    let own = context::variables(spec, at);
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
    if mode == NetworkMode::Awsvpc {
        return Err("networkMode 'awsvpc' is not among those that this agent has: bridge, host, none".to_owned());
    }
    let log = container.log_configuration.as_ref();
    if log.is_some_and(|log| {
        log.rest
            .get("secretOptions")
            .is_some_and(|list| list.as_array().is_some_and(|l| !l.is_empty()))
    }) {
        return Err("logConfiguration.secretOptions is given; this agent resolves no secrets".to_owned());
    }
    let bytes = |mib: Option<i32>| mib.map(|mib| i64::from(mib) * MIB);
    Ok(HostSettings {
        network_mode: mode.name().to_owned(),
        cpu_shares: i64::from(container.cpu).clamp(*SHARES.start(), *SHARES.end()),
        memory: bytes(container.memory),
        memory_reservation: bytes(container.memory_reservation),
        ports: if mode == NetworkMode::Bridge {
            forwards(&container.port_mappings)?
        } else {
            Vec::new()
        },
        binds: binds(spec, container)?,
        volumes_from: volumes_from(spec, container)?,
        links: links(spec, container)?,
        privileged: container.privileged.unwrap_or(false),
        readonly_root_filesystem: container.readonly_root_filesystem.unwrap_or(false),
        init: true,
        dns: container.dns_servers.clone(),
        dns_search: container.dns_search_domains.clone(),
        extra_hosts: container
            .extra_hosts
            .iter()
            .map(|host| format!("{}:{}", host.hostname, host.ip_address))
            .collect(),
        security_options: container.docker_security_options.clone(),
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
        ..HostSettings::default()
    })
}

fn forwards(mappings: &[PortMapping]) -> Result<Vec<Forward>, String> {
    mappings
        .iter()
        .enumerate()
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
                    "portMappings[{at}].containerPort must be given; this agent forwards no ranges"
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

fn binds(spec: &TaskSpec, container: &ContainerDefinition) -> Result<Vec<String>, String> {
    let volumes = &spec.definition.volumes;
    container
        .mount_points
        .iter()
        .enumerate()
        .map(|(at, mount)| {
            let wanted = mount.source_volume.as_deref().unwrap_or_default();
            let place = volumes.iter().position(|volume| volume.name == wanted).ok_or_else(|| {
                format!("mountPoints[{at}].sourceVolume is '{wanted}', which 'volumes' does not name")
            })?;
            let source = match volumes[place].source_path() {
                Some(path) => path.to_owned(),
                None => name::volume(spec, place),
            };
            let target = mount.container_path.as_deref().unwrap_or_default();
            Ok(format!("{source}:{target}{}", read_only(mount.read_only)))
        })
        .collect()
}

fn own_volumes(spec: &TaskSpec, container: &ContainerDefinition) -> Vec<OwnVolume> {
    let mounted = |name: &str| {
        container
            .mount_points
            .iter()
            .any(|mount| mount.source_volume.as_deref() == Some(name))
    };
    let volumes = spec.definition.volumes.iter().enumerate();
    volumes
        .filter(|(_, volume)| volume.source_path().is_none() && mounted(&volume.name))
        .map(|(at, _)| OwnVolume {
            name: name::volume(spec, at),
            labels: name::labels(spec),
        })
        .collect()
}

fn volumes_from(spec: &TaskSpec, container: &ContainerDefinition) -> Result<Vec<String>, String> {
    container
        .volumes_from
        .iter()
        .enumerate()
        .map(|(at, from)| {
            let source = from.source_container.as_deref().unwrap_or_default();
            let docker_name = docker_name(spec, source).ok_or_else(|| {
                format!("volumesFrom[{at}].sourceContainer is '{source}', which is no container of the task")
            })?;
            Ok(format!("{docker_name}{}", read_only(from.read_only)))
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

fn docker_name(spec: &TaskSpec, container: &str) -> Option<String> {
    spec.position(container).map(|at| name::container(spec, at))
}

fn read_only(flag: Option<bool>) -> &'static str {
    if flag == Some(true) { ":ro" } else { "" }
}

fn spec_hash(request: &CreateRequest) -> Result<String, serde_json::Error> {
    Ok(hash(&serde_json::to_vec(request)?))
}

/// FNV-1a: it only has to tell two versions of one container apart.
fn hash(bytes: &[u8]) -> String {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let hash = bytes
        .iter()
        .fold(OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
    format!("{hash:016x}")
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
            *label = hash(format!("{label} {image}").as_bytes());
        }
        self
    }
}

#[cfg(test)]
mod tests;
