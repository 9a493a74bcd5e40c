//! Agents without containers: each keeps a stream to one scheduler after the other, starts what it is told to start, ends it
//! when it is told to or when its time has come, says so until it is recorded, and notes what it has done.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use berth_agent_core::assignment::Chain;
use berth_agent_core::outbox::Outbox;
use berth_model::id::TaskId;
use berth_model::status::{DesiredStatus, TaskStatus};
use berth_model::time::Timestamp;
use berth_proto::agent::v1::agent_link_client::AgentLinkClient;
use berth_proto::agent::v1::agent_message::Message as ToScheduler;
use berth_proto::agent::v1::scheduler_message::Message as FromScheduler;
use berth_proto::agent::v1::{
    AgentMessage, Assignment, Assignments, AssignmentsApplied, ContainerReport, Heartbeat, Hello, HostFacts,
    SchedulerMessage, StopProposal, TaskReport, TaskReports,
};
use berth_scheduler_core::command::nth_draw;
use tokio::sync::{mpsc, watch};
use tokio::time::{interval, sleep, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Endpoint;

use super::clients::{CONTAINER, FOR_EVER, task_of};
use crate::network::inside;

const HEARTBEAT: Duration = Duration::from_secs(4);
/// A scheduler that says nothing for so long is left: three heartbeats.
const SILENCE: Duration = Duration::from_secs(12);
const CONNECT: Duration = Duration::from_secs(2);
/// Between two attempts to find a scheduler.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a start and a stop take, at most.
const STARTS_WITHIN: u64 = 100;
const STOPS_WITHIN: u64 = 200;

/// What an agent is.
#[derive(Debug, Clone)]
pub(super) struct Kind {
    /// The cluster that it serves.
    pub(super) cluster: String,
    /// MiB that tasks may have.
    pub(super) memory_mib: u32,
    /// Milliseconds that a task runs, at most, which does not run for ever.
    pub(super) task_millis: u64,
    /// All schedulers.
    pub(super) urls: Vec<String>,
}

/// What all agents have done.
#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<Noted>);

/// See [`Notes`].
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// Which agent has started each task.
    pub(super) started: HashMap<TaskId, usize>,
    /// What runs now.
    pub(super) running: BTreeSet<TaskId>,
    /// Streams that were begun.
    pub(super) streams: usize,
    /// What must not be.
    pub(super) problems: Vec<String>,
}

impl Notes {
    pub(super) fn read(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, task: TaskId, agent: usize) {
        let mut noted = self.read();
        noted.running.insert(task);
        if let Some(before) = noted.started.insert(task, agent) {
            noted.problems.push(format!(
                "task {task} was started by agent {agent}, after agent {before}"
            ));
        }
    }

    fn end(&self, task: TaskId) {
        self.read().running.remove(&task);
    }

    fn problem(&self, what: String) {
        self.read().problems.push(what);
    }
}

/// Agents at work, those of one host on a thread of its own.
#[derive(Debug)]
pub(super) struct Agents {
    stop: watch::Sender<bool>,
    hosts: Vec<JoinHandle<Result<()>>>,
}

impl Agents {
    /// Starts so many agents, spread over hosts that are given by their namespaces.
    pub(super) fn start(namespaces: &[String], count: usize, kind: &Kind, notes: &Arc<Notes>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let hosts = namespaces.iter().cloned().enumerate().map(|(host, namespace)| {
            let own: Vec<usize> = (0..count).filter(|number| number % namespaces.len() == host).collect();
            let (kind, notes, mut stopped) = (kind.clone(), Arc::clone(notes), stopped.clone());
            std::thread::spawn(move || {
                inside(&namespace, || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                    runtime.block_on(async {
                        for number in own {
                            tokio::spawn(Agent::new(number, kind.clone(), Arc::clone(&notes)).run());
                        }
                        stopped.wait_for(|stop| *stop).await.context("nobody is left").map(drop)
                    })
                })
            })
        });
        Self {
            hosts: hosts.collect(),
            stop,
        }
    }

    /// Ends them all.
    pub(super) fn stop(self) -> Result<()> {
        self.stop.send_replace(true);
        for host in self.hosts {
            host.join().map_err(|_| anyhow!("a host of agents panicked"))??;
        }
        Ok(())
    }
}

/// A task of an agent.
#[derive(Debug)]
struct Task {
    arn: String,
    status: TaskStatus,
    exit_code: Option<i32>,
    /// It ends by itself.
    by_itself: bool,
    /// When it changes next.
    due: Option<Instant>,
    for_ever: bool,
}

/// Of what a stream ends.
struct Ended;

#[derive(Debug)]
struct Agent {
    number: usize,
    kind: Kind,
    notes: Arc<Notes>,
    begun: Instant,
    tasks: BTreeMap<TaskId, Task>,
    outbox: Outbox,
    draws: u64,
}

impl Agent {
    fn new(number: usize, kind: Kind, notes: Arc<Notes>) -> Self {
        Self {
            number,
            kind,
            notes,
            begun: Instant::now(),
            tasks: BTreeMap::new(),
            outbox: Outbox::default(),
            draws: 0,
        }
    }

