//! An agent's process: the machines of `berth-agent-core` with what the agent's driver does around them, and nothing of
//! Docker, disk or network. What leaves it is a list of [`Effect`]s; it forgets all with its end, but for the spool.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

use berth_agent_core::assignment::Chain;
use berth_agent_core::machine::{Action, Input, Machine, Outcome, Policy};
use berth_agent_core::outbox::Outbox;
use berth_agent_core::record::Record;
use berth_agent_core::recovery::{Found, Listing};
use berth_agent_core::report::TaskReport;
use berth_model::id::{InstanceId, TaskId};
use berth_model::status::TaskStatus;
use berth_model::task_definition::PortMapping;
use berth_model::time::Timestamp;

use crate::docker::{Call, Needs};
use crate::message::{Assignment, Assignments, Reports, ToAgent, ToScheduler, observation};
use crate::mutant::Mutant;
use crate::world::StreamId;

const POLICY: Policy = Policy {
    stop_timeout: Duration::from_secs(10),
    retention: Duration::from_secs(20),
};

/// What an agent wants done.
#[derive(Debug)]
pub(crate) enum Effect {
    Docker(Call),
    /// The task's volumes, of which there are none: answered at once.
    RemoveVolumes(TaskId),
    /// To the spool; answered by [`Agent::spooled`].
    Write(Vec<(TaskId, Option<Box<Record>>)>),
    Send(StreamId, ToScheduler),
    Close(StreamId),
}

#[derive(Debug)]
struct Task {
    machine: Machine,
    version: u64,
    saved: u64,
    held: Vec<(u64, Held)>,
    /// What may be said of it: never more than what is durable.
    told: TaskReport,
}

#[derive(Debug)]
enum Held {
    Do(Action),
    Tell(Box<TaskReport>),
}

#[derive(Debug)]
struct Session {
    stream: StreamId,
    welcomed: bool,
    chain: Chain,
}

#[derive(Debug)]
pub(crate) struct Agent {
    instance: InstanceId,
    tasks: BTreeMap<TaskId, Task>,
    outbox: Outbox,
    session: Option<Session>,
    dirty: BTreeSet<TaskId>,
    removed: BTreeSet<TaskId>,
    writing: Option<Vec<(TaskId, u64)>>,
    suspects: BTreeSet<TaskId>,
    effects: Vec<Effect>,
    mutant: Option<Mutant>,
}

impl Task {
    fn has_ended(&self) -> bool {
        self.told.status == TaskStatus::Stopped
    }
}

impl Agent {
    /// An agent that goes on with the tasks of the spool and of Docker.
    pub(crate) fn start(
        instance: InstanceId,
        spool: &BTreeMap<TaskId, Record>,
        found: Vec<Found>,
        mutant: Option<Mutant>,
        now: Timestamp,
    ) -> Self {
        let mut agent = Self {
            instance,
            tasks: BTreeMap::new(),
            outbox: Outbox::default(),
            session: None,
            dirty: BTreeSet::new(),
            removed: BTreeSet::new(),
            writing: None,
            suspects: BTreeSet::new(),
            effects: Vec::new(),
            mutant,
        };
        for record in spool.values() {
            agent.insert(Machine::restored(record.clone(), POLICY), true);
        }
        let listing = Listing::of(found);
        for stray in listing.strays(instance, |task| agent.tasks.contains_key(&task)) {
            agent.insert(Machine::restored(stray, POLICY), false);
        }
        for task in agent.ids() {
            agent.handle(task, Input::Begin, now);
            agent.handle(task, Input::Listing(listing.of_task(task)), now);
        }
        agent
    }

    /// What is to be done now: records first, then what they allow.
    pub(crate) fn take_effects(&mut self, now: Timestamp) -> Vec<Effect> {
        self.flush();
        self.send(now);
        mem::take(&mut self.effects)
    }

    /// When something is due.
    pub(crate) fn wake_at(&self, now: Timestamp) -> Option<Timestamp> {
        let machines = self.tasks.values().filter_map(|task| task.machine.wake_at(now)).min();
        let told = self.session.as_ref().is_some_and(|session| session.welcomed);
        let progress = self.outbox.next_progress(now).filter(|_| told).map(|left| now + left);
        [machines, progress].into_iter().flatten().min()
    }

    pub(crate) fn tick(&mut self, now: Timestamp) {
        for task in self.ids() {
            self.handle(task, Input::Tick, now);
        }
    }

    pub(crate) fn stream(&self) -> Option<StreamId> {
        self.session.as_ref().map(|session| session.stream)
    }

    pub(crate) fn link_up(&mut self, stream: StreamId) {
        self.outbox.reset();
        for (id, task) in &self.tasks {
            if task.has_ended() && !task.machine.record().acknowledged {
                self.outbox.changed(*id);
            }
        }
        let hello = self.reports(self.tasks.keys());
        self.effects.push(Effect::Send(stream, ToScheduler::Hello(hello)));
        self.session = Some(Session {
            stream,
            welcomed: false,
            chain: Chain::default(),
        });
    }

