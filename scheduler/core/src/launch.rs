//! What a call that starts tasks leaves behind: what its tasks have in common, and where each runs.

use std::sync::Arc;

use berth_model::capacity::StrategyItem;
use berth_model::gpu::ContainerGpus;
use berth_model::id::{DefinitionId, DeploymentId, InstanceId, TaskId};
use berth_model::name::{ProviderName, ScheduleName, ServiceName};
use berth_model::overrides::TaskOverride;
use berth_model::placement::{Constraint, Strategy};
use berth_model::quantity::Demand;
use berth_model::status::LaunchType;
use berth_model::tag::Tag;
use berth_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::keys::{ClusterKey, ServiceKey};
use crate::place::Pool;

/// What the tasks of one call have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    /// What they run.
    pub definition: DefinitionId,
    /// What each reserves.
    pub demand: Demand,
    /// `family:<family>`, or what the caller said.
    pub group: Arc<str>,
    /// What the caller said of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_by: Option<Arc<str>>,
    /// What differs from the definition.
    #[serde(default, skip_serializing_if = "TaskOverride::is_empty")]
    pub overrides: TaskOverride,
    /// Tags of each task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// Where the caller asked for it to run.
    #[serde(default, skip_serializing_if = "LaunchType::is_default")]
    pub launch_type: LaunchType,
    /// The capacity provider that they were given to, where they were to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// Whether commands may be run in them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub execute_command: bool,
    /// The first subnet that was named for them: nothing but a name here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<Arc<str>>,
    /// The token by which the caller may ask again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_token: Option<ClientToken>,
    /// The service that they are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceLaunch>,
    /// The schedule that started them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleName>,
    /// When they were placed.
    pub created_at: Timestamp,
}

/// What the tasks of a call that wait for room have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wait {
    /// What they are; made when they began to wait.
    pub launch: Arc<Launch>,
    /// Rules of the call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Constraint>,
    /// How to choose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strategies: Vec<Strategy>,
    /// When those that have no instance by then end.
    pub deadline: Timestamp,
    /// Why there was no room when they came, in ECS's words.
    pub reason: Arc<str>,
    /// Why, in full.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub detail: Arc<str>,
}

/// A capacity provider, with what tells its instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Its name.
    pub name: ProviderName,
    /// The name of its Auto Scaling group, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Arc<str>>,
}

/// What a caller says of capacity providers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapacityWish {
    /// How its tasks are divided among them; nothing where it does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strategy: Vec<StrategyItem>,
    /// Whether it says of its launch type nothing either, so that its cluster does.
    #[serde(default)]
    pub by_default: bool,
}

impl CapacityWish {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What tasks are said to be launched on: where a strategy says where they go, that follows from its providers.
#[must_use]
pub fn launches_on(launch_type: LaunchType, strategy: &[StrategyItem]) -> LaunchType {
    match strategy {
        [] => launch_type,
        items if items.iter().all(|item| item.provider.is_fargate()) => LaunchType::Fargate,
        _ => LaunchType::Ec2,
    }
}

/// The instances that tasks may go to, where not all of their cluster: those of their provider, or of Fargate.
#[must_use]
pub fn pool(launch_type: LaunchType, provider: Option<&Provider>) -> Option<Pool> {
    match (provider, launch_type) {
        (Some(provider), _) => Some(Pool::new(provider.name.clone(), provider.group.clone())),
        (None, LaunchType::Fargate) => Some(Pool::new(ProviderName::fargate(), None)),
        (None, LaunchType::Ec2 | LaunchType::External) => None,
    }
}

/// Whose tasks a service starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceLaunch {
    /// The service.
    pub service: ServiceName,
    /// The deployment of it.
    pub deployment: DeploymentId,
}

impl Launch {
    /// The service of the tasks, if they are of one.
    #[must_use]
    pub fn service_key(&self, cluster: ClusterKey) -> Option<ServiceKey> {
        self.service.as_ref().map(|launch| ServiceKey {
            cluster,
            service: launch.service.clone(),
        })
    }
}

/// A caller's idempotency token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientToken {
    /// What the caller sent.
    pub token: Arc<str>,
    /// A digest of the request: the same token with another digest is a conflict.
    pub fingerprint: u64,
}

/// One copy and where it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The copy.
    pub task: TaskId,
    /// Its instance.
    pub instance: InstanceId,
    /// The instance's GPUs that its containers have to themselves.
    #[serde(default, skip_serializing_if = "<[ContainerGpus]>::is_empty")]
    pub gpus: Arc<[ContainerGpus]>,
}
