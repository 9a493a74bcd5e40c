//! Task sets: the deployments of a service whose controller is EXTERNAL. Each has a part of the service's count, and
//! says itself where its tasks run.

use std::sync::Arc;

use berth_model::capacity::StrategyItem;
use berth_model::service::{CircuitBreaker, DeploymentConfiguration, Scale, StabilityStatus, TaskSetStatus};
use berth_model::status::LaunchType;
use berth_model::tag::Tag;
use berth_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Deployment, NetworkConfiguration, ServiceSpec};
use crate::launch::ClientToken;

/// What makes a deployment a task set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSet {
    /// How much of the service's count it is to have.
    pub scale: Scale,
    /// Whether it was deleted: its tasks are being stopped.
    #[serde(default)]
    pub deleted: bool,
    /// Whether it is as it should be.
    pub stability: StabilityStatus,
    /// Since when that is so.
    pub stability_at: Timestamp,
    /// What whoever deploys calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Where it was asked to run.
    #[serde(default, skip_serializing_if = "LaunchType::is_default")]
    pub launch_type: LaunchType,
    /// How its tasks are divided among capacity providers; nothing where its launch type says where they run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capacity: Vec<StrategyItem>,
    /// The version of Fargate's platform that was asked for, where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform_version: Option<Arc<str>>,
    /// How its tasks are connected, where they have an address of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkConfiguration>,
    /// The token by which its maker may ask again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_token: Option<ClientToken>,
    /// Its own tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

impl TaskSet {
    /// What it is to its service.
    #[must_use]
    pub fn status(&self, deployment: &Deployment) -> TaskSetStatus {
        match (self.deleted, deployment.is_primary()) {
            (true, _) => TaskSetStatus::Draining,
            (false, true) => TaskSetStatus::Primary,
            (false, false) => TaskSetStatus::Active,
        }
    }

    /// How many tasks it is to have, of as many as its service has.
    #[must_use]
    pub fn count(&self, desired: u32) -> u32 {
        match self.deleted {
            true => 0,
            false => self.scale.of(desired),
        }
    }

    /// The same task set, which is on its way from now on.
    #[must_use]
    pub fn stabilizing(self, now: Timestamp) -> Self {
        Self {
            stability: StabilityStatus::Stabilizing,
            stability_at: now,
            ..self
        }
    }

    /// What a service of this task set alone would be. Nobody gives its deployment up but whoever made it, and its zones
    /// are not balanced (ECS guide, "Deploy Amazon ECS services using a third-party controller").
    pub(super) fn spec(&self, service: &ServiceSpec) -> ServiceSpec {
        ServiceSpec {
            desired: self.count(service.desired),
            configuration: DeploymentConfiguration {
                circuit_breaker: CircuitBreaker::default(),
                shift: None,
                ..service.configuration
            },
            zone_rebalancing: false,
            network: self.network.clone(),
            launch_type: self.launch_type,
            capacity: self.capacity.clone(),
            ..service.clone()
        }
    }
}