    pub(crate) fn link_down(&mut self, stream: StreamId) {
        self.session.take_if(|session| session.stream == stream);
    }

    pub(crate) fn hear(&mut self, stream: StreamId, message: ToAgent, now: Timestamp) {
        let Some(session) = self.session.as_mut().filter(|session| session.stream == stream) else {
            return;
        };
        match message {
            ToAgent::Welcome => session.welcomed = true,
            ToAgent::Recorded { sequence, ended } => {
                let recorded = self.outbox.recorded(sequence);
                for task in recorded.into_iter().chain(ended) {
                    self.acknowledged(task, now);
                }
            }
            ToAgent::Assignments(assignments) => self.assignments(&assignments, now),
            ToAgent::Confirm(tasks) => {
                for task in tasks {
                    self.handle(task, Input::Stop, now);
                }
            }
        }
    }

    pub(crate) fn hint(&mut self, task: TaskId, container: &str, now: Timestamp) {
        let known = self.tasks.get(&task);
        if let Some(container) = known.and_then(|task| task.machine.position(container)) {
            self.handle(task, Input::Hint(container), now);
        }
    }

    pub(crate) fn done(&mut self, task: TaskId, container: usize, outcome: Outcome, now: Timestamp) {
        self.handle(task, Input::Done { container, outcome }, now);
    }

    pub(crate) fn volumes_removed(&mut self, task: TaskId, now: Timestamp) {
        self.handle(task, Input::VolumesRemoved(Ok(())), now);
    }

    /// The batch that was being written is durable.
    pub(crate) fn spooled(&mut self, now: Timestamp) {
        for (id, version) in self.writing.take().unwrap_or_default() {
            if let Some(task) = self.tasks.get_mut(&id) {
                task.saved = version;
            }
            self.release(id, now);
        }
    }

    /// Docker's list, as it is taken every half minute.
    pub(crate) fn listed(&mut self, found: Vec<Found>, now: Timestamp) {
        let listing = Listing::of(found);
        for task in self.ids() {
            self.handle(task, Input::Listing(listing.of_task(task)), now);
        }
        let strays = listing.strays(self.instance, |task| self.tasks.contains_key(&task));
        let before = mem::take(&mut self.suspects);
        for stray in strays {
            let task = stray.spec.id;
            if before.contains(&task) {
                self.insert(Machine::restored(stray, POLICY), false);
                self.handle(task, Input::Begin, now);
                self.propose(vec![task]);
            } else {
                self.suspects.insert(task);
            }
        }
    }

    fn ids(&self) -> Vec<TaskId> {
        self.tasks.keys().copied().collect()
    }

    fn acknowledged(&mut self, id: TaskId, now: Timestamp) {
        if self.tasks.get(&id).is_some_and(Task::has_ended) {
            self.handle(id, Input::Acknowledged, now);
        }
    }

    fn assignments(&mut self, set: &Assignments, now: Timestamp) {
        let Some(session) = self.session.as_mut() else { return };
        let chained = session.chain.advance(set.complete, set.applies_to, set.results_in);
        if chained.is_err() {
            self.effects.push(Effect::Close(session.stream));
            return;
        }
        let (stops, starts): (Vec<&Assignment>, Vec<&Assignment>) = set.tasks.iter().partition(|given| given.stop);
        for given in stops.into_iter().chain(starts) {
            self.assigned(given, now);
        }
        for task in &set.forgotten {
            self.acknowledged(*task, now);
        }
        if set.complete {
            let named: BTreeSet<TaskId> = set.tasks.iter().map(|given| given.spec.id).collect();
            let unnamed = |(id, task): (&TaskId, &Task)| (!named.contains(id) && !task.has_ended()).then_some(*id);
            let surplus = self.tasks.iter().filter_map(unnamed).collect();
            self.propose(surplus);
        }
    }

    fn assigned(&mut self, given: &Assignment, now: Timestamp) {
        let id = given.spec.id;
        if let Some(task) = self.tasks.get(&id) {
            if task.has_ended() {
                self.outbox.changed(id);
            } else if task.machine.record().rebuilt {
                self.handle(id, Input::Assigned(Box::new(given.spec.clone())), now);
            }
        } else {
            let machine = if given.seen_running {
                Machine::vanished(given.spec.clone(), now, POLICY)
            } else {
                Machine::new(given.spec.clone(), POLICY)
            };
            self.insert(machine, false);
            if !given.stop {
                self.handle(id, Input::Begin, now);
            }
            self.outbox.changed(id);
        }
        if given.stop {
            self.handle(id, Input::Stop, now);
        }
    }

