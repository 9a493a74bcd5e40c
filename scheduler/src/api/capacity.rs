//! CreateCapacityProvider, DescribeCapacityProviders, UpdateCapacityProvider, DeleteCapacityProvider and
//! PutClusterCapacityProviders.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_model::arn::Namespace;
use berth_model::capacity::{self, GroupProvider, RawGroupProvider, RawItem, RawScaling, StrategyItem};
use berth_model::fault::{Fault, FaultClass};
use berth_model::name::ProviderName;
use berth_model::task_definition::fargate;
use berth_proto::ecs::v1 as ecs;
use berth_scheduler_core::decide::capacity::{
    CreateCapacityProvider, DeleteCapacityProvider, SetClusterProviders, UpdateCapacityProvider,
};
use berth_scheduler_core::state::{CapacityProvider, State};

use super::page::Page;
use super::request::{at_most, given, includes, refuse_unsupported, required, tags};
use super::{Api, Caller, clusters, describe};

/// Capacity providers in one DescribeCapacityProviders, and in one page of all (ECS API).
const MAX_DESCRIBED: usize = 100;
const LISTED: usize = 10;

pub(super) async fn create(
    api: &Api,
    request: ecs::CreateCapacityProviderRequest,
    caller: &Caller,
) -> Result<ecs::CreateCapacityProviderResponse, Fault> {
    refuse_managed_instances(request.managed_instances_provider.is_some(), request.cluster.as_ref())?;
    let name = ProviderName::of_new(required("name", request.name.as_ref())?)?;
    let Some(group) = request.auto_scaling_group_provider else {
        return Err(Fault::invalid("autoScalingGroupProvider can not be empty."));
    };
    let raw = RawGroupProvider {
        group: group.auto_scaling_group_arn,
        scaling: group.managed_scaling.map(raw_scaling),
        termination_protection: group.managed_termination_protection,
        draining: group.managed_draining,
    };
    let command = CreateCapacityProvider {
        name: name.clone(),
        group: GroupProvider::parse(&raw)?,
        tags: tags(request.tags)?,
    };
    api.submit(command, caller).await?;
    Ok(ecs::CreateCapacityProviderResponse {
        capacity_provider: one(api, &api.view(), &name),
    })
}

fn refuse_managed_instances(managed: bool, cluster: Option<&String>) -> Result<(), Fault> {
    refuse_unsupported(&[
        ("managedInstancesProvider", managed),
        ("cluster", given(cluster).is_some()),
    ])
}

fn raw_scaling(scaling: ecs::ManagedScaling) -> RawScaling {
    RawScaling {
        status: scaling.status,
        target_capacity: scaling.target_capacity,
        minimum_step: scaling.minimum_scaling_step_size,
        maximum_step: scaling.maximum_scaling_step_size,
        warmup_seconds: scaling.instance_warmup_period,
    }
}

pub(super) async fn describe(
    api: &Api,
    request: ecs::DescribeCapacityProvidersRequest,
    _caller: &Caller,
) -> Result<ecs::DescribeCapacityProvidersResponse, Fault> {
    at_most("capacityProviders", &request.capacity_providers, MAX_DESCRIBED)?;
    let with_tags = includes(&request.include, &["TAGS"], "TAGS")?;
    let page = Page::of_at_most(request.max_results, request.next_token.as_ref(), LISTED)?;
    let state = api.view();
    let of_cluster = match given(request.cluster.as_ref()) {
        None => None,
        Some(text) => Some(state.active_cluster(&api.cluster(Some(text))?)?.providers.clone()),
    };
    let is_asked = |name: &ProviderName| of_cluster.as_ref().is_none_or(|known| known.contains(name));
    let shown = |name: &ProviderName| {
        let mut shown = one(api, &state, name).filter(|_| is_asked(name))?;
        if !with_tags {
            shown.tags.clear();
        }
        Some(shown)
    };
    let mut response = ecs::DescribeCapacityProvidersResponse::default();
    if !request.capacity_providers.is_empty() {
        for text in &request.capacity_providers {
            let name = api.namespace.parse_provider(text)?;
            match shown(&name) {
                Some(provider) => response.capacity_providers.push(provider),
                None => {
                    let arn = api.namespace.capacity_provider(&name);
                    response.failures.push(describe::missing(arn));
                }
            }
        }
        return Ok(response);
    }
    let predefined = [ProviderName::FARGATE, ProviderName::FARGATE_SPOT];
    let predefined = predefined.into_iter().filter_map(|name| ProviderName::parse(name).ok());
    let made = state.capacity_providers().map(|provider| provider.name.clone());
    let names: BTreeSet<ProviderName> = made.chain(predefined).collect();
    let after = page.after.clone();
    let rest = names
        .iter()
        .filter(|name| after.as_deref().is_none_or(|after| name.as_str() > after))
        .filter_map(shown);
    let (providers, next_token) = page.take(rest, |provider| provider.name.clone().unwrap_or_default());
    response.capacity_providers = providers;
    response.next_token = next_token;
    Ok(response)
}

