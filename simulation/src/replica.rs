//! A scheduler's process: group commit, the agents' streams and the loops of `berth-scheduler-core`, with what the
//! scheduler's shell does around them, and nothing of journal and network. What leaves it is a list of [`Effect`]s.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use berth_agent_core::context::TaskContext;
use berth_agent_core::pause;
use berth_agent_core::spec::TaskSpec;
use berth_model::arn::Namespace;
use berth_model::id::{ClusterName, InstanceId, TaskId};
use berth_model::status::{DesiredStatus, InstanceStatus, TaskStatus};
use berth_model::time::Timestamp;
use berth_scheduler_core::assign::{Sent, Touch, Touched, touched};
use berth_scheduler_core::change::{Change, Record};
use berth_scheduler_core::commit::{GroupCommit, Next};
use berth_scheduler_core::decide::instance::{ConnectInstance, Reception, SetConnection};
use berth_scheduler_core::decide::queue::{EndOverdue, PlaceQueued};
use berth_scheduler_core::decide::reconcile::{ReconcileService, Reconciled};
use berth_scheduler_core::decide::report::{ConsiderStops, ReportTasks};
use berth_scheduler_core::decide::upkeep::ForgetStoppedTasks;
use berth_scheduler_core::keys::{InstanceKey, ReplicaId, Revision, ServiceKey};
use berth_scheduler_core::observation::InstanceFacts;
use berth_scheduler_core::presence::{Correction, correction};
use berth_scheduler_core::reconcile::Timing;
use berth_scheduler_core::state::{State, Task};
use berth_scheduler_core::wake::Hints;

use crate::ask::{Answer, Ask, Early, Waits};
use crate::journal::{AppendId, Stored};
use crate::message::{Assignment, Assignments, Reports, ToAgent, ToScheduler};
use crate::mutant::Mutant;
use crate::world::StreamId;

/// How often all services are looked at, whatever was heard.
const SWEEP: Duration = Duration::from_secs(60);
/// How long a stopped task is kept.
const RETENTION: Duration = Duration::from_secs(40);
const TIMING: Timing = Timing {
    stability: Duration::from_secs(10),
    lost_grace: Duration::from_secs(20),
};

/// What a scheduler wants done.
#[derive(Debug)]
pub(crate) enum Effect {
    Append {
        after: Revision,
        stored: Stored,
    },
    /// All records from there on.
    Read(Revision),
    /// The journal's newest revision.
    Head,
    Send(StreamId, ToAgent),
    Close(StreamId),
    Answer(u64, Answer),
}

/// An agent's stream.
#[derive(Debug)]
struct Session {
    stream: StreamId,
    sent: Sent,
    touched: Touched,
    dirty: bool,
    /// What the agent runs is recorded: it is told what it must run.
    introduced: bool,
}

/// A stream before and after its agent is known.
#[derive(Debug)]
enum Guest {
    Hello(Reports),
    Known(InstanceKey),
}

#[derive(Debug, Default)]
struct Agenda {
    ready: BTreeSet<ServiceKey>,
    running: BTreeMap<ServiceKey, bool>,
    timers: BTreeMap<ServiceKey, Timestamp>,
    swept: Option<Timestamp>,
}

#[derive(Debug)]
pub(crate) struct Replica {
    index: usize,
    epoch: u64,
    commit: GroupCommit<Ask>,
    queue: VecDeque<Ask>,
    appending: Option<(Revision, Stored)>,
    appends: u64,
    reading: bool,
    /// What waits is answered when this revision is published; none while the journal has not said which.
    confirming: Option<Option<Revision>>,
    guests: BTreeMap<StreamId, (InstanceId, Arc<InstanceFacts>, Guest)>,
    sessions: BTreeMap<InstanceKey, Session>,
    /// What ended streams were sent, for [`Mutant::NoCompleteSet`].
    left: BTreeMap<InstanceKey, Sent>,
    agenda: Agenda,
    hints: Hints,
    placing: usize,
    namespace: Namespace,
    cluster: ClusterName,
    effects: Vec<Effect>,
    mutant: Option<Mutant>,
    /// Answers before their time, for [`Mutant::AnswerBeforeDurable`].
    early: Early,
}

