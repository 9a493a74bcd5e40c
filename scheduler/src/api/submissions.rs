//! RegisterContainerInstance, SubmitTaskStateChange, SubmitContainerStateChange and SubmitAttachmentStateChanges: what
//! agents call that keep no stream. Statuses only move forward, and whose agent has a stream is written by that alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_model::fault::{Fault, shortened};
use berth_model::gpu::GpuId;
use berth_model::id::TaskId;
use berth_model::name::ClusterName;
use berth_model::quantity::{CpuUnits, HostPort, MemoryMib, PortSet, Protocol};
use berth_model::status::{ContainerStatus, HealthStatus, StopCode, TaskStatus};
use berth_model::time::Timestamp;
use berth_proto::ecs::v1 as ecs;
use berth_scheduler_core::decide::instance::SetConnection;
use berth_scheduler_core::decide::registration::RegisterInstance;
use berth_scheduler_core::decide::report::ReportTasks;
use berth_scheduler_core::keys::{InstanceKey, TaskKey};
use berth_scheduler_core::observation::{ContainerState, InstanceFacts, NetworkBinding, Observation, TaskTimes};
use berth_scheduler_core::state::{State, Task};

use super::request::{at_most, given, one_of, required, tags};
use super::{Api, Caller, describe};
use crate::clock;

/// What acknowledges a change.
const ACKNOWLEDGED: &str = "ACK";
/// Characters of a reason (ECS API, `reason` of a state change).
const MAX_REASON: usize = 1024;
/// Containers and attachments in one call: those of one task.
const MAX_CHANGES: usize = 10;

pub(super) async fn register(
    api: &Api,
    request: ecs::RegisterContainerInstanceRequest,
    caller: &Caller,
) -> Result<ecs::RegisterContainerInstanceResponse, Fault> {
    let name = api.cluster(given(request.cluster.as_ref()))?;
    let instance = given(request.container_instance_arn.as_ref());
    let command = RegisterInstance {
        instance: instance
            .map(|text| api.namespace.parse_instance(&name, text))
            .transpose()?,
        tags: tags(request.tags.clone())?,
        facts: facts(&request)?,
        cluster: name.clone(),
        via: api.via,
    };
    let key = api.submit(command, caller).await?;
    api.registry.called(key);
    let state = api.view();
    let known = state.instance(key);
    Ok(ecs::RegisterContainerInstanceResponse {
        container_instance: known.map(|known| describe::instance(&state, known, &name, &api.namespace)),
    })
}

/// What a registration says of its host.
fn facts(request: &ecs::RegisterContainerInstanceRequest) -> Result<InstanceFacts, Fault> {
    let mut facts = InstanceFacts::default();
    let mut reserved: Vec<HostPort> = Vec::new();
    for resource in &request.total_resources {
        let name = required("totalResources.name", resource.name.as_ref())?;
        let amount = || {
            let value = resource.integer_value.unwrap_or_default();
            let positive = u32::try_from(value).ok().filter(|value| *value > 0);
            positive.ok_or_else(|| {
                Fault::invalid(format!(
                    "totalResources {name} integerValue {value} must be more than 0."
                ))
            })
        };
        let ports = |protocol| {
            resource
                .string_set_value
                .iter()
                .map(move |text| port(name, protocol, text))
        };
        match name {
            "CPU" => facts.cpu = CpuUnits(amount()?),
            "MEMORY" => facts.memory = MemoryMib(amount()?),
            "PORTS" => reserved.extend(ports(Protocol::Tcp).collect::<Result<Vec<_>, _>>()?),
            "PORTS_UDP" => reserved.extend(ports(Protocol::Udp).collect::<Result<Vec<_>, _>>()?),
            other => {
                return Err(Fault::invalid(format!(
                    "totalResources.name '{}' should be one of [CPU, MEMORY, PORTS, PORTS_UDP].",
                    shortened(other)
                )));
            }
        }
    }
    if facts.cpu.0 == 0 || facts.memory.0 == 0 {
        return Err(Fault::invalid("totalResources must have CPU and MEMORY."));
    }
    facts.reserved_ports = PortSet::from_iter(reserved);
    facts.gpus = gpus(&request.platform_devices)?;
    facts.attributes = attributes(&request.attributes)?;
    let version = request.version_info.clone().unwrap_or_default();
    facts.agent_version = version.agent_version.unwrap_or_default();
    let docker = version.docker_version.unwrap_or_default();
    facts.docker_version = docker.trim_start_matches("DockerVersion: ").to_owned();
    facts.ec2_instance_id = given(request.instance_identity_document.as_ref())
        .map(ec2_instance_id)
        .transpose()?
        .flatten();
    Ok(facts)
}

