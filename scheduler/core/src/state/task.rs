//! Tasks.

use std::sync::Arc;

use berth_model::id::{InstanceId, TaskId};
use berth_model::quantity::{HostPort, PortSet, Protocol};
use berth_model::status::{ContainerStatus, DesiredStatus, HealthStatus, StopCode, TaskStatus};
use berth_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::change::{Launch, Observation, Placement};

/// A task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Where it runs, from the first to the last.
    pub instance: InstanceId,
    /// What it has in common with the other tasks of its call.
    pub launch: Arc<Launch>,
    /// What it is meant to do.
    pub desired: DesiredStatus,
    /// What was last seen.
    pub last: TaskStatus,
    /// Raised by each change that a client can see.
    pub version: u64,
    /// Why it stops or has stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Arc<Stop>>,
    /// When its phases began.
    #[serde(default)]
    pub times: TaskTimes,
    /// When its end was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<Timestamp>,
    /// Its containers as last seen; none until the agent speaks of them.
    pub containers: Arc<[ContainerState]>,
}

/// Why a task stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// As ECS counts.
    pub code: Option<StopCode>,
    /// In words.
    pub reason: Arc<str>,
}

/// When the phases of a task began, by its host's clock.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskTimes {
    /// The first image was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_started: Option<Timestamp>,
    /// The last image was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_stopped: Option<Timestamp>,
    /// It was RUNNING.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// It began to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping: Option<Timestamp>,
    /// Its last container had ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_stopped: Option<Timestamp>,
}

/// A container of a task, as its agent sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerState {
    /// Its name in the definition.
    pub name: Arc<str>,
    /// Where it stands.
    pub last: ContainerStatus,
    /// Docker's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_id: Option<Arc<str>>,
    /// The digest of its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<Arc<str>>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// What went wrong, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
    /// Where the host offers its ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bindings: Vec<NetworkBinding>,
    /// What its health check says.
    pub health: HealthStatus,
}

/// A port of the host that leads to a port of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkBinding {
    /// The address on the host.
    pub bind_ip: Arc<str>,
    /// The port inside.
    pub container_port: u16,
    /// The port outside.
    pub host_port: u16,
    /// The transport.
    pub protocol: Protocol,
}

impl Task {
    /// A task that has just been placed.
    #[must_use]
    pub fn new(placement: Placement, launch: Arc<Launch>) -> Self {
        Self {
            id: placement.task,
            instance: placement.instance,
            launch,
            desired: DesiredStatus::Running,
            last: TaskStatus::Pending,
            version: 1,
            stop: None,
            times: TaskTimes::default(),
            stopped_at: None,
            containers: Arc::new([]),
        }
    }

    /// Whether it is on its way to RUNNING.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.last < TaskStatus::Running
    }

    /// Whether its end is recorded.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.last == TaskStatus::Stopped
    }

    /// The state that follows from what the agent says, or nothing where it says nothing new.
    ///
    /// Statuses only move forward: what is behind the state is late, not true.
    #[must_use]
    pub fn observe(&self, seen: &Observation) -> Option<Self> {
        if seen.last_status < self.last || self.is_stopped() {
            return None;
        }
        let mut next = self.clone();
        next.last = seen.last_status;
        next.containers = Arc::clone(&seen.containers);
        next.times = self.times.or(seen.times);
        if seen.last_status >= TaskStatus::Stopping || seen.stop_code.is_some() {
            next.desired = DesiredStatus::Stopped;
        }
        if self.stop.is_none() && (seen.stop_code.is_some() || seen.stopped_reason.is_some()) {
            next.stop = Some(Arc::new(Stop {
                code: seen.stop_code,
                reason: seen.stopped_reason.clone().unwrap_or_default(),
            }));
        }
        (next != *self).then_some(next)
    }

    /// The host ports that the task holds besides those of its demand.
    #[must_use]
    pub fn bound_ports(&self) -> PortSet {
        self.containers
            .iter()
            .filter(|container| container.last != ContainerStatus::Stopped)
            .flat_map(|container| &container.bindings)
            .map(|binding| HostPort {
                protocol: binding.protocol,
                port: binding.host_port,
            })
            .filter(|port| !self.launch.demand.ports.contains(*port))
            .collect()
    }

    /// UNHEALTHY when an essential container is, HEALTHY when all that have a check are, else UNKNOWN.
    #[must_use]
    pub fn health(&self, is_essential: impl Fn(&str) -> bool) -> HealthStatus {
        let mut verdict = HealthStatus::Unknown;
        for container in self.containers.iter().filter(|container| is_essential(&container.name)) {
            match container.health {
                HealthStatus::Unhealthy => return HealthStatus::Unhealthy,
                HealthStatus::Healthy => verdict = HealthStatus::Healthy,
                HealthStatus::Unknown => {}
            }
        }
        verdict
    }
}

impl TaskTimes {
    /// What is known here, completed by what `other` knows: the first word on a time stays.
    fn or(self, other: Self) -> Self {
        Self {
            pull_started: self.pull_started.or(other.pull_started),
            pull_stopped: self.pull_stopped.or(other.pull_stopped),
            started: self.started.or(other.started),
            stopping: self.stopping.or(other.stopping),
            execution_stopped: self.execution_stopped.or(other.execution_stopped),
        }
    }
}
