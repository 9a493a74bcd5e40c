//! What one gateway has been told of its cluster's services, and the difference to what they are now. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use berth_model::arn::Namespace;
use berth_model::load_balancer::{GatewayProtocol, LoadBalancer};
use berth_model::name::{ClusterName, ServiceName};
use berth_model::status::{HealthStatus, TaskStatus};
use berth_model::task_definition::{NetworkMode, TaskDefinition};
use berth_model::time::Timestamp;
use berth_proto::gateway::v1 as wire;
use berth_scheduler_core::keys::{ClusterKey, InstanceKey, ServiceKey};
use berth_scheduler_core::reconcile::shift;
use berth_scheduler_core::service::Deployment;
use berth_scheduler_core::state::{Instance, Service, State, Task};

/// The attribute that names an instance's zone.
const ZONE: &str = "ecs.availability-zone";

/// The services that a gateway has been told of on this stream.
#[derive(Debug, Default)]
pub(super) struct Sent {
    version: u64,
    services: BTreeMap<ServiceName, wire::Service>,
}

/// A cluster in a state.
pub(crate) struct Place<'a> {
    pub(crate) state: &'a State,
    pub(crate) key: ClusterKey,
    pub(crate) cluster: &'a ClusterName,
    pub(crate) namespace: &'a Namespace,
}

impl Sent {
    /// The message that brings the gateway up to the state: all services the first time, then those of the touched ones
    /// that differ, or nothing where none does.
    pub(super) fn update(&mut self, place: &Place<'_>, touched: &BTreeSet<ServiceName>) -> Option<wire::Endpoints> {
        let complete = self.version == 0;
        let mut message = wire::Endpoints {
            complete,
            ..wire::Endpoints::default()
        };
        if complete {
            let services = place.state.services_of(place.key);
            services.for_each(|service| self.bring_up(&service.name, place, &mut message));
        }
        for name in touched {
            self.bring_up(name, place, &mut message);
        }
        if !complete && message.services.is_empty() && message.gone.is_empty() {
            return None;
        }
        self.version += 1;
        message.version = self.version;
        Some(message)
    }

    /// Adds to the message what the gateway does not know of the service.
    fn bring_up(&mut self, name: &ServiceName, place: &Place<'_>, message: &mut wire::Endpoints) {
        let key = ServiceKey {
            cluster: place.key,
            service: name.clone(),
        };
        // One that is INACTIVE has no task and nothing that listens for it.
        let service = place
            .state
            .service(&key)
            .filter(|service| service.inactive_at.is_none());
        match service.map(|service| place.service(service)) {
            Some(now) => {
                if self.services.get(name) != Some(&now) {
                    self.services.insert(name.clone(), now.clone());
                    message.services.push(now);
                }
            }
            None => {
                if self.services.remove(name).is_some() {
                    message.gone.push(name.to_string());
                }
            }
        }
    }
}

impl Place<'_> {
    fn service(&self, service: &Service) -> wire::Service {
        let endpoints = self.state.live_tasks_of(service);
        let groups = self.state.listeners_of(service);
        wire::Service {
            name: service.name.to_string(),
            arn: self.namespace.service(self.cluster, &service.name),
            target_groups: groups.into_iter().map(|one| target_group(service, one)).collect(),
            endpoints: endpoints.filter_map(|task| self.endpoint(service, task)).collect(),
            shares: shares(service),
        }
    }

    /// The task, where it can be sent something, or has been.
    pub(crate) fn endpoint(&self, service: &Service, task: &Task) -> Option<wire::Endpoint> {
        let load_balancers = service.load_balancers_of_task(task);
        let balanced = !load_balancers.is_empty();
        let is_there = match balanced {
            true => task.target.is_some(),
            false => task.last == TaskStatus::Running,
        };
        if !is_there {
            return None;
        }
        let key = InstanceKey {
            cluster: self.key,
            instance: task.instance,
        };
        let instance = self.state.instance(key)?;
        let definition = &self.state.definition(&task.launch.definition)?.definition;
        let address = instance.facts.address?;
        let ports = ports(task, definition, address);
        Some(wire::Endpoint {
            task: self.namespace.task(self.cluster, task.id),
            deployment: task.launch.service.as_ref()?.deployment.to_string(),
            instance: self.namespace.instance(self.cluster, task.instance),
            address: address.to_string(),
            availability_zone: zone(instance).to_owned(),
            targets: load_balancers.iter().filter_map(|one| target(one, &ports)).collect(),
            ports,
            health: health(task, definition, balanced).into(),
            deregister_by: task.deregister_by().map(Timestamp::as_epoch_seconds),
        })
    }
}

/// How traffic is shared between deployments while it moves from one to the next.
fn shares(service: &Service) -> Vec<wire::Share> {
    let current: Vec<Deployment> = service.current().cloned().collect();
    let shares = shift::shares(&service.spec, &current).into_iter();
    shares
        .map(|(deployment, percent)| wire::Share {
            deployment: deployment.to_string(),
            weight: percent.tenths(),
        })
        .collect()
}

fn zone(instance: &Instance) -> &str {
    instance.attribute(ZONE).flatten().unwrap_or_default()
}

