//! From the state to ECS's shapes: how a cluster, a definition, an instance and a task look to a client.

mod queued;
pub(crate) mod service;
pub(super) mod task_set;

use berth_model::arn::Namespace;
use berth_model::cluster::ExecuteCommandLogging;
use berth_model::gpu::GpuId;
use berth_model::id::TaskId;
use berth_model::name::{ClusterName, LogGroup};
use berth_model::overrides::TaskOverride;
use berth_model::quantity::{HostPort, Protocol};
use berth_model::status::{ContainerStatus, LaunchType, TaskStatus};
use berth_model::tag::Tag;
use berth_model::task_definition::{ContainerDefinition, NetworkMode, TaskDefinition, compatibility, fargate};
use berth_model::time::Timestamp;
use berth_proto::ecs::v1 as ecs;
use berth_scheduler_core::decide::protection::Protections;
use berth_scheduler_core::keys::{ClusterKey, InstanceKey, TaskKey};
use berth_scheduler_core::launch::Launch;
use berth_scheduler_core::observation::ContainerState;
use berth_scheduler_core::state::{Cluster, Instance, RegisteredDefinition, State, Task};

use super::request::convert;
use super::{capacity, network};

/// The failure of something that does not exist.
pub(crate) fn missing(arn: String) -> ecs::Failure {
    ecs::Failure {
        arn: Some(arn),
        reason: Some("MISSING".to_owned()),
        detail: None,
    }
}

/// Tasks with their protection, and those that can have none.
pub(crate) fn protections(
    protections: Protections,
    cluster: &ClusterName,
    namespace: &Namespace,
) -> (Vec<ecs::ProtectedTask>, Vec<ecs::Failure>) {
    let protected = protections.tasks.into_iter().map(|(task, until)| ecs::ProtectedTask {
        task_arn: Some(namespace.task(cluster, task)),
        protection_enabled: Some(until.is_some()),
        expiration_date: until.map(Timestamp::as_epoch_seconds),
    });
    let failures = protections.failures.into_iter().map(|failure| ecs::Failure {
        arn: Some(namespace.task(cluster, failure.task)),
        reason: Some(failure.reason.to_owned()),
        detail: Some(failure.detail),
    });
    (protected.collect(), failures.collect())
}

pub(crate) fn tags(tags: &[Tag]) -> Vec<ecs::Tag> {
    tags.iter()
        .map(|tag| ecs::Tag {
            key: Some(tag.key.clone()),
            value: Some(tag.value.clone()),
        })
        .collect()
}

pub(super) fn cluster(cluster: &Cluster, namespace: &Namespace) -> ecs::Cluster {
    let count = |count: u32| Some(i32::try_from(count).unwrap_or(i32::MAX));
    ecs::Cluster {
        cluster_arn: Some(namespace.cluster(&cluster.name)),
        cluster_name: Some(cluster.name.to_string()),
        status: Some(cluster.status.name().to_owned()),
        registered_container_instances_count: count(cluster.instances),
        running_tasks_count: count(cluster.running),
        pending_tasks_count: count(cluster.pending),
        active_services_count: count(cluster.services),
        capacity_providers: cluster.providers.iter().map(ToString::to_string).collect(),
        default_capacity_provider_strategy: capacity::shown(&cluster.default_strategy),
        tags: tags(&cluster.tags),
        settings: vec![ecs::ClusterSetting {
            name: Some("containerInsights".to_owned()),
            value: Some(cluster.settings.container_insights.name().to_owned()),
        }],
        configuration: cluster
            .settings
            .execute_command_logging
            .as_ref()
            .map(cluster_configuration),
        service_connect_defaults: cluster.settings.service_connect_namespace.as_ref().map(|namespace| {
            ecs::ClusterServiceConnectDefaults {
                namespace: Some(namespace.clone()),
            }
        }),
        ..ecs::Cluster::default()
    }
}

