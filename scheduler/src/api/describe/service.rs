//! How a service, its deployments and its revisions look to a client.

use std::borrow::Cow;

use berth_model::arn::Namespace;
use berth_model::id::DeploymentId;
use berth_model::name::ClusterName;
use berth_model::service::{DeploymentConfiguration, DeploymentStatus, RolloutState, ShiftStep};
use berth_model::status::{DesiredStatus, TaskStatus};
use berth_model::task_definition::fargate;
use berth_model::time::Timestamp;
use berth_proto::ecs::v1 as ecs;
use berth_scheduler_core::command::nth_draw;
use berth_scheduler_core::decide::reconcile::places;
use berth_scheduler_core::service::{Deployment, RollbackState, ServiceEvent, ServiceSpec};
use berth_scheduler_core::state::{Service, State};

use super::super::{capacity, network};
use super::task_set::task_set;
use super::{platform, tags};

/// Tasks of a deployment.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) running: u32,
    pub(crate) pending: u32,
}

pub(super) fn number(count: u32) -> Option<i32> {
    Some(i32::try_from(count).unwrap_or(i32::MAX))
}

/// Tasks of the service that are meant to run, of one deployment or of all.
pub(crate) fn counts(state: &State, service: &Service, deployment: Option<DeploymentId>) -> Counts {
    let mut counts = Counts::default();
    for task in state.live_tasks_of(service) {
        let launch = task.launch.service.as_ref();
        let is_of = deployment.is_none_or(|id| launch.is_some_and(|launch| launch.deployment == id));
        if is_of && task.desired == DesiredStatus::Running {
            counts.running += u32::from(task.last == TaskStatus::Running);
            counts.pending += u32::from(task.is_pending());
        }
    }
    counts
}

/// How many tasks the service wants: those of a DAEMON are as many as the instances that it runs on.
pub(crate) fn desired(state: &State, service: &Service) -> u32 {
    match service.is_daemon() && service.is_active() {
        true => u32::try_from(places(state, service).len()).unwrap_or(u32::MAX),
        false => service.spec.desired,
    }
}

pub(crate) fn service(state: &State, service: &Service, cluster: &ClusterName, namespace: &Namespace) -> ecs::Service {
    let spec = &service.spec;
    let all = counts(state, service, None);
    let desired = desired(state, service);
    let primary = service.primary();
    // What says where tasks run is of the primary task set, where task sets do.
    let spec = &*primary.map_or(Cow::Borrowed(&**spec), |primary| spec.of(primary));
    let runs = |_: &&Deployment| service.inactive_at.is_none();
    let own = |deployment: &&Deployment| deployment.task_set.is_none();
    let shown: Vec<&Deployment> = service.current().filter(runs).filter(own).collect();
    let sets = service.task_sets().filter(|_| service.inactive_at.is_none());
    let sets = sets.map(|(deployment, set)| task_set(state, service, (deployment, set), cluster, namespace));
    let revisions = shown.iter().map(|deployment| {
        let counts = counts(state, service, Some(deployment.id));
        ecs::ServiceCurrentRevisionSummary {
            arn: Some(revision_arn(service, deployment, cluster, namespace)),
            requested_task_count: number(wanted(deployment, desired, counts)),
            running_task_count: number(counts.running),
            pending_task_count: number(counts.pending),
        }
    });
    ecs::Service {
        service_arn: Some(namespace.service(cluster, &service.name)),
        service_name: Some(service.name.to_string()),
        cluster_arn: Some(namespace.cluster(cluster)),
        status: Some(service.status.name().to_owned()),
        desired_count: number(desired),
        running_count: number(all.running),
        pending_count: number(all.pending),
        task_sets: sets.collect(),
        launch_type: shown_launch_type(spec).filter(|_| primary.is_some() || !service.spec.is_external()),
        capacity_provider_strategy: capacity::shown(&spec.capacity),
        platform_version: platform(spec.launches_on())
            .map(|_| spec.platform_version.as_deref().unwrap_or(fargate::LATEST).to_owned()),
        platform_family: platform(spec.launches_on()).map(|(_, family)| family),
        task_definition: primary.map(|primary| namespace.definition(&primary.definition)),
        deployment_configuration: Some(configuration(&spec.configuration)),
        current_service_revisions: revisions.collect(),
        deployments: shown
            .iter()
            .map(|shown| deployment(state, service, shown, desired, namespace))
            .collect(),
        events: service.events.iter().map(event).collect(),
        created_at: Some(service.created_at.as_epoch_seconds()),
        current_service_deployment: primary
            .filter(|primary| service.is_active() && primary.task_set.is_none())
            .map(|primary| deployment_arn(service, primary.id, cluster, namespace)),
        load_balancers: primary.map_or_else(Vec::new, load_balancers),
        placement_constraints: constraints(spec),
        placement_strategy: strategies(spec),
        network_configuration: spec.network.as_ref().map(network::shown),
        health_check_grace_period_seconds: number(spec.health_check_grace_seconds),
        scheduling_strategy: Some(spec.scheduling.name().to_owned()),
        deployment_controller: Some(ecs::DeploymentController {
            r#type: Some(spec.controller.name().to_owned()),
        }),
        tags: tags(&spec.tags),
        enable_ecs_managed_tags: Some(spec.managed_tags),
        propagate_tags: Some(spec.propagate_tags.name().to_owned()),
        enable_execute_command: Some(spec.execute_command),
        availability_zone_rebalancing: Some(if spec.zone_rebalancing { "ENABLED" } else { "DISABLED" }.to_owned()),
        resource_management_type: Some("CUSTOMER".to_owned()),
        ..ecs::Service::default()
    }
}

