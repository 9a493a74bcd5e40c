//! CreateTaskSet, UpdateTaskSet, DeleteTaskSet and UpdateServicePrimaryTaskSet: the deployments of a service that
//! somebody else deploys. What follows from them for tasks is decided by [`super::reconcile`].

use std::sync::Arc;

use berth_model::arn::DefinitionReference;
use berth_model::capacity::StrategyItem;
use berth_model::fault::{Fault, FaultClass};
use berth_model::id::DeploymentId;
use berth_model::load_balancer::LoadBalancer;
use berth_model::name::{ClusterName, ServiceName};
use berth_model::service::{DeploymentStatus, Scale, StabilityStatus, TaskSetStatus};
use berth_model::status::LaunchType;
use berth_model::tag::Tag;
use berth_model::time::Timestamp;

use super::definition::runnable;
use super::route::Route;
use super::service::{active, check, check_listeners, key_of, new_deployment};
use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::keys::ServiceKey;
use crate::launch::{CapacityWish, ClientToken};
use crate::service::{Deployment, NetworkConfiguration, ServiceSpec, TaskSet};
use crate::state::{Service, State};

/// Task sets of a service, at most (ECS service quotas).
const MAX_TASK_SETS: usize = 5;

/// Makes a task set, which is ACTIVE.
#[derive(Debug, Clone)]
pub struct CreateTaskSet {
    /// The cluster of its service.
    pub cluster: ClusterName,
    /// Its service.
    pub service: ServiceName,
    /// What its tasks run.
    pub definition: DefinitionReference,
    /// How much of the service's count it is to have.
    pub scale: Scale,
    /// What the caller calls it.
    pub external_id: Option<String>,
    /// What gateways listen for on behalf of its tasks.
    pub load_balancers: Arc<[LoadBalancer]>,
    /// How its tasks are connected, where they have an address of their own.
    pub network: Option<NetworkConfiguration>,
    /// Where its tasks are to run.
    pub launch_type: LaunchType,
    /// How they are divided among capacity providers.
    pub capacity: Vec<StrategyItem>,
    /// The version of Fargate's platform, where the caller says one.
    pub platform_version: Option<Arc<str>>,
    /// Whether the caller says neither a launch type nor a strategy, so that the cluster's strategy holds.
    pub by_default: bool,
    /// The token by which the caller may ask again.
    pub client_token: Option<ClientToken>,
    /// Its own tags.
    pub tags: Vec<Tag>,
}

/// A task set by its service and its id.
#[derive(Debug, Clone)]
pub struct Named {
    /// The cluster of its service.
    pub cluster: ClusterName,
    /// Its service.
    pub service: ServiceName,
    /// Its id.
    pub set: DeploymentId,
}

/// Gives a task set another part of its service's count.
#[derive(Debug, Clone)]
pub struct UpdateTaskSet {
    /// Which.
    pub named: Named,
    /// The part from now on.
    pub scale: Scale,
}

/// Deletes a task set: its tasks are stopped, then it is gone.
#[derive(Debug, Clone)]
pub struct DeleteTaskSet {
    /// Which.
    pub named: Named,
    /// Whether it goes although it is scaled above 0.
    pub force: bool,
}

/// Makes a task set the primary one of its service; the one that was is ACTIVE from then on.
#[derive(Debug, Clone)]
pub struct SetPrimaryTaskSet {
    /// Which.
    pub named: Named,
}

/// The service of the name, which must be ACTIVE and deployed by somebody else.
fn external<'s>(state: &'s State, cluster: &ClusterName, service: &ServiceName) -> Result<&'s Service, Fault> {
    let known = active(state, &key_of(state.active_cluster(cluster)?.key, service))?;
    match known.spec.is_external() {
        true => Ok(known),
        false => Err(Fault::invalid(format!(
            "Task sets are of services with deployment controller EXTERNAL. Service {service} has deployment controller {}.",
            known.spec.controller.name()
        ))),
    }
}

impl Named {
    /// The service and the task set, which may be DRAINING.
    fn find<'s>(&self, state: &'s State) -> Result<(&'s Service, &'s Deployment, &'s Arc<TaskSet>), Fault> {
        let service = external(state, &self.cluster, &self.service)?;
        let mut sets = service.task_sets();
        let found = sets.find(|(deployment, _)| deployment.id == self.set);
        let (deployment, set) =
            found.ok_or_else(|| Fault::new(FaultClass::TaskSetNotFound, "The specified task set does not exist."))?;
        Ok((service, deployment, set))
    }

    /// The same, of a task set that nobody has deleted.
    fn find_active<'s>(&self, state: &'s State) -> Result<(&'s Service, &'s Deployment, &'s Arc<TaskSet>), Fault> {
        let (service, deployment, set) = self.find(state)?;
        match set.status(deployment) {
            TaskSetStatus::Draining => Err(Fault::invalid(format!(
                "The specified task set {} is DRAINING. Specify an active task set and try again.",
                self.set
            ))),
            TaskSetStatus::Primary | TaskSetStatus::Active => Ok((service, deployment, set)),
        }
    }
}

/// The service with these task sets as they are from now on.
fn updated(service: &Service, deployments: Vec<Deployment>) -> Change {
    Change::ServiceUpdated {
        cluster: service.cluster,
        service: service.name.clone(),
        spec: Arc::clone(&service.spec),
        deployments,
    }
}

