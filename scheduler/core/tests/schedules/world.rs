//! A scheduler with one cluster, and what is asked of it.

use std::sync::Arc;
use std::time::Duration;

use berth_model::arn::DefinitionReference;
use berth_model::fault::Fault;
use berth_model::id::{InstanceId, TaskId};
use berth_model::name::{ClusterName, Family, ScheduleName};
use berth_model::quantity::{CpuUnits, MemoryMib};
use berth_model::schedule::{ActionAfterCompletion, FlexibleTimeWindow, OverlapPolicy, RetryPolicy, ScheduleState};
use berth_model::status::{ContainerStatus, HealthStatus, StopCode, TaskStatus};
use berth_model::time::Timestamp;
use berth_scheduler_core::change::{Change, Entry, Record};
use berth_scheduler_core::command::{Command, Env, Memory};
use berth_scheduler_core::decide::cluster::CreateCluster;
use berth_scheduler_core::decide::definition::RegisterDefinition;
use berth_scheduler_core::decide::instance::ConnectInstance;
use berth_scheduler_core::decide::report::ReportTasks;
use berth_scheduler_core::decide::run::{Call, RunTask};
use berth_scheduler_core::decide::schedule::run::{FireSchedule, Ran};
use berth_scheduler_core::decide::schedule::{CreateSchedule, ScheduleUpdate, UpdateSchedule};
use berth_scheduler_core::fold::fold_record;
use berth_scheduler_core::invariant;
use berth_scheduler_core::keys::{ClusterKey, InstanceKey, ScheduleKey, TaskKey};
use berth_scheduler_core::observation::{ContainerState, InstanceFacts, Observation, TaskTimes};
use berth_scheduler_core::schedule::{Run, ScheduleSpec, Target, Timing};
use berth_scheduler_core::state::{Schedule, State};

pub(crate) const MINUTE: i64 = 60_000;

/// The state with its journal, and what the clock shows.
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) records: Vec<Record>,
    pub(crate) now: i64,
    decisions: u64,
    memory: Memory,
}

pub(crate) fn cluster() -> ClusterName {
    ClusterName::parse("default").unwrap()
}

pub(crate) fn name(text: &str) -> ScheduleName {
    ScheduleName::parse(text).unwrap()
}

pub(crate) fn key(text: &str) -> ScheduleKey {
    ScheduleKey {
        cluster: ClusterKey(1),
        schedule: name(text),
    }
}

/// A RunTask of copies of 100 MiB.
pub(crate) fn run_task(count: u32) -> RunTask {
    RunTask {
        call: Call::of(cluster(), DefinitionReference::newest(Family::parse("job").unwrap())),
        count,
        constraints: Vec::new(),
        strategies: Vec::new(),
        patience: None,
    }
}

/// A schedule of one task, without anything that is not asked for.
pub(crate) fn spec(expression: &str) -> ScheduleSpec {
    ScheduleSpec {
        timing: Timing {
            expression: expression.into(),
            zone: "UTC".into(),
            start: None,
            end: None,
        },
        state: ScheduleState::Enabled,
        window: FlexibleTimeWindow::Off,
        after_completion: ActionAfterCompletion::None,
        overlap: OverlapPolicy::Allow,
        retry: RetryPolicy::default(),
        description: None,
        target: Target {
            run: run_task(1),
            network: None,
        },
    }
}

impl World {
    /// A cluster with an instance that has room for so many tasks, on 2026-11-21 at 12:00:30.
    pub(crate) fn with_room_for(tasks: u32) -> Self {
        let start = Timestamp::from_rfc3339("2026-11-21T12:00:30Z").unwrap();
        let mut world = Self {
            state: State::default(),
            records: Vec::new(),
            now: start.as_millis(),
            decisions: 0,
            memory: Memory::default(),
        };
        world.must(&CreateCluster {
            providers: Vec::new(),
            strategy: Vec::new(),
            name: cluster(),
            tags: Vec::new(),
        });
        let definition = serde_json::json!({"family": "job", "containerDefinitions": [
            {"name": "app", "image": "busybox", "memory": 100},
            {"name": "log", "image": "busybox", "memory": 6, "essential": false},
        ]});
        world.must(&RegisterDefinition {
            family: Family::parse("job").unwrap(),
            definition: Arc::new(serde_json::from_value(definition).unwrap()),
            tags: Vec::new(),
        });
        world.connect(1, tasks);
        world
    }

