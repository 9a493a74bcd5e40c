//! CreateService, UpdateService, DeleteService and StopServiceDeployment: what a user asks of a service. What follows
//! from it for tasks is decided by [`super::reconcile`].

use std::sync::Arc;

use berth_model::arn::DefinitionReference;
use berth_model::capacity::StrategyItem;
use berth_model::fault::{Fault, FaultClass};
use berth_model::id::{DefinitionId, DeploymentId, ServiceRevisionId};
use berth_model::load_balancer::LoadBalancer;
use berth_model::name::{ClusterName, ServiceName};
use berth_model::placement::{
    MAX_CONSTRAINTS, RawConstraint, RawStrategy, Strategy, parse_constraints, parse_strategies,
};
use berth_model::service::validate::{self, RawConfiguration};
use berth_model::service::{
    DeploymentController, DeploymentStatus, PropagateTags, RolloutState, SchedulingStrategy, ServiceStatus,
};
use berth_model::status::LaunchType;

use super::definition::runnable;
use super::launch::check_network;
use super::route::Route;
use super::task_set::rescaled;
use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::keys::{ClusterKey, ServiceKey};
use crate::launch::{CapacityWish, ClientToken};
use crate::service::{Deployment, NetworkConfiguration, Rollback, RollbackState, ServiceSpec};
use crate::state::{Cluster, RegisteredDefinition, Service, State};

/// Services of a cluster, at most (ECS service quotas).
const MAX_SERVICES: usize = 5000;

/// Makes a service with its first deployment. One that is ACTIVE stays as it is where the same caller asks again
/// (ECS API, CreateService).
#[derive(Debug, Clone)]
pub struct CreateService {
    /// Its cluster.
    pub cluster: ClusterName,
    /// Its name.
    pub name: ServiceName,
    /// What its tasks run; nothing where task sets say it.
    pub definition: Option<DefinitionReference>,
    /// What it is to be.
    pub spec: ServiceSpec,
    /// What gateways listen for on its behalf.
    pub load_balancers: Arc<[LoadBalancer]>,
    /// Whether the caller says neither a launch type nor a strategy, so that its cluster's strategy holds.
    pub by_default: bool,
    /// The token by which the caller may ask again.
    pub client_token: Option<ClientToken>,
}

/// Changes a service; members that are absent stay as they are (ECS API, UpdateService).
#[derive(Debug, Clone, Default)]
pub struct ServiceUpdate {
    /// What its tasks are to run; another definition begins a deployment.
    pub definition: Option<DefinitionReference>,
    /// What gateways are to listen for; something else begins a deployment.
    pub load_balancers: Option<Arc<[LoadBalancer]>>,
    /// Begins a deployment although nothing else does.
    pub force_new_deployment: bool,
    /// How many tasks.
    pub desired: Option<i32>,
    /// How deployments go.
    pub configuration: RawConfiguration,
    /// Where its tasks may run.
    pub constraints: Option<Vec<RawConstraint>>,
    /// Where its tasks should run.
    pub strategies: Option<Vec<RawStrategy>>,
    /// Seconds in which failed health checks do not count.
    pub health_check_grace_seconds: Option<u32>,
    /// Whether its tasks are moved until zones have equally many.
    pub zone_rebalancing: Option<bool>,
    /// How its tasks are connected; another configuration begins a deployment.
    pub network: Option<NetworkConfiguration>,
    /// How its further tasks are divided among capacity providers; they go by the launch type where the list is empty.
    pub capacity: Option<Vec<StrategyItem>>,
    /// The version of Fargate's platform.
    pub platform_version: Option<Arc<str>>,
    /// What tags its tasks get.
    pub propagate_tags: Option<PropagateTags>,
    /// Whether its tasks get tags that name their cluster and service.
    pub managed_tags: Option<bool>,
    /// Who deploys it, where that is said: it cannot change.
    pub controller: Option<DeploymentController>,
    /// Whether commands may be run in tasks that it starts from now on.
    pub execute_command: Option<bool>,
}

