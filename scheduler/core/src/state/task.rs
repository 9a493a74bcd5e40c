//! Tasks.

use std::sync::Arc;

use berth_model::gpu::ContainerGpus;
use berth_model::id::{InstanceId, TaskId};
use berth_model::quantity::PortSet;
use berth_model::status::{ContainerStatus, DesiredStatus, HealthStatus, StopCode, TaskStatus};
use berth_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::launch::{Launch, Placement};
use crate::observation::{ContainerState, NetworkBinding, Observation, TaskTimes};
use crate::target::Target;

/// A task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Where it runs, from the first to the last.
    pub instance: InstanceId,
    /// What it has in common with the other tasks of its call.
    pub launch: Arc<Launch>,
    /// GPUs that its containers have to themselves, from the first to the last.
    #[serde(default, skip_serializing_if = "<[ContainerGpus]>::is_empty")]
    pub gpus: Arc<[ContainerGpus]>,
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
    /// Until when it is protected; may have passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protected_until: Option<Timestamp>,
    /// What it is to the load balancers of its service; none where it is no target of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
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

impl Task {
    /// A task that has just been placed.
    #[must_use]
    pub fn new(placement: Placement, launch: Arc<Launch>) -> Self {
        Self {
            id: placement.task,
            instance: placement.instance,
            launch,
            gpus: placement.gpus,
            desired: DesiredStatus::Running,
            last: TaskStatus::Pending,
            version: 1,
            stop: None,
            times: TaskTimes::default(),
            stopped_at: None,
            protected_until: None,
            target: None,
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

    /// Until when its connections may stay open, where it is to stop when none is left.
    #[must_use]
    pub fn deregister_by(&self) -> Option<Timestamp> {
        self.target.as_ref().and_then(|target| target.deregister_by)
    }

    /// What its agent is told: a task that is still deregistered from its load balancers goes on.
    #[must_use]
    pub fn assigned(&self) -> DesiredStatus {
        match self.deregister_by() {
            Some(_) => DesiredStatus::Running,
            None => self.desired,
        }
    }

    /// Until when it is protected; none where it is not, or no longer.
    #[must_use]
    pub fn protected_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.protected_until.filter(|until| *until > now)
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
            // It ends by itself: whoever sends it something will notice.
            next.target = None;
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
            .flat_map(NetworkBinding::host_ports)
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
