//! A container's metadata.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use berth_model::task_definition::NetworkMode;
use serde::Serialize;

use super::{RUNNING, arn_beside, desired, known, written};
use crate::container::{Address, Binding};
use crate::create::create_request;
use crate::name;
use crate::pause::is_internal;
use crate::record::Record;
use crate::report;

/// How far a container has come that does nothing but hold namespaces.
const PROVISIONED: &str = "RESOURCES_PROVISIONED";

/// `${ECS_CONTAINER_METADATA_URI_V4}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Container {
    pub(super) docker_id: String,
    pub(super) name: String,
    pub(super) docker_name: String,
    pub(super) image: String,
    #[serde(rename = "ImageID")]
    pub(super) image_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ports: Vec<Port>,
    labels: BTreeMap<String, String>,
    desired_status: &'static str,
    known_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    limits: Limits,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_driver: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    log_options: BTreeMap<String, String>,
    #[serde(rename = "ContainerARN")]
    container_arn: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) volumes: Vec<Volume>,
    pub(super) networks: Vec<Network>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<Health>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) restart_count: Option<u32>,
}

/// What its health check says.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Health {
    status: &'static str,
}

/// CPU units and MiB.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Limits {
    #[serde(rename = "CPU")]
    cpu: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<i32>,
}

/// A port of the host that reaches the container.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Port {
    container_port: u16,
    protocol: &'static str,
    host_port: u16,
    #[serde(skip_serializing_if = "String::is_empty")]
    host_ip: String,
}

/// What is mounted in the container.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Volume {
    #[serde(skip_serializing_if = "Option::is_none")]
    docker_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    destination: String,
}

/// A network that the container is in.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Network {
    network_mode: String,
    #[serde(rename = "IPv4Addresses", skip_serializing_if = "Vec::is_empty")]
    ipv4_addresses: Vec<String>,
    #[serde(rename = "IPv6Addresses", skip_serializing_if = "Vec::is_empty")]
    ipv6_addresses: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attachment_index: Option<u32>,
    #[serde(rename = "MACAddress", skip_serializing_if = "Option::is_none")]
    mac_address: Option<String>,
    #[serde(rename = "IPv4SubnetCIDRBlock", skip_serializing_if = "Option::is_none")]
    ipv4_subnet: Option<String>,
    /// With the bits of the network, as the ECS agent has it.
    #[serde(rename = "SubnetGatewayIpv4Address", skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
}

/// The metadata of the container at the place; none where the task has no such.
#[must_use]
pub fn container(record: &Record, at: usize) -> Option<Container> {
    let state = record.containers.get(at)?;
    let spec = &record.spec;
    let definition = spec.containers().get(at)?;
    // What Docker was asked for; a definition that cannot be run has neither.
    let request = create_request(spec, at).unwrap_or_default();
    let log = definition.log_configuration.as_ref();
    // The pause container is in no report, and has no ports.
    let report = report::report(record).containers.into_iter().nth(at);
    let bindings = report.map(|report| report.bindings).unwrap_or_default();
    Some(Container {
        docker_id: state.runtime_id.clone().unwrap_or_default(),
        name: state.name.clone(),
        docker_name: name::container(spec, at),
        image: definition.image.clone(),
        image_id: state
            .detail
            .image_id
            .clone()
            .or_else(|| state.image_digest.clone())
            .unwrap_or_default(),
        ports: bindings.iter().flat_map(Binding::each).map(port).collect(),
        labels: request.labels,
        desired_status: desired(record),
        known_status: match known(state.phase) {
            RUNNING if is_internal(&state.name) => PROVISIONED,
            status => status,
        },
        exit_code: state.exit_code,
        limits: Limits {
            cpu: definition.cpu,
            memory: definition.memory,
        },
        created_at: written(state.detail.created_at),
        started_at: written(state.started_at),
        finished_at: written(state.finished_at),
        r#type: kind(record, at),
        log_driver: log.map(|log| log.log_driver.clone()),
        log_options: log.map(|log| log.options.clone()).unwrap_or_default(),
        container_arn: arn_beside(&spec.arn, &container_resource(record, at)),
        volumes: request.host.binds.iter().map(|bind| volume(bind)).collect(),
        networks: networks(record, at),
        health: state.health.map(|health| Health { status: health.name() }),
        restart_count: definition.restart_policy.as_ref().map(|_| state.restarts),
    })
}

/// As the scheduler writes it in the container's ARN.
fn container_resource(record: &Record, at: usize) -> String {
    let spec = &record.spec;
    let name = spec
        .containers()
        .get(at)
        .map_or("", |container| container.name.as_str());
    berth_model::arn::container_resource(&spec.cluster, spec.id, name)
}

fn port(binding: Binding) -> Port {
    Port {
        container_port: binding.container_port,
        protocol: binding.protocol.name(),
        host_port: binding.host_port,
        host_ip: binding.bind_ip,
    }
}

/// `source:target[:options]`; a source that is no path is a volume of Docker's.
fn volume(bind: &str) -> Volume {
    let mut parts = bind.split(':');
    let source = parts.next().unwrap_or_default().to_owned();
    let destination = parts.next().unwrap_or_default().to_owned();
    let (docker_name, source) = if source.starts_with('/') {
        (None, Some(source))
    } else {
        (Some(source), None)
    };
    Volume {
        docker_name,
        source,
        destination,
    }
}

/// The ECS agent's word for a container that is there for the others.
fn kind(record: &Record, at: usize) -> &'static str {
    let spec = &record.spec;
    match spec.definition.network_mode() {
        _ if spec.pause() != Some(at) => "NORMAL",
        NetworkMode::Awsvpc => "CNI_PAUSE",
        NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None => "NAMESPACE_PAUSE",
    }
}

/// The containers of a task with an address of its own are in the network of its pause container.
fn networks(record: &Record, at: usize) -> Vec<Network> {
    let spec = &record.spec;
    let mode = spec.definition.network_mode();
    let place = match mode {
        NetworkMode::Awsvpc => spec.pause().unwrap_or(at),
        NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None => at,
    };
    let addresses = record
        .containers
        .get(place)
        .map(|container| &container.detail.addresses);
    let known = addresses.into_iter().flatten().map(|address| network(mode, address));
    let networks: Vec<Network> = known.collect();
    if networks.is_empty() {
        return vec![network(mode, &Address::default())];
    }
    networks
}

fn network(mode: NetworkMode, address: &Address) -> Network {
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let own = mode == NetworkMode::Awsvpc && !address.ipv4.is_empty();
    let gateway = given(&address.gateway).filter(|_| own);
    Network {
        network_mode: mode.name().to_owned(),
        ipv4_addresses: given(&address.ipv4).into_iter().collect(),
        ipv6_addresses: given(&address.ipv6).into_iter().collect(),
        attachment_index: own.then_some(0),
        mac_address: given(&address.mac).filter(|_| own),
        ipv4_subnet: own.then(|| subnet(&address.ipv4, address.ipv4_prefix)).flatten(),
        gateway: gateway.map(|gateway| format!("{gateway}/{}", address.ipv4_prefix)),
    }
}

/// `10.0.0.0/16` of `10.0.3.7` and 16.
fn subnet(address: &str, prefix: u8) -> Option<String> {
    let address: Ipv4Addr = address.parse().ok()?;
    let mask = u32::MAX
        .checked_shl(32_u32.checked_sub(u32::from(prefix))?)
        .unwrap_or(0);
    Some(format!("{}/{prefix}", Ipv4Addr::from_bits(address.to_bits() & mask)))
}
