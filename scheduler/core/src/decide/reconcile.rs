//! Brings a service nearer to what it is to be: looks at it as it is now, takes the step that [`crate::reconcile`]
//! says, and finds places for the tasks that it asks for.
//!
//! Decided against the newest state and again after a conflict, so that no bound of a deployment is crossed by what has
//! happened between the look and the append.

mod cause;
mod placing;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;

use berth_model::fault::Fault;
use berth_model::id::{DeploymentId, TaskId};
use berth_model::service::ServiceStatus;
use berth_model::status::StopCode;
use berth_model::time::Timestamp;

use self::placing::{Placing, Unplaced};
pub use self::view::places;
use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::decide::ahead::Ahead;
use crate::decide::stop::requested;
use crate::keys::{ServiceKey, TaskKey};
use crate::place::Request;
use crate::reconcile::{self, Launch, Step, Timing, View, events};
use crate::service::{BackOffCause, Deployment, ServiceEvent};
use crate::state::{Service, State};

/// Takes the next step of a service.
#[derive(Debug, Clone)]
pub struct ReconcileService {
    /// The service.
    pub key: ServiceKey,
    /// How long things take that no event tells.
    pub timing: Timing,
}

/// What there is to know about a step that was taken.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Reconciled {
    /// When time alone makes another step due.
    pub wake: Option<Timestamp>,
    /// Whether there was no place for a task, so that room is worth another try.
    pub waits_for_room: bool,
    /// Whether there is more to do at once than one step does.
    pub unfinished: bool,
    /// How many tasks it looked at.
    pub tasks: usize,
}

impl Command for ReconcileService {
    type Outcome = Reconciled;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<Reconciled>, Fault> {
        let known = state.service(&self.key);
        let Some(service) = known.filter(|service| service.status != ServiceStatus::Inactive) else {
            return Ok(Decision::unchanged(Reconciled::default()));
        };
        let now = env.now();
        let room_since = Self::room_since(state, service, env);
        let current: Vec<Deployment> = service.current().cloned().collect();
        let view = view::of(state, service, &current, self.timing, room_since);
        let step = reconcile::step(&view, now);
        let mut pass = Pass {
            service,
            view: &view,
            changes: Vec::new(),
            deployments: Vec::new(),
            events: Vec::new(),
            outcome: Reconciled {
                wake: step.wake,
                tasks: view.tasks.len(),
                ..Reconciled::default()
            },
        };
        pass.take(state, step, env);
        Ok(pass.finish(&current))
    }
}

impl ReconcileService {
    /// When room appeared: an instance came, or a task has gone whose place one of the service's can take.
    fn room_since(state: &State, service: &Service, env: &mut Env<'_>) -> Option<Timestamp> {
        let cluster = state.cluster(state.cluster_name(service.cluster)?)?;
        let waits = |deployment: &&Deployment| {
            deployment
                .back_off
                .is_some_and(|back_off| back_off.cause == BackOffCause::Placement)
        };
        let fits = service.current().filter(waits).any(|deployment| {
            Placing::of(state, service, deployment).is_some_and(|placing| placing.has_room(state, env))
        });
        if fits { Some(env.now()) } else { cluster.room_since }
    }
}

/// A step while it becomes changes.
struct Pass<'s> {
    service: &'s Service,
    view: &'s View<'s>,
    changes: Vec<Change>,
    deployments: Vec<Deployment>,
    events: Vec<String>,
    outcome: Reconciled,
}