impl Replica {
    pub(crate) fn start(
        (index, epoch): (usize, u64),
        state: State,
        namespace: &Namespace,
        cluster: &ClusterName,
        mutant: Option<Mutant>,
    ) -> Self {
        let seed = u64::try_from(index).unwrap_or(0) << 32 | epoch;
        Self {
            index,
            epoch,
            hints: Hints::everywhere(&state),
            commit: GroupCommit::new(state, seed),
            queue: VecDeque::new(),
            appending: None,
            appends: 0,
            reading: false,
            confirming: None,
            guests: BTreeMap::new(),
            sessions: BTreeMap::new(),
            left: BTreeMap::new(),
            agenda: Agenda::default(),
            placing: 0,
            namespace: namespace.clone(),
            cluster: cluster.clone(),
            effects: Vec::new(),
            mutant,
            early: Early::default(),
        }
    }

    pub(crate) fn state(&self) -> &State {
        self.commit.published()
    }

    pub(crate) fn take_effects(&mut self, now: Timestamp) -> Vec<Effect> {
        self.keep_services(now);
        self.place_queued();
        self.proceed(now);
        self.assign();
        mem::take(&mut self.effects)
    }

    /// When a service is due.
    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        self.agenda.timers.values().min().copied()
    }

    pub(crate) fn submit(&mut self, mut ask: Ask) {
        if self.mutant == Some(Mutant::AnswerBeforeDurable) {
            ask.answer_early(&self.early);
        }
        self.queue.push_back(ask);
    }

    /// What became of the append: durable, or another record came first.
    pub(crate) fn appended(&mut self, id: AppendId, durable: bool, now: Timestamp) {
        if self.appending.as_ref().is_none_or(|(_, stored)| stored.id != id) {
            return;
        }
        if durable {
            self.committed();
        } else if !self.reading {
            self.reading = true;
            self.effects.push(Effect::Read(self.state().revision().next()));
        }
        self.proceed(now);
    }

    /// The append has had no answer for long: only the journal knows.
    pub(crate) fn doubt(&mut self, id: AppendId, now: Timestamp) {
        if self.appending.as_ref().is_none_or(|(_, stored)| stored.id != id) {
            return;
        }
        if self.mutant == Some(Mutant::RetryUnknown) {
            self.commit.overtaken(Vec::<(Record, ())>::new(), now, |_, _, ()| {});
            self.appending = None;
            self.proceed(now);
        } else {
            self.reading = true;
            self.effects.push(Effect::Read(self.state().revision().next()));
        }
    }

    /// The records from there on that the journal has, by a read or shown to those that follow it.
    pub(crate) fn read(&mut self, from: Revision, records: &[Stored], asked: bool, now: Timestamp) {
        if asked {
            self.reading = false;
        } else if self.appending.is_some() || self.reading {
            // The answer to the append, or the read, comes to the same.
            return;
        }
        let known = self.state().revision().next().0.saturating_sub(from.0);
        let mut records = records
            .get(usize::try_from(known).unwrap_or(usize::MAX)..)
            .unwrap_or_default();
        if let Some((after, stored)) = &self.appending {
            match records.first() {
                Some(first) if first.id == stored.id => {
                    self.committed();
                    records = &records[1..];
                }
                Some(_) => self.appending = None,
                // It may still arrive: the same append again comes to the same.
                None => self.effects.push(Effect::Append {
                    after: *after,
                    stored: stored.clone(),
                }),
            }
        }
        let skipped = (self.mutant == Some(Mutant::SkipRecord) && records.len() > 2).then_some(1);
        let missed: Vec<(Record, ())> = records
            .iter()
            .enumerate()
            .filter(|(at, _)| Some(*at) != skipped)
            .map(|(_, stored)| (Record::clone(&stored.record), ()))
            .collect();
        if !missed.is_empty() {
            let mut published = Vec::new();
            self.commit.overtaken(missed, now, |state, record, ()| {
                published.push((state.clone(), record.clone()));
            });
            for (state, record) in published {
                self.published(&state, &record);
            }
        }
        self.proceed(now);
    }

    /// The journal's newest revision, as of some moment since it was asked for.
    pub(crate) fn head(&mut self, head: Revision, now: Timestamp) {
        self.confirming = self.confirming.map(|_| Some(head));
        if self.state().revision() < head && !self.reading {
            self.reading = true;
            self.effects.push(Effect::Read(self.state().revision().next()));
        }
        self.proceed(now);
    }

    pub(crate) fn hear(&mut self, stream: StreamId, from: (InstanceId, &Arc<InstanceFacts>), message: ToScheduler) {
        match message {
            ToScheduler::Hello(tasks) => {
                let (instance, facts) = (from.0, Arc::clone(from.1));
                let connect = ConnectInstance {
                    cluster: self.cluster.clone(),
                    instance,
                    facts: Arc::clone(&facts),
                    leaving: None,
                    via: self.own(),
                };
                self.guests.insert(stream, (instance, facts, Guest::Hello(tasks)));
                self.ask(connect, Waits::Connect(stream), Answer::Received);
            }
            ToScheduler::Reports { sequence, tasks } => {
                if let Some(instance) = self.known(stream) {
                    let report = ReportTasks {
                        instance,
                        reports: tasks,
                    };
                    self.ask(report, Waits::Reports(stream, sequence), |()| Answer::Done);
                }
            }
            ToScheduler::Propose(tasks) => {
                if let Some(instance) = self.known(stream) {
                    let consider = ConsiderStops { instance, tasks };
                    self.ask(consider, Waits::Proposal(stream), Answer::Tasks);
                }
            }
        }
    }

    pub(crate) fn stream_ended(&mut self, stream: StreamId) {
        if let Some((_, _, Guest::Known(key))) = self.guests.remove(&stream) {
            // Another stream of the instance may have taken its place.
            if self.sessions.get(&key).is_some_and(|session| session.stream == stream) {
                let session = self.sessions.remove(&key);
                if self.mutant == Some(Mutant::NoCompleteSet) {
                    self.left.extend(session.map(|session| (key, session.sent)));
                }
            }
        }
    }

    /// The number of this start of it.
    fn own(&self) -> Option<ReplicaId> {
        Some(number(self.index, self.epoch))
    }

    /// Once a second: brings what the state says of connections to what is the case, and drops what is old. `is_away` says
    /// whether a stream that is not here has been away for long, `is_gone` whether another scheduler has been silent.
    pub(crate) fn tick(
        &mut self,
        is_away: impl Fn(InstanceKey) -> bool,
        is_gone: impl Fn(ReplicaId) -> bool,
        now: Timestamp,
    ) {
        let mut wrong = Vec::new();
        for (key, instance) in self.commit.published().instances() {
            let is_here = match self.sessions.contains_key(&key) {
                true => Some(true),
                false => is_away(key).then_some(false),
            };
            let known = (instance.connected, instance.via);
            match correction(self.own(), known, is_here, &is_gone) {
                Correction::Say(connected, via) if instance.status != InstanceStatus::Inactive => {
                    wrong.push(SetConnection { key, connected, via });
                }
                Correction::EndStream => {
                    let stream = self.sessions.get(&key).map(|session| session.stream);
                    self.effects.extend(stream.map(Effect::Close));
                }
                Correction::Say(..) | Correction::Nothing => {}
            }
        }
        for set in wrong {
            self.ask(set, Waits::Nobody, |()| Answer::Done);
        }
        if self.agenda.swept.is_none_or(|at| at + SWEEP <= now) {
            self.agenda.swept = Some(now);
            self.agenda
                .ready
                .extend(self.commit.published().services().map(|service| service.key()));
            self.ask(EndOverdue, Waits::Nobody, |_| Answer::Done);
            let forget = ForgetStoppedTasks {
                retention: RETENTION,
                limit: 20,
            };
            self.ask(forget, Waits::Nobody, |_| Answer::Done);
        }
    }

    fn known(&self, stream: StreamId) -> Option<InstanceKey> {
        match self.guests.get(&stream)? {
            (_, _, Guest::Known(key)) => Some(*key),
            (_, _, Guest::Hello(_)) => None,
        }
    }

    fn ask<C>(&mut self, command: C, waits: Waits, told: impl Fn(C::Outcome) -> Answer + 'static)
    where
        C: berth_scheduler_core::command::Command + 'static,
    {
        let ask = Ask::new(command, waits, self.mutant, told);
        self.queue.push_back(ask);
    }

    /// Decides what has come, and lets go what can leave.
    fn proceed(&mut self, now: Timestamp) {
        loop {
            match self.confirming {
                Some(Some(head)) if self.state().revision() >= head => {
                    self.confirming = None;
                    self.commit.confirmed();
                }
                Some(_) => return,
                None => {
                    let room = self.commit.room().min(self.queue.len());
                    self.commit.take(self.queue.drain(..room), now);
                }
            }
            if self.appending.is_some() {
                return;
            }
            match self.commit.proceed() {
                Next::Confirm if self.mutant == Some(Mutant::AnswerStale) => self.commit.confirmed(),
                Next::Confirm => {
                    self.confirming = Some(None);
                    self.effects.push(Effect::Head);
                    return;
                }
                Next::Append { after, record } => {
                    self.appends += 1;
                    let id = AppendId {
                        replica: self.index,
                        epoch: self.epoch,
                        number: self.appends,
                    };
                    let record = Arc::new(record.clone());
                    let stored = Stored { id, record };
                    let early = self.early.take();
                    let early = early
                        .into_iter()
                        .map(|(request, answer)| Effect::Answer(request, answer));
                    self.effects.extend(early);
                    self.appending = Some((after, stored.clone()));
                    self.effects.push(Effect::Append { after, stored });
                }
                Next::Answer(asks) => asks.into_iter().for_each(|ask| self.answer(ask, now)),
                Next::Nothing => return,
            }
        }
    }

    fn committed(&mut self) {
        self.appending = None;
        if let Some(committed) = self.commit.committed() {
            self.published(&committed.state, &committed.record);
            let at = committed.record.entries.first().map(|entry| entry.at);
            for ask in committed.answers {
                self.answer(ask, at.unwrap_or(Timestamp::from_millis(0)));
            }
        }
    }

    fn published(&mut self, state: &State, record: &Record) {
        for change in record.entries.iter().flat_map(|entry| &entry.changes) {
            self.hints.note(state, change);
            self.note(state, change);
            if self.mutant == Some(Mutant::ForgetStop) && matches!(change, Change::TaskStopRequested { .. }) {
                continue;
            }
            for (key, touch) in touched(state, change) {
                self.touch(key, touch);
            }
        }
    }

    fn touch(&mut self, key: InstanceKey, touch: Touch) {
        if let Some(session) = self.sessions.get_mut(&key) {
            session.touched.add(touch);
            session.dirty = true;
        }
    }

    /// Wakes the services that the change may concern.
    fn note(&mut self, state: &State, change: &Change) {
        let concerns = !matches!(
            change,
            Change::ServiceStepped { .. }
                | Change::ServiceInactive { .. }
                | Change::ServicesForgotten { .. }
                | Change::TasksPlaced { .. }
                | Change::TasksForgotten { .. }
        );
        if concerns {
            for service in state.services() {
                self.agenda.wake(service.key());
            }
        }
    }

    fn keep_services(&mut self, now: Timestamp) {
        let due: Vec<ServiceKey> = self
            .agenda
            .timers
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            self.agenda.timers.remove(&key);
            self.agenda.wake(key);
        }
        while let Some(key) = self.agenda.ready.pop_first() {
            self.agenda.timers.remove(&key);
            self.agenda.running.insert(key.clone(), false);
            let command = ReconcileService {
                key: key.clone(),
                timing: TIMING,
            };
            self.ask(command, Waits::Service(key), Answer::Reconciled);
        }
    }

    fn place_queued(&mut self) {
        if self.placing > 0 || self.hints.is_empty() {
            return;
        }
        let woken = self.hints.woken(self.state());
        if woken.is_empty() {
            self.hints = Hints::default();
        }
        self.placing = woken.len();
        for (shape, count) in woken {
            self.ask(PlaceQueued { shape, count }, Waits::Queue, |_| Answer::Done);
        }
    }

    fn answer(&mut self, ask: Ask, now: Timestamp) {
        let Some(answer) = ask.answer else { return };
        match ask.waits {
            Waits::Client(request) => self.effects.push(Effect::Answer(request, answer)),
            Waits::Connect(stream) => self.received(stream, &answer),
            Waits::Hello(stream, ended) => {
                let recorded = ToAgent::Recorded { sequence: 0, ended };
                self.effects.push(Effect::Send(stream, recorded));
                if let Some(key) = self.known(stream)
                    && let Some(session) = self.sessions.get_mut(&key)
                {
                    session.introduced = true;
                    session.dirty = true;
                }
            }
            Waits::Reports(stream, sequence) => {
                let ended = Vec::new();
                self.effects
                    .push(Effect::Send(stream, ToAgent::Recorded { sequence, ended }));
            }
            Waits::Service(key) => {
                let outcome = match answer {
                    Answer::Reconciled(outcome) => outcome,
                    Answer::Refused | Answer::Tasks(_) | Answer::Received(_) | Answer::Done => Reconciled::default(),
                };
                self.agenda.finish(key, &outcome, now);
            }
            Waits::Proposal(stream) => {
                if let Answer::Tasks(foreign) = answer {
                    self.effects.push(Effect::Send(stream, ToAgent::Confirm(foreign)));
                }
            }
            Waits::Queue => self.placing -= 1,
            Waits::Nobody => {}
        }
    }

    fn received(&mut self, stream: StreamId, answer: &Answer) {
        let Some((instance, _, guest)) = self.guests.get_mut(&stream) else {
            return;
        };
        let key = match answer {
            Answer::Received(Reception::Welcome(key)) => *key,
            Answer::Received(Reception::Deregistered(_))
            | Answer::Refused
            | Answer::Tasks(_)
            | Answer::Reconciled(_)
            | Answer::Done => {
                self.effects.push(Effect::Close(stream));
                return;
            }
        };
        debug_assert_eq!(key.instance, *instance, "the instance that asked");
        let Guest::Hello(tasks) = mem::replace(guest, Guest::Known(key)) else {
            return;
        };
        let session = Session {
            stream,
            sent: self.left.remove(&key).unwrap_or_default(),
            touched: Touched::default(),
            dirty: false,
            introduced: false,
        };
        if let Some(old) = self.sessions.insert(key, session) {
            self.effects.push(Effect::Close(old.stream));
        }
        self.effects.push(Effect::Send(stream, ToAgent::Welcome));
        let stopped = |(_, seen): &&(TaskId, Arc<_>)| {
            let seen: &berth_scheduler_core::observation::Observation = seen;
            seen.last_status == TaskStatus::Stopped
        };
        let ended = tasks.iter().filter(stopped).map(|(task, _)| *task).collect();
        let forgets = self.mutant == Some(Mutant::ForgetHello);
        let report = ReportTasks {
            instance: key,
            reports: if forgets { Vec::new() } else { tasks },
        };
        self.ask(report, Waits::Hello(stream, ended), |()| Answer::Done);
    }

    /// Tells agents what they do not know.
    fn assign(&mut self) {
        let state = self.commit.published();
        for (key, session) in &mut self.sessions {
            if !session.introduced || !mem::take(&mut session.dirty) {
                continue;
            }
            let touched = mem::take(&mut session.touched);
            let Some(update) = session.sent.update(state, *key, &touched) else {
                continue;
            };
            let spec = |task: &Arc<Task>| spec(state, task, &self.cluster, &self.namespace);
            let assignments = Assignments {
                complete: update.complete,
                applies_to: update.applies_to,
                results_in: update.results_in,
                tasks: update
                    .tasks
                    .iter()
                    .filter_map(|task| {
                        Some(Assignment {
                            spec: spec(task)?,
                            stop: task.assigned() == DesiredStatus::Stopped,
                            seen_running: task.times.started.is_some(),
                        })
                    })
                    .collect(),
                forgotten: update.forgotten,
            };
            let message = ToAgent::Assignments(Arc::new(assignments));
            self.effects.push(Effect::Send(session.stream, message));
        }
    }
}

