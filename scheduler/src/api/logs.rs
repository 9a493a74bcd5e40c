//! The logs of containers: which are asked for.

use std::sync::Arc;
use std::time::Duration;

use berth_model::fault::Fault;
use berth_proto::v1::{LogsRequest, LogsResponse};
use berth_scheduler_core::keys::{ServiceKey, TaskKey};
use tokio::sync::mpsc;

use super::Api;
use super::request::{at_most, given};
use crate::sessions::logs::{self, Wanted};

/// Tasks, and services, that a request may name.
const MOST_NAMED: usize = 100;

/// Begins to read; the lines come until there are no more, or nobody takes them.
pub(super) fn read(api: &Api, request: LogsRequest) -> Result<mpsc::Receiver<LogsResponse>, Fault> {
    let name = api.cluster(given(request.cluster.as_ref()))?;
    let state = api.view();
    let cluster = state.active_cluster(&name)?.key;
    at_most("tasks", &request.tasks, MOST_NAMED)?;
    at_most("services", &request.services, MOST_NAMED)?;
    if request.tasks.is_empty() && request.services.is_empty() {
        return Err(Fault::invalid("tasks or services should be given."));
    }
    let tasks = request.tasks.iter().map(|text| {
        let task = api.namespace.parse_task(&name, text)?;
        let key = TaskKey { cluster, task };
        let is_known = state.launch_of(key).is_some();
        is_known
            .then_some(key)
            .ok_or_else(|| Fault::invalid(format!("The referenced task was not found. taskId: {task}")))
    });
    let tasks = tasks.collect::<Result<_, Fault>>()?;
    let services = request.services.iter().map(|text| {
        let service = api.namespace.parse_service(&name, text)?;
        let key = ServiceKey { cluster, service };
        state.service(&key).ok_or_else(Fault::service_not_found)?;
        Ok(key)
    });
    let services = services.collect::<Result<_, Fault>>()?;
    let since = request.since.map(|seconds| {
        let since = Duration::try_from_secs_f64(seconds);
        let nanos = since.ok().and_then(|since| i64::try_from(since.as_nanos()).ok());
        nanos.ok_or_else(|| Fault::invalid(format!("since {seconds} should be seconds since the epoch.")))
    });
    let wanted = Wanted {
        cluster,
        name,
        tasks,
        services,
        containers: request.containers.into_iter().collect(),
        follow: request.follow,
        tail: request.tail,
        after_ns: since.transpose()?,
    };
    Ok(logs::begin(
        api.engine.clone(),
        Arc::clone(&api.sessions),
        Arc::clone(&api.namespace),
        wanted,
    ))
}
