//! CreateTaskSet, DescribeTaskSets, UpdateTaskSet, DeleteTaskSet, UpdateServicePrimaryTaskSet.

use berth_model::fault::Fault;
use berth_model::id::DeploymentId;
use berth_model::name::{ClusterName, ServiceName};
use berth_model::service::{Scale, validate};
use berth_proto::ecs::v1 as ecs;
use berth_scheduler_core::decide::task_set::{CreateTaskSet, DeleteTaskSet, Named, SetPrimaryTaskSet, UpdateTaskSet};
use berth_scheduler_core::keys::ServiceKey;
use berth_scheduler_core::launch::ClientToken;
use berth_scheduler_core::state::{Service, State};

use super::capacity::{Capacity, platform_version};
use super::describe::{missing, task_set as show};
use super::request::{at_most, fingerprint, given, includes, launch_type, refuse_unsupported, required, tags};
use super::services::load_balancers;
use super::{Api, Caller, network};

/// Task sets in one DescribeTaskSets.
const MAX_DESCRIBED: usize = 10;

pub(super) async fn create(
    api: &Api,
    request: ecs::CreateTaskSetRequest,
    caller: &Caller,
) -> Result<ecs::CreateTaskSetResponse, Fault> {
    refuse_unsupported(&[("serviceRegistries", !request.service_registries.is_empty())])?;
    let (cluster, service) = of_service(api, request.cluster.as_ref(), request.service.as_ref())?;
    let launch = given(request.launch_type.as_ref());
    let items = &request.capacity_provider_strategy;
    let capacity = Capacity::read(api, request.cluster.as_ref(), launch, items)?;
    let definition = required("taskDefinition", request.task_definition.as_ref())?;
    let command = CreateTaskSet {
        definition: api.namespace.parse_definition(definition)?,
        scale: scale(request.scale.as_ref())?,
        external_id: given(request.external_id.as_ref()).map(str::to_owned),
        load_balancers: load_balancers(&request.load_balancers, &api.namespace)?,
        network: network::kept(request.network_configuration.as_ref(), capacity.is_fargate)?,
        launch_type: launch_type(launch)?,
        platform_version: platform_version(request.platform_version.as_ref(), capacity.is_fargate)?,
        by_default: capacity.by_default,
        capacity: capacity.strategy,
        client_token: client_token(&request)?,
        tags: tags(request.tags)?,
        service,
        cluster: cluster.clone(),
    };
    let (key, id) = api.submit(command, caller).await?;
    Ok(ecs::CreateTaskSetResponse {
        task_set: one(api, &cluster, &key, id),
    })
}

pub(super) async fn describe(
    api: &Api,
    request: ecs::DescribeTaskSetsRequest,
    _caller: &Caller,
) -> Result<ecs::DescribeTaskSetsResponse, Fault> {
    let (cluster, service) = of_service(api, request.cluster.as_ref(), request.service.as_ref())?;
    at_most("taskSets", &request.task_sets, MAX_DESCRIBED)?;
    let with_tags = includes(&request.include, &["TAGS"], "TAGS")?;
    let state = api.view();
    let key = ServiceKey {
        cluster: state.active_cluster(&cluster)?.key,
        service,
    };
    let known = state.service(&key).ok_or_else(Fault::service_not_found)?;
    if !known.is_active() {
        return Err(Fault::service_not_active());
    }
    let mut response = ecs::DescribeTaskSetsResponse::default();
    let shown = |id| shown(api, &state, known, &cluster, id);
    if request.task_sets.is_empty() {
        let all = known.task_sets().map(|(deployment, _)| deployment.id);
        response.task_sets.extend(all.filter_map(shown));
    }
    for text in &request.task_sets {
        let id = api
            .namespace
            .parse_task_set(&cluster, &known.name, ("taskSets", text))?;
        match shown(id) {
            Some(set) => response.task_sets.push(set),
            None => response
                .failures
                .push(missing(api.namespace.task_set(&cluster, &known.name, id))),
        }
    }
    if !with_tags {
        response.task_sets.iter_mut().for_each(|set| set.tags.clear());
    }
    Ok(response)
}

