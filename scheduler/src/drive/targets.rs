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
use berth_scheduler_core::keys::{ClusterKey, TaskKey};
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
    loop {
        tokio::select! {
            () = registry.wake.notified() => {}
            _ = tick.tick() => {}
            _ = sweep.tick() => {
                let state = engine.view();
                registry.retain(|key| state.task(key).is_some_and(|task| task.target.is_some()));
            }
        }
        let said = registry.take_dirty();
        let state = engine.view();
        // Gateways at other schedulers are not heard here: a target may have connections that nobody here knows of, and
        // only its time tells.
        let hears_all = replicas.own().is_none();
        for command in commands(&state, (&registry, hears_all), said, clock::now()) {
            let cluster = command.cluster;
            if let Err(fault) = engine.submit(command, "scheduler".into()).await {
                tracing::warn!(cluster = cluster.0, error = %fault, "targets not recorded");
            }
        }
    }
}

/// What there is to record.
fn commands(
    state: &State,
    (registry, hears_all): (&Registry, bool),
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
    (registry, hears_all): (&Registry, bool),
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
            if (verdict.drained && hears_all) || by <= now {
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
