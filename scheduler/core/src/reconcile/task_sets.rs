//! What a service needs whose deployments somebody else makes: each of its task sets is held by itself, as a service of
//! that one deployment would be.

use std::sync::Arc;

use berth_model::id::DeploymentId;
use berth_model::service::{DeploymentStatus, ServiceStatus, StabilityStatus};
use berth_model::time::Timestamp;

use super::{Phase, Step, View, events};
use crate::service::{Deployment, Subject, TaskSet};

/// What the service needs at this time.
pub(super) fn step(view: &View<'_>, now: Timestamp) -> Step {
    let mut whole = Step {
        accounted: orphans(view),
        drained: view.status == ServiceStatus::Draining && view.live().next().is_none(),
        ..Step::default()
    };
    for deployment in view.deployments {
        let Some(set) = &deployment.task_set else { continue };
        let own = Own::of(view, deployment, set);
        let part = super::held(&own.view(view), now);
        own.add(part, &mut whole, now);
    }
    whole
}

/// Tasks that have stopped and whose task set is not there any more: they speak against nothing.
fn orphans(view: &View<'_>) -> Vec<berth_model::id::TaskId> {
    let is_known = |id: DeploymentId| view.deployments.iter().any(|deployment| deployment.id == id);
    let ended = view.tasks.iter().filter(|task| task.phase == Phase::Stopped);
    let orphans = ended.filter(|task| !is_known(task.deployment));
    orphans.map(|task| task.id).collect()
}

/// A task set as the only deployment of a service.
struct Own<'v> {
    deployment: &'v Deployment,
    set: &'v Arc<TaskSet>,
    spec: crate::service::ServiceSpec,
    status: ServiceStatus,
    /// What a service of one deployment consists of.
    alone: [Deployment; 1],
}

impl<'v> Own<'v> {
    fn of(view: &'v View<'_>, deployment: &'v Deployment, set: &'v Arc<TaskSet>) -> Self {
        let primary = Deployment {
            status: DeploymentStatus::Primary,
            ..deployment.clone()
        };
        Self {
            deployment,
            set,
            spec: view.spec.of(deployment).into_owned(),
            status: match set.deleted && view.status == ServiceStatus::Active {
                true => ServiceStatus::Draining,
                false => view.status,
            },
            alone: [primary],
        }
    }

    fn view<'p>(&'p self, view: &View<'p>) -> View<'p> {
        let tasks = view.tasks.iter();
        View {
            spec: &self.spec,
            status: self.status,
            deployments: &self.alone,
            tasks: tasks
                .filter(|task| task.deployment == self.deployment.id)
                .cloned()
                .collect(),
            places: Vec::new(),
            zones: Vec::new(),
            ..view.clone()
        }
    }

    /// Adds what the task set needs to what the service does.
    fn add(&self, part: Step, whole: &mut Step, now: Timestamp) {
        let changed = part.deployments.into_iter().next();
        let next = self.next(changed.unwrap_or_else(|| self.alone[0].clone()), part.drained, now);
        if next != *self.deployment {
            whole.deployments.push(next);
        }
        whole.launches.extend(part.launches);
        whole.stops.extend(part.stops);
        whole.registrations.extend(part.registrations);
        whole.accounted.extend(part.accounted);
        let about = |message: String| events::of_task_set(self.deployment.id, &message);
        whole.events.extend(part.events.into_iter().map(about));
        whole.wake = match (whole.wake, part.wake) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }

    /// The task set after its step, as what it is to its service.
    fn next(&self, mut after: Deployment, drained: bool, now: Timestamp) -> Deployment {
        after.status = match drained {
            true => DeploymentStatus::Inactive,
            false => self.deployment.status,
        };
        let is_steady = after.notices.iter().any(|notice| notice.about == Subject::SteadyState);
        let stability = match is_steady && self.status == ServiceStatus::Active {
            true => StabilityStatus::SteadyState,
            false => StabilityStatus::Stabilizing,
        };
        if stability != self.set.stability {
            after.task_set = Some(Arc::new(TaskSet {
                stability,
                stability_at: now,
                ..TaskSet::clone(self.set)
            }));
        }
        if drained || stability != self.set.stability {
            after.updated_at = now;
        }
        after
    }
}
