//! RunTask: the scheduler chooses the instances.

use std::sync::Arc;
use std::time::Duration;

use berth_model::fault::Fault;
use berth_model::id::TaskId;
use berth_model::placement::{Constraint, MAX_CONSTRAINTS, Strategy};
use berth_model::status::InstanceStatus;
use serde::{Deserialize, Serialize};

use super::ahead::Ahead;
use super::launch::Admitted;
pub use super::launch::{Call, Failure, Launched};
use super::queue::{check_length, obstacle};
use super::route::Route;
use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::keys::{ClusterKey, TaskKey};
use crate::launch::Wait;
use crate::place::{Request, Solution};
use crate::state::{Cluster, ShapeKey, State};

/// Places up to `count` copies; those that find no place are failures, not errors (ECS API, RunTask), unless they may
/// wait for one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunTask {
    /// What to run, and for whom.
    pub call: Call,
    /// 1 to 10.
    pub count: u32,
    /// Rules of this call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Constraint>,
    /// How to choose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strategies: Vec<Strategy>,
    /// How long copies that find no place may wait for one; nothing where they may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<Duration>,
}

impl Command for RunTask {
    type Outcome = Launched;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<Launched>, Fault> {
        let cluster = state.active_cluster(&self.call.cluster)?;
        if let Some(earlier) = self.call.replay(state, cluster.key)? {
            return Ok(Decision::unchanged(earlier));
        }
        let (route, admitted) = self.admit(state, cluster)?;
        let mut ahead = Ahead::of(state);
        let decided = self.place(&route, admitted, &mut ahead, env);
        ahead.leave(cluster.key, env);
        let decision = decided?;
        check_length(state, &self.call.cluster, queued(&decision.changes))?;
        Ok(decision)
    }
}

/// How many tasks the changes leave waiting.
fn queued(changes: &[Change]) -> usize {
    let waits = |change: &Change| {
        if let Change::TasksQueued { tasks, .. } = change {
            tasks.len()
        } else {
            0
        }
    };
    changes.iter().map(waits).sum()
}

impl RunTask {
    /// Places the parts of the call in turn, each where those before it have left room: an instance may be of both of
    /// Fargate's providers.
    fn place(
        &self,
        route: &Route,
        mut admitted: Admitted<'_>,
        ahead: &mut Ahead<'_>,
        env: &mut Env<'_>,
    ) -> Result<Decision<Launched>, Fault> {
        let mut sum = Decision::unchanged(Launched {
            cluster: admitted.cluster,
            tasks: Vec::new(),
            failures: Vec::new(),
            explanation: None,
        });
        for part in route.parts(ahead.state(), &[], self.count) {
            ahead.take(&sum.changes);
            let state = ahead.state();
            let patience = self.patience.or_else(|| part.patience(state));
            admitted.provider = part.provider;
            let one = match patience {
                None => self.place_now(part.count, state, &admitted, env)?,
                Some(patience) => self.place_or_wait(part.count, patience, state, &admitted, env),
            };
            sum.changes.extend(one.changes);
            sum.outcome.tasks.extend(one.outcome.tasks);
            sum.outcome.failures.extend(one.outcome.failures);
            sum.outcome.explanation = sum.outcome.explanation.or(one.outcome.explanation);
        }
        Ok(sum)
    }

