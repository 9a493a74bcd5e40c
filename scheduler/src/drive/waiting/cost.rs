//! What it costs to give a freed place to a task that waits, however many do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_model::arn::DefinitionReference;
use berth_model::id::{InstanceId, TaskId};
use berth_model::name::{ClusterName, Family};
use berth_model::quantity::{CpuUnits, MemoryMib};
use berth_model::status::{StopCode, TaskStatus};
use berth_model::time::Timestamp;
use berth_scheduler_core::command::{Command, Env, Memory};
use berth_scheduler_core::decide::cluster::CreateCluster;
use berth_scheduler_core::decide::definition::RegisterDefinition;
use berth_scheduler_core::decide::instance::ConnectInstance;
use berth_scheduler_core::decide::queue::{MAX_QUEUED, PlaceQueued};
use berth_scheduler_core::decide::report::ReportTasks;
use berth_scheduler_core::decide::run::{Call, RunTask};
use berth_scheduler_core::fold::fold;
use berth_scheduler_core::keys::{ClusterKey, InstanceKey};
use berth_scheduler_core::observation::{InstanceFacts, Observation, TaskTimes};
use berth_scheduler_core::state::State;
use berth_scheduler_core::wake::Hints;

const INSTANCE: InstanceKey = InstanceKey {
    cluster: ClusterKey(1),
    instance: InstanceId::from_bits(1),
};

/// A scheduler without a journal: a full instance, and tasks that wait.
#[derive(Default)]
struct Bench {
    state: State,
    memory: Memory,
    hints: Hints,
    seed: u64,
}

impl Bench {
    fn new() -> Self {
        let mut bench = Self::default();
        bench.submit(&CreateCluster {
            providers: Vec::new(),
            strategy: Vec::new(),
            name: cluster(),
            tags: Vec::new(),
        });
        bench.submit(&ConnectInstance {
            cluster: cluster(),
            instance: INSTANCE.instance,
            facts: Arc::new(InstanceFacts {
                cpu: CpuUnits(1024),
                memory: MemoryMib(1000),
                ..InstanceFacts::default()
            }),
            leaving: None,
            via: None,
        });
        let definition = serde_json::json!({
            "family": "web",
            "containerDefinitions": [{"name": "app", "image": "busybox", "memory": 600}],
        });
        bench.submit(&RegisterDefinition {
            family: Family::parse("web").unwrap(),
            definition: Arc::new(serde_json::from_value(definition).unwrap()),
            tags: Vec::new(),
        });
        bench
    }

    fn submit<C: Command>(&mut self, command: &C) -> C::Outcome {
        self.seed += 1;
        let mut env = Env::new(Timestamp::from_millis(1), self.seed, &mut self.memory);
        let decision = command.decide(&self.state, &mut env).unwrap();
        for change in &decision.changes {
            fold(&mut self.state, change);
            self.hints.note(&self.state, change);
        }
        decision.outcome
    }

    /// Runs copies that may wait; a group of its own makes a shape of its own.
    fn run(&mut self, count: u32, group: u32) -> Vec<TaskId> {
        let call = Call {
            group: Some(group.to_string().into()),
            ..Call::of(cluster(), DefinitionReference::newest(Family::parse("web").unwrap()))
        };
        let run = RunTask {
            call,
            count,
            constraints: Vec::new(),
            strategies: Vec::new(),
            patience: Some(Duration::from_secs(60)),
        };
        self.submit(&run).tasks
    }

    /// The running task ends and the next gets its room: how long that took from the report on.
    fn round(&mut self) -> Duration {
        let running = self.state.live_tasks_on(INSTANCE).next().unwrap().id;
        let observed = Observation {
            last_status: TaskStatus::Stopped,
            containers: Arc::new([]),
            stop_code: Some(StopCode::EssentialContainerExited),
            stopped_reason: None,
            times: TaskTimes::default(),
        };
        let report = ReportTasks {
            instance: INSTANCE,
            reports: vec![(running, Arc::new(observed))],
        };
        let start = Instant::now();
        self.submit(&report);
        let hints = std::mem::take(&mut self.hints);
        let mut placed = 0;
        loop {
            let woken = hints.woken(&self.state);
            if woken.is_empty() {
                break;
            }
            for (shape, count) in woken {
                placed += self.submit(&PlaceQueued { shape, count });
            }
        }
        let took = start.elapsed();
        assert_eq!(placed, 1);
        took
    }
}

fn cluster() -> ClusterName {
    ClusterName::parse("test").unwrap()
}

#[test]
fn the_cost_of_a_freed_place_does_not_grow_with_what_waits() {
    // The shortest of many rounds is what the work costs, whatever else the machine does.
    let cost = |waiting: u32, shapes: u32| {
        let mut bench = Bench::new();
        bench.run(1, 0);
        for group in 1..=shapes {
            bench.run(waiting / shapes, group);
        }
        (0..100).map(|_| bench.round()).min().unwrap()
    };
    let (few, many, shapes) = (cost(200, 1), cost(MAX_QUEUED, 1), cost(MAX_QUEUED, 1000));
    println!("{few:?} with 200 tasks, {many:?} with {MAX_QUEUED}, {shapes:?} with {MAX_QUEUED} of 1,000 shapes");
    assert!(many < few * 5, "{few:?} with 200 tasks, {many:?} with {MAX_QUEUED}");
    assert!(shapes < few * 5, "{few:?} with one shape, {shapes:?} with 1,000");
}
