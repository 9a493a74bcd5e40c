//! What Docker shows: looks at one container, and its list of all.

use berth_model::time::Timestamp;

use super::{Action, Effect, Machine, exists};
use crate::container::{Container, ListedContainer, Phase, RunState, Snapshot};
use crate::failure::{ErrorName, Failure, next_try};
use crate::name;

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
                        && entry.running != (container.phase == Phase::Running)
                }
                None => flight.look_wanted |= exists(container) && flight.effect.is_none(),
            }
        }
    }

    /// The container is over: it ended, or it will never start.
    pub(super) fn end(&mut self, at: usize, reason: Option<String>, now: Timestamp) {
        let container = &mut self.record.containers[at];
        container.phase = Phase::Stopped;
        container.reason = reason.or(container.reason.take());
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
        container.runtime_id = Some(snapshot.id);
        container.stop_signal = snapshot.stop_signal.or(container.stop_signal.take());
        container.started_at = container.started_at.or(snapshot.started_at);
        let flight = &mut self.flights[at];
        match snapshot.state {
            RunState::Running => {
                self.unsaved |= container.phase != Phase::Running;
                container.phase = Phase::Running;
                container.started_at.get_or_insert(now);
                if !snapshot.bindings.is_empty() {
                    container.bindings = snapshot.bindings;
                }
                flight.failure = None;
            }
            RunState::Exited {
                exit_code,
                oom_killed,
                finished_at,
            } => {
                container.exit_code = Some(exit_code);
                container.finished_at = finished_at;
                let memory = oom_killed && exit_code != 0;
                let reason = memory.then(|| ErrorName::OutOfMemory.reason("Container killed due to memory usage"));
                let failure = flight.failure.take();
                self.end(at, reason.or(failure), now);
            }
            RunState::Created if container.phase == Phase::Pulled => {
                container.phase = Phase::Created;
                flight.failure = None;
            }
            RunState::Created if container.phase == Phase::Starting && flight.effect.is_none() => {
                let stopping = self.record.stop.is_some();
                if let Some(reason) = flight.failure.take() {
                    self.end(at, Some(reason), now);
                } else if stopping {
                    self.end(at, None, now);
                }
            }
            RunState::Created => {}
        }
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
