//! What effects bring back.

use berth_model::quantity::Protocol;
use berth_model::time::Timestamp;

use super::{Effect, Machine, Outcome, Volumes};
use crate::container::{Binding, Phase};
use crate::failure::{ErrorName, Failure, FailureKind, cut, next_port_try, next_try, reason};
use crate::image::PulledImage;
use crate::spec::TaskSpec;

/// Tries to get an image from a registry that falters.
const PULLS: u32 = 3;

impl Machine {
    pub(super) fn done(&mut self, at: usize, outcome: Outcome, now: Timestamp) {
        if at >= self.record.containers.len() {
            return;
        }
        match outcome {
            Outcome::Pulled(result) => self.pulled(at, result, now),
            Outcome::Created(result) => self.created(at, result, now),
            Outcome::Started(result) => self.started(at, result, now),
            Outcome::Signalled(result) => self.signalled(at, result, now),
            Outcome::Killed(result) => self.killed(at, &result, now),
            Outcome::Looked(result) => self.looked(at, result, now),
            Outcome::Removed(result) => self.removed(at, &result, now),
        }
    }

    pub(super) fn volumes_removed(&mut self, result: &Result<(), Failure>, now: Timestamp) {
        let Volumes::Removing { attempts } = self.volumes else {
            return;
        };
        self.volumes = match result {
            Ok(()) => Volumes::Removed,
            Err(_) => Volumes::Kept {
                retry_at: Some(next_try(attempts + 1, now)),
                attempts: attempts + 1,
            },
        };
    }

    fn pulled(&mut self, at: usize, result: Result<PulledImage, Failure>, now: Timestamp) {
        if !self.landed(at, Effect::Pull) || self.record.containers[at].phase != Phase::Waiting {
            return;
        }
        match result {
            Ok(image) => {
                self.flights[at].attempts = 0;
                let container = &mut self.record.containers[at];
                container.phase = Phase::Pulled;
                container.image_digest = Some(image.digest.unwrap_or_else(|| image.id.clone()));
                container.image_id = Some(image.id);
                container.stop_signal = image.stop_signal;
            }
            Err(failure) => {
                let again = match failure.kind {
                    FailureKind::Lost => true,
                    FailureKind::Faltered => self.flights[at].attempts + 1 < PULLS,
                    FailureKind::Refused
                    | FailureKind::NotFound
                    | FailureKind::PortTaken
                    | FailureKind::TimedOut
                    | FailureKind::Unprepared => false,
                };
                if again {
                    self.try_again(at, now);
                } else if failure.kind == FailureKind::Unprepared {
                    self.end(at, Some(reason(ErrorName::CannotPull, &failure)), now);
                } else {
                    let image = self
                        .record
                        .spec
                        .containers()
                        .get(at)
                        .map_or("", |container| &container.image);
                    let words = format!("image '{image}': {}", failure.message);
                    self.end(at, Some(ErrorName::CannotPull.reason(&words)), now);
                }
            }
        }
        if self
            .record
            .containers
            .iter()
            .all(|container| container.phase > Phase::Waiting)
        {
            self.record.pull_stopped_at.get_or_insert(now);
        }
    }

    fn created(&mut self, at: usize, result: Result<String, Failure>, now: Timestamp) {
        if !self.landed(at, Effect::Create) || self.record.containers[at].phase != Phase::Pulled {
            return;
        }
        match result {
            Ok(id) => {
                self.flights[at].attempts = 0;
                let container = &mut self.record.containers[at];
                container.phase = Phase::Created;
                container.runtime_id = Some(id);
            }
            Err(failure) => match failure.kind {
                // Creating again adopts what the lost call may have left.
                FailureKind::Lost => self.try_again(at, now),
                FailureKind::TimedOut => self.doubt(at, reason(ErrorName::CannotCreate, &failure)),
                FailureKind::Refused
                | FailureKind::NotFound
                | FailureKind::PortTaken
                | FailureKind::Faltered
                | FailureKind::Unprepared => {
                    self.end(at, Some(reason(ErrorName::CannotCreate, &failure)), now);
                }
            },
        }
    }

