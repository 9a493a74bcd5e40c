use std::collections::BTreeSet;
use std::pin::Pin;

use berth_model::arn::DefinitionReference;
use berth_model::id::{InstanceId, TaskId};
use berth_model::name::{ClusterName, Family};
use berth_model::quantity::{CpuUnits, MemoryMib};
use berth_model::status::TaskStatus;
use berth_scheduler_core::change::Record;
use berth_scheduler_core::command::Command;
use berth_scheduler_core::decide::cluster::CreateCluster;
use berth_scheduler_core::decide::definition::RegisterDefinition;
use berth_scheduler_core::decide::instance::ConnectInstance;
use berth_scheduler_core::decide::report::ReportTasks;
use berth_scheduler_core::decide::run::{Call, RunTask};
use berth_scheduler_core::keys::{ClusterKey, InstanceKey};
use berth_scheduler_core::observation::{InstanceFacts, Observation, TaskTimes};
use berth_scheduler_core::state::State;
use futures_util::StreamExt;
use tokio::time::timeout;

use super::*;
use crate::engine::{Observer, recover, write_snapshot};
use crate::journal::memory::Memory;

const KEY: InstanceKey = InstanceKey {
    cluster: ClusterKey(1),
    instance: InstanceId::from_bits(7),
};
const SOON: Duration = Duration::from_secs(20);

struct Nobody;

impl Observer for Nobody {
    fn published(&self, _state: &State, _record: &Record, _bytes: usize) {}
}

/// A cluster of one instance, and what it tells.
pub(super) struct World {
    pub(super) journal: Arc<Memory>,
    pub(super) engine: Engine,
    pub(super) events: Arc<Events>,
    shutdown: CancellationToken,
}

type Batches = Pin<Box<dyn Stream<Item = Result<Batch, WatchError>> + Send>>;

fn cluster() -> ClusterName {
    ClusterName::parse("prod").unwrap()
}

impl World {
    pub(super) async fn new() -> Self {
        let journal = Arc::new(Memory::default());
        let world = Self::on(journal).await;
        world
            .submit(CreateCluster {
                providers: Vec::new(),
                strategy: Vec::new(),
                name: cluster(),
                tags: Vec::new(),
            })
            .await;
        let facts = InstanceFacts {
            cpu: CpuUnits(1024),
            memory: MemoryMib(4096),
            ..InstanceFacts::default()
        };
        world
            .submit(ConnectInstance {
                cluster: cluster(),
                instance: KEY.instance,
                facts: Arc::new(facts),
                leaving: None,
                via: None,
            })
            .await;
        let definition = serde_json::json!({
            "family": "web",
            "containerDefinitions": [{"name": "app", "image": "busybox", "memory": 16}],
        });
        world
            .submit(RegisterDefinition {
                family: Family::parse("web").unwrap(),
                definition: Arc::new(serde_json::from_value(definition).unwrap()),
                tags: Vec::new(),
            })
            .await;
        world
    }

    /// A scheduler that starts on what the journal has.
    pub(super) async fn on(journal: Arc<Memory>) -> Self {
        let state = recover(&*journal).await.unwrap();
        let engine = Engine::start(state, Arc::clone(&journal), Arc::new(Nobody), 1).unwrap();
        let namespace = Arc::new(Namespace::new("us-east-1", "000000000000").unwrap());
        let shutdown = CancellationToken::new();
        let events = Events::new(engine.clone(), Arc::clone(&journal), namespace, shutdown.clone());
        Self {
            journal,
            engine,
            events: Arc::new(events),
            shutdown,
        }
    }

