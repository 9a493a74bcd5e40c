//! What gateways listen for: the target groups that a service names in `loadBalancers`.
//!
//! A target group of ours is nothing but its ARN: that says the protocol and the port on which gateways listen, so that
//! none has to be made before a service can name it.

mod settings;

use serde::{Deserialize, Serialize};

use crate::arn::Namespace;
use crate::fault::{Fault, shortened};
use crate::status::named;
use crate::task_definition::TaskDefinition;

pub use settings::{DEREGISTRATION_DELAY_TAG, HEALTH_CHECK_TAG, HealthCheck, TargetSettings, refuse_settings};

/// Target groups of a service, at most (ECS service quotas).
const MAX_GROUPS: usize = 5;
/// Characters of a target group's name, at most (Elastic Load Balancing, CreateTargetGroup).
const MAX_NAME: usize = 32;

named! {
    /// What is spoken in front of and behind a gateway.
    GatewayProtocol {
        /// HTTP/1.1 and HTTP/2 in front, HTTP/1.1 behind.
        Http = "http",
        /// HTTP in front, HTTP/2 behind: gRPC.
        Http2 = "http2",
        /// Bytes.
        Tcp = "tcp",
    }
}

/// A member of `loadBalancers` as a request has it (ECS API, `LoadBalancer`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawLoadBalancer {
    /// `targetGroupArn`
    pub target_group_arn: Option<String>,
    /// `loadBalancerName`: of a Classic Load Balancer, which there is none of here.
    pub load_balancer_name: Option<String>,
    /// `containerName`
    pub container_name: Option<String>,
    /// `containerPort`
    pub container_port: Option<i32>,
}

/// A port on which gateways listen, and which port of a service's tasks gets what arrives there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadBalancer {
    /// As the request had it, which is the only way of writing it.
    pub target_group_arn: String,
    /// What is spoken.
    pub protocol: GatewayProtocol,
    /// Where gateways listen. Never 0.
    pub listener_port: u16,
    /// The container that gets it.
    pub container_name: String,
    /// Its port.
    pub container_port: u16,
}

/// The load balancers of a service.
///
/// # Errors
/// `InvalidParameterException` naming the member, its value and the rule.
pub fn parse(raw: &[RawLoadBalancer], namespace: &Namespace) -> Result<Vec<LoadBalancer>, Fault> {
    if raw.len() > MAX_GROUPS {
        return Err(Fault::invalid(format!(
            "loadBalancers has {} entries, at most {MAX_GROUPS} are allowed.",
            raw.len()
        )));
    }
    let mut parsed: Vec<LoadBalancer> = Vec::with_capacity(raw.len());
    for (at, one) in raw.iter().enumerate() {
        let one =
            load_balancer(one, namespace).map_err(|what| Fault::invalid(format!("loadBalancers[{at}].{what}")))?;
        if let Some(other) = parsed.iter().find(|other| other.listener_port == one.listener_port) {
            return Err(Fault::invalid(format!(
                "loadBalancers[{at}].targetGroupArn '{}' listens on port {}, as '{}' does: a port may stand once.",
                shortened(&one.target_group_arn),
                one.listener_port,
                shortened(&other.target_group_arn)
            )));
        }
        parsed.push(one);
    }
    Ok(parsed)
}

fn load_balancer(raw: &RawLoadBalancer, namespace: &Namespace) -> Result<LoadBalancer, String> {
    if let Some(name) = &raw.load_balancer_name {
        return Err(format!(
            "loadBalancerName '{}' is the name of a Classic Load Balancer; give a targetGroupArn.",
            shortened(name)
        ));
    }
    let arn = given(raw.target_group_arn.as_ref()).ok_or("targetGroupArn can not be empty.")?;
    let container = given(raw.container_name.as_ref()).ok_or("containerName can not be empty.")?;
    let port = raw.container_port.ok_or("containerPort is missing.")?;
    let container_port = u16::try_from(port)
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| format!("containerPort {port} should be between 1 and 65535."))?;
    let (protocol, listener_port) = namespace.parse_target_group(arn)?;
    Ok(LoadBalancer {
        target_group_arn: arn.to_owned(),
        protocol,
        listener_port,
        container_name: container.to_owned(),
        container_port,
    })
}

fn given(member: Option<&String>) -> Option<&str> {
    member.map(String::as_str).filter(|text| !text.is_empty())
}

impl Namespace {
    /// Protocol and port of the target group whose ARN this is:
    /// `arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/PROTOCOL-PORT`.
    fn parse_target_group(&self, arn: &str) -> Result<(GatewayProtocol, u16), String> {
        let form = self.target_group("NAME", "PROTOCOL-PORT");
        let invalid = |rule: &str| {
            format!(
                "targetGroupArn '{}' is not the ARN of a target group: {rule}. It has the form {form} with one of the \
                 protocols http, http2 and tcp, and the port on which gateways listen.",
                shortened(arn)
            )
        };
        let prefix = self.target_group("", "");
        let prefix = prefix.trim_end_matches('/');
        let rest = arn
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(|| invalid(&format!("it does not begin with {prefix}/")))?;
        let (name, listener) = rest.split_once('/').ok_or_else(|| invalid("it has no listener"))?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(is_name) {
            return Err(invalid(&format!(
                "its name must be 1 to {MAX_NAME} letters, digits and hyphens"
            )));
        }
        let (protocol, port) = listener
            .split_once('-')
            .ok_or_else(|| invalid("it has no listener port"))?;
        let protocol = GatewayProtocol::from_name(protocol)
            .ok_or_else(|| invalid("it has no protocol of those that there are"))?;
        let is_plain = !port.starts_with(['0', '+']);
        let port: Option<u16> = port.parse().ok().filter(|_| is_plain);
        port.map(|port| (protocol, port))
            .ok_or_else(|| invalid("its port should be between 1 and 65535"))
    }
}

impl LoadBalancer {
    /// Checks that tasks of the definition have the port.
    ///
    /// # Errors
    /// `InvalidParameterException` naming the container or the port that the definition lacks.
    pub fn check(&self, definition: &TaskDefinition) -> Result<(), Fault> {
        let container = definition
            .container_definitions
            .iter()
            .find(|container| container.name == self.container_name)
            .ok_or_else(|| {
                Fault::invalid(format!(
                    "The container {} does not exist in the task definition.",
                    shortened(&self.container_name)
                ))
            })?;
        let port = i32::from(self.container_port);
        let maps = container.port_mappings.iter().any(|mapping| {
            let is_tcp = mapping.protocol.as_deref().is_none_or(|protocol| protocol == "tcp");
            let in_range = mapping
                .range()
                .is_some_and(|range| (range.first..=range.last).contains(&self.container_port));
            is_tcp && (mapping.container_port == Some(port) || in_range)
        });
        if maps {
            return Ok(());
        }
        Err(Fault::invalid(format!(
            "The container {} did not have a container port {port} defined.",
            self.container_name
        )))
    }
}

#[cfg(test)]
mod tests;
