//! Clients that run, stop and look at tasks at a steady rate, each call at any scheduler, and note what they were told.
//!
//! A call without an answer, or that was refused for want of the journal, is made again at the next scheduler, with the
//! token of the first attempt; each attempt is an operation of the history.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use berth_model::id::TaskId;
use berth_model::status::{DesiredStatus, TaskStatus};
use berth_proto::ecs::v1 as ecs;
use berth_proto::ecs::v1::ecs_client::EcsClient;
use berth_scheduler_core::command::nth_draw;
use berth_scheduler_core::keys::Revision;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use super::history::{Answer, Call, Look, Operation, Shown};
use super::replay::token_text;
use crate::grpc::FAULT_KEY;
use crate::network::inside;

/// The container of every task definition here.
pub(super) const CONTAINER: &str = "app";
/// The family of tasks that end by themselves.
pub(super) const SHORT: &str = "short";
/// The family of those that run until they are told to stop.
pub(super) const FOR_EVER: &str = "for-ever";

/// Metadata of requests and of answers (docs/history.md).
const AT: &str = "berth-at";
const REVISION: &str = "berth-revision";

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(2);
const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// How often a request is made, and the pause between.
const ATTEMPTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(100);
/// Calls of one host that are under way at once, at most: where more would be, none is made.
const AT_ONCE: usize = 500;
/// The newest tasks, which are looked at and stopped.
const RECENT: usize = 200;
/// Tasks of one read, at most.
const LOOKED_AT: u64 = 6;

/// What clients do in a second, all together.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Calls of RunTask.
    pub runs: u32,
    /// Calls of StopTask.
    pub stops: u32,
    /// Calls of DescribeTasks.
    pub reads: u32,
}

/// What clients were told of last.
#[derive(Debug, Default)]
struct Recent {
    tasks: Mutex<VecDeque<TaskId>>,
    /// The newest revision that an answer has named.
    revision: AtomicU64,
}

impl Recent {
    fn tasks(&self) -> MutexGuard<'_, VecDeque<TaskId>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, operation: &Operation) {
        if let Some(revision) = operation.revision {
            self.revision.fetch_max(revision.0, Ordering::Relaxed);
        }
    }

    fn revision(&self) -> Revision {
        Revision(self.revision.load(Ordering::Relaxed))
    }

    fn add(&self, tasks: &[TaskId]) {
        let mut recent = self.tasks();
        recent.extend(tasks);
        let surplus = recent.len().saturating_sub(RECENT);
        recent.drain(..surplus);
    }

    fn choose(&self, draw: u64) -> Option<TaskId> {
        let recent = self.tasks();
        let count = u64::try_from(recent.len()).unwrap_or(0);
        let at = draw.checked_rem(count).and_then(|at| usize::try_from(at).ok())?;
        recent.get(at).copied()
    }
}

/// Clients at work, those of one host on a thread of its own.
#[derive(Debug)]
pub(super) struct Clients {
    stop: Arc<AtomicBool>,
    left_out: Arc<AtomicU64>,
    hosts: Vec<JoinHandle<Result<Vec<Operation>>>>,
}

impl Clients {
    /// Starts clients on hosts that are given by their namespaces; what they do follows from the seed.
    pub(super) fn start(namespaces: &[String], asked: &Asked, rates: Rates, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let left_out = Arc::new(AtomicU64::new(0));
        let recent = Arc::new(Recent::default());
        let hosts = (0u64..).zip(namespaces).map(|(number, namespace)| {
            let host = Host {
                asked: asked.clone(),
                rates,
                seed: nth_draw(seed, number),
                hosts: u32::try_from(namespaces.len()).unwrap_or(1),
                number,
                stop: Arc::clone(&stop),
                left_out: Arc::clone(&left_out),
                recent: Arc::clone(&recent),
            };
            let namespace = namespace.clone();
            std::thread::spawn(move || {
                inside(&namespace, || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                    runtime.block_on(host.work())
                })
            })
        });
        Self {
            hosts: hosts.collect(),
            stop,
            left_out,
        }
    }

    /// Ends them when they have their last answers; gives what they noted, and how many calls they did not make.
    pub(super) fn stop(self) -> Result<(Vec<Operation>, u64)> {
        self.stop.store(true, Ordering::Relaxed);
        let mut history = Vec::new();
        for host in self.hosts {
            history.extend(host.join().map_err(|_| anyhow!("a host of clients panicked"))??);
        }
        Ok((history, self.left_out.load(Ordering::Relaxed)))
    }
}

/// Whom clients ask, and of what.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) urls: Vec<String>,
    pub(super) cluster: String,
    /// When the history begins.
    pub(super) begun: Instant,
}

