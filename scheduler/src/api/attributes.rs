//! PutAttributes, DeleteAttributes, ListAttributes.

use std::collections::BTreeMap;

use berth_model::attribute;
use berth_model::fault::Fault;
use berth_model::id::InstanceId;
use berth_model::name::ClusterName;
use berth_model::status::InstanceStatus;
use berth_proto::ecs::v1 as ecs;
use berth_scheduler_core::decide::attribute::{Attributes, DeleteAttributes, PutAttributes};

use super::page::Page;
use super::request::{at_most, given};
use super::{Api, Caller, describe};

/// What alone has attributes (ECS API, `TargetType`).
const TARGET_TYPE: &str = "container-instance";
/// Parts instance and name in the key of a page: no name has it.
const KEY_MARK: char = ' ';

pub(super) async fn put(
    api: &Api,
    request: ecs::PutAttributesRequest,
    caller: &Caller,
) -> Result<ecs::PutAttributesResponse, Fault> {
    let cluster = api.cluster(given(request.cluster.as_ref()))?;
    let attributes = read(api, &cluster, &request.attributes)?;
    let answer = listed(api, &cluster, attributes.iter());
    api.submit(PutAttributes { cluster, attributes }, caller).await?;
    Ok(ecs::PutAttributesResponse { attributes: answer })
}

pub(super) async fn delete(
    api: &Api,
    request: ecs::DeleteAttributesRequest,
    caller: &Caller,
) -> Result<ecs::DeleteAttributesResponse, Fault> {
    let cluster = api.cluster(given(request.cluster.as_ref()))?;
    let command = DeleteAttributes {
        cluster: cluster.clone(),
        attributes: read(api, &cluster, &request.attributes)?,
    };
    let lost = api.submit(command, caller).await?;
    Ok(ecs::DeleteAttributesResponse {
        attributes: listed(api, &cluster, lost.iter().map(|(instance, lost)| (instance, lost))),
    })
}

pub(super) async fn list(
    api: &Api,
    request: ecs::ListAttributesRequest,
    _caller: &Caller,
) -> Result<ecs::ListAttributesResponse, Fault> {
    let name = api.cluster(given(request.cluster.as_ref()))?;
    check_type(Some(given(request.target_type.as_ref()).unwrap_or_default()))?;
    let wanted = given(request.attribute_name.as_ref());
    let value = given(request.attribute_value.as_ref());
    if value.is_some() && wanted.is_none() {
        return Err(Fault::invalid(
            "attributeValue is given without attributeName: it selects among attributes of one name.",
        ));
    }
    let page = Page::read(request.max_results, request.next_token.as_ref())?;
    let after = page.after.as_deref().map(key).transpose()?;
    let state = api.view();
    let cluster = state.active_cluster(&name)?;
    let instances = state
        .instances_of(cluster.key)
        .filter(|instance| instance.status != InstanceStatus::Inactive)
        .filter(|instance| after.is_none_or(|(last, _)| instance.id >= last));
    let rest = instances.flat_map(move |instance| {
        let (id, attributes) = (instance.id, instance.attributes().into_iter());
        attributes
            .filter(move |(name, _)| wanted.is_none_or(|wanted| *name == wanted))
            .filter(move |(_, has)| value.is_none_or(|value| *has == Some(value)))
            .filter(move |(name, _)| after.is_none_or(|after| (id, *name) > after))
            .map(move |(name, value)| (id, name, value))
    });
    let (attributes, next_token) = page
        .clone()
        .take(rest, |(instance, name, _)| format!("{instance}{KEY_MARK}{name}"));
    let attributes = attributes
        .into_iter()
        .map(|(instance, attribute, value)| ecs::Attribute {
            target_id: Some(api.namespace.instance(&name, instance)),
            ..describe::attribute(attribute, value)
        });
    Ok(ecs::ListAttributesResponse {
        attributes: attributes.collect(),
        next_token,
    })
}

/// The last attribute of the page before.
fn key(text: &str) -> Result<(InstanceId, &str), Fault> {
    let parts = text.split_once(KEY_MARK);
    parts
        .and_then(|(instance, name)| Some((instance.parse().ok()?, name)))
        .ok_or_else(|| Fault::invalid("Invalid token. nextToken is none that an earlier answer gave."))
}

/// What a request says of each instance.
fn read(
    api: &Api,
    cluster: &ClusterName,
    attributes: &[ecs::Attribute],
) -> Result<BTreeMap<InstanceId, Attributes>, Fault> {
    if attributes.is_empty() {
        return Err(Fault::invalid("attributes can not be empty"));
    }
    at_most("attributes", attributes, attribute::MAX_IN_CALL)?;
    let mut read: BTreeMap<InstanceId, Attributes> = BTreeMap::new();
    for (at, member) in attributes.iter().enumerate() {
        let name = member.name.as_deref().unwrap_or_default();
        let value = given(member.value.as_ref());
        attribute::check(at, name, value)?;
        check_type(given(member.target_type.as_ref()))?;
        let target = given(member.target_id.as_ref()).unwrap_or_default();
        let instance = match api.namespace.parse_instance(cluster, target) {
            Ok(instance) => instance,
            Err(fault) if target.starts_with("arn:") => return Err(fault),
            Err(_) => return Err(Fault::target_not_found(target)),
        };
        let of_one = read.entry(instance).or_default();
        of_one.insert(name.to_owned(), value.map(str::to_owned));
    }
    Ok(read)
}

/// Refuses a type of targets that has no attributes.
fn check_type(given: Option<&str>) -> Result<(), Fault> {
    match given {
        None | Some(TARGET_TYPE) => Ok(()),
        Some(_) => Err(Fault::invalid(format!("targetType must be {TARGET_TYPE}"))),
    }
}

fn listed<'a>(
    api: &Api,
    cluster: &ClusterName,
    attributes: impl Iterator<Item = (&'a InstanceId, &'a Attributes)>,
) -> Vec<ecs::Attribute> {
    let each = attributes.flat_map(|(instance, attributes)| {
        let target = api.namespace.instance(cluster, *instance);
        attributes.iter().map(move |(name, value)| ecs::Attribute {
            target_id: Some(target.clone()),
            ..describe::attribute(name, value.as_deref())
        })
    });
    each.collect()
}
