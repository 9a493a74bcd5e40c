//! From the wire's shapes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use berth_proto::gateway::v1 as wire;

use super::{Endpoint, HealthCheck, Port, Problem, Protocol, Service, TargetGroup};

/// What ELB takes where nothing is said.
const INTERVAL: u32 = 30;
const TIMEOUT: u32 = 5;
const HEALTHY_THRESHOLD: u32 = 5;
const UNHEALTHY_THRESHOLD: u32 = 2;

/// What cannot be used is left out and added to the problems.
pub(super) fn service(from: wire::Service, problems: &mut Vec<Problem>) -> Service {
    let name: Arc<str> = from.name.into();
    let mut sort_out = |what: String| {
        problems.push(Problem {
            service: Arc::clone(&name),
            what,
        });
    };
    let mut target_groups = Vec::new();
    for group in from.target_groups {
        match target_group(group) {
            Ok(group) => target_groups.push(Arc::new(group)),
            Err(what) => sort_out(what),
        }
    }
    let mut endpoints = Vec::new();
    for one in from.endpoints {
        match endpoint(one) {
            Ok(endpoint) => endpoints.push(Arc::new(endpoint)),
            Err(what) => sort_out(what),
        }
    }
    let shares = from.shares.into_iter();
    Service {
        target_groups,
        endpoints,
        shares: shares.map(|share| (share.deployment.into(), share.weight)).collect(),
        arn: from.arn.into(),
        name,
    }
}

fn target_group(from: wire::TargetGroup) -> Result<TargetGroup, String> {
    let arn: Arc<str> = from.arn.as_str().into();
    let protocol = match from.protocol() {
        wire::Protocol::Http => Protocol::Http,
        wire::Protocol::Http2 => Protocol::Http2,
        wire::Protocol::Tcp => Protocol::Tcp,
        wire::Protocol::Unspecified => {
            return Err(format!(
                "target group '{arn}': protocol is {}, it must be one of HTTP, HTTP2, TCP",
                from.protocol
            ));
        }
    };
    let port = |field: &str, value: u32| port(value).map_err(|rule| format!("target group '{arn}': {field} {rule}"));
    Ok(TargetGroup {
        listener_port: port("listener_port", from.listener_port)?,
        protocol,
        health_check: health_check(from.health_check.unwrap_or_default()),
        deregistration_delay: Duration::from_secs(u64::from(from.deregistration_delay_seconds)),
        arn,
    })
}

fn health_check(from: wire::HealthCheck) -> HealthCheck {
    let or = |value: u32, default: u32| if value == 0 { default } else { value };
    let seconds = |value: u32, default: u32| Duration::from_secs(u64::from(or(value, default)));
    HealthCheck {
        path: Some(from.path).filter(|path| !path.is_empty()),
        interval: seconds(from.interval_seconds, INTERVAL),
        timeout: seconds(from.timeout_seconds, TIMEOUT),
        healthy_threshold: or(from.healthy_threshold, HEALTHY_THRESHOLD),
        unhealthy_threshold: or(from.unhealthy_threshold, UNHEALTHY_THRESHOLD),
    }
}

fn endpoint(from: wire::Endpoint) -> Result<Endpoint, String> {
    let task = from.task.as_str();
    let address = from.address.parse();
    let address =
        address.map_err(|_| format!("task '{task}': address is '{}', it must be an IP address", from.address))?;
    let ports: Result<Vec<Port>, String> = from.ports.iter().map(|port| mapped(task, port)).collect();
    let target = |one: &wire::Target| {
        let arn = one.target_group.as_str();
        let host_port = port(one.host_port);
        let host_port = host_port.map_err(|rule| format!("task '{task}': host_port of target group '{arn}' {rule}"))?;
        Ok((arn.into(), host_port))
    };
    let targets: Result<BTreeMap<Arc<str>, u16>, String> = from.targets.iter().map(target).collect();
    Ok(Endpoint {
        address,
        ports: ports?,
        targets: targets?,
        health: from.health(),
        deregister_by: from.deregister_by.map(since_epoch),
        task: from.task.into(),
        deployment: from.deployment.into(),
        instance: from.instance.into(),
        availability_zone: from.availability_zone,
    })
}

fn mapped(task: &str, from: &wire::Port) -> Result<Port, String> {
    let number = |field: &str, value: u32| port(value).map_err(|rule| format!("task '{task}': {field} {rule}"));
    Ok(Port {
        container_name: from.container_name.clone(),
        container_port: number("container_port", from.container_port)?,
        host_port: number("host_port", from.host_port)?,
        protocol: from.protocol.clone(),
        name: from.name.clone(),
    })
}

fn port(value: u32) -> Result<u16, String> {
    match u16::try_from(value) {
        Ok(port) if port > 0 => Ok(port),
        Ok(_) | Err(_) => Err(format!("is {value}, it must be between 1 and 65535")),
    }
}

/// What is no time at all is now: the beginning of the epoch.
fn since_epoch(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
