//! How tasks reach the network, as a client says and sees it: the configuration and the attachment of a task with an
//! address of its own (network mode `awsvpc`), and the ports of the host.

use berth_model::fault::Fault;
use berth_model::id::TaskId;
use berth_model::task_definition::{NetworkMode, TaskDefinition};
use berth_proto::ecs::v1 as ecs;
use berth_scheduler_core::observation::{ContainerState, NetworkBinding};
use berth_scheduler_core::service::NetworkConfiguration;
use berth_scheduler_core::state::Task;

use super::request::{given, one_of};

/// Limits of ECS's AwsVpcConfiguration.
const MAX_SUBNETS: usize = 16;
const MAX_SECURITY_GROUPS: usize = 5;
/// Hexadecimal digits in the id of an interface of EC2.
const INTERFACE_DIGITS: usize = 17;

/// Whether a network configuration is given. It is checked as ECS checks it; the address itself comes from the network
/// of the host that a task is placed on, so that what it names is told and has no other effect. Fargate lets a task ask for
/// a public address too, which it does not get either.
fn configuration(given_one: Option<&ecs::NetworkConfiguration>, is_fargate: bool) -> Result<bool, Fault> {
    let Some(vpc) = given_one.and_then(|configuration| configuration.awsvpc_configuration.as_ref()) else {
        return Ok(false);
    };
    if vpc.subnets.is_empty() {
        return Err(Fault::invalid("subnets can not be empty."));
    }
    for (name, list, limit) in [
        ("subnets", &vpc.subnets, MAX_SUBNETS),
        ("securityGroups", &vpc.security_groups, MAX_SECURITY_GROUPS),
    ] {
        if list.len() > limit {
            return Err(Fault::invalid(format!(
                "awsvpcConfiguration.{name} has {} entries, at most {limit} are allowed.",
                list.len()
            )));
        }
    }
    if let Some(assign) = given(vpc.assign_public_ip.as_ref()) {
        one_of("assignPublicIp", assign, &["ENABLED", "DISABLED"])?;
        if assign == "ENABLED" && !is_fargate {
            return Err(Fault::invalid(
                "Assign public IP is not supported for this launch type.",
            ));
        }
    }
    Ok(true)
}

/// What is kept of a network configuration that is given.
pub(super) fn kept(
    given_one: Option<&ecs::NetworkConfiguration>,
    is_fargate: bool,
) -> Result<Option<NetworkConfiguration>, Fault> {
    if !configuration(given_one, is_fargate)? {
        return Ok(None);
    }
    let vpc = given_one.and_then(|configuration| configuration.awsvpc_configuration.as_ref());
    Ok(vpc.map(|vpc| NetworkConfiguration {
        subnets: vpc.subnets.clone(),
        security_groups: vpc.security_groups.clone(),
        assign_public_ip: vpc.assign_public_ip.as_deref() == Some("ENABLED"),
    }))
}

/// A network configuration that was kept.
pub(super) fn shown(network: &NetworkConfiguration) -> ecs::NetworkConfiguration {
    ecs::NetworkConfiguration {
        awsvpc_configuration: Some(ecs::AwsVpcConfiguration {
            subnets: network.subnets.clone(),
            security_groups: network.security_groups.clone(),
            assign_public_ip: Some(
                if network.assign_public_ip {
                    "ENABLED"
                } else {
                    "DISABLED"
                }
                .to_owned(),
            ),
        }),
    }
}

/// The attachment of the task's interface, as ECS shows one from the task's first moment to its last.
pub(super) fn attachment(task: &Task, definition: &TaskDefinition) -> Option<ecs::Attachment> {
    if definition.network_mode() != NetworkMode::Awsvpc {
        return None;
    }
    let address = task.containers.iter().find_map(|container| container.address.as_ref());
    let status = match address {
        _ if task.is_stopped() => "DELETED",
        Some(_) => "ATTACHED",
        None => "PRECREATED",
    };
    let detail = |name: &str, value: String| ecs::KeyValuePair {
        name: Some(name.to_owned()),
        value: Some(value),
        ..ecs::KeyValuePair::default()
    };
    // The order is ECS's.
    let mut details = Vec::new();
    details.extend(
        task.launch
            .subnet
            .as_ref()
            .map(|subnet| detail("subnetId", subnet.to_string())),
    );
    if let Some(address) = address {
        details.push(detail("networkInterfaceId", interface_id(task.id)));
        details.push(detail("privateIPv4Address", address.to_string()));
    }
    Some(ecs::Attachment {
        id: Some(attachment_id(task.id)),
        r#type: Some("ElasticNetworkInterface".to_owned()),
        status: Some(status.to_owned()),
        details,
    })
}

