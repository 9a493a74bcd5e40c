//! The logs of several containers as one: each is read by a session of its own, from its agent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_model::arn::Namespace;
use berth_model::id::TaskId;
use berth_model::name::ClusterName;
use berth_model::status::ContainerStatus;
use berth_proto::agent::v1::open_session::Wish;
use berth_proto::session::v1::{FromContainer, Log, Stream, from_container};
use berth_proto::v1::{LogLine, LogsResponse};
use berth_scheduler_core::decide::session::Place;
use berth_scheduler_core::keys::{ClusterKey, InstanceKey, ServiceKey, TaskKey};
use berth_scheduler_core::state::{State, Task};
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep_until;

use super::Sessions;
use super::merge::{Merge, Turn};
use crate::engine::Engine;

/// Containers that are read for one request.
const MOST: usize = 100;
/// How often is looked for tasks and containers that are new.
const LOOK: Duration = Duration::from_millis(500);
/// Before a log is read again whose agent went away, or whose container starts again.
const AGAIN: Duration = Duration::from_secs(2);
/// How long a line waits for containers that are silent: where nothing is followed they all come to their end.
const PATIENCE: Duration = Duration::from_secs(30);
const PATIENCE_FOLLOWING: Duration = Duration::from_millis(300);
/// How often the reader hears that all is well.
const ALIVE: Duration = Duration::from_secs(5);
/// Lines of one answer, answers that wait, and lines of one container that wait.
const BATCH: usize = 256;
const ANSWERS: usize = 4;
const LINES: usize = 64;

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) cluster: ClusterKey,
    /// The name of the cluster.
    pub(crate) name: ClusterName,
    /// Of these tasks.
    pub(crate) tasks: Vec<TaskKey>,
    /// And of those of these services.
    pub(crate) services: Vec<ServiceKey>,
    /// Only these, by their names; all where there are none.
    pub(crate) containers: BTreeSet<String>,
    pub(crate) follow: bool,
    pub(crate) tail: Option<u32>,
    pub(crate) after_ns: Option<i64>,
}

/// A container, by its task and its name.
type Key = (TaskId, Arc<str>);

/// How far a container's log is read.
#[derive(Debug)]
enum Source {
    Reading(mpsc::Receiver<Told>),
    /// It is read again from then on.
    Away(Instant),
    Over,
}

/// What is said of a container's log.
#[derive(Debug)]
enum Told {
    Line(LogLine),
    /// Something of it is missing.
    Notice(String),
    /// It has come to its end, for now.
    End,
    /// It was not to be read further: the agent went away.
    Broken,
}

/// Who reads for one request.
struct Reading {
    engine: Engine,
    sessions: Arc<Sessions>,
    namespace: Arc<Namespace>,
    wanted: Wanted,
    sources: BTreeMap<Key, Source>,
    /// When the last line of a container was written.
    last_ns: BTreeMap<Key, i64>,
    merge: Merge<Key, LogLine>,
    news: Arc<Notify>,
    complained: BTreeSet<Key>,
    notices: Vec<LogLine>,
    /// Whether nothing new can come from the tasks that are asked for.
    settled: bool,
}

/// Begins to read. It ends when there is nothing more to read, or nobody takes the answers.
pub(crate) fn begin(
    engine: Engine,
    sessions: Arc<Sessions>,
    namespace: Arc<Namespace>,
    wanted: Wanted,
) -> mpsc::Receiver<LogsResponse> {
    let (out, answers) = mpsc::channel(ANSWERS);
    let patience = if wanted.follow { PATIENCE_FOLLOWING } else { PATIENCE };
    let reading = Reading {
        engine,
        sessions,
        namespace,
        wanted,
        sources: BTreeMap::new(),
        last_ns: BTreeMap::new(),
        merge: Merge::new(patience),
        news: Arc::default(),
        complained: BTreeSet::new(),
        notices: Vec::new(),
        settled: false,
    };
    tokio::spawn(reading.run(out));
    answers
}

impl Reading {
    async fn run(mut self, out: mpsc::Sender<LogsResponse>) {
        let shutdown = self.sessions.shutdown().clone();
        let mut look = Instant::now();
        let mut said = Instant::now();
        loop {
            let now = Instant::now();
            if now >= look {
                self.look(now);
                look = now + LOOK;
            }
            let (lines, wait) = self.lines(now);
            if !lines.is_empty() || said.elapsed() >= ALIVE {
                said = now;
                if out.send(LogsResponse { lines }).await.is_err() {
                    return;
                }
                continue;
            }
            if self.is_over() {
                return;
            }
            let wake = wait.map_or(look, |wait| wait.min(look));
            tokio::select! {
                () = self.news.notified() => {}
                () = sleep_until(wake.into()) => {}
                () = out.closed() => return,
                () = shutdown.cancelled() => return,
            }
        }
    }

