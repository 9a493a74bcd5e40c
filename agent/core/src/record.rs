//! What is kept of a task over restarts of the agent.

use berth_model::status::StopCode;
use berth_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::container::Container;
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
}
