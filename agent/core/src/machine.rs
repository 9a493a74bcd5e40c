//! The task machine: one for each task that the agent knows.
//!
//! It is told what happened ([`Input`]) and answers with what to do ([`Action`]). It is driven by level, not by edge:
//! after every input it compares what is known with what is wanted and asks for what is missing, so that an input that
//! comes twice, late or not at all does no harm. A container has at most one effect and one look on its way at a time;
//! phases only move forward, within each run where a container is started again in its place; every machine whose
//! effects are answered ends in STOPPED.
//!
//! The caller keeps [`Machine::record`] durably before it performs the actions of a step that says so, and answers
//! every action with [`Input::Done`] or its kin.

mod event;
mod observe;
mod order;
mod outcome;
mod progress;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::time::Duration;

use berth_model::status::{StopCode, TaskStatus};
use berth_model::time::Timestamp;

pub use event::{Action, Input, Outcome, Step};

use crate::container::{Container, Phase};
use crate::failure;
use crate::record::{Record, Stop};
use crate::report::{self, TaskReport};
use crate::spec::TaskSpec;
use order::Order;

/// ECS's words for a task that ends with an essential container.
const ESSENTIAL_EXITED: &str = "Essential container in task exited";

/// What an operator sets for all tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Between the stop signal and SIGKILL, where the container does not say.
    pub stop_timeout: Duration,
    /// Between the end of a task and the removal of its containers.
    pub retention: Duration,
}

/// The machine of one task.
#[derive(Debug, Clone)]
pub struct Machine {
    record: Record,
    policy: Policy,
    order: Order,
    flights: Vec<Flight>,
    volumes: Volumes,
    adoption: Option<Box<TaskSpec>>,
    forgotten: bool,
    /// Its containers are not kept for inspection.
    retention_lifted: bool,
    unsaved: bool,
}

/// What is under way for a container; nothing of it outlives a restart.
#[derive(Debug, Clone, Default)]
struct Flight {
    effect: Option<Effect>,
    looking: bool,
    look_wanted: bool,
    look_at: Option<Timestamp>,
    retry_at: Option<Timestamp>,
    attempts: u32,
    /// Why the last effect failed, until a look has told what it left behind.
    failure: Option<String>,
    /// When it was started, for the patience of those that wait for it. Never after the last time that was heard of.
    since: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Pull,
    Create,
    Start,
    Signal,
    Kill,
    Remove,
}

/// The task's own volumes, which go after its containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Volumes {
    Kept { retry_at: Option<Timestamp>, attempts: u32 },
    Removing { attempts: u32 },
    Removed,
}

impl Machine {
    /// The machine of a task that was just assigned.
    #[must_use]
    pub fn new(spec: TaskSpec, policy: Policy) -> Self {
        Self::restored(Record::new(spec), policy)
    }

    /// The machine of a task that was assigned and cannot be run: it is STOPPED for the reason.
    #[must_use]
    pub fn failed(spec: TaskSpec, reason: &str, now: Timestamp, policy: Policy) -> Self {
        let mut record = Record::new(spec);
        for container in &mut record.containers {
            container.phase = Phase::Stopped;
        }
        record.stop = Some(Stop {
            code: Some(StopCode::TaskFailedToStart),
            reason: failure::cut(reason),
            at: now,
        });
        record.ended_at = Some(now);
        Self::restored(record, policy)
    }

    /// The machine of a task that ran, says the scheduler, and of which neither the spool nor Docker has anything: it
    /// is over, for nothing is started twice.
    #[must_use]
    pub fn vanished(spec: TaskSpec, now: Timestamp, policy: Policy) -> Self {
        let mut record = Record::new(spec);
        for container in &mut record.containers {
            *container = observe::vanished(std::mem::take(&mut container.name));
        }
        record.stop = Some(Stop {
            code: Some(StopCode::EssentialContainerExited),
            reason: ESSENTIAL_EXITED.to_owned(),
            at: now,
        });
        record.ended_at = Some(now);
        Self::restored(record, policy)
    }

    /// The machine of a task that the agent knew before it was restarted. What was on its way then is looked at.
    #[must_use]
    pub fn restored(mut record: Record, policy: Policy) -> Self {
        let flights = record
            .containers
            .iter_mut()
            .map(|container| {
                // The image may be gone since.
                if container.phase == Phase::Pulled {
                    container.phase = Phase::Waiting;
                }
                // Whether the stop signal reached it nobody knows. Without one SIGKILL would be all that it gets.
                container.signalled_at = None;
                Flight {
                    look_wanted: exists(container),
                    since: container.started_at,
                    ..Flight::default()
                }
            })
            .collect();
        let order = Order::of(&record.spec);
        Self {
            record,
            policy,
            order,
            flights,
            volumes: Volumes::Kept {
                retry_at: None,
                attempts: 0,
            },
            adoption: None,
            forgotten: false,
            retention_lifted: false,
            unsaved: false,
        }
    }

    /// What is to be kept durably.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// What is to be told the scheduler.
    #[must_use]
    pub fn report(&self) -> TaskReport {
        report::report(&self.record)
    }

    /// Where the task stands.
    #[must_use]
    pub fn status(&self) -> TaskStatus {
        report::status(&self.record)
    }

    /// Whether nothing is left of the task: no container, no volume, and its end is recorded.
    #[must_use]
    pub fn is_forgotten(&self) -> bool {
        self.forgotten
    }