    async fn submit<C: Command + 'static>(&self, command: C) -> C::Outcome {
        self.engine.submit(command, "somebody".into()).await.unwrap()
    }

    async fn run(&self, count: u32) -> Vec<TaskId> {
        let call = Call::of(cluster(), DefinitionReference::newest(Family::parse("web").unwrap()));
        let launched = self.submit(RunTask {
            call,
            count,
            constraints: Vec::new(),
            strategies: Vec::new(),
            patience: None,
        });
        launched.await.tasks
    }

    async fn report(&self, task: TaskId, last_status: TaskStatus) {
        let observed = Observation {
            last_status,
            containers: Arc::from([]),
            stop_code: None,
            stopped_reason: None,
            times: TaskTimes::default(),
        };
        self.submit(ReportTasks {
            instance: KEY,
            reports: vec![(task, Arc::new(observed))],
        })
        .await;
    }

    /// So many tasks, one after the other, from their start to their end.
    pub(super) async fn live(&self, tasks: u32) {
        for _ in 0..tasks {
            let task = self.run(1).await[0];
            self.report(task, TaskStatus::Running).await;
            self.report(task, TaskStatus::Stopped).await;
        }
    }

    async fn watch(&self, start: Start) -> Result<Batches, WatchError> {
        let told = self.events.watch(start, Filter::default()).await?;
        Ok(Box::pin(told))
    }

    /// All events behind a position, up to the newest.
    pub(super) async fn after(&self, position: &str) -> Vec<Arc<Told>> {
        let told = self.watch(Start::After(position.parse().unwrap())).await.unwrap();
        until(told, self.events.head()).await
    }
}

/// The events up to a revision, in order.
async fn until(mut told: Batches, head: Revision) -> Vec<Arc<Told>> {
    let mut all: Vec<Arc<Told>> = Vec::new();
    loop {
        let batch = timeout(SOON, told.next()).await.unwrap().unwrap().unwrap();
        all.extend(batch.events);
        if batch.position.whole() >= head {
            assert!(all.windows(2).all(|pair| pair[0].position < pair[1].position));
            return all;
        }
    }
}

pub(super) fn texts(events: &[Arc<Told>]) -> Vec<String> {
    events.iter().map(|event| event.json.clone()).collect()
}

