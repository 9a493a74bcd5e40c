//! What a service needs next: a look at it and the time give launches, stops and what is to be remembered.
//!
//! [`step`] is level-triggered: it looks at what is, not at what happened, so that a wake-up too many does nothing and a
//! missed one is made good by the next. On the state that a step makes, the next step is empty until something else
//! changes or its [`Step::wake`] has come. It knows no instances but those that it is shown, and places nothing: who
//! calls it does, and tells with [`unplaced`] what could not be.

mod account;
mod back_off;
mod breaker;
mod budget;
mod census;
mod daemon;
pub mod events;
mod lost;
mod pass;
mod progress;
mod rebalance;
mod rolling;
mod scale_in;
pub mod shift;
mod targets;
mod task_sets;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use berth_model::id::{DeploymentId, InstanceId, TaskId};
use berth_model::load_balancer::LoadBalancer;
use berth_model::name::ServiceName;
use berth_model::placement::Strategy;
use berth_model::quantity::{CpuUnits, MemoryMib};
use berth_model::service::{DeploymentController, SchedulingStrategy, ServiceStatus};
use berth_model::status::{HealthStatus, StopCode};
use berth_model::time::Timestamp;

use crate::service::{BackOff, BackOffCause, Deployment, ServiceSpec, Subject};
use crate::target::Target;
use pass::Pass;

/// A service as it is.
#[derive(Debug, Clone)]
pub struct View<'a> {
    /// Its name.
    pub name: &'a ServiceName,
    /// What it is told to be.
    pub spec: &'a ServiceSpec,
    /// Its placement strategies, read.
    pub strategies: Vec<Strategy>,
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

impl View<'_> {
    /// What gateways listen for on behalf of the tasks of a deployment.
    fn load_balancers_of(&self, id: DeploymentId) -> &[LoadBalancer] {
        let mut deployments = self.deployments.iter();
        let known = deployments.find(|deployment| deployment.id == id);
        known.map_or(&[], |deployment| &deployment.load_balancers)
    }
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
    /// CPU units that it reserves there.
    pub cpu: CpuUnits,
    /// Memory that it reserves there.
    pub memory: MemoryMib,
    /// Where it stands.
    pub phase: Phase,
    /// Whether it is meant to run.
    pub wanted: bool,
    /// What its health checks say.
    pub health: HealthStatus,
    /// Whether anything checks its health: an essential container's check, or a load balancer.
    pub has_check: bool,
    /// What it is to the service's load balancers, which its health takes account of; none where it is no target.
    pub target: Option<Target>,
    /// When it was placed.
    pub created_at: Timestamp,
    /// When it was RUNNING; none where it never was.
    pub running_since: Option<Timestamp>,
    /// When it was over; none where it is not, or where that is not known.
    pub ended_at: Option<Timestamp>,
    /// Until when it is protected; may have passed.
    pub protected_until: Option<Timestamp>,
    /// Why it stops or has stopped.
    pub stop_code: Option<StopCode>,
    /// Why it has failed, in words, where it has and that is known.
    pub cause: Option<Arc<str>>,
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
    /// CPU units that no task reserves.
    pub free_cpu: CpuUnits,
    /// Memory that no task reserves.
    pub free_memory: MemoryMib,
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
    /// Those whose agents are away.
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
    /// Tasks that become targets of the service's load balancers.
    pub registrations: Vec<TaskId>,
    /// The new values of deployments that changed. One that is INACTIVE leaves the service.
    pub deployments: Vec<Deployment>,
    /// Stopped tasks of the view: all of them are accounted for, and need not be shown again.
    pub accounted: Vec<TaskId>,
    /// What happened, in words, oldest first. That tasks were started is told by [`events::launched`], once they are.
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

impl View<'_> {
    /// The tasks that have not stopped.
    fn live(&self) -> impl Iterator<Item = &TaskView> {
        self.tasks.iter().filter(|task| task.phase != Phase::Stopped)
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
            && self.registrations.is_empty()
            && self.deployments.is_empty()
            && self.accounted.is_empty()
            && self.events.is_empty()
            && !self.drained
    }
}

/// What the service needs at this time.
#[must_use]
pub fn step(view: &View<'_>, now: Timestamp) -> Step {
    match view.spec.controller {
        DeploymentController::Ecs => held(view, now),
        DeploymentController::External => task_sets::step(view, now),
    }
}

/// What a service needs that is to consist of its primary deployment.
fn held(view: &View<'_>, now: Timestamp) -> Step {
    let mut pass = Pass::of(view, now);
    match view.status {
        ServiceStatus::Active => {
            account::account(&mut pass);
            targets::register(&mut pass);
            breaker::judge(&mut pass);
            match view.spec.scheduling {
                SchedulingStrategy::Replica => {
                    shift::advance(&mut pass);
                    rolling::hold(&mut pass);
                }
                SchedulingStrategy::Daemon => daemon::hold(&mut pass),
            }
            tell_stops(&mut pass);
            targets::tell_deregistrations(&mut pass);
            progress::settle(&mut pass);
            account::complain(&mut pass);
            account::remember(&mut pass);
        }
        ServiceStatus::Draining | ServiceStatus::Inactive => {
            end(&mut pass);
            tell_stops(&mut pass);
            targets::tell_deregistrations(&mut pass);
        }
    }
    pass.finish()
}

/// Stops all tasks of a service that was deleted, also those whose instance is lost: it hears of it when it is back.
fn end(pass: &mut Pass<'_>) {
    let view = pass.view;
    for task in view
        .tasks
        .iter()
        .filter(|task| task.wanted && task.phase < Phase::Stopping)
    {
        pass.stop(task, None);
    }
    pass.step.drained = view.live().next().is_none() && view.status == ServiceStatus::Draining;
}

/// Says which tasks are stopped.
fn tell_stops(pass: &mut Pass<'_>) {
    let tasks: Vec<_> = pass.step.stops.iter().map(|stop| stop.task).collect();
    let moved = match tasks.as_slice() {
        [only] if pass.rebalanced => pass.view.tasks.iter().find(|task| task.id == *only),
        _ => None,
    };
    let message = match moved {
        Some(task) => Some(events::moved(pass.view.name, task)),
        None => events::stopped(pass.view.name, &tasks),
    };
    if let Some(message) = message {
        pass.say(message);
    }
}

/// What follows for a deployment of which a task could not be placed, and what is to be said of it: it waits before it
/// tries again, longer each time (ECS guide, "Service throttle logic").
///
/// `view` is what the step was shown, and `deployment` the newest value: that of the step, where it changed it.
/// `explanation` is of [`events::unplaced`].
#[must_use]
pub fn unplaced(
    view: &View<'_>,
    deployment: &Deployment,
    launch: &Launch,
    explanation: String,
    now: Timestamp,
) -> (Deployment, Option<String>) {
    let mut waits = deployment.clone();
    let (about, message) = if let Place::Zone(_) = launch.place {
        waits.rebalance = None;
        (Subject::ZoneBalance, events::rebalance_stopped(view.name))
    } else {
        // The step took it that there is room now, and what it took back is put back.
        let before = view.deployments.iter().find(|before| before.id == deployment.id);
        let last = deployment.back_off.or(before.and_then(|before| before.back_off));
        waits.back_off = Some(BackOff::after(last, BackOffCause::Placement, now, now));
        waits.restore(Subject::Unplaced, before);
        // What the service is stopping leaves room in a moment: there is nothing to complain of yet.
        if view.live().any(|task| !task.wanted) {
            return (waits, None);
        }
        (Subject::Unplaced, explanation)
    };
    let event = waits.say_once(about, message, now);
    (waits, event)
}
