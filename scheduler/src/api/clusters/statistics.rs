//! What `include` STATISTICS asks of clusters: their tasks and services by launch type.

use std::sync::Arc;

use berth_model::fault::Fault;
use berth_model::service::ServiceStatus;
use berth_model::status::{LaunchType, TaskStatus};
use berth_proto::ecs::v1 as ecs;
use berth_scheduler_core::keys::ClusterKey;
use berth_scheduler_core::state::State;

/// The launch types, as ECS names them and as they stand in the names of its counts.
const NAMES: [(&str, &str); 3] = [("EC2", "EC2"), ("FARGATE", "Fargate"), ("EXTERNAL", "External")];

/// The counts of one launch type.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    running: u32,
    pending: u32,
    active: u32,
    draining: u32,
}

/// The statistics of each cluster. They are counted when somebody asks, away from what others wait for.
pub(super) async fn of(state: Arc<State>, clusters: Vec<ClusterKey>) -> Result<Vec<Vec<ecs::KeyValuePair>>, Fault> {
    let counted = move || clusters.into_iter().map(|cluster| count(&state, cluster)).collect();
    tokio::task::spawn_blocking(counted)
        .await
        .map_err(|error| Fault::server(format!("statistics are not counted: {error}")))
}

fn count(state: &State, cluster: ClusterKey) -> Vec<ecs::KeyValuePair> {
    let mut counts = [Counts::default(); NAMES.len()];
    let mut add = |launch_type: LaunchType, edit: fn(&mut Counts)| {
        let at = NAMES.iter().position(|(name, _)| *name == launch_type.name());
        if let Some(of_type) = at.and_then(|at| counts.get_mut(at)) {
            edit(of_type);
        }
    };
    for task in state.tasks_of(cluster, None) {
        if task.last == TaskStatus::Running {
            add(task.launch.launch_type, |counts| counts.running += 1);
        } else if task.is_pending() {
            add(task.launch.launch_type, |counts| counts.pending += 1);
        }
    }
    for task in state.queue().tasks_of(cluster, None).filter(|task| task.is_waiting()) {
        add(task.wait.launch.launch_type, |counts| counts.pending += 1);
    }
    for service in state.services_of(cluster) {
        match service.status {
            ServiceStatus::Active => add(service.spec.launch_type, |counts| counts.active += 1),
            ServiceStatus::Draining => add(service.spec.launch_type, |counts| counts.draining += 1),
            ServiceStatus::Inactive => {}
        }
    }
    let pair = |name: String, value: u32| ecs::KeyValuePair {
        name: Some(name),
        value: Some(value.to_string()),
        ..ecs::KeyValuePair::default()
    };
    let tasks = NAMES.iter().zip(&counts).flat_map(|((_, name), counts)| {
        [
            pair(format!("running{name}TasksCount"), counts.running),
            pair(format!("pending{name}TasksCount"), counts.pending),
        ]
    });
    let services = NAMES.iter().zip(&counts).flat_map(|((_, name), counts)| {
        [
            pair(format!("active{name}ServiceCount"), counts.active),
            pair(format!("draining{name}ServiceCount"), counts.draining),
        ]
    });
    tasks.chain(services).collect()
}