    fn is_over(&self) -> bool {
        self.settled && self.sources.values().all(|source| matches!(source, Source::Over))
    }

    /// The lines whose turn it is, and when there may be more.
    fn lines(&mut self, now: Instant) -> (Vec<LogLine>, Option<Instant>) {
        let mut lines = std::mem::take(&mut self.notices);
        while lines.len() < BATCH {
            for key in self.merge.silent() {
                self.hear(&key, now);
            }
            lines.extend(std::mem::take(&mut self.notices));
            match self.merge.next(now) {
                Turn::Line(key, line) => {
                    self.last_ns.insert(key, line.time_ns);
                    lines.push(line);
                }
                Turn::Until(wait) => return (lines, Some(wait)),
                Turn::Nothing => break,
            }
        }
        (lines, None)
    }

    /// Takes in what a source says until its next line is known.
    fn hear(&mut self, key: &Key, now: Instant) {
        let Some(Source::Reading(told)) = self.sources.get_mut(key) else {
            return;
        };
        let next = match told.try_recv() {
            Ok(Told::Line(line)) => {
                self.complained.remove(key);
                self.merge.put(key, line.time_ns, line, now);
                return;
            }
            Err(mpsc::error::TryRecvError::Empty) => return,
            Ok(Told::Notice(text)) => {
                self.complain(key, text);
                return;
            }
            Ok(Told::End) => Source::Away(now + AGAIN),
            Ok(Told::Broken) | Err(mpsc::error::TryRecvError::Disconnected) => {
                let text = "the connection to the agent broke".to_owned();
                self.complain(key, text);
                Source::Away(now + AGAIN)
            }
        };
        let next = if self.wanted.follow { next } else { Source::Over };
        self.sources.insert(Key::clone(key), next);
        self.merge.remove(key);
    }

    /// Says why something is missing, once until it is better.
    fn complain(&mut self, key: &Key, text: String) {
        if self.complained.insert(Key::clone(key)) {
            let line = LogLine {
                stream: "NOTICE".to_owned(),
                text: text.into_bytes(),
                ..self.line(key)
            };
            self.notices.push(line);
        }
    }

    fn line(&self, (task, container): &Key) -> LogLine {
        LogLine {
            task_arn: self.namespace.task(&self.wanted.name, *task),
            container_name: container.to_string(),
            time_ns: crate::clock::now().as_millis().saturating_mul(1_000_000),
            ..LogLine::default()
        }
    }

    /// Looks which containers there are, and begins with those that are new or to be read again.
    fn look(&mut self, now: Instant) {
        let state = self.engine.view();
        let tasks = self.tasks(&state);
        let first = !self.settled && self.sources.is_empty();
        self.settled = !self.wanted.follow || self.is_settled(&state);
        if !first && !self.wanted.follow {
            return;
        }
        let mut named = BTreeSet::new();
        for task in tasks {
            for container in task
                .containers
                .iter()
                .filter(|container| container.runtime_id.is_some())
            {
                let key = (task.id, Arc::clone(&container.name));
                if !self.wanted.containers.is_empty() && !self.wanted.containers.contains(&*key.1) {
                    continue;
                }
                named.insert(Key::clone(&key));
                let ends = container.last == ContainerStatus::Stopped;
                match self.sources.get(&key) {
                    None => self.begin(key, &task),
                    Some(Source::Away(_)) if ends => drop(self.sources.insert(key, Source::Over)),
                    Some(Source::Away(until)) if *until <= now => self.begin(key, &task),
                    // It was read to an end, and its container was started again in its place.
                    Some(Source::Over) if !ends => self.begin(key, &task),
                    Some(Source::Reading(_) | Source::Away(_) | Source::Over) => {}
                }
            }
        }
        // What the state does not know any more is read no further.
        for (key, source) in &mut self.sources {
            if !named.contains(key) && matches!(source, Source::Away(_)) {
                *source = Source::Over;
            }
        }
    }

