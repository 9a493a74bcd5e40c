//! Between Docker's shapes and the agent's.

use std::collections::{BTreeMap, HashMap};

use berth_agent_core::container::{Address, Binding, Detail, RunState, Snapshot, without_duplicates};
use berth_agent_core::create::{CreateRequest, Forward, HostSettings};
use berth_agent_core::failure::{Failure, FailureKind};
use berth_agent_core::name;
use berth_agent_core::recovery::Found;
use berth_agent_core::tail;
use berth_model::quantity::Protocol;
use berth_model::status::HealthStatus;
use berth_model::task_definition::HealthCheck;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, ContainerSummary,
    ContainerSummaryStateEnum, DeviceMapping, EndpointSettings, EventMessage, HealthConfig, HealthStatusEnum,
    HostConfig, HostConfigLogConfig, PortBinding, PortMap, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
    SystemInfo, SystemInfoCgroupVersionEnum, SystemVersion,
};

use super::{DockerInfo, Hint, Network, Process, time};
use crate::prepare::Prepared;

/// Options that Docker itself takes, whatever the log driver (Docker's documentation, "Configure logging drivers").
const OF_EVERY_LOG_DRIVER: [&str; 2] = ["mode", "max-buffer-size"];

pub(super) fn info(version: SystemVersion, info: SystemInfo) -> DockerInfo {
    let plugins = info.plugins.unwrap_or_default();
    let security = info.security_options.unwrap_or_default();
    // Such as `name=seccomp,profile=default`.
    let has = |name: &str| {
        let mut all = security.iter().flat_map(|option| option.split(','));
        all.any(|part| part == format!("name={name}"))
    };
    DockerInfo {
        version: version.version.unwrap_or_default(),
        api_version: version.api_version.unwrap_or_default(),
        cores: info.ncpu.and_then(|cores| u32::try_from(cores).ok()).unwrap_or(0),
        memory_bytes: info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
        log_drivers: plugins.log.unwrap_or_default(),
        runtimes: info.runtimes.unwrap_or_default().into_keys().collect(),
        volume_drivers: plugins.volume.unwrap_or_default(),
        swap_limit: info.swap_limit == Some(true),
        cgroup_driver: info.cgroup_driver.map(|driver| driver.to_string()).unwrap_or_default(),
        cgroup_version: match info.cgroup_version {
            Some(SystemInfoCgroupVersionEnum::_2) => 2,
            Some(SystemInfoCgroupVersionEnum::_1 | SystemInfoCgroupVersionEnum::EMPTY) | None => 1,
        },
        apparmor: has("apparmor"),
        selinux: has("selinux"),
        root: info.docker_root_dir.unwrap_or_default().into(),
    }
}

/// Docker's request for the container, made of the image of that name.
pub(super) fn create_body(request: &CreateRequest, prepared: &Prepared, image: String) -> ContainerCreateBody {
    let ports: Vec<&Forward> = forwards(&request.host, prepared).collect();
    ContainerCreateBody {
        image: Some(image),
        entrypoint: given(&request.entry_point),
        cmd: given(&request.command),
        env: given(&environment(request, prepared)),
        labels: Some(plain(&request.labels)),
        user: request.user.clone(),
        working_dir: request.working_directory.clone(),
        hostname: request.hostname.clone(),
        network_disabled: request.network_disabled.then_some(true),
        open_stdin: request.open_stdin.then_some(true),
        tty: request.tty.then_some(true),
        stop_timeout: request.stop_timeout,
        exposed_ports: (!ports.is_empty()).then(|| {
            ports
                .iter()
                .map(|port| key(port.container_port, port.protocol))
                .collect()
        }),
        healthcheck: request.health_check.as_ref().map(health_config),
        host_config: Some(host_config(&request.host, prepared)),
        ..ContainerCreateBody::default()
    }
}

