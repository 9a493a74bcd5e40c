//! CreateService, UpdateService, DeleteService, DescribeServices, ListServices, ListServicesByNamespace.

mod configuration;
pub(super) mod deployments;

use std::sync::Arc;

use berth_model::arn::Namespace;
use berth_model::fault::{Fault, FaultClass, shortened};
use berth_model::load_balancer::{self, LoadBalancer, RawLoadBalancer, TargetSettings};
use berth_model::name::{ClusterName, ServiceName};
use berth_model::placement;
use berth_model::service::{
    DeploymentConfiguration, DeploymentController, PropagateTags, SchedulingStrategy, lost_grace, validate,
};
use berth_model::status::LaunchType;
use berth_proto::ecs::v1 as ecs;
use berth_scheduler_core::decide::service::{CreateService, DeleteService, ServiceUpdate, UpdateService};
use berth_scheduler_core::keys::ServiceKey;
use berth_scheduler_core::launch::{ClientToken, launches_on};
use berth_scheduler_core::service::ServiceSpec;

use super::capacity::{Capacity, platform_version, strategy};
use super::describe::service as show;
use super::page::Page;
use super::request::{
    at_most, fingerprint, given, includes, launch_type, one_of, raw_constraints, raw_strategies, refuse_unsupported,
    required, tags,
};
use super::{Api, Caller, describe, network};

/// Services in one DescribeServices, and in one page of ListServices where nothing is said (ECS API).
const MAX_DESCRIBED: usize = 10;
const LISTED: usize = 10;

pub(super) async fn create(
    api: &Api,
    request: ecs::CreateServiceRequest,
    caller: &Caller,
) -> Result<ecs::CreateServiceResponse, Fault> {
    refuse_unsupported(&[("role", given(request.role.as_ref()).is_some())])?;
    let (launch, items) = (given(request.launch_type.as_ref()), &request.capacity_provider_strategy);
    let capacity = Capacity::read(api, request.cluster.as_ref(), launch, items)?;
    refuse_elsewhere(&Elsewhere::of_create(&request))?;
    let cluster = api.cluster(given(request.cluster.as_ref()))?;
    let name = ServiceName::parse(required("serviceName", request.service_name.as_ref())?)?;
    let definition = match controller(request.deployment_controller.as_ref())?.unwrap_or_default() {
        DeploymentController::Ecs => Some(required("taskDefinition", request.task_definition.as_ref())?),
        DeploymentController::External => refuse_of_task_sets(&request)?,
    };
    let load_balancers = load_balancers(&request.load_balancers, &api.namespace)?;
    let command = CreateService {
        by_default: capacity.by_default,
        definition: definition
            .map(|text| api.namespace.parse_definition(text))
            .transpose()?,
        client_token: client_token(&request)?,
        spec: spec(request, capacity, &load_balancers)?,
        load_balancers,
        cluster: cluster.clone(),
        name,
    };
    let key = api.submit(command, caller).await?;
    Ok(ecs::CreateServiceResponse {
        service: one(api, &cluster, &key),
    })
}

/// What a new service is to be.
fn spec(
    request: ecs::CreateServiceRequest,
    capacity: Capacity,
    load_balancers: &[LoadBalancer],
) -> Result<ServiceSpec, Fault> {
    let scheduling = validate::scheduling(given(request.scheduling_strategy.as_ref()))?;
    let raw = configuration::read(request.deployment_configuration.as_ref())?;
    let configuration = validate::configuration(&raw, DeploymentConfiguration::default_of(scheduling), scheduling)?;
    let constraints = raw_constraints(request.placement_constraints);
    placement::parse_constraints(&constraints)?;
    let strategies = raw_strategies(request.placement_strategy);
    validate::strategies(strategies.len(), scheduling)?;
    let parsed = placement::parse_strategies(&strategies)?;
    let tags = tags(request.tags)?;
    let targets = TargetSettings::parse(&tags)?;
    if load_balancers.is_empty() {
        load_balancer::refuse_settings(&tags)?;
    }
    let asked = rebalancing(request.availability_zone_rebalancing.as_ref())?;
    let controller = controller(request.deployment_controller.as_ref())?.unwrap_or_default();
    // Of a service with task sets its name is all that must be said.
    let (count, asked) = match (controller, scheduling) {
        (DeploymentController::Ecs, _) => (request.desired_count, asked),
        (DeploymentController::External, SchedulingStrategy::Replica) => {
            (request.desired_count.or(Some(0)), asked.or(Some(false)))
        }
        (DeploymentController::External, SchedulingStrategy::Daemon) => (request.desired_count, asked.or(Some(false))),
    };
    Ok(ServiceSpec {
        scheduling,
        controller,
        desired: validate::first_count(count, scheduling)?,
        zone_rebalancing: validate::rebalancing(asked, &parsed, &configuration, scheduling)?,
        configuration,
        constraints,
        strategies,
        health_check_grace_seconds: grace(request.health_check_grace_period_seconds)?.unwrap_or(0),
        network: network::kept(request.network_configuration.as_ref(), capacity.is_fargate)?,
        launch_type: launch_type(given(request.launch_type.as_ref()))?,
        platform_version: platform_version(request.platform_version.as_ref(), capacity.is_fargate)?,
        capacity: capacity.strategy,
        targets,
        lost_grace_seconds: lost_grace(&tags)?,
        tags,
        propagate_tags: propagate_tags(request.propagate_tags.as_ref())?.unwrap_or_default(),
        managed_tags: request.enable_ecs_managed_tags == Some(true),
        execute_command: request.enable_execute_command == Some(true),
    })
}