/// The task set from now on, in a deployment that has changed.
fn changed(deployment: &Deployment, set: TaskSet, now: Timestamp) -> Deployment {
    Deployment {
        task_set: Some(Arc::new(set)),
        updated_at: now,
        ..deployment.clone()
    }
}

/// The task sets of a service that get another count with this spec, which are on their way from now on.
pub(super) fn rescaled(service: &Service, spec: &ServiceSpec, now: Timestamp) -> Vec<Deployment> {
    let moved = |set: &TaskSet| set.count(spec.desired) != set.count(service.spec.desired);
    let sets = service.task_sets().filter(|(_, set)| moved(set));
    sets.map(|(deployment, set)| changed(deployment, TaskSet::clone(set).stabilizing(now), now))
        .collect()
}

impl Command for CreateTaskSet {
    type Outcome = (ServiceKey, DeploymentId);

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<Self::Outcome>, Fault> {
        let service = external(state, &self.cluster, &self.service)?;
        let key = service.key();
        if let Some(known) = self.made_before(service)? {
            return Ok(Decision::unchanged((key, known)));
        }
        let sets = service.task_sets().filter(|(_, set)| !set.deleted).count();
        if sets >= MAX_TASK_SETS {
            return Err(Fault::new(
                FaultClass::LimitExceeded,
                format!(
                    "Service {} has {MAX_TASK_SETS} task sets, no more are allowed.",
                    self.service
                ),
            ));
        }
        let registered = runnable(state, &self.definition)?;
        let wish = CapacityWish {
            strategy: self.capacity.clone(),
            by_default: self.by_default,
        };
        let route = Route::of(state.active_cluster(&self.cluster)?, self.launch_type, &wish)?;
        let set = TaskSet {
            scale: self.scale,
            deleted: false,
            stability: StabilityStatus::Stabilizing,
            stability_at: env.now(),
            external_id: self.external_id.clone(),
            launch_type: self.launch_type,
            capacity: route.strategy,
            platform_version: self.platform_version.clone(),
            network: self.network.clone(),
            client_token: self.client_token.clone(),
            tags: self.tags.clone(),
        };
        let deployment = Deployment {
            status: DeploymentStatus::Active,
            task_set: Some(Arc::new(set)),
            ..new_deployment(&registered.id, &self.load_balancers, env)
        };
        check(registered, &service.spec.of(&deployment), &self.load_balancers)?;
        check_listeners(state, &key, &self.load_balancers)?;
        let id = deployment.id;
        Ok(Decision {
            changes: vec![updated(service, vec![deployment])],
            outcome: (key, id),
        })
    }
}

impl CreateTaskSet {
    /// The task set that the same call has made before, if it has.
    fn made_before(&self, service: &Service) -> Result<Option<DeploymentId>, Fault> {
        let Some(token) = &self.client_token else {
            return Ok(None);
        };
        for deployment in &*service.deployments {
            let known = deployment.task_set.as_ref().and_then(|set| set.client_token.as_ref());
            match known.filter(|known| known.token == token.token) {
                None => {}
                Some(known) if known == token => return Ok(Some(deployment.id)),
                Some(_) => return Err(Fault::invalid("Creation of task set was not idempotent.")),
            }
        }
        Ok(None)
    }
}

impl Command for UpdateTaskSet {
    type Outcome = ServiceKey;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<ServiceKey>, Fault> {
        let (service, deployment, set) = self.named.find_active(state)?;
        if set.scale == self.scale {
            return Ok(Decision::unchanged(service.key()));
        }
        let now = env.now();
        let desired = service.spec.desired;
        let scaled = TaskSet {
            scale: self.scale,
            ..TaskSet::clone(set)
        };
        let scaled = match scaled.count(desired) == set.count(desired) {
            true => scaled,
            false => scaled.stabilizing(now),
        };
        Ok(Decision {
            changes: vec![updated(service, vec![changed(deployment, scaled, now)])],
            outcome: service.key(),
        })
    }
}

impl Command for DeleteTaskSet {
    type Outcome = ServiceKey;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<ServiceKey>, Fault> {
        let (service, deployment, set) = self.named.find(state)?;
        if set.deleted {
            return Ok(Decision::unchanged(service.key()));
        }
        if set.scale > Scale::default() && !self.force {
            return Err(Fault::invalid(
                "The task set cannot be deleted while it is scaled above 0. Scale it to 0, or use force.",
            ));
        }
        let now = env.now();
        let deleted = TaskSet {
            deleted: true,
            ..TaskSet::clone(set)
        };
        let leaves = Deployment {
            status: DeploymentStatus::Active,
            ..changed(deployment, deleted.stabilizing(now), now)
        };
        Ok(Decision {
            changes: vec![updated(service, vec![leaves])],
            outcome: service.key(),
        })
    }
}

impl Command for SetPrimaryTaskSet {
    type Outcome = ServiceKey;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<ServiceKey>, Fault> {
        let (service, deployment, _) = self.named.find_active(state)?;
        if deployment.is_primary() {
            return Ok(Decision::unchanged(service.key()));
        }
        let as_status = |deployment: &Deployment, status| Deployment {
            status,
            updated_at: env.now(),
            ..deployment.clone()
        };
        let before = service
            .primary()
            .map(|primary| as_status(primary, DeploymentStatus::Active));
        let after = as_status(deployment, DeploymentStatus::Primary);
        Ok(Decision {
            changes: vec![updated(service, before.into_iter().chain([after]).collect())],
            outcome: service.key(),
        })
    }
}
