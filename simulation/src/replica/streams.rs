//! The agents' streams at a simulated scheduler: who is there, what each was told, what each says.

use std::mem;
use std::sync::Arc;

use berth_agent_core::context::TaskContext;
use berth_agent_core::pause;
use berth_agent_core::spec::TaskSpec;
use berth_model::arn::Namespace;
use berth_model::id::{InstanceId, TaskId};
use berth_model::name::ClusterName;
use berth_model::status::{DesiredStatus, TaskStatus};
use berth_scheduler_core::assign::{Sent, Touch, Touched};
use berth_scheduler_core::decide::instance::{ConnectInstance, Reception};
use berth_scheduler_core::decide::report::{ConsiderStops, ReportTasks};
use berth_scheduler_core::keys::InstanceKey;
use berth_scheduler_core::observation::{InstanceFacts, Observation};
use berth_scheduler_core::state::{State, Task};

use super::{Effect, Replica};
use crate::ask::{Answer, Waits};
use crate::message::{Assignment, Assignments, Reports, ToAgent, ToScheduler};
use crate::mutant::Mutant;
use crate::world::StreamId;

/// An agent's stream.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) stream: StreamId,
    pub(super) sent: Sent,
    pub(super) touched: Touched,
    pub(super) dirty: bool,
    /// What the agent runs is recorded: it is told what it must run.
    pub(super) introduced: bool,
}

/// A stream before and after its agent is known.
#[derive(Debug)]
pub(super) enum Guest {
    Hello(Reports),
    Known(InstanceKey),
}

impl Replica {
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

    pub(super) fn known(&self, stream: StreamId) -> Option<InstanceKey> {
        match self.guests.get(&stream)? {
            (_, _, Guest::Known(key)) => Some(*key),
            (_, _, Guest::Hello(_)) => None,
        }
    }

    pub(super) fn touch(&mut self, key: InstanceKey, touch: Touch) {
        if let Some(session) = self.sessions.get_mut(&key) {
            session.touched.add(touch);
            session.dirty = true;
        }
    }

    pub(super) fn received(&mut self, stream: StreamId, answer: &Answer) {
        let Some((instance, _, guest)) = self.guests.get_mut(&stream) else {
            return;
        };
        let key = match answer {
            Answer::Received(Reception::Welcome(key)) => *key,
            Answer::Received(Reception::Deregistered(_))
            | Answer::Refused
            | Answer::Tasks(_)
            | Answer::TaskSet(_)
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
            let seen: &Observation = seen;
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
    pub(super) fn assign(&mut self) {
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
