//! Clusters.

use berth_model::capacity::StrategyItem;
use berth_model::cluster::ClusterSettings;
use berth_model::name::{ClusterName, ProviderName};
use berth_model::status::ClusterStatus;
use berth_model::tag::Tag;
use berth_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::keys::ClusterKey;

/// A cluster with its counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its name.
    pub name: ClusterName,
    /// Its number.
    pub key: ClusterKey,
    /// ACTIVE until it is deleted.
    pub status: ClusterStatus,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// What operators have set of it.
    #[serde(default)]
    pub settings: ClusterSettings,
    /// Instances that are ACTIVE or DRAINING.
    pub instances: u32,
    /// Tasks on their way to RUNNING, those that wait for room among them.
    pub pending: u32,
    /// Tasks that are RUNNING.
    pub running: u32,
    /// Tasks that have not stopped.
    pub live: u32,
    /// Tasks that wait for room.
    #[serde(default)]
    pub queued: u32,
    /// Tasks that have ever waited for room: the next one's number.
    #[serde(default)]
    pub arrivals: u64,
    /// Services that are ACTIVE.
    #[serde(default)]
    pub services: u32,
    /// Instances that are ACTIVE or DRAINING and whose agent is not there.
    #[serde(default)]
    pub disconnected: u32,
    /// The capacity providers that its tasks may go to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<ProviderName>,
    /// By which strategy its tasks go to them, where nothing else is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub default_strategy: Vec<StrategyItem>,
    /// When an instance last came, came back or became ACTIVE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_since: Option<Timestamp>,
}
