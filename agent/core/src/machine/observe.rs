//! What Docker shows: looks at one container, and its list of all.

use std::time::Duration;

use berth_model::status::{HealthStatus, StopCode};
use berth_model::time::Timestamp;

use super::{Action, Effect, Flight, Machine, exists};
use crate::container::{Container, ListedContainer, Phase, RunState, Snapshot};
use crate::failure::{ErrorName, Failure, next_try};
use crate::name;

/// Between Docker's note of a start and its answer nothing passes but this, should the host's clock be put right then.
const SLACK: Duration = Duration::from_secs(1);

impl Machine {
    pub(super) fn looked(&mut self, at: usize, result: Result<Option<Snapshot>, Failure>, now: Timestamp) {
        if !std::mem::take(&mut self.flights[at].looking) {
            return;
        }
        match result {
            Ok(Some(snapshot)) => self.seen(at, snapshot, now),
            Ok(None) => self.missing(at, now),
            Err(_) => {
                let flight = &mut self.flights[at];
                flight.attempts += 1;
                flight.look_wanted = true;
                flight.look_at = Some(next_try(flight.attempts, now));
            }
        }
    }

    /// The containers of this task in a list. A list is older than what the machine knows, so it only leads to looks
    /// and to what does no harm.
    pub(super) fn listing(&mut self, listed: &[ListedContainer], actions: &mut Vec<Action>) {
        for at in 0..self.record.containers.len() {
            let found = listed
                .iter()
                .find(|entry| entry.name == self.record.containers[at].name);
            let container = &mut self.record.containers[at];
            let flight = &mut self.flights[at];
            match found {
                Some(entry) if container.phase == Phase::Stopped => {
                    if container.runtime_id.is_none() {
                        // A create that came to light after its deadline.
                        container.runtime_id = Some(entry.id.clone());
                        container.removed = false;
                        self.unsaved = true;
                    }
                    if entry.running && flight.effect.is_none() {
                        flight.effect = Some(Effect::Kill);
                        actions.push(Action::Kill {
                            container: at,
                            id: entry.id.clone(),
                        });
                    }
                }
                Some(entry) => {
                    flight.look_wanted |= exists(container)
                        && flight.effect.is_none()
                        && (entry.running != (container.phase == Phase::Running) || entry.paused != container.paused)
                }
                None => flight.look_wanted |= exists(container) && flight.effect.is_none(),
            }
        }
    }

    /// The container is over: it ended, or it will never start.
    pub(super) fn end(&mut self, at: usize, reason: Option<String>, now: Timestamp) {
        let container = &mut self.record.containers[at];
        container.phase = Phase::Stopped;
        // What never ran ended waiting, if it waited.
        let waited = container.waits_for.take().filter(|_| container.started_at.is_none());
        container.reason = reason.or(container.reason.take()).or(waited);
        container.paused = false;
        container.finished_at.get_or_insert(now);
        let flight = &mut self.flights[at];
        flight.failure = None;
        flight.attempts = 0;
        flight.retry_at = None;
        flight.look_wanted = false;
        flight.look_at = None;
        self.unsaved = true;
    }

    fn seen(&mut self, at: usize, snapshot: Snapshot, now: Timestamp) {
        let container = &mut self.record.containers[at];
        if container.phase == Phase::Stopped || container.phase == Phase::Waiting {
            return;
        }
        container.runtime_id = Some(snapshot.id.clone());
        container.stop_signal = snapshot.stop_signal.clone().or(container.stop_signal.take());
        match (&snapshot.state, container.phase) {
            (RunState::Running, _) => self.seen_running(at, snapshot, now),
            (RunState::Exited { .. }, Phase::Starting) if is_before_restart(container, &snapshot) => {
                self.seen_unstarted(at, &snapshot, now);
            }
            (RunState::Exited { .. }, _) => self.seen_exited(at, &snapshot, now),
            (RunState::Created, Phase::Pulled) => {
                container.phase = Phase::Created;
                self.flights[at].failure = None;
            }
            (RunState::Created, Phase::Starting) => self.seen_unstarted(at, &snapshot, now),
            (RunState::Created, _) => {}
        }
    }

    fn seen_running(&mut self, at: usize, snapshot: Snapshot, now: Timestamp) {
        let checked = self.has_health_check(at);
        let container = &mut self.record.containers[at];
        if container.phase == Phase::Running && is_another_run(container, &snapshot) {
            // How its run before ended nobody knows. An end is an end, seen or not: it is stopped in good order.
            container.foreign = true;
            let words = "it ended and was started again by somebody other than the agent; how it ended is not known";
            container.reason = Some(ErrorName::DockerState.reason(words));
        }
        self.unsaved |= container.phase != Phase::Running || container.run != snapshot.started_at;
        container.phase = Phase::Running;
        container.run = snapshot.started_at;
        let started = *container.started_at.get_or_insert(snapshot.started_at.unwrap_or(now));
        if !snapshot.bindings.is_empty() {
            container.bindings = snapshot.bindings;
        }
        let health = checked.then_some(snapshot.health);
        if health == Some(HealthStatus::Unhealthy) {
            // Said once: what it logs while it stays so is no news.
            if container.health != health {
                container.tail = snapshot.tail;
                self.unsaved = true;
            }
        } else {
            container.tail.clear();
        }
        container.health = health;
        container.paused = snapshot.paused;
        self.unsaved |= container.detail != snapshot.detail;
        container.detail = snapshot.detail;
        let addressed = container.task_address().is_some();
        container.waits_for = None;
        let flight = &mut self.flights[at];
        flight.failure = None;
        flight.since.get_or_insert(started.min(now));
        if !addressed && self.record.spec.holds_address(at) {
            let words = "Docker gave the task no address on its network";
            let reason = ErrorName::ResourceInitialization.reason(words);
            self.begin_stop(Some(StopCode::TaskFailedToStart), reason, now);
        }
    }

