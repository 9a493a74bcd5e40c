//! The only writer of state: adds what happened.
//!
//! Total: a change that names something the state does not have (which no decision makes) leaves that part alone
//! rather than failing, so that a journal can always be replayed to its end.

mod definition;
mod instance;
pub(crate) mod queue;
mod schedule;
mod service;
mod tag;
mod target;

use std::sync::Arc;

use berth_model::cluster::ClusterSettings;
use berth_model::id::TaskId;
use berth_model::status::{ClusterStatus, DesiredStatus, TaskStatus};
use berth_model::time::Timestamp;

use crate::change::{Change, Record};
use crate::keys::{ClusterKey, InstanceKey, TaskKey};
use crate::launch::{Launch, Placement};
use crate::observation::{Observation, has_log_tail};
use crate::state::{Cluster, Instance, State, Stop, Task};

/// Adds a record: its changes, and its revision.
pub fn fold_record(state: &mut State, record: &Record) {
    for change in record.entries.iter().flat_map(|entry| &entry.changes) {
        fold(state, change);
    }
    state.revision = record.revision;
}

/// Adds one change.
pub fn fold(state: &mut State, change: &Change) {
    match change {
        Change::ClusterCreated { name, key, tags } => {
            let cluster = Cluster {
                name: name.clone(),
                key: *key,
                status: ClusterStatus::Active,
                tags: tags.clone(),
                settings: ClusterSettings::default(),
                instances: 0,
                pending: 0,
                running: 0,
                live: 0,
                queued: 0,
                arrivals: 0,
                services: 0,
                disconnected: 0,
                providers: Vec::new(),
                default_strategy: Vec::new(),
                room_since: None,
            };
            state.clusters.insert(name.clone(), Arc::new(cluster));
            state.cluster_names.insert(*key, name.clone());
        }
        Change::ClusterUpdated { name, settings } => {
            if let Some(cluster) = state.clusters.get_mut(name) {
                Arc::make_mut(cluster).settings = settings.clone();
            }
        }
        Change::AccountSettingSet { name, principal, value } => {
            let key = (*name, principal.clone());
            match value {
                Some(value) => drop(state.account_settings.insert(key, Arc::clone(value))),
                None => drop(state.account_settings.remove(&key)),
            }
        }
        Change::ClusterDeleted { name } => {
            if let Some(cluster) = state.clusters.get_mut(name) {
                Arc::make_mut(cluster).status = ClusterStatus::Inactive;
            }
        }
        Change::CapacityProviderSet { provider } => {
            state.providers.insert(provider.name.clone(), Arc::clone(provider));
        }
        Change::CapacityProviderDeleted { name } => {
            state.providers.remove(name);
        }
        Change::ClusterProvidersSet {
            cluster,
            providers,
            strategy,
        } => with_cluster(state, *cluster, |cluster| {
            cluster.providers.clone_from(providers);
            cluster.default_strategy.clone_from(strategy);
        }),
        Change::DefinitionRegistered { .. }
        | Change::DefinitionDeregistered { .. }
        | Change::DefinitionDeletionRequested { .. }
        | Change::DefinitionsForgotten { .. } => definition::fold(state, change),
        Change::TagsSet { of, tags } => tag::set(state, of, tags),
        Change::InstanceRegistered { .. }
        | Change::InstanceConnection { .. }
        | Change::InstanceStatusSet { .. }
        | Change::InstanceAttributesSet { .. } => instance::fold(state, change),
        Change::TasksPlaced {
            cluster,
            launch,
            placements,
        } => {
            place(state, *cluster, launch, placements);
            let tasks = placements.iter().map(|placement| placement.task);
            remember_token(state, *cluster, launch, tasks);
        }
        Change::TasksQueued { cluster, wait, tasks } => queue::enqueue(state, *cluster, wait, tasks),
        Change::QueuedTasksPlaced { cluster, placements } => queue::place(state, *cluster, placements),
        Change::QueuedTaskEnded {
            cluster,
            task,
            code,
            reason,
            at,
        } => {
            let key = TaskKey {
                cluster: *cluster,
                task: *task,
            };
            let stop = Stop {
                code: Some(*code),
                reason: Arc::clone(reason),
            };
            queue::end(state, key, stop, *at);
        }
        Change::TaskStopRequested {
            cluster,
            task,
            code,
            reason,
            at,
            deregister_by,
        } => {
            let key = TaskKey {
                cluster: *cluster,
                task: *task,
            };
            let stop = Stop {
                code: Some(*code),
                reason: Arc::clone(reason),
            };
            request_stop(state, key, stop, *at, *deregister_by);
        }
        Change::TargetsRegistered { cluster, tasks } => target::register(state, *cluster, tasks),
        Change::TargetHealthSet {
            cluster,
            task,
            health,
            reason,
        } => target::set_health(state, *cluster, *task, *health, reason),
        Change::TargetsDeregistered { cluster, tasks } => target::deregister(state, *cluster, tasks),
        Change::TaskObserved {
            cluster,
            task,
            observed,
            at,
        } => {
            let key = TaskKey {
                cluster: *cluster,
                task: *task,
            };
            observe(state, key, observed, *at);
        }
        Change::TaskProtectionSet { cluster, task, until } => {
            let key = TaskKey {
                cluster: *cluster,
                task: *task,
            };
            // Seen by nobody who is told of versions, so none is raised.
            if let Some(task) = state.tasks.get_mut(&key) {
                Arc::make_mut(task).protected_until = *until;
            }
        }
        Change::TasksForgotten { cluster, tasks } => {
            for task in tasks {
                forget(
                    state,
                    TaskKey {
                        cluster: *cluster,
                        task: *task,
                    },
                );
            }
        }
        // They are told in histories, and change nothing that is.
        Change::SessionOpened { .. } | Change::SessionEnded { .. } => {}
        Change::EventsDelivered { receiver, position } => {
            let known = state.deliveries.entry(Arc::clone(receiver)).or_insert(*position);
            *known = (*known).max(*position);
        }
        Change::JoinTokenPut { token } => drop(state.join_tokens.insert(Arc::clone(&token.id), Arc::clone(token))),
        Change::JoinTokenDeleted { id } => drop(state.join_tokens.remove(id)),
        Change::MemberEnrolled { enrollment } => {
            drop(state.members.insert(enrollment.member.clone(), Arc::clone(enrollment)));
        }
        Change::MemberRemoved { member } => drop(state.members.remove(member)),
        Change::OperatorCertified { .. } => {}
        Change::AccessKeyPut { key } => drop(state.access_keys.insert(key.id.clone(), Arc::clone(key))),
        Change::AccessKeyDeleted { id } => drop(state.access_keys.remove(id)),
        Change::ServiceCreated { .. }
        | Change::ServiceUpdated { .. }
        | Change::ServiceStepped { .. }
        | Change::ServiceScalingSet { .. }
        | Change::ServiceScaled { .. }
        | Change::ServiceDeleted { .. }
        | Change::ServiceInactive { .. }
        | Change::ServicesForgotten { .. } => service::fold(state, change),
        Change::ScheduleCreated { .. }
        | Change::ScheduleUpdated { .. }
        | Change::ScheduleRan { .. }
        | Change::ScheduleRetried { .. }
        | Change::ScheduleDeleted { .. } => schedule::fold(state, change),
    }
}