/// The request's own variables, which it names once each, and those that were read.
fn environment(request: &CreateRequest, prepared: &Prepared) -> Vec<String> {
    let read = prepared
        .variables
        .iter()
        .map(|(name, value)| format!("{name}={}", value.expose()));
    request.environment.iter().cloned().chain(read).collect()
}

/// All figures are given: Docker's own defaults are not ECS's.
fn health_config(check: &HealthCheck) -> HealthConfig {
    let nanoseconds = |span: std::time::Duration| i64::try_from(span.as_nanos()).ok();
    HealthConfig {
        test: Some(check.command.clone()),
        interval: nanoseconds(check.interval()),
        timeout: nanoseconds(check.timeout()),
        retries: Some(i64::from(check.retries())),
        start_period: nanoseconds(check.start_period()),
        start_interval: None,
    }
}

fn log_config(driver: &str, options: &BTreeMap<String, String>, prepared: &Prepared) -> HostConfigLogConfig {
    if prepared.default_log_driver {
        let kept = options
            .iter()
            .filter(|(name, _)| OF_EVERY_LOG_DRIVER.contains(&name.as_str()));
        return HostConfigLogConfig {
            typ: None,
            config: Some(kept.map(|(name, value)| (name.clone(), value.clone())).collect()),
        };
    }
    let secret = prepared
        .log_options
        .iter()
        .map(|(name, value)| (name.clone(), value.expose().to_owned()));
    HostConfigLogConfig {
        typ: Some(driver.to_owned()),
        config: Some(plain(options).into_iter().chain(secret).collect()),
    }
}

fn host_config(host: &HostSettings, prepared: &Prepared) -> HostConfig {
    HostConfig {
        network_mode: Some(host.network_mode.clone()),
        cgroup_parent: prepared.cgroup_parent.clone(),
        runtime: prepared.runtime.clone(),
        pid_mode: host.pid_mode.clone(),
        ipc_mode: host.ipc_mode.clone(),
        cpu_shares: Some(host.cpu_shares),
        memory: host.memory,
        memory_reservation: host.memory_reservation,
        memory_swap: host.memory_swap,
        memory_swappiness: host.memory_swappiness,
        port_bindings: Some(port_bindings(host, prepared)),
        binds: given(&host.binds),
        volumes_from: given(&host.volumes_from),
        links: given(&host.links),
        privileged: Some(host.privileged),
        readonly_rootfs: Some(host.readonly_root_filesystem),
        init: Some(host.init),
        dns: given(&host.dns),
        dns_search: given(&host.dns_search),
        extra_hosts: given(&host.extra_hosts),
        security_opt: given(&host.security_options),
        ulimits: given(&host.ulimits).map(|limits| limits.into_iter().map(ulimit).collect()),
        log_config: host
            .log
            .as_ref()
            .map(|(driver, options)| log_config(driver, options, prepared)),
        cap_add: given(&host.capabilities_added),
        cap_drop: given(&host.capabilities_dropped),
        devices: (!host.devices.is_empty()).then(|| {
            let device = |device: &berth_agent_core::create::Device| DeviceMapping {
                path_on_host: Some(device.host_path.clone()),
                path_in_container: Some(device.container_path.clone()),
                cgroup_permissions: Some(device.permissions.clone()),
            };
            host.devices.iter().map(device).collect()
        }),
        shm_size: host.shm_size,
        tmpfs: (!host.tmpfs.is_empty()).then(|| {
            host.tmpfs
                .iter()
                .map(|tmpfs| (tmpfs.container_path.clone(), tmpfs.options.clone()))
                .collect()
        }),
        sysctls: (!host.sysctls.is_empty()).then(|| plain(&host.sysctls)),
        // Docker must never start a container again on its own: a task runs once.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        ..HostConfig::default()
    }
}

/// The ports that the definition gives, and those that were chosen for its ranges.
fn forwards<'a>(host: &'a HostSettings, prepared: &'a Prepared) -> impl Iterator<Item = &'a Forward> {
    host.ports.iter().chain(&prepared.forwards)
}

