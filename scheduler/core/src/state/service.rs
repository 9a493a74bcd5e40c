//! Services.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_model::id::{DeploymentId, TaskId};
use berth_model::load_balancer::LoadBalancer;
use berth_model::name::ServiceName;
use berth_model::service::{DeploymentStatus, RolloutState, SchedulingStrategy, ServiceStatus};
use berth_model::time::Timestamp;
use imbl::{OrdSet, Vector};
use serde::{Deserialize, Serialize};

use crate::keys::{ClusterKey, ServiceKey};
use crate::launch::ClientToken;
use crate::scaling::{Scaling, ScalingActivity};
use crate::service::{Deployment, ServiceEvent, ServiceSpec, TaskSet};

use super::{State, Task};

/// Events that are kept (ECS guide, "Service event messages").
const EVENTS_KEPT: usize = 100;
/// Deployments that are kept after they were replaced.
const REPLACED_KEPT: usize = 20;

/// Changes of the count by policies that are kept.
const ACTIVITIES_KEPT: usize = 50;

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
    /// Between what counts and by which policies it is scaled; none where nothing scales it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Arc<Scaling>>,
    /// How that changed its count, newest first.
    #[serde(default, skip_serializing_if = "Vector::is_empty", with = "activities")]
    pub activities: Vector<ScalingActivity>,
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
    /// A new service without tasks, and without a deployment where somebody else makes them.
    #[must_use]
    pub fn new(key: ServiceKey, spec: Arc<ServiceSpec>, deployment: Option<Deployment>, created_at: Timestamp) -> Self {
        Self {
            cluster: key.cluster,
            name: key.service,
            status: ServiceStatus::Active,
            spec,
            deployments: deployment.into_iter().collect(),
            events: Vector::new(),
            scaling: None,
            activities: Vector::new(),
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

    /// Whether a deployment goes on.
    #[must_use]
    pub fn is_deploying(&self) -> bool {
        self.primary()
            .is_some_and(|primary| primary.rollout.state == RolloutState::InProgress)
    }

    /// The deployment that it is to consist of.
    #[must_use]
    pub fn primary(&self) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.is_primary())
    }

    /// Its task sets that are there, those that drain too: none where it deploys itself.
    pub fn task_sets(&self) -> impl Iterator<Item = (&Deployment, &Arc<TaskSet>)> {
        self.current()
            .filter_map(|deployment| Some((deployment, deployment.task_set.as_ref()?)))
    }

    /// A deployment that is remembered.
    #[must_use]
    pub fn deployment(&self, id: DeploymentId) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.id == id)
    }

    /// What gateways listen for on behalf of the tasks of a deployment; nothing where that is not remembered.
    #[must_use]
    pub fn load_balancers_of(&self, deployment: DeploymentId) -> &[LoadBalancer] {
        self.deployment(deployment).map_or(&[], |known| &known.load_balancers)
    }

    /// The same of one of its tasks.
    #[must_use]
    pub fn load_balancers_of_task(&self, task: &Task) -> &[LoadBalancer] {
        let launch = task.launch.service.as_ref();
        launch.map_or(&[], |launch| self.load_balancers_of(launch.deployment))
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

    /// Adds how its count was changed.
    pub(crate) fn note_activity(&mut self, activity: &ScalingActivity) {
        self.activities.push_front(activity.clone());
        self.activities.truncate(ACTIVITIES_KEPT);
    }

    /// Adds what there is to say, the oldest first.
    pub(crate) fn say(&mut self, events: &[ServiceEvent]) {
        for event in events {
            self.events.push_front(event.clone());
        }
        self.events.truncate(EVENTS_KEPT);
    }
}

impl State {
    /// What gateways listen for on behalf of a service: what its primary deployment names, and what others do for as long
    /// as they have targets. What two deployments name is there once.
    #[must_use]
    pub fn listeners_of<'s>(&self, service: &'s Service) -> Vec<&'s LoadBalancer> {
        let named = || service.deployments.iter().filter(|one| !one.load_balancers.is_empty());
        let with_targets = match named().all(Deployment::is_primary) {
            true => BTreeSet::new(),
            false => self.deployments_with_targets(service),
        };
        let mut listeners: Vec<&LoadBalancer> = Vec::new();
        for deployment in named().filter(|one| one.is_primary() || with_targets.contains(&one.id)) {
            for one in &*deployment.load_balancers {
                if listeners
                    .iter()
                    .all(|known| known.target_group_arn != one.target_group_arn)
                {
                    listeners.push(one);
                }
            }
        }
        listeners
    }

    /// What gateways listen for on behalf of a service on this port, or would after a rollback.
    pub(crate) fn listener_on<'s>(&self, service: &'s Service, port: u16) -> Option<&'s LoadBalancer> {
        let is_on = |one: &&LoadBalancer| one.listener_port == port;
        let mut current = service.current().flat_map(|deployment| &*deployment.load_balancers);
        let has_had = || {
            service
                .deployments
                .iter()
                .flat_map(|one| &*one.load_balancers)
                .any(|one| is_on(&one))
        };
        match current.find(is_on) {
            None if has_had() => self.listeners_of(service).into_iter().find(is_on),
            found => found,
        }
    }

    fn deployments_with_targets(&self, service: &Service) -> BTreeSet<DeploymentId> {
        let targets = self.live_tasks_of(service).filter(|task| task.target.is_some());
        targets
            .filter_map(|task| Some(task.launch.service.as_ref()?.deployment))
            .collect()
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
as_list!(
    activities,
    imbl::Vector<crate::scaling::ScalingActivity>,
    crate::scaling::ScalingActivity
);
as_list!(tasks, imbl::OrdSet<berth_model::id::TaskId>, berth_model::id::TaskId);