/// UpdateService.
#[derive(Debug, Clone)]
pub struct UpdateService {
    /// Its cluster.
    pub cluster: ClusterName,
    /// The service.
    pub service: ServiceName,
    /// What is to change.
    pub update: ServiceUpdate,
}

/// Deletes a service: its tasks are stopped, then it is INACTIVE (ECS API, DeleteService).
#[derive(Debug, Clone)]
pub struct DeleteService {
    /// Its cluster.
    pub cluster: ClusterName,
    /// The service.
    pub service: ServiceName,
    /// Whether it goes although it is scaled above 0.
    pub force: bool,
}

/// Gives a deployment up: the service goes back to the one that completed last (ECS API, StopServiceDeployment).
#[derive(Debug, Clone)]
pub struct StopDeployment {
    /// Its cluster.
    pub cluster: ClusterName,
    /// Its service.
    pub service: ServiceName,
    /// The deployment.
    pub deployment: DeploymentId,
}

impl Command for CreateService {
    type Outcome = ServiceKey;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<ServiceKey>, Fault> {
        let known_cluster = state.active_cluster(&self.cluster)?;
        let cluster = known_cluster.key;
        let key = ServiceKey {
            cluster,
            service: self.name.clone(),
        };
        if let Some(known) = state.service(&key) {
            match known.status {
                ServiceStatus::Active => {
                    let same = self.client_token.is_some() && known.client_token == self.client_token;
                    return match same {
                        true => Ok(Decision::unchanged(key)),
                        false => Err(Fault::invalid("Creation of service was not idempotent.")),
                    };
                }
                ServiceStatus::Draining => {
                    return Err(Fault::invalid("Unable to Start a service that is still Draining."));
                }
                ServiceStatus::Inactive => {}
            }
        }
        if state.services_of(cluster).count() >= MAX_SERVICES {
            return Err(Fault::client(format!(
                "cluster '{}' has {MAX_SERVICES} services, no more are allowed.",
                self.cluster
            )));
        }
        check_controller(&self.spec)?;
        let (spec, deployment) = match &self.definition {
            None => (self.spec.clone(), None),
            Some(definition) => {
                let registered = runnable(state, definition)?;
                let spec = self.routed(known_cluster)?;
                check(registered, &spec, &self.load_balancers)?;
                check_listeners(state, &key, &self.load_balancers)?;
                let deployment = new_deployment(&registered.id, &self.load_balancers, env);
                (spec, Some(Box::new(deployment)))
            }
        };
        let created = Change::ServiceCreated {
            cluster,
            service: self.name.clone(),
            spec: Arc::new(spec),
            deployment,
            client_token: self.client_token.clone(),
            at: env.now(),
        };
        Ok(Decision {
            changes: vec![created],
            outcome: key,
        })
    }
}

impl CreateService {
    /// What the service is to be, where its cluster says what the caller does not.
    fn routed(&self, cluster: &Cluster) -> Result<ServiceSpec, Fault> {
        let wish = CapacityWish {
            strategy: self.spec.capacity.clone(),
            // A DAEMON has a task on every instance, whatever the others have.
            by_default: self.by_default && self.spec.scheduling == SchedulingStrategy::Replica,
        };
        let route = Route::of(cluster, self.spec.launch_type, &wish)?;
        Ok(ServiceSpec {
            capacity: route.strategy,
            ..self.spec.clone()
        })
    }
}

pub(super) fn new_deployment(
    definition: &DefinitionId,
    load_balancers: &Arc<[LoadBalancer]>,
    env: &mut Env<'_>,
) -> Deployment {
    // Both have the same number, as in ECS: clients find a deployment by it (Terraform, `wait_for_steady_state`).
    let number = env.draw();
    let id = DeploymentId::from_random(number);
    let revision = ServiceRevisionId::from_random(number);
    Deployment::new(id, revision, definition.clone(), Arc::clone(load_balancers), env.now())
}

