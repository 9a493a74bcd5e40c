//! Any order of answers, failures, deaths, removals and restarts: the machine keeps its promises, and once Docker
//! works again it comes to an end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use berth_agent_core::container::{Detail, ListedContainer, Phase, RunState, Snapshot};
use berth_agent_core::context::TaskContext;
use berth_agent_core::failure::{Failure, FailureKind};
use berth_agent_core::image::PulledImage;
use berth_agent_core::machine::{Action, Input, Machine, Outcome, Policy, Step};
use berth_agent_core::record::Record;
use berth_agent_core::spec::TaskSpec;
use berth_model::id::{InstanceId, TaskId};
use berth_model::status::{HealthStatus, TaskStatus};
use berth_model::time::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use serde_json::json;

const NAMES: [&str; 3] = ["app", "db", "side"];
const POLICY: Policy = Policy {
    stop_timeout: Duration::from_secs(10),
    retention: Duration::from_secs(60),
};

/// `app` links to `db`, `side` takes the volumes of `app` and is not essential.
fn spec() -> serde_json::Result<TaskSpec> {
    let id = TaskId::from_bits(1);
    let definition = json!({"family": "web", "volumes": [{"name": "own"}], "containerDefinitions": [
        {"name": "app", "image": "a", "memory": 8, "links": ["db"],
         "mountPoints": [{"sourceVolume": "own", "containerPath": "/own"}]},
        {"name": "db", "image": "a", "memory": 8},
        {"name": "side", "image": "a", "memory": 8, "essential": false, "volumesFrom": [{"sourceContainer": "app"}]},
    ]});
    Ok(TaskSpec {
        id,
        arn: format!("arn:aws:ecs:us-east-1:000000000000:task/prod/{id}"),
        cluster: "prod".to_owned(),
        instance: InstanceId::from_bits(2),
        definition_arn: String::new(),
        revision: 1,
        definition: Arc::new(serde_json::from_value(definition)?),
        context: TaskContext::default(),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Real {
    Created,
    Running,
    Exited,
}

/// A task, its machine, and a Docker that does as the test says.
struct World {
    machine: Machine,
    saved: Record,
    docker: BTreeMap<usize, Real>,
    /// How often Docker has started each container.
    starts: [u32; 3],
    outstanding: Vec<Action>,
    status: TaskStatus,
    now: Timestamp,
}

impl World {
    fn new() -> serde_json::Result<Self> {
        let machine = Machine::new(spec()?, POLICY);
        let mut world = Self {
            saved: machine.record().clone(),
            machine,
            docker: BTreeMap::new(),
            starts: [0; 3],
            outstanding: Vec::new(),
            status: TaskStatus::Pending,
            now: Timestamp::from_millis(1_700_000_000_000),
        };
        world.tell(Input::Begin);
        Ok(world)
    }

    fn tell(&mut self, input: Input) {
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
        let essential_over = self
            .machine
            .record()
            .containers
            .iter()
            .take(2)
            .any(|c| c.phase == Phase::Stopped);
        assert!(
            !essential_over || status >= TaskStatus::Stopping,
            "an essential container ended, the task is {status}"
        );
    }

    fn check_order(&self, step: &Step, action: &Action) {
        if let Action::Create { container, .. } = action {
            assert!(*container != 0 || self.starts[1] > 0, "app before its link db");
            let app = self.machine.record().containers[0].runtime_id.is_some();
            assert!(*container != 2 || app, "side before app");
        }
        if let Action::Start { container, .. } = action {
            let status = self.machine.status();
            assert!(
                status <= TaskStatus::Running,
                "start of {container} in a task that is {status}"
            );
            assert!(
                self.saved_phase_after(step, *container),
                "a start was asked for before it was kept"
            );
        }
        if let Action::Signal { container, .. } = action {
            self.check_stop_order(*container);
        }
    }

    fn saved_phase_after(&self, step: &Step, container: usize) -> bool {
        let record = if step.save { self.machine.record() } else { &self.saved };
        record.containers[container].phase >= Phase::Starting
    }

    fn check_stop_order(&self, container: usize) {
        let containers = &self.machine.record().containers;
        let stopped = |at: usize| containers[at].phase == Phase::Stopped;
        match container {
            0 => assert!(stopped(2), "app is stopped before side, which needs it"),
            1 => assert!(stopped(0), "db is stopped before app, which needs it"),
            _ => {}
        }
    }

    /// What Docker does when the action reaches it.
    fn effect(&mut self, action: &Action) -> bool {
        match action {
            Action::Create { container, .. } => {
                self.docker.entry(*container).or_insert(Real::Created);
                true
            }
            Action::Start { container, .. } => match self.docker.get_mut(container) {
                Some(state) => {
                    if *state == Real::Created {
                        *state = Real::Running;
                        self.starts[*container] += 1;
                        assert_eq!(self.starts[*container], 1, "{} was started twice", NAMES[*container]);
                    }
                    true
                }
                None => false,
            },
            Action::Signal { container, .. } | Action::Kill { container, .. } => match self.docker.get_mut(container) {
                Some(state) if *state == Real::Running => {
                    *state = Real::Exited;
                    true
                }
                _ => false,
            },
            Action::Remove { container, .. } => {
                self.docker.remove(container);
                true
            }
            Action::Pull { .. } | Action::Look { .. } | Action::RemoveVolumes | Action::Forget => true,
        }
    }

    fn answer(&mut self, action: &Action, result: Result<(), FailureKind>) {
        let failed = |kind| Failure::new(kind, "as the test wants it");
        let result = result.map_err(failed);
        let looked =
            |world: &Self, container: usize| world.docker.get(&container).map(|state| snapshot(container, *state));
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
            Action::Look { container, .. } => (container, Outcome::Looked(result.map(|()| looked(self, *container)))),
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
    fn succeed(&mut self, action: &Action) {
        let done = self.effect(action);
        self.answer(action, if done { Ok(()) } else { Err(FailureKind::Refused) });
    }

    fn list(&mut self) {
        let listed = self.docker.iter().map(|(at, state)| ListedContainer {
            name: NAMES[*at].to_owned(),
            id: id(*at),
            running: *state == Real::Running,
            paused: false,
        });
        let listed = listed.collect();
        self.tell(Input::Listing(listed));
    }

    /// Killed at this moment: each effect on its way has reached Docker or has not.
    fn restart(&mut self, reached: u8) {
        for (at, action) in std::mem::take(&mut self.outstanding).into_iter().enumerate() {
            if reached & (1 << (at % 8)) != 0 {
                self.effect(&action);
            }
        }
        self.machine = Machine::restored(self.saved.clone(), POLICY);
        self.tell(Input::Begin);
        self.list();
    }

    fn chance(&mut self, choice: u8, detail: u8) {
        let container = usize::from(detail) % NAMES.len();
        match choice % 12 {
            0..=4 if !self.outstanding.is_empty() => {
                let action = self.outstanding.remove(usize::from(detail) % self.outstanding.len());
                self.succeed(&action);
            }
            5 | 6 if !self.outstanding.is_empty() => {
                let action = self.outstanding.remove(usize::from(detail) % self.outstanding.len());
                let kinds = [
                    (FailureKind::Refused, false),
                    (FailureKind::NotFound, false),
                    (FailureKind::Faltered, false),
                    (FailureKind::TimedOut, false),
                    (FailureKind::TimedOut, true),
                    (FailureKind::Lost, false),
                    (FailureKind::Lost, true),
                    (FailureKind::Unprepared, false),
                ];
                let (kind, happened) = kinds[usize::from(detail / 8) % kinds.len()];
                if happened {
                    self.effect(&action);
                }
                self.answer(&action, Err(kind));
            }
            7 => {
                if let Some(state) = self.docker.get_mut(&container).filter(|state| **state == Real::Running) {
                    *state = Real::Exited;
                }
                if detail >= 128 {
                    self.tell(Input::Hint(container));
                }
            }
            8 if detail >= 200 => {
                self.docker.remove(&container);
            }
            9 if detail >= 240 => self.restart(detail),
            10 if detail >= 220 => self.tell(Input::Stop),
            11 => self.list(),
            _ => {
                self.now = self.now + Duration::from_millis(u64::from(detail) * 40);
                self.tell(Input::Tick);
            }
        }
    }

    /// Docker works, time passes: everything asked for happens.
    fn settle(&mut self) {
        for _ in 0..40 {
            for _ in 0..100 {
                if self.outstanding.is_empty() {
                    break;
                }
                let action = self.outstanding.remove(0);
                let dies = match &action {
                    Action::Signal { container, .. } | Action::Kill { container, .. } => Some(*container),
                    Action::Pull { .. }
                    | Action::Create { .. }
                    | Action::Start { .. }
                    | Action::Look { .. }
                    | Action::Remove { .. }
                    | Action::RemoveVolumes
                    | Action::Forget => None,
                };
                self.succeed(&action);
                if let Some(container) = dies {
                    self.tell(Input::Hint(container));
                }
            }
            assert!(self.outstanding.is_empty(), "never rests: {:?}", self.outstanding);
            self.now = self
                .machine
                .wake_at(self.now)
                .unwrap_or(self.now + Duration::from_secs(30));
            self.tell(Input::Tick);
            self.list();
        }
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

fn id(container: usize) -> String {
    format!("id{container}")
}

fn snapshot(container: usize, state: Real) -> Snapshot {
    let started = Some(Timestamp::from_millis(1_700_000_000_000));
    Snapshot {
        id: id(container),
        started_at: started.filter(|_| state != Real::Created),
        state: match state {
            Real::Created => RunState::Created,
            Real::Running => RunState::Running,
            Real::Exited => RunState::Exited {
                exit_code: 143,
                oom_killed: false,
                finished_at: None,
            },
        },
        bindings: Vec::new(),
        stop_signal: None,
        health: HealthStatus::Unknown,
        paused: false,
        detail: Detail::default(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_machine_keeps_its_promises_and_ends(chances in prop::collection::vec(any::<(u8, u8)>(), 0..150)) {
        let mut world = World::new()?;
        for (choice, detail) in chances {
            world.chance(choice, detail);
        }
        world.tell(Input::Stop);
        world.settle();
        prop_assert_eq!(world.machine.status(), TaskStatus::Stopped);
        prop_assert!(world.docker.values().all(|state| *state != Real::Running), "{:?}", world.docker);
        world.tell(Input::Acknowledged);
        world.settle();
        prop_assert!(world.machine.is_forgotten());
        prop_assert!(world.docker.is_empty(), "left behind: {:?}", world.docker);
    }

    #[test]
    fn a_docker_that_works_brings_every_task_up(restarts in prop::collection::vec((0_u8..30, any::<u8>()), 0..4)) {
        let mut world = World::new()?;
        for (steps, reached) in restarts {
            for _ in 0..steps {
                if !world.outstanding.is_empty() {
                    let action = world.outstanding.remove(0);
                    world.succeed(&action);
                }
            }
            world.restart(reached);
        }
        world.settle();
        prop_assert_eq!(world.machine.status(), TaskStatus::Running);
        prop_assert_eq!(world.starts, [1, 1, 1]);
    }
}