    /// Whether nothing will be written any more by whoever is asked for.
    fn is_settled(&self, state: &State) -> bool {
        let is_over = |key: &TaskKey| {
            state.task(*key).is_none_or(|task| task.is_stopped())
                && state.queue().task(*key).is_none_or(|task| !task.is_waiting())
        };
        let is_gone = |key: &ServiceKey| state.service(key).is_none_or(|service| !service.is_active());
        self.wanted.tasks.iter().all(is_over) && self.wanted.services.iter().all(is_gone)
    }

    fn tasks(&self, state: &State) -> Vec<Arc<Task>> {
        let cluster = self.wanted.cluster;
        let services = self.wanted.services.iter().filter_map(|key| state.service(key));
        let live = services.flat_map(|service| state.live_tasks_of(service));
        let named = self.wanted.tasks.iter().filter_map(|key| state.task(*key));
        // Those of services that have stopped since are read to their end.
        let begun = self
            .sources
            .keys()
            .filter_map(|(task, _)| state.task(TaskKey { cluster, task: *task }));
        let tasks: BTreeMap<TaskId, &Arc<Task>> = live.chain(named).chain(begun).map(|task| (task.id, task)).collect();
        tasks.into_values().map(Arc::clone).collect()
    }

    /// Begins to read a container's log, or goes on where it was.
    fn begin(&mut self, key: Key, task: &Task) {
        let open = self.sources.values().filter(|source| !matches!(source, Source::Over));
        if open.count() >= MOST {
            self.complain(&key, format!("more than {MOST} containers are not read at a time"));
            self.sources.insert(key, Source::Over);
            return;
        }
        let cluster = self.wanted.cluster;
        let last = self.last_ns.get(&key).copied();
        let log = Log {
            follow: self.wanted.follow,
            tail: self.wanted.tail.filter(|_| last.is_none()),
            after_ns: last.or(self.wanted.after_ns),
        };
        let place = Place {
            task: TaskKey { cluster, task: task.id },
            instance: InstanceKey {
                cluster,
                instance: task.instance,
            },
            container: Arc::clone(&key.1),
        };
        let (said, told) = mpsc::channel(LINES);
        let reader = Reader {
            sessions: Arc::clone(&self.sessions),
            place,
            like: self.line(&key),
            news: Arc::clone(&self.news),
        };
        tokio::spawn(reader.run(log, said));
        self.merge.add(Key::clone(&key));
        self.sources.insert(key, Source::Reading(told));
    }
}

/// Who reads the log of one container.
struct Reader {
    sessions: Arc<Sessions>,
    place: Place,
    /// A line of it, but for what is in it.
    like: LogLine,
    news: Arc<Notify>,
}

impl Reader {
    async fn run(self, log: Log, said: mpsc::Sender<Told>) {
        tokio::select! {
            () = self.read(log, &said) => {}
            () = said.closed() => {}
        }
        drop(said);
        self.news.notify_one();
    }

    async fn read(&self, log: Log, said: &mpsc::Sender<Told>) {
        let say = async |told| {
            let taken = said.send(told).await.is_ok();
            self.news.notify_one();
            taken
        };
        let called = self
            .sessions
            .call(&self.place, &self.like.task_arn, Wish::Log(log))
            .await;
        // Dropped, it ends the agent's reading too.
        let mut pipe = match called {
            Ok(pipe) => pipe,
            Err(fault) => {
                let _noticed = say(Told::Notice(fault.message)).await && say(Told::Broken).await;
                return;
            }
        };
        loop {
            let told = match pipe.from.message().await {
                Ok(Some(FromContainer { message })) => match message {
                    Some(from_container::Message::Output(output)) => {
                        let stream = match output.stream() {
                            Stream::Stderr => "STDERR",
                            Stream::Stdout | Stream::Unspecified => "STDOUT",
                        };
                        Told::Line(LogLine {
                            stream: stream.to_owned(),
                            time_ns: output.time_ns.unwrap_or(self.like.time_ns),
                            text: output.data,
                            goes_on: output.goes_on,
                            ..self.like.clone()
                        })
                    }
                    Some(from_container::Message::End(end)) => {
                        let _told =
                            (end.reason.is_empty() || say(Told::Notice(end.reason)).await) && say(Told::End).await;
                        return;
                    }
                    Some(from_container::Message::Begin(_)) | None => continue,
                },
                Ok(None) | Err(_) => {
                    let _told = say(Told::Broken).await;
                    return;
                }
            };
            if !say(told).await {
                return;
            }
        }
    }
}
