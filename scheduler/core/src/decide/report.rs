//! What agents say of their tasks.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_model::fault::Fault;
use berth_model::id::{DeploymentId, TaskId};

use crate::assign::is_assigned;
use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::keys::{InstanceKey, TaskKey};
use crate::observation::{ContainerState, Observation, has_log_tail};
use crate::service::Explained;
use crate::state::{State, Task};

/// Records what an agent says of tasks of its instance.
///
/// A report may come late, twice or for a task that is long forgotten; none of that is an error.
#[derive(Debug, Clone)]
pub struct ReportTasks {
    /// The instance whose agent speaks.
    pub instance: InstanceKey,
    /// Each task with all that the agent knows of it.
    pub reports: Vec<(TaskId, Arc<Observation>)>,
}

/// Which of the tasks that an agent runs, and was not told of, are none of its instance's: it may stop them.
///
/// A command although it changes nothing: it must not be answered of a state that others have gone beyond, which would
/// have a task stopped that was only just placed.
#[derive(Debug, Clone)]
pub struct ConsiderStops {
    /// The instance whose agent asks.
    pub instance: InstanceKey,
    /// The tasks that it runs.
    pub tasks: Vec<TaskId>,
}

impl Command for ConsiderStops {
    type Outcome = Vec<TaskId>;

    fn decide(&self, state: &State, _env: &mut Env<'_>) -> Result<Decision<Vec<TaskId>>, Fault> {
        let tasks = self.tasks.iter().copied();
        let foreign = tasks.filter(|task| !is_assigned(state, self.instance, *task));
        Ok(Decision::unchanged(foreign.collect()))
    }
}

impl Command for ReportTasks {
    type Outcome = ();

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        let mut tails = Tails {
            state,
            instance: self.instance,
            taken: BTreeMap::new(),
        };
        let mut changes = Vec::new();
        for (id, observed) in &self.reports {
            let key = TaskKey {
                cluster: self.instance.cluster,
                task: *id,
            };
            // Another instance has nothing to say about the task, whatever it believes.
            let Some(task) = state.task(key).filter(|task| task.instance == self.instance.instance) else {
                continue;
            };
            let observed = tails.bounded(task, observed);
            if task.observe(&observed).is_some() {
                changes.push(Change::TaskObserved {
                    cluster: self.instance.cluster,
                    task: *id,
                    observed,
                    at: env.now(),
                });
            }
        }
        Ok(Decision { changes, outcome: () })
    }
}

/// Whose last log lines the journal takes: those of the first few tasks of a service's deployment that fail.
struct Tails<'s> {
    state: &'s State,
    instance: InstanceKey,
    /// Tasks of this command that are among them, by deployment.
    taken: BTreeMap<DeploymentId, u32>,
}

impl Tails<'_> {
    /// What was observed, without the lines that are not kept.
    fn bounded(&mut self, task: &Task, observed: &Arc<Observation>) -> Arc<Observation> {
        if !has_log_tail(&observed.containers) || has_log_tail(&task.containers) || self.take(task) {
            return Arc::clone(observed);
        }
        let without = |container: &ContainerState| ContainerState {
            log_tail: None,
            ..container.clone()
        };
        Arc::new(Observation {
            containers: observed.containers.iter().map(without).collect(),
            ..Observation::clone(observed)
        })
    }

    fn take(&mut self, task: &Task) -> bool {
        let Some(launch) = &task.launch.service else {
            return false;
        };
        // One that somebody stops has not failed, however it ends.
        if task.stop.is_some() {
            return false;
        }
        let service = task.launch.service_key(self.instance.cluster);
        let service = service.and_then(|key| self.state.service(&key));
        let Some(deployment) = service.and_then(|service| service.deployment(launch.deployment)) else {
            return false;
        };
        let taken = self.taken.entry(launch.deployment).or_default();
        let room = deployment.explained.log_tails + *taken < Explained::MOST;
        *taken += u32::from(room);
        room
    }
}
