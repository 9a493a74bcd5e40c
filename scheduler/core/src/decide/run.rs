//! RunTask: the scheduler chooses the instances.

use std::sync::Arc;

use berth_model::fault::Fault;
use berth_model::placement::{Constraint, MAX_CONSTRAINTS, Strategy};
use berth_model::status::InstanceStatus;

use super::launch::Admitted;
pub use super::launch::{Call, Failure, Launched};
use crate::command::{Command, Decision, Env};
use crate::keys::ClusterKey;
use crate::place::Request;
use crate::state::{Instance, State};

/// Places up to `count` copies; those that find no place are failures, not errors (ECS API, RunTask).
#[derive(Debug, Clone)]
pub struct RunTask {
    /// What to run, and for whom.
    pub call: Call,
    /// 1 to 10.
    pub count: u32,
    /// Rules of this call.
    pub constraints: Vec<Constraint>,
    /// How to choose.
    pub strategies: Vec<Strategy>,
}

impl Command for RunTask {
    type Outcome = Launched;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<Launched>, Fault> {
        let cluster = state.active_cluster(&self.call.cluster)?;
        if let Some(earlier) = self.call.replay(state, cluster.key)? {
            return Ok(Decision::unchanged(earlier));
        }
        let (admitted, request) = self.admit(state, cluster.key)?;
        let active = |instance: &Arc<Instance>| instance.status == InstanceStatus::Active;
        if cluster.instances == 0 || !state.instances_of(cluster.key).any(active) {
            return Err(Fault::invalid("No Container Instances were found in your cluster."));
        }
        let seed = env.draw();
        let index = env.memory().index(state, cluster.key);
        let solution = index.place(state, &request, self.count, seed);
        let (tasks, change) = admitted.placed(&self.call, &solution.placed, env);
        let (listed, explanation) = match solution.refused {
            Some(refused) => (refused.listed, Some(refused.explanation)),
            None => (Vec::new(), None),
        };
        Ok(Decision {
            changes: change.into_iter().collect(),
            outcome: Launched {
                cluster: cluster.key,
                tasks,
                failures: listed.into_iter().map(Failure::Refused).collect(),
                explanation,
            },
        })
    }
}

impl RunTask {
    /// What is to be placed, where the call may go on.
    pub(super) fn admit<'s>(&self, state: &'s State, cluster: ClusterKey) -> Result<(Admitted<'s>, Request), Fault> {
        let admitted = self.call.admit(state, cluster)?;
        let member_of = &admitted.registered.constraints;
        let constraints = self.constraints.len() + member_of.len();
        if constraints > MAX_CONSTRAINTS {
            return Err(Fault::invalid(format!(
                "placementConstraints of the request and the task definition are {constraints} together, at most {MAX_CONSTRAINTS} are allowed."
            )));
        }
        let request = admitted.request(self.constraints.clone(), self.strategies.clone());
        Ok((admitted, request))
    }
}