/// Checks what the service is to be against the definition that it is to run.
pub(super) fn check(
    registered: &RegisteredDefinition,
    spec: &ServiceSpec,
    load_balancers: &[LoadBalancer],
) -> Result<(), Fault> {
    check_network(&registered.definition, spec.network.is_some())?;
    let constraints = spec.constraints.len() + registered.constraints.len();
    if constraints > MAX_CONSTRAINTS {
        return Err(Fault::invalid(format!(
            "placementConstraints of the service and the task definition are {constraints} together, at most {MAX_CONSTRAINTS} are allowed."
        )));
    }
    let route = Route::as_was(spec.launch_type, &spec.capacity);
    if spec.scheduling == SchedulingStrategy::Daemon && !spec.capacity.is_empty() {
        return Err(Fault::invalid(
            "The daemon scheduling strategy does not support capacity provider strategies. Remove the capacity provider \
             strategy and try again",
        ));
    }
    if spec.scheduling == SchedulingStrategy::Daemon && route.launch_type == LaunchType::Fargate {
        return Err(Fault::invalid(
            "The daemon scheduling strategy does not support the FARGATE launch type. Change the launch type and try again",
        ));
    }
    route.check(&registered.definition, constraints, spec.strategies.len())?;
    for load_balancer in load_balancers {
        load_balancer.check(&registered.definition)?;
    }
    Ok(())
}

/// Checks that a service which somebody else deploys asks for nothing that only the scheduler's own deployments have (ECS
/// API, `DeploymentController`).
fn check_controller(spec: &ServiceSpec) -> Result<(), Fault> {
    if !spec.is_external() {
        return Ok(());
    }
    let of_ecs = [
        (
            "schedulingStrategy DAEMON",
            spec.scheduling == SchedulingStrategy::Daemon,
        ),
        (
            "deploymentConfiguration.deploymentCircuitBreaker",
            spec.configuration.circuit_breaker.enable,
        ),
        ("deploymentConfiguration.strategy", spec.configuration.shift.is_some()),
        ("availabilityZoneRebalancing ENABLED", spec.zone_rebalancing),
    ];
    match of_ecs.into_iter().find(|(_, asked)| *asked) {
        None => Ok(()),
        Some((member, _)) => Err(Fault::invalid(format!(
            "{member} is not supported with the EXTERNAL deployment controller. Remove it and try again."
        ))),
    }
}

/// Checks that nothing else of the cluster has a listener port of these: gateways listen for all of its services.
pub(super) fn check_listeners(state: &State, key: &ServiceKey, load_balancers: &[LoadBalancer]) -> Result<(), Fault> {
    for load_balancer in load_balancers {
        let port = load_balancer.listener_port;
        let services = state.services_of(key.cluster);
        for service in services.filter(|one| one.status != ServiceStatus::Inactive) {
            let Some(known) = state.listener_on(service, port) else {
                continue;
            };
            let arn = &load_balancer.target_group_arn;
            if service.name != key.service {
                return Err(Fault::invalid(format!(
                    "targetGroupArn '{arn}' listens on port {port}, which service {} has already.",
                    service.name
                )));
            }
            // Its own tasks may go from one deployment to the next under one target group.
            if known.target_group_arn != *arn {
                return Err(Fault::invalid(format!(
                    "targetGroupArn '{arn}' listens on port {port}, which the service has as '{}' until the tasks of that \
                     are gone.",
                    known.target_group_arn
                )));
            }
        }
    }
    Ok(())
}

/// The service of the name, which must be ACTIVE.
pub(super) fn active<'s>(state: &'s State, key: &ServiceKey) -> Result<&'s Service, Fault> {
    let service = state.service(key).ok_or_else(Fault::service_not_found)?;
    match service.status {
        ServiceStatus::Active => Ok(service),
        ServiceStatus::Draining | ServiceStatus::Inactive => Err(Fault::service_not_active()),
    }
}

pub(super) fn key_of(cluster: ClusterKey, service: &ServiceName) -> ServiceKey {
    ServiceKey {
        cluster,
        service: service.clone(),
    }
}