    fn started(&mut self, at: usize, result: Result<Vec<Binding>, Failure>, now: Timestamp) {
        if !self.landed(at, Effect::Start) {
            return;
        }
        let container = &mut self.record.containers[at];
        match result {
            Ok(bindings) => {
                let flight = &mut self.flights[at];
                flight.attempts = 0;
                if container.phase == Phase::Starting {
                    container.phase = Phase::Running;
                    container.started_at = Some(now);
                    container.run = None;
                    container.bindings = bindings;
                    container.waits_for = None;
                    flight.since = Some(now);
                    self.unsaved = true;
                    if self.record.spec.holds_address(at) {
                        self.want_look(at);
                    }
                }
            }
            Err(_) if container.phase != Phase::Starting => {}
            Err(failure) if failure.kind == FailureKind::Lost => {
                self.try_again(at, now);
                self.want_look(at);
            }
            Err(failure) if failure.kind == FailureKind::PortTaken => {
                let ports = ports_in(&self.record.spec, at, &failure.message);
                container.waits_for = Some(cut(&format!("waits for {ports}: {}", failure.message)));
                let flight = &mut self.flights[at];
                flight.attempts += 1;
                flight.retry_at = Some(next_port_try(flight.attempts, now));
            }
            // Some starts fail after the fact: what Docker has decides.
            Err(failure) => self.doubt(at, reason(ErrorName::CannotStart, &failure)),
        }
    }

    fn signalled(&mut self, at: usize, result: Result<(), Failure>, now: Timestamp) {
        if !self.landed(at, Effect::Signal) {
            return;
        }
        match result.map_err(|failure| failure.kind) {
            Ok(()) => self.flights[at].attempts = 0,
            Err(FailureKind::Lost) => {
                self.record.containers[at].signalled_at = None;
                self.try_again(at, now);
            }
            Err(
                FailureKind::Refused
                | FailureKind::NotFound
                | FailureKind::Faltered
                | FailureKind::PortTaken
                | FailureKind::TimedOut
                | FailureKind::Unprepared,
            ) => self.want_look(at),
        }
    }

    /// Docker answers before the process is gone, and at times without killing it: only a look tells.
    fn killed(&mut self, at: usize, result: &Result<(), Failure>, now: Timestamp) {
        if !self.landed(at, Effect::Kill) {
            return;
        }
        self.try_again(at, now);
        if result.is_err() {
            self.want_look(at);
        }
    }

    fn removed(&mut self, at: usize, result: &Result<(), Failure>, now: Timestamp) {
        if !self.landed(at, Effect::Remove) {
            return;
        }
        match result {
            Ok(()) => {
                self.record.containers[at].removed = true;
                self.flights[at].attempts = 0;
            }
            Err(_) => self.try_again(at, now),
        }
    }

    /// Takes the answer to the effect; an answer to anything else is of no use.
    fn landed(&mut self, at: usize, effect: Effect) -> bool {
        let flight = &mut self.flights[at];
        let expected = flight.effect == Some(effect);
        if expected {
            flight.effect = None;
        }
        expected
    }

    fn try_again(&mut self, at: usize, now: Timestamp) {
        let flight = &mut self.flights[at];
        flight.attempts += 1;
        flight.retry_at = Some(next_try(flight.attempts, now));
    }

    /// The effect failed; whether it happened all the same is to be seen.
    fn doubt(&mut self, at: usize, reason: String) {
        let flight = &mut self.flights[at];
        flight.failure = Some(reason);
        flight.look_wanted = true;
    }
}

/// The host ports that a start failed for: those of the container that Docker's words name, else all that it fixes.
fn ports_in(spec: &TaskSpec, at: usize, words: &str) -> String {
    let mappings = spec
        .containers()
        .get(at)
        .map_or(&[][..], |container| &container.port_mappings);
    let fixed: Vec<(i32, Protocol)> = mappings
        .iter()
        .filter_map(|mapping| Some((mapping.host_port.filter(|port| *port > 0)?, mapping.protocol())))
        .collect();
    let numbers: Vec<&str> = words.split(|c: char| !c.is_ascii_digit()).collect();
    let named: Vec<&(i32, Protocol)> = fixed
        .iter()
        .filter(|(port, _)| numbers.contains(&port.to_string().as_str()))
        .collect();
    let all = if named.is_empty() {
        fixed.iter().collect()
    } else {
        named
    };
    match all.as_slice() {
        [] => "a host port".to_owned(),
        [(port, protocol)] => format!("host port {port}/{}", protocol.name()),
        several => {
            let list: Vec<String> = several
                .iter()
                .map(|(port, protocol)| format!("{port}/{}", protocol.name()))
                .collect();
            format!("host ports {}", list.join(", "))
        }
    }
}
