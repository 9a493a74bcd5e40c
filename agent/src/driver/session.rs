//! What the scheduler says and is told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use berth_agent_core::assignment::Chain;
use berth_agent_core::context::TaskContext;
use berth_agent_core::machine::{Input, Machine};
use berth_agent_core::spec::{TaskSpec, task_id_of};
use berth_model::id::TaskId;
use berth_model::status::DesiredStatus;
use berth_proto::agent::v1::scheduler_message::Message;
use berth_proto::agent::v1::{
    AgentMessage, Assignment, Assignments, AssignmentsApplied, Hello, HostFacts, OpenSession, StopProposal,
    TaskReports, Usage, agent_message,
};

use super::{Driver, drain, now};
use crate::event::Session;
use crate::failpoint::fail_point;
use crate::link::wire::{self, Definition};
use crate::sessions::{Asked, Target};

/// The stream of the moment.
#[derive(Debug)]
pub(super) struct Connected {
    session: Session,
    welcomed: bool,
    /// How the host is has not been told on this stream, or has changed since.
    conditions_due: bool,
    chain: Chain,
    /// The reports on their way, with when they left.
    reports: VecDeque<(u64, Instant)>,
    /// What this stream has carried and not taken back. One that cannot be read fails the tasks that name it.
    definitions: BTreeMap<String, Result<Definition, String>>,
}

impl Connected {
    /// Says whether the stream took the message.
    pub(super) fn send(&self, message: agent_message::Message) -> bool {
        self.session
            .outbound
            .try_send(AgentMessage { message: Some(message) })
            .is_ok()
    }

    pub(super) fn is_welcome(&self) -> bool {
        self.welcomed
    }

    /// A new stream begins after it.
    pub(super) fn close(&self) {
        self.session.close.cancel();
    }

    fn resolve(
        &self,
        assignment: &Assignment,
    ) -> Result<(i32, std::sync::Arc<berth_model::task_definition::TaskDefinition>), String> {
        let arn = &assignment.task_definition_arn;
        let known = self
            .definitions
            .get(arn)
            .ok_or_else(|| format!("the scheduler assigned '{arn}' without the definition"))?;
        let known = known.as_ref().map_err(Clone::clone)?;
        Ok((
            known.revision,
            wire::overridden(&known.definition, assignment.overrides.clone())?,
        ))
    }
}

impl Driver {
    /// Says Hello on the new stream.
    pub(super) fn link_up(&mut self, session: Session) {
        self.outbox.reset();
        // An end is told until it is recorded, whatever this stream's scheduler makes of the Hello.
        for (id, task) in &self.tasks {
            if task.has_ended() && !task.machine.record().acknowledged {
                self.outbox.changed(*id);
            }
        }
        let address = session.address.map(|address| address.to_string()).unwrap_or_default();
        let hello = Hello {
            cluster: self.parts.cluster.clone(),
            instance_id: self.parts.instance.to_string(),
            facts: Some(HostFacts {
                address,
                ..self.parts.facts.clone()
            }),
            tasks: self.tasks.values().map(|task| wire::task_report(&task.told)).collect(),
            drain: self.notice.as_ref().map(drain::message),
            schedulers: session.schedulers,
        };
        let connected = Connected {
            session,
            welcomed: false,
            conditions_due: true,
            chain: Chain::default(),
            reports: VecDeque::new(),
            definitions: BTreeMap::new(),
        };
        if !connected.send(agent_message::Message::Hello(hello)) {
            connected.session.close.cancel();
        }
        self.session = Some(connected);
    }

    pub(super) fn link_down(&mut self, number: u64) {
        self.asks.clear();
        let ended = self.session.take_if(|connected| connected.session.number == number);
        if ended.is_some() {
            self.parts.instruments.parted();
        }
    }

    pub(super) fn link_message(&mut self, number: u64, message: Message) {
        let Some(connected) = self
            .session
            .as_mut()
            .filter(|connected| connected.session.number == number)
        else {
            return;
        };
        match message {
            Message::Welcome(welcome) => {
                self.parts.publisher.welcomed(&welcome.container_instance_arn);
                connected.welcomed = true;
                self.parts.instruments.welcomed();
                self.tell_usage();
            }
            Message::Assignments(assignments) => self.assignments(assignments),
            Message::Recorded(recorded) => {
                let reports = &mut connected.reports;
                while let Some((_, left)) = reports.pop_front_if(|(sequence, _)| *sequence <= recorded.sequence) {
                    self.parts.instruments.reports.observe(left.elapsed());
                }
                let of_hello = recorded.ended_task_arns.iter().filter_map(|arn| task_id_of(arn));
                let ended: Vec<TaskId> = self
                    .outbox
                    .recorded(recorded.sequence)
                    .into_iter()
                    .chain(of_hello)
                    .collect();
                for task in ended {
                    self.acknowledged(task);
                }
            }
            Message::StopConfirmation(confirmation) => {
                for task in confirmation.task_arns.iter().filter_map(|arn| task_id_of(arn)) {
                    tracing::info!(%task, "stops: it is none of this instance's");
                    self.handle(task, Input::Stop);
                }
            }
            Message::Protection(answer) => self.asks.answered(answer),
            Message::OpenSession(asked) => self.open_session(asked),
            // Signs of life, the end of a stream and whom to believe are the link's.
            Message::Heartbeat(_) | Message::Refusal(_) | Message::Authorities(_) => {}
        }
    }

