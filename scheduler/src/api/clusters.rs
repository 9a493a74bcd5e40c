//! CreateCluster, DescribeClusters, ListClusters, UpdateCluster, UpdateClusterSettings, DeleteCluster.

mod settings;
mod statistics;

use berth_model::fault::Fault;
use berth_model::name::ClusterName;
use berth_model::status::ClusterStatus;
use berth_proto::ecs::v1 as ecs;
use berth_scheduler_core::decide::cluster::{CreateCluster, CreateConfiguredCluster, DeleteCluster, UpdateCluster};
use berth_scheduler_core::state::State;

use super::page::Page;
use super::request::{at_most, given, includes, required, tags};
use super::{Api, Caller, capacity, describe};

/// Clusters in one DescribeClusters (ECS API).
const MAX_DESCRIBED: usize = 100;
const FIELDS: [&str; 5] = ["ATTACHMENTS", "CONFIGURATIONS", "SETTINGS", "STATISTICS", "TAGS"];

pub(super) async fn create(
    api: &Api,
    request: ecs::CreateClusterRequest,
    caller: &Caller,
) -> Result<ecs::CreateClusterResponse, Fault> {
    let name = ClusterName::parse(given(request.cluster_name.as_ref()).unwrap_or(ClusterName::DEFAULT))?;
    let command = CreateConfiguredCluster {
        cluster: CreateCluster {
            name: name.clone(),
            tags: tags(request.tags)?,
            providers: capacity::names(&request.capacity_providers, &api.namespace)?,
            strategy: capacity::strategy(&request.default_capacity_provider_strategy, &api.namespace)?,
        },
        settings: settings::read(
            &request.settings,
            request.configuration.as_ref(),
            request.service_connect_defaults.as_ref(),
        )?,
        principal: api.principal(caller),
    };
    api.submit(command, caller).await?;
    Ok(ecs::CreateClusterResponse {
        cluster: one(api, &api.view(), &name),
    })
}

pub(super) async fn describe(
    api: &Api,
    request: ecs::DescribeClustersRequest,
    _caller: &Caller,
) -> Result<ecs::DescribeClustersResponse, Fault> {
    at_most("clusters", &request.clusters, MAX_DESCRIBED)?;
    let included = |part: &str| includes(&request.include, &FIELDS, part);
    let (with_tags, with_settings) = (included("TAGS")?, included("SETTINGS")?);
    let (with_configurations, with_statistics) = (included("CONFIGURATIONS")?, included("STATISTICS")?);
    let asked = match request.clusters.is_empty() {
        true => vec![ClusterName::DEFAULT.to_owned()],
        false => request.clusters,
    };
    let state = api.view();
    let mut response = ecs::DescribeClustersResponse::default();
    let mut keys = Vec::new();
    for text in asked {
        let name = api.cluster(Some(&text))?;
        match state.cluster(&name) {
            Some(known) => {
                let mut cluster = describe::cluster(known, &api.namespace);
                if !with_tags {
                    cluster.tags.clear();
                }
                if !with_settings {
                    cluster.settings.clear();
                }
                if !with_configurations {
                    cluster.configuration = None;
                }
                response.clusters.push(cluster);
                keys.push(known.key);
            }
            None => response.failures.push(describe::missing(api.namespace.cluster(&name))),
        }
    }
    if with_statistics {
        let told = statistics::of(state, keys).await?;
        for (cluster, statistics) in response.clusters.iter_mut().zip(told) {
            cluster.statistics = statistics;
        }
    }
    Ok(response)
}

pub(super) async fn update(
    api: &Api,
    request: ecs::UpdateClusterRequest,
    caller: &Caller,
) -> Result<ecs::UpdateClusterResponse, Fault> {
    let name = api.cluster(Some(required("cluster", request.cluster.as_ref())?))?;
    let update = settings::read(
        &request.settings,
        request.configuration.as_ref(),
        request.service_connect_defaults.as_ref(),
    )?;
    let command = UpdateCluster {
        name: name.clone(),
        update,
    };
    api.submit(command, caller).await?;
    Ok(ecs::UpdateClusterResponse {
        cluster: one(api, &api.view(), &name),
    })
}

pub(super) async fn update_settings(
    api: &Api,
    request: ecs::UpdateClusterSettingsRequest,
    caller: &Caller,
) -> Result<ecs::UpdateClusterSettingsResponse, Fault> {
    let name = api.cluster(Some(required("cluster", request.cluster.as_ref())?))?;
    if request.settings.is_empty() {
        return Err(Fault::invalid("settings can not be empty."));
    }
    let command = UpdateCluster {
        name: name.clone(),
        update: settings::read(&request.settings, None, None)?,
    };
    api.submit(command, caller).await?;
    Ok(ecs::UpdateClusterSettingsResponse {
        cluster: one(api, &api.view(), &name),
    })
}

pub(super) async fn list(
    api: &Api,
    request: ecs::ListClustersRequest,
    _caller: &Caller,
) -> Result<ecs::ListClustersResponse, Fault> {
    let page = Page::read(request.max_results, request.next_token.as_ref())?;
    let state = api.view();
    let after = page.after.clone();
    let rest = state
        .clusters()
        .filter(|cluster| cluster.status == ClusterStatus::Active)
        .filter(|cluster| after.as_deref().is_none_or(|after| cluster.name.as_str() > after));
    let (clusters, next_token) = page.take(rest, |cluster| cluster.name.to_string());
    Ok(ecs::ListClustersResponse {
        cluster_arns: clusters
            .into_iter()
            .map(|cluster| api.namespace.cluster(&cluster.name))
            .collect(),
        next_token,
    })
}

pub(super) async fn delete(
    api: &Api,
    request: ecs::DeleteClusterRequest,
    caller: &Caller,
) -> Result<ecs::DeleteClusterResponse, Fault> {
    let cluster = required("cluster", request.cluster.as_ref())?;
    let name = api.cluster(Some(cluster))?;
    api.submit(DeleteCluster { name: name.clone() }, caller).await?;
    Ok(ecs::DeleteClusterResponse {
        cluster: one(api, &api.view(), &name),
    })
}

pub(super) fn one(api: &Api, state: &State, name: &ClusterName) -> Option<ecs::Cluster> {
    state
        .cluster(name)
        .map(|cluster| describe::cluster(cluster, &api.namespace))
}
