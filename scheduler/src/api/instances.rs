//! ListContainerInstances, DescribeContainerInstances, UpdateContainerInstancesState, DeregisterContainerInstance,
//! UpdateContainerAgent.

use std::sync::Arc;

use berth_model::fault::{Fault, FaultClass};
use berth_model::id::InstanceId;
use berth_model::query::Expression;
use berth_model::status::InstanceStatus;
use berth_model::time::Timestamp;
use berth_proto::agent::v1::Conditions;
use berth_proto::ecs::v1 as ecs;
use berth_scheduler_core::decide::instance::{DeregisterInstance, SetInstancesStatus};
use berth_scheduler_core::keys::InstanceKey;
use berth_scheduler_core::place;
use berth_scheduler_core::state::Instance;

use super::call::AT;
use super::page::Page;
use super::request::{at_most, given, includes, one_of, required};
use super::{Api, Caller, describe};

/// Instances in one DescribeContainerInstances and in one UpdateContainerInstancesState (ECS API).
const MAX_DESCRIBED: usize = 100;
const MAX_UPDATED: usize = 10;
/// What asks DescribeContainerInstances for `healthStatus` (ECS API).
const HEALTH: &str = "CONTAINER_INSTANCE_HEALTH";
const STATUSES: [&str; 5] = [
    "ACTIVE",
    "DRAINING",
    "REGISTERING",
    "DEREGISTERING",
    "REGISTRATION_FAILED",
];

pub(super) async fn list(
    api: &Api,
    request: ecs::ListContainerInstancesRequest,
    _caller: &Caller,
) -> Result<ecs::ListContainerInstancesResponse, Fault> {
    let name = api.cluster(given(request.cluster.as_ref()))?;
    let filter = given(request.filter.as_ref())
        .map(|text| Expression::parse(text).map_err(|error| Fault::invalid(format!("filter is invalid: {error}"))))
        .transpose()?;
    let status = given(request.status.as_ref());
    if let Some(status) = status {
        one_of("status", status, &STATUSES)?;
    }
    let page = Page::read(request.max_results, request.next_token.as_ref())?;
    let after = page
        .after
        .as_deref()
        .map(|key| api.namespace.parse_instance(&name, key))
        .transpose()?;
    let state = api.view();
    let cluster = state.active_cluster(&name)?;
    let listed = |instance: &&Arc<Instance>| match status {
        None => instance.status != InstanceStatus::Inactive,
        Some(status) => instance.status.name() == status,
    };
    let rest = state
        .instances_of(cluster.key)
        .filter(listed)
        .filter(|instance| after.is_none_or(|after| instance.id > after))
        .filter(|instance| filter.as_ref().is_none_or(|filter| place::satisfies(instance, filter)));
    let (instances, next_token) = page.take(rest, |instance| instance.id.to_string());
    Ok(ecs::ListContainerInstancesResponse {
        container_instance_arns: instances
            .into_iter()
            .map(|instance| api.namespace.instance(&name, instance.id))
            .collect(),
        next_token,
    })
}

pub(super) async fn describe(
    api: &Api,
    request: ecs::DescribeContainerInstancesRequest,
    _caller: &Caller,
) -> Result<ecs::DescribeContainerInstancesResponse, Fault> {
    let name = api.cluster(given(request.cluster.as_ref()))?;
    if request.container_instances.is_empty() {
        return Err(Fault::client("Container Instances cannot be empty."));
    }
    at_most("containerInstances", &request.container_instances, MAX_DESCRIBED)?;
    let with_tags = includes(&request.include, &["TAGS", HEALTH], "TAGS")?;
    let with_health = request.include.iter().any(|part| part == HEALTH);
    if with_health && api.is_past() {
        return Err(Fault::invalid(format!(
            "include {HEALTH}: health is not in the journal, so that only that of now is known: leave it or {AT} out."
        )));
    }
    let state = api.view();
    let cluster = state.active_cluster(&name)?.key;
    let mut response = ecs::DescribeContainerInstancesResponse::default();
    for text in &request.container_instances {
        let instance = api.namespace.parse_instance(&name, text)?;
        let key = InstanceKey { cluster, instance };
        match state.instance(key) {
            Some(known) => {
                let mut described = describe::instance(&state, known, &name, &api.namespace);
                if !with_tags {
                    described.tags.clear();
                }
                if with_health {
                    described.health_status = Some(health(api.registry.conditions(key)));
                }
                response.container_instances.push(described);
            }
            None => response
                .failures
                .push(describe::missing(api.namespace.instance(&name, instance))),
        }
    }
    Ok(response)
}