pub(super) fn load_balancers(given: &[ecs::LoadBalancer], namespace: &Namespace) -> Result<Arc<[LoadBalancer]>, Fault> {
    let unsupported = given.iter().any(|one| one.advanced_configuration.is_some());
    refuse_unsupported(&[("loadBalancers.advancedConfiguration", unsupported)])?;
    let raw = given.iter().map(|one| RawLoadBalancer {
        target_group_arn: one.target_group_arn.clone(),
        load_balancer_name: one.load_balancer_name.clone(),
        container_name: one.container_name.clone(),
        container_port: one.container_port,
    });
    Ok(load_balancer::parse(&raw.collect::<Vec<_>>(), namespace)?.into())
}

/// The token with a digest of everything else that was asked.
fn client_token(request: &ecs::CreateServiceRequest) -> Result<Option<ClientToken>, Fault> {
    let Some(token) = given(request.client_token.as_ref()) else {
        return Ok(None);
    };
    validate::client_token(token)?;
    let mut rest = request.clone();
    rest.client_token = None;
    Ok(Some(ClientToken {
        token: token.into(),
        fingerprint: fingerprint(&rest)?,
    }))
}

/// What would have to be done by something that this scheduler does not have.
struct Elsewhere<'r> {
    service_registries: bool,
    volumes: bool,
    lattice: bool,
    service_connect: Option<&'r ecs::ServiceConnectConfiguration>,
}

impl<'r> Elsewhere<'r> {
    fn of_create(request: &'r ecs::CreateServiceRequest) -> Self {
        Self {
            service_registries: !request.service_registries.is_empty(),
            volumes: !request.volume_configurations.is_empty(),
            lattice: !request.vpc_lattice_configurations.is_empty(),
            service_connect: request.service_connect_configuration.as_ref(),
        }
    }

    fn of_update(request: &'r ecs::UpdateServiceRequest) -> Self {
        Self {
            service_registries: !request.service_registries.is_empty(),
            volumes: !request.volume_configurations.is_empty(),
            lattice: !request.vpc_lattice_configurations.is_empty(),
            service_connect: request.service_connect_configuration.as_ref(),
        }
    }
}

fn refuse_elsewhere(asked: &Elsewhere<'_>) -> Result<(), Fault> {
    let connects = asked
        .service_connect
        .is_some_and(|connect| connect.enabled != Some(false));
    refuse_unsupported(&[
        ("serviceRegistries", asked.service_registries),
        ("volumeConfigurations", asked.volumes),
        ("vpcLatticeConfigurations", asked.lattice),
        ("serviceConnectConfiguration", connects),
    ])
}