    /// A session in a container of one of the tasks; of others there is none.
    fn open_session(&self, asked: OpenSession) {
        let Some(connected) = &self.session else { return };
        let OpenSession {
            session_id,
            task_arn,
            container,
            wish,
        } = asked;
        let task = task_id_of(&task_arn);
        let target = task.and_then(|task| {
            let record = self.tasks.get(&task)?.machine.record();
            let of_name = record.containers.iter().find(|known| known.name == container)?;
            Some(Target {
                task,
                container: container.clone(),
                runtime_id: of_name.runtime_id.clone()?,
            })
        });
        self.parts.sessions.begin(Asked {
            scheduler: connected.session.scheduler.clone(),
            membership: connected.session.membership.clone(),
            id: session_id,
            wish,
            target: target.ok_or_else(|| format!("container {container} is not there any more, or not yet")),
        });
    }

    /// What was told is recorded: only an end that was told can be.
    fn acknowledged(&mut self, id: TaskId) {
        if self.tasks.get(&id).is_some_and(super::step::Task::has_ended) {
            fail_point!("before", "acknowledgement");
            self.handle(id, Input::Acknowledged);
            self.room.crowded = true;
            fail_point!("after", "acknowledgement");
        }
    }

    fn assignments(&mut self, set: Assignments) {
        let Some(connected) = self.session.as_mut() else { return };
        if let Err(gap) = connected.chain.advance(set.complete, set.applies_to, set.results_in) {
            tracing::warn!(error = %gap, "connecting anew for a complete set");
            connected.session.close.cancel();
            return;
        }
        let number = connected.session.number;
        for definition in set.task_definitions {
            let arn = definition.task_definition_arn.clone().unwrap_or_default();
            connected.definitions.insert(arn, wire::definition(definition));
        }
        let mut named = BTreeSet::new();
        // What stops makes room for what starts.
        let (stops, starts): (Vec<_>, Vec<_>) = set
            .assignments
            .into_iter()
            .partition(|assignment| assignment.desired_status == DesiredStatus::Stopped.name());
        for assignment in stops {
            named.extend(self.assigned(&assignment, true));
        }
        for assignment in starts {
            named.extend(self.assigned(&assignment, false));
        }
        for task in set.forgotten_task_arns.iter().filter_map(|arn| task_id_of(arn)) {
            self.acknowledged(task);
        }
        if let Some(connected) = &mut self.session {
            for arn in &set.forgotten_task_definition_arns {
                connected.definitions.remove(arn);
            }
        }
        if set.complete {
            let unnamed = |id: &TaskId| !named.contains(id) && !self.tasks[id].has_ended();
            let surplus: Vec<TaskId> = self.tasks.keys().copied().filter(|id| unnamed(id)).collect();
            self.propose(&surplus);
        }
        self.store.applied(number, set.results_in);
    }

    /// One assignment. A task is started at most once, ever: of one that is known only its stop is news.
    fn assigned(&mut self, assignment: &Assignment, stop: bool) -> Option<TaskId> {
        let Some(id) = task_id_of(&assignment.task_arn) else {
            tracing::error!(
                task = assignment.task_arn,
                "assignment without a task id at the end of its ARN"
            );
            return None;
        };
        if let Some(task) = self.tasks.get(&id) {
            if task.has_ended() {
                self.outbox.changed(id);
            } else if task.machine.record().rebuilt {
                self.adopt(id, assignment);
            }
        } else {
            let machine = self.new_machine(id, assignment);
            self.insert(machine, false);
            if !stop {
                self.handle(id, Input::Begin);
            }
            self.outbox.changed(id);
        }
        if stop {
            self.handle(id, Input::Stop);
        }
        Some(id)
    }

    fn new_machine(&self, id: TaskId, assignment: &Assignment) -> Machine {
        match self.spec(id, assignment) {
            Ok(spec) if assignment.seen_running => {
                tracing::error!(task = %id, "it ran, and neither its record nor its containers are there any more");
                Machine::vanished(spec, now(), self.parts.policy)
            }
            Ok(spec) => match self.refusal() {
                Some(reason) => {
                    tracing::warn!(task = %id, reason, "task is refused");
                    Machine::failed(spec, &reason, now(), self.parts.policy)
                }
                None => Machine::new(spec, self.parts.policy),
            },
            Err((spec, problem)) => {
                tracing::error!(task = %id, error = problem, "assigned task cannot be run");
                Machine::failed(*spec, &format!("TaskStateError: {problem}"), now(), self.parts.policy)
            }
        }
    }