    async fn run(mut self) {
        for nth in self.number.. {
            let url = self.kind.urls[nth % self.kind.urls.len()].clone();
            let Err(Ended) = self.attend(url).await;
            let again = Instant::now() + PAUSE;
            while Instant::now() < again {
                // Tasks go on without a scheduler.
                self.step();
                sleep(PAUSE / 4).await;
            }
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    fn draw(&mut self, below: u64) -> Duration {
        self.draws += 1;
        let seed = u64::try_from(self.number).unwrap_or(0);
        Duration::from_millis(nth_draw(seed << 32, self.draws) % below.max(1))
    }

    async fn attend(&mut self, url: String) -> Result<std::convert::Infallible, Ended> {
        let (mut stream, mut inbox) = timeout(SILENCE, self.connect(url)).await.map_err(|_| Ended)??;
        self.notes.read().streams += 1;
        let mut heartbeat = interval(HEARTBEAT);
        let mut heard = Instant::now();
        loop {
            self.step();
            self.report(&stream).await?;
            let due = self.tasks.values().filter_map(|task| task.due).min();
            let due = due.unwrap_or_else(|| Instant::now() + SILENCE).min(heard + SILENCE);
            tokio::select! {
                _ = heartbeat.tick() => stream.say(ToScheduler::Heartbeat(Heartbeat {})).await?,
                () = sleep_until(due.into()) => {
                    if heard.elapsed() >= SILENCE {
                        return Err(Ended);
                    }
                }
                message = inbox.message() => {
                    heard = Instant::now();
                    let message = message.ok().flatten().and_then(|message| message.message).ok_or(Ended)?;
                    self.hear(message, &mut stream).await?;
                }
            }
        }
    }

    async fn connect(&mut self, url: String) -> Result<(Stream, Streaming<SchedulerMessage>), Ended> {
        let endpoint = Endpoint::from_shared(url).map_err(|_| Ended)?.connect_timeout(CONNECT);
        let channel = endpoint.connect().await.map_err(|_| Ended)?;
        let (outbox, messages) = mpsc::channel(16);
        let stream = Stream {
            outbox,
            welcome: false,
            chain: Chain::default(),
        };
        self.outbox.reset();
        for (id, task) in &self.tasks {
            if task.status == TaskStatus::Stopped {
                self.outbox.changed(*id);
            }
        }
        let hello = Hello {
            cluster: self.kind.cluster.clone(),
            instance_id: format!("{:032x}", self.number + 1),
            facts: Some(HostFacts {
                cpu_units: 1 << 20,
                memory_mib: self.kind.memory_mib,
                agent_version: "0.0.0".to_owned(),
                docker_version: "0.0.0".to_owned(),
                ..HostFacts::default()
            }),
            tasks: self.tasks.values().map(told).collect(),
            drain: None,
            schedulers: u32::try_from(self.kind.urls.len()).unwrap_or(u32::MAX),
        };
        stream.say(ToScheduler::Hello(hello)).await?;
        let answer = AgentLinkClient::new(channel)
            .connect(ReceiverStream::new(messages))
            .await;
        Ok((stream, answer.map_err(|_| Ended)?.into_inner()))
    }

    async fn hear(&mut self, message: FromScheduler, stream: &mut Stream) -> Result<(), Ended> {
        match message {
            FromScheduler::Welcome(_) => stream.welcome = true,
            FromScheduler::Refusal(_) => return Err(Ended),
            FromScheduler::Assignments(set) => self.take(set, stream).await?,
            FromScheduler::Recorded(recorded) => {
                let told = self.outbox.recorded(recorded.sequence);
                let named = recorded.ended_task_arns.iter().filter_map(|arn| task_of(arn));
                for task in told.into_iter().chain(named) {
                    self.forget(task);
                }
            }
            FromScheduler::StopConfirmation(confirmed) => {
                for task in confirmed.task_arns.iter().filter_map(|arn| task_of(arn)) {
                    let live = self
                        .tasks
                        .get(&task)
                        .is_some_and(|task| task.status != TaskStatus::Stopped);
                    if live {
                        self.notes.problem(format!(
                            "agent {} was told that task {task} is none of its",
                            self.number
                        ));
                    }
                }
            }
            FromScheduler::Heartbeat(_)
            | FromScheduler::Protection(_)
            | FromScheduler::Authorities(_)
            | FromScheduler::OpenSession(_) => {}
        }
        Ok(())
    }

    async fn take(&mut self, set: Assignments, stream: &mut Stream) -> Result<(), Ended> {
        let advanced = stream.chain.advance(set.complete, set.applies_to, set.results_in);
        advanced.map_err(|_| Ended)?;
        let named: BTreeSet<TaskId> = set
            .assignments
            .iter()
            .filter_map(|given| task_of(&given.task_arn))
            .collect();
        for given in set.assignments {
            self.assigned(given);
        }
        for task in set.forgotten_task_arns.iter().filter_map(|arn| task_of(arn)) {
            self.forget(task);
        }
        let applied = AssignmentsApplied {
            version: set.results_in,
        };
        stream.say(ToScheduler::Applied(applied)).await?;
        if set.complete {
            let unnamed = self.tasks.iter().filter(|(id, task)| {
                let ended = task.status == TaskStatus::Stopped;
                !ended && !named.contains(*id)
            });
            let task_arns: Vec<String> = unnamed.map(|(_, task)| task.arn.clone()).collect();
            if !task_arns.is_empty() {
                stream
                    .say(ToScheduler::StopProposal(StopProposal { task_arns }))
                    .await?;
            }
        }
        Ok(())
    }

    fn assigned(&mut self, given: Assignment) {
        let Some(id) = task_of(&given.task_arn) else { return };
        let stops = given.desired_status == DesiredStatus::Stopped.name();
        if !self.tasks.contains_key(&id) {
            // What ran once and is not here has ended here: it is not started again.
            let over = stops || given.seen_running;
            let due = (!over).then(|| Instant::now() + self.draw(STARTS_WITHIN));
            let task = Task {
                arn: given.task_arn,
                status: if over { TaskStatus::Stopped } else { TaskStatus::Pending },
                exit_code: None,
                by_itself: false,
                due,
                for_ever: given.task_definition_arn.contains(FOR_EVER),
            };
            if given.seen_running {
                self.notes.problem(format!(
                    "agent {} was told that task {id} runs, of which it knows nothing",
                    self.number
                ));
            }
            self.tasks.insert(id, task);
            self.outbox.changed(id);
            return;
        }
        let due = Instant::now() + self.draw(STOPS_WITHIN);
        let Some(task) = self.tasks.get_mut(&id) else { return };
        if task.status == TaskStatus::Stopped {
            self.outbox.changed(id);
        } else if stops && task.status < TaskStatus::Stopping {
            // What waits to be started never is.
            let waits = task.status == TaskStatus::Pending;
            task.status = if waits {
                TaskStatus::Stopped
            } else {
                TaskStatus::Stopping
            };
            task.due = (!waits).then_some(due);
            self.outbox.changed(id);
        }
    }

    /// Does what is due.
    fn step(&mut self) {
        let now = Instant::now();
        let due = |task: &Task| task.due.is_some_and(|due| due <= now);
        let ready: Vec<TaskId> = self
            .tasks
            .iter()
            .filter(|(_, task)| due(task))
            .map(|(id, _)| *id)
            .collect();
        for id in ready {
            let lasts = self.draw(self.kind.task_millis);
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            if task.status == TaskStatus::Pending {
                self.notes.start(id, self.number);
                task.status = TaskStatus::Running;
                task.due = (!task.for_ever).then(|| now + lasts);
            } else {
                self.notes.end(id);
                task.by_itself = task.status == TaskStatus::Running;
                task.exit_code = Some(if task.by_itself { 0 } else { 143 });
                task.status = TaskStatus::Stopped;
                task.due = None;
            }
            self.outbox.changed(id);
        }
    }

    async fn report(&mut self, stream: &Stream) -> Result<(), Ended> {
        if !stream.welcome {
            return Ok(());
        }
        let now = self.now();
        let tasks = &self.tasks;
        let ended = |id: TaskId| tasks.get(&id).is_some_and(|task| task.status == TaskStatus::Stopped);
        while let Some((sequence, ids)) = self.outbox.next_message(now, ended) {
            let tasks = ids.iter().filter_map(|id| tasks.get(id)).map(told).collect();
            stream
                .say(ToScheduler::Reports(TaskReports { sequence, tasks }))
                .await?;
        }
        Ok(())
    }

    /// The end of a task is recorded.
    fn forget(&mut self, id: TaskId) {
        if self
            .tasks
            .get(&id)
            .is_some_and(|task| task.status == TaskStatus::Stopped)
        {
            self.tasks.remove(&id);
            self.outbox.forget(id);
        }
    }
}

/// One stream.
struct Stream {
    outbox: mpsc::Sender<AgentMessage>,
    welcome: bool,
    chain: Chain,
}

impl Stream {
    async fn say(&self, message: ToScheduler) -> Result<(), Ended> {
        let message = AgentMessage { message: Some(message) };
        // A scheduler that is stopped in its tracks takes nothing.
        match timeout(SILENCE, self.outbox.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Ended),
        }
    }
}

fn told(task: &Task) -> TaskReport {
    let container = if task.status == TaskStatus::Stopping {
        TaskStatus::Running
    } else {
        task.status
    };
    TaskReport {
        task_arn: task.arn.clone(),
        last_status: task.status.name().to_owned(),
        containers: vec![ContainerReport {
            name: CONTAINER.to_owned(),
            last_status: container.name().to_owned(),
            exit_code: task.exit_code,
            ..ContainerReport::default()
        }],
        stop_code: if task.by_itself { "EssentialContainerExited" } else { "" }.to_owned(),
        stopped_reason: if task.by_itself {
            "Essential container in task exited"
        } else {
            ""
        }
        .to_owned(),
        ..TaskReport::default()
    }
}
