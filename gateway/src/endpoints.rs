//! What the scheduler has said of a cluster: its services, what listens for them, and where their tasks are reached.
//!
//! Pure: a table and a message make the next table. The link folds; everything else reads published tables, which
//! never change. What a message says that cannot be is left out and said once, as a [`Problem`].

mod wire;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use berth_proto::gateway::v1 as proto;

/// The services of a cluster at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Table {
    /// Of the message that it comes from; grows within one stream.
    pub(crate) version: u64,
    /// By name.
    pub(crate) services: BTreeMap<Arc<str>, Arc<Service>>,
}

/// One service, whole.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Service {
    pub(crate) name: Arc<str>,
    pub(crate) arn: Arc<str>,
    /// What listens for it; empty where it is only to be found by name.
    pub(crate) target_groups: Vec<Arc<TargetGroup>>,
    /// Its tasks that run, and those that are about to stop.
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
    /// How what is new is shared between deployments; empty: in proportion to their tasks.
    pub(crate) shares: BTreeMap<Arc<str>, u32>,
}

/// A port on which a service is listened for, and who gets what arrives there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TargetGroup {
    pub(crate) arn: Arc<str>,
    pub(crate) protocol: Protocol,
    /// Never 0.
    pub(crate) listener_port: u16,
    pub(crate) health_check: HealthCheck,
    /// What open connections of a target have from its deregistration on.
    pub(crate) deregistration_delay: Duration,
}

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1 behind.
    Http,
    /// HTTP/2 without TLS behind.
    Http2,
    /// Bytes.
    Tcp,
}

/// How a target's health is found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HealthCheck {
    /// To GET; `None`: whether TCP connects.
    pub(crate) path: Option<String>,
    /// Never zero.
    pub(crate) interval: Duration,
    /// Never zero.
    pub(crate) timeout: Duration,
    /// At least 1.
    pub(crate) healthy_threshold: u32,
    /// At least 1.
    pub(crate) unhealthy_threshold: u32,
}

/// A task, and where it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// ARN.
    pub(crate) task: Arc<str>,
    pub(crate) deployment: Arc<str>,
    /// ARN of its container instance.
    pub(crate) instance: Arc<str>,
    pub(crate) address: IpAddr,
    pub(crate) availability_zone: String,
    pub(crate) ports: Vec<Port>,
    /// As the scheduler knows it.
    pub(crate) health: proto::Health,
    /// It gets nothing new; open connections are cut at this time since the epoch.
    pub(crate) deregister_by: Option<Duration>,
    /// Ports of its host, by the ARN of the target group whose traffic they get.
    pub(crate) targets: BTreeMap<Arc<str>, u16>,
}

/// One port of a container, and where it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) container_name: String,
    pub(crate) container_port: u16,
    pub(crate) host_port: u16,
    /// `tcp` or `udp`.
    pub(crate) protocol: String,
    /// Of the port mapping; may be empty.
    pub(crate) name: String,
}

/// Something that a message says and that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) service: Arc<str>,
    /// Names the field, the value and the rule.
    pub(crate) what: String,
}

impl Table {
    /// The table after a message, and what of the message had to be left out. A message that is not newer than the
    /// table changes nothing, unless it is complete: that begins a stream.
    pub(crate) fn folded(&self, message: proto::Endpoints) -> (Self, Vec<Problem>) {
        if !message.complete && message.version <= self.version {
            return (self.clone(), Vec::new());
        }
        let mut problems = Vec::new();
        let mut next = Self {
            version: message.version,
            services: if message.complete {
                BTreeMap::new()
            } else {
                self.services.clone()
            },
        };
        for gone in &message.gone {
            next.services.remove(gone.as_str());
        }
        for service in message.services {
            let service = wire::service(service, &mut problems);
            // Who compares what is published sees at once what did not change.
            let kept = self.services.get(&service.name).filter(|known| ***known == service);
            let service = kept.map_or_else(|| Arc::new(service), Arc::clone);
            next.services.insert(Arc::clone(&service.name), service);
        }
        (next, problems)
    }
}

impl Endpoint {
    /// Where the task gets what arrives for a target group; `None` where it is no target of that.
    pub(crate) fn reached(&self, group: &TargetGroup) -> Option<SocketAddr> {
        let port = self.targets.get(&group.arn)?;
        Some(SocketAddr::new(self.address, *port))
    }
}

#[cfg(test)]
pub(crate) mod tests;
