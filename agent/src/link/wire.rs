//! Between the wire's shapes and the agent's.

use std::borrow::Cow;
use std::sync::Arc;

use berth_agent_core::container::Binding;
use berth_agent_core::context::TaskContext;
use berth_agent_core::pause;
use berth_agent_core::report::{ContainerReport, TaskReport};
use berth_model::fault::Fault;
use berth_model::gpu::{ContainerGpus, GpuId};
use berth_model::overrides::TaskOverride;
use berth_model::tag::Tag;
use berth_model::task_definition::TaskDefinition;
use berth_model::time::Timestamp;
use berth_proto::agent::v1 as wire;
use berth_proto::ecs::v1 as ecs;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A definition as this stream carried it.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) revision: i32,
    pub(crate) definition: Arc<TaskDefinition>,
}

/// Reads a definition, without what concerns only its registration and with what its tasks need besides it.
pub(crate) fn definition(mut from: ecs::TaskDefinition) -> Result<Definition, String> {
    let revision = from.revision.take().unwrap_or(0);
    let kept = ecs::TaskDefinition {
        task_definition_arn: None,
        status: None,
        registered_at: None,
        registered_by: None,
        deregistered_at: None,
        requires_attributes: Vec::new(),
        compatibilities: Vec::new(),
        ..from
    };
    let definition: TaskDefinition =
        translate(&kept).map_err(|error| format!("the task definition cannot be read: {error}"))?;
    if definition.container_definitions.is_empty() {
        return Err("the task definition has no containers".to_owned());
    }
    Ok(Definition {
        revision,
        definition: Arc::new(pause::added(definition)),
    })
}

/// The definition with the overrides of one task; the same one where there are none.
pub(crate) fn overridden(
    definition: &Arc<TaskDefinition>,
    overrides: Option<ecs::TaskOverride>,
) -> Result<Arc<TaskDefinition>, String> {
    let Some(overrides) = overrides else {
        return Ok(Arc::clone(definition));
    };
    let overrides: TaskOverride =
        translate(&overrides).map_err(|error| format!("the overrides cannot be read: {error}"))?;
    match overrides.applied(definition) {
        // ECS's overrides name every container, also where they change nothing of it.
        Cow::Owned(changed) if changed != **definition => Ok(Arc::new(changed)),
        Cow::Owned(_) | Cow::Borrowed(_) => Ok(Arc::clone(definition)),
    }
}

/// What the task is told of itself, and which GPUs it has.
pub(crate) fn context(assignment: &wire::Assignment) -> Result<TaskContext, String> {
    let tag = |tag: &ecs::Tag| Tag {
        key: tag.key.clone().unwrap_or_default(),
        value: tag.value.clone().unwrap_or_default(),
    };
    let gpus = |given: &wire::ContainerGpus| {
        let ids: Result<Vec<GpuId>, Fault> = given.gpu_ids.iter().map(|id| GpuId::parse(id)).collect();
        Ok(ContainerGpus {
            container: given.container.as_str().into(),
            ids: ids.map_err(|fault| format!("container '{}': {}", given.container, fault.message))?,
        })
    };
    let gpus: Result<Vec<ContainerGpus>, String> = assignment.gpus.iter().map(gpus).collect();
    Ok(TaskContext {
        group: assignment.group.clone(),
        tags: assignment.tags.iter().map(tag).collect(),
        access: None,
        gpus: gpus?,
        ignores_role: false,
        launch_type: assignment.launch_type.clone(),
    })
}

/// Both sides have the member names of ECS's JSON.
fn translate<T: DeserializeOwned>(from: &impl Serialize) -> Result<T, serde_json::Error> {
    serde_json::from_value(serde_json::to_value(from)?)
}