pub(crate) use definition::add_definition;
pub(crate) use instance::add_instance;
use instance::with_instance;
pub(crate) use service::{add_service, with_service};

/// Adds a task that was placed before and has come as far as it says.
pub(crate) fn add_task(state: &mut State, cluster: ClusterKey, task: Task) {
    let key = TaskKey { cluster, task: task.id };
    if task.is_stopped() {
        // It holds nothing, and what it had may be another's by now.
        state.stopped.insert((stopped_millis(&task), key));
        state.tasks.insert(key, Arc::new(task));
        return;
    }
    let placement = Placement {
        task: task.id,
        instance: task.instance,
        gpus: Arc::clone(&task.gpus),
    };
    let version = task.version;
    place(state, cluster, &task.launch, &[placement]);
    replace(state, key, task);
    if let Some(task) = state.tasks.get_mut(&key) {
        Arc::make_mut(task).version = version;
    }
}

fn with_cluster(state: &mut State, key: ClusterKey, edit: impl FnOnce(&mut Cluster)) {
    if let Some(name) = state.cluster_names.get(&key)
        && let Some(cluster) = state.clusters.get_mut(name)
    {
        edit(Arc::make_mut(cluster));
    }
}

fn place(state: &mut State, cluster: ClusterKey, launch: &Arc<Launch>, placements: &[Placement]) {
    for placement in placements {
        let instance = InstanceKey {
            cluster,
            instance: placement.instance,
        };
        let key = TaskKey {
            cluster,
            task: placement.task,
        };
        with_instance(state, instance, |instance| {
            instance.take(&launch.demand, &placement.gpus);
            instance.join_group(&launch.group);
            instance.pending += 1;
            instance.live.insert(placement.task);
        });
        state
            .tasks
            .insert(key, Arc::new(Task::new(placement.clone(), Arc::clone(launch))));
    }
    let count = u32::try_from(placements.len()).unwrap_or(u32::MAX);
    with_cluster(state, cluster, |cluster| {
        cluster.pending += count;
        cluster.live += count;
    });
    service::placed(state, cluster, launch, placements);
}

/// Adds tasks to those that the client token of their call has started.
fn remember_token(state: &mut State, cluster: ClusterKey, launch: &Launch, tasks: impl Iterator<Item = TaskId>) {
    let Some(token) = &launch.client_token else { return };
    let key = (cluster, Arc::clone(&token.token));
    let known = state.client_tokens.get(&key).map(Arc::clone);
    let tasks = known
        .iter()
        .flat_map(|known| known.iter().copied())
        .chain(tasks)
        .collect();
    state.client_tokens.insert(key, tasks);
}

