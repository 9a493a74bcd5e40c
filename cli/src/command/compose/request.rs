//! From translated services to the requests that make them.

use berth_compose::{Scheduling, Service};
use berth_proto::ecs::v1::{
    CreateServiceRequest, DeploymentCircuitBreaker, DeploymentConfiguration, LoadBalancer, LoadBalancerList,
    PlacementConstraint, PlacementConstraintList, PlacementStrategy, PlacementStrategyList,
    RegisterTaskDefinitionRequest, Tag, UpdateServiceRequest,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::command::services::listener::Listener;

/// Tags by which a project's services and definitions are found, and what differs in them.
pub(in crate::command) const PROJECT: &str = "berth:compose-project";
pub(in crate::command) const SERVICE: &str = "berth:compose-service";
pub(in crate::command) const DIGEST: &str = "berth:compose-digest";

/// Hexadecimal digits of a digest.
const DIGITS: usize = 32;

/// A digest of what is written as JSON: the same for the same.
pub(super) fn digest(of: &impl Serialize) -> anyhow::Result<String> {
    let text = serde_json::to_vec(of)?;
    let mut digits: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
    digits.truncate(DIGITS);
    Ok(digits)
}

/// The value of a tag.
pub(super) fn tag<'t>(tags: &'t [Tag], key: &str) -> Option<&'t str> {
    tags.iter().find(|tag| tag.key() == key).map(Tag::value)
}

fn tags<'t>(pairs: impl IntoIterator<Item = (&'t str, &'t str)>) -> Vec<Tag> {
    let tag = |(key, value): (&str, &str)| Tag {
        key: Some(key.to_owned()),
        value: Some(value.to_owned()),
    };
    pairs.into_iter().map(tag).collect()
}

/// Registers what the service runs.
pub(super) fn register(service: &Service, project: &str) -> anyhow::Result<RegisterTaskDefinitionRequest> {
    let definition = &service.task_definition;
    let mut request: RegisterTaskDefinitionRequest = serde_json::from_value(serde_json::to_value(definition)?)?;
    let digest = digest(definition)?;
    request.tags = tags([(PROJECT, project), (SERVICE, &service.name), (DIGEST, &digest)]);
    Ok(request)
}

/// All tags of the service.
pub(super) fn service_tags(service: &Service, project: &str) -> anyhow::Result<Vec<Tag>> {
    let own = service.tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let digest = digest(&service.settings())?;
    let ours = [
        (PROJECT, project),
        (SERVICE, service.name.as_str()),
        (DIGEST, digest.as_str()),
    ];
    Ok(tags(own.chain(ours)))
}

/// Creates the service; `cluster` is the cluster's ARN, which must be there where gateways are to listen.
pub(super) fn create(
    service: &Service,
    project: &str,
    definition: &str,
    cluster: Option<&str>,
) -> anyhow::Result<CreateServiceRequest> {
    let (count, strategy) = scheduling(service);
    Ok(CreateServiceRequest {
        service_name: Some(service.service_name.clone()),
        task_definition: Some(definition.to_owned()),
        desired_count: count,
        scheduling_strategy: Some(strategy.to_owned()),
        load_balancers: load_balancers(service, cluster)?,
        deployment_configuration: Some(configuration(service)),
        placement_constraints: constraints(service),
        placement_strategy: strategies(service),
        tags: service_tags(service, project)?,
        ..Default::default()
    })
}

/// Changes the service: its definition where one is given, and all else where `settings` says so.
pub(super) fn update(
    service: &Service,
    definition: Option<&str>,
    settings: bool,
    cluster: Option<&str>,
) -> anyhow::Result<UpdateServiceRequest> {
    let mut request = UpdateServiceRequest {
        service: Some(service.service_name.clone()),
        task_definition: definition.map(str::to_owned),
        ..Default::default()
    };
    if settings {
        request.desired_count = scheduling(service).0;
        request.deployment_configuration = Some(configuration(service));
        request.placement_constraints = Some(PlacementConstraintList {
            items: constraints(service),
        });
        request.placement_strategy = Some(PlacementStrategyList {
            items: strategies(service),
        });
        request.load_balancers = Some(LoadBalancerList {
            load_balancers: load_balancers(service, cluster)?,
        });
    }
    Ok(request)
}

/// The desired count and ECS's word for how it is scheduled.
pub(super) fn scheduling(service: &Service) -> (Option<i32>, &'static str) {
    match service.scheduling {
        Scheduling::Replicas(count) => (Some(i32::from(count)), "REPLICA"),
        Scheduling::Daemon => (None, "DAEMON"),
    }
}

fn configuration(service: &Service) -> DeploymentConfiguration {
    DeploymentConfiguration {
        minimum_healthy_percent: Some(service.update.minimum_healthy_percent.into()),
        maximum_percent: Some(service.update.maximum_percent.into()),
        deployment_circuit_breaker: Some(DeploymentCircuitBreaker {
            enable: Some(service.update.circuit_breaker),
            rollback: Some(service.update.rollback),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn load_balancers(service: &Service, cluster: Option<&str>) -> anyhow::Result<Vec<LoadBalancer>> {
    let load_balancer = |listener: &berth_compose::Listener| {
        let (front, behind) = (listener.port, listener.container_port);
        Listener::new(listener.protocol, front, &listener.container, behind)
            .load_balancer(&service.service_name, cluster.unwrap_or_default())
    };
    service.listeners.iter().map(load_balancer).collect()
}

pub(super) fn constraints(service: &Service) -> Vec<PlacementConstraint> {
    let constraint = |raw: &berth_model::placement::RawConstraint| PlacementConstraint {
        r#type: raw.kind.clone(),
        expression: raw.expression.clone(),
    };
    service.placement_constraints.iter().map(constraint).collect()
}

pub(super) fn strategies(service: &Service) -> Vec<PlacementStrategy> {
    let strategy = |raw: &berth_model::placement::RawStrategy| PlacementStrategy {
        r#type: raw.kind.clone(),
        field: raw.field.clone(),
    };
    service.placement_strategy.iter().map(strategy).collect()
}