fn port(resource: &str, protocol: Protocol, text: &str) -> Result<HostPort, Fault> {
    let port = text.parse::<u16>().ok().filter(|port| *port > 0);
    let port = port.ok_or_else(|| {
        Fault::invalid(format!(
            "totalResources {resource} stringSetValue '{}' should be a port between 1 and 65535.",
            shortened(text)
        ))
    })?;
    Ok(HostPort { protocol, port })
}

fn gpus(devices: &[ecs::PlatformDevice]) -> Result<BTreeSet<GpuId>, Fault> {
    let mut ids = BTreeSet::new();
    for device in devices {
        one_of(
            "platformDevices.type",
            device.r#type.as_deref().unwrap_or_default(),
            &["GPU"],
        )?;
        ids.insert(GpuId::parse(required("platformDevices.id", device.id.as_ref())?)?);
    }
    Ok(ids)
}

fn attributes(given_ones: &[ecs::Attribute]) -> Result<BTreeMap<String, Option<String>>, Fault> {
    let read = |attribute: &ecs::Attribute| -> Result<_, Fault> {
        let name = required("attributes.name", attribute.name.as_ref())?;
        Ok((name.to_owned(), given(attribute.value.as_ref()).map(str::to_owned)))
    };
    given_ones.iter().map(read).collect()
}

/// The id that EC2's document of the host's identity names. Its signature is not checked: who may register is said by
/// access keys.
fn ec2_instance_id(document: &str) -> Result<Option<String>, Fault> {
    let document: serde_json::Value = serde_json::from_str(document)
        .map_err(|error| Fault::invalid(format!("instanceIdentityDocument is no JSON: {error}.")))?;
    Ok(document["instanceId"].as_str().map(str::to_owned))
}

pub(super) async fn submit_task(
    api: &Api,
    request: ecs::SubmitTaskStateChangeRequest,
    caller: &Caller,
) -> Result<ecs::SubmitTaskStateChangeResponse, Fault> {
    at_most("containers", &request.containers, MAX_CHANGES)?;
    at_most("attachments", &request.attachments, MAX_CHANGES)?;
    let name = api.cluster(given(request.cluster.as_ref()))?;
    let task = api
        .namespace
        .parse_task(&name, required("task", request.task.as_ref())?)?;
    let time = |seconds: Option<f64>| seconds.map(Timestamp::from_epoch_seconds);
    let said = Said {
        status: given(request.status.as_ref()).map(task_status).transpose()?,
        reason: reason(request.reason.as_ref()),
        times: TaskTimes {
            pull_started: time(request.pull_started_at),
            pull_stopped: time(request.pull_stopped_at),
            execution_stopped: time(request.execution_stopped_at),
            ..TaskTimes::default()
        },
        containers: request.containers,
    };
    said.submit(api, &name, task, caller).await?;
    Ok(ecs::SubmitTaskStateChangeResponse {
        acknowledgment: Some(ACKNOWLEDGED.to_owned()),
    })
}

