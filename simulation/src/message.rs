//! What agents and schedulers say to each other, without the wire.

use std::sync::Arc;

use berth_agent_core::container::Binding;
use berth_agent_core::report::{ContainerReport, TaskReport};
use berth_agent_core::spec::TaskSpec;
use berth_model::id::TaskId;
use berth_model::status::HealthStatus;
use berth_scheduler_core::observation::{ContainerState, NetworkBinding, Observation, TaskTimes};

/// What an agent says of tasks.
pub(crate) type Reports = Vec<(TaskId, Arc<Observation>)>;

#[derive(Debug, Clone)]
pub(crate) enum ToScheduler {
    Hello(Reports),
    Reports { sequence: u64, tasks: Reports },
    Propose(Vec<TaskId>),
}

#[derive(Debug, Clone)]
pub(crate) enum ToAgent {
    Welcome,
    Recorded { sequence: u64, ended: Vec<TaskId> },
    Assignments(Arc<Assignments>),
    Confirm(Vec<TaskId>),
}

#[derive(Debug)]
pub(crate) struct Assignments {
    pub(crate) complete: bool,
    pub(crate) applies_to: u64,
    pub(crate) results_in: u64,
    pub(crate) tasks: Vec<Assignment>,
    pub(crate) forgotten: Vec<TaskId>,
}

#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) spec: TaskSpec,
    pub(crate) stop: bool,
    pub(crate) seen_running: bool,
}

/// A report as the scheduler reads it.
pub(crate) fn observation(report: &TaskReport) -> Arc<Observation> {
    let text = |text: &str| (!text.is_empty()).then(|| Arc::from(text));
    Arc::new(Observation {
        last_status: report.status,
        containers: report.containers.iter().map(container).collect(),
        stop_code: report.stop_code,
        stopped_reason: text(&report.stopped_reason),
        times: TaskTimes {
            pull_started: report.pull_started_at,
            pull_stopped: report.pull_stopped_at,
            started: report.started_at,
            stopping: report.stopping_at,
            execution_stopped: report.execution_stopped_at,
        },
    })
}

fn container(report: &ContainerReport) -> ContainerState {
    let text = |text: &Option<String>| text.as_deref().map(Arc::from);
    ContainerState {
        name: report.name.as_str().into(),
        last: report.status,
        runtime_id: text(&report.runtime_id),
        image_digest: text(&report.image_digest),
        exit_code: report.exit_code,
        reason: text(&report.reason),
        bindings: report.bindings.iter().map(binding).collect(),
        address: text(&report.address),
        health: report.health.unwrap_or(HealthStatus::Unknown),
        restarts: report.restarts,
        log_tail: (!report.tail.is_empty()).then(|| report.tail.join("\n").into()),
    }
}

fn binding(binding: &Binding) -> NetworkBinding {
    NetworkBinding {
        bind_ip: binding.bind_ip.as_str().into(),
        container_port: binding.container_port,
        host_port: binding.host_port,
        protocol: binding.protocol,
        range: binding.range,
    }
}
