//! How a service is told to be scaled, and what became of it: words that the journal, the state and the decisions share.
//! What a service should have is decided by [`crate::scale`].

use std::sync::Arc;

use berth_model::name::PolicyName;
use berth_model::scaling::{Capacity, Suspended, TargetTracking};
use berth_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::scale::Activity;

/// A service as a scalable target (Application Auto Scaling API, `ScalableTarget`) with its policies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// Tells it from one of the same service that was there before.
    pub id: u64,
    /// Between how many tasks.
    pub capacity: Capacity,
    /// What policies do not do for now.
    #[serde(default)]
    pub suspended: Suspended,
    /// By name; each name once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<ScalingPolicy>,
    /// When it was registered.
    pub created_at: Timestamp,
}

/// A policy of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScalingPolicy {
    /// Its name.
    pub name: PolicyName,
    /// Tells it from one of the same name that was there before.
    pub id: u64,
    /// What it asks.
    pub tracking: TargetTracking,
    /// When it was put first.
    pub created_at: Timestamp,
}

/// A change of a service's count that its policies or its bounds made (Application Auto Scaling API,
/// `ScalingActivity`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScalingActivity {
    /// Tells it from others.
    pub id: u64,
    /// What it did.
    pub did: Activity,
    /// Why, in words, with the figures.
    pub cause: Arc<str>,
}

impl Scaling {
    /// The policy of the name.
    #[must_use]
    pub fn policy(&self, name: &PolicyName) -> Option<&ScalingPolicy> {
        self.policies.iter().find(|policy| policy.name == *name)
    }
}