fn request_stop(state: &mut State, key: TaskKey, stop: Stop, at: Timestamp, deregister_by: Option<Timestamp>) {
    let Some(task) = state.tasks.get(&key) else {
        return;
    };
    if task.desired == DesiredStatus::Stopped {
        return;
    }
    let mut next = Task::clone(task);
    next.desired = DesiredStatus::Stopped;
    next.times.stopping = next.times.stopping.or(Some(at));
    next.stop = Some(Arc::new(stop));
    if let Some(target) = &mut next.target {
        target.deregister_by = deregister_by;
        if deregister_by.is_some() {
            next.last = next.last.max(TaskStatus::Deactivating);
        } else {
            next.target = None;
        }
    }
    replace(state, key, next);
}

fn observe(state: &mut State, key: TaskKey, observed: &Observation, at: Timestamp) {
    let Some(last) = state.tasks.get(&key) else {
        return;
    };
    let had_tail = has_log_tail(&last.containers);
    let Some(mut next) = last.observe(observed) else {
        return;
    };
    if !had_tail && has_log_tail(&next.containers) {
        service::quoted(state, key, &next);
    }
    if next.is_stopped() {
        next.stopped_at = Some(at);
        next.times.stopping = next.times.stopping.or(Some(at));
        next.times.execution_stopped = next.times.execution_stopped.or(Some(at));
    }
    replace(state, key, next);
}

/// Puts the next state of a task in place of the last, and keeps every count and index true.
fn replace(state: &mut State, key: TaskKey, mut next: Task) {
    let Some(last) = state.tasks.get(&key).map(Arc::clone) else {
        return;
    };
    next.version = last.version + 1;
    let next = Arc::new(next);
    let instance = InstanceKey {
        cluster: key.cluster,
        instance: next.instance,
    };
    with_instance(state, instance, |instance| settle(instance, &last, &next));
    with_cluster(state, key.cluster, |cluster| {
        recount(&mut cluster.pending, last.is_pending(), next.is_pending());
        recount(&mut cluster.running, is_running(&last), is_running(&next));
        recount(&mut cluster.live, !last.is_stopped(), !next.is_stopped());
    });
    if next.is_stopped() && !last.is_stopped() {
        state.stopped.insert((stopped_millis(&next), key));
        service::ended(state, key, &next);
        schedule::ended(state, key, &next);
    }
    if last.deregister_by() != next.deregister_by() {
        last.deregister_by().map(|by| state.deregistering.remove(&(by, key)));
        next.deregister_by().map(|by| state.deregistering.insert((by, key)));
    }
    state.tasks.insert(key, next);
}

fn settle(instance: &mut Instance, last: &Task, next: &Task) {
    recount(&mut instance.pending, last.is_pending(), next.is_pending());
    recount(&mut instance.running, is_running(last), is_running(next));
    for port in last.bound_ports().iter() {
        instance.used_ports.release(port);
    }
    for port in next.bound_ports().iter() {
        instance.used_ports.take(port);
    }
    if last.desired == DesiredStatus::Running && next.desired == DesiredStatus::Stopped {
        instance.leave_group(&next.launch.group);
    }
    if next.is_stopped() && !last.is_stopped() {
        instance.live.remove(&next.id);
        instance.release(&next.launch.demand, &next.gpus);
    }
}

fn recount(count: &mut u32, before: bool, after: bool) {
    match (before, after) {
        (false, true) => *count += 1,
        (true, false) => *count = count.saturating_sub(1),
        (true, true) | (false, false) => {}
    }
}

fn is_running(task: &Task) -> bool {
    task.last == TaskStatus::Running
}

fn stopped_millis(task: &Task) -> i64 {
    task.stopped_at.map_or(0, Timestamp::as_millis)
}

fn forget(state: &mut State, key: TaskKey) {
    let launch = match state.tasks.get(&key) {
        Some(task) if task.is_stopped() => {
            let task = Arc::clone(task);
            state.tasks.remove(&key);
            state.stopped.remove(&(stopped_millis(&task), key));
            service::forgotten(state, key, &task);
            Arc::clone(&task.launch)
        }
        Some(_) => return,
        None => match queue::forget(state, key) {
            Some(launch) => launch,
            None => return,
        },
    };
    if let Some(token) = &launch.client_token {
        let token = (key.cluster, Arc::clone(&token.token));
        let all_gone = state.client_tokens.get(&token).is_some_and(|tasks| {
            let cluster = key.cluster;
            let gone = |task: &TaskId| state.launch_of(TaskKey { cluster, task: *task }).is_none();
            tasks.iter().all(gone)
        });
        if all_gone {
            state.client_tokens.remove(&token);
        }
    }
}