pub(super) async fn update(
    api: &Api,
    request: ecs::UpdateTaskSetRequest,
    caller: &Caller,
) -> Result<ecs::UpdateTaskSetResponse, Fault> {
    let named = named(
        api,
        (request.cluster.as_ref(), request.service.as_ref()),
        ("taskSet", request.task_set.as_ref()),
    )?;
    if request.scale.is_none() {
        return Err(Fault::invalid("scale can not be empty."));
    }
    let command = UpdateTaskSet {
        named: named.clone(),
        scale: scale(request.scale.as_ref())?,
    };
    let key = api.submit(command, caller).await?;
    Ok(ecs::UpdateTaskSetResponse {
        task_set: one(api, &named.cluster, &key, named.set),
    })
}

pub(super) async fn delete(
    api: &Api,
    request: ecs::DeleteTaskSetRequest,
    caller: &Caller,
) -> Result<ecs::DeleteTaskSetResponse, Fault> {
    let named = named(
        api,
        (request.cluster.as_ref(), request.service.as_ref()),
        ("taskSet", request.task_set.as_ref()),
    )?;
    let command = DeleteTaskSet {
        named: named.clone(),
        force: request.force == Some(true),
    };
    let key = api.submit(command, caller).await?;
    Ok(ecs::DeleteTaskSetResponse {
        task_set: one(api, &named.cluster, &key, named.set),
    })
}

pub(super) async fn set_primary(
    api: &Api,
    request: ecs::UpdateServicePrimaryTaskSetRequest,
    caller: &Caller,
) -> Result<ecs::UpdateServicePrimaryTaskSetResponse, Fault> {
    let named = named(
        api,
        (request.cluster.as_ref(), request.service.as_ref()),
        ("primaryTaskSet", request.primary_task_set.as_ref()),
    )?;
    let key = api.submit(SetPrimaryTaskSet { named: named.clone() }, caller).await?;
    Ok(ecs::UpdateServicePrimaryTaskSetResponse {
        task_set: one(api, &named.cluster, &key, named.set),
    })
}

/// The service that a request names: both members must be given, as in ECS.
fn of_service(
    api: &Api,
    cluster: Option<&String>,
    service: Option<&String>,
) -> Result<(ClusterName, ServiceName), Fault> {
    let cluster = api.cluster(Some(required("cluster", cluster)?))?;
    let service = api.namespace.parse_service(&cluster, required("service", service)?)?;
    Ok((cluster, service))
}

fn named(
    api: &Api,
    (cluster, service): (Option<&String>, Option<&String>),
    (member, set): (&str, Option<&String>),
) -> Result<Named, Fault> {
    let (cluster, service) = of_service(api, cluster, service)?;
    let set = api
        .namespace
        .parse_task_set(&cluster, &service, (member, required(member, set)?))?;
    Ok(Named { cluster, service, set })
}

fn scale(asked: Option<&ecs::Scale>) -> Result<Scale, Fault> {
    match asked {
        None => Ok(Scale::default()),
        Some(scale) => Scale::parse(scale.value, given(scale.unit.as_ref())),
    }
}

/// The token with a digest of everything else that was asked.
fn client_token(request: &ecs::CreateTaskSetRequest) -> Result<Option<ClientToken>, Fault> {
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

/// A task set as it is now, where it has not gone meanwhile.
fn one(api: &Api, cluster: &ClusterName, key: &ServiceKey, id: DeploymentId) -> Option<ecs::TaskSet> {
    let state = api.view();
    shown(api, &state, state.service(key)?, cluster, id)
}

fn shown(api: &Api, state: &State, service: &Service, cluster: &ClusterName, id: DeploymentId) -> Option<ecs::TaskSet> {
    let (deployment, set) = service.task_sets().find(|(deployment, _)| deployment.id == id)?;
    Some(show::task_set(
        state,
        service,
        (deployment, set),
        cluster,
        &api.namespace,
    ))
}