/// Always one explicit binding a port: newer Docker takes an empty list for none. Of a range of the host's ports Docker
/// takes one that is free.
fn port_bindings(host: &HostSettings, prepared: &Prepared) -> PortMap {
    let mut bindings = PortMap::new();
    for port in forwards(host, prepared) {
        let host_port = match (port.host_port, &prepared.dynamic_ports) {
            (0, Some(range)) => format!("{}-{}", range.start(), range.end()),
            (0, None) => String::new(),
            (port, _) => port.to_string(),
        };
        let binding = PortBinding {
            host_ip: None,
            host_port: Some(host_port),
        };
        bindings
            .entry(key(port.container_port, port.protocol))
            .or_default()
            .get_or_insert_default()
            .push(binding);
    }
    bindings
}

fn key(port: u16, protocol: Protocol) -> String {
    format!("{port}/{}", protocol.name())
}

fn ulimit((name, soft, hard): (String, i64, i64)) -> ResourcesUlimits {
    ResourcesUlimits {
        name: Some(name),
        soft: Some(soft),
        hard: Some(hard),
    }
}

fn given<T: Clone>(list: &[T]) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| list.to_vec())
}

pub(super) fn plain(map: &BTreeMap<String, String>) -> HashMap<String, String> {
    map.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

pub(super) fn labels(container: &ContainerInspectResponse) -> HashMap<String, String> {
    container
        .config
        .as_ref()
        .and_then(|config| config.labels.clone())
        .unwrap_or_default()
}

pub(super) fn snapshot(container: ContainerInspectResponse) -> Result<Snapshot, Failure> {
    let unreadable = |what: &str| Failure::new(FailureKind::Faltered, format!("Docker's answer has no {what}"));
    let detail = detail(&container);
    let state = container.state.ok_or_else(|| unreadable("State"))?;
    Ok(Snapshot {
        id: container.id.ok_or_else(|| unreadable("Id"))?,
        started_at: state.started_at.as_deref().and_then(time::parse),
        state: run_state(&state),
        bindings: bindings(
            container
                .network_settings
                .and_then(|network| network.ports)
                .unwrap_or_default(),
        ),
        stop_signal: container
            .config
            .and_then(|config| config.stop_signal)
            .filter(|signal| !signal.is_empty()),
        health: health(&state),
        paused: state.status == Some(ContainerStateStatusEnum::PAUSED),
        detail,
        tail: failed_check(&state),
    })
}

/// The number is 0 once the process has ended.
pub(super) fn process(container: ContainerInspectResponse) -> Option<Process> {
    let pid = container.state?.pid?;
    let mode = container
        .host_config
        .and_then(|host| host.network_mode)
        .unwrap_or_default();
    Some(Process {
        pid: u32::try_from(pid).ok().filter(|pid| *pid > 0)?,
        network: match (mode.as_str(), mode.strip_prefix("container:")) {
            ("host", _) => Network::Host,
            (_, Some(other)) => Network::Of(other.to_owned()),
            _ => Network::Own,
        },
    })
}

/// A check that has only begun says nothing yet.
fn health(state: &ContainerState) -> HealthStatus {
    match state.health.as_ref().and_then(|health| health.status) {
        Some(HealthStatusEnum::HEALTHY) => HealthStatus::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => HealthStatus::Unhealthy,
        Some(HealthStatusEnum::STARTING | HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) | None => {
            HealthStatus::Unknown
        }
    }
}

/// What the health check of a container that runs said last, where that was a failure.
fn failed_check(state: &ContainerState) -> Vec<String> {
    if health(state) != HealthStatus::Unhealthy || run_state(state) != RunState::Running {
        return Vec::new();
    }
    let log = state.health.as_ref().and_then(|health| health.log.as_ref());
    let failed = log.into_iter().flatten().rfind(|check| check.exit_code != Some(0));
    let output = failed.and_then(|check| check.output.as_deref());
    output.map(|output| tail::of(output.as_bytes())).unwrap_or_default()
}

fn detail(container: &ContainerInspectResponse) -> Detail {
    let networks = container
        .network_settings
        .as_ref()
        .and_then(|settings| settings.networks.as_ref());
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let address = |(name, endpoint): (&String, &EndpointSettings)| Address {
        network: name.clone(),
        ipv4: text(&endpoint.ip_address),
        ipv4_prefix: endpoint
            .ip_prefix_len
            .and_then(|bits| u8::try_from(bits).ok())
            .unwrap_or(0),
        gateway: text(&endpoint.gateway),
        ipv6: text(&endpoint.global_ipv6_address),
        mac: text(&endpoint.mac_address),
    };
    let mut addresses: Vec<Address> = networks.into_iter().flatten().map(address).collect();
    addresses.retain(|address| !address.ipv4.is_empty() || !address.ipv6.is_empty());
    addresses.sort_by(|one, other| one.network.cmp(&other.network));
    Detail {
        created_at: container.created.as_deref().and_then(time::parse),
        image_id: container.image.clone(),
        addresses,
    }
}

/// The status decides. The flag that memory was wanting stays up from earlier and says nothing of a running container.
fn run_state(state: &ContainerState) -> RunState {
    match state.status {
        Some(ContainerStateStatusEnum::CREATED) => RunState::Created,
        Some(
            ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::PAUSED | ContainerStateStatusEnum::RESTARTING,
        ) => RunState::Running,
        Some(
            ContainerStateStatusEnum::EXITED
            | ContainerStateStatusEnum::DEAD
            | ContainerStateStatusEnum::REMOVING
            | ContainerStateStatusEnum::STOPPING
            | ContainerStateStatusEnum::EMPTY,
        )
        | None => {
            if state.running == Some(true) {
                return RunState::Running;
            }
            RunState::Exited {
                exit_code: state.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or(-1),
                oom_killed: state.oom_killed == Some(true),
                finished_at: state.finished_at.as_deref().and_then(time::parse),
            }
        }
    }
}

fn bindings(ports: PortMap) -> Vec<Binding> {
    let each = ports.into_iter().flat_map(|(key, bindings)| {
        bindings.unwrap_or_default().into_iter().filter_map(move |binding| {
            let (port, protocol) = key.split_once('/')?;
            Some(Binding {
                container_port: port.parse().ok()?,
                protocol: if protocol == "udp" {
                    Protocol::Udp
                } else {
                    Protocol::Tcp
                },
                host_port: binding.host_port?.parse().ok()?,
                bind_ip: binding.host_ip.unwrap_or_default(),
                range: 0,
            })
        })
    });
    without_duplicates(each.collect())
}

pub(super) fn listed(summary: ContainerSummary) -> Option<Found> {
    let running = match summary.state? {
        ContainerSummaryStateEnum::RUNNING
        | ContainerSummaryStateEnum::PAUSED
        | ContainerSummaryStateEnum::RESTARTING => true,
        ContainerSummaryStateEnum::CREATED
        | ContainerSummaryStateEnum::EXITED
        | ContainerSummaryStateEnum::REMOVING
        | ContainerSummaryStateEnum::STOPPING
        | ContainerSummaryStateEnum::DEAD
        | ContainerSummaryStateEnum::EMPTY => false,
    };
    Some(Found {
        id: summary.id?,
        running,
        paused: summary.state == Some(ContainerSummaryStateEnum::PAUSED),
        labels: summary.labels.unwrap_or_default().into_iter().collect(),
    })
}

pub(super) fn hint(event: EventMessage) -> Option<Hint> {
    let mut attributes = event.actor?.attributes?;
    Some(Hint {
        task_arn: attributes.remove(name::TASK_ARN)?,
        container: attributes.remove(name::CONTAINER_NAME)?,
    })
}

#[cfg(test)]
mod tests;
