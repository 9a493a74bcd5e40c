//! What is kept of a task over restarts of the agent.

use berth_model::status::StopCode;
use berth_model::task_definition::ContainerDefinition;
use berth_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::container::{Container, Phase};
use crate::image::ImageRequest;
use crate::spec::TaskSpec;

/// A task as the agent's spool holds it. Members may be added; readers ignore those that they do not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What to run.
    pub spec: TaskSpec,
    /// One a container of the definition, in its order.
    pub containers: Vec<Container>,
    /// Set once the task is on its way to STOPPED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// When the first image was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_started_at: Option<Timestamp>,
    /// When the last image was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_stopped_at: Option<Timestamp>,
    /// When the task reached RUNNING.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When its first essential container ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_stopped_at: Option<Timestamp>,
    /// When it reached STOPPED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The scheduler holds its end.
    #[serde(default)]
    pub acknowledged: bool,
    /// It was found in Docker and is known by its labels alone: it is never started, only observed and stopped.
    #[serde(default)]
    pub rebuilt: bool,
}

/// Where the definition says that the credentials of the image's registry are.
fn credentials_of(definition: &ContainerDefinition) -> Option<String> {
    let credentials = definition.repository_credentials.as_ref()?;
    Some(credentials.credentials_parameter.clone())
}

/// Why and since when a task is being stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// ECS's code; none where the scheduler asked, which knows its own reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<StopCode>,
    /// ECS's words for it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// When it began.
    pub at: Timestamp,
}

impl Record {
    /// A task that nothing has been done for.
    #[must_use]
    pub fn new(spec: TaskSpec) -> Self {
        let containers = spec
            .containers()
            .iter()
            .map(|container| Container {
                name: container.name.clone(),
                ..Container::default()
            })
            .collect();
        Self {
            spec,
            containers,
            stop: None,
            pull_started_at: None,
            pull_stopped_at: None,
            started_at: None,
            execution_stopped_at: None,
            ended_at: None,
            acknowledged: false,
            rebuilt: false,
        }
    }

    /// What the container needs before it can be created. What another container of the task took the same name for
    /// holds for this one too.
    #[must_use]
    pub fn image_request(&self, at: usize) -> ImageRequest {
        let definitions = self.spec.containers();
        let Some(definition) = definitions.get(at) else {
            return ImageRequest::default();
        };
        let mut siblings = definitions.iter().zip(&self.containers);
        ImageRequest {
            reference: definition.image.clone(),
            pin: siblings.find_map(|(other, container)| {
                let same = other.image == definition.image && container.phase >= Phase::Pulled;
                container.image_pin().filter(|_| same)
            }),
            credentials: credentials_of(definition),
        }
    }
}
