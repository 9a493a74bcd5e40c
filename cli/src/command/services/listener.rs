//! Where gateways listen for a service.

use std::str::FromStr;

use anyhow::Context;
use berth_proto::ecs::v1::LoadBalancer;

const RULE: &str =
    "it must be PROTOCOL:PORT=CONTAINER:PORT with one of the protocols http, http2 and tcp, such as http:80=nginx:8080";
/// Characters of a target group's name, at most.
const LONGEST_NAME: usize = 32;

/// `http:80=nginx:8080`: a port of the gateways, and the port of a container that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::command) struct Listener {
    protocol: String,
    port: u16,
    container: String,
    container_port: u16,
}

impl FromStr for Listener {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (front, behind) = text.split_once('=').ok_or(RULE)?;
        let (protocol, port) = front.split_once(':').ok_or(RULE)?;
        let (container, container_port) = behind.rsplit_once(':').ok_or(RULE)?;
        if !["http", "http2", "tcp"].contains(&protocol) || container.is_empty() {
            return Err(RULE);
        }
        let number = |text: &str| text.parse().ok().filter(|port: &u16| *port != 0).ok_or(RULE);
        Ok(Self {
            protocol: protocol.to_owned(),
            port: number(port)?,
            container: container.to_owned(),
            container_port: number(container_port)?,
        })
    }
}

impl Listener {
    /// A port of the gateways that leads to a container's; the protocol is one of those that `RULE` names.
    pub(in crate::command) fn new(protocol: &str, port: u16, container: &str, container_port: u16) -> Self {
        Self {
            protocol: protocol.to_owned(),
            port,
            container: container.to_owned(),
            container_port,
        }
    }

    /// As ECS has it. The target group is named after the service, and is in the region and account of the cluster.
    pub(in crate::command) fn load_balancer(&self, service: &str, cluster_arn: &str) -> anyhow::Result<LoadBalancer> {
        let mut parts = cluster_arn.split(':').skip(3);
        let (region, account) = parts
            .next()
            .zip(parts.next())
            .with_context(|| format!("'{cluster_arn}' is no ARN of a cluster"))?;
        let name: String = service
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .take(LONGEST_NAME)
            .collect();
        Ok(LoadBalancer {
            target_group_arn: Some(format!(
                "arn:aws:elasticloadbalancing:{region}:{account}:targetgroup/{name}/{}-{}",
                self.protocol, self.port
            )),
            container_name: Some(self.container.clone()),
            container_port: Some(i32::from(self.container_port)),
            ..LoadBalancer::default()
        })
    }
}

/// All of a service, as ECS has them.
pub(super) fn load_balancers(
    listeners: &[Listener],
    service: &str,
    cluster_arn: &str,
) -> anyhow::Result<Vec<LoadBalancer>> {
    let shapes = listeners.iter().map(|one| one.load_balancer(service, cluster_arn));
    shapes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_leads_from_a_port_of_the_gateways_to_one_of_a_container() {
        let listener: Listener = "http:80=nginx:8080".parse().unwrap();
        let arn = "arn:aws:ecs:eu-west-1:111122223333:cluster/prod";
        let asked = listener.load_balancer("my_web", arn).unwrap();
        assert_eq!(
            asked.target_group_arn(),
            "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/my-web/http-80"
        );
        assert_eq!((asked.container_name(), asked.container_port()), ("nginx", 8080));
    }

    #[test]
    fn what_is_no_listener_is_refused() {
        for text in [
            "80",
            "http:80",
            "udp:80=a:1",
            "http:0=a:1",
            "http:80=a:0",
            "http:80=:1",
            "http:80=a",
            "http:x=a:1",
        ] {
            assert_eq!(text.parse::<Listener>(), Err(RULE), "{text}");
        }
    }
}