/// The launch type of a service; none where a strategy says where its tasks run.
pub(super) fn shown_launch_type(spec: &ServiceSpec) -> Option<String> {
    spec.capacity.is_empty().then(|| spec.launch_type.name().to_owned())
}

/// Tasks that the deployment is to have: all of them where it is the one that the service is to consist of, otherwise
/// what is left of it.
fn wanted(deployment: &Deployment, desired: u32, counts: Counts) -> u32 {
    match deployment.is_primary() && deployment.rollout.state != RolloutState::Failed {
        true => desired,
        false => counts.running + counts.pending,
    }
}

fn deployment(
    state: &State,
    service: &Service,
    deployment: &Deployment,
    desired: u32,
    namespace: &Namespace,
) -> ecs::Deployment {
    let counts = counts(state, service, Some(deployment.id));
    ecs::Deployment {
        id: Some(deployment.id.to_string()),
        status: Some(deployment.status.name().to_owned()),
        task_definition: Some(namespace.definition(&deployment.definition)),
        desired_count: number(wanted(deployment, desired, counts)),
        pending_count: number(counts.pending),
        running_count: number(counts.running),
        failed_tasks: number(deployment.failed_tasks),
        created_at: Some(deployment.created_at.as_epoch_seconds()),
        updated_at: Some(deployment.updated_at.as_epoch_seconds()),
        launch_type: shown_launch_type(&service.spec),
        capacity_provider_strategy: capacity::shown(&service.spec.capacity),
        platform_version: platform(service.spec.launches_on()).map(|(version, _)| version),
        platform_family: platform(service.spec.launches_on()).map(|(_, family)| family),
        network_configuration: service.spec.network.as_ref().map(network::shown),
        rollout_state: Some(deployment.rollout.state.name().to_owned()),
        rollout_state_reason: Some(deployment.rollout.reason.to_string()),
        ..ecs::Deployment::default()
    }
}

fn configuration(configuration: &DeploymentConfiguration) -> ecs::DeploymentConfiguration {
    let breaker = &configuration.circuit_breaker;
    ecs::DeploymentConfiguration {
        deployment_circuit_breaker: Some(ecs::DeploymentCircuitBreaker {
            enable: Some(breaker.enable),
            rollback: Some(breaker.rollback),
            reset_on_healthy_task: Some(breaker.reset_on_healthy_task),
            threshold_configuration: Some(ecs::ThresholdConfiguration {
                r#type: Some(breaker.threshold.kind.name().to_owned()),
                value: number(breaker.threshold.value),
            }),
        }),
        maximum_percent: number(configuration.maximum_percent),
        minimum_healthy_percent: number(configuration.minimum_healthy_percent),
        strategy: Some(
            configuration
                .shift
                .map_or("ROLLING", |shift| shift.step.name())
                .to_owned(),
        ),
        bake_time_in_minutes: number(
            configuration
                .shift
                .map_or(configuration.rolling_bake_minutes, |shift| shift.bake_minutes),
        ),
        canary_configuration: configuration.shift.and_then(|shift| match shift.step {
            ShiftStep::Canary { percent, bake_minutes } => Some(ecs::CanaryConfiguration {
                canary_percent: Some(percent.as_f64()),
                canary_bake_time_in_minutes: number(bake_minutes),
            }),
            ShiftStep::AllAtOnce | ShiftStep::Linear { .. } => None,
        }),
        linear_configuration: configuration.shift.and_then(|shift| match shift.step {
            ShiftStep::Linear { percent, bake_minutes } => Some(ecs::LinearConfiguration {
                step_percent: Some(percent.as_f64()),
                step_bake_time_in_minutes: number(bake_minutes),
            }),
            ShiftStep::AllAtOnce | ShiftStep::Canary { .. } => None,
        }),
        ..ecs::DeploymentConfiguration::default()
    }
}

