//! From the stream's messages to the core's words. What an agent sends is input from outside: it is checked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use berth_model::fault::Fault;
use berth_model::gpu::{ContainerGpus, GpuId};
use berth_model::quantity::{CpuUnits, HostPort, MemoryMib, PortSet, Protocol};
use berth_model::status::{ContainerStatus, HealthStatus, StopCode, TaskStatus};
use berth_model::task_definition::PortRange;
use berth_model::time::Timestamp;
use berth_proto::agent::v1::{self as wire, ContainerReport, HostFacts, TaskReport};
use berth_proto::ecs::v1 as ecs;
use berth_scheduler_core::observation::Observation;
use berth_scheduler_core::observation::{ContainerState, InstanceFacts, NetworkBinding, TaskTimes};

/// Characters of a reason (ECS API, `reason` of a state change).
const MAX_REASON: usize = 1024;
/// Lines of a container's log, and characters of each (`ContainerReport.log_tail`).
const MAX_LINES: usize = 5;
const MAX_LINE: usize = 200;
/// The attribute by which placement and clients read an instance's address.
const ADDRESS: &str = "berth.address";
/// GPUs of one host: far more than fit into one.
const MAX_GPUS: usize = 1024;

/// What the agent says of its host.
pub(super) fn facts(facts: HostFacts) -> Result<InstanceFacts, Fault> {
    if facts.cpu_units == 0 || facts.memory_mib == 0 {
        return Err(Fault::invalid(format!(
            "facts: cpu_units is {} and memory_mib is {}, both must be more than 0.",
            facts.cpu_units, facts.memory_mib
        )));
    }
    let mut reserved: Vec<HostPort> = Vec::new();
    for (protocol, ports) in [
        (Protocol::Tcp, &facts.reserved_tcp_ports),
        (Protocol::Udp, &facts.reserved_udp_ports),
    ] {
        for port in ports {
            reserved.push(HostPort {
                protocol,
                port: checked_port("facts.reserved ports", *port)?,
            });
        }
    }
    let mut attributes: BTreeMap<_, _> = facts
        .attributes
        .into_iter()
        .map(|attribute| (attribute.name, attribute.value))
        .collect();
    let address = host_address(&facts.address)?;
    attributes.remove(ADDRESS);
    attributes.extend(address.map(|address| (ADDRESS.to_owned(), Some(address.to_string()))));
    Ok(InstanceFacts {
        cpu: CpuUnits(facts.cpu_units),
        memory: MemoryMib(facts.memory_mib),
        reserved_ports: PortSet::from_iter(reserved),
        gpus: gpu_ids(&facts.gpu_ids)?,
        attributes,
        agent_version: facts.agent_version,
        docker_version: facts.docker_version,
        ec2_instance_id: Some(facts.ec2_instance_id).filter(|id| !id.is_empty()),
        address,
    })
}

fn host_address(text: &str) -> Result<Option<IpAddr>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let address = text.parse().map(|address: IpAddr| address.to_canonical());
    let address = address
        .ok()
        .filter(|address| !address.is_unspecified() && !address.is_multicast());
    let rule = || Fault::invalid(format!("facts.address: '{text}' is no IP address of a host."));
    address.map(Some).ok_or_else(rule)
}

fn gpu_ids(given: &[String]) -> Result<BTreeSet<GpuId>, Fault> {
    if given.len() > MAX_GPUS {
        return Err(Fault::invalid(format!(
            "facts: gpu_ids are {}, at most {MAX_GPUS} are allowed.",
            given.len()
        )));
    }
    let mut ids = BTreeSet::new();
    for text in given {
        let id = GpuId::parse(text).map_err(|fault| Fault::invalid(format!("facts.gpu_ids: {}", fault.message)))?;
        if !ids.insert(id) {
            return Err(Fault::invalid(format!("facts.gpu_ids: '{text}' is given twice.")));
        }
    }
    Ok(ids)
}

/// The GPUs that the containers of a task have.
pub(super) fn gpus(given: &[ContainerGpus]) -> Vec<wire::ContainerGpus> {
    let of = |given: &ContainerGpus| wire::ContainerGpus {
        container: given.container.to_string(),
        gpu_ids: given.ids.iter().map(GpuId::to_string).collect(),
    };
    given.iter().map(of).collect()
}