pub(super) fn ids(events: &[Arc<Told>]) -> Vec<String> {
    events.iter().map(|event| event.id.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_watches_from_now_on_is_told_what_happens_from_then_on() {
    let world = World::new().await;
    let told = world.watch(Start::Now).await.unwrap();
    world.live(1).await;
    let events = until(told, world.events.head()).await;
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.short()).collect();
    assert_eq!(kinds, ["task", "instance", "task", "task", "instance"]);
    let shape: serde_json::Value = serde_json::from_str(&events[3].json).unwrap();
    let member = |path: &str| shape.pointer(path).and_then(|value| value.as_str()).unwrap_or_default();
    assert_eq!(member("/version"), "0");
    assert_eq!(member("/id"), events[3].id);
    assert_eq!(member("/detail-type"), "ECS Task State Change");
    assert_eq!((member("/source"), member("/region")), ("aws.ecs", "us-east-1"));
    assert_eq!(member("/account"), "000000000000");
    assert_eq!(member("/detail/lastStatus"), "STOPPED");
    assert_eq!(member("/resources/0"), member("/detail/taskArn"));
    assert_eq!(member("/berth/by"), "somebody");
    let seconds = events[3].at.to_rfc3339();
    assert_eq!(member("/time"), format!("{}Z", &seconds[..19]));
    assert_eq!(
        (member("/detail/stoppedAt"), member("/detail/updatedAt")),
        (&*seconds, &*seconds)
    );
    assert_eq!(shape.pointer("/detail/version"), Some(&serde_json::json!(3)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_on_is_told_the_rest_from_every_position_and_after_a_restart() {
    let world = World::new().await;
    world.run(3).await;
    world.live(2).await;
    let all = world.after("0").await;
    assert_eq!(ids(&all).iter().collect::<BTreeSet<_>>().len(), all.len());
    let restarted = World::on(Arc::clone(&world.journal)).await;
    for world in [&world, &restarted] {
        assert_eq!(ids(&world.after("0").await), ids(&all));
        for (place, event) in all.iter().enumerate().rev() {
            let rest = world.after(&event.position.to_string()).await;
            assert_eq!(ids(&rest), ids(&all[place + 1..]), "after {}", event.position);
        }
    }
    let told = world.watch(Start::Last(2)).await.unwrap();
    assert_eq!(until(told, world.events.head()).await.len(), 3, "of two reports");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_is_told_what_it_names_and_how_far_the_rest_is() {
    let world = World::new().await;
    world.live(1).await;
    let (other, kinds) = (
        ["other".to_owned()],
        ["task".to_owned(), "ECS Service Action".to_owned()],
    );
    let namespace = world.events.namespace();
    let of = |cluster, kinds, resource, group| Filter::read(namespace, cluster, kinds, resource, group);
    let task = world
        .engine
        .view()
        .tasks_of(KEY.cluster, None)
        .next()
        .unwrap()
        .id
        .to_string();
    for (filter, count) in [
        (of(None, &[], None, None), 6),
        (of(Some("prod"), &kinds, None, None), 3),
        (of(Some("other"), &[], None, None), 0),
        (of(None, &[], Some(&task), None), 3),
        (of(None, &[], Some(&task[1..]), None), 0),
        (of(None, &[], None, Some("family:web")), 3),
        (of(None, &[], None, Some("service:web")), 0),
    ] {
        let start = Start::After("0".parse().unwrap());
        let told = world.events.watch(start, filter.clone().unwrap()).await.unwrap();
        let mut told: Batches = Box::pin(told);
        let mut found = 0;
        // What is not wanted is told of every few seconds only, by a batch without events.
        while let Ok(Some(batch)) = timeout(Duration::from_millis(500), told.next()).await {
            found += batch.unwrap().events.len();
        }
        assert_eq!(found, count, "{filter:?}");
    }
    let fault = of(None, &other, None, None).unwrap_err();
    assert!(
        fault.message.contains("detail-type 'other' should be one of [task"),
        "{fault}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_journal_does_not_have_is_told_as_such() {
    let world = World::new().await;
    world.live(2).await;
    let head = world.events.head();
    let ahead = world.watch(Start::After(head.next().into())).await.err();
    assert!(matches!(ahead, Some(WatchError::Ahead { .. })), "{ahead:?}");

    write_snapshot(&*world.journal, &world.engine.view(), 0).await.unwrap();
    world.live(1).await;
    world.journal.truncate(head.next()).await.unwrap();
    let mut told = world.watch(Start::After("2".parse().unwrap())).await.unwrap();
    let begun = told.next().await.unwrap().unwrap();
    assert_eq!(begun.events.len(), 0);
    let asked = Revision(3);
    let oldest = head.next();
    assert_eq!(
        told.next().await.unwrap().unwrap_err(),
        WatchError::Compacted { asked, oldest }
    );
    assert!(told.next().await.is_none());
    let told = world.watch(Start::Last(100)).await.unwrap();
    assert_eq!(until(told, world.events.head()).await.len(), 5, "of what is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_takes_nothing_is_ended_with_its_position_and_costs_no_other() {
    let world = World::new().await;
    let mut slow = world.watch(Start::Now).await.unwrap();
    let mut quick = world.watch(Start::Now).await.unwrap();
    let from = world.events.head();
    let mut received = 0;
    for _ in 0..10 {
        world.run(1).await;
        // Each is told before the next happens, so that the slow one has a batch of each.
        while received < world.events.head().0 {
            let batch = timeout(SOON, quick.next()).await.unwrap().unwrap().unwrap();
            received = batch.position.whole().0;
        }
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let mut last = Position::from(from);
    let after = loop {
        match slow.next().await.unwrap() {
            Ok(batch) => last = batch.position,
            Err(WatchError::Slow { after }) => break after,
            Err(error) => panic!("{error}"),
        }
    };
    assert!(after < Position::from(world.events.head()));
    assert_eq!(after, last, "behind what it was told");
    assert!(slow.next().await.is_none());
    let missed = world.after(&after.to_string()).await;
    assert_eq!(missed.len() as u64, 2 * (world.events.head().0 - after.whole().0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_with_the_scheduler() {
    let world = World::new().await;
    let mut told = world.watch(Start::Now).await.unwrap();
    let begun = told.next().await.unwrap().unwrap();
    world.shutdown.cancel();
    let after = begun.position;
    assert_eq!(told.next().await.unwrap().unwrap_err(), WatchError::Shutdown { after });
    assert!(told.next().await.is_none());
}
