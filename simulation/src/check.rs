//! What must be true: after each record, after each start of a container, and when everything has had time to come right.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use berth_agent_core::container::RunState;
use berth_model::id::TaskId;
use berth_model::service::{RolloutState, ServiceStatus};
use berth_model::status::{DesiredStatus, TaskStatus};
use berth_scheduler_core::change::{Change, Record};
use berth_scheduler_core::fold::fold_record;
use berth_scheduler_core::invariant;
use berth_scheduler_core::keys::{ClusterKey, TaskKey};
use berth_scheduler_core::launch::Launch;
use berth_scheduler_core::state::{State, Task};

use crate::ask::Answer;
use crate::journal::Journal;
use crate::schedules::{Runs, schedule};
use crate::world::World;

/// What was found to be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// When, by the world's clock.
    pub at: Duration,
    /// The journal's newest revision then.
    pub revision: u64,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {:?}, at revision {}: {}", self.at, self.revision, self.what)
    }
}

/// What the journal adds up to, told by nobody.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    state: State,
    placed: BTreeMap<TaskId, u32>,
    /// Tasks that requests have started, by the request's number.
    copies: BTreeMap<String, u32>,
    /// How processes ended.
    exits: BTreeMap<(TaskId, String), i32>,
    /// Tasks that were dropped from the state after their end.
    forgotten: BTreeSet<TaskId>,
    runs: Runs,
    digest: u64,
}

/// The one cluster of the world is the first that is made.
const CLUSTER: ClusterKey = ClusterKey(1);

fn key(task: TaskId) -> TaskKey {
    TaskKey { cluster: CLUSTER, task }
}