/// Why the host leaves and when its tasks stop, in words; none where it stays.
pub(super) fn leaving(notice: wire::DrainNotice) -> Option<Arc<str>> {
    let deadline = Timestamp::from_epoch_seconds(notice.deadline).to_rfc3339();
    text(notice.reason).map(|reason| format!("{reason} Its tasks are told to stop at {deadline}.").into())
}

/// Why a request of an agent was refused.
pub(super) fn fault(fault: &Fault) -> wire::Fault {
    wire::Fault {
        fault_class: fault.class.name().to_owned(),
        message: fault.message.clone(),
    }
}

fn checked_port(field: &str, port: u32) -> Result<u16, Fault> {
    u16::try_from(port).map_err(|_| Fault::invalid(format!("{field}: {port} is no port, 0 to 65535 are.")))
}

/// What the agent says of a task.
pub(super) fn observation(report: TaskReport) -> Result<Observation, Fault> {
    let unknown =
        |field: &str, value: &str| Fault::invalid(format!("{field} '{value}' of {} is unknown.", report.task_arn));
    let last_status =
        TaskStatus::from_name(&report.last_status).ok_or_else(|| unknown("last_status", &report.last_status))?;
    let stop_code = match report.stop_code.as_str() {
        "" => None,
        name => Some(StopCode::from_name(name).ok_or_else(|| unknown("stop_code", name))?),
    };
    let containers: Result<Vec<ContainerState>, Fault> = report.containers.into_iter().map(container).collect();
    let time = |seconds: Option<f64>| seconds.map(Timestamp::from_epoch_seconds);
    Ok(Observation {
        last_status,
        containers: containers?.into(),
        stop_code,
        stopped_reason: text(report.stopped_reason),
        times: TaskTimes {
            pull_started: time(report.pull_started_at),
            pull_stopped: time(report.pull_stopped_at),
            started: time(report.started_at),
            stopping: time(report.stopping_at),
            execution_stopped: time(report.execution_stopped_at),
        },
    })
}

fn container(report: ContainerReport) -> Result<ContainerState, Fault> {
    let unknown = |field: &str, value: &str| {
        Fault::invalid(format!("{field} '{value}' of container '{}' is unknown.", report.name))
    };
    let last =
        ContainerStatus::from_name(&report.last_status).ok_or_else(|| unknown("last_status", &report.last_status))?;
    let health = match report.health_status.as_str() {
        "" => HealthStatus::Unknown,
        name => HealthStatus::from_name(name).ok_or_else(|| unknown("health_status", name))?,
    };
    let bindings: Result<Vec<NetworkBinding>, Fault> = report.network_bindings.into_iter().map(binding).collect();
    Ok(ContainerState {
        name: report.name.into(),
        last,
        runtime_id: text(report.runtime_id),
        image_digest: text(report.image_digest),
        exit_code: report.exit_code,
        reason: text(report.reason),
        bindings: bindings?,
        address: address(report.network_interfaces),
        health,
        restarts: report.restart_count,
        log_tail: log_tail(&report.log_tail),
    })
}

/// As many lines as an agent may send, cut to what they may be; control characters have no place in them.
fn log_tail(lines: &[String]) -> Option<Arc<str>> {
    let plain = |line: &String| -> String {
        let characters = line.chars().take(MAX_LINE);
        characters
            .map(|one| if one.is_control() { '\u{fffd}' } else { one })
            .collect()
    };
    let lines: Vec<String> = lines.iter().take(MAX_LINES).map(plain).collect();
    (!lines.is_empty()).then(|| lines.join("\n").into())
}

/// The first interface's address: a task has one.
fn address(interfaces: Vec<ecs::NetworkInterface>) -> Option<Arc<str>> {
    text(interfaces.into_iter().next()?.private_ipv4_address?)
}