impl Command for UpdateService {
    type Outcome = ServiceKey;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<ServiceKey>, Fault> {
        let cluster = state.active_cluster(&self.cluster)?;
        let key = key_of(cluster.key, &self.service);
        let service = active(state, &key)?;
        if let Some(controller) = self.update.controller.filter(|asked| *asked != service.spec.controller) {
            return Err(Fault::unsupported(format!(
                "deploymentController.type {controller} is not supported by this scheduler for a service that has {}.",
                service.spec.controller
            )));
        }
        let mut spec = self.update.applied(&service.spec)?;
        if spec.is_external() {
            return self.of_task_sets(state, service, spec, env);
        }
        if let Some(strategy) = &self.update.capacity {
            let wish = CapacityWish {
                strategy: strategy.clone(),
                by_default: false,
            };
            if strategy.is_empty() {
                // What it goes back to is what its strategy stood for.
                spec.launch_type = spec.launches_on();
            }
            spec.capacity = Route::of(cluster, spec.launch_type, &wish)?.strategy;
        }
        let primary = service
            .primary()
            .ok_or_else(|| Fault::server("The service has no PRIMARY deployment."))?;
        let definition = match &self.update.definition {
            Some(reference) => &runnable(state, reference)?.id,
            // What was deregistered meanwhile goes on (ECS API, DeregisterTaskDefinition).
            None => &primary.definition,
        };
        let load_balancers = self.update.load_balancers.as_ref().unwrap_or(&primary.load_balancers);
        if let Some(registered) = state.definition(definition) {
            check(registered, &spec, load_balancers)?;
        }
        let listens_elsewhere = *load_balancers != primary.load_balancers;
        if listens_elsewhere {
            check_listeners(state, &key, load_balancers)?;
        }
        let begins = self.update.force_new_deployment
            || listens_elsewhere
            || *definition != primary.definition
            || spec.network != service.spec.network;
        let deployments = match begins {
            true => vec![replaced(primary, env), new_deployment(definition, load_balancers, env)],
            false => Vec::new(),
        };
        if deployments.is_empty() && spec == *service.spec {
            return Ok(Decision::unchanged(key));
        }
        let updated = Change::ServiceUpdated {
            cluster: key.cluster,
            service: key.service.clone(),
            spec: Arc::new(spec),
            deployments,
        };
        Ok(Decision {
            changes: vec![updated],
            outcome: key,
        })
    }
}

impl UpdateService {
    /// Updates a service that somebody else deploys (ECS API, UpdateService).
    fn of_task_sets(
        &self,
        state: &State,
        service: &Service,
        spec: ServiceSpec,
        env: &Env<'_>,
    ) -> Result<Decision<ServiceKey>, Fault> {
        let update = &self.update;
        let of_sets = [
            ("update task definition", update.definition.is_some()),
            ("update load balancers", update.load_balancers.is_some()),
            ("update network configuration", update.network.is_some()),
            (
                "update capacity provider strategy",
                update.capacity.as_ref().is_some_and(|strategy| !strategy.is_empty()),
            ),
            ("force a new deployment", update.force_new_deployment),
        ];
        if let Some((what, _)) = of_sets.into_iter().find(|(_, asked)| *asked) {
            return Err(Fault::invalid(format!(
                "Unable to {what} on services with a EXTERNAL deployment controller. Use CreateTaskSet to deploy instead."
            )));
        }
        check_controller(&spec)?;
        for (deployment, _) in service.task_sets() {
            if let Some(registered) = state.definition(&deployment.definition) {
                check(registered, &spec.of(deployment), &deployment.load_balancers)?;
            }
        }
        if spec == *service.spec {
            return Ok(Decision::unchanged(service.key()));
        }
        let updated = Change::ServiceUpdated {
            cluster: service.cluster,
            service: service.name.clone(),
            deployments: rescaled(service, &spec, env.now()),
            spec: Arc::new(spec),
        };
        Ok(Decision {
            changes: vec![updated],
            outcome: service.key(),
        })
    }
}

/// A deployment whose place another takes.
fn replaced(primary: &Deployment, env: &Env<'_>) -> Deployment {
    Deployment {
        status: DeploymentStatus::Active,
        updated_at: env.now(),
        ..primary.clone()
    }
}

