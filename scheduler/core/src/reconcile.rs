//! What a service needs next: a look at it and the time give launches, stops and what is to be remembered.
//!
//! [`step`] is level-triggered: it looks at what is, not at what happened, so that a wake-up too many does nothing and a
//! missed one is made good by the next. On the state that a step makes, the next step is empty until something else
//! changes or its [`Step::wake`] has come. It knows no instances but those that it is shown, and places nothing: who
//! calls it does, and tells with [`unplaced`] what could not be.

mod back_off;
mod census;
pub mod events;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use berth_model::id::{DeploymentId, InstanceId, ServiceName, TaskId};
use berth_model::service::ServiceStatus;
use berth_model::status::{HealthStatus, StopCode};
use berth_model::time::Timestamp;

use crate::service::{BackOff, BackOffCause, Deployment, ServiceSpec};
use census::Census;

/// A service as it is.
#[derive(Debug, Clone)]
pub struct View<'a> {
    /// Its name.
    pub name: &'a ServiceName,
    /// What it is told to be.
    pub spec: &'a ServiceSpec,
    /// Whether it is held at that.
    pub status: ServiceStatus,
    /// Its deployments that are not INACTIVE: the primary, and those that are being replaced.
    pub deployments: &'a [Deployment],
    /// Its tasks: all that have not stopped, and those that have and that no step has accounted for.
    pub tasks: Vec<TaskView>,
    /// For a DAEMON, the instances that are to have a task: ACTIVE, connected, and satisfying its constraints whether
    /// or not they have room.
    pub places: Vec<InstanceId>,
    /// The zones of instances that satisfy its constraints; only asked where the service balances zones.
    pub zones: Vec<Arc<str>>,
    /// How many instances its cluster has and misses.
    pub presence: Presence,
    /// When its cluster last got room, as far as is known: an instance came, came back, or became ACTIVE.
    pub room_since: Option<Timestamp>,
    /// The scheduler's settings.
    pub timing: Timing,
}

/// A task of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskView {
    /// Its id.
    pub id: TaskId,
    /// The deployment that started it.
    pub deployment: DeploymentId,
    /// Where it runs.
    pub host: Host,
    /// Where it stands.
    pub phase: Phase,
    /// Whether it is meant to run.
    pub wanted: bool,
    /// What its health checks say.
    pub health: HealthStatus,
    /// Whether an essential container has a health check.
    pub has_check: bool,
    /// When it was placed.
    pub created_at: Timestamp,
    /// When it was RUNNING; none where it never was.
    pub running_since: Option<Timestamp>,
    /// Until when it is protected; may have passed.
    pub protected_until: Option<Timestamp>,
    /// Why it stops or has stopped.
    pub stop_code: Option<StopCode>,
}

/// Where a task stands, as far as a service tells stages apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// On its way to RUNNING.
    Pending,
    /// RUNNING.
    Running,
    /// After RUNNING, or stopping before it, and not over.
    Stopping,
    /// Over.
    Stopped,
}

/// The instance of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its id.
    pub id: InstanceId,
    /// Its zone, where it has one.
    pub zone: Option<Arc<str>>,
    /// Whether it is to become empty.
    pub draining: bool,
    /// Whether tasks of services that are no DAEMON run on it.
    pub has_replicas: bool,
    /// Since when its agent is away; none while it is there.
    pub disconnected_since: Option<Timestamp>,
}

/// How many instances a cluster has and misses.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Presence {
    /// Instances that are not INACTIVE.
    pub instances: u32,
    /// Those whose agents are away for longer than [`Timing::lost_grace`].
    pub lost: u32,
}

/// What is a setting of the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long a task without a health check runs until it counts as healthy.
    pub stability: Duration,
    /// How long an agent may be away until its tasks are replaced.
    pub lost_grace: Duration,
}

/// What a service needs.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Step {
    /// Tasks to place.
    pub launches: Vec<Launch>,
    /// Tasks to stop, with `ServiceSchedulerInitiated`.
    pub stops: Vec<Stop>,
    /// The new values of deployments that changed. One that is INACTIVE leaves the service.
    pub deployments: Vec<Deployment>,
    /// Stopped tasks of the view: all of them are accounted for, and need not be shown again.
    pub accounted: Vec<TaskId>,
    /// What happened, in words, oldest first. That tasks were started is told by [`events::started`], once they are.
    pub events: Vec<String>,
    /// Whether the service was DRAINING and has no task left: it is INACTIVE.
    pub drained: bool,
    /// When time alone makes the next step do something, at the latest.
    pub wake: Option<Timestamp>,
}