    /// An instance with room for so many tasks comes.
    pub(crate) fn connect(&mut self, instance: u128, tasks: u32) {
        self.must(&ConnectInstance {
            cluster: cluster(),
            instance: InstanceId::from_bits(instance),
            facts: Arc::new(InstanceFacts {
                cpu: CpuUnits(1024),
                memory: MemoryMib(tasks * 106),
                ..InstanceFacts::default()
            }),
            leaving: None,
            via: None,
        });
    }

    /// Decides by a clock that shows something else, and adds what follows.
    pub(crate) fn submit_at<C: Command>(&mut self, now: i64, command: &C) -> Result<C::Outcome, Fault> {
        self.decisions += 1;
        let now = Timestamp::from_millis(now);
        let mut env = Env::new(now, self.decisions, &mut self.memory);
        let decision = command.decide(&self.state, &mut env)?;
        if !decision.changes.is_empty() {
            let record = Record {
                v: Record::FORMAT,
                revision: self.state.revision().next(),
                entries: vec![Entry {
                    at: now,
                    by: "test".into(),
                    changes: decision.changes,
                }],
            };
            fold_record(&mut self.state, &record);
            assert_eq!(invariant::violations(&self.state), Vec::<String>::new());
            self.records.push(record);
        }
        Ok(decision.outcome)
    }

    pub(crate) fn submit<C: Command>(&mut self, command: &C) -> Result<C::Outcome, Fault> {
        self.submit_at(self.now, command)
    }

    pub(crate) fn must<C: Command>(&mut self, command: &C) -> C::Outcome {
        self.submit(command).unwrap()
    }

    pub(crate) fn create(&mut self, text: &str, spec: ScheduleSpec) -> Result<ScheduleKey, Fault> {
        self.submit(&CreateSchedule {
            cluster: cluster(),
            name: name(text),
            spec,
            client_token: None,
        })
    }

    pub(crate) fn update(&mut self, text: &str, update: ScheduleUpdate) -> Result<ScheduleKey, Fault> {
        self.submit(&UpdateSchedule {
            cluster: cluster(),
            name: name(text),
            update,
            version: None,
        })
    }

    /// Lets the schedule do what it has to do, after so many milliseconds.
    pub(crate) fn fire_after(&mut self, millis: i64, text: &str) -> Option<Ran> {
        self.now += millis;
        self.must(&FireSchedule { key: key(text) })
    }

    pub(crate) fn schedule(&self, text: &str) -> &Schedule {
        self.state.schedules().get(&key(text)).unwrap()
    }

    pub(crate) fn last_run(&self, text: &str) -> &Run {
        self.schedule(text).runs.front().unwrap()
    }

    /// The agent says that containers of a task have ended so.
    pub(crate) fn end(&mut self, task: TaskId, codes: [Option<i32>; 2]) {
        let known = self.state.task(TaskKey {
            cluster: ClusterKey(1),
            task,
        });
        let instance = known.unwrap().instance;
        let container = |(name, exit_code): (&str, Option<i32>)| ContainerState {
            name: name.into(),
            last: ContainerStatus::Stopped,
            runtime_id: None,
            image_digest: None,
            exit_code,
            reason: None,
            bindings: Vec::new(),
            address: None,
            health: HealthStatus::Unknown,
            restarts: 0,
            log_tail: None,
        };
        let seen = Observation {
            last_status: TaskStatus::Stopped,
            containers: ["app", "log"].into_iter().zip(codes).map(container).collect(),
            stop_code: Some(StopCode::EssentialContainerExited),
            stopped_reason: Some("Essential container in task exited".into()),
            times: TaskTimes::default(),
        };
        self.must(&ReportTasks {
            instance: InstanceKey {
                cluster: ClusterKey(1),
                instance,
            },
            reports: vec![(task, Arc::new(seen))],
        });
    }

    /// The changes of the last record.
    pub(crate) fn last_changes(&self) -> Vec<&Change> {
        let last = self.records.last().unwrap();
        last.entries.iter().flat_map(|entry| &entry.changes).collect()
    }
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