/// The clients of one host.
struct Host {
    asked: Asked,
    rates: Rates,
    seed: u64,
    hosts: u32,
    number: u64,
    stop: Arc<AtomicBool>,
    left_out: Arc<AtomicU64>,
    recent: Arc<Recent>,
}

impl Host {
    async fn work(self) -> Result<Vec<Operation>> {
        let client = Client::new(&self.asked)?;
        let all = self.rates.runs + self.rates.stops + self.rates.reads;
        let mut turns = interval(Duration::from_secs(1) * self.hosts / all.max(1));
        let (mut calls, mut history) = (JoinSet::new(), Vec::new());
        for nth in 0u64.. {
            turns.tick().await;
            while let Some(done) = calls.try_join_next() {
                history.append(&mut done.context("a call panicked")?);
            }
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            if calls.len() >= AT_ONCE {
                self.left_out.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let token = self.number << 40 | nth;
            let draw = nth_draw(self.seed, nth);
            calls.spawn(make(client.clone(), self.rates, Arc::clone(&self.recent), token, draw));
        }
        while let Some(done) = calls.join_next().await {
            history.append(&mut done.context("a call panicked")?);
        }
        Ok(history)
    }
}

/// One turn of a client: some call, until it is answered or was made often enough.
async fn make(client: Client, rates: Rates, recent: Arc<Recent>, token: u64, draw: u64) -> Vec<Operation> {
    let first = usize::try_from(draw >> 32).unwrap_or(0);
    let kind = u32::try_from(draw % u64::from(rates.runs + rates.stops + rates.reads)).unwrap_or(0);
    let mut history = Vec::new();
    if kind < rates.runs {
        let count = 1 + i32::try_from(draw >> 20 & 1).unwrap_or(0);
        for attempt in 0..ATTEMPTS {
            let (operation, again) = client.run(first + attempt, token, count).await;
            if let Call::Run { answer, .. } = &operation.call
                && let Some(tasks) = answer.acknowledged()
            {
                recent.add(tasks);
            }
            recent.hear(&operation);
            history.push(operation);
            if !again {
                break;
            }
            sleep(PAUSE).await;
        }
    } else if kind < rates.runs + rates.stops {
        if let Some(task) = recent.choose(draw >> 16) {
            let operation = client.stop(first, task).await;
            recent.hear(&operation);
            history.push(operation);
        }
    } else {
        let count = 1 + (draw >> 20) % LOOKED_AT;
        let mut tasks: Vec<TaskId> = (1..=count)
            .filter_map(|nth| recent.choose(nth_draw(draw, nth)))
            .collect();
        tasks.sort_unstable();
        tasks.dedup();
        if !tasks.is_empty() {
            // One in four asks any scheduler for what another may just have told.
            let at = (draw >> 28).is_multiple_of(4).then(|| recent.revision());
            history.push(client.describe(first, &tasks, at.filter(|at| at.0 > 0)).await);
        }
    }
    history
}

/// Calls at all schedulers, each noted.
#[derive(Debug, Clone)]
pub(super) struct Client {
    schedulers: Vec<EcsClient<Channel>>,
    cluster: String,
    begun: Instant,
}

impl Client {
    /// A client whose connections come from where it is used. Must be called within a runtime.
    pub(super) fn new(asked: &Asked) -> Result<Self> {
        let schedulers = asked.urls.iter().map(|url| {
            let endpoint = Endpoint::from_shared(url.clone())?
                .connect_timeout(CONNECT)
                .timeout(PATIENCE)
                .http2_keep_alive_interval(KEEP_ALIVE)
                .keep_alive_timeout(KEEP_ALIVE)
                .keep_alive_while_idle(true)
                .tcp_nodelay(true);
            Ok(EcsClient::new(endpoint.connect_lazy()))
        });
        Ok(Self {
            schedulers: schedulers.collect::<Result<_>>()?,
            cluster: asked.cluster.clone(),
            begun: asked.begun,
        })
    }

    fn at(&self, nth: usize) -> (usize, EcsClient<Channel>) {
        let scheduler = nth % self.schedulers.len();
        (scheduler, self.schedulers[scheduler].clone())
    }

    fn noted(&self, scheduler: usize, began: Instant, revision: Option<Revision>, call: Call) -> Operation {
        Operation {
            scheduler,
            began: began.duration_since(self.begun),
            ended: self.begun.elapsed(),
            revision,
            call,
        }
    }