impl ServiceUpdate {
    /// What the service is to be from now on.
    fn applied(&self, before: &ServiceSpec) -> Result<ServiceSpec, Fault> {
        let scheduling = before.scheduling;
        let mut next = before.clone();
        if let Some(count) = self.desired {
            next.desired = validate::next_count(count, scheduling)?;
        }
        next.configuration = validate::configuration(&self.configuration, before.configuration, scheduling)?;
        if let Some(constraints) = &self.constraints {
            parse_constraints(constraints)?;
            next.constraints.clone_from(constraints);
        }
        if let Some(strategies) = &self.strategies {
            validate::strategies(strategies.len(), scheduling)?;
            next.strategies.clone_from(strategies);
        }
        let strategies = parse_strategies(&next.strategies)?;
        next.zone_rebalancing = self.rebalancing(before, &next, &strategies)?;
        let grace = self.health_check_grace_seconds;
        next.health_check_grace_seconds = grace.unwrap_or(next.health_check_grace_seconds);
        next.propagate_tags = self.propagate_tags.unwrap_or(next.propagate_tags);
        next.managed_tags = self.managed_tags.unwrap_or(next.managed_tags);
        next.execute_command = self.execute_command.unwrap_or(next.execute_command);
        if self.platform_version.is_some() {
            next.platform_version.clone_from(&self.platform_version);
        }
        if self.network.is_some() {
            next.network.clone_from(&self.network);
        }
        Ok(next)
    }

    /// What nobody asks for now stays as it was, where it still can be.
    fn rebalancing(&self, before: &ServiceSpec, next: &ServiceSpec, strategies: &[Strategy]) -> Result<bool, Fault> {
        let may = |asked| validate::rebalancing(asked, strategies, &next.configuration, next.scheduling);
        match self.zone_rebalancing {
            Some(asked) => may(Some(asked)),
            None => Ok(before.zone_rebalancing && may(None)?),
        }
    }
}

impl Command for DeleteService {
    type Outcome = ServiceKey;

    fn decide(&self, state: &State, _env: &mut Env<'_>) -> Result<Decision<ServiceKey>, Fault> {
        let key = key_of(state.active_cluster(&self.cluster)?.key, &self.service);
        let service = state.service(&key).ok_or_else(Fault::service_not_found)?;
        if !service.is_active() {
            return Ok(Decision::unchanged(key));
        }
        let scaled = service.spec.scheduling == SchedulingStrategy::Replica && service.spec.desired > 0;
        if scaled && !self.force {
            return Err(Fault::invalid(
                "The service cannot be stopped while it is scaled above 0.",
            ));
        }
        let deleted = Change::ServiceDeleted {
            cluster: key.cluster,
            service: key.service.clone(),
        };
        Ok(Decision {
            changes: vec![deleted],
            outcome: key,
        })
    }
}

impl Command for StopDeployment {
    type Outcome = ();

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        let cluster = state.active_cluster(&self.cluster)?.key;
        let key = key_of(cluster, &self.service);
        let unknown = || Fault::new(FaultClass::ServiceDeploymentNotFound, "Service deployment not found.");
        let service = state.service(&key).ok_or_else(unknown)?;
        let deployment = service.deployment(self.deployment).ok_or_else(unknown)?;
        if deployment.rollback.is_some() && deployment.is_primary() {
            return Ok(Decision::unchanged(()));
        }
        let goes_on = service.is_active() && deployment.is_primary();
        if !goes_on || deployment.rollout.state != RolloutState::InProgress {
            let mut fault = Fault::new(
                FaultClass::Conflict,
                "The service deployment cannot be stopped: it is not in progress.",
            );
            fault.resource_ids = vec![deployment.id.to_string()];
            return Err(fault);
        }
        let stopped = Deployment {
            rollback: Some(Rollback {
                to: None,
                at: env.now(),
                reason: "Service deployment rollback was requested by the user.".into(),
                state: RollbackState::Requested,
            }),
            updated_at: env.now(),
            ..deployment.clone()
        };
        let updated = Change::ServiceUpdated {
            cluster,
            service: key.service,
            spec: Arc::clone(&service.spec),
            deployments: vec![stopped],
        };
        Ok(Decision {
            changes: vec![updated],
            outcome: (),
        })
    }
}