fn cluster_configuration(logging: &ExecuteCommandLogging) -> ecs::ClusterConfiguration {
    let log = |group: &LogGroup| ecs::ExecuteCommandLogConfiguration {
        cloud_watch_log_group_name: Some(group.to_string()),
        cloud_watch_encryption_enabled: Some(false),
        s3_encryption_enabled: Some(false),
        ..ecs::ExecuteCommandLogConfiguration::default()
    };
    ecs::ClusterConfiguration {
        execute_command_configuration: Some(ecs::ExecuteCommandConfiguration {
            logging: Some(logging.name().to_owned()),
            log_configuration: logging.log_group().map(log),
            ..ecs::ExecuteCommandConfiguration::default()
        }),
        ..ecs::ClusterConfiguration::default()
    }
}

/// A revision, as the API and the agents see it.
pub(crate) fn task_definition(registered: &RegisteredDefinition, namespace: &Namespace) -> ecs::TaskDefinition {
    // Both sides have ECS's members; what was registered came through the same wire shape.
    let mut shape: ecs::TaskDefinition = convert(&*registered.definition).unwrap_or_default();
    for container in &mut shape.container_definitions {
        container.cpu = container.cpu.or(Some(0));
        container.essential = container.essential.or(Some(true));
        for mapping in &mut container.port_mappings {
            mapping.protocol = mapping
                .protocol
                .take()
                .or_else(|| Some(Protocol::Tcp.name().to_owned()));
            let own = matches!(
                registered.definition.network_mode(),
                NetworkMode::Awsvpc | NetworkMode::Host
            );
            if let Some(port) = mapping.container_port {
                // Where nothing is forwarded the port outside is the one inside.
                mapping.host_port = mapping.host_port.filter(|port| *port != 0 || !own);
                mapping.host_port = mapping.host_port.or(Some(if own { port } else { 0 }));
            }
        }
    }
    shape.task_definition_arn = Some(namespace.definition(&registered.id));
    shape.revision = i32::try_from(registered.id.revision.0).ok();
    shape.status = Some(registered.status.name().to_owned());
    shape.registered_at = Some(registered.registered_at.as_epoch_seconds());
    shape.deregistered_at = registered.deregistered_at.map(Timestamp::as_epoch_seconds);
    shape.delete_requested_at = registered.delete_requested_at.map(Timestamp::as_epoch_seconds);
    let launch_types = compatibility::of(&registered.definition).into_iter();
    shape.compatibilities = launch_types.map(|one| one.name().to_owned()).collect();
    shape.requires_attributes = registered
        .required_attributes
        .iter()
        .map(|name| ecs::Attribute {
            name: Some(name.clone()),
            ..ecs::Attribute::default()
        })
        .collect();
    shape
}

/// Overrides, as the API and the agents see them.
pub(crate) fn overrides(overrides: &TaskOverride) -> ecs::TaskOverride {
    // Both sides have ECS's members; what was overridden came through the same wire shape.
    convert(overrides).unwrap_or_default()
}

