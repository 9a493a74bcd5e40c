//! The next step of a task: towards running, towards its end, and out of Docker.

use std::time::Duration;

use berth_model::status::StopCode;
use berth_model::time::Timestamp;

use super::order::Gate;
use super::{Action, ESSENTIAL_EXITED, Effect, Machine, Volumes};
use crate::container::{Container, Phase};
use crate::create::create_request;
use crate::failure::{self, ErrorName, due};
use crate::name;
use crate::pause;

/// What a process is stopped with where its image does not say.
const STOP_SIGNAL: &str = "SIGTERM";
/// The exit code that ECS gives a container whose dependency cannot be met.
const NEVER_STARTED: i32 = 143;

impl Machine {
    /// Asks for what is missing. Says whether a container ended by it, so that the rules must be looked at again.
    pub(super) fn advance(&mut self, now: Timestamp, actions: &mut Vec<Action>) -> bool {
        if self.record.ended_at.is_some() {
            return false;
        }
        self.essential_rule(now);
        let mut again = false;
        for at in 0..self.record.containers.len() {
            if self.record.stop.is_some() {
                again |= self.wind_down(at, now, actions);
            } else if self.bring_up(at, now, actions) {
                // The task may end with this one: nothing more is begun before the rules have been looked at.
                return true;
            }
        }
        let all = |least: Phase| self.record.containers.iter().all(|container| container.phase >= least);
        if all(Phase::Running) && self.record.stop.is_none() && self.record.started_at.is_none() {
            self.record.started_at = Some(now);
        }
        if all(Phase::Stopped) && self.record.stop.is_some() {
            self.record.ended_at = Some(now);
            self.unsaved = true;
        }
        again
    }

    /// A task ends with its essential containers (ECS API, `ContainerDefinition.essential`).
    ///
    /// Of a task that is known by its labels alone nobody knows which these are, as long as one is left.
    fn essential_rule(&mut self, now: Timestamp) {
        let over = |container: &Container| container.phase == Phase::Stopped || container.foreign;
        if self.record.rebuilt && !self.record.containers.iter().all(over) {
            return;
        }
        let ended = self
            .record
            .containers
            .iter()
            .zip(self.record.spec.containers())
            .find(|(container, definition)| over(container) && definition.is_essential());
        let Some((container, definition)) = ended else { return };
        if self.record.execution_stopped_at.is_none() {
            self.record.execution_stopped_at = container.started_at.and(container.finished_at.or(Some(now)));
        }
        let (code, reason) = if pause::is_internal(&definition.name) {
            lost_namespaces(container)
        } else if container.started_at.is_some() {
            (StopCode::EssentialContainerExited, ESSENTIAL_EXITED.to_owned())
        } else {
            (
                StopCode::TaskFailedToStart,
                container.reason.clone().unwrap_or_default(),
            )
        };
        self.begin_stop(Some(code), reason, now);
    }

    fn bring_up(&mut self, at: usize, now: Timestamp, actions: &mut Vec<Action>) -> bool {
        if self.record.rebuilt || !self.may_act(at, now) {
            return false;
        }
        match self.record.containers[at].phase {
            Phase::Waiting => {
                self.record.pull_started_at.get_or_insert(now);
                let image = self.record.image_request(at);
                self.fly(at, Effect::Pull);
                actions.push(Action::Pull { container: at, image });
                false
            }
            Phase::Pulled => self.create(at, now, actions),
            Phase::Created | Phase::Starting => {
                if let Some(id) = self.record.containers[at].runtime_id.clone() {
                    self.record.containers[at].phase = Phase::Starting;
                    self.unsaved = true;
                    self.fly(at, Effect::Start);
                    actions.push(Action::Start {
                        container: at,
                        id,
                        ports: self.record.spec.has_forwarded_ports(at),
                    });
                }
                false
            }
            Phase::Running if self.record.containers[at].foreign => {
                self.stop(at, now, actions);
                false
            }
            Phase::Running | Phase::Stopped => false,
        }
    }

    fn create(&mut self, at: usize, now: Timestamp, actions: &mut Vec<Action>) -> bool {
        let since = |other: usize| self.flights.get(other).and_then(|flight| flight.since);
        match self.order.gate(at, &self.record.containers, since, now) {
            Gate::Shut => return false,
            Gate::Never(reason) => {
                self.end(at, Some(reason), now);
                self.record.containers[at].exit_code = Some(NEVER_STARTED);
                return true;
            }
            Gate::Open => {}
        }
        match create_request(&self.record.spec, at) {
            Ok(request) => {
                self.fly(at, Effect::Create);
                actions.push(Action::Create {
                    container: at,
                    request: Box::new(request.made_of(self.record.containers[at].image_pin().as_ref())),
                });
                false
            }
            Err(unfit) => {
                self.end(at, Some(ErrorName::CannotCreate.reason(&unfit.to_string())), now);
                true
            }
        }
    }