    /// The place of the container that has the name in the definition.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.record
            .containers
            .iter()
            .position(|container| container.name == name)
    }

    /// Takes in what happened and says what to do.
    pub fn handle(&mut self, input: Input, now: Timestamp) -> Step {
        let before = self.report();
        let mut actions = Vec::new();
        self.not_after(now);
        self.take(input, now, &mut actions);
        self.adopt_when_idle();
        if self.adoption.is_none() {
            while self.advance(now, &mut actions) {}
            self.look(now, &mut actions);
            self.clean_up(now, &mut actions);
        }
        Step {
            actions,
            save: std::mem::take(&mut self.unsaved),
            report: self.report() != before,
        }
    }

    /// When [`Input::Tick`] is due; none when nothing waits for time. What was due before `now` has been done or waits
    /// for something else.
    #[must_use]
    pub fn wake_at(&self, now: Timestamp) -> Option<Timestamp> {
        let waits =
            self.record
                .containers
                .iter()
                .zip(&self.flights)
                .enumerate()
                .flat_map(|(at, (container, flight))| {
                    let signalled = container.signalled_at.filter(|_| container.phase == Phase::Running);
                    let awaited = self.awaits(at).then(|| self.order.deadline(at, flight.since));
                    [
                        flight.look_at,
                        flight.retry_at,
                        signalled.map(|signalled| signalled + self.stop_timeout(at)),
                        awaited.flatten(),
                    ]
                });
        let removal = self
            .record
            .ended_at
            .filter(|_| self.removable())
            .map(|end| end + self.retention());
        let volumes = match self.volumes {
            Volumes::Kept { retry_at, .. } => retry_at,
            Volumes::Removing { .. } | Volumes::Removed => None,
        };
        waits.chain([removal, volumes]).flatten().filter(|at| *at > now).min()
    }

    fn take(&mut self, input: Input, now: Timestamp, actions: &mut Vec<Action>) {
        match input {
            Input::Begin | Input::Tick => {}
            Input::Assigned(spec) => self.adoption = self.record.rebuilt.then_some(spec),
            Input::Stop => self.begin_stop(None, String::new(), now),
            Input::Terminate { code, reason } => self.begin_stop(Some(code), reason, now),
            Input::Done { container, outcome } => self.done(container, outcome, now),
            Input::VolumesRemoved(result) => self.volumes_removed(&result, now),
            Input::Hint(container) => self.want_look(container),
            Input::Listing(listed) => self.listing(&listed, actions),
            Input::Acknowledged => self.acknowledged(),
            Input::LiftRetention => self.retention_lifted = true,
        }
    }

    /// The host's clock may go back. What began "later" than now begins now, so that no wait grows by the step.
    fn not_after(&mut self, now: Timestamp) {
        for (container, flight) in self.record.containers.iter_mut().zip(&mut self.flights) {
            flight.since = flight.since.map(|since| since.min(now));
            container.signalled_at = container.signalled_at.map(|signalled| signalled.min(now));
        }
    }

    /// Whether the time matters that the container takes to meet what others need of it.
    fn awaits(&self, at: usize) -> bool {
        self.record.containers[at].is_up()
            && self.record.stop.is_none()
            && self.record.containers.iter().any(|other| other.phase == Phase::Pulled)
    }

    fn begin_stop(&mut self, code: Option<StopCode>, reason: String, now: Timestamp) {
        if self.record.stop.is_none() {
            self.record.stop = Some(Stop { code, reason, at: now });
            self.unsaved = true;
        }
    }

    /// A task known by its labels alone turns out to be wanted. Of its containers those that Docker has are kept; the
    /// others may have run before, and nothing is started twice. Answers that are still on their way name containers
    /// by the old places, so they are waited for.
    fn adopt_when_idle(&mut self) {
        let busy = self
            .flights
            .iter()
            .any(|flight| flight.effect.is_some() || flight.looking);
        let Some(spec) = self.adoption.take_if(|_| !busy) else {
            return;
        };
        let known = std::mem::take(&mut self.record.containers);
        let containers = spec.containers().iter().map(|definition| {
            let found = known
                .iter()
                .find(|container| container.name == definition.name)
                .cloned();
            found.unwrap_or_else(|| observe::vanished(definition.name.clone()))
        });
        let record = Record {
            containers: containers.collect(),
            rebuilt: false,
            spec: *spec,
            ..self.record.clone()
        };
        *self = Self::restored(record, self.policy);
        self.unsaved = true;
    }

    fn acknowledged(&mut self) {
        if self.record.ended_at.is_some() && !self.record.acknowledged {
            self.record.acknowledged = true;
            self.unsaved = true;
        }
    }

    fn stop_timeout(&self, at: usize) -> Duration {
        let own = self
            .record
            .spec
            .containers()
            .get(at)
            .and_then(|container| container.stop_timeout);
        own.and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(self.policy.stop_timeout, Duration::from_secs)
    }

    fn retention(&self) -> Duration {
        if self.retention_lifted {
            Duration::ZERO
        } else {
            self.policy.retention
        }
    }

    fn want_look(&mut self, at: usize) {
        let live = self.record.containers.get(at).is_some_and(exists);
        if let Some(flight) = self.flights.get_mut(at).filter(|_| live) {
            flight.look_wanted = true;
        }
    }
}

/// Whether Docker should have the container and it has not ended.
fn exists(container: &Container) -> bool {
    matches!(container.phase, Phase::Created | Phase::Starting | Phase::Running)
}
