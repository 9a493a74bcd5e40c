//! What the agent says of a task: always the whole of it, so that saying it twice does no harm.

use berth_model::id::TaskId;
use berth_model::status::{ContainerStatus, HealthStatus, StopCode, TaskStatus};
use berth_model::task_definition::{NetworkMode, PortMapping};
use berth_model::time::Timestamp;

use crate::container::{Binding, Container, Phase};
use crate::pause;
use crate::record::Record;

/// Of a container that somebody has paused.
const PAUSED: &str = "is paused: somebody other than the agent froze its processes";

/// A task, as reported.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskReport {
    /// The task.
    pub id: TaskId,
    /// Its ARN.
    pub arn: String,
    /// PENDING, RUNNING, STOPPING or STOPPED.
    pub status: TaskStatus,
    /// Its containers, without the pause container.
    pub containers: Vec<ContainerReport>,
    /// Why it stops; none where the scheduler asked.
    pub stop_code: Option<StopCode>,
    /// ECS's words for it.
    pub stopped_reason: String,
    /// When the first image was asked for.
    pub pull_started_at: Option<Timestamp>,
    /// When the last image was there.
    pub pull_stopped_at: Option<Timestamp>,
    /// When it reached RUNNING.
    pub started_at: Option<Timestamp>,
    /// When the stopping began.
    pub stopping_at: Option<Timestamp>,
    /// When its first essential container ended.
    pub execution_stopped_at: Option<Timestamp>,
}

/// A container, as reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerReport {
    /// Its name in the definition.
    pub name: String,
    /// PENDING, RUNNING or STOPPED.
    pub status: ContainerStatus,
    /// Docker's id.
    pub runtime_id: Option<String>,
    /// Digest or id of its image.
    pub image_digest: Option<String>,
    /// Exit code of its process.
    pub exit_code: Option<i32>,
    /// Why it failed, or what it waits for.
    pub reason: Option<String>,
    /// Host ports that reach it.
    pub bindings: Vec<Binding>,
    /// What its health check says; none where its definition has none.
    pub health: Option<HealthStatus>,
    /// How often it was started again in its place.
    pub restarts: u32,
    /// The task's own IPv4 address, where it has one.
    pub address: Option<String>,
    /// The last lines of its log, and what its health check said, where it failed by itself.
    pub tail: Vec<String>,
}

impl TaskReport {
    /// Whether it differs from the one before in how far the task has come alone: in images, ids of containers and the
    /// time of pulls. Whatever is told next brings that along.
    #[must_use]
    pub fn is_progress_since(&self, before: &Self) -> bool {
        let mut advanced = before.clone();
        advanced.pull_started_at = self.pull_started_at;
        advanced.pull_stopped_at = self.pull_stopped_at;
        for (container, now) in advanced.containers.iter_mut().zip(&self.containers) {
            container.runtime_id.clone_from(&now.runtime_id);
            container.image_digest.clone_from(&now.image_digest);
        }
        advanced == *self
    }
}

/// Where the task stands, by what is known of its containers.
#[must_use]
pub fn status(record: &Record) -> TaskStatus {
    let over = |container: &Container| container.is_up() || container.phase == Phase::Stopped;
    if record.ended_at.is_some() {
        TaskStatus::Stopped
    } else if record.stop.is_some() {
        TaskStatus::Stopping
    } else if record.containers.iter().all(over) && !record.containers.is_empty() {
        TaskStatus::Running
    } else {
        TaskStatus::Pending
    }
}

/// The report of a task.
#[must_use]
pub fn report(record: &Record) -> TaskReport {
    let address = record
        .spec
        .pause()
        .and_then(|pause| Some(record.containers.get(pause)?.task_address()?.to_owned()));
    let containers = record
        .containers
        .iter()
        .enumerate()
        .filter(|(_, container)| !pause::is_internal(&container.name))
        .map(|(at, container)| ContainerReport {
            name: container.name.clone(),
            status: match container.phase {
                _ if container.is_up() => ContainerStatus::Running,
                Phase::Waiting | Phase::Pulled | Phase::Created | Phase::Starting => ContainerStatus::Pending,
                Phase::Running => ContainerStatus::Running,
                Phase::Stopped => ContainerStatus::Stopped,
            },
            runtime_id: container.runtime_id.clone(),
            image_digest: container.image_digest.clone(),
            exit_code: container.exit_code,
            reason: reason(container),
            bindings: bindings(record, at, container),
            health: container.health,
            restarts: container.restarts,
            address: address.clone(),
            tail: container.tail.clone(),
        });
    TaskReport {
        id: record.spec.id,
        arn: record.spec.arn.clone(),
        status: status(record),
        containers: containers.collect(),
        stop_code: record.stop.as_ref().and_then(|stop| stop.code),
        stopped_reason: record.stop.as_ref().map(|stop| stop.reason.clone()).unwrap_or_default(),
        pull_started_at: record.pull_started_at,
        pull_stopped_at: record.pull_stopped_at,
        started_at: record.started_at,
        stopping_at: record.stop.as_ref().map(|stop| stop.at),
        execution_stopped_at: record.execution_stopped_at,
    }
}

