//! One run: a bed, agents, clients, faults, and at the end what came of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use berth_model::id::TaskId;
use berth_model::status::{DesiredStatus, TaskStatus};
use berth_scheduler_core::command::nth_draw;
use berth_scheduler_core::state::State;
use serde_json::{Value, json};

use super::agent::{Agents, Kind, Noted, Notes};
use super::bed::{Bed, namespaces};
use super::check::check;
use super::clients::{Asked, CONTAINER, Client, Clients, FOR_EVER, Rates, SHORT};
use super::disk::Disk;
use super::fault::{Targets, plan};
use super::history::{Call, Operation};
use super::journal::Records;
use super::nemesis::{self, Deeds};
use super::replay::Replay;
use super::report::Report;
use crate::ecs::Ecs;
use crate::wait::{Seen, wait_until};

const CLUSTER: &str = "replicas";
const SERVICES: [&str; 2] = ["api", "web"];
/// Tasks of a service: at the end, and at most before.
const AT_THE_END: u64 = 4;
const AT_MOST: u64 = 8;
/// How often the count of a service is changed.
const CHANGES: Duration = Duration::from_secs(2);
const TASK_MIB: u32 = 16;
/// How long clients go on after the last fault.
const AFTERWARDS: Duration = Duration::from_secs(4);
/// How long everything may take to come right.
const SETTLES_WITHIN: Duration = Duration::from_secs(120);
/// Problems of one kind that are told, at most.
const TOLD: usize = 20;
/// Tasks of one last look.
const LOOKED_AT: usize = 100;

/// What is run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// In the names of directories.
    pub name: &'static str,
    /// What everything that is left to chance follows from.
    pub seed: u64,
    /// Schedulers.
    pub schedulers: usize,
    /// Members of etcd; without any the journal is a file, and the scheduler one.
    pub members: usize,
    /// Simulated agents.
    pub agents: usize,
    /// Tasks that an agent has room for.
    pub room: u32,
    /// How long a task runs that ends by itself, at most.
    pub task: Duration,
    /// What clients do.
    pub rates: Rates,
    /// How long things go wrong.
    pub span: Duration,
}

/// Runs it, and gives what came of it.
///
/// # Errors
///
/// If something cannot be started, ends by itself, or does not come right when nothing is wrong any more.
pub fn run(settings: &Settings) -> Result<Report> {
    let targets = Targets {
        schedulers: settings.schedulers,
        members: settings.members,
        disks: Disk::can_be_had(),
    };
    let mut bed = Bed::start(settings.name, targets)?;
    let ran = Run::new(settings).through(&mut bed, targets);
    if ran.is_err() {
        bed.lane.keep_logs();
    }
    ran
}

struct Run<'a> {
    settings: &'a Settings,
    notes: Arc<Notes>,
    begun: Instant,
}

/// What was noted until everything had come right.
struct Taken {
    history: Vec<Operation>,
    left_out: u64,
    deeds: Deeds,
    working: Duration,
}

impl<'a> Run<'a> {
    fn new(settings: &'a Settings) -> Self {
        Self {
            settings,
            notes: Arc::new(Notes::default()),
            begun: Instant::now(),
        }
    }

    fn through(self, bed: &mut Bed, targets: Targets) -> Result<Report> {
        let settings = self.settings;
        prepare(&bed.schedulers[0].process.ecs())?;
        let kind = Kind {
            cluster: CLUSTER.to_owned(),
            memory_mib: settings.room * TASK_MIB,
            task_millis: u64::try_from(settings.task.as_millis())?,
            urls: bed.urls(),
        };
        let agents = Agents::start(&namespaces(&bed.agents), settings.agents, &kind, &self.notes);
        wait_until("all agents have joined", SETTLES_WITHIN, || {
            let cluster = cluster(&bed.schedulers[0].process.ecs())?;
            let joined = cluster["registeredContainerInstancesCount"] == settings.agents;
            Ok(Seen::when(joined, || cluster.to_string()))
        })?;
        create_services(&bed.schedulers[0].process.ecs())?;
        let records = Records::of(bed)?;
        let taken = self.torment(bed, targets)?;
        wait_until("everything has come right", SETTLES_WITHIN, || {
            settled(bed, settings.agents)
        })?;
        let mut history = taken.history;
        let last = self.look_once_more(bed, &history)?;
        history.extend(last);
        agents.stop()?;

        let mut replay = Replay::default();
        let size = records.each(bed, |record| replay.add(record))?;
        let (state, witness, mut problems) = replay.finish();
        let noted = std::mem::take(&mut *self.notes.read());
        let verdict = check(&history, &witness);
        let violations = verdict.violations.iter().take(TOLD);
        problems.extend(violations.map(|violation| format!("{violation}: {:?}", history[violation.operation])));
        problems.extend(accounts(&state, &noted, &history));
        Ok(Report {
            settings: settings.clone(),
            history,
            verdict,
            problems,
            faults: taken.deeds.faults,
            troubled: taken.deeds.troubled,
            started_again: taken.deeds.started_again,
            left_out: taken.left_out,
            working: taken.working,
            requests: witness.runs(),
            tasks: noted.started.len(),
            streams: noted.streams,
            revisions: state.revision().0,
            journal_bytes: size,
        })
    }