pub(super) async fn submit_container(
    api: &Api,
    request: ecs::SubmitContainerStateChangeRequest,
    caller: &Caller,
) -> Result<ecs::SubmitContainerStateChangeResponse, Fault> {
    let name = api.cluster(given(request.cluster.as_ref()))?;
    let task = api
        .namespace
        .parse_task(&name, required("task", request.task.as_ref())?)?;
    let said = Said {
        containers: vec![ecs::ContainerStateChange {
            container_name: request.container_name,
            image_digest: None,
            runtime_id: request.runtime_id,
            exit_code: request.exit_code,
            network_bindings: request.network_bindings,
            reason: request.reason,
            status: request.status,
        }],
        ..Said::default()
    };
    said.submit(api, &name, task, caller).await?;
    Ok(ecs::SubmitContainerStateChangeResponse {
        acknowledgment: Some(ACKNOWLEDGED.to_owned()),
    })
}

/// An attachment is as its task is: what an agent says of it is checked and has no effect.
pub(super) async fn submit_attachments(
    api: &Api,
    request: ecs::SubmitAttachmentStateChangesRequest,
    _caller: &Caller,
) -> Result<ecs::SubmitAttachmentStateChangesResponse, Fault> {
    let name = api.cluster(given(request.cluster.as_ref()))?;
    api.view().active_cluster(&name)?;
    if request.attachments.is_empty() {
        return Err(Fault::invalid("attachments can not be empty."));
    }
    at_most("attachments", &request.attachments, MAX_CHANGES)?;
    for attachment in &request.attachments {
        required("attachments.attachmentArn", attachment.attachment_arn.as_ref())?;
        required("attachments.status", attachment.status.as_ref())?;
    }
    Ok(ecs::SubmitAttachmentStateChangesResponse {
        acknowledgment: Some(ACKNOWLEDGED.to_owned()),
    })
}

fn task_status(text: &str) -> Result<TaskStatus, Fault> {
    let names: Vec<&str> = TaskStatus::ALL.iter().map(|status| status.name()).collect();
    one_of("status", text, &names)?;
    Ok(TaskStatus::from_name(text).unwrap_or(TaskStatus::Pending))
}

fn container_status(text: &str) -> Result<ContainerStatus, Fault> {
    let names: Vec<&str> = ContainerStatus::ALL.iter().map(|status| status.name()).collect();
    one_of("containers.status", text, &names)?;
    Ok(ContainerStatus::from_name(text).unwrap_or(ContainerStatus::Pending))
}

fn reason(text: Option<&String>) -> Option<Arc<str>> {
    let text = given(text)?;
    Some(text.chars().take(MAX_REASON).collect::<String>().into())
}

/// What a call says of a task: what it leaves out is as it was.
#[derive(Default)]
struct Said {
    status: Option<TaskStatus>,
    reason: Option<Arc<str>>,
    times: TaskTimes,
    containers: Vec<ecs::ContainerStateChange>,
}

impl Said {
    async fn submit(&self, api: &Api, name: &ClusterName, id: TaskId, caller: &Caller) -> Result<(), Fault> {
        let (instance, observed) = self.observation(&api.view(), name, id)?;
        api.registry.called(instance);
        let there = SetConnection {
            key: instance,
            connected: true,
            via: api.via,
        };
        api.submit(there, caller).await?;
        let report = ReportTasks {
            instance,
            reports: vec![(id, Arc::new(observed))],
        };
        api.submit(report, caller).await
    }

