//! What is true of every state: checked by property tests, by simulation, and by debug builds after each record.

mod capacity;
mod log_tails;
mod queue;
mod schedule;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_model::gpu::GpuId;
use berth_model::id::{InstanceId, TaskId};
use berth_model::quantity::{CpuUnits, MemoryMib};
use berth_model::service::ServiceStatus;
use berth_model::status::{DefinitionStatus, DesiredStatus, InstanceStatus, TaskStatus};

use crate::keys::{InstanceKey, ServiceKey, TaskKey};
use crate::state::{HeldPorts, Service, State, Task};

/// Everything that is wrong with the state, in words; nothing when it is sound.
#[must_use]
pub fn violations(state: &State) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut by_instance: BTreeMap<InstanceKey, Vec<&Task>> = BTreeMap::new();
    for (key, task) in &state.tasks {
        if task.id != key.task {
            wrong.push(format!("task {} is kept under {}", task.id, key.task));
        }
        let instance = InstanceKey {
            cluster: key.cluster,
            instance: task.instance,
        };
        if task.last >= TaskStatus::Stopping && task.desired == DesiredStatus::Running {
            wrong.push(format!("task {} is {} and meant to run", task.id, task.last));
        }
        if !task.is_stopped() {
            by_instance.entry(instance).or_default().push(task);
        }
    }
    check_targets(state, &mut wrong);
    let ended = state.queue.tasks().filter(|(_, task)| !task.is_waiting()).count();
    let stopped = state.tasks.values().filter(|task| task.is_stopped()).count() + ended;
    if stopped != state.stopped.len() {
        wrong.push(format!(
            "{stopped} tasks have stopped, the index has {}",
            state.stopped.len()
        ));
    }
    for (key, _) in state.instances() {
        let tasks = by_instance.remove(&key).unwrap_or_default();
        check_instance(state, key, &tasks, &mut wrong);
    }
    for (key, tasks) in by_instance {
        wrong.push(format!(
            "{} tasks run on instance {} which does not exist",
            tasks.len(),
            key.instance
        ));
    }
    queue::check(state, &mut wrong);
    check_definitions(state, &mut wrong);
    check_clusters(state, &mut wrong);
    check_services(state, &mut wrong);
    schedule::check(state, &mut wrong);
    capacity::check(state, &mut wrong);
    log_tails::check(state, &mut wrong);
    for (id, key) in state.access_keys.iter().filter(|(id, key)| **id != key.id) {
        wrong.push(format!("access key {} is kept under {id}", key.id));
    }
    wrong
}

/// What runs, waits or is deployed has a definition, and those that are to be deleted are in the index.
fn check_definitions(state: &State, wrong: &mut Vec<String>) {
    let placed = state.tasks.values().map(|task| &task.launch.definition);
    let waiting = state.queue.tasks().map(|(_, task)| &task.wait.launch.definition);
    let deployed = state.services().flat_map(|service| service.deployments.iter());
    let used = placed
        .chain(waiting)
        .chain(deployed.map(|deployment| &deployment.definition));
    for id in used.filter(|id| state.definition(id).is_none()) {
        wrong.push(format!("task definition {id} is used and does not exist"));
    }
    let revisions = state.families().flat_map(|(_, family)| family.iter());
    let deleting = revisions.filter(|known| known.status == DefinitionStatus::DeleteInProgress);
    if !state.deleting.iter().eq(deleting.map(|known| &known.id)) {
        wrong.push("the index of definitions to be deleted has others than those that are".to_owned());
    }
}

/// Only tasks of services are targets, and those that leave are in the index.
fn check_targets(state: &State, wrong: &mut Vec<String>) {
    let mut leaving = 0;
    for (key, task) in state.tasks.iter().filter(|(_, task)| task.target.is_some()) {
        let id = task.id;
        if task.launch.service.is_none() || task.last < TaskStatus::Running || task.last > TaskStatus::Deactivating {
            wrong.push(format!("task {id} is a target and {}", task.last));
        }
        if (task.desired == DesiredStatus::Stopped) != task.deregister_by().is_some() {
            wrong.push(format!(
                "task {id} is a target, and whether it leaves is not what is wanted of it"
            ));
        }
        if let Some(by) = task.deregister_by() {
            leaving += 1;
            if !state.deregistering.contains(&(by, *key)) {
                wrong.push(format!("task {id} leaves its load balancers and is not in the index"));
            }
        }
    }
    if leaving != state.deregistering.len() {
        wrong.push(format!(
            "{leaving} tasks leave their load balancers, the index has {}",
            state.deregistering.len()
        ));
    }
}

