//! A task, its machine, and what may happen to both; and the promises that are checked after each step.

use std::time::Duration;

use berth_agent_core::container::Phase;
use berth_agent_core::failure::{Failure, FailureKind};
use berth_agent_core::image::PulledImage;
use berth_agent_core::machine::{Action, Input, Machine, Outcome, Step};
use berth_agent_core::record::Record;
use berth_model::status::{HealthStatus, TaskStatus};
use berth_model::time::Timestamp;

use super::docker::{Docker, Real, id};
use super::{APP, DB, INIT, NAMES, POLICY, SIDE, spec};

pub(super) struct World {
    pub(super) machine: Machine,
    saved: Record,
    pub(super) docker: Docker,
    pub(super) outstanding: Vec<Action>,
    status: TaskStatus,
    /// How far each container has come: run by run, phase by phase.
    progress: [(u32, Phase); NAMES.len()],
    pub(super) now: Timestamp,
}

impl World {
    pub(super) fn new() -> serde_json::Result<Self> {
        let machine = Machine::new(spec()?, POLICY);
        let mut world = Self {
            saved: machine.record().clone(),
            machine,
            docker: Docker::default(),
            outstanding: Vec::new(),
            status: TaskStatus::Pending,
            progress: [(0, Phase::Waiting); NAMES.len()],
            now: Timestamp::from_millis(1_700_000_000_000),
        };
        world.tell(Input::Begin);
        Ok(world)
    }

    pub(super) fn tell(&mut self, input: Input) {
        let step = self.machine.handle(input, self.now);
        self.check(&step);
        if step.save {
            self.saved = self.machine.record().clone();
        }
        self.outstanding.extend(step.actions);
    }

    fn check(&mut self, step: &Step) {
        let status = self.machine.status();
        assert!(
            status >= self.status,
            "status went back from {} to {status}",
            self.status
        );
        self.status = status;
        let containers = &self.machine.record().containers;
        for (at, container) in containers.iter().enumerate() {
            let come = (container.restarts, container.phase);
            // After a restart of the agent an image is looked for again, and nothing else.
            let again = self.progress[at].1 == Phase::Pulled && container.phase == Phase::Waiting;
            assert!(
                come >= self.progress[at] || again,
                "{} went back to {come:?}",
                NAMES[at]
            );
            self.progress[at] = come;
        }
        let essential_over = [APP, DB].iter().any(|at| containers[*at].phase == Phase::Stopped);
        assert!(
            !essential_over || status >= TaskStatus::Stopping,
            "an essential container ended, the task is {status}"
        );
        for action in &step.actions {
            let (container, look) = subject(action);
            let same = |other: &&Action| subject(other) == (container, look);
            assert_eq!(
                self.outstanding.iter().filter(same).count(),
                0,
                "asked twice: {action:?}"
            );
            self.check_order(step, action);
        }
    }

    fn check_order(&self, step: &Step, action: &Action) {
        let containers = &self.machine.record().containers;
        match action {
            Action::Create { container: APP, .. } => {
                let (db, init) = (&containers[DB], &containers[INIT]);
                assert!(db.health == Some(HealthStatus::Healthy), "app before db is healthy");
                let done = init.phase == Phase::Stopped && init.exit_code == Some(0);
                assert!(done, "app before init has succeeded");
            }
            Action::Create { container: SIDE, .. } => {
                assert!(containers[APP].runtime_id.is_some(), "side before app");
            }
            Action::Start { container, .. } => {
                let status = self.machine.status();
                assert!(
                    status <= TaskStatus::Running,
                    "start of {container}, the task is {status}"
                );
                let record = if step.save { self.machine.record() } else { &self.saved };
                let kept = &record.containers[*container];
                assert!(
                    kept.phase >= Phase::Starting && kept.restarts == containers[*container].restarts,
                    "a start was asked for before it was kept"
                );
            }
            Action::Signal { container, .. } if self.machine.record().stop.is_some() => {
                self.check_stop_order(*container);
            }
            Action::Pull { .. }
            | Action::Create { .. }
            | Action::Signal { .. }
            | Action::Kill { .. }
            | Action::Look { .. }
            | Action::Remove { .. }
            | Action::RemoveVolumes
            | Action::Forget => {}
        }
    }

    fn check_stop_order(&self, container: usize) {
        let over = |at: usize| self.machine.record().containers[at].phase == Phase::Stopped;
        match container {
            APP => assert!(over(SIDE), "app is stopped before side, which needs it"),
            DB | INIT => assert!(over(APP), "{} is stopped before app, which needs it", NAMES[container]),
            _ => {}
        }
    }

    fn answer(&mut self, action: &Action, result: Result<(), FailureKind>) {
        let result = result.map_err(|kind| Failure::new(kind, "as the test wants it"));
        let (container, outcome) = match action {
            Action::Pull { container, .. } => (
                container,
                Outcome::Pulled(result.map(|()| PulledImage {
                    id: "sha256:0".to_owned(),
                    digest: None,
                    stop_signal: None,
                })),
            ),
            Action::Create { container, .. } => (container, Outcome::Created(result.map(|()| id(*container)))),
            Action::Start { container, .. } => (container, Outcome::Started(result.map(|()| Vec::new()))),
            Action::Signal { container, .. } => (container, Outcome::Signalled(result)),
            Action::Kill { container, .. } => (container, Outcome::Killed(result)),
            Action::Look { container, .. } => (
                container,
                Outcome::Looked(result.map(|()| self.docker.inspect(*container))),
            ),
            Action::Remove { container, .. } => (container, Outcome::Removed(result)),
            Action::RemoveVolumes => return self.tell(Input::VolumesRemoved(result)),
            Action::Forget => return,
        };
        self.tell(Input::Done {
            container: *container,
            outcome,
        });
    }

