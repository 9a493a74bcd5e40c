//! StartTask: the caller names the instances.

use berth_model::fault::Fault;
use berth_model::id::InstanceId;

use super::launch::{Call, Failure, Launched};
use crate::command::{Command, Decision, Env};
use crate::keys::InstanceKey;
use crate::place::{Refusal, fits};
use crate::state::State;

/// Starts one copy on each of the instances that can take it; no strategy, the same checks (ECS API, StartTask).
#[derive(Debug, Clone)]
pub struct StartTask {
    /// What to start, and for whom.
    pub call: Call,
    /// 1 to 10 instances.
    pub instances: Vec<InstanceId>,
}

impl Command for StartTask {
    type Outcome = Launched;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<Launched>, Fault> {
        let cluster = state.active_cluster(&self.call.cluster)?.key;
        let admitted = self.call.admit(state, cluster)?;
        let request = admitted.request(Vec::new(), Vec::new());
        let mut placed: Vec<InstanceId> = Vec::new();
        let mut failures = Vec::new();
        for id in &self.instances {
            let key = InstanceKey { cluster, instance: *id };
            let Some(instance) = state.instance(key) else {
                failures.push(Failure::Missing(*id));
                continue;
            };
            let earlier = placed.iter().filter(|placed| *placed == id).count();
            let misfits = fits(instance, &request, u32::try_from(earlier).unwrap_or(u32::MAX));
            if misfits.is_empty() {
                placed.push(*id);
            } else {
                failures.push(Failure::Refused(Refusal { instance: *id, misfits }));
            }
        }
        let (tasks, change) = admitted.placed(&self.call, &placed, env);
        Ok(Decision {
            changes: change.into_iter().collect(),
            outcome: Launched {
                cluster,
                tasks,
                failures,
                explanation: None,
            },
        })
    }
}