fn check_instance(state: &State, key: InstanceKey, tasks: &[&Task], wrong: &mut Vec<String>) {
    let Some(instance) = state.instance(key) else {
        return;
    };
    let id = instance.id;
    if instance.leaving.is_some() && instance.status != InstanceStatus::Draining {
        wrong.push(format!(
            "instance {id} is {} although its host leaves",
            instance.status.name()
        ));
    }
    let mut cpu = CpuUnits(0);
    let mut memory = MemoryMib(0);
    let mut ports = HeldPorts::default();
    let mut fixed = BTreeSet::new();
    let mut gpus = BTreeSet::new();
    for task in tasks {
        for port in task.launch.demand.ports.iter().filter(|port| !fixed.insert(*port)) {
            wrong.push(format!(
                "port {}/{} of instance {id} was given to two tasks",
                port.port,
                port.protocol.name()
            ));
        }
        check_gpus(id, task, &mut gpus, wrong);
        cpu += task.launch.demand.cpu;
        memory += task.launch.demand.memory;
        for port in task.launch.demand.ports.iter().chain(task.bound_ports().iter()) {
            ports.take(port);
        }
    }
    if (instance.used_cpu, instance.used_memory) != (cpu, memory) {
        wrong.push(format!(
            "instance {id} counts {} CPU units and {} MiB used, its tasks reserve {cpu} and {memory}",
            instance.used_cpu, instance.used_memory
        ));
    }
    if instance.used_ports != ports {
        wrong.push(format!("instance {id} counts other ports than its tasks hold"));
    }
    if instance.used_gpus != gpus {
        wrong.push(format!("instance {id} counts other GPUs than its tasks have"));
    }
    let count =
        |test: fn(&Task) -> bool| u32::try_from(tasks.iter().filter(|task| test(task)).count()).unwrap_or(u32::MAX);
    let counts = (count(Task::is_pending), count(|task| task.last == TaskStatus::Running));
    if counts != (instance.pending, instance.running) {
        wrong.push(format!(
            "instance {id} counts {:?} tasks, it has {counts:?}",
            (instance.pending, instance.running)
        ));
    }
    if !instance.live.iter().eq(tasks.iter().map(|task| &task.id)) {
        wrong.push(format!("instance {id} lists other live tasks than it has"));
    }
    let mut groups: BTreeMap<_, u32> = BTreeMap::new();
    for task in tasks.iter().filter(|task| task.desired == DesiredStatus::Running) {
        *groups.entry(Arc::clone(&task.launch.group)).or_default() += 1;
    }
    if groups != instance.groups {
        wrong.push(format!("instance {id} counts other groups than its tasks are in"));
    }
}

/// A task has as many GPUs as it reserves, and none that another has.
fn check_gpus(id: InstanceId, task: &Task, taken: &mut BTreeSet<GpuId>, wrong: &mut Vec<String>) {
    let given: Vec<&GpuId> = task.gpus.iter().flat_map(|container| &container.ids).collect();
    if u32::try_from(given.len()) != Ok(task.launch.demand.gpus.0) {
        wrong.push(format!(
            "task {} reserves {} GPUs and has {}",
            task.id,
            task.launch.demand.gpus,
            given.len()
        ));
    }
    for gpu in given {
        if !taken.insert(gpu.clone()) {
            wrong.push(format!("GPU {gpu} of instance {id} was given to two tasks"));
        }
    }
}

