//! Records how targets are, and lets go of those that are to stop when no gateway has a connection to them.
//!
//! Woken by what gateways say and by tasks that begin to leave, and once a second while any leaves: a gateway that has
//! gone, or a time that is up, is told by nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use berth_model::id::TaskId;
use berth_model::time::Timestamp;
use berth_scheduler_core::decide::target::RecordTargets;
use berth_scheduler_core::keys::{ClusterKey, Revision, TaskKey};
use berth_scheduler_core::state::State;

use super::every;
use crate::clock;
use crate::engine::Engine;
use crate::gateways::Registry;
use crate::replicas::Replicas;

/// How often targets that leave are looked at, whatever was heard.
const TICK: Duration = Duration::from_secs(1);
/// How often what was said of tasks that are no targets any more is dropped.
const SWEEP: Duration = Duration::from_secs(60);
/// Targets that one command is about, so that no other waits long behind it.
const AT_ONCE: usize = 1000;

/// Keeps the state true to what gateways say, until the engine is gone.
pub async fn keep_targets(engine: Engine, registry: Arc<Registry>, replicas: Arc<Replicas>) {
    let mut tick = every(TICK);
    let mut sweep = every(SWEEP);
    let mut leaving = Leaving::default();
    loop {
        tokio::select! {
            () = registry.wake.notified() => {}
            _ = tick.tick() => {}
            _ = sweep.tick() => {
                let state = engine.view();
                registry.retain(|key| state.task(key).is_some_and(|task| task.target.is_some()));
            }
        }
        registry.observe_others(replicas.certain_others().as_ref());
        if engine.cut_off().is_some() {
            // What gateways say cannot be recorded here, nor what they should know be told. Another scheduler may do better.
            registry.end_all();
            continue;
        }
        let said = registry.take_dirty();
        let state = engine.view();
        leaving.observe(&state);
        let hears_all = |key| registry.hears_all(leaving.since(key));
        for command in commands(&state, (&registry, &hears_all), said, clock::now()) {
            let cluster = command.cluster;
            if let Err(fault) = engine.submit(command, "scheduler".into()).await {
                tracing::warn!(cluster = cluster.0, error = %fault, "targets not recorded");
            }
        }
    }
}

/// Targets that leave, and in which state that was seen first.
#[derive(Debug, Default)]
struct Leaving(BTreeMap<TaskKey, Revision>);

impl Leaving {
    fn observe(&mut self, state: &State) {
        let known = std::mem::take(&mut self.0);
        let since = |key| known.get(&key).copied().unwrap_or_else(|| state.revision());
        self.0.extend(state.deregistering().map(|(_, key)| (key, since(key))));
    }

    /// A scheduler that has seen this tells no gateway to send it anything.
    fn since(&self, key: TaskKey) -> Revision {
        self.0.get(&key).copied().unwrap_or(Revision(u64::MAX))
    }
}

/// What there is to record. `hears_all` says whether all gateways are known that ever sent something to the target.
fn commands(
    state: &State,
    (registry, hears_all): (&Registry, &dyn Fn(TaskKey) -> bool),
    said: BTreeMap<ClusterKey, BTreeSet<TaskId>>,
    now: Timestamp,
) -> Vec<RecordTargets> {
    let mut looks = said;
    for (_, key) in state.deregistering() {
        looks.entry(key.cluster).or_default().insert(key.task);
    }
    let mut commands = Vec::new();
    for (cluster, tasks) in looks {
        let tasks: Vec<TaskId> = tasks.into_iter().collect();
        for tasks in tasks.chunks(AT_ONCE) {
            let mut command = RecordTargets {
                cluster,
                health: Vec::new(),
                drained: Vec::new(),
            };
            for task in tasks {
                let key = TaskKey { cluster, task: *task };
                look(state, (registry, hears_all), key, now, &mut command);
            }
            if !command.health.is_empty() || !command.drained.is_empty() {
                commands.push(command);
            }
        }
    }
    commands
}

/// Adds to the command what there is to record of the task.
fn look(
    state: &State,
    (registry, hears_all): (&Registry, &dyn Fn(TaskKey) -> bool),
    key: TaskKey,
    now: Timestamp,
    command: &mut RecordTargets,
) {
    let Some(task) = state.task(key) else { return };
    let Some(target) = &task.target else { return };
    let service = task.launch.service_key(key.cluster);
    let Some(service) = service.and_then(|service| state.service(&service)) else {
        return;
    };
    let groups = service.load_balancers_of_task(task).iter();
    let verdict = registry.verdict(key, groups.map(|one| one.target_group_arn.as_str()));
    match target.deregister_by {
        // What leaves is not judged any more.
        Some(by) => {
            if by <= now || (verdict.drained && hears_all(key)) {
                command.drained.push(key.task);
            }
        }
        None => {
            if let Some((health, reason)) = verdict.health.filter(|(health, _)| *health != target.health) {
                command.health.push((key.task, health, reason));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_nobody_saw_leave_is_not_let_go_of() {
        let mut leaving = Leaving::default();
        leaving.observe(&State::default());
        let key = TaskKey {
            cluster: ClusterKey(1),
            task: TaskId::from_bits(1),
        };
        assert_eq!(leaving.since(key), Revision(u64::MAX));
    }
}