impl Truth {
    /// A record is durable.
    pub(crate) fn add(&mut self, record: &Record) -> Result<(), String> {
        let before = self.state.clone();
        fold_record(&mut self.state, record);
        let mut hasher = DefaultHasher::new();
        (self.digest, serde_json::to_string(record).unwrap_or_default()).hash(&mut hasher);
        self.digest = hasher.finish();
        for change in record.entries.iter().flat_map(|entry| &entry.changes) {
            self.note(change)?;
        }
        for (task, _) in self.placed.iter().rev().take(200) {
            let (was, is) = (before.task(key(*task)), self.state.task(key(*task)));
            if let (Some(was), Some(is)) = (was, is)
                && (is.last < was.last || (was.desired == DesiredStatus::Stopped && is.desired != was.desired))
            {
                return Err(format!("task {task} went from {} back to {}", was.last, is.last));
            }
        }
        // No host of a world ever has less than it had.
        if let Some(instance) = invariant::overcommitted(&self.state).first() {
            return Err(format!("{instance:?} has tasks that reserve more than it has"));
        }
        match invariant::violations(&self.state).first() {
            None => Ok(()),
            Some(first) => Err(first.clone()),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the others place, queue, end and drop no task"
    )]
    fn note(&mut self, change: &Change) -> Result<(), String> {
        match change {
            Change::TasksPlaced { launch, placements, .. } => self.started_by(launch, placements.len()),
            Change::TasksQueued { wait, tasks, .. } => self.started_by(&wait.launch, tasks.len()),
            _ => {}
        }
        self.runs.note(change)?;
        match change {
            Change::TasksPlaced { placements, .. } | Change::QueuedTasksPlaced { placements, .. } => {
                for placement in placements {
                    let times = self.placed.entry(placement.task).or_default();
                    *times += 1;
                    if *times > 1 {
                        return Err(format!("task {} was placed twice", placement.task));
                    }
                }
            }
            Change::TasksForgotten { tasks, .. } => self.forgotten.extend(tasks),
            Change::TaskObserved { task, observed, .. } if observed.last_status == TaskStatus::Stopped => {
                for container in observed.containers.iter() {
                    let ended = self.exits.get(&(*task, container.name.to_string()));
                    if ended.is_some_and(|code| container.exit_code != Some(*code)) {
                        return Err(format!(
                            "container {} of task {task} ended with {ended:?}, its agent says {:?}",
                            container.name, container.exit_code
                        ));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn started_by(&mut self, launch: &Launch, copies: usize) {
        if let Some(request) = launch.started_by.as_deref().filter(|_| launch.service.is_none()) {
            let started = self.copies.entry(request.to_owned()).or_default();
            *started += u32::try_from(copies).unwrap_or(u32::MAX);
        }
    }

    /// A process has ended by itself, or was told to.
    pub(crate) fn ended(&mut self, task: TaskId, container: String, exit_code: i32) {
        self.exits.insert((task, container), exit_code);
    }

    /// The journal is another than it was.
    pub(crate) fn replace(&mut self, journal: &Journal) {
        let (mut state, tail) = journal.recover();
        for stored in tail {
            fold_record(&mut state, &stored.record);
        }
        self.state = state;
    }

    pub(crate) fn started(&self) -> usize {
        self.placed.len()
    }

    pub(crate) const fn digest(&self) -> u64 {
        self.digest
    }

    /// Tasks that run, or wait to, and belong to no service.
    pub(crate) fn standalone(&self) -> Vec<TaskId> {
        let live = self.state.tasks_of(CLUSTER, None).filter(|task| !task.is_stopped());
        let standalone = live.filter(|task| task.launch.service.is_none()).map(|task| task.id);
        let waiting = self.state.queue().tasks().filter(|(_, task)| task.is_waiting());
        standalone.chain(waiting.map(|(key, _)| key.task)).collect()
    }

    fn knows(&self, task: TaskId) -> bool {
        let queued = || self.state.queue().task(key(task)).is_some();
        self.state.task(key(task)).is_some() || queued() || self.forgotten.contains(&task)
    }

    /// What clients are told is durable.
    pub(crate) fn check_answer(&self, answer: &Answer) -> Result<(), Violation> {
        let Answer::Tasks(tasks) = answer else { return Ok(()) };
        match tasks.iter().find(|task| !self.knows(**task)) {
            None => Ok(()),
            Some(task) => Err(Violation {
                at: Duration::ZERO,
                revision: self.state.revision().0,
                what: format!("a client was told of task {task}, which the journal does not have"),
            }),
        }
    }
}

impl World {
    /// No host runs more than it has, no port is held twice, and no container was started twice.
    pub(crate) fn check_host(&self, index: usize) -> Result<(), Violation> {
        let host = &self.hosts[index];
        let (mut cpu, mut memory, mut ports) = (0, 0, BTreeSet::new());
        for container in host.docker.running() {
            cpu += container.needs.cpu;
            memory += container.needs.memory;
            if container.starts > 1 {
                let (task, name) = (container.task, &container.name);
                return Err(self.violation(format!("container {name} of task {task} was started twice")));
            }
            if let Some(port) = container.needs.port
                && !ports.insert(port)
            {
                return Err(self.violation(format!("port {port} of host {index} has two containers")));
            }
        }
        if cpu > host.facts.cpu.0 || memory > host.facts.memory.0 {
            return Err(self.violation(format!("host {index} runs {cpu} CPU units and {memory} MiB")));
        }
        let elsewhere = self.hosts.iter().enumerate().filter(|(at, _)| *at != index);
        let here: BTreeSet<TaskId> = host.docker.containers().map(|container| container.task).collect();
        for (other, elsewhere) in elsewhere {
            if let Some(container) = elsewhere
                .docker
                .containers()
                .find(|container| here.contains(&container.task))
            {
                let task = container.task;
                return Err(self.violation(format!("task {task} has containers on hosts {index} and {other}")));
            }
        }
        Ok(())
    }

    /// A task that a client knows of can be stopped, whichever replica is asked.
    pub(crate) fn check_refusal(&self, task: TaskId) -> Result<(), Violation> {
        match self.truth.state.task(key(task)) {
            None => Ok(()),
            Some(_) => Err(self.violation(format!(
                "a client was told that there is no task {task}, which there is"
            ))),
        }
    }

    /// Services that clients were told exist are there.
    pub(crate) fn check_promises(&self) -> Result<(), Violation> {
        let is_there = |name: &str| {
            let mut services = self.truth.state.services();
            services.any(|service| service.name.as_str() == name && service.is_active())
        };
        match self.workload.services.iter().find(|name| !is_there(name)) {
            None => Ok(()),
            Some(name) => Err(self.violation(format!("service {name} was acknowledged and is not there"))),
        }
    }

    /// A task that is told to stop was to stop, or a part of it does not run.
    pub(crate) fn check_stop(&self, index: usize, task: TaskId) -> Result<(), Violation> {
        let truth = &self.truth.state;
        let wanted = |task: &&Arc<Task>| task.desired == DesiredStatus::Running && !task.is_stopped();
        let Some(known) = truth.task(key(task)).filter(wanted) else {
            return Ok(());
        };
        let definition = truth.definition(&known.launch.definition);
        let parts = definition.map_or(0, |known| known.definition.container_definitions.len());
        let running = self.hosts[index].docker.running().filter(|own| own.task == task);
        if running.count() == parts {
            return Err(self.violation(format!("host {index} stops task {task}, which nobody wants to stop")));
        }
        Ok(())
    }

    /// What a replica shows of a revision is what the journal says of it.
    pub(crate) fn check_published(&self, replica: usize) -> Result<(), Violation> {
        let Some(process) = &self.seats[replica].process else {
            return Ok(());
        };
        let (shown, truth) = (process.state(), &self.truth.state);
        if shown.revision() > truth.revision() {
            return Err(self.violation(format!("replica {replica} shows a revision that is not durable")));
        }
        if shown.revision() == truth.revision() && shown.revision().0.is_multiple_of(16) && shown != truth {
            return Err(self.violation(format!("replica {replica} shows another state than the journal's")));
        }
        Ok(())
    }
}

/// After a long time in which nothing went wrong.
pub(crate) fn at_the_end(world: &World) -> Result<(), Violation> {
    let wrong = |what: String| Err(world.violation(what));
    let truth = &world.truth.state;
    for (index, seat) in world.seats.iter().enumerate() {
        match &seat.process {
            None => return wrong(format!("replica {index} is down")),
            // The last record may just have been written.
            Some(process) if process.state().revision() < truth.revision() && world.is_news() => {}
            Some(process) if process.state() != truth => {
                return wrong(format!("replica {index} does not show the journal's state"));
            }
            Some(_) => {}
        }
    }
    for task in &world.workload.tasks {
        if !world.truth.knows(*task) {
            return wrong(format!("task {task} was acknowledged and is lost"));
        }
    }
    for task in &world.workload.stops {
        if let Some(task) = truth.task(key(*task)).filter(|task| !task.is_stopped()) {
            return wrong(format!("task {} was to stop and is {}", task.id, task.last));
        }
    }
    for (request, copies) in &world.workload.copies {
        let started = world.truth.copies.get(&request.to_string()).copied().unwrap_or(0);
        if started > *copies {
            return wrong(format!(
                "request {request} was for {copies} tasks and has started {started}"
            ));
        }
    }
    for (request, standing) in &world.workload.standing {
        if !standing.stands(truth, *request) {
            return wrong(format!(
                "{standing:?} of request {request} was acknowledged and is not there"
            ));
        }
    }
    if let Some(broken) = world.workload.sets.broken(truth) {
        return wrong(broken);
    }
    check_schedules(world)?;
    check_hosts(world)?;
    check_services(world)
}

/// What was due has run.
fn check_schedules(world: &World) -> Result<(), Violation> {
    let never = |number: &&u64| !world.truth.runs.has(&schedule(**number));
    match world.workload.schedules.iter().find(never) {
        None => Ok(()),
        Some(number) => Err(world.violation(format!("schedule {} was never run", schedule(*number)))),
    }
}

/// What runs is what should run, and what has ended is known with its exit code.
fn check_hosts(world: &World) -> Result<(), Violation> {
    let wrong = |what: String| Err(world.violation(what));
    let truth = &world.truth.state;
    for (index, host) in world.hosts.iter().enumerate() {
        let mut running = BTreeSet::new();
        for container in host.docker.containers() {
            let task = truth.task(key(container.task));
            let live = task.filter(|task| !task.is_stopped());
            match (&container.state, live) {
                (RunState::Running, None) => {
                    return wrong(format!(
                        "host {index} runs task {}, of which the journal says that it is over",
                        container.task
                    ));
                }
                (RunState::Running, Some(_)) => {
                    running.insert(container.task);
                }
                (RunState::Exited { exit_code, .. }, None) => {
                    let told = task.and_then(|task| task.containers.iter().find(|told| *told.name == *container.name));
                    let told = told.and_then(|told| told.exit_code);
                    if task.is_some_and(|task| !task.containers.is_empty()) && told != Some(*exit_code) {
                        return wrong(format!(
                            "container {} of task {} ended with {exit_code}, the journal says {told:?}",
                            container.name, container.task
                        ));
                    }
                }
                (RunState::Created | RunState::Exited { .. }, _) => {}
            }
        }
        let known = truth.instances_of(CLUSTER).find(|instance| instance.id == host.id);
        let Some(known) = known.filter(|instance| instance.connected) else {
            return wrong(format!("host {index} is not connected"));
        };
        let instance = berth_scheduler_core::keys::InstanceKey {
            cluster: CLUSTER,
            instance: known.id,
        };
        for task in truth.live_tasks_on(instance) {
            if task.last != TaskStatus::Running || !running.contains(&task.id) {
                return wrong(format!(
                    "task {} on host {index} is {} and {} for ever",
                    task.id,
                    task.last,
                    if running.contains(&task.id) {
                        "runs"
                    } else {
                        "does not run"
                    }
                ));
            }
        }
    }
    Ok(())
}

/// Services that deploy themselves have what they are to have.
fn check_services(world: &World) -> Result<(), Violation> {
    let wrong = |what: String| Err(world.violation(what));
    let truth = &world.truth.state;
    for service in truth.services().filter(|service| !service.spec.is_external()) {
        let name = &service.name;
        let live: Vec<_> = truth.live_tasks_of(service).collect();
        if service.status != ServiceStatus::Active {
            if !live.is_empty() {
                return wrong(format!("service {name} is {:?} and has tasks", service.status));
            }
            continue;
        }
        let desired = match service.is_daemon() {
            true => world.hosts.len(),
            false => usize::try_from(service.spec.desired).unwrap_or(usize::MAX),
        };
        let places: BTreeSet<_> = live.iter().map(|task| task.instance).collect();
        if service.is_daemon() && places.len() != live.len() {
            return wrong(format!("service {name} has two tasks on a host"));
        }
        if live.len() != desired || live.iter().any(|task| task.last != TaskStatus::Running) {
            let running = live.iter().filter(|task| task.last == TaskStatus::Running).count();
            let said: Vec<&str> = service.events.iter().take(3).map(|event| &*event.message).collect();
            return wrong(format!(
                "service {name} is to have {desired} tasks and has {running} of {} live: {said:?} {:?}",
                live.len(),
                service.deployments
            ));
        }
        let done = service
            .primary()
            .is_some_and(|deployment| deployment.rollout.state == RolloutState::Completed);
        if !done || service.current().count() != 1 {
            return wrong(format!("a deployment of service {name} does not come to its end"));
        }
    }
    world.check_promises()
}