/// The number of a start of a scheduler.
pub(crate) fn number(index: usize, epoch: u64) -> ReplicaId {
    ReplicaId(u64::try_from(index).unwrap_or(0) << 32 | epoch)
}

fn spec(state: &State, task: &Task, cluster: &ClusterName, namespace: &Namespace) -> Option<TaskSpec> {
    let id = &task.launch.definition;
    let definition = state.definition(id)?;
    Some(TaskSpec {
        id: task.id,
        arn: namespace.task(cluster, task.id),
        cluster: cluster.to_string(),
        instance: task.instance,
        definition_arn: namespace.definition(id),
        revision: i32::try_from(id.revision.0).unwrap_or(i32::MAX),
        definition: Arc::new(pause::added((*definition.definition).clone())),
        context: TaskContext::default(),
    })
}

impl Agenda {
    fn wake(&mut self, key: ServiceKey) {
        match self.running.get_mut(&key) {
            Some(again) => *again = true,
            None => {
                self.ready.insert(key);
            }
        }
    }

    fn finish(&mut self, key: ServiceKey, outcome: &Reconciled, now: Timestamp) {
        let again = self.running.remove(&key).unwrap_or(false) || outcome.unfinished;
        let wake = if again { Some(now) } else { outcome.wake };
        if let Some(at) = wake {
            self.timers.insert(key, at);
        }
    }
}
