//! An event as EventBridge has it (ECS guide, "Amazon ECS events"): the envelope, and in it ECS's shapes.

use std::sync::Arc;

use berth_model::arn::Namespace;
use berth_model::name::{ClusterName, ServiceName};
use berth_model::time::Timestamp;
use berth_scheduler_core::event::{Action, Deployed, DetailType, Event, Position, Said, Subject};
use berth_scheduler_core::keys::{InstanceKey, TaskKey};
use berth_scheduler_core::state::State;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::api::describe;

/// An event, ready to be sent to whoever wants it.
#[derive(Debug)]
pub struct Told {
    /// Its place in the journal.
    pub position: Position,
    /// Its id.
    pub id: String,
    /// Which kind it is of.
    pub kind: DetailType,
    /// When it was decided.
    pub at: Timestamp,
    /// Who asked for it.
    pub by: Arc<str>,
    /// Its cluster.
    pub cluster: ClusterName,
    /// The ARN of what it happened to.
    pub resource: String,
    /// The group of its task, or of its service's tasks.
    pub group: Option<String>,
    /// As EventBridge has it: JSON without line breaks.
    pub json: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Envelope<'a> {
    version: &'static str,
    id: &'a str,
    detail_type: &'static str,
    source: &'static str,
    account: &'a str,
    time: &'a str,
    region: &'a str,
    resources: [&'a str; 1],
    detail: Value,
    berth: Berth<'a>,
}

/// What EventBridge has no place for.
#[derive(Serialize)]
struct Berth<'a> {
    position: String,
    by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

/// What an event is about, and what there is to say of it.
struct Shape {
    resource: String,
    group: Option<String>,
    detail: Map<String, Value>,
    message: Option<Arc<str>>,
}

impl Told {
    /// The event with the state that it has made; nothing where that does not know what it is about.
    #[must_use]
    pub fn new(state: &State, event: &Event, namespace: &Namespace) -> Option<Self> {
        let cluster = state.cluster_name(event.cluster)?.clone();
        let shape = shape(state, event, &cluster, namespace)?;
        let id = event.id();
        let seconds = event.at.to_rfc3339();
        let seconds = seconds.split('.').next().unwrap_or_default();
        let envelope = Envelope {
            version: "0",
            id: &id,
            detail_type: event.detail_type().name(),
            source: "aws.ecs",
            account: namespace.account(),
            time: &format!("{seconds}Z"),
            region: namespace.region(),
            resources: [&shape.resource],
            detail: Value::Object(shape.detail),
            berth: Berth {
                position: event.position.to_string(),
                by: &event.by,
                message: shape.message.as_deref(),
            },
        };
        Some(Self {
            // Strings, numbers and maps with string keys always have a JSON form.
            json: serde_json::to_string(&envelope).ok()?,
            id,
            position: event.position,
            kind: event.detail_type(),
            at: event.at,
            by: Arc::clone(&event.by),
            cluster,
            resource: shape.resource,
            group: shape.group,
        })
    }

    /// Bytes that it takes, about.
    #[must_use]
    pub fn size(&self) -> usize {
        self.json.len() + self.resource.len() + size_of::<Self>()
    }
}

fn shape(state: &State, event: &Event, cluster: &ClusterName, namespace: &Namespace) -> Option<Shape> {
    let updated_at = event.at;
    match &event.subject {
        Subject::Task(task) => {
            let key = TaskKey {
                cluster: event.cluster,
                task: *task,
            };
            let task = describe::task_of(state, key, cluster, namespace)?;
            Some(Shape {
                resource: task.task_arn.clone()?,
                group: task.group.clone(),
                detail: detail(&task, updated_at)?,
                message: None,
            })
        }
        Subject::Instance(instance) => {
            let instance = state.instance(InstanceKey {
                cluster: event.cluster,
                instance: *instance,
            })?;
            let mut detail = detail(&describe::instance(state, instance, cluster, namespace), updated_at)?;
            detail.insert("clusterArn".to_owned(), namespace.cluster(cluster).into());
            Some(Shape {
                resource: namespace.instance(cluster, instance.id),
                group: None,
                detail,
                message: None,
            })
        }
        Subject::Deployment(deployed) => {
            let of = &deployed.service;
            Some(of_service(of, cluster, namespace, deployment(deployed), None))
        }
        Subject::Service(said) => {
            let mut detail = action(said);
            detail.insert("clusterArn".to_owned(), namespace.cluster(cluster).into());
            detail.insert("createdAt".to_owned(), event.at.to_rfc3339().into());
            let message = Some(Arc::clone(&said.message));
            Some(of_service(&said.service, cluster, namespace, detail, message))
        }
    }
}

fn of_service(
    service: &ServiceName,
    cluster: &ClusterName,
    namespace: &Namespace,
    detail: Map<String, Value>,
    message: Option<Arc<str>>,
) -> Shape {
    Shape {
        resource: namespace.service(cluster, service),
        group: Some(format!("service:{service}")),
        detail,
        message,
    }
}

fn deployment(deployed: &Deployed) -> Map<String, Value> {
    object(json!({
        "eventType": deployed.name.severity(),
        "eventName": deployed.name.name(),
        "deploymentId": deployed.deployment.to_string(),
        "updatedAt": deployed.updated_at.to_rfc3339(),
        "reason": &*deployed.reason,
    }))
}

fn action(said: &Said) -> Map<String, Value> {
    let mut detail = object(json!({
        "eventType": said.action.severity(),
        "eventName": said.action.name(),
    }));
    match said.action {
        Action::DesiredCountUpdated(count) => drop(detail.insert("desiredCount".to_owned(), count.into())),
        Action::PlacementFailure { reason } => {
            let reason = reason.unwrap_or("No Container Instances were found in your cluster.");
            detail.insert("reason".to_owned(), reason.into());
        }
        Action::SteadyState | Action::TaskSetSteadyState | Action::StartImpaired | Action::Message => {}
    }
    detail
}

/// The shape of an answer as events have it: with times as text, and when it became so.
fn detail(shape: &impl Serialize, updated_at: Timestamp) -> Option<Map<String, Value>> {
    let mut detail = object(serde_json::to_value(shape).ok()?);
    for (member, value) in &mut detail {
        if let Some(seconds) = value.as_f64().filter(|_| member.ends_with("At")) {
            *value = Timestamp::from_epoch_seconds(seconds).to_rfc3339().into();
        }
    }
    detail.insert("updatedAt".to_owned(), updated_at.to_rfc3339().into());
    Some(detail)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}