pub(super) async fn update(
    api: &Api,
    request: ecs::UpdateCapacityProviderRequest,
    caller: &Caller,
) -> Result<ecs::UpdateCapacityProviderResponse, Fault> {
    refuse_managed_instances(request.managed_instances_provider.is_some(), request.cluster.as_ref())?;
    let name = api.namespace.parse_provider(required("name", request.name.as_ref())?)?;
    let Some(group) = request.auto_scaling_group_provider else {
        return Err(Fault::invalid("autoScalingGroupProvider can not be empty."));
    };
    let command = UpdateCapacityProvider {
        name: name.clone(),
        change: RawGroupProvider {
            group: None,
            scaling: group.managed_scaling.map(raw_scaling),
            termination_protection: group.managed_termination_protection,
            draining: group.managed_draining,
        },
    };
    api.submit(command, caller).await?;
    Ok(ecs::UpdateCapacityProviderResponse {
        capacity_provider: one(api, &api.view(), &name),
    })
}

pub(super) async fn delete(
    api: &Api,
    request: ecs::DeleteCapacityProviderRequest,
    caller: &Caller,
) -> Result<ecs::DeleteCapacityProviderResponse, Fault> {
    refuse_managed_instances(false, request.cluster.as_ref())?;
    let text = required("capacityProvider", request.capacity_provider.as_ref())?;
    let name = api.namespace.parse_provider(text)?;
    let deleted = api.submit(DeleteCapacityProvider { name }, caller).await?;
    Ok(ecs::DeleteCapacityProviderResponse {
        capacity_provider: Some(ecs::CapacityProvider {
            status: Some("INACTIVE".to_owned()),
            update_status: Some("DELETE_COMPLETE".to_owned()),
            ..made(&deleted, &api.namespace)
        }),
    })
}

pub(super) async fn put(
    api: &Api,
    request: ecs::PutClusterCapacityProvidersRequest,
    caller: &Caller,
) -> Result<ecs::PutClusterCapacityProvidersResponse, Fault> {
    let cluster = api.cluster(Some(required("cluster", request.cluster.as_ref())?))?;
    let command = SetClusterProviders {
        cluster: cluster.clone(),
        providers: names(&request.capacity_providers, &api.namespace)?,
        strategy: strategy(&request.default_capacity_provider_strategy, &api.namespace)?,
    };
    api.submit(command, caller).await?;
    Ok(ecs::PutClusterCapacityProvidersResponse {
        cluster: clusters::one(api, &api.view(), &cluster),
    })
}

/// The capacity providers that texts name.
pub(super) fn names(texts: &[String], namespace: &Namespace) -> Result<Vec<ProviderName>, Fault> {
    texts.iter().map(|text| namespace.parse_provider(text)).collect()
}

/// A strategy as the model reads it.
pub(super) fn strategy(
    items: &[ecs::CapacityProviderStrategyItem],
    namespace: &Namespace,
) -> Result<Vec<StrategyItem>, Fault> {
    let read = |item: &ecs::CapacityProviderStrategyItem| {
        let text = required("capacityProvider", item.capacity_provider.as_ref())?;
        Ok(RawItem {
            provider: namespace.parse_provider(text)?,
            base: item.base,
            weight: item.weight,
        })
    };
    capacity::parse(&items.iter().map(read).collect::<Result<Vec<_>, Fault>>()?)
}

/// A strategy as a client sees it.
pub(crate) fn shown(strategy: &[StrategyItem]) -> Vec<ecs::CapacityProviderStrategyItem> {
    let number = |value: u32| i32::try_from(value).ok();
    let items = strategy.iter().map(|item| ecs::CapacityProviderStrategyItem {
        capacity_provider: Some(item.provider.to_string()),
        weight: number(item.weight),
        base: number(item.base),
    });
    items.collect()
}

