//! How a task set looks to a client.

use berth_model::arn::Namespace;
use berth_model::name::ClusterName;
use berth_model::service::StabilityStatus;
use berth_model::time::Timestamp;
use berth_proto::ecs::v1 as ecs;
use berth_scheduler_core::service::{Deployment, TaskSet};
use berth_scheduler_core::state::{Service, State};

use super::super::{capacity, network};
use super::service::{counts, load_balancers, number, shown_launch_type};
use super::{platform, tags};

pub(crate) fn task_set(
    state: &State,
    service: &Service,
    (deployment, set): (&Deployment, &TaskSet),
    cluster: &ClusterName,
    namespace: &Namespace,
) -> ecs::TaskSet {
    let spec = service.spec.of(deployment);
    let counts = counts(state, service, Some(deployment.id));
    // What was counted last may be of a moment ago.
    let is_whole = counts.running == spec.desired && counts.pending == 0;
    let stability = match is_whole {
        true => set.stability,
        false => StabilityStatus::Stabilizing,
    };
    ecs::TaskSet {
        id: Some(deployment.id.to_string()),
        task_set_arn: Some(namespace.task_set(cluster, &service.name, deployment.id)),
        service_arn: Some(namespace.service(cluster, &service.name)),
        cluster_arn: Some(namespace.cluster(cluster)),
        external_id: set.external_id.clone(),
        status: Some(set.status(deployment).name().to_owned()),
        task_definition: Some(namespace.definition(&deployment.definition)),
        computed_desired_count: number(spec.desired),
        pending_count: number(counts.pending),
        running_count: number(counts.running),
        created_at: Some(deployment.created_at.as_epoch_seconds()),
        updated_at: Some(deployment.updated_at.as_epoch_seconds()),
        launch_type: shown_launch_type(&spec),
        capacity_provider_strategy: capacity::shown(&spec.capacity),
        platform_version: platform(spec.launches_on()).map(|(version, _)| match &set.platform_version {
            Some(asked) => asked.to_string(),
            None => version,
        }),
        platform_family: platform(spec.launches_on()).map(|(_, family)| family),
        network_configuration: spec.network.as_ref().map(network::shown),
        load_balancers: load_balancers(deployment),
        scale: Some(ecs::Scale {
            value: Some(set.scale.percent()),
            unit: Some("PERCENT".to_owned()),
        }),
        stability_status: Some(stability.name().to_owned()),
        stability_status_at: Some(Timestamp::as_epoch_seconds(set.stability_at)),
        tags: tags(&set.tags),
        ..ecs::TaskSet::default()
    }
}
