//! TagResource, UntagResource, ListTagsForResource.

use berth_model::arn::Resource;
use berth_model::fault::{Fault, FaultClass};
use berth_model::tag::Tag;
use berth_proto::ecs::v1 as ecs;
use berth_scheduler_core::decide::definition::find;
use berth_scheduler_core::decide::tag::TagResource;
use berth_scheduler_core::keys::{InstanceKey, ServiceKey, TaskKey};
use berth_scheduler_core::state::{Service, State};

use super::request::{required, tags};
use super::{Api, Caller, describe};

pub(super) async fn tag(
    api: &Api,
    request: ecs::TagResourceRequest,
    caller: &Caller,
) -> Result<ecs::TagResourceResponse, Fault> {
    let arn = required("resourceArn", request.resource_arn.as_ref())?;
    if request.tags.is_empty() {
        return Err(Fault::invalid("tags can not be empty."));
    }
    edit(api, arn, tags(request.tags)?, Vec::new(), caller).await?;
    Ok(ecs::TagResourceResponse {})
}

pub(super) async fn untag(
    api: &Api,
    request: ecs::UntagResourceRequest,
    caller: &Caller,
) -> Result<ecs::UntagResourceResponse, Fault> {
    let arn = required("resourceArn", request.resource_arn.as_ref())?;
    if request.tag_keys.is_empty() {
        return Err(Fault::invalid("tagKeys can not be empty."));
    }
    edit(api, arn, Vec::new(), request.tag_keys, caller).await?;
    Ok(ecs::UntagResourceResponse {})
}

async fn edit(api: &Api, arn: &str, set: Vec<Tag>, remove: Vec<String>, caller: &Caller) -> Result<(), Fault> {
    let command = TagResource {
        resource: api.namespace.parse_resource(arn)?,
        set,
        remove,
    };
    api.submit(command, caller).await
}

pub(super) async fn list(
    api: &Api,
    request: ecs::ListTagsForResourceRequest,
    _caller: &Caller,
) -> Result<ecs::ListTagsForResourceResponse, Fault> {
    let arn = required("resourceArn", request.resource_arn.as_ref())?;
    let resource = api.namespace.parse_resource(arn)?;
    let state = api.view();
    let found = of(&state, &resource).map_err(|fault| match fault == Fault::cluster_inactive() {
        // What ListTagsForResource says of it on ECS, by which Terraform knows that it is gone.
        true => Fault::invalid("The specified cluster is inactive. Specify an active cluster and try again."),
        false => fault,
    });
    let tags = found?.ok_or_else(|| {
        Fault::new(
            FaultClass::ResourceNotFound,
            format!("The specified resource wasn't found: {arn}"),
        )
    })?;
    Ok(ecs::ListTagsForResourceResponse {
        tags: describe::tags(tags),
    })
}

/// The tags of a resource; none where there is no such resource.
pub(super) fn of<'s>(state: &'s State, resource: &Resource) -> Result<Option<&'s [Tag]>, Fault> {
    Ok(match resource {
        Resource::Cluster(name) => Some(&state.active_cluster(name)?.tags),
        Resource::Service(name, service) => {
            let cluster = state.active_cluster(name)?.key;
            let service = service.clone();
            state
                .service(&ServiceKey { cluster, service })
                .map(|known| &*known.spec.tags)
        }
        Resource::Task(name, task) => {
            let cluster = state.active_cluster(name)?.key;
            let key = TaskKey { cluster, task: *task };
            let placed = state.task(key).map(|known| &known.launch);
            let launch = placed.or_else(|| state.queue().task(key).map(|known| &known.wait.launch));
            launch.map(|launch| &*launch.tags)
        }
        Resource::Instance(name, instance) => {
            let cluster = state.active_cluster(name)?.key;
            let instance = *instance;
            state
                .instance(InstanceKey { cluster, instance })
                .map(|known| &*known.tags)
        }
        Resource::Provider(name) => {
            let tags = state.capacity_provider(name).map(|known| &*known.tags);
            tags.or(name.is_fargate().then_some(&[][..]))
        }
        Resource::TaskSet(name, service, set) => {
            let cluster = state.active_cluster(name)?.key;
            let service = service.clone();
            let known = state.service(&ServiceKey { cluster, service });
            let mut sets = known.into_iter().flat_map(Service::task_sets);
            let found = sets.find(|(deployment, _)| deployment.id == *set);
            found.map(|(_, found)| &*found.tags)
        }
        Resource::Definition(reference) => find(state, reference).map(|known| &*known.tags),
    })
}
