//! UpdateTaskProtection, GetTaskProtection.

use berth_model::fault::Fault;
use berth_model::id::TaskId;
use berth_model::name::ClusterName;
use berth_proto::ecs::v1 as ecs;
use berth_scheduler_core::decide::protection::{self, SetProtection};

use super::request::{at_most, given};
use super::{Api, Caller, describe};

/// Limits of the ECS API on these operations.
const MAX_UPDATED: usize = 10;
const MAX_LOOKED_AT: usize = 100;

pub(super) async fn update(
    api: &Api,
    request: ecs::UpdateTaskProtectionRequest,
    caller: &Caller,
) -> Result<ecs::UpdateTaskProtectionResponse, Fault> {
    let name = api.cluster(given(request.cluster.as_ref()))?;
    let enabled = request
        .protection_enabled
        .ok_or_else(|| Fault::invalid("protectionEnabled can not be empty."))?;
    let command = SetProtection {
        tasks: tasks(api, &name, &request.tasks, MAX_UPDATED)?,
        span: protection::span(enabled, request.expires_in_minutes)?,
        cluster: name.clone(),
    };
    let protections = api.submit(command, caller).await?;
    let (protected_tasks, failures) = describe::protections(protections, &name, &api.namespace);
    Ok(ecs::UpdateTaskProtectionResponse {
        protected_tasks,
        failures,
    })
}

pub(super) async fn get(
    api: &Api,
    request: ecs::GetTaskProtectionRequest,
    _caller: &Caller,
) -> Result<ecs::GetTaskProtectionResponse, Fault> {
    let name = api.cluster(given(request.cluster.as_ref()))?;
    let tasks = tasks(api, &name, &request.tasks, MAX_LOOKED_AT)?;
    let state = api.view();
    let cluster = state.active_cluster(&name)?.key;
    let protections = protection::look(&state, cluster, &tasks, api.time().await?);
    let (protected_tasks, failures) = describe::protections(protections, &name, &api.namespace);
    Ok(ecs::GetTaskProtectionResponse {
        protected_tasks,
        failures,
    })
}

fn tasks(api: &Api, cluster: &ClusterName, tasks: &[String], limit: usize) -> Result<Vec<TaskId>, Fault> {
    if tasks.is_empty() {
        return Err(Fault::invalid("Tasks cannot be empty."));
    }
    at_most("tasks", tasks, limit)?;
    tasks
        .iter()
        .map(|task| api.namespace.parse_task(cluster, task))
        .collect()
}