    /// Everything goes wrong while clients work.
    fn torment(&self, bed: &mut Bed, targets: Targets) -> Result<Taken> {
        let settings = self.settings;
        let episodes = plan(settings.seed, targets, settings.span);
        let asked = self.asked(bed);
        let since = Instant::now();
        let clients = Clients::start(&namespaces(&bed.clients), &asked, settings.rates, settings.seed);
        let operators: Vec<Ecs> = bed.schedulers.iter().map(|seat| seat.process.ecs()).collect();
        let stop = AtomicBool::new(false);
        let deeds = thread::scope(|scope| {
            let operator = scope.spawn(|| operate(&operators, settings.seed, &stop));
            let deeds = nemesis::torment(bed, &episodes, self.begun).and_then(|mut deeds| {
                nemesis::recover(bed, &mut deeds)?;
                thread::sleep(AFTERWARDS);
                Ok(deeds)
            });
            stop.store(true, Ordering::Relaxed);
            operator.join().map_err(|_| anyhow!("the operator panicked"))?;
            deeds
        });
        let (history, left_out) = clients.stop()?;
        let working = since.elapsed();
        let deeds = deeds?;
        for name in SERVICES {
            wait_until("the last count of a service is taken", SETTLES_WITHIN, || {
                set_count(&operators[0], name, AT_THE_END).map(|()| Seen::Done(()))
            })?;
        }
        Ok(Taken {
            history,
            left_out,
            deeds,
            working,
        })
    }

    fn asked(&self, bed: &Bed) -> Asked {
        Asked {
            urls: bed.urls(),
            cluster: CLUSTER.to_owned(),
            begun: self.begun,
        }
    }

    /// Every task that was acknowledged, as every scheduler shows it.
    fn look_once_more(&self, bed: &Bed, history: &[Operation]) -> Result<Vec<Operation>> {
        let tasks = acknowledged(history);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let client = Client::new(&self.asked(bed))?;
            let mut looks = Vec::new();
            for scheduler in 0..bed.schedulers.len() {
                for tasks in tasks.chunks(LOOKED_AT) {
                    let look = client.describe(scheduler, tasks, None).await;
                    ensure!(
                        is_answered(&look),
                        "scheduler {scheduler} does not show its tasks: {look:?}"
                    );
                    looks.push(look);
                }
            }
            Ok(looks)
        })
    }
}

fn is_answered(operation: &Operation) -> bool {
    match &operation.call {
        Call::Describe { answer, .. } => answer.acknowledged().is_some(),
        Call::Run { .. } | Call::Stop { .. } => false,
    }
}

fn prepare(ecs: &Ecs) -> Result<()> {
    ecs.call("CreateCluster", &json!({"clusterName": CLUSTER}))?;
    for family in [SHORT, FOR_EVER] {
        let container = json!({"name": CONTAINER, "image": "busybox", "memory": TASK_MIB});
        ecs.call(
            "RegisterTaskDefinition",
            &json!({"family": family, "containerDefinitions": [container]}),
        )?;
    }
    Ok(())
}

fn create_services(ecs: &Ecs) -> Result<()> {
    for name in SERVICES {
        let service = json!({
            "cluster": CLUSTER, "serviceName": name, "taskDefinition": FOR_EVER, "desiredCount": AT_THE_END,
        });
        ecs.call("CreateService", &service)?;
    }
    Ok(())
}

fn set_count(ecs: &Ecs, service: &str, count: u64) -> Result<()> {
    let update = json!({"cluster": CLUSTER, "service": service, "desiredCount": count});
    ecs.call("UpdateService", &update).map(drop)
}

