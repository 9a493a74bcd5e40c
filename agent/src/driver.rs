//! The one task that owns all machines: takes events in, hands actions, records and reports out.
//!
//! It never waits for Docker, disk or network, only for the next event, and holds no lock. What a step asks for leaves
//! only when the record that the step needs is durable.

mod asks;
mod drain;
mod room;
mod session;
mod step;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use berth_agent_core::container::Phase;
use berth_agent_core::drain::Notice;
use berth_agent_core::image::ImageRequest;
use berth_agent_core::machine::{Input, Machine, Policy};
use berth_agent_core::outbox::Outbox;
use berth_agent_core::pause;
use berth_agent_core::record::Record;
use berth_agent_core::recovery::{Found, Listing};
use berth_model::id::{InstanceId, TaskId};
use berth_model::status::TaskStatus;
use berth_model::time::Timestamp;
use berth_proto::agent::v1::{HostFacts, Usage};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::conditions::Conditions;
use crate::docker::Hint;
use crate::drain::Progress;
use crate::endpoint::Publisher;
use crate::event::Event;
use crate::perform::Performer;
use crate::pulse::Pulse;
use crate::sessions::Sessions;
use crate::spool::Writer;
use crate::usage::Running;
use crate::vitals::Instruments;
use asks::Asks;
use room::Room;
use session::Connected;
use step::Task;
use store::Store;

/// Events taken in before reports and records are sent on their way.
const BURST: usize = 64;
/// When nothing is due; also how soon a stream that was full is tried again.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);
const RETRY_SENDING: Duration = Duration::from_millis(100);

/// What the driver is made of.
pub(crate) struct Parts {
    pub(crate) instance: InstanceId,
    /// As the operator gave it, for the scheduler.
    pub(crate) cluster: String,
    /// The name alone, for labels.
    pub(crate) cluster_name: String,
    pub(crate) facts: HostFacts,
    pub(crate) policy: Policy,
    /// Containers of ended tasks that are kept for inspection.
    pub(crate) stopped_containers: usize,
    pub(crate) performer: Performer,
    /// Tasks that had a control group when the agent was started.
    pub(crate) grouped: BTreeSet<TaskId>,
    /// Writes the records of tasks.
    pub(crate) writer: Writer,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) pulse: Pulse,
    pub(crate) conditions: Conditions,
    pub(crate) instruments: Arc<Instruments>,
    /// To the endpoint that containers ask.
    pub(crate) publisher: Publisher,
    /// Whether tasks are told of the endpoint.
    pub(crate) endpoint: bool,
    /// Whether tasks run without the credentials of their roles.
    pub(crate) ignores_roles: bool,
    /// Commands in containers, and their logs.
    pub(crate) sessions: Sessions,
    /// What the host's end was told to be before the start.
    pub(crate) notice: Option<Notice>,
    pub(crate) progress: watch::Sender<Progress>,
}

/// The owner of all machines.
pub(crate) struct Driver {
    parts: Parts,
    tasks: BTreeMap<TaskId, Task>,
    outbox: Outbox,
    session: Option<Connected>,
    store: Store,
    /// Who waits for which image: it is pulled once for all.
    pulls: BTreeMap<ImageRequest, Vec<(TaskId, usize)>>,
    /// When which task wants to be told that time has passed.
    wakes: BTreeSet<(Timestamp, TaskId)>,
    /// Tasks that were listed once without being known: a list may be older than the end of a task.
    suspects: BTreeSet<TaskId>,
    stream_full: bool,
    /// The newest, for a stream that begins between two.
    usage: Usage,
    room: Room,
    asks: Asks,
    /// The host is about to go.
    notice: Option<Notice>,
    drained: Progress,
}

impl Driver {
    /// A driver that goes on with the tasks of the spool and of Docker.
    pub(crate) fn new(parts: Parts, records: Vec<Record>, found: Vec<Found>) -> Self {
        let store = Store::new(parts.writer.clone(), parts.events.clone());
        let mut driver = Self {
            notice: parts.notice.clone(),
            drained: Progress::default(),
            parts,
            tasks: BTreeMap::new(),
            outbox: Outbox::default(),
            session: None,
            store,
            pulls: BTreeMap::new(),
            wakes: BTreeSet::new(),
            suspects: BTreeSet::new(),
            stream_full: false,
            usage: Usage::default(),
            room: Room::default(),
            asks: Asks::default(),
        };
        let policy = driver.parts.policy;
        for record in records {
            driver.insert(Machine::restored(record, policy), true);
        }
        let listing = Listing::of(found);
        for stray in listing.strays(driver.parts.instance, |task| driver.tasks.contains_key(&task)) {
            tracing::warn!(task = %stray.spec.arn, "containers of a task without a record");
            driver.insert(Machine::restored(stray, policy), false);
        }
        for task in driver.tasks.keys().copied().collect::<Vec<_>>() {
            driver.handle(task, Input::Begin);
            driver.handle(task, Input::Listing(listing.of_task(task)));
        }
        driver.parts.publisher.completed();
        driver.parts.publisher.publish();
        for group in std::mem::take(&mut driver.parts.grouped) {
            let task = driver.tasks.get(&group);
            if task.is_none_or(|task| task.machine.status() == TaskStatus::Stopped) {
                driver.parts.performer.release_cgroup(group);
            }
        }
        tracing::info!(tasks = driver.tasks.len(), "tasks of before the start");
        driver
    }

