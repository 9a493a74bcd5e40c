//! The logs of containers: which are asked for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use berth_model::fault::Fault;
use berth_proto::v1::{LogsRequest, LogsResponse};
use berth_scheduler_core::keys::{ServiceKey, TaskKey};
use tokio::sync::mpsc;

use super::Api;
use super::request::{at_most, given};
use crate::sessions::logs::{self, Of, Wanted};

/// Tasks that a request may name.
const MAX_TASKS: usize = 10;

/// Begins to read; the lines come until there are no more, or nobody takes them.
pub(super) fn read(api: &Api, request: LogsRequest) -> Result<mpsc::Receiver<LogsResponse>, Fault> {
    let name = api.cluster(given(request.cluster.as_ref()))?;
    let state = api.view();
    let cluster = state.active_cluster(&name)?.key;
    at_most("tasks", &request.tasks, MAX_TASKS)?;
    let of = match (given(request.service.as_ref()), request.tasks.is_empty()) {
        (None, true) => return Err(Fault::invalid("tasks or service should be given.")),
        (Some(_), false) => return Err(Fault::invalid("Only one of tasks and service should be given.")),
        (Some(service), true) => {
            let service = api.namespace.parse_service(&name, service)?;
            let key = ServiceKey { cluster, service };
            state.service(&key).ok_or_else(Fault::service_not_found)?;
            Of::Service(key)
        }
        (None, false) => {
            let tasks = request.tasks.iter().map(|text| {
                let task = api.namespace.parse_task(&name, text)?;
                let key = TaskKey { cluster, task };
                let is_known = state.launch_of(key).is_some();
                is_known
                    .then_some(key)
                    .ok_or_else(|| Fault::invalid(format!("The referenced task was not found. taskId: {task}")))
            });
            Of::Tasks(tasks.collect::<Result<_, _>>()?)
        }
    };
    let since = request.since.map(|seconds| {
        let since = Duration::try_from_secs_f64(seconds);
        let nanos = since.ok().and_then(|since| i64::try_from(since.as_nanos()).ok());
        nanos.ok_or_else(|| Fault::invalid(format!("since {seconds} should be seconds since the epoch.")))
    });
    let wanted = Wanted {
        of,
        cluster: name,
        containers: request.containers.into_iter().collect::<BTreeSet<_>>(),
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
