//! What the ECS agent tells those who are on the host.

use serde::Serialize;

use super::container::{Container, Network, Port, Volume, container};
use super::{desired, task_known};
use crate::record::Record;

/// `/v1/metadata`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Instance {
    /// Name of the cluster.
    pub cluster: String,
    /// ARN of the container instance; none before the scheduler has welcomed it.
    pub container_instance_arn: Option<String>,
    /// What the agent is.
    pub version: String,
}

/// `/v1/tasks`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tasks {
    /// Every task of the instance.
    pub tasks: Vec<Task>,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Task {
    arn: String,
    desired_status: &'static str,
    known_status: &'static str,
    family: String,
    version: String,
    containers: Vec<Brief>,
}

/// A container, in fewer words than it is told itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Brief {
    docker_id: String,
    docker_name: String,
    name: String,
    image: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<Port>,
    networks: Vec<Network>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    volumes: Vec<Volume>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restart_count: Option<u32>,
}

/// The task, as those on the host see it.
#[must_use]
pub fn introspected(record: &Record) -> Task {
    let spec = &record.spec;
    Task {
        arn: spec.arn.clone(),
        desired_status: desired(record),
        known_status: task_known(record),
        family: spec.definition.family.clone(),
        version: spec.revision.to_string(),
        containers: (0..record.containers.len())
            .filter_map(|at| container(record, at))
            .map(brief)
            .collect(),
    }
}

fn brief(container: Container) -> Brief {
    Brief {
        docker_id: container.docker_id,
        docker_name: container.docker_name,
        name: container.name,
        image: container.image,
        image_id: container.image_id,
        created_at: container.created_at,
        started_at: container.started_at,
        ports: container.ports,
        networks: container.networks,
        volumes: container.volumes,
        restart_count: container.restart_count,
    }
}