pub(crate) fn task_report(report: &TaskReport) -> wire::TaskReport {
    let seconds = |at: Option<Timestamp>| at.map(Timestamp::as_epoch_seconds);
    wire::TaskReport {
        task_arn: report.arn.clone(),
        last_status: report.status.name().to_owned(),
        containers: report.containers.iter().map(container_report).collect(),
        stop_code: report.stop_code.map(|code| code.name().to_owned()).unwrap_or_default(),
        stopped_reason: report.stopped_reason.clone(),
        pull_started_at: seconds(report.pull_started_at),
        pull_stopped_at: seconds(report.pull_stopped_at),
        started_at: seconds(report.started_at),
        stopping_at: seconds(report.stopping_at),
        execution_stopped_at: seconds(report.execution_stopped_at),
    }
}

fn container_report(report: &ContainerReport) -> wire::ContainerReport {
    wire::ContainerReport {
        name: report.name.clone(),
        last_status: report.status.name().to_owned(),
        runtime_id: report.runtime_id.clone().unwrap_or_default(),
        image_digest: report.image_digest.clone().unwrap_or_default(),
        exit_code: report.exit_code,
        reason: report.reason.clone().unwrap_or_default(),
        network_bindings: report.bindings.iter().map(network_binding).collect(),
        health_status: report.health.map(|health| health.name().to_owned()).unwrap_or_default(),
        restart_count: report.restarts,
        log_tail: report.tail.clone(),
        network_interfaces: report.address.as_deref().map(network_interface).into_iter().collect(),
    }
}

fn network_interface(address: &str) -> ecs::NetworkInterface {
    ecs::NetworkInterface {
        private_ipv4_address: Some(address.to_owned()),
        ..ecs::NetworkInterface::default()
    }
}

fn network_binding(binding: &Binding) -> ecs::NetworkBinding {
    let shape = ecs::NetworkBinding {
        bind_ip: Some(binding.bind_ip.clone()),
        protocol: Some(binding.protocol.name().to_owned()),
        ..ecs::NetworkBinding::default()
    };
    if let Some(more) = binding.range.checked_sub(1) {
        let range = |first: u16| Some(format!("{first}-{}", first.saturating_add(more)));
        return ecs::NetworkBinding {
            container_port_range: range(binding.container_port),
            host_port_range: range(binding.host_port),
            ..shape
        };
    }
    ecs::NetworkBinding {
        container_port: Some(i32::from(binding.container_port)),
        host_port: Some(i32::from(binding.host_port)),
        ..shape
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web() -> ecs::TaskDefinition {
        ecs::TaskDefinition {
            family: Some("web".to_owned()),
            revision: Some(4),
            task_definition_arn: Some("arn:aws:ecs:us-east-1:000000000000:task-definition/web:4".to_owned()),
            status: Some("ACTIVE".to_owned()),
            container_definitions: vec![ecs::ContainerDefinition {
                name: Some("app".to_owned()),
                image: Some("busybox".to_owned()),
                memory: Some(16),
                linux_parameters: Some(ecs::LinuxParameters {
                    init_process_enabled: Some(false),
                    ..Default::default()
                }),
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    #[test]
    fn a_definition_keeps_what_running_it_needs() {
        let read = definition(web()).unwrap();
        assert_eq!(read.revision, 4);
        let app = read.definition.container("app").unwrap();
        assert_eq!(app.memory, Some(16));
        let linux = app.linux_parameters.as_ref().unwrap();
        assert_eq!(linux.init_process_enabled, Some(false));
        assert!(!read.definition.rest.contains_key("taskDefinitionArn"));
        assert!(
            definition(ecs::TaskDefinition {
                container_definitions: Vec::new(),
                ..web()
            })
            .is_err()
        );
    }

    #[test]
    fn overrides_make_a_definition_of_their_own() {
        let shared = definition(web()).unwrap().definition;
        assert!(Arc::ptr_eq(
            &overridden(&shared, Some(ecs::TaskOverride::default())).unwrap(),
            &shared
        ));
        let change = ecs::ContainerOverride {
            name: Some("app".to_owned()),
            command: vec!["true".to_owned()],
            ..Default::default()
        };
        let changed = overridden(
            &shared,
            Some(ecs::TaskOverride {
                container_overrides: vec![change],
                ..Default::default()
            }),
        );
        assert_eq!(changed.unwrap().container("app").unwrap().command, ["true"]);
    }
}