pub(super) fn load_balancers(deployment: &Deployment) -> Vec<ecs::LoadBalancer> {
    let shapes = deployment.load_balancers.iter().map(|one| ecs::LoadBalancer {
        target_group_arn: Some(one.target_group_arn.clone()),
        container_name: Some(one.container_name.clone()),
        container_port: Some(i32::from(one.container_port)),
        ..ecs::LoadBalancer::default()
    });
    shapes.collect()
}

fn constraints(spec: &ServiceSpec) -> Vec<ecs::PlacementConstraint> {
    let shapes = spec.constraints.iter().map(|constraint| ecs::PlacementConstraint {
        r#type: constraint.kind.clone(),
        expression: constraint.expression.clone(),
    });
    shapes.collect()
}

fn strategies(spec: &ServiceSpec) -> Vec<ecs::PlacementStrategy> {
    let shapes = spec.strategies.iter().map(|strategy| ecs::PlacementStrategy {
        r#type: strategy.kind.clone(),
        field: strategy.field.clone(),
    });
    shapes.collect()
}

/// Ids of events are UUIDs on ECS.
fn event(event: &ServiceEvent) -> ecs::ServiceEvent {
    let (high, low) = (nth_draw(event.id, 1), nth_draw(event.id, 2));
    ecs::ServiceEvent {
        id: Some(format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )),
        created_at: Some(event.at.as_epoch_seconds()),
        message: Some(event.message.to_string()),
    }
}

/// The 21 characters by which a service deployment's ARN ends: they follow from the deployment's id.
pub(crate) fn deployment_name(id: DeploymentId) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (1..=21)
        .map(|nth| char::from(LETTERS[usize::try_from(nth_draw(id.number(), nth) % 64).unwrap_or(0)]))
        .collect()
}

pub(crate) fn deployment_arn(
    service: &Service,
    id: DeploymentId,
    cluster: &ClusterName,
    namespace: &Namespace,
) -> String {
    namespace.service_deployment(cluster, &service.name, &deployment_name(id))
}

fn revision_arn(service: &Service, deployment: &Deployment, cluster: &ClusterName, namespace: &Namespace) -> String {
    namespace.service_revision(cluster, &service.name, &deployment.revision.to_string())
}

/// A deployment's status as the operations on service deployments have it.
pub(crate) fn deployment_status(deployment: &Deployment) -> &'static str {
    if let Some(rollback) = &deployment.rollback {
        return match rollback.state {
            RollbackState::Requested => "ROLLBACK_REQUESTED",
            RollbackState::InProgress => "ROLLBACK_IN_PROGRESS",
            RollbackState::Successful => "ROLLBACK_SUCCESSFUL",
            RollbackState::Failed => "ROLLBACK_FAILED",
        };
    }
    // One that a service went back to succeeded when it was new.
    if deployment.completed_at.is_some() {
        return "SUCCESSFUL";
    }
    match (deployment.rollout.state, deployment.status) {
        (RolloutState::Completed, _) => "SUCCESSFUL",
        (RolloutState::InProgress, DeploymentStatus::Primary) => "IN_PROGRESS",
        (RolloutState::InProgress, DeploymentStatus::Active | DeploymentStatus::Inactive) => "STOPPED",
        (RolloutState::Failed, _) => "STOPPED",
    }
}

/// When it ended, if it has.
fn finished_at(deployment: &Deployment) -> Option<Timestamp> {
    match deployment_status(deployment) {
        "SUCCESSFUL" => deployment.completed_at.or(Some(deployment.updated_at)),
        "STOPPED" | "ROLLBACK_SUCCESSFUL" | "ROLLBACK_FAILED" => Some(deployment.updated_at),
        _ => None,
    }
}

fn status_reason(deployment: &Deployment) -> Option<String> {
    match &deployment.rollback {
        Some(rollback) => Some(rollback.reason.to_string()),
        None => (deployment.rollout.state == RolloutState::Failed).then(|| deployment.rollout.reason.to_string()),
    }
}