    /// What is to be placed and where it goes, where the call may go on.
    pub(super) fn admit<'s>(&self, state: &'s State, cluster: &Cluster) -> Result<(Route, Admitted<'s>), Fault> {
        let route = Route::of(cluster, self.call.launch_type, &self.call.capacity)?;
        let mut admitted = self.call.admit(state, cluster.key)?;
        let member_of = &admitted.registered.constraints;
        let constraints = self.constraints.len() + member_of.len();
        if constraints > MAX_CONSTRAINTS {
            return Err(Fault::invalid(format!(
                "placementConstraints of the request and the task definition are {constraints} together, at most {MAX_CONSTRAINTS} are allowed."
            )));
        }
        route.check(&admitted.effective, constraints, self.strategies.len())?;
        admitted.launch_type = route.launch_type;
        Ok((route, admitted))
    }

    /// What is to be placed, where all of it goes to one provider or to none.
    ///
    /// # Errors
    /// `UnsupportedFeatureException` for a strategy that gives tasks to several.
    pub(super) fn request(&self, state: &State, cluster: &Cluster) -> Result<Request, Fault> {
        let (route, mut admitted) = self.admit(state, cluster)?;
        let mut parts = route.parts(state, &[], self.count);
        let (part, others) = (parts.pop(), parts);
        if !others.is_empty() {
            return Err(Fault::unsupported(
                "A plan is made for one capacity provider: capacityProviderStrategy gives tasks to several.",
            ));
        }
        admitted.provider = part.and_then(|part| part.provider);
        Ok(self.request_of(&admitted))
    }

    fn request_of(&self, admitted: &Admitted<'_>) -> Request {
        admitted.request(self.constraints.clone(), self.strategies.clone())
    }

    fn place_now(
        &self,
        count: u32,
        state: &State,
        admitted: &Admitted<'_>,
        env: &mut Env<'_>,
    ) -> Result<Decision<Launched>, Fault> {
        if !any_active(state, admitted.cluster) {
            return Err(Fault::invalid("No Container Instances were found in your cluster."));
        }
        let request = self.request_of(admitted);
        let seed = env.draw();
        let index = env.memory().index(state, admitted.cluster);
        let solution = index.place(state, &request, count, seed);
        let (tasks, change) = admitted.placed(&self.call, state, &solution.placed, env);
        let (listed, explanation) = match solution.refused {
            Some(refused) => (refused.listed, Some(refused.explanation)),
            None => (Vec::new(), None),
        };
        Ok(Decision {
            changes: change.into_iter().collect(),
            outcome: Launched {
                cluster: admitted.cluster,
                tasks,
                failures: listed.into_iter().map(Failure::Refused).collect(),
                explanation,
            },
        })
    }

    /// Places what has room; the rest waits. Where others of the same shape wait already, all of it waits behind them.
    fn place_or_wait(
        &self,
        count: u32,
        patience: Duration,
        state: &State,
        admitted: &Admitted<'_>,
        env: &mut Env<'_>,
    ) -> Decision<Launched> {
        let (cluster, request) = (admitted.cluster, self.request_of(admitted));
        let ahead = state.queue().shape(&ShapeKey::of(cluster, &request));
        let solution = match ahead {
            Some(_) => Solution::default(),
            None => {
                let seed = env.draw();
                let index = env.memory().index(state, cluster);
                index.place(state, &request, count, seed)
            }
        };
        let (mut tasks, placed) = admitted.placed(&self.call, state, &solution.placed, env);
        let mut changes: Vec<Change> = placed.into_iter().collect();
        let waiting: Vec<TaskId> = (tasks.len()..usize::try_from(count).unwrap_or(usize::MAX))
            .map(|_| env.task_id())
            .collect();
        if !waiting.is_empty() {
            let same = ahead.and_then(|shape| {
                state.queue().task(TaskKey {
                    cluster,
                    task: shape.newest()?,
                })
            });
            let (reason, detail) = match (same, solution.refused) {
                (Some(task), _) => (Arc::clone(&task.wait.reason), Arc::clone(&task.wait.detail)),
                (None, refused) => obstacle(refused.map(|refused| refused.explanation).as_ref()),
            };
            let wait = Wait {
                launch: Arc::new(admitted.launch(&self.call, env)),
                constraints: self.constraints.clone(),
                strategies: self.strategies.clone(),
                deadline: env.now() + patience,
                reason,
                detail,
            };
            tasks.extend(&waiting);
            changes.push(Change::TasksQueued {
                cluster,
                wait: Arc::new(wait),
                tasks: waiting,
            });
        }
        Decision {
            changes,
            outcome: Launched {
                cluster,
                tasks,
                failures: Vec::new(),
                explanation: None,
            },
        }
    }
}

/// Whether the cluster has an instance that takes tasks.
fn any_active(state: &State, cluster: ClusterKey) -> bool {
    let mut instances = state.instances_of(cluster);
    instances.any(|instance| instance.status == InstanceStatus::Active)
}
