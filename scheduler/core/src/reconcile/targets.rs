//! Tasks as targets of their service's load balancers: those that run become targets, those that stop are let go of first.

use std::collections::{BTreeMap, BTreeSet};

use berth_model::id::{DeploymentId, TaskId};

use super::pass::Pass;
use super::{Phase, events};

/// Makes targets of the tasks that are RUNNING and are none yet.
pub(super) fn register(pass: &mut Pass<'_>) {
    let view = pass.view;
    for deployment in view.deployments.iter().filter(|it| !it.load_balancers.is_empty()) {
        let is_new = |task: &&super::TaskView| {
            task.deployment == deployment.id && task.phase == Phase::Running && task.wanted && task.target.is_none()
        };
        let new: Vec<TaskId> = view.tasks.iter().filter(is_new).map(|task| task.id).collect();
        if new.is_empty() {
            continue;
        }
        for load_balancer in &*deployment.load_balancers {
            pass.say(events::registered(
                view.name,
                new.len(),
                &load_balancer.target_group_arn,
            ));
        }
        pass.step.registrations.extend(new);
    }
}

/// Says of which tasks that are stopped the connections are drained.
pub(super) fn tell_deregistrations(pass: &mut Pass<'_>) {
    let stops: BTreeSet<TaskId> = pass.step.stops.iter().map(|stop| stop.task).collect();
    let mut draining: BTreeMap<DeploymentId, usize> = BTreeMap::new();
    for task in pass
        .view
        .tasks
        .iter()
        .filter(|task| task.target.is_some() && stops.contains(&task.id))
    {
        *draining.entry(task.deployment).or_default() += 1;
    }
    for (deployment, count) in draining {
        pass.say(events::draining(pass.view.name, deployment, count));
    }
}