pub(crate) fn deployment_brief(
    service: &Service,
    deployment: &Deployment,
    cluster: &ClusterName,
    namespace: &Namespace,
) -> ecs::ServiceDeploymentBrief {
    ecs::ServiceDeploymentBrief {
        service_deployment_arn: Some(deployment_arn(service, deployment.id, cluster, namespace)),
        service_arn: Some(namespace.service(cluster, &service.name)),
        cluster_arn: Some(namespace.cluster(cluster)),
        started_at: Some(deployment.created_at.as_epoch_seconds()),
        created_at: Some(deployment.created_at.as_epoch_seconds()),
        finished_at: finished_at(deployment).map(Timestamp::as_epoch_seconds),
        target_service_revision_arn: Some(revision_arn(service, deployment, cluster, namespace)),
        status: Some(deployment_status(deployment).to_owned()),
        status_reason: status_reason(deployment),
    }
}

pub(crate) fn service_deployment(
    state: &State,
    service: &Service,
    deployment: &Deployment,
    cluster: &ClusterName,
    namespace: &Namespace,
) -> ecs::ServiceDeployment {
    let brief = deployment_brief(service, deployment, cluster, namespace);
    let summary = |of: &Deployment| {
        let counts = counts(state, service, Some(of.id));
        ecs::ServiceRevisionSummary {
            arn: Some(revision_arn(service, of, cluster, namespace)),
            requested_task_count: number(wanted(of, desired(state, service), counts)),
            running_task_count: number(counts.running),
            pending_task_count: number(counts.pending),
            ..ecs::ServiceRevisionSummary::default()
        }
    };
    let replaced = service
        .deployments
        .iter()
        .filter(|other| other.created_at < deployment.created_at && other.id != deployment.id)
        .max_by_key(|other| other.created_at);
    let back_to = deployment.rollback.as_ref().and_then(|rollback| rollback.to);
    ecs::ServiceDeployment {
        service_deployment_arn: brief.service_deployment_arn,
        service_arn: brief.service_arn,
        cluster_arn: brief.cluster_arn,
        created_at: brief.created_at,
        started_at: brief.started_at,
        finished_at: brief.finished_at,
        updated_at: Some(deployment.updated_at.as_epoch_seconds()),
        source_service_revisions: replaced.map(summary).into_iter().collect(),
        target_service_revision: Some(summary(deployment)),
        status: brief.status,
        status_reason: brief.status_reason,
        deployment_configuration: Some(configuration(&service.spec.configuration)),
        rollback: deployment.rollback.as_ref().map(|rollback| ecs::Rollback {
            reason: Some(rollback.reason.to_string()),
            started_at: Some(rollback.at.as_epoch_seconds()),
            service_revision_arn: back_to
                .and_then(|id| service.deployment(id))
                .map(|to| revision_arn(service, to, cluster, namespace)),
        }),
        deployment_circuit_breaker: Some(circuit_breaker(service, deployment, desired(state, service))),
        ..ecs::ServiceDeployment::default()
    }
}

fn circuit_breaker(service: &Service, deployment: &Deployment, desired: u32) -> ecs::ServiceDeploymentCircuitBreaker {
    let breaker = &service.spec.configuration.circuit_breaker;
    let status = if !breaker.enable {
        "DISABLED"
    } else if deployment.rollout.state == RolloutState::Failed {
        "TRIGGERED"
    } else if finished_at(deployment).is_some() {
        "MONITORING_COMPLETE"
    } else {
        "MONITORING"
    };
    ecs::ServiceDeploymentCircuitBreaker {
        status: Some(status.to_owned()),
        failure_count: number(deployment.breaker.failures),
        threshold: number(breaker.threshold.failures(desired)),
    }
}

pub(crate) fn revision(
    state: &State,
    service: &Service,
    deployment: &Deployment,
    cluster: &ClusterName,
    namespace: &Namespace,
) -> ecs::ServiceRevision {
    let registered = state.definition(&deployment.definition);
    let containers = registered.map_or(&[][..], |known| &known.definition.container_definitions);
    ecs::ServiceRevision {
        service_revision_arn: Some(revision_arn(service, deployment, cluster, namespace)),
        service_arn: Some(namespace.service(cluster, &service.name)),
        cluster_arn: Some(namespace.cluster(cluster)),
        task_definition: Some(namespace.definition(&deployment.definition)),
        launch_type: shown_launch_type(&service.spec),
        capacity_provider_strategy: capacity::shown(&service.spec.capacity),
        platform_version: platform(service.spec.launches_on()).map(|(version, _)| version),
        platform_family: platform(service.spec.launches_on()).map(|(_, family)| family),
        load_balancers: load_balancers(deployment),
        network_configuration: service.spec.network.as_ref().map(network::shown),
        container_images: containers
            .iter()
            .map(|container| ecs::ContainerImage {
                container_name: Some(container.name.clone()),
                image: Some(container.image.clone()),
                image_digest: None,
            })
            .collect(),
        created_at: Some(deployment.created_at.as_epoch_seconds()),
        ..ecs::ServiceRevision::default()
    }
}
