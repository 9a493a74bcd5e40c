//! A task without an instance, as a client sees it.

use berth_model::arn::Namespace;
use berth_model::name::ClusterName;
use berth_model::status::{ContainerStatus, DesiredStatus, HealthStatus, StopCode, TaskStatus};
use berth_model::task_definition::ContainerDefinition;
use berth_proto::ecs::v1 as ecs;
use berth_scheduler_core::launch::Wait;
use berth_scheduler_core::state::{QueuedTask, State};

use super::{declared, echoed_overrides, ephemeral_storage, platform, tags};

/// The attribute that says why a task has no instance yet.
const REASON: &str = "berth.queue-reason";
/// The attribute that says so in full.
const DETAIL: &str = "berth.queue-detail";
/// The attribute that says until when it waits for one (RFC 3339).
const DEADLINE: &str = "berth.queue-deadline";

/// PROVISIONING until it has an instance, as ECS shows tasks that wait for capacity, or STOPPED without one.
pub(super) fn task(state: &State, task: &QueuedTask, cluster: &ClusterName, namespace: &Namespace) -> ecs::Task {
    let launch = &task.wait.launch;
    let registered = state.definition(&launch.definition);
    let definition = registered.map(|registered| launch.overrides.applied(&registered.definition));
    let containers: &[ContainerDefinition] = definition
        .as_deref()
        .map_or(&[], |definition| &definition.container_definitions);
    let (last, desired, of_container) = match task.is_waiting() {
        true => (
            TaskStatus::Provisioning,
            DesiredStatus::Running,
            ContainerStatus::Pending,
        ),
        false => (TaskStatus::Stopped, DesiredStatus::Stopped, ContainerStatus::Stopped),
    };
    let ended = task.end.as_ref();
    let ended_at = ended.map(|end| end.at.as_epoch_seconds());
    ecs::Task {
        task_arn: Some(namespace.task(cluster, task.id)),
        task_definition_arn: Some(namespace.definition(&launch.definition)),
        cluster_arn: Some(namespace.cluster(cluster)),
        attributes: match task.is_waiting() {
            true => waits(&task.wait),
            false => Vec::new(),
        },
        containers: containers
            .iter()
            .map(|definition| ecs::Container {
                last_status: Some(of_container.name().to_owned()),
                health_status: Some(HealthStatus::Unknown.name().to_owned()),
                ..declared(task.id, definition, cluster, namespace)
            })
            .collect(),
        cpu: Some(launch.demand.cpu.to_string()),
        memory: Some(launch.demand.memory.to_string()),
        created_at: Some(launch.created_at.as_epoch_seconds()),
        desired_status: Some(desired.name().to_owned()),
        last_status: Some(last.name().to_owned()),
        enable_execute_command: Some(launch.execute_command),
        group: Some(launch.group.to_string()),
        health_status: Some(HealthStatus::Unknown.name().to_owned()),
        launch_type: Some(launch.launch_type.name().to_owned()),
        capacity_provider_name: launch.provider.as_ref().map(|provider| provider.name.to_string()),
        platform_version: platform(launch.launch_type).map(|(version, _)| version),
        platform_family: platform(launch.launch_type).map(|(_, family)| family),
        ephemeral_storage: ephemeral_storage(launch, definition.as_deref()),
        overrides: Some(echoed_overrides(&launch.overrides, containers)),
        stopping_at: ended_at,
        stopped_at: ended_at,
        started_by: launch.started_by.as_deref().map(str::to_owned),
        stop_code: ended
            .and_then(|end| end.stop.code)
            .map(StopCode::name)
            .map(str::to_owned),
        stopped_reason: ended.map(|end| end.stop.reason.to_string()),
        tags: tags(&launch.tags),
        version: Some(if task.is_waiting() { 1 } else { 2 }),
        ..ecs::Task::default()
    }
}

fn waits(wait: &Wait) -> Vec<ecs::Attribute> {
    let attribute = |name: &str, value: String| ecs::Attribute {
        name: Some(name.to_owned()),
        value: Some(value),
        ..ecs::Attribute::default()
    };
    vec![
        attribute(REASON, wait.reason.to_string()),
        attribute(DETAIL, wait.detail.to_string()),
        attribute(DEADLINE, wait.deadline.to_rfc3339()),
    ]
}
