//! Services.

use std::sync::Arc;

use berth_model::id::{DeploymentId, ServiceName, TaskId};
use berth_model::service::{DeploymentStatus, RolloutState, SchedulingStrategy, ServiceStatus};
use berth_model::time::Timestamp;
use imbl::{OrdSet, Vector};
use serde::{Deserialize, Serialize};

use crate::keys::{ClusterKey, ServiceKey};
use crate::launch::ClientToken;
use crate::service::{Deployment, ServiceEvent, ServiceSpec};

/// Events that are kept (ECS guide, "Service event messages").
const EVENTS_KEPT: usize = 100;
/// Deployments that are kept after they were replaced.
const REPLACED_KEPT: usize = 20;

/// A service with its deployments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its cluster.
    pub cluster: ClusterKey,
    /// Its name.
    pub name: ServiceName,
    /// ACTIVE until it is deleted.
    pub status: ServiceStatus,
    /// What it is to be.
    pub spec: Arc<ServiceSpec>,
    /// Its deployments: the PRIMARY one, then the others, newest first. Those that were replaced stay for a while.
    pub deployments: Arc<[Deployment]>,
    /// What has happened to it, newest first.
    #[serde(with = "events")]
    pub events: Vector<ServiceEvent>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The token that it was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_token: Option<ClientToken>,
    /// When it became INACTIVE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inactive_at: Option<Timestamp>,
    /// Its tasks that have not stopped, oldest first: an index of the tasks.
    #[serde(skip)]
    pub live: OrdSet<TaskId>,
    /// Its tasks that have stopped and whose end is not accounted for.
    #[serde(default, with = "tasks")]
    pub ended: OrdSet<TaskId>,
}

impl Service {
    /// A new service without tasks.
    #[must_use]
    pub fn new(key: ServiceKey, spec: Arc<ServiceSpec>, deployment: Deployment, created_at: Timestamp) -> Self {
        Self {
            cluster: key.cluster,
            name: key.service,
            status: ServiceStatus::Active,
            spec,
            deployments: Arc::new([deployment]),
            events: Vector::new(),
            created_at,
            client_token: None,
            inactive_at: None,
            live: OrdSet::new(),
            ended: OrdSet::new(),
        }
    }

    /// Its place in the state.
    #[must_use]
    pub fn key(&self) -> ServiceKey {
        ServiceKey {
            cluster: self.cluster,
            service: self.name.clone(),
        }
    }

    /// Whether it has one task on each instance instead of a number of them.
    #[must_use]
    pub fn is_daemon(&self) -> bool {
        self.spec.scheduling == SchedulingStrategy::Daemon
    }

    /// Whether nobody has deleted it.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.status == ServiceStatus::Active
    }

    /// The deployment that it is to consist of.
    #[must_use]
    pub fn primary(&self) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.is_primary())
    }

    /// A deployment that is remembered.
    #[must_use]
    pub fn deployment(&self, id: DeploymentId) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.id == id)
    }

    /// The deployments that are not replaced: what DescribeServices shows.
    pub fn current(&self) -> impl Iterator<Item = &Deployment> {
        let is_current = |deployment: &&Deployment| deployment.status != DeploymentStatus::Inactive;
        self.deployments.iter().filter(is_current)
    }

    /// Counts a task of the deployment whose last log lines are kept.
    pub(crate) fn count_log_tail(&mut self, id: DeploymentId) {
        let mut deployments = self.deployments.to_vec();
        if let Some(deployment) = deployments.iter_mut().find(|deployment| deployment.id == id) {
            deployment.explained.log_tails += 1;
            self.deployments = deployments.into();
        }
    }

    /// Puts deployments that are new or changed among the others.
    pub(crate) fn put_deployments(&mut self, changed: &[Deployment]) {
        if changed.is_empty() {
            return;
        }
        let is_changed = |known: &&Deployment| changed.iter().any(|deployment| deployment.id == known.id);
        let others = self.deployments.iter().filter(|known| !is_changed(known));
        let mut all: Vec<Deployment> = others.chain(changed).cloned().collect();
        all.sort_by_key(|deployment| (!deployment.is_primary(), std::cmp::Reverse(deployment.created_at)));
        let mut replaced = 0;
        let mut completed = 0;
        all.retain(|deployment| {
            let is_completed = deployment.rollout.state == RolloutState::Completed;
            completed += usize::from(is_completed);
            if deployment.status != DeploymentStatus::Inactive {
                return true;
            }
            replaced += 1;
            // The one to go back to stays, however many failed after it.
            replaced <= REPLACED_KEPT || (is_completed && completed == 1)
        });
        self.deployments = all.into();
    }

    /// Adds what there is to say, the oldest first.
    pub(crate) fn say(&mut self, events: &[ServiceEvent]) {
        for event in events {
            self.events.push_front(event.clone());
        }
        self.events.truncate(EVENTS_KEPT);
    }
}

/// Lists that share what has not changed, written as lists.
macro_rules! as_list {
    ($name:ident, $list:ty, $item:ty) => {
        mod $name {
            use serde::{Deserialize, Deserializer, Serializer};

            pub(super) fn serialize<S: Serializer>(list: &$list, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(list)
            }

            pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$list, D::Error> {
                Ok(Vec::<$item>::deserialize(deserializer)?.into_iter().collect())
            }
        }
    };
}

as_list!(
    events,
    imbl::Vector<crate::service::ServiceEvent>,
    crate::service::ServiceEvent
);
as_list!(tasks, imbl::OrdSet<berth_model::id::TaskId>, berth_model::id::TaskId);
