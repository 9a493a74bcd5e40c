//! The network of tasks that have an address of their own: a bridge of Docker's that the agent makes when the first
//! such task is created, and again when somebody has removed it.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use berth_agent_core::create::TASK_NETWORK;
use berth_agent_core::failure::{Failure, FailureKind};
use berth_agent_core::name;
use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use bollard::query_parameters::InspectNetworkOptions;

use super::calls::Call;
use super::failure::found;
use super::{Docker, permit};

const INSPECT: Duration = Duration::from_secs(30);
const CREATE: Duration = Duration::from_secs(60);
/// The bridge's name on the host, for firewall rules that name it.
const BRIDGE: &str = "berth0";

impl Docker {
    /// Makes sure that the network is there. One that is there is used as it is.
    pub(super) async fn prepare_task_network(&self) -> Result<(), Failure> {
        if self.has_task_network().await? {
            return Ok(());
        }
        // One after the other: older Docker lets two networks have one name.
        let _permit = permit(&self.limits.networks).await?;
        if self.has_task_network().await? {
            return Ok(());
        }
        let call = self.client.create_network(request(self.task_subnet));
        let made = self.calls.within(Call::CreateNetwork, CREATE, call).await;
        made.map(drop).map_err(|failure| {
            let subnet = self
                .task_subnet
                .map_or_else(|| "of Docker's choice".to_owned(), written);
            let message = format!(
                "Docker cannot make the network '{TASK_NETWORK}' (subnet {subnet}): {}",
                failure.message
            );
            let kind = match failure.kind {
                FailureKind::Refused
                | FailureKind::NotFound
                | FailureKind::Faltered
                | FailureKind::PortTaken
                | FailureKind::Unprepared => FailureKind::Unprepared,
                kind @ (FailureKind::TimedOut | FailureKind::Lost) => kind,
            };
            Failure::new(kind, message)
        })
    }

    async fn has_task_network(&self) -> Result<bool, Failure> {
        let call = self.client.inspect_network(TASK_NETWORK, None::<InspectNetworkOptions>);
        Ok(found(self.calls.within(Call::InspectNetwork, INSPECT, call).await)?.is_some())
    }
}

fn written((address, length): (Ipv4Addr, u8)) -> String {
    format!("{address}/{length}")
}

fn request(subnet: Option<(Ipv4Addr, u8)>) -> NetworkCreateRequest {
    let ipam = subnet.map(|subnet| Ipam {
        config: Some(vec![IpamConfig {
            subnet: Some(written(subnet)),
            ..IpamConfig::default()
        }]),
        ..Ipam::default()
    });
    let option = ("com.docker.network.bridge.name".to_owned(), BRIDGE.to_owned());
    NetworkCreateRequest {
        name: TASK_NETWORK.to_owned(),
        driver: Some("bridge".to_owned()),
        ipam,
        options: Some(HashMap::from([option])),
        labels: Some(HashMap::from([(name::TASK_NETWORK.to_owned(), "true".to_owned())])),
        ..NetworkCreateRequest::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subnet_is_the_operators_or_dockers_choice() {
        assert_eq!(request(None).ipam, None);
        let ipam = request(Some((Ipv4Addr::new(172, 20, 0, 0), 20))).ipam.unwrap();
        assert_eq!(ipam.config.unwrap()[0].subnet.as_deref(), Some("172.20.0.0/20"));
    }
}