    /// What is known of the task from now on, and whose agent says so.
    fn observation(&self, state: &State, name: &ClusterName, id: TaskId) -> Result<(InstanceKey, Observation), Fault> {
        let cluster = state.active_cluster(name)?.key;
        let not_found = || Fault::invalid("The referenced task was not found.");
        let task = state.task(TaskKey { cluster, task: id }).ok_or_else(not_found)?;
        let instance = InstanceKey {
            cluster,
            instance: task.instance,
        };
        let by_calls = state.instance(instance).is_some_and(|known| known.facts.is_by_calls());
        if !by_calls {
            return Err(Fault::client(format!(
                "Task {id} is on container instance {}, whose agent tells by its stream what its tasks do.",
                task.instance
            )));
        }
        let definition = state.definition(&task.launch.definition);
        let is_of = |container: &str| definition.is_none_or(|known| known.definition.container(container).is_some());
        let status = self.status.unwrap_or(task.last).max(task.last);
        let mut containers: Vec<ContainerState> = task.containers.to_vec();
        for change in &self.containers {
            merge(&mut containers, change, is_of)?;
        }
        if status == TaskStatus::Stopped {
            containers
                .iter_mut()
                .for_each(|container| container.last = ContainerStatus::Stopped);
        }
        let runs_now = status == TaskStatus::Running && task.times.started.is_none();
        let observed = Observation {
            last_status: status,
            containers: containers.into(),
            stop_code: stop_code(task, status),
            stopped_reason: self.reason.clone().filter(|_| status >= TaskStatus::Stopping),
            times: TaskTimes {
                started: runs_now.then(clock::now),
                ..self.times
            },
        };
        Ok((instance, observed))
    }
}

/// Why a task ends that nobody has stopped.
fn stop_code(task: &Task, status: TaskStatus) -> Option<StopCode> {
    let ends = status == TaskStatus::Stopped && task.stop.is_none();
    ends.then_some(match task.times.started {
        Some(_) => StopCode::EssentialContainerExited,
        None => StopCode::TaskFailedToStart,
    })
}

/// Adds what is said of a container to what is known of it.
fn merge(
    containers: &mut Vec<ContainerState>,
    change: &ecs::ContainerStateChange,
    is_of: impl Fn(&str) -> bool,
) -> Result<(), Fault> {
    let name = required("containerName", change.container_name.as_ref())?;
    if !is_of(name) {
        return Err(Fault::invalid(format!(
            "containerName '{}' is no container of the task.",
            shortened(name)
        )));
    }
    let at = containers.iter().position(|known| &*known.name == name);
    let mut next = match at {
        Some(at) => containers[at].clone(),
        None => ContainerState {
            name: name.into(),
            last: ContainerStatus::Pending,
            runtime_id: None,
            image_digest: None,
            exit_code: None,
            reason: None,
            bindings: Vec::new(),
            address: None,
            health: HealthStatus::Unknown,
            restarts: 0,
            log_tail: None,
        },
    };
    if let Some(status) = given(change.status.as_ref()) {
        next.last = next.last.max(container_status(status)?);
    }
    let text = |text: Option<&String>| -> Option<Arc<str>> { given(text).map(Arc::from) };
    next.runtime_id = text(change.runtime_id.as_ref()).or(next.runtime_id);
    next.image_digest = text(change.image_digest.as_ref()).or(next.image_digest);
    next.exit_code = change.exit_code.or(next.exit_code);
    next.reason = reason(change.reason.as_ref()).or(next.reason);
    if !change.network_bindings.is_empty() {
        next.bindings = change.network_bindings.iter().map(binding).collect::<Result<_, _>>()?;
    }
    match at {
        Some(at) => containers[at] = next,
        None => containers.push(next),
    }
    Ok(())
}

fn binding(asked: &ecs::NetworkBinding) -> Result<NetworkBinding, Fault> {
    let port = |member: &str, value: Option<i32>| {
        let port = value.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
        port.ok_or_else(|| {
            let value = value.unwrap_or_default();
            Fault::invalid(format!(
                "networkBindings.{member} {value} should be between 1 and 65535."
            ))
        })
    };
    let protocol = given(asked.protocol.as_ref()).unwrap_or("tcp");
    one_of("networkBindings.protocol", protocol, &["tcp", "udp"])?;
    Ok(NetworkBinding {
        bind_ip: given(asked.bind_ip.as_ref()).unwrap_or("0.0.0.0").into(),
        container_port: port("containerPort", asked.container_port)?,
        host_port: port("hostPort", asked.host_port)?,
        protocol: if protocol == "udp" {
            Protocol::Udp
        } else {
            Protocol::Tcp
        },
        range: 0,
    })
}