fn check_clusters(state: &State, wrong: &mut Vec<String>) {
    for cluster in state.clusters() {
        let mut counts = (0, 0, 0, 0);
        let mut away = 0;
        for instance in state.instances_of(cluster.key) {
            counts.0 += u32::from(instance.status != InstanceStatus::Inactive);
            counts.1 += instance.pending;
            counts.2 += instance.running;
            counts.3 += u32::try_from(instance.live.len()).unwrap_or(u32::MAX);
            away += u32::from(instance.is_away());
        }
        let waiting = state.queue.tasks_of(cluster.key, None).filter(|task| task.is_waiting());
        let queued = u32::try_from(waiting.count()).unwrap_or(u32::MAX);
        if queued != cluster.queued {
            wrong.push(format!(
                "cluster {} counts {} tasks that wait, it has {queued}",
                cluster.name, cluster.queued
            ));
        }
        counts.1 += queued;
        counts.3 += queued;
        let kept = (cluster.instances, cluster.pending, cluster.running, cluster.live);
        if counts != kept {
            wrong.push(format!("cluster {} counts {kept:?}, it has {counts:?}", cluster.name));
        }
        let services = state
            .services_of(cluster.key)
            .filter(|service| service.is_active())
            .count();
        if (cluster.services, cluster.disconnected) != (u32::try_from(services).unwrap_or(u32::MAX), away) {
            wrong.push(format!(
                "cluster {} counts {} services and {} disconnected instances, it has {services} and {away}",
                cluster.name, cluster.services, cluster.disconnected
            ));
        }
    }
}

fn check_services(state: &State, wrong: &mut Vec<String>) {
    let mut live: BTreeMap<ServiceKey, BTreeSet<TaskId>> = BTreeMap::new();
    for (key, task) in state.tasks.iter().filter(|(_, task)| !task.is_stopped()) {
        if let Some(service) = task.launch.service_key(key.cluster) {
            live.entry(service).or_default().insert(key.task);
        }
    }
    for service in state.services() {
        let name = &service.name;
        let tasks = live.remove(&service.key()).unwrap_or_default();
        if !service.live.iter().eq(&tasks) {
            wrong.push(format!("service {name} lists other live tasks than it has"));
        }
        if service.status == ServiceStatus::Inactive && !tasks.is_empty() {
            wrong.push(format!("service {name} is INACTIVE and has {} tasks", tasks.len()));
        }
        let is_stopped = |task: &&TaskId| {
            let key = TaskKey {
                cluster: service.cluster,
                task: **task,
            };
            state.task(key).is_some_and(|task| task.is_stopped())
        };
        if !service.ended.iter().all(|task| is_stopped(&task)) {
            wrong.push(format!(
                "service {name} is to account for the end of a task that has not stopped"
            ));
        }
        check_scaling(service, wrong);
        let primaries = service
            .deployments
            .iter()
            .filter(|deployment| deployment.is_primary())
            .count();
        // Whoever makes task sets says which is the primary, if any.
        let may_have_none = !service.is_active() || service.spec.is_external();
        if primaries > 1 || (primaries == 0 && !may_have_none) {
            wrong.push(format!("service {name} has {primaries} PRIMARY deployments"));
        }
    }
    for (key, tasks) in live {
        wrong.push(format!(
            "{} tasks are of service {} which does not exist",
            tasks.len(),
            key.service
        ));
    }
}

/// Only services that are ACTIVE and have a count are scaled, and each policy of them has a name of its own.
fn check_scaling(service: &Service, wrong: &mut Vec<String>) {
    let name = &service.name;
    let Some(scaling) = &service.scaling else { return };
    if !service.is_active() || service.is_daemon() {
        wrong.push(format!(
            "service {name} is scaled although it is not ACTIVE or has no count"
        ));
    }
    if scaling.capacity.min > scaling.capacity.max {
        wrong.push(format!("service {name} is scaled between bounds that cross"));
    }
    if !scaling.policies.is_sorted_by(|one, other| one.name < other.name) {
        wrong.push(format!("the policies of service {name} are not in order"));
    }
}

/// Instances whose tasks reserve more than the host has.
///
/// Not a violation when a host came back smaller than it was; never the work of a placement.
#[must_use]
pub fn overcommitted(state: &State) -> Vec<InstanceKey> {
    state
        .instances()
        .filter(|(_, instance)| instance.used_cpu > instance.facts.cpu || instance.used_memory > instance.facts.memory)
        .map(|(key, _)| key)
        .collect()
}
