use std::time::Instant;

use berth_model::arn::DefinitionReference;
use berth_model::id::{InstanceId, TaskId};
use berth_model::name::{ClusterName, Family};
use berth_model::quantity::{CpuUnits, MemoryMib};
use berth_model::status::{StopCode, TaskStatus};
use berth_scheduler_core::command::Command;
use berth_scheduler_core::decide::cluster::CreateCluster;
use berth_scheduler_core::decide::definition::RegisterDefinition;
use berth_scheduler_core::decide::instance::ConnectInstance;
use berth_scheduler_core::decide::report::ReportTasks;
use berth_scheduler_core::decide::run::{Call, RunTask};
use berth_scheduler_core::keys::{ClusterKey, InstanceKey, TaskKey};
use berth_scheduler_core::observation::{InstanceFacts, Observation, TaskTimes};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;
use crate::engine::recover;
use crate::journal::embedded::Embedded;

const CLUSTER: ClusterKey = ClusterKey(1);
/// For what happens at once, on a machine that does much else.
const SOON: Duration = Duration::from_secs(20);

struct World {
    engine: Engine,
    journal: Arc<Embedded>,
    wakeups: Arc<Wakeups>,
    _directory: TempDir,
}

impl World {
    /// One instance that has room for one task.
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let journal = Arc::new(Embedded::open(&directory.path().join("journal.redb")).unwrap());
        let (engine, wakeups) = start(&journal).await;
        let world = Self {
            engine,
            journal,
            wakeups,
            _directory: directory,
        };
        let create = CreateCluster {
            providers: Vec::new(),
            strategy: Vec::new(),
            name: cluster(),
            tags: Vec::new(),
        };
        world.submit(create).await;
        world.connect(1).await;
        let definition = serde_json::json!({
            "family": "web",
            "containerDefinitions": [{"name": "app", "image": "busybox", "memory": 600}],
        });
        let register = RegisterDefinition {
            family: Family::parse("web").unwrap(),
            definition: Arc::new(serde_json::from_value(definition).unwrap()),
            tags: Vec::new(),
        };
        world.submit(register).await;
        world
    }

    fn admit(&self) -> JoinHandle<()> {
        tokio::spawn(admit(
            self.engine.clone(),
            Arc::clone(&self.wakeups),
            Arc::new(Replicas::alone()),
        ))
    }

    /// As a scheduler that was killed and started again.
    async fn restart(&mut self) {
        (self.engine, self.wakeups) = start(&self.journal).await;
    }

    async fn submit<C: Command + 'static>(&self, command: C) -> C::Outcome {
        self.engine.submit(command, "test".into()).await.unwrap()
    }

    async fn connect(&self, instance: u128) {
        let facts = InstanceFacts {
            cpu: CpuUnits(1024),
            memory: MemoryMib(1000),
            ..InstanceFacts::default()
        };
        let connect = ConnectInstance {
            cluster: cluster(),
            instance: InstanceId::from_bits(instance),
            facts: Arc::new(facts),
            leaving: None,
            via: None,
        };
        self.submit(connect).await;
    }

    async fn run(&self, count: u32, patience: Duration) -> Vec<TaskId> {
        let call = Call::of(cluster(), DefinitionReference::newest(Family::parse("web").unwrap()));
        let run = RunTask {
            call,
            count,
            constraints: Vec::new(),
            strategies: Vec::new(),
            patience: Some(patience),
        };
        self.submit(run).await.tasks
    }

    async fn report_stopped(&self, task: TaskId) {
        let instance = self.engine.view().task(key(task)).unwrap().instance;
        let observed = Observation {
            last_status: TaskStatus::Stopped,
            containers: Arc::new([]),
            stop_code: Some(StopCode::EssentialContainerExited),
            stopped_reason: None,
            times: TaskTimes::default(),
        };
        let report = ReportTasks {
            instance: InstanceKey {
                cluster: CLUSTER,
                instance,
            },
            reports: vec![(task, Arc::new(observed))],
        };
        self.submit(report).await;
    }

    async fn wait_until(&self, what: &str, holds: impl Fn(&State) -> bool) {
        let deadline = Instant::now() + SOON;
        while !holds(&self.engine.view()) {
            assert!(Instant::now() < deadline, "not within {SOON:?}: {what}");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn start(journal: &Arc<Embedded>) -> (Engine, Arc<Wakeups>) {
    let wakeups = Arc::new(Wakeups::default());
    let state = recover(&**journal).await.unwrap();
    let observer = Arc::clone(&wakeups);
    let engine = Engine::start(state, Arc::clone(journal), observer, 1).unwrap();
    (engine, wakeups)
}

fn cluster() -> ClusterName {
    ClusterName::parse("test").unwrap()
}

fn key(task: TaskId) -> TaskKey {
    TaskKey { cluster: CLUSTER, task }
}

#[tokio::test]
async fn each_task_that_ends_lets_the_next_one_in() {
    let world = World::new().await;
    let admitting = world.admit();
    let mut tasks = world.run(1, SOON).await;
    for _ in 0..3 {
        tasks.extend(world.run(1, SOON).await);
    }
    for (ended, next) in tasks.iter().zip(&tasks[1..]) {
        assert!(world.engine.view().task(key(*next)).is_none());
        world.report_stopped(*ended).await;
        let placed = |state: &State| state.task(key(*next)).is_some();
        world.wait_until("the next task is placed", placed).await;
    }
    admitting.abort();
}

#[tokio::test]
async fn a_wait_ends_at_its_deadline_without_anything_else_happening() {
    let world = World::new().await;
    let admitting = world.admit();
    let tasks = world.run(3, Duration::from_millis(300)).await;
    let ended = |state: &State, task: TaskId| {
        let task = state.queue().task(key(task));
        task.and_then(|task| task.end.clone())
    };
    for task in &tasks[1..] {
        world
            .wait_until("the wait is over", |state| ended(state, *task).is_some())
            .await;
        let end = ended(&world.engine.view(), *task).unwrap();
        assert_eq!(end.stop.code, Some(StopCode::TaskFailedToStart));
        assert_eq!(&*end.stop.reason, "TaskFailedToStart: RESOURCE:MEMORY");
    }
    admitting.abort();
}

#[tokio::test]
async fn what_made_room_while_nobody_looked_is_found_at_the_start() {
    let mut world = World::new().await;
    let tasks = world.run(3, SOON).await;
    world.connect(2).await;
    world.restart().await;
    let admitting = world.admit();
    let placed = |count: usize| {
        let tasks = tasks.clone();
        move |state: &State| tasks.iter().filter(|task| state.task(key(**task)).is_some()).count() == count
    };
    world.wait_until("the second is placed", placed(2)).await;
    world.connect(3).await;
    world.wait_until("the third is placed", placed(3)).await;
    admitting.abort();
}