    /// Its process has ended: it is over, or started again in its place.
    fn seen_exited(&mut self, at: usize, snapshot: &Snapshot, now: Timestamp) {
        let RunState::Exited {
            exit_code,
            oom_killed,
            finished_at,
        } = snapshot.state
        else {
            return;
        };
        let container = &mut self.record.containers[at];
        container.started_at = container.started_at.or(snapshot.started_at);
        let ran = finished_at.unwrap_or(now).since(snapshot.started_at.unwrap_or(now));
        let policy = self
            .record
            .spec
            .containers()
            .get(at)
            .and_then(|own| own.restart_policy.as_ref());
        let again = policy.is_some_and(|policy| policy.restarts(exit_code, ran));
        // One that was told to stop, with its task or alone, stays so.
        if again && self.record.stop.is_none() && container.signalled_at.is_none() {
            let flight = &mut self.flights[at];
            if flight.effect.is_some() {
                // Its start has not been answered yet, and is not asked for a second time before it is.
                flight.look_wanted = true;
                flight.look_at = Some(next_try(1, now));
                return;
            }
            container.restarts += 1;
            container.phase = Phase::Starting;
            container.run = snapshot.started_at;
            container.health = None;
            self.flights[at] = Flight::default();
            self.unsaved = true;
            return;
        }
        container.exit_code = Some(exit_code);
        container.finished_at = finished_at;
        if container.signalled_at.is_none() {
            container.tail.clone_from(&snapshot.tail);
        }
        // When a task runs out of memory the kernel tells all of its containers; one that was stopped for it is no victim.
        let memory = oom_killed && exit_code != 0 && container.signalled_at.is_none();
        let reason = memory.then(|| ErrorName::OutOfMemory.reason("Container killed due to memory usage"));
        let failure = self.flights[at].failure.take();
        self.end(at, reason.or(failure), now);
    }

    /// A start was asked for and has not happened.
    fn seen_unstarted(&mut self, at: usize, snapshot: &Snapshot, now: Timestamp) {
        let flight = &mut self.flights[at];
        if flight.effect.is_some() {
            return;
        }
        let failure = flight.failure.take();
        if failure.is_none() && self.record.stop.is_none() {
            return;
        }
        // It was to be started again: it ended as its run before did.
        if let RunState::Exited {
            exit_code, finished_at, ..
        } = snapshot.state
        {
            let container = &mut self.record.containers[at];
            container.exit_code = Some(exit_code);
            container.finished_at = finished_at;
        }
        self.end(at, failure, now);
    }

    fn has_health_check(&self, at: usize) -> bool {
        let definition = self.record.spec.containers().get(at);
        definition.is_some_and(berth_model::task_definition::ContainerDefinition::has_health_check)
    }

    fn missing(&mut self, at: usize, now: Timestamp) {
        let failure = self.flights[at].failure.take();
        let docker_name = name::container(&self.record.spec, at);
        let container = &mut self.record.containers[at];
        match container.phase {
            Phase::Waiting => {}
            Phase::Pulled => {
                if failure.is_some() {
                    self.end(at, failure, now);
                }
            }
            Phase::Created | Phase::Starting | Phase::Running => {
                container.removed = true;
                let vanished =
                    || ErrorName::Vanished.reason(&format!("Docker has no container '{docker_name}' any more"));
                self.end(at, Some(failure.unwrap_or_else(vanished)), now);
            }
            Phase::Stopped => container.removed = true,
        }
    }
}

/// Whether it is the end of the run before that Docker shows: the one that was asked for has not begun.
fn is_before_restart(container: &Container, snapshot: &Snapshot) -> bool {
    container.restarts > 0 && container.run == snapshot.started_at
}

/// Whether the process that runs is not the one that ran before.
///
/// Docker's word on when a run began is the run's name. Of one that nobody has asked about yet it is only known that it
/// began before Docker answered its start.
fn is_another_run(container: &Container, snapshot: &Snapshot) -> bool {
    match (container.run, snapshot.started_at) {
        (Some(known), Some(seen)) => known != seen,
        (None, Some(seen)) => container.started_at.is_some_and(|started| seen > started + SLACK),
        (_, None) => false,
    }
}

/// A container that must have been there and is not.
pub(super) fn vanished(name: String) -> Container {
    Container {
        reason: Some(ErrorName::Vanished.reason("Docker has no such container of the task")),
        name,
        phase: Phase::Stopped,
        removed: true,
        ..Container::default()
    }
}