pub(crate) fn instance(
    state: &State,
    instance: &Instance,
    cluster: &ClusterName,
    namespace: &Namespace,
) -> ecs::ContainerInstance {
    let facts = &instance.facts;
    let ports = |protocol: Protocol, used: bool| -> Vec<String> {
        let reserved = facts.reserved_ports.iter();
        let taken = instance
            .used_ports
            .iter()
            .filter(|port| used && !facts.reserved_ports.contains(*port));
        let mut ports: Vec<HostPort> = reserved.chain(taken).filter(|port| port.protocol == protocol).collect();
        ports.sort_unstable();
        ports.iter().map(|port| port.port.to_string()).collect()
    };
    let registered = resources(facts.cpu.0, facts.memory.0, |protocol| ports(protocol, false));
    let remaining = resources(instance.free_cpu().0, instance.free_memory().0, |protocol| {
        ports(protocol, true)
    });
    // A host without GPUs has no such resource; one whose GPUs are all taken has it, empty.
    let gpus = |free: bool| -> Option<ecs::Resource> {
        let ids = facts.gpus.iter();
        let listed = ids.filter(|id| !free || !instance.used_gpus.contains(*id));
        (!facts.gpus.is_empty()).then(|| string_set("GPU", listed.map(GpuId::to_string).collect()))
    };
    ecs::ContainerInstance {
        container_instance_arn: Some(namespace.instance(cluster, instance.id)),
        ec2_instance_id: Some(instance.host_id().into_owned()),
        capacity_provider_name: state.provider_of(instance).map(|name| name.to_string()),
        version: i64::try_from(instance.version).ok(),
        version_info: Some(ecs::VersionInfo {
            agent_version: Some(facts.agent_version.clone()),
            agent_hash: None,
            docker_version: Some(format!("DockerVersion: {}", facts.docker_version)),
        }),
        remaining_resources: remaining.into_iter().chain(gpus(true)).collect(),
        registered_resources: registered.into_iter().chain(gpus(false)).collect(),
        status: Some(instance.status.name().to_owned()),
        status_reason: instance.leaving.as_ref().map(|why| why.to_string()),
        agent_connected: Some(instance.connected),
        running_tasks_count: i32::try_from(instance.running).ok(),
        pending_tasks_count: i32::try_from(instance.pending).ok(),
        attributes: instance
            .attributes()
            .into_iter()
            .map(|(name, value)| attribute(name, value))
            .collect(),
        registered_at: Some(instance.registered_at.as_epoch_seconds()),
        tags: tags(&instance.tags),
        ..ecs::ContainerInstance::default()
    }
}

pub(super) fn attribute(name: &str, value: Option<&str>) -> ecs::Attribute {
    ecs::Attribute {
        name: Some(name.to_owned()),
        value: value.map(str::to_owned),
        ..ecs::Attribute::default()
    }
}

/// CPU, memory and ports as ECS lists them: the ports are those that are taken.
fn resources(cpu: u32, memory: u32, ports: impl Fn(Protocol) -> Vec<String>) -> Vec<ecs::Resource> {
    let integer = |name: &str, value: u32| ecs::Resource {
        name: Some(name.to_owned()),
        r#type: Some("INTEGER".to_owned()),
        double_value: Some(0.0),
        long_value: Some(0),
        integer_value: Some(i32::try_from(value).unwrap_or(i32::MAX)),
        string_set_value: Vec::new(),
    };
    vec![
        integer("CPU", cpu),
        integer("MEMORY", memory),
        string_set("PORTS", ports(Protocol::Tcp)),
        string_set("PORTS_UDP", ports(Protocol::Udp)),
    ]
}

fn string_set(name: &str, values: Vec<String>) -> ecs::Resource {
    ecs::Resource {
        name: Some(name.to_owned()),
        r#type: Some("STRINGSET".to_owned()),
        double_value: Some(0.0),
        long_value: Some(0),
        integer_value: Some(0),
        string_set_value: values,
    }
}

/// A task, with an instance or without; nothing where it is not known.
pub(crate) fn task_of(state: &State, key: TaskKey, cluster: &ClusterName, namespace: &Namespace) -> Option<ecs::Task> {
    match state.task(key) {
        Some(known) => Some(task(state, known, key.cluster, cluster, namespace)),
        None => {
            let waiting = state.queue().task(key)?;
            Some(queued::task(state, waiting, cluster, namespace))
        }
    }
}

