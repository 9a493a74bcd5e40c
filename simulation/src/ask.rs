//! A command that waits in a simulated scheduler, and who waits for its answer.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use berth_model::id::{DeploymentId, TaskId};
use berth_model::status::{DesiredStatus, TaskStatus};
use berth_scheduler_core::change::Change;
use berth_scheduler_core::command::{Command, Env, Principal};
use berth_scheduler_core::commit::Pending;
use berth_scheduler_core::decide::instance::Reception;
use berth_scheduler_core::decide::reconcile::Reconciled;
use berth_scheduler_core::fold::fold;
use berth_scheduler_core::keys::{ClusterKey, InstanceKey, ServiceKey};
use berth_scheduler_core::observation::{Observation, TaskTimes};
use berth_scheduler_core::state::State;

use crate::mutant::Mutant;
use crate::world::StreamId;

/// Who waits for the answer.
#[derive(Debug, Clone)]
pub(crate) enum Waits {
    /// A client, for its request of the number.
    Client(u64),
    /// A stream whose agent wants to join.
    Connect(StreamId),
    /// A stream whose agent has said what it runs; with the tasks whose end it told.
    Hello(StreamId, Vec<TaskId>),
    /// A stream whose agent has reported.
    Reports(StreamId, u64),
    /// A stream whose agent has asked what it may stop.
    Proposal(StreamId),
    /// The loop that keeps the service.
    Service(ServiceKey),
    /// The loop that places what waits.
    Queue,
    /// Nobody.
    Nobody,
}

/// What they are told.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Refused,
    Tasks(Vec<TaskId>),
    TaskSet(DeploymentId),
    Received(Reception),
    Reconciled(Reconciled),
    Done,
}

type Decide = dyn FnMut(&State, &mut Env<'_>) -> (Vec<Change>, Answer);

pub(crate) struct Ask {
    decide: Box<Decide>,
    by: Principal,
    pub(crate) waits: Waits,
    pub(crate) answer: Option<Answer>,
    first: Option<Vec<Change>>,
    mutant: Option<Mutant>,
    early: Option<Early>,
    believed: Option<State>,
}

/// Answers that are given when their record leaves, for [`Mutant::AnswerBeforeDurable`].
pub(crate) type Early = Rc<RefCell<Vec<(u64, Answer)>>>;

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask")
            .field("waits", &self.waits)
            .finish_non_exhaustive()
    }
}

impl Ask {
    pub(crate) fn new<C: Command + 'static>(
        command: C,
        waits: Waits,
        mutant: Option<Mutant>,
        told: impl Fn(C::Outcome) -> Answer + 'static,
    ) -> Self {
        let decide = move |state: &State, env: &mut Env<'_>| match command.decide(state, env) {
            Ok(decision) => (decision.changes, told(decision.outcome)),
            Err(_) => (Vec::new(), Answer::Refused),
        };
        Self {
            decide: Box::new(decide),
            by: Arc::from("simulation"),
            waits,
            answer: None,
            first: None,
            mutant,
            early: None,
            believed: None,
        }
    }

    /// It is decided on this state whatever the newest is, for [`Mutant::FireStale`].
    pub(crate) fn believe(&mut self, state: State) {
        self.believed = Some(state);
    }

    pub(crate) fn answer_early(&mut self, early: &Early) {
        self.early = Some(Rc::clone(early));
    }
}

impl Pending for Ask {
    fn decide(&mut self, state: &State, env: &mut Env<'_>) -> Vec<Change> {
        if let Some(first) = self.first.clone().filter(|_| self.mutant == Some(Mutant::SkipRebase)) {
            return first;
        }
        let (changes, answer) = match self.mutant {
            Some(Mutant::FreeEarly) if matches!(self.waits, Waits::Client(_)) => (self.decide)(&freed(state), env),
            _ => (self.decide)(self.believed.as_ref().unwrap_or(state), env),
        };
        if let (Some(early), Waits::Client(request)) = (&self.early, &self.waits) {
            early.borrow_mut().push((*request, answer.clone()));
        }
        self.answer = Some(answer);
        self.first = Some(changes.clone());
        changes
    }

    fn by(&self) -> Principal {
        Arc::clone(&self.by)
    }
}

/// The state as if all that is told to stop had stopped.
fn freed(state: &State) -> State {
    let mut freed = state.clone();
    let stopped = Arc::new(Observation {
        last_status: TaskStatus::Stopped,
        containers: Arc::from([]),
        stop_code: None,
        stopped_reason: None,
        times: TaskTimes::default(),
    });
    let instances: Vec<InstanceKey> = state.instances().map(|(key, _)| key).collect();
    for key in instances {
        for task in state.live_tasks_on(key) {
            if task.desired == DesiredStatus::Stopped {
                let cluster: ClusterKey = key.cluster;
                let change = Change::TaskObserved {
                    cluster,
                    task: task.id,
                    observed: Arc::clone(&stopped),
                    at: berth_model::time::Timestamp::from_millis(0),
                };
                fold(&mut freed, &change);
            }
        }
    }
    freed
}