fn binding(binding: ecs::NetworkBinding) -> Result<NetworkBinding, Fault> {
    let port = |field: &str, port: Option<i32>| {
        u16::try_from(port.unwrap_or(0))
            .map_err(|_| Fault::invalid(format!("{field} {} is no port, 0 to 65535 are.", port.unwrap_or(0))))
    };
    let range = |field: &str, text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => PortRange::parse(text)
            .map(Some)
            .ok_or_else(|| Fault::invalid(format!("{field} '{text}' is no range of ports."))),
    };
    let inside = range("container_port_range", &binding.container_port_range)?;
    let outside = range("host_port_range", &binding.host_port_range)?;
    let (container_port, host_port, ports) = match (inside, outside) {
        (Some(inside), Some(outside)) => {
            let ports = (outside.last - outside.first).saturating_add(1);
            (inside.first, outside.first, ports)
        }
        _ => (
            port("container_port", binding.container_port)?,
            port("host_port", binding.host_port)?,
            0,
        ),
    };
    Ok(NetworkBinding {
        container_port,
        host_port,
        range: ports,
        bind_ip: binding.bind_ip.unwrap_or_default().into(),
        protocol: match binding.protocol.as_deref() {
            Some("udp") => Protocol::Udp,
            Some(_) | None => Protocol::Tcp,
        },
    })
}

/// The text, cut to what ECS allows; nothing where it is empty.
fn text(text: String) -> Option<Arc<str>> {
    if text.is_empty() {
        return None;
    }
    match text.char_indices().nth(MAX_REASON) {
        Some((end, _)) => Some(text[..end].into()),
        None => Some(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_gpus_have_ids_that_differ() {
        let facts = |ids: &[&str]| {
            facts(HostFacts {
                cpu_units: 1024,
                memory_mib: 1024,
                gpu_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
                ..HostFacts::default()
            })
        };
        let ids: Vec<String> = facts(&["GPU-b", "GPU-a"])
            .unwrap()
            .gpus
            .iter()
            .map(GpuId::to_string)
            .collect();
        assert_eq!(ids, ["GPU-a", "GPU-b"]);
        let refused = |ids: &[&str]| facts(ids).unwrap_err().message;
        assert_eq!(refused(&["GPU-a", "GPU-a"]), "facts.gpu_ids: 'GPU-a' is given twice.");
        assert!(refused(&["a,b"]).starts_with("facts.gpu_ids: 'a,b' is no id of a GPU"));
        assert!(refused(&["x"; MAX_GPUS + 1]).contains("at most 1024 are allowed"));
    }

    #[test]
    fn a_hosts_address_is_an_attribute_that_only_the_address_sets() {
        let facts = |address: &str| {
            facts(HostFacts {
                cpu_units: 1024,
                memory_mib: 1024,
                address: address.to_owned(),
                attributes: vec![wire::HostAttribute {
                    name: ADDRESS.to_owned(),
                    value: Some("elsewhere".to_owned()),
                }],
                ..HostFacts::default()
            })
        };
        for (told, known) in [
            ("10.0.0.7", Some("10.0.0.7")),
            ("2001:DB8::7", Some("2001:db8::7")),
            ("::ffff:10.0.0.7", Some("10.0.0.7")),
            ("", None),
        ] {
            let facts = facts(told).unwrap();
            assert_eq!(facts.address.map(|address| address.to_string()).as_deref(), known);
            let attribute = facts.attributes.get(ADDRESS).cloned().flatten();
            assert_eq!(attribute.as_deref(), known, "{told}");
        }
        for bad in ["0.0.0.0", "::", "224.0.0.1", "host-a", "10.0.0.7:80"] {
            let refused = facts(bad).unwrap_err().message;
            assert_eq!(refused, format!("facts.address: '{bad}' is no IP address of a host."));
        }
    }

    #[test]
    fn what_a_container_said_is_cut_to_a_few_lines_of_plain_text() {
        assert_eq!(log_tail(&[]), None);
        let lines: Vec<String> = ["a\nb", &"x".repeat(300), "3", "4", "5", "6"]
            .map(str::to_owned)
            .to_vec();
        let told = log_tail(&lines).unwrap();
        let told: Vec<&str> = told.lines().collect();
        assert_eq!(
            (told.len(), told[0], told[1].len()),
            (MAX_LINES, "a\u{fffd}b", MAX_LINE)
        );
    }
}