    fn wind_down(&mut self, at: usize, now: Timestamp, actions: &mut Vec<Action>) -> bool {
        let effect = self.flights[at].effect;
        match self.record.containers[at].phase {
            // A pull is shared with other tasks and goes on without this one.
            Phase::Waiting => {
                self.end(at, None, now);
                true
            }
            Phase::Pulled | Phase::Created if effect.is_none() && !self.looks_first(at) => {
                self.end(at, None, now);
                true
            }
            Phase::Starting if effect.is_none() => {
                if !self.looks_first(at) {
                    self.want_look(at);
                }
                false
            }
            Phase::Running => {
                self.stop(at, now, actions);
                false
            }
            Phase::Pulled | Phase::Created | Phase::Starting | Phase::Stopped => false,
        }
    }

    /// The stop signal first, SIGKILL when the container's time is over. No call to Docker lasts as long as a stop:
    /// it could be broken off half-way, which older Docker takes for an order to kill (moby 45731).
    fn stop(&mut self, at: usize, now: Timestamp, actions: &mut Vec<Action>) {
        // Where it alone is to end, those that need it go on.
        let alone = self.record.stop.is_none();
        if !self.may_act(at, now) || !(alone || self.order.may_stop(at, &self.record.containers)) {
            return;
        }
        let timeout = self.stop_timeout(at);
        let container = &mut self.record.containers[at];
        let Some(id) = container.runtime_id.clone() else { return };
        match container.signalled_at {
            None => {
                container.signalled_at = Some(now);
                let signal = container.stop_signal.clone().unwrap_or_else(|| STOP_SIGNAL.to_owned());
                self.unsaved = true;
                self.fly(at, Effect::Signal);
                actions.push(Action::Signal {
                    container: at,
                    id,
                    signal,
                });
            }
            Some(signalled) if is_over(signalled, timeout, now) => {
                self.fly(at, Effect::Kill);
                actions.push(Action::Kill { container: at, id });
            }
            Some(_) => {}
        }
    }

    /// Asks Docker about the containers of which something may have changed.
    pub(super) fn look(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        for (at, flight) in self.flights.iter_mut().enumerate() {
            if !flight.look_wanted || flight.looking || !due(flight.look_at, now) {
                continue;
            }
            flight.look_wanted = false;
            flight.look_at = None;
            flight.looking = true;
            let container = &self.record.containers[at];
            let tail = container.signalled_at.is_none();
            let target = container.runtime_id.clone();
            let target = target.unwrap_or_else(|| name::container(&self.record.spec, at));
            actions.push(Action::Look {
                container: at,
                target,
                tail,
            });
        }
    }

    /// Takes an ended task out of Docker once the scheduler holds its end and its time is over.
    pub(super) fn clean_up(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let over = self
            .record
            .ended_at
            .is_some_and(|end| is_over(end, self.retention(), now));
        if self.forgotten || !self.removable() || !over {
            return;
        }
        let mut left = false;
        for at in 0..self.record.containers.len() {
            let container = &self.record.containers[at];
            let id = container.runtime_id.clone().filter(|_| !container.removed);
            left |= id.is_some() || self.flights[at].effect.is_some();
            if let Some(id) = id.filter(|_| self.may_act(at, now)) {
                self.fly(at, Effect::Remove);
                actions.push(Action::Remove { container: at, id });
            }
        }
        if !left {
            self.clean_up_volumes(now, actions);
        }
    }

    fn clean_up_volumes(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        match self.volumes {
            Volumes::Kept { retry_at, attempts } if self.record.rebuilt || self.record.spec.has_own_volumes() => {
                if due(retry_at, now) {
                    self.volumes = Volumes::Removing { attempts };
                    actions.push(Action::RemoveVolumes);
                }
            }
            Volumes::Kept { .. } | Volumes::Removed => {
                self.forgotten = true;
                actions.push(Action::Forget);
            }
            Volumes::Removing { .. } => {}
        }
    }

    pub(super) fn removable(&self) -> bool {
        self.record.acknowledged && self.record.ended_at.is_some()
    }

    fn fly(&mut self, at: usize, effect: Effect) {
        let flight = &mut self.flights[at];
        flight.effect = Some(effect);
        flight.retry_at = None;
    }

    fn may_act(&self, at: usize, now: Timestamp) -> bool {
        let flight = &self.flights[at];
        flight.effect.is_none() && due(flight.retry_at, now) && !self.looks_first(at)
    }

    /// A look that is on its way decides what to do next.
    fn looks_first(&self, at: usize) -> bool {
        let flight = &self.flights[at];
        flight.looking || flight.look_wanted
    }
}

/// Why a task ends with its pause container, which no definition names: in words of its own.
fn lost_namespaces(container: &Container) -> (StopCode, String) {
    let detail = container.reason.clone().unwrap_or_else(|| match container.exit_code {
        Some(code) => format!("exit code {code}"),
        None => "it was stopped".to_owned(),
    });
    if container.started_at.is_some() {
        let words = format!("The pause container, which holds the network and namespaces of the task, ended: {detail}");
        (StopCode::EssentialContainerExited, failure::cut(&words))
    } else {
        let words = format!("the pause container, which holds the network and namespaces of the task: {detail}");
        (
            StopCode::TaskFailedToStart,
            ErrorName::ResourceInitialization.reason(&words),
        )
    }
}

fn is_over(begun: Timestamp, span: Duration, now: Timestamp) -> bool {
    now >= begun + span
}