/// Why it failed; while it has not, what keeps it from getting on.
fn reason(container: &Container) -> Option<String> {
    let paused = || container.paused.then(|| PAUSED.to_owned());
    container
        .reason
        .clone()
        .or_else(|| container.waits_for.clone())
        .or_else(paused)
}

/// In the host's network nothing is forwarded: the container listens on the host's port itself.
/// Of a range only its first port is named, with how many follow.
fn bindings(record: &Record, at: usize, container: &Container) -> Vec<Binding> {
    let definition = record.spec.containers().get(at);
    let mappings = definition.map(|definition| definition.port_mappings.as_slice());
    let mappings = mappings.unwrap_or_default();
    if record.spec.definition.network_mode() != NetworkMode::Host || container.phase < Phase::Running {
        return with_ranges(&container.bindings, mappings);
    }
    mappings
        .iter()
        .filter_map(|mapping| {
            let port = u16::try_from(mapping.container_port?).ok()?;
            Some(Binding {
                container_port: port,
                protocol: mapping.protocol(),
                host_port: port,
                bind_ip: "0.0.0.0".to_owned(),
                range: 0,
            })
        })
        .collect()
}

fn with_ranges(bindings: &[Binding], mappings: &[PortMapping]) -> Vec<Binding> {
    let range_of = |binding: &Binding| {
        let mut ranges = mappings
            .iter()
            .filter(|mapping| mapping.protocol() == binding.protocol)
            .filter_map(PortMapping::range);
        ranges.find(|range| (range.first..=range.last).contains(&binding.container_port))
    };
    let folded = bindings.iter().filter_map(|binding| match range_of(binding) {
        None => Some(binding.clone()),
        Some(range) if range.first == binding.container_port => Some(Binding {
            range: (range.last - range.first).saturating_add(1),
            ..binding.clone()
        }),
        Some(_) => None,
    });
    folded.collect()
}

#[cfg(test)]
mod tests {
    use berth_model::quantity::Protocol;
    use serde_json::json;

    use super::*;
    use crate::machine::testing::spec_of;

    #[test]
    fn the_ports_of_a_range_are_one_binding() {
        let binding = |container_port, host_port, range| Binding {
            container_port,
            protocol: Protocol::Udp,
            host_port,
            bind_ip: "0.0.0.0".to_owned(),
            range,
        };
        let mappings: Vec<PortMapping> = serde_json::from_value(json!([
            {"containerPortRange": "80-82", "protocol": "udp"}, {"containerPort": 90, "protocol": "udp"},
            {"containerPortRange": "70-99"}]))
        .unwrap();
        let seen = [(80, 40_000), (81, 40_001), (82, 40_002), (90, 50_000)];
        let folded = with_ranges(&seen.map(|(port, host)| binding(port, host, 0)), &mappings);
        assert_eq!(folded, [binding(80, 40_000, 3), binding(90, 50_000, 0)]);
        let each: Vec<_> = folded[0].each().collect();
        assert_eq!(each[2], binding(82, 40_002, 0));
        assert_eq!((each.len(), folded[1].each().count()), (3, 1));
    }

    #[test]
    fn progress_is_what_the_next_status_brings_along_and_nothing_else() {
        let definition = json!({"family": "web", "containerDefinitions": [{"name": "app", "image": "busybox"}]});
        let record = Record::new(spec_of(definition));
        let before = report(&record);
        let change = |change: fn(&mut Record)| {
            let mut record = record.clone();
            change(&mut record);
            report(&record).is_progress_since(&before)
        };
        assert!(change(|record| record.pull_started_at = Some(Timestamp::from_millis(1))));
        assert!(change(
            |record| record.containers[0].image_id = Some("sha256:1".to_owned())
        ));
        assert!(change(|record| record.containers[0].runtime_id = Some("id".to_owned())));
        assert!(!change(|record| record.containers[0].phase = Phase::Running));
        assert!(!change(
            |record| record.containers[0].waits_for = Some("waits for a port".to_owned())
        ));
        assert!(!change(|record| record.stop = Some(crate::record::Stop {
            code: None,
            reason: String::new(),
            at: Timestamp::from_millis(1),
        })));
    }
}