impl Pass<'_> {
    fn take(&mut self, state: &State, step: Step, env: &mut Env<'_>) {
        let cluster = self.service.cluster;
        self.deployments = step.deployments;
        self.launch_all(state, &step.launches, env);
        for stop in step.stops {
            let key = TaskKey {
                cluster,
                task: stop.task,
            };
            let code = StopCode::ServiceSchedulerInitiated;
            self.changes.push(requested(state, key, code, stop.reason, env.now()));
        }
        if !step.registrations.is_empty() {
            self.changes.push(Change::TargetsRegistered {
                cluster,
                tasks: step.registrations,
            });
        }
        self.events.extend(step.events);
        self.step(step.accounted, env);
        if step.drained {
            self.changes.push(Change::ServiceInactive {
                cluster,
                service: self.service.name.clone(),
                at: env.now(),
            });
        }
    }

    /// Places the tasks of all launches, each where those before it have left room.
    fn launch_all(&mut self, state: &State, launches: &[Launch], env: &mut Env<'_>) {
        let mut left = placing::AT_ONCE;
        let mut ahead = Ahead::of(state);
        for launch in launches {
            ahead.take(&self.changes);
            self.launch(ahead.state(), launch, &mut left, env);
        }
        ahead.leave(self.service.cluster, env);
    }

    /// Places the tasks of a launch, and remembers that there was no place where there was none.
    fn launch(&mut self, state: &State, launch: &Launch, left: &mut u32, env: &mut Env<'_>) {
        let changed = self.deployments.iter().find(|changed| changed.id == launch.deployment);
        let Some(deployment) = changed.or_else(|| self.service.deployment(launch.deployment)) else {
            return;
        };
        let deployment = deployment.clone();
        let Some(placing) = Placing::of(state, self.service, &deployment) else {
            return;
        };
        if launch.place.count() > *left {
            self.outcome.unfinished = true;
        }
        let placed = placing.place(state, &launch.place, *left, env);
        *left = left.saturating_sub(launch.place.count());
        let started = events::launched(&self.service.name, launch, &placed.tasks);
        self.events.extend(started.map(|message| about(&deployment, message)));
        self.changes.extend(placed.changes);
        if let Some(unplaced) = placed.unplaced {
            self.note_unplaced(&deployment, launch, &unplaced, env);
        }
    }

    fn note_unplaced(&mut self, deployment: &Deployment, launch: &Launch, unplaced: &Unplaced, env: &Env<'_>) {
        let explanation = unplaced.explain(&self.service.name);
        let (next, event) = reconcile::unplaced(self.view, deployment, launch, explanation, env.now());
        let until = next.back_off.map(|back_off| back_off.until);
        self.outcome.waits_for_room = true;
        self.outcome.wake = match (self.outcome.wake, until) {
            (Some(wake), Some(until)) => Some(wake.min(until)),
            (wake, until) => wake.or(until),
        };
        self.events.extend(event.map(|message| about(deployment, message)));
        self.put(next);
    }

    fn put(&mut self, deployment: Deployment) {
        self.deployments.retain(|known| known.id != deployment.id);
        self.deployments.push(deployment);
    }

    /// Adds what is to be remembered of the step, if anything is.
    fn step(&mut self, accounted: Vec<TaskId>, env: &mut Env<'_>) {
        let unchanged = |deployment: &Deployment| self.service.deployment(deployment.id) == Some(deployment);
        let deployments: Vec<Deployment> = self.deployments.iter().filter(|it| !unchanged(it)).cloned().collect();
        if deployments.is_empty() && accounted.is_empty() && self.events.is_empty() {
            return;
        }
        let events = self.events.drain(..).map(|message| ServiceEvent {
            id: env.draw(),
            at: env.now(),
            message: message.into(),
        });
        self.changes.push(Change::ServiceStepped {
            cluster: self.service.cluster,
            service: self.service.name.clone(),
            deployments,
            accounted,
            events: events.collect(),
        });
    }

    fn finish(mut self, current: &[Deployment]) -> Decision<Reconciled> {
        let newest = |id: DeploymentId| self.deployments.iter().find(|changed| changed.id == id);
        let waits = |deployment: &Deployment| {
            let back_off = newest(deployment.id).unwrap_or(deployment).back_off;
            back_off.is_some_and(|back_off| back_off.cause == BackOffCause::Placement)
        };
        self.outcome.waits_for_room |= current.iter().any(waits);
        Decision {
            changes: self.changes,
            outcome: self.outcome,
        }
    }
}

/// What tasks of the service ask for which there is no room, and how many of each there are; nothing where it does not know
/// of a lack, or is not divided among capacity providers.
pub(crate) fn lacking(state: &State, service: &Service) -> Vec<(Request, u32)> {
    let waits = |deployment: &&Deployment| {
        let back_off = deployment.back_off;
        back_off.is_some_and(|back_off| back_off.cause == BackOffCause::Placement)
    };
    if !service.is_active() || service.is_daemon() {
        return Vec::new();
    }
    // Of a service that deploys itself it is the primary that launches, of others each task set.
    let launches = |deployment: &&Deployment| deployment.is_primary() || deployment.task_set.is_some();
    let divided = |deployment: &&Deployment| !service.spec.of(deployment).capacity.is_empty();
    let lacking = service.current().filter(launches).filter(waits).filter(divided);
    lacking
        .filter_map(|deployment| Placing::of(state, service, deployment))
        .flat_map(|placing| placing.lacking(state))
        .collect()
}

/// What is said of a service because of one of its deployments.
fn about(deployment: &Deployment, message: String) -> String {
    match deployment.task_set {
        None => message,
        Some(_) => events::of_task_set(deployment.id, &message),
    }
}

/// The service's group, by which placement counts its tasks.
fn group(service: &Service) -> Arc<str> {
    format!("service:{}", service.name).into()
}