    /// Runs until told to stop. Containers keep running.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<Event>, stop: CancellationToken) {
        let mut conditions = self.parts.conditions.changes();
        loop {
            self.parts.pulse.beat();
            self.store.flush(&self.tasks);
            self.send();
            self.parts.publisher.publish();
            let pause = self.pause();
            tokio::select! {
                () = stop.cancelled() => return,
                event = events.recv() => match event {
                    Some(event) => self.take(event),
                    None => return,
                },
                Ok(()) = conditions.changed() => self.conditions_changed(),
                () = tokio::time::sleep(pause) => {}
            }
            for _ in 0..BURST {
                let Ok(event) = events.try_recv() else { break };
                self.take(event);
            }
            self.wake();
            self.make_room();
            self.go_on_draining();
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::LinkUp(session) => self.link_up(*session),
            Event::LinkMessage(number, message) => self.link_message(number, *message),
            Event::LinkDown(number) => self.link_down(number),
            Event::Hint(hint) => self.hint(&hint),
            Event::Listed { found, look } => self.listed(found, look),
            Event::Done {
                task,
                container,
                outcome,
            } => self.handle(task, Input::Done { container, outcome }),
            Event::Pulled { image, result } => self.pulled(&image, &result),
            Event::VolumesRemoved { task, result } => self.handle(task, Input::VolumesRemoved(result)),
            Event::Disk(state) => self.disk(state),
            Event::ImagesNeeded(answer) => self.images_needed(answer),
            Event::Drain { number, notice } => self.drain(number, notice),
            Event::Spooled => self.spooled(),
            Event::WhatRuns(answer) => self.tell_what_runs(answer),
            Event::Usage(usage) => self.send_usage(usage),
            Event::Protection(asked) => self.protection_asked(asked),
            Event::Look { task, container } => self.handle(task, Input::Hint(container)),
            Event::Credentials(given) => self.credentials(given),
        }
    }

    fn hint(&mut self, hint: &Hint) {
        let task = berth_agent_core::spec::task_id_of(&hint.task_arn);
        let known = task.and_then(|id| Some((id, self.tasks.get(&id)?.machine.position(&hint.container)?)));
        if let Some((task, container)) = known {
            self.handle(task, Input::Hint(container));
        }
    }

    fn listed(&mut self, found: Vec<Found>, look: bool) {
        let listing = Listing::of(found);
        for task in self.tasks.keys().copied().collect::<Vec<_>>() {
            if look {
                let containers = self.tasks.get(&task).map_or(0, |known| known.told.containers.len());
                for container in 0..containers {
                    self.handle(task, Input::Hint(container));
                }
            }
            self.handle(task, Input::Listing(listing.of_task(task)));
        }
        let strays = listing.strays(self.parts.instance, |task| self.tasks.contains_key(&task));
        let before = std::mem::take(&mut self.suspects);
        for stray in strays {
            let task = stray.spec.id;
            if before.contains(&task) {
                tracing::warn!(task = %stray.spec.arn, "containers of a task that nobody knows");
                self.insert(Machine::restored(stray, self.parts.policy), false);
                self.handle(task, Input::Begin);
                self.propose(&[task]);
            } else {
                self.suspects.insert(task);
            }
        }
    }

    fn tell_what_runs(&self, answer: oneshot::Sender<Vec<Running>>) {
        let running = self.tasks.iter().flat_map(|(id, task)| {
            let containers = task.machine.record().containers.iter();
            containers
                .filter(|container| container.phase == Phase::Running && !pause::is_internal(&container.name))
                .filter_map(|container| {
                    Some(Running {
                        task: *id,
                        name: container.name.clone(),
                        runtime_id: container.runtime_id.clone()?,
                        started_at: container.started_at,
                    })
                })
        });
        if answer.send(running.collect()).is_err() {
            tracing::debug!("nobody waits for what runs");
        }
    }

    fn wake(&mut self) {
        let now = now();
        while let Some((at, task)) = self.wakes.first().copied().filter(|(at, _)| *at <= now) {
            self.wakes.remove(&(at, task));
            self.handle(task, Input::Tick);
        }
    }

    fn pause(&self) -> Duration {
        let next = self
            .wakes
            .first()
            .map_or(LONGEST_SLEEP, |(at, _)| at.since(now()) + Duration::from_millis(1));
        let draining = self
            .drain_due()
            .map_or(LONGEST_SLEEP, |at| at.since(now()) + Duration::from_millis(1));
        let sending = if self.stream_full { RETRY_SENDING } else { LONGEST_SLEEP };
        // Where no stream takes it, it waits for the next.
        let told = self.session.as_ref().is_some_and(Connected::is_welcome);
        let progress = self.outbox.next_progress(now()).filter(|_| told);
        let telling = progress.map_or(LONGEST_SLEEP, |left| left.max(RETRY_SENDING));
        next.min(sending).min(draining).min(telling)
    }
}

/// The host's clock. Pure code is given what it says.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