/// What a request says of where its tasks run.
#[derive(Debug)]
pub(super) struct Capacity {
    /// The strategy that it gives.
    pub(super) strategy: Vec<StrategyItem>,
    /// Whether it gives neither launch type nor strategy, so that its cluster says what holds.
    pub(super) by_default: bool,
    /// Whether its tasks run on Fargate.
    pub(super) is_fargate: bool,
}

impl Capacity {
    /// Reads the members of a request in a cluster.
    pub(super) fn read(
        api: &Api,
        cluster: Option<&String>,
        launch_type: Option<&str>,
        items: &[ecs::CapacityProviderStrategyItem],
    ) -> Result<Self, Fault> {
        if launch_type.is_some() && !items.is_empty() {
            return Err(Fault::invalid(
                "Specify either Launch Type or Capacity Provider Strategy, but not both.",
            ));
        }
        let strategy = strategy(items, &api.namespace)?;
        let by_default = launch_type.is_none() && strategy.is_empty();
        let state = api.view();
        let cluster = api.cluster(given(cluster))?;
        let known = state.cluster(&cluster).filter(|_| by_default);
        let effective = known.map_or(&strategy, |cluster| &cluster.default_strategy);
        let is_fargate = launch_type == Some("FARGATE")
            || (!effective.is_empty() && effective.iter().all(|item| item.provider.is_fargate()));
        Ok(Self {
            strategy,
            by_default,
            is_fargate,
        })
    }
}

/// `platformVersion`, where it is given: only Fargate has one, and this is the one that there is.
///
/// # Errors
/// `InvalidParameterException` for another launch type, `PlatformUnknownException` for another version.
pub(super) fn platform_version(version: Option<&String>, is_fargate: bool) -> Result<Option<Arc<str>>, Fault> {
    let Some(version) = given(version) else {
        return Ok(None);
    };
    if !is_fargate {
        return Err(Fault::invalid(
            "The platform version must be null when specifying an EC2 launch type.",
        ));
    }
    match version {
        fargate::LATEST | fargate::PLATFORM_VERSION => Ok(Some(version.into())),
        _ => Err(Fault::new(
            FaultClass::PlatformUnknown,
            "The specified platform does not exist.",
        )),
    }
}

fn one(api: &Api, state: &State, name: &ProviderName) -> Option<ecs::CapacityProvider> {
    match name.is_fargate() {
        true => Some(ecs::CapacityProvider {
            capacity_provider_arn: Some(api.namespace.capacity_provider(name)),
            name: Some(name.to_string()),
            status: Some("ACTIVE".to_owned()),
            r#type: Some(name.to_string()),
            ..ecs::CapacityProvider::default()
        }),
        false => state
            .capacity_provider(name)
            .map(|provider| made(provider, &api.namespace)),
    }
}

fn made(provider: &CapacityProvider, namespace: &Namespace) -> ecs::CapacityProvider {
    let switch = |enabled: bool| Some(if enabled { "ENABLED" } else { "DISABLED" }.to_owned());
    let number = |value: u32| i32::try_from(value).ok();
    let group = &provider.group;
    ecs::CapacityProvider {
        capacity_provider_arn: Some(namespace.capacity_provider(&provider.name)),
        name: Some(provider.name.to_string()),
        status: Some("ACTIVE".to_owned()),
        update_status: provider.updated.then(|| "UPDATE_COMPLETE".to_owned()),
        auto_scaling_group_provider: Some(ecs::AutoScalingGroupProvider {
            auto_scaling_group_arn: Some(group.group.clone()),
            managed_scaling: Some(ecs::ManagedScaling {
                status: switch(group.scaling.enabled),
                target_capacity: number(group.scaling.target_capacity),
                minimum_scaling_step_size: number(group.scaling.minimum_step),
                maximum_scaling_step_size: number(group.scaling.maximum_step),
                instance_warmup_period: number(group.scaling.warmup_seconds),
            }),
            managed_termination_protection: switch(group.termination_protection),
            managed_draining: switch(group.draining),
        }),
        tags: describe::tags(&provider.tags),
        r#type: Some("EC2_AUTOSCALING".to_owned()),
        ..ecs::CapacityProvider::default()
    }
}