/// As the load balancers know it where there are some, else as the containers' own checks do.
fn health(task: &Task, definition: &TaskDefinition, balanced: bool) -> wire::Health {
    let health = match (balanced, &task.target) {
        (true, Some(target)) => HealthStatus::from(target.health),
        (true, None) | (false, _) => {
            let containers = &definition.container_definitions;
            let is_essential = |name: &str| containers.iter().any(|one| one.name == name && one.is_essential());
            task.health(is_essential)
        }
    };
    match health {
        HealthStatus::Healthy => wire::Health::Healthy,
        HealthStatus::Unhealthy => wire::Health::Unhealthy,
        HealthStatus::Unknown => wire::Health::Unspecified,
    }
}

/// Where the host offers the ports of the task's containers at its address. In the host's own network they are the host's.
fn ports(task: &Task, definition: &TaskDefinition, address: IpAddr) -> Vec<wire::Port> {
    let name = |container: &str, port: u16| {
        let known = definition
            .container_definitions
            .iter()
            .find(|one| one.name == container);
        let mapping = known.and_then(|known| {
            let mut mappings = known.port_mappings.iter();
            mappings.find(|mapping| mapping.container_port == Some(i32::from(port)))
        });
        let name = mapping.and_then(|mapping| mapping.rest.get("name")?.as_str());
        name.unwrap_or_default().to_owned()
    };
    if definition.network_mode() == NetworkMode::Host {
        return host_ports(definition, name);
    }
    let suits = |bind_ip: &str| {
        let bound = bind_ip.parse::<IpAddr>();
        bound.is_ok_and(|bound| bound.is_ipv4() == address.is_ipv4())
    };
    let mut ports: Vec<(bool, wire::Port)> = Vec::new();
    for container in &*task.containers {
        for binding in &container.bindings {
            for (offset, host) in (0..).zip(binding.host_ports()) {
                let Some(port) = binding.container_port.checked_add(offset) else {
                    break;
                };
                let port = wire::Port {
                    container_name: container.name.to_string(),
                    container_port: port.into(),
                    host_port: host.port.into(),
                    protocol: binding.protocol.name().to_owned(),
                    name: name(&container.name, port),
                };
                ports.push((suits(&binding.bind_ip), port));
            }
        }
    }
    // Docker binds a port for IPv4 and for IPv6, and may choose another port of the host for each.
    let is_same = |one: &wire::Port, other: &wire::Port| {
        let key = |port: &wire::Port| (port.container_name.clone(), port.container_port, port.protocol.clone());
        key(one) == key(other)
    };
    let mut reached: Vec<wire::Port> = Vec::new();
    for (suits, port) in &ports {
        let better = ports.iter().any(|(suits, other)| *suits && is_same(other, port));
        if (*suits || !better) && !reached.contains(port) {
            reached.push(port.clone());
        }
    }
    reached
}

fn host_ports(definition: &TaskDefinition, name: impl Fn(&str, u16) -> String) -> Vec<wire::Port> {
    let containers = definition.container_definitions.iter();
    let ports = containers.flat_map(|container| {
        container.port_mappings.iter().filter_map(|mapping| {
            let port = u16::try_from(mapping.container_port?).ok()?;
            Some((container.name.clone(), port, mapping.protocol.clone()))
        })
    });
    ports
        .map(|(container_name, port, protocol)| wire::Port {
            name: name(&container_name, port),
            container_name,
            container_port: port.into(),
            host_port: port.into(),
            protocol: protocol.unwrap_or_else(|| "tcp".to_owned()),
        })
        .collect()
}

/// Where the task gets what arrives for the load balancer, if it has the port.
fn target(load_balancer: &LoadBalancer, ports: &[wire::Port]) -> Option<wire::Target> {
    let is_meant = |port: &&wire::Port| {
        port.container_name == load_balancer.container_name
            && port.container_port == u32::from(load_balancer.container_port)
            && port.protocol == "tcp"
    };
    Some(wire::Target {
        target_group: load_balancer.target_group_arn.clone(),
        host_port: ports.iter().find(is_meant)?.host_port,
    })
}

fn target_group(service: &Service, one: &LoadBalancer) -> wire::TargetGroup {
    let check = service.spec.targets.check_of(one);
    let protocol = match one.protocol {
        GatewayProtocol::Http => wire::Protocol::Http,
        GatewayProtocol::Http2 => wire::Protocol::Http2,
        GatewayProtocol::Tcp => wire::Protocol::Tcp,
    };
    wire::TargetGroup {
        arn: one.target_group_arn.clone(),
        protocol: protocol.into(),
        listener_port: one.listener_port.into(),
        health_check: Some(wire::HealthCheck {
            path: check.path.unwrap_or_default(),
            interval_seconds: check.interval_seconds,
            timeout_seconds: check.timeout_seconds,
            healthy_threshold: check.healthy_threshold,
            unhealthy_threshold: check.unhealthy_threshold,
        }),
        deregistration_delay_seconds: service.spec.targets.deregistration_delay_seconds,
    }
}

#[cfg(test)]
mod tests;