/// What the agent says of its host, in ECS's words: impaired as soon as one part is. An agent that is not there, or has
/// not said anything yet, leaves it open.
fn health(conditions: Option<(Conditions, Timestamp)>) -> ecs::ContainerInstanceHealthStatus {
    let Some((said, at)) = conditions.filter(|(said, _)| !said.conditions.is_empty()) else {
        return ecs::ContainerInstanceHealthStatus {
            overall_status: Some("INSUFFICIENT_DATA".to_owned()),
            details: Vec::new(),
        };
    };
    let impaired = said.conditions.iter().any(|condition| condition.status != "OK");
    let mut details: Vec<ecs::InstanceHealthCheckResult> = Vec::new();
    for condition in said.conditions {
        let kind = check_of(condition.r#type);
        let detail = ecs::InstanceHealthCheckResult {
            r#type: Some(kind.clone()),
            status: Some(condition.status),
            status_reason: Some(condition.reason).filter(|reason| !reason.is_empty()),
            last_updated: Some(at.as_epoch_seconds()),
            last_status_change: Some(condition.since),
        };
        match details.iter_mut().find(|known| known.r#type.as_ref() == Some(&kind)) {
            Some(known) => join(known, detail),
            None => details.push(detail),
        }
    }
    ecs::ContainerInstanceHealthStatus {
        overall_status: Some(if impaired { "IMPAIRED" } else { "OK" }.to_owned()),
        details,
    }
}

/// What ECS calls the check of a part of a host (ECS API, `InstanceHealthCheckResult`), so that clients that know only its
/// names can read them: the disk is the container runtime's.
fn check_of(part: String) -> String {
    match part.as_str() {
        "DISK" => "CONTAINER_RUNTIME".to_owned(),
        _ => part,
    }
}

/// Two parts that are one check to ECS: impaired as soon as one is, with the words of both.
fn join(known: &mut ecs::InstanceHealthCheckResult, other: ecs::InstanceHealthCheckResult) {
    const OK: Option<&str> = Some("OK");
    if other.status.as_deref() == OK {
        return;
    }
    if known.status.as_deref() == OK {
        *known = other;
        return;
    }
    let reasons = known.status_reason.take().into_iter().chain(other.status_reason);
    known.status_reason = Some(reasons.collect::<Vec<_>>().join("; ")).filter(|reason| !reason.is_empty());
}

pub(super) async fn update_state(
    api: &Api,
    request: ecs::UpdateContainerInstancesStateRequest,
    caller: &Caller,
) -> Result<ecs::UpdateContainerInstancesStateResponse, Fault> {
    let name = api.cluster(given(request.cluster.as_ref()))?;
    if request.container_instances.is_empty() {
        return Err(Fault::invalid("Container Instances cannot be empty."));
    }
    at_most("containerInstances", &request.container_instances, MAX_UPDATED)?;
    let status = match given(request.status.as_ref()) {
        Some("ACTIVE") => InstanceStatus::Active,
        Some("DRAINING") => InstanceStatus::Draining,
        other => {
            return Err(Fault::invalid(format!(
                "Container instance status should be one of [ACTIVE, DRAINING]. status is '{}'.",
                other.unwrap_or_default()
            )));
        }
    };
    let instances: Result<Vec<InstanceId>, Fault> = request
        .container_instances
        .iter()
        .map(|text| api.namespace.parse_instance(&name, text))
        .collect();
    let command = SetInstancesStatus {
        cluster: name.clone(),
        instances: instances?,
        status,
    };
    let outcome = api.submit(command, caller).await?;
    let state = api.view();
    let cluster = outcome.cluster;
    let described = outcome
        .set
        .into_iter()
        .filter_map(|instance| state.instance(InstanceKey { cluster, instance }))
        .map(|known| describe::instance(&state, known, &name, &api.namespace));
    let failures = outcome.failures.into_iter().map(|(instance, reason)| ecs::Failure {
        arn: Some(api.namespace.instance(&name, instance)),
        reason: Some(reason.to_owned()),
        detail: None,
    });
    Ok(ecs::UpdateContainerInstancesStateResponse {
        container_instances: described.collect(),
        failures: failures.collect(),
    })
}

/// Nobody's agent is updated from here: it belongs to its host, with its package.
pub(super) async fn update_agent(
    api: &Api,
    request: ecs::UpdateContainerAgentRequest,
    _caller: &Caller,
) -> Result<ecs::UpdateContainerAgentResponse, Fault> {
    let name = api.cluster(given(request.cluster.as_ref()))?;
    let text = required("containerInstance", request.container_instance.as_ref())?;
    let instance = api.namespace.parse_instance(&name, text)?;
    let state = api.view();
    let cluster = state.active_cluster(&name)?.key;
    let known = state.instance(InstanceKey { cluster, instance });
    if known.is_none_or(|known| known.status == InstanceStatus::Inactive) {
        return Err(Fault::invalid(format!(
            "Referenced container instance {instance} not found."
        )));
    }
    Err(Fault::new(
        FaultClass::NoUpdateAvailable,
        format!("There is no update for container instance {instance}: its agent is updated with its host's package."),
    ))
}

pub(super) async fn deregister(
    api: &Api,
    request: ecs::DeregisterContainerInstanceRequest,
    caller: &Caller,
) -> Result<ecs::DeregisterContainerInstanceResponse, Fault> {
    let name = api.cluster(given(request.cluster.as_ref()))?;
    let text = required("containerInstance", request.container_instance.as_ref())?;
    let command = DeregisterInstance {
        cluster: name.clone(),
        instance: api.namespace.parse_instance(&name, text)?,
        force: request.force.unwrap_or(false),
    };
    let key = api.submit(command, caller).await?;
    let state = api.view();
    Ok(ecs::DeregisterContainerInstanceResponse {
        container_instance: state
            .instance(key)
            .map(|known| describe::instance(&state, known, &name, &api.namespace)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(status: &str, reason: &str) -> ecs::InstanceHealthCheckResult {
        ecs::InstanceHealthCheckResult {
            status: Some(status.to_owned()),
            status_reason: Some(reason.to_owned()).filter(|reason| !reason.is_empty()),
            ..ecs::InstanceHealthCheckResult::default()
        }
    }

    #[test]
    fn the_check_of_two_parts_is_impaired_as_soon_as_one_is() {
        let both = |mut one: ecs::InstanceHealthCheckResult, other| {
            join(&mut one, other);
            (one.status.unwrap_or_default(), one.status_reason.unwrap_or_default())
        };
        let is = |status: &str, reason: &str| (status.to_owned(), reason.to_owned());
        let (ok, down, full) = (
            || detail("OK", ""),
            || detail("IMPAIRED", "down"),
            || detail("IMPAIRED", "full"),
        );
        assert_eq!(both(ok(), ok()), is("OK", ""));
        assert_eq!(both(down(), ok()), is("IMPAIRED", "down"));
        assert_eq!(both(ok(), full()), is("IMPAIRED", "full"));
        assert_eq!(both(down(), full()), is("IMPAIRED", "down; full"));
    }
}
