//! What a service is told to be and what is remembered of its deployments: words that the journal, the state and
//! [`crate::reconcile`] share.

mod task_set;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use berth_model::capacity::StrategyItem;
use berth_model::id::{DefinitionId, DeploymentId, ServiceRevisionId, TaskId};
use berth_model::load_balancer::{LoadBalancer, TargetSettings};
use berth_model::placement::{RawConstraint, RawStrategy};
use berth_model::service::{
    DeploymentConfiguration, DeploymentController, DeploymentStatus, Percent, PropagateTags, RolloutState,
    SchedulingStrategy,
};
use berth_model::status::LaunchType;
use berth_model::tag::Tag;
use berth_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::launch::launches_on;
use crate::reconcile::events;

pub use task_set::TaskSet;

/// What the user asked for, besides what makes a deployment: that is in [`Deployment`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Whether it is a count of tasks or one an instance.
    pub scheduling: SchedulingStrategy,
    /// Who begins its deployments.
    #[serde(default, skip_serializing_if = "DeploymentController::is_default")]
    pub controller: DeploymentController,
    /// How many tasks; of no meaning to a DAEMON.
    pub desired: u32,
    /// How deployments go.
    pub configuration: DeploymentConfiguration,
    /// Where its tasks may run, besides what their definition says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<RawConstraint>,
    /// Where its tasks should run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strategies: Vec<RawStrategy>,
    /// Seconds after its start in which a task's failed health checks do not count.
    #[serde(default)]
    pub health_check_grace_seconds: u32,
    /// Whether its tasks are moved until zones have equally many.
    #[serde(default)]
    pub zone_rebalancing: bool,
    /// How its tasks are connected, where they have an address of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkConfiguration>,
    /// How its tasks are treated as targets of load balancers.
    #[serde(default)]
    pub targets: TargetSettings,
    /// Seconds after which its tasks on an instance that is away are replaced; the scheduler's setting where it says
    /// nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_grace_seconds: Option<u32>,
    /// Where it was asked to run.
    #[serde(default, skip_serializing_if = "LaunchType::is_default")]
    pub launch_type: LaunchType,
    /// How its tasks are divided among capacity providers; nothing where its launch type says where they run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capacity: Vec<StrategyItem>,
    /// The version of Fargate's platform that was asked for, where one was; there is one alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform_version: Option<Arc<str>>,
    /// Its own tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// What tags its tasks get.
    #[serde(default)]
    pub propagate_tags: PropagateTags,
    /// Whether its tasks get tags that name their cluster and service.
    #[serde(default)]
    pub managed_tags: bool,
    /// Whether commands may be run in its tasks.
    #[serde(default)]
    pub execute_command: bool,
}

/// How tasks with an address of their own are connected (ECS API, `AwsVpcConfiguration`): kept as it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkConfiguration {
    /// Subnets.
    pub subnets: Vec<String>,
    /// Security groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security_groups: Vec<String>,
    /// Whether a public address was asked for, which nobody gives.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub assign_public_ip: bool,
}

/// What is remembered of one deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its id; what its tasks were started by.
    pub id: DeploymentId,
    /// What its tasks run.
    pub definition: DefinitionId,
    /// What gateways listen for on behalf of its tasks.
    #[serde(default, skip_serializing_if = "nothing_listens")]
    pub load_balancers: Arc<[LoadBalancer]>,
    /// The number of what it consists of.
    pub revision: ServiceRevisionId,
    /// What it is to its service.
    pub status: DeploymentStatus,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last changed in a way that a client can see.
    pub updated_at: Timestamp,
    /// How far it is.
    pub rollout: Rollout,
    /// Failures of its tasks in a row, as ECS counts them.
    #[serde(default)]
    pub failed_tasks: u32,
    /// What the circuit breaker has counted.
    #[serde(default)]
    pub breaker: Breaker,
    /// Tasks whose failed health checks are accounted for and that have not passed them since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<TaskId>,
    /// Why it launches nothing for now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_off: Option<BackOff>,
    /// When the service last began to consist of it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// That its service goes back to another, and how far that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    /// How much of the traffic it has, where it took that over from another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
    /// The task that is being moved to another zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebalance: Option<Rebalance>,
    /// What is known of why its tasks failed.
    #[serde(default, skip_serializing_if = "Explained::is_nothing")]
    pub explained: Explained,
    /// What was said that is not to be said again for a while.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<Notice>,
    /// What makes it a task set, where its service is deployed by somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_set: Option<Arc<TaskSet>>,
}

/// The part of the traffic that a deployment has taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Of all; what is left is the last deployment's.
    pub percent: Percent,
    /// Since when.
    pub since: Timestamp,
}

/// How far a deployment is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// As ECS counts.
    pub state: RolloutState,
    /// In words.
    pub reason: Arc<str>,
}

/// What the circuit breaker has counted of a deployment.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    /// Failures since the deployment began, or since a task of it turned healthy.
    pub failures: u32,
    /// How many tasks of it were healthy when that was last looked at.
    #[serde(default)]
    pub healthy: u32,
}

/// What is known of why tasks of a deployment failed: the first few are told one by one, the others are like them.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// Tasks whose last log lines are kept.
    #[serde(default)]
    pub log_tails: u32,
    /// Tasks whose failure an event has told.
    #[serde(default)]
    pub told: u32,
    /// Why the first of them failed, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Arc<str>>,
}