    fn propose(&mut self, tasks: Vec<TaskId>) {
        if let Some(session) = self.session.as_ref().filter(|session| session.chain.has_begun())
            && !tasks.is_empty()
        {
            self.effects
                .push(Effect::Send(session.stream, ToScheduler::Propose(tasks)));
        }
    }

    fn insert(&mut self, machine: Machine, durable: bool) {
        let told = machine.report();
        let id = told.id;
        let task = Task {
            machine,
            version: u64::from(!durable),
            saved: 0,
            held: Vec::new(),
            told,
        };
        self.tasks.insert(id, task);
        if !durable {
            self.dirty.insert(id);
        }
    }

    fn handle(&mut self, id: TaskId, input: Input, now: Timestamp) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let step = task.machine.handle(input, now);
        if step.save {
            task.version += 1;
            self.dirty.insert(id);
        }
        let version = task.version;
        let actions = step.actions.into_iter().map(|action| (version, Held::Do(action)));
        task.held.extend(actions);
        if step.report {
            let report = Box::new(task.machine.report());
            task.held.push((version, Held::Tell(report)));
        }
        self.release(id, now);
    }

    fn release(&mut self, id: TaskId, now: Timestamp) {
        let eager = self.mutant == Some(Mutant::ActBeforeSpool);
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let saved = if eager { task.version } else { task.saved };
        let ready = task.held.iter().take_while(|(version, _)| *version <= saved).count();
        for (_, held) in task.held.drain(..ready).collect::<Vec<_>>() {
            match held {
                Held::Do(action) => self.act(id, action),
                Held::Tell(report) => {
                    if let Some(task) = self.tasks.get_mut(&id) {
                        if report.is_progress_since(&task.told) {
                            self.outbox.progressed(id, now);
                        } else {
                            self.outbox.changed(id);
                        }
                        task.told = *report;
                    }
                }
            }
        }
    }

    fn act(&mut self, id: TaskId, action: Action) {
        let container = match &action {
            Action::Pull { container, .. }
            | Action::Create { container, .. }
            | Action::Start { container, .. }
            | Action::Signal { container, .. }
            | Action::Kill { container, .. }
            | Action::Look { container, .. }
            | Action::Remove { container, .. } => *container,
            Action::RemoveVolumes => {
                self.effects.push(Effect::RemoveVolumes(id));
                return;
            }
            Action::Forget => {
                self.tasks.remove(&id);
                self.outbox.forget(id);
                self.dirty.remove(&id);
                self.removed.insert(id);
                return;
            }
        };
        let spec = self.tasks.get(&id).map(|task| &task.machine.record().spec);
        let definition = spec.and_then(|spec| spec.containers().get(container));
        let needs = definition.map(|definition| Needs {
            cpu: u32::try_from(definition.cpu).unwrap_or(0),
            memory: u32::try_from(definition.memory.unwrap_or(0)).unwrap_or(0),
            port: definition.port_mappings.iter().find_map(host_port),
        });
        self.effects.push(Effect::Docker(Call {
            task: id,
            container,
            needs: needs.unwrap_or_default(),
            action,
        }));
    }

    fn flush(&mut self) {
        if self.writing.is_some() || (self.dirty.is_empty() && self.removed.is_empty()) {
            return;
        }
        let mut records: Vec<(TaskId, Option<Box<Record>>)> =
            mem::take(&mut self.removed).into_iter().map(|id| (id, None)).collect();
        let mut versions = Vec::new();
        for id in mem::take(&mut self.dirty) {
            let Some(task) = self.tasks.get(&id) else { continue };
            records.push((id, Some(Box::new(task.machine.record().clone()))));
            versions.push((id, task.version));
        }
        self.writing = Some(versions);
        self.effects.push(Effect::Write(records));
    }

    fn send(&mut self, now: Timestamp) {
        let Some(stream) = self.session.as_ref().filter(|session| session.welcomed) else {
            return;
        };
        let stream = stream.stream;
        let tasks = &self.tasks;
        let ended = |id: TaskId| tasks.get(&id).is_some_and(Task::has_ended);
        while let Some((sequence, ids)) = self.outbox.next_message(now, ended) {
            let tasks = self.reports(ids.iter());
            self.effects
                .push(Effect::Send(stream, ToScheduler::Reports { sequence, tasks }));
            if self.mutant == Some(Mutant::ForgetAck) {
                for task in self.outbox.recorded(sequence) {
                    self.acknowledged(task, now);
                }
                return;
            }
        }
    }

    fn reports<'i>(&self, ids: impl Iterator<Item = &'i TaskId>) -> Reports {
        let told = |id: &TaskId| Some((*id, observation(&self.tasks.get(id)?.told)));
        ids.filter_map(told).collect()
    }
}

fn host_port(mapping: &PortMapping) -> Option<u16> {
    u16::try_from(mapping.host_port?).ok().filter(|port| *port > 0)
}
