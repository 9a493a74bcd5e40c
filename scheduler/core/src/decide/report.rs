//! What agents say of their tasks.

use std::sync::Arc;

use berth_model::fault::Fault;
use berth_model::id::TaskId;

use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::keys::{InstanceKey, TaskKey};
use crate::observation::Observation;
use crate::state::State;

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

impl Command for ReportTasks {
    type Outcome = ();

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        let changes = self
            .reports
            .iter()
            .filter(|(task, observed)| {
                let key = TaskKey {
                    cluster: self.instance.cluster,
                    task: *task,
                };
                // Another instance has nothing to say about the task, whatever it believes.
                let own = state.task(key).filter(|task| task.instance == self.instance.instance);
                own.is_some_and(|task| task.observe(observed).is_some())
            })
            .map(|(task, observed)| Change::TaskObserved {
                cluster: self.instance.cluster,
                task: *task,
                observed: Arc::clone(observed),
                at: env.now(),
            })
            .collect();
        Ok(Decision { changes, outcome: () })
    }
}