fn task(state: &State, task: &Task, key: ClusterKey, cluster: &ClusterName, namespace: &Namespace) -> ecs::Task {
    let launch = &task.launch;
    let registered = state.definition(&launch.definition);
    let instance = state.instance(InstanceKey {
        cluster: key,
        instance: task.instance,
    });
    let seconds = |at: Option<Timestamp>| at.map(Timestamp::as_epoch_seconds);
    let attribute = |name: &str| instance.and_then(|instance| instance.attribute(name).flatten());
    let definition = registered.map(|registered| launch.overrides.applied(&registered.definition));
    let containers: &[ContainerDefinition] = definition
        .as_deref()
        .map_or(&[], |definition| &definition.container_definitions);
    let is_essential = |name: &str| {
        containers
            .iter()
            .any(|container| container.name == name && container.is_essential())
    };
    let connected = instance.is_some_and(|instance| instance.connected);
    ecs::Task {
        task_arn: Some(namespace.task(cluster, task.id)),
        task_definition_arn: Some(namespace.definition(&launch.definition)),
        cluster_arn: Some(namespace.cluster(cluster)),
        container_instance_arn: Some(namespace.instance(cluster, task.instance)),
        attributes: attribute("ecs.cpu-architecture")
            .map(|value| ecs::Attribute {
                name: Some("ecs.cpu-architecture".to_owned()),
                value: Some(value.to_owned()),
                ..ecs::Attribute::default()
            })
            .into_iter()
            .collect(),
        attachments: definition
            .as_deref()
            .and_then(|definition| network::attachment(task, definition))
            .into_iter()
            .collect(),
        availability_zone: attribute("ecs.availability-zone").map(str::to_owned),
        connectivity: Some(if connected { "CONNECTED" } else { "DISCONNECTED" }.to_owned()),
        connectivity_at: Some(launch.created_at.as_epoch_seconds()),
        containers: containers
            .iter()
            .map(|definition| {
                let seen = task.containers.iter().find(|seen| *seen.name == *definition.name);
                container(task, definition, seen, cluster, namespace)
            })
            .collect(),
        cpu: Some(launch.demand.cpu.to_string()),
        memory: Some(launch.demand.memory.to_string()),
        created_at: Some(launch.created_at.as_epoch_seconds()),
        desired_status: Some(task.desired.name().to_owned()),
        last_status: Some(task.last.name().to_owned()),
        enable_execute_command: Some(launch.execute_command),
        group: Some(launch.group.to_string()),
        health_status: Some(task.health(is_essential).name().to_owned()),
        launch_type: Some(launch.launch_type.name().to_owned()),
        capacity_provider_name: launch.provider.as_ref().map(|provider| provider.name.to_string()),
        platform_version: platform(launch.launch_type).map(|(version, _)| version),
        platform_family: platform(launch.launch_type).map(|(_, family)| family),
        ephemeral_storage: ephemeral_storage(launch, definition.as_deref()),
        overrides: Some(echoed_overrides(&launch.overrides, containers)),
        pull_started_at: seconds(task.times.pull_started),
        pull_stopped_at: seconds(task.times.pull_stopped),
        started_at: seconds(task.times.started),
        stopping_at: seconds(task.times.stopping),
        execution_stopped_at: seconds(task.times.execution_stopped),
        stopped_at: seconds(task.stopped_at),
        started_by: launch.started_by.as_deref().map(str::to_owned),
        stop_code: task
            .stop
            .as_ref()
            .and_then(|stop| stop.code)
            .map(|code| code.name().to_owned()),
        stopped_reason: task.stop.as_ref().map(|stop| stop.reason.to_string()),
        tags: tags(&launch.tags),
        version: i64::try_from(task.version).ok(),
        ..ecs::Task::default()
    }
}

/// Version and family of the platform of tasks of the launch type; only Fargate has one.
pub(super) fn platform(launch_type: LaunchType) -> Option<(String, String)> {
    match launch_type {
        LaunchType::Fargate => Some((fargate::PLATFORM_VERSION.to_owned(), "Linux".to_owned())),
        LaunchType::Ec2 | LaunchType::External => None,
    }
}

/// The disk of a task of Fargate, as its definition asks for it.
fn ephemeral_storage(launch: &Launch, definition: Option<&TaskDefinition>) -> Option<ecs::EphemeralStorage> {
    if launch.launch_type != LaunchType::Fargate {
        return None;
    }
    let asked = definition.and_then(fargate::ephemeral_storage);
    Some(ecs::EphemeralStorage {
        size_in_gi_b: i32::try_from(asked.unwrap_or(fargate::EPHEMERAL_STORAGE_GIB)).ok(),
        ..ecs::EphemeralStorage::default()
    })
}