/// Somebody who changes how many tasks the services have, at any scheduler; what is not taken is not asked for again.
fn operate(schedulers: &[Ecs], seed: u64, stop: &AtomicBool) {
    for nth in 0.. {
        thread::sleep(CHANGES);
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let draw = nth_draw(!seed, nth);
        let choose = |of: usize, draw: u64| usize::try_from(draw).unwrap_or(0) % of;
        let service = SERVICES[choose(SERVICES.len(), draw >> 8 & 0xff)];
        let scheduler = &schedulers[choose(schedulers.len(), draw & 0xff)];
        set_count(scheduler, service, 1 + (draw >> 16) % AT_MOST).ok();
    }
}

fn cluster(ecs: &Ecs) -> Result<Value> {
    let answer = ecs.call("DescribeClusters", &json!({"clusters": [CLUSTER]}))?;
    answer["clusters"].get(0).cloned().context("no cluster")
}

/// Whether every scheduler shows all agents, services as they should be, and nothing else that runs.
fn settled(bed: &Bed, agents: usize) -> Result<Seen<()>> {
    for (nth, seat) in bed.schedulers.iter().enumerate() {
        let ecs = seat.process.ecs();
        let cluster = cluster(&ecs)?;
        let count = |name: &str| cluster[name].as_u64();
        let services = u64::try_from(SERVICES.len())? * AT_THE_END;
        let right = count("runningTasksCount") == Some(services) && count("pendingTasksCount") == Some(0);
        if !right {
            return Ok(Seen::NotYet(format!("scheduler {nth}: {cluster}")));
        }
        let described = ecs.call("DescribeServices", &json!({"cluster": CLUSTER, "services": SERVICES}))?;
        for service in described["services"].as_array().into_iter().flatten() {
            let deployments = service["deployments"].as_array().map(Vec::as_slice).unwrap_or_default();
            let whole = service["runningCount"] == AT_THE_END && deployments.len() == 1;
            if !whole {
                return Ok(Seen::NotYet(format!("scheduler {nth}: {service}")));
            }
        }
        let connected = ecs.call(
            "ListContainerInstances",
            &json!({"cluster": CLUSTER, "filter": "agentConnected == true"}),
        )?;
        let connected = connected["containerInstanceArns"].as_array().map_or(0, Vec::len);
        if connected < agents.min(LOOKED_AT) {
            return Ok(Seen::NotYet(format!(
                "scheduler {nth}: {connected} agents are connected"
            )));
        }
    }
    Ok(Seen::Done(()))
}

/// The tasks that clients were told of.
fn acknowledged(history: &[Operation]) -> Vec<TaskId> {
    let mut tasks: Vec<TaskId> = history
        .iter()
        .filter_map(|operation| match &operation.call {
            Call::Run { answer, .. } => answer.acknowledged(),
            Call::Stop { .. } | Call::Describe { .. } => None,
        })
        .flatten()
        .copied()
        .collect();
    tasks.sort_unstable();
    tasks.dedup();
    tasks
}

/// What agents have done that the journal does not say, or the other way round.
fn accounts(state: &State, noted: &Noted, history: &[Operation]) -> Vec<String> {
    let mut problems = noted.problems.clone();
    let tasks: Vec<_> = state
        .clusters()
        .flat_map(|cluster| state.tasks_of(cluster.key, None))
        .collect();
    for task in &tasks {
        let runs = task.last == TaskStatus::Running && task.desired == DesiredStatus::Running;
        if !task.is_stopped() && !runs {
            problems.push(format!("task {} is {} for ever", task.id, task.last));
        }
        if runs != noted.running.contains(&task.id) {
            problems.push(format!(
                "task {} is {} and its agent says otherwise",
                task.id, task.last
            ));
        }
        if task.last == TaskStatus::Running && !noted.started.contains_key(&task.id) {
            problems.push(format!("task {} is {} and nobody has started it", task.id, task.last));
        }
    }
    let known: BTreeSet<TaskId> = tasks.iter().map(|task| task.id).collect();
    for task in noted.started.keys().filter(|task| !known.contains(task)) {
        problems.push(format!("task {task} was started and is not in the journal"));
    }
    for task in acknowledged(history).iter().filter(|task| !known.contains(task)) {
        problems.push(format!("task {task} was acknowledged and is lost"));
    }
    problems.truncate(TOLD);
    problems
}
