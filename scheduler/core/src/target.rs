//! What a task is to the load balancers of its service.

use std::sync::Arc;

use berth_model::status::HealthStatus;
use berth_model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A task as a target of its service's load balancers.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// What the gateways say of it.
    pub health: TargetHealth,
    /// Why it is not well, in words.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub reason: Arc<str>,
    /// It is to stop: no new connection; until when those that are open may stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deregister_by: Option<Timestamp>,
}

/// What gateways say of a target (Elastic Load Balancing, `TargetHealth.State`).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TargetHealth {
    /// No gateway has found out.
    #[default]
    Initial,
    /// It gets traffic.
    Healthy,
    /// It fails its checks.
    Unhealthy,
}

impl From<TargetHealth> for HealthStatus {
    fn from(health: TargetHealth) -> Self {
        match health {
            TargetHealth::Initial => Self::Unknown,
            TargetHealth::Healthy => Self::Healthy,
            TargetHealth::Unhealthy => Self::Unhealthy,
        }
    }
}