    /// Docker does what was asked and says so.
    pub(super) fn succeed(&mut self, action: &Action) {
        let waits = self.docker.port_taken && matches!(action, Action::Start { container: APP, .. });
        let refusal = if waits {
            FailureKind::PortTaken
        } else {
            FailureKind::Refused
        };
        let done = self.docker.carry_out(action, self.now);
        self.answer(action, if done { Ok(()) } else { Err(refusal) });
    }

    pub(super) fn list(&mut self) {
        self.tell(Input::Listing(self.docker.list()));
    }

    /// Killed at this moment: each effect on its way has reached Docker or has not.
    pub(super) fn restart(&mut self, reached: u8) {
        for (at, action) in std::mem::take(&mut self.outstanding).into_iter().enumerate() {
            if reached & (1 << (at % 8)) != 0 {
                self.docker.carry_out(&action, self.now);
            }
        }
        self.machine = Machine::restored(self.saved.clone(), POLICY);
        // What was not kept is not known.
        for (come, container) in self.progress.iter_mut().zip(&self.saved.containers) {
            *come = (container.restarts, container.phase);
        }
        self.tell(Input::Begin);
        self.list();
    }

    pub(super) fn chance(&mut self, choice: u8, detail: u8) {
        let container = usize::from(detail) % NAMES.len();
        match choice % 16 {
            0..=5 if !self.outstanding.is_empty() => {
                let action = self.outstanding.remove(usize::from(detail) % self.outstanding.len());
                self.succeed(&action);
            }
            6 | 7 if !self.outstanding.is_empty() => self.fail(detail),
            8 => {
                let code = i32::from(detail % 3);
                self.docker.end(container, code, self.now);
                if detail >= 128 {
                    self.tell(Input::Hint(container));
                }
            }
            9 if detail >= 230 => {
                self.docker.containers.remove(&container);
            }
            9 if detail >= 200 => self.docker.restart(container, self.now),
            10 if detail >= 240 => self.restart(detail),
            11 if detail >= 230 => self.tell(Input::Stop),
            12 => self.list(),
            13 => {
                let health = [HealthStatus::Healthy, HealthStatus::Unhealthy][usize::from(detail % 2)];
                if let Some(process) = self.docker.containers.get_mut(&DB).filter(|p| p.real == Real::Running) {
                    process.health = health;
                }
                self.tell(Input::Hint(DB));
            }
            14 => self.docker.port_taken = detail >= 128,
            15 if detail >= 250 => self.step_back(Duration::from_secs(u64::from(detail) * 60)),
            _ => {
                let long = if choice >= 224 { 1000 } else { 40 };
                self.now = self.now + Duration::from_millis(u64::from(detail) * long);
                self.tell(Input::Tick);
            }
        }
    }

    /// An effect fails, whether it has happened or not.
    fn fail(&mut self, detail: u8) {
        let action = self.outstanding.remove(usize::from(detail) % self.outstanding.len());
        let kinds = [
            (FailureKind::Refused, false),
            (FailureKind::NotFound, false),
            (FailureKind::Faltered, false),
            (FailureKind::Unprepared, false),
            (FailureKind::PortTaken, false),
            (FailureKind::TimedOut, false),
            (FailureKind::TimedOut, true),
            (FailureKind::Lost, false),
            (FailureKind::Lost, true),
        ];
        let (kind, happened) = kinds[usize::from(detail / 8) % kinds.len()];
        if happened {
            self.docker.carry_out(&action, self.now);
        }
        self.answer(&action, Err(kind));
    }

    /// The host's clock goes back.
    fn step_back(&mut self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.now = Timestamp::from_millis(self.now.as_millis() - millis);
        self.tell(Input::Tick);
    }

    /// Docker works, time passes: everything asked for happens, `init` ends well, and `db` gets healthy.
    pub(super) fn settle(&mut self) {
        self.docker.port_taken = false;
        for _ in 0..60 {
            self.drain();
            self.docker.end(INIT, 0, self.now);
            if let Some(process) = self.docker.containers.get_mut(&DB).filter(|p| p.real == Real::Running) {
                process.health = HealthStatus::Healthy;
            }
            self.tell(Input::Hint(INIT));
            self.tell(Input::Hint(DB));
            self.drain();
            self.now = self
                .machine
                .wake_at(self.now)
                .unwrap_or(self.now + Duration::from_secs(30));
            self.tell(Input::Tick);
            self.list();
        }
    }
}

impl World {
    /// Everything that was asked for happens.
    fn drain(&mut self) {
        for _ in 0..100 {
            if self.outstanding.is_empty() {
                break;
            }
            let action = self.outstanding.remove(0);
            self.succeed(&action);
            if let (Some(container), false) = subject(&action) {
                self.tell(Input::Hint(container));
            }
        }
        assert!(self.outstanding.is_empty(), "never rests: {:?}", self.outstanding);
    }
}

/// What an action is about, and whether it only looks.
fn subject(action: &Action) -> (Option<usize>, bool) {
    match action {
        Action::Pull { container, .. }
        | Action::Create { container, .. }
        | Action::Start { container, .. }
        | Action::Signal { container, .. }
        | Action::Kill { container, .. }
        | Action::Remove { container, .. } => (Some(*container), false),
        Action::Look { container, .. } => (Some(*container), true),
        Action::RemoveVolumes | Action::Forget => (None, false),
    }
}