/// Who deploys the service, where the request says it.
fn controller(asked: Option<&ecs::DeploymentController>) -> Result<Option<DeploymentController>, Fault> {
    let Some(controller) = asked else {
        return Ok(None);
    };
    let kind = required("deploymentController.type", controller.r#type.as_ref())?;
    one_of("deploymentController.type", kind, &["ECS", "CODE_DEPLOY", "EXTERNAL"])?;
    let known = DeploymentController::from_name(kind);
    known.map(Some).ok_or_else(|| {
        Fault::unsupported(format!(
            "deploymentController.type {kind} is not supported by this scheduler."
        ))
    })
}

/// Refuses what a service says with deployment controller ECS and its task sets say with EXTERNAL (ECS API,
/// CreateService).
fn refuse_of_task_sets<'r>(request: &ecs::CreateServiceRequest) -> Result<Option<&'r str>, Fault> {
    let members = [
        ("taskDefinition", given(request.task_definition.as_ref()).is_some()),
        ("loadBalancers", !request.load_balancers.is_empty()),
        ("networkConfiguration", request.network_configuration.is_some()),
        ("launchType", given(request.launch_type.as_ref()).is_some()),
        (
            "capacityProviderStrategy",
            !request.capacity_provider_strategy.is_empty(),
        ),
        ("platformVersion", given(request.platform_version.as_ref()).is_some()),
    ];
    match members.into_iter().find(|(_, given)| *given) {
        None => Ok(None),
        Some((member, _)) => Err(Fault::invalid(format!(
            "{member} cannot be specified for a service with the EXTERNAL deployment controller. Specify it with CreateTaskSet."
        ))),
    }
}

fn rebalancing(text: Option<&String>) -> Result<Option<bool>, Fault> {
    let Some(text) = given(text) else {
        return Ok(None);
    };
    one_of("availabilityZoneRebalancing", text, &["ENABLED", "DISABLED"])?;
    Ok(Some(text == "ENABLED"))
}

fn grace(seconds: Option<i32>) -> Result<Option<u32>, Fault> {
    seconds.map(validate::grace).transpose()
}

fn propagate_tags(text: Option<&String>) -> Result<Option<PropagateTags>, Fault> {
    let Some(text) = given(text) else {
        return Ok(None);
    };
    one_of("propagateTags", text, &["TASK_DEFINITION", "SERVICE", "NONE"])?;
    Ok(PropagateTags::from_name(text))
}

pub(super) async fn update(
    api: &Api,
    request: ecs::UpdateServiceRequest,
    caller: &Caller,
) -> Result<ecs::UpdateServiceResponse, Fault> {
    refuse_elsewhere(&Elsewhere::of_update(&request))?;
    let controller = controller(request.deployment_controller.as_ref())?;
    let cluster = api.cluster(given(request.cluster.as_ref()))?;
    let service = required("service", request.service.as_ref())?;
    let capacity = request.capacity_provider_strategy.as_ref();
    let capacity = capacity.map(|list| strategy(&list.items, &api.namespace)).transpose()?;
    let launch = launch_type_of(api, &cluster, &api.namespace.parse_service(&cluster, service)?);
    let is_fargate =
        launches_on(launch.unwrap_or_default(), capacity.as_deref().unwrap_or_default()) == LaunchType::Fargate;
    let platform_version = platform_version(request.platform_version.as_ref(), is_fargate)?;
    let definition = given(request.task_definition.as_ref());
    let listed = request.load_balancers.as_ref();
    let command = UpdateService {
        service: api.namespace.parse_service(&cluster, service)?,
        cluster: cluster.clone(),
        update: ServiceUpdate {
            definition: definition
                .map(|text| api.namespace.parse_definition(text))
                .transpose()?,
            load_balancers: listed
                .map(|list| load_balancers(&list.load_balancers, &api.namespace))
                .transpose()?,
            force_new_deployment: request.force_new_deployment == Some(true),
            desired: request.desired_count,
            configuration: configuration::read(request.deployment_configuration.as_ref())?,
            constraints: request.placement_constraints.map(|list| raw_constraints(list.items)),
            strategies: request.placement_strategy.map(|list| raw_strategies(list.items)),
            health_check_grace_seconds: grace(request.health_check_grace_period_seconds)?,
            zone_rebalancing: rebalancing(request.availability_zone_rebalancing.as_ref())?,
            network: network::kept(request.network_configuration.as_ref(), is_fargate)?,
            capacity,
            platform_version,
            propagate_tags: propagate_tags(request.propagate_tags.as_ref())?,
            managed_tags: request.enable_ecs_managed_tags,
            controller,
            execute_command: request.enable_execute_command,
        },
    };
    let key = api.submit(command, caller).await?;
    Ok(ecs::UpdateServiceResponse {
        service: one(api, &cluster, &key),
    })
}

/// What the tasks of a service are launched on, where there is such a service.
fn launch_type_of(api: &Api, cluster: &ClusterName, service: &ServiceName) -> Option<LaunchType> {
    let state = api.view();
    let key = ServiceKey {
        cluster: state.cluster(cluster)?.key,
        service: service.clone(),
    };
    state.service(&key).map(|service| service.spec.launches_on())
}

pub(super) async fn delete(
    api: &Api,
    request: ecs::DeleteServiceRequest,
    caller: &Caller,
) -> Result<ecs::DeleteServiceResponse, Fault> {
    let cluster = api.cluster(given(request.cluster.as_ref()))?;
    let service = required("service", request.service.as_ref())?;
    let command = DeleteService {
        service: api.namespace.parse_service(&cluster, service)?,
        cluster: cluster.clone(),
        force: request.force == Some(true),
    };
    let key = api.submit(command, caller).await?;
    Ok(ecs::DeleteServiceResponse {
        service: one(api, &cluster, &key),
    })
}

pub(super) async fn describe(
    api: &Api,
    request: ecs::DescribeServicesRequest,
    _caller: &Caller,
) -> Result<ecs::DescribeServicesResponse, Fault> {
    let name = api.cluster(given(request.cluster.as_ref()))?;
    if request.services.is_empty() {
        return Err(Fault::invalid("Services cannot be empty."));
    }
    at_most("services", &request.services, MAX_DESCRIBED)?;
    let with_tags = includes(&request.include, &["TAGS"], "TAGS")?;
    let state = api.view();
    let cluster = state.active_cluster(&name)?.key;
    let mut response = ecs::DescribeServicesResponse::default();
    for text in &request.services {
        let service = api.namespace.parse_service(&name, text)?;
        match state.service(&ServiceKey {
            cluster,
            service: service.clone(),
        }) {
            Some(known) => {
                let mut described = show::service(&state, known, &name, &api.namespace);
                if !with_tags {
                    described.tags.clear();
                }
                response.services.push(described);
            }
            None => response
                .failures
                .push(describe::missing(api.namespace.service(&name, &service))),
        }
    }
    Ok(response)
}

pub(super) async fn list(
    api: &Api,
    request: ecs::ListServicesRequest,
    _caller: &Caller,
) -> Result<ecs::ListServicesResponse, Fault> {
    let name = api.cluster(given(request.cluster.as_ref()))?;
    let scheduling = match given(request.scheduling_strategy.as_ref()) {
        None => None,
        Some(text) => Some(validate::scheduling(Some(text))?),
    };
    let launches = given(request.launch_type.as_ref());
    if let Some(text) = launches {
        one_of("launchType", text, &["EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES"])?;
    }
    let managed = given(request.resource_management_type.as_ref()).unwrap_or("CUSTOMER");
    one_of("resourceManagementType", managed, &["CUSTOMER", "ECS"])?;
    let page = Page::of_at_most(request.max_results, request.next_token.as_ref(), LISTED)?;
    let after = page.after.clone();
    let state = api.view();
    let cluster = state.active_cluster(&name)?.key;
    let selects = |strategy: SchedulingStrategy| scheduling.is_none_or(|wanted| wanted == strategy);
    let rest = state
        .services_of(cluster)
        .filter(|service| service.is_active() && managed == "CUSTOMER")
        .filter(|service| selects(service.spec.scheduling))
        .filter(|service| launches.is_none_or(|wanted| service.spec.launches_on().name() == wanted))
        .filter(|service| after.as_deref().is_none_or(|after| service.name.as_str() > after));
    let (services, next_token) = page.take(rest, |service| service.name.to_string());
    Ok(ecs::ListServicesResponse {
        service_arns: services
            .into_iter()
            .map(|service| api.namespace.service(&name, &service.name))
            .collect(),
        next_token,
    })
}

/// What the names of clusters' namespaces end with: gateways answer DNS for `SERVICE.CLUSTER.berth`.
const NAMESPACE: &str = ".berth";

pub(super) async fn list_by_namespace(
    api: &Api,
    request: ecs::ListServicesByNamespaceRequest,
    _caller: &Caller,
) -> Result<ecs::ListServicesByNamespaceResponse, Fault> {
    let namespace = required("namespace", request.namespace.as_ref())?;
    let page = Page::of_at_most(request.max_results, request.next_token.as_ref(), LISTED)?;
    let after = page.after.clone();
    let state = api.view();
    let name = namespace.strip_suffix(NAMESPACE).map(ClusterName::parse);
    let name = name.and_then(Result::ok);
    let known = name.and_then(|name| state.active_cluster(&name).ok());
    let cluster = known.ok_or_else(|| {
        let text = format!(
            "Namespace not found: '{}'. It should be CLUSTER{NAMESPACE}.",
            shortened(namespace)
        );
        Fault::new(FaultClass::NamespaceNotFound, text)
    })?;
    let rest = state
        .services_of(cluster.key)
        .filter(|service| service.is_active())
        .filter(|service| after.as_deref().is_none_or(|after| service.name.as_str() > after));
    let (services, next_token) = page.take(rest, |service| service.name.to_string());
    Ok(ecs::ListServicesByNamespaceResponse {
        service_arns: services
            .into_iter()
            .map(|service| api.namespace.service(&cluster.name, &service.name))
            .collect(),
        next_token,
    })
}

fn one(api: &Api, cluster: &ClusterName, key: &ServiceKey) -> Option<ecs::Service> {
    let state = api.view();
    let service = state.service(key)?;
    Some(show::service(&state, service, cluster, &api.namespace))
}