/// The interface of a container, which is its task's.
pub(super) fn interface(task: TaskId, container: &ContainerState) -> Option<ecs::NetworkInterface> {
    Some(ecs::NetworkInterface {
        attachment_id: Some(attachment_id(task)),
        private_ipv4_address: Some(container.address.as_ref()?.to_string()),
        ipv6_address: None,
    })
}

/// A port of the host, or several in a row, as ECS shows them.
pub(super) fn binding(binding: &NetworkBinding) -> ecs::NetworkBinding {
    let shape = ecs::NetworkBinding {
        bind_ip: Some(binding.bind_ip.to_string()),
        protocol: Some(binding.protocol.name().to_owned()),
        ..ecs::NetworkBinding::default()
    };
    match binding.range.checked_sub(1) {
        None => ecs::NetworkBinding {
            container_port: Some(i32::from(binding.container_port)),
            host_port: Some(i32::from(binding.host_port)),
            ..shape
        },
        Some(more) => {
            let range = |first: u16| Some(format!("{first}-{}", first.saturating_add(more)));
            ecs::NetworkBinding {
                container_port_range: range(binding.container_port),
                host_port_range: range(binding.host_port),
                ..shape
            }
        }
    }
}

/// The task's id in the form of a UUID, which attachments have for ids: a task has one attachment.
fn attachment_id(task: TaskId) -> String {
    let digits = task.to_string();
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| digits.get(part).unwrap_or_default());
    parts.join("-")
}

/// What the interface of the task is called, in the form that EC2 has for it: clients want a name, and ask EC2 of it at most.
fn interface_id(task: TaskId) -> String {
    let digits = task.to_string();
    let last = digits.len().saturating_sub(INTERFACE_DIGITS);
    format!("eni-{}", digits.get(last..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(vpc: ecs::AwsVpcConfiguration) -> Result<bool, String> {
        let configuration = ecs::NetworkConfiguration {
            awsvpc_configuration: Some(vpc),
        };
        super::configuration(Some(&configuration), false).map_err(|fault| fault.message)
    }

    fn with(subnets: usize, groups: usize, assign: Option<&str>) -> ecs::AwsVpcConfiguration {
        ecs::AwsVpcConfiguration {
            subnets: vec!["subnet-1".to_owned(); subnets],
            security_groups: vec!["sg-1".to_owned(); groups],
            assign_public_ip: assign.map(str::to_owned),
        }
    }

    #[test]
    fn a_network_configuration_has_ecs_shape_and_limits() {
        assert_eq!(configuration(None, false), Ok(false));
        let empty = ecs::NetworkConfiguration::default();
        assert_eq!(configuration(Some(&empty), false), Ok(false));
        let public = ecs::NetworkConfiguration {
            awsvpc_configuration: Some(with(1, 0, Some("ENABLED"))),
        };
        assert_eq!(configuration(Some(&public), true), Ok(true), "Fargate's tasks may ask");
        assert_eq!(check(with(1, 0, None)), Ok(true));
        assert_eq!(check(with(16, 5, Some("DISABLED"))), Ok(true));
        assert_eq!(check(with(0, 0, None)), Err("subnets can not be empty.".to_owned()));
        for (wrong, says) in [
            (with(17, 0, None), "awsvpcConfiguration.subnets has 17 entries"),
            (with(1, 6, None), "awsvpcConfiguration.securityGroups has 6 entries"),
            (with(1, 0, Some("YES")), "assignPublicIp"),
            (with(1, 0, Some("ENABLED")), "Assign public IP is not supported"),
        ] {
            let message = check(wrong).unwrap_err();
            assert!(message.contains(says), "{message}");
        }
    }

    #[test]
    fn an_attachment_is_named_after_its_task() {
        assert_eq!(
            attachment_id(TaskId::from_bits(0x2a)),
            "00000000-0000-0000-0000-00000000002a"
        );
        assert_eq!(interface_id(TaskId::from_bits(0x2a)), "eni-0000000000000002a");
    }
}