/// Why a deployment launches nothing for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackOff {
    /// What went wrong last.
    pub cause: BackOffCause,
    /// Attempts in a row that failed; the tasks of one pass are one attempt.
    pub attempts: u32,
    /// When the last one failed.
    pub since: Timestamp,
    /// When the next may be made.
    pub until: Timestamp,
}

/// What went wrong when a deployment last tried to launch tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackOffCause {
    /// No instance could take a task.
    Placement,
    /// A task ended before it was RUNNING.
    Launch,
    /// A task was RUNNING and ended before it counted as healthy.
    Exit,
}

/// That a service leaves a deployment for one before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// Where to; none where no deployment ever completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<DeploymentId>,
    /// When it was asked for.
    pub at: Timestamp,
    /// Why, in words.
    pub reason: Arc<str>,
    /// How far it is.
    pub state: RollbackState,
}

/// How far a rollback is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RollbackState {
    /// Asked for by a user.
    Requested,
    /// The service goes back.
    InProgress,
    /// The service has gone back.
    Successful,
    /// There was nowhere to go back to, or that failed too.
    Failed,
}

/// A task that is being moved to another zone: one more runs until the new one is healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebalance {
    /// Where to.
    pub zone: Arc<str>,
    /// When it began.
    pub at: Timestamp,
}

/// Something that was said of a service and is not said again while its cause lasts, for some hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What it was about.
    pub about: Subject,
    /// When it was said.
    pub at: Timestamp,
    /// What was said.
    pub message: Arc<str>,
}

/// What is said of a service and lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// It is as it should be.
    SteadyState,
    /// No instance can take a task.
    Unplaced,
    /// Tasks end before they are RUNNING.
    CannotStart,
    /// Its floor and its ceiling leave no room to replace a task.
    Deadlock,
    /// More tasks are protected than it wants.
    Protected,
    /// So many instances were lost at once that none is believed to be.
    Storm,
    /// Zones do not have equally many tasks.
    ZoneBalance,
}

/// What happened to a service, in words (ECS API, `ServiceEvent`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceEvent {
    /// Tells it from others.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub message: Arc<str>,
}

impl Explained {
    /// Failures of a deployment that are told, and of which log lines are kept: one that crashes for ever says the same
    /// for ever.
    pub const MOST: u32 = 3;

    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Deployment {
    /// One that was just asked for, and is what its service is to consist of.
    #[must_use]
    pub fn new(
        id: DeploymentId,
        revision: ServiceRevisionId,
        definition: DefinitionId,
        load_balancers: Arc<[LoadBalancer]>,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            definition,
            load_balancers,
            revision,
            status: DeploymentStatus::Primary,
            created_at: now,
            updated_at: now,
            rollout: Rollout {
                state: RolloutState::InProgress,
                reason: events::in_progress(id).into(),
            },
            failed_tasks: 0,
            breaker: Breaker::default(),
            failing: Vec::new(),
            back_off: None,
            completed_at: None,
            rollback: None,
            traffic: None,
            rebalance: None,
            explained: Explained::default(),
            notices: Vec::new(),
            task_set: None,
        }
    }

    /// Whether it is what its service is to consist of.
    #[must_use]
    pub fn is_primary(&self) -> bool {
        self.status == DeploymentStatus::Primary
    }
}

fn nothing_listens(load_balancers: &Arc<[LoadBalancer]>) -> bool {
    load_balancers.is_empty()
}

impl ServiceSpec {
    /// So many tasks, and of all else what holds where a caller says nothing (ECS API, CreateService).
    #[must_use]
    pub fn replicas(desired: u32) -> Self {
        let scheduling = SchedulingStrategy::Replica;
        Self {
            scheduling,
            controller: DeploymentController::default(),
            desired,
            configuration: DeploymentConfiguration::default_of(scheduling),
            constraints: Vec::new(),
            strategies: Vec::new(),
            health_check_grace_seconds: 0,
            zone_rebalancing: false,
            network: None,
            targets: TargetSettings::default(),
            lost_grace_seconds: None,
            launch_type: LaunchType::default(),
            capacity: Vec::new(),
            platform_version: None,
            tags: Vec::new(),
            propagate_tags: PropagateTags::default(),
            managed_tags: false,
            execute_command: false,
        }
    }

    /// What a service would be that consists of this deployment alone: a task set says for itself where its tasks run,
    /// and how many there are.
    #[must_use]
    pub fn of(&self, deployment: &Deployment) -> Cow<'_, Self> {
        match &deployment.task_set {
            None => Cow::Borrowed(self),
            Some(set) => Cow::Owned(set.spec(self)),
        }
    }

    /// Whether somebody else deploys it, by task sets.
    #[must_use]
    pub fn is_external(&self) -> bool {
        self.controller == DeploymentController::External
    }

    /// What its tasks are said to be launched on.
    #[must_use]
    pub fn launches_on(&self) -> LaunchType {
        launches_on(self.launch_type, &self.capacity)
    }

    /// How long a task's failed health checks do not count after it is RUNNING.
    #[must_use]
    pub fn health_check_grace(&self) -> Duration {
        Duration::from_secs(self.health_check_grace_seconds.into())
    }

    /// How long an instance may be away before tasks on it are replaced, where the service says so.
    #[must_use]
    pub fn lost_grace(&self) -> Option<Duration> {
        self.lost_grace_seconds
            .map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// How long connections of a task may stay open from its deregistration on.
    #[must_use]
    pub fn deregistration_delay(&self) -> Duration {
        Duration::from_secs(self.targets.deregistration_delay_seconds.into())
    }
}