/// ECS names every container of the task in its overrides, overridden or not.
fn echoed_overrides(given: &TaskOverride, containers: &[ContainerDefinition]) -> ecs::TaskOverride {
    let mut shape = match given.is_empty() {
        true => ecs::TaskOverride::default(),
        false => overrides(given),
    };
    for container in containers {
        let named = |change: &ecs::ContainerOverride| change.name.as_deref() == Some(&*container.name);
        if !shape.container_overrides.iter().any(named) {
            shape.container_overrides.push(ecs::ContainerOverride {
                name: Some(container.name.clone()),
                ..ecs::ContainerOverride::default()
            });
        }
    }
    shape
}

fn container(
    task: &Task,
    definition: &ContainerDefinition,
    seen: Option<&ContainerState>,
    cluster: &ClusterName,
    namespace: &Namespace,
) -> ecs::Container {
    // Until its agent speaks of it, a container stands where its task does.
    let unseen = if task.last == TaskStatus::Stopped {
        ContainerStatus::Stopped
    } else {
        ContainerStatus::Pending
    };
    let text = |text: Option<&std::sync::Arc<str>>| text.map(|text| text.to_string());
    ecs::Container {
        image_digest: text(seen.and_then(|seen| seen.image_digest.as_ref())),
        runtime_id: text(seen.and_then(|seen| seen.runtime_id.as_ref())),
        last_status: Some(seen.map_or(unseen, |seen| seen.last).name().to_owned()),
        exit_code: seen.and_then(|seen| seen.exit_code),
        reason: text(seen.and_then(|seen| seen.reason.as_ref())),
        network_interfaces: seen
            .and_then(|seen| network::interface(task.id, seen))
            .into_iter()
            .collect(),
        network_bindings: seen.map_or_else(Vec::new, |seen| seen.bindings.iter().map(network::binding).collect()),
        health_status: Some(seen.map_or("UNKNOWN", |seen| seen.health.name()).to_owned()),
        managed_agents: managed_agent(task, seen.map_or(unseen, |seen| seen.last))
            .into_iter()
            .collect(),
        gpu_ids: task
            .gpus
            .iter()
            .filter(|given| *given.container == *definition.name)
            .flat_map(|given| given.ids.iter().map(GpuId::to_string))
            .collect(),
        ..declared(task.id, definition, cluster, namespace)
    }
}

/// What takes commands for the container, where its task was started for that: clients look at it before they send one. It is
/// the host's agent, and there as long as the container runs.
fn managed_agent(task: &Task, container: ContainerStatus) -> Option<ecs::ManagedAgent> {
    let status = match container {
        ContainerStatus::Pending => "PENDING",
        ContainerStatus::Running => "RUNNING",
        ContainerStatus::Stopped => "STOPPED",
    };
    task.launch.execute_command.then(|| ecs::ManagedAgent {
        name: Some("ExecuteCommandAgent".to_owned()),
        last_status: Some(status.to_owned()),
        last_started_at: task.times.started.map(Timestamp::as_epoch_seconds),
        reason: None,
    })
}

/// What the definition says of a container.
fn declared(
    task: TaskId,
    definition: &ContainerDefinition,
    cluster: &ClusterName,
    namespace: &Namespace,
) -> ecs::Container {
    ecs::Container {
        container_arn: Some(namespace.container(cluster, task, &definition.name)),
        task_arn: Some(namespace.task(cluster, task)),
        name: Some(definition.name.clone()),
        image: Some(definition.image.clone()),
        cpu: Some(definition.cpu.to_string()),
        memory: definition.memory.map(|mib| mib.to_string()),
        memory_reservation: definition.memory_reservation.map(|mib| mib.to_string()),
        ..ecs::Container::default()
    }
}