/// Tasks to place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The deployment that they are of.
    pub deployment: DeploymentId,
    /// How many, and where.
    pub place: Place,
    /// How many of them replace unhealthy tasks.
    pub unhealthy_replaced: u32,
}

/// How many tasks to place, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// So many, where the service's constraints and strategies say.
    Anywhere(u32),
    /// One, in this zone and nowhere else.
    Zone(Arc<str>),
    /// One on each.
    On(Vec<InstanceId>),
}

/// A task to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The task.
    pub task: TaskId,
    /// Its `stoppedReason`.
    pub reason: Arc<str>,
}

impl Default for Timing {
    /// 40 s, as ECS has it (ECS API, `DeploymentConfiguration.minimumHealthyPercent`), and a minute, for which ECS has
    /// no number.
    fn default() -> Self {
        Self {
            stability: Duration::from_secs(40),
            lost_grace: Duration::from_secs(60),
        }
    }
}

impl Place {
    /// How many tasks it is.
    #[must_use]
    pub fn count(&self) -> u32 {
        match self {
            Self::Anywhere(count) => *count,
            Self::Zone(_) => 1,
            Self::On(instances) => u32::try_from(instances.len()).unwrap_or(u32::MAX),
        }
    }
}

impl Step {
    /// Whether nothing is to happen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.launches.is_empty()
            && self.stops.is_empty()
            && self.deployments.is_empty()
            && self.accounted.is_empty()
            && self.events.is_empty()
            && !self.drained
    }
}

/// What the service needs at this time.
#[must_use]
pub fn step(view: &View<'_>, now: Timestamp) -> Step {
    let census = Census::of(view, now);
    let mut step = Step {
        accounted: census.ended.iter().map(|task| task.id).collect(),
        ..Step::default()
    };
    if view.status == ServiceStatus::Active {
        hold(view, &census, &mut step);
    } else {
        for task in census.wanted() {
            step.stop(task, None);
        }
        step.drained = view.status == ServiceStatus::Draining && census.live().next().is_none();
    }
    if let Some(event) = events::stopped(view.name, &step.stops) {
        step.events.push(event);
    }
    step
}

impl Step {
    /// Stops the task, because of the deployment unless another reason is given.
    fn stop(&mut self, task: &TaskView, reason: Option<&str>) {
        let reason = match reason {
            Some(reason) => reason.into(),
            None => events::stop_reason(task.deployment).into(),
        };
        self.stops.push(Stop { task: task.id, reason });
    }
}

/// Starts what is missing, and stops what is too much.
fn hold(view: &View<'_>, census: &Census<'_>, step: &mut Step) {
    let Some(primary) = view.deployments.iter().find(|deployment| deployment.is_primary()) else {
        return;
    };
    let desired = usize::try_from(view.spec.desired).unwrap_or(usize::MAX);
    let mut wanted: Vec<_> = census.wanted().collect();
    if let Ok(missing @ 1..) = u32::try_from(desired.saturating_sub(wanted.len())) {
        step.launches.push(Launch {
            deployment: primary.id,
            place: Place::Anywhere(missing),
            unhealthy_replaced: 0,
        });
    }
    wanted.sort_by_key(|task| (task.phase, std::cmp::Reverse(task.created_at), task.id));
    for task in wanted.iter().take(wanted.len().saturating_sub(desired)) {
        step.stop(task, None);
    }
}

/// What follows for a deployment of which a task could not be placed: it waits before it tries again, longer each time
/// (ECS guide, "Service throttle logic").
///
/// `deployment` is its newest value, that of the step where it changed it; `explanation` is of [`events::unplaced`].
#[must_use]
pub fn unplaced(deployment: &Deployment, explanation: String, now: Timestamp) -> (Deployment, Option<String>) {
    let back_off = BackOff::after(deployment.back_off, BackOffCause::Placement, now, now);
    let waits = Deployment {
        back_off: Some(back_off),
        ..deployment.clone()
    };
    (waits, Some(explanation))
}