    fn adopt(&mut self, id: TaskId, assignment: &Assignment) {
        match self.spec(id, assignment) {
            Ok(spec) => self.handle(id, Input::Assigned(Box::new(spec))),
            Err((_, problem)) => {
                tracing::error!(task = %id, error = problem, "assigned task is known by its labels alone")
            }
        }
    }

    /// What to run; or, with what is wrong with it, a spec without containers.
    fn spec(&self, id: TaskId, assignment: &Assignment) -> Result<TaskSpec, (Box<TaskSpec>, String)> {
        let resolved = match &self.session {
            Some(connected) => connected.resolve(assignment),
            None => Err("the stream that assigned it is over".to_owned()),
        };
        let resolved =
            resolved.and_then(|(revision, definition)| Ok((revision, definition, wire::context(assignment)?)));
        let spec = |revision, definition, context| TaskSpec {
            id,
            arn: assignment.task_arn.clone(),
            cluster: self.parts.cluster_name.clone(),
            instance: self.parts.instance,
            definition_arn: assignment.task_definition_arn.clone(),
            revision,
            definition,
            context: TaskContext {
                access: self.parts.endpoint.then(|| self.parts.publisher.access(id)),
                ignores_role: self.parts.ignores_roles,
                ..context
            },
        };
        match resolved {
            Ok((revision, definition, context)) => Ok(spec(revision, definition, context)),
            Err(problem) => {
                let empty = berth_agent_core::spec::empty_definition();
                Err((Box::new(spec(0, empty, TaskContext::default())), problem))
            }
        }
    }

    /// Asks whether tasks that are not assigned may be stopped; they go on until the answer.
    pub(super) fn propose(&mut self, tasks: &[TaskId]) {
        let Some(connected) = self.session.as_ref().filter(|connected| connected.chain.has_begun()) else {
            return;
        };
        if tasks.is_empty() {
            return;
        }
        let arns: Vec<String> = tasks
            .iter()
            .filter_map(|id| Some(self.tasks.get(id)?.told.arn.clone()))
            .collect();
        tracing::warn!(
            tasks = arns.len(),
            "runs tasks that are not assigned; asking whether to stop them"
        );
        let proposal = agent_message::Message::StopProposal(StopProposal { task_arns: arns });
        if !connected.send(proposal) {
            // The next complete set leads to the same question.
            connected.session.close.cancel();
        }
    }

    pub(super) fn assignments_applied(&mut self, session: u64, version: u64) {
        let Some(connected) = self
            .session
            .as_ref()
            .filter(|connected| connected.session.number == session)
        else {
            return;
        };
        let applied = agent_message::Message::Applied(AssignmentsApplied { version });
        if !connected.send(applied) {
            connected.session.close.cancel();
        }
    }

    /// The host is otherwise than it was.
    pub(super) fn conditions_changed(&mut self) {
        if let Some(connected) = &mut self.session {
            connected.conditions_due = true;
        }
    }

    /// Sends conditions and reports as long as the stream takes them; what changes meanwhile is merged.
    pub(super) fn send(&mut self) {
        self.stream_full = false;
        let Some(connected) = self.session.as_mut().filter(|connected| connected.welcomed) else {
            return;
        };
        if connected.conditions_due {
            let conditions = agent_message::Message::Conditions(self.parts.conditions.message());
            connected.conditions_due = !connected.send(conditions);
        }
        loop {
            let Ok(permit) = connected.session.outbound.try_reserve() else {
                self.stream_full = !connected.session.outbound.is_closed();
                return;
            };
            let ended = |id: TaskId| self.tasks.get(&id).is_some_and(super::step::Task::has_ended);
            let Some((sequence, tasks)) = self.outbox.next_message(now(), ended) else {
                return;
            };
            fail_point!("before", "report");
            let tasks = tasks
                .iter()
                .filter_map(|id| Some(wire::task_report(&self.tasks.get(id)?.told)))
                .collect();
            permit.send(AgentMessage {
                message: Some(agent_message::Message::Reports(TaskReports { sequence, tasks })),
            });
            connected.reports.push_back((sequence, Instant::now()));
            fail_point!("after", "report");
        }
    }

    pub(super) fn send_usage(&mut self, usage: Usage) {
        self.usage = usage;
        self.tell_usage();
    }

    /// Usage is of the moment: where it cannot be sent it is dropped.
    fn tell_usage(&self) {
        // Before the first sample there is nothing to tell.
        if self.usage.interval_ms == 0 {
            return;
        }
        let Some(connected) = self.session.as_ref().filter(|connected| connected.welcomed) else {
            return;
        };
        if !connected.send(agent_message::Message::Usage(self.usage.clone())) {
            tracing::debug!("usage was not sent");
        }
    }
}