    /// RunTask; with whether to ask again.
    pub(super) async fn run(&self, nth: usize, token: u64, count: i32) -> (Operation, bool) {
        let (scheduler, mut client) = self.at(nth);
        let request = ecs::RunTaskRequest {
            cluster: Some(self.cluster.clone()),
            task_definition: Some(SHORT.to_owned()),
            count: Some(count),
            client_token: Some(token_text(token)),
            ..ecs::RunTaskRequest::default()
        };
        let began = Instant::now();
        let answered = client.run_task(request).await;
        let revision = revision_of(&answered);
        let answer = match answered {
            Ok(answer) => {
                let tasks = answer.into_inner().tasks;
                let ids = tasks.iter().filter_map(|task| task_of(task.task_arn.as_deref()?));
                Answer::Acknowledged(ids.collect())
            }
            Err(status) => failed(&status),
        };
        let again = answer.acknowledged().is_none();
        (
            self.noted(scheduler, began, revision, Call::Run { token, answer }),
            again,
        )
    }

    async fn stop(&self, nth: usize, task: TaskId) -> Operation {
        let (scheduler, mut client) = self.at(nth);
        let request = ecs::StopTaskRequest {
            cluster: Some(self.cluster.clone()),
            task: Some(task.to_string()),
            ..ecs::StopTaskRequest::default()
        };
        let began = Instant::now();
        let answered = client.stop_task(request).await;
        let revision = revision_of(&answered);
        let answer = match answered {
            Ok(answer) => Answer::Acknowledged(answer.into_inner().task.as_ref().and_then(look)),
            Err(status) if status.message().starts_with("The referenced task was not found") => {
                Answer::Acknowledged(None)
            }
            Err(status) => failed(&status),
        };
        self.noted(scheduler, began, revision, Call::Stop { task, answer })
    }

    /// DescribeTasks of a hundred tasks at most, as of a revision or the newest.
    pub(super) async fn describe(&self, nth: usize, tasks: &[TaskId], at: Option<Revision>) -> Operation {
        let (scheduler, mut client) = self.at(nth);
        let mut request = Request::new(ecs::DescribeTasksRequest {
            cluster: Some(self.cluster.clone()),
            tasks: tasks.iter().map(ToString::to_string).collect(),
            ..ecs::DescribeTasksRequest::default()
        });
        if let Some(at) = at {
            request.metadata_mut().insert(AT, at.0.into());
        }
        let began = Instant::now();
        let answered = client.describe_tasks(request).await;
        let revision = revision_of(&answered);
        let answer = match answered {
            Ok(answer) => {
                let answer = answer.into_inner();
                let known = answer.tasks.iter().filter_map(|task| {
                    let id = task_of(task.task_arn.as_deref()?)?;
                    Some((id, look(task)))
                });
                let missing = answer.failures.iter().filter_map(|failure| {
                    let id = task_of(failure.arn.as_deref()?)?;
                    Some((id, None))
                });
                Answer::Acknowledged(known.chain(missing).collect())
            }
            Err(status) => failed(&status),
        };
        self.noted(scheduler, began, revision, Call::Describe { at, answer })
    }
}

/// The task of an ARN.
pub(super) fn task_of(arn: &str) -> Option<TaskId> {
    arn.rsplit('/').next()?.parse().ok()
}

fn look(task: &ecs::Task) -> Shown {
    Some(Look {
        last: TaskStatus::from_name(task.last_status.as_deref()?)?,
        desired: DesiredStatus::from_name(task.desired_status.as_deref()?)?,
        version: u64::try_from(task.version?).ok()?,
    })
}

/// The revision that an answer names.
fn revision_of<T>(answered: &Result<Response<T>, Status>) -> Option<Revision> {
    let named = answered.as_ref().ok()?.metadata().get(REVISION)?;
    named.to_str().ok()?.parse().ok().map(Revision)
}

/// What a client knows after an error: only where the scheduler itself says that nothing was changed is that certain.
fn failed<T>(status: &Status) -> Answer<T> {
    let class = status.metadata().get(FAULT_KEY).and_then(|class| class.to_str().ok());
    match class {
        Some("InvalidParameterException" | "ClientException" | "ThrottlingException" | "LimitExceededException") => {
            Answer::Refused
        }
        Some("ServerException") if status.message().contains("Nothing was changed.") => Answer::Refused,
        Some(_) | None => Answer::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(class: Option<&'static str>, message: &str) -> Answer<()> {
        let mut status = Status::internal(message);
        if let Some(class) = class {
            let class = tonic::metadata::MetadataValue::from_static(class);
            status.metadata_mut().insert(FAULT_KEY, class);
        }
        failed(&status)
    }

    #[test]
    fn nothing_was_changed_only_where_the_scheduler_says_so() {
        assert_eq!(of(None, "Nothing was changed."), Answer::Unknown);
        assert_eq!(of(Some("InvalidParameterException"), "No."), Answer::Refused);
        let cut_off =
            "The scheduler has not reached its journal for 9 seconds: no. Nothing was changed. Try again later.";
        assert_eq!(of(Some("ServerException"), cut_off), Answer::Refused);
        assert_eq!(
            of(Some("ServerException"), "It is not known whether anything was changed"),
            Answer::Unknown
        );
    }
}
