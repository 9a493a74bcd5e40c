//! A task's metadata.

use berth_model::tag::Tag;
use serde::Serialize;

use super::container::{Container, container};
use super::{arn_beside, desired, task_known, written};
use crate::record::Record;

/// What is the same for all tasks of a host.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// Where the host is, if the operator says so.
    pub availability_zone: Option<String>,
}

/// `${ECS_CONTAINER_METADATA_URI_V4}/task`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Task {
    cluster: String,
    #[serde(rename = "TaskARN")]
    task_arn: String,
    family: String,
    revision: String,
    desired_status: &'static str,
    known_status: &'static str,
    containers: Vec<Container>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<Limits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pull_started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pull_stopped_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_stopped_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    availability_zone: Option<String>,
    launch_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_name: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    group: String,
    fault_injection_enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_tags: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Virtual CPUs and MiB.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Limits {
    #[serde(rename = "CPU", skip_serializing_if = "Option::is_none")]
    cpu: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<u32>,
}

/// The metadata of the task, with its tags or without.
#[must_use]
pub fn task(record: &Record, surroundings: &Surroundings, with_tags: bool) -> Task {
    let spec = &record.spec;
    let context = &spec.context;
    Task {
        cluster: arn_beside(&spec.arn, &format!("cluster/{}", spec.cluster)),
        task_arn: spec.arn.clone(),
        family: spec.definition.family.clone(),
        revision: spec.revision.to_string(),
        desired_status: desired(record),
        known_status: task_known(record),
        containers: (0..record.containers.len())
            .filter_map(|at| container(record, at))
            .collect(),
        limits: limits(record),
        pull_started_at: written(record.pull_started_at),
        pull_stopped_at: written(record.pull_stopped_at),
        execution_stopped_at: written(record.execution_stopped_at),
        availability_zone: surroundings.availability_zone.clone(),
        launch_type: context.launch_type().to_owned(),
        service_name: context.service().map(str::to_owned),
        group: context.group.clone(),
        fault_injection_enabled: false,
        task_tags: (with_tags && !context.tags.is_empty()).then(|| {
            let pair = |tag: &Tag| (tag.key.clone(), tag.value.clone().into());
            context.tags.iter().map(pair).collect()
        }),
    }
}

fn limits(record: &Record) -> Option<Limits> {
    let figure = |digits: &Option<String>| digits.as_deref().and_then(|digits| digits.parse::<u32>().ok());
    let definition = &record.spec.definition;
    let (cpu, memory) = (figure(&definition.cpu), figure(&definition.memory));
    (cpu.is_some() || memory.is_some()).then(|| Limits {
        cpu: cpu.map(|units| f64::from(units) / 1024.0),
        memory,
    })
}
