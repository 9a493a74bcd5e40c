use crate::command::{Command, Env, Memory};
use crate::decide::cluster::CreateCluster;
use crate::decide::definition::RegisterDefinition;
use crate::decide::instance::{ConnectInstance, DeregisterInstance};
use crate::decide::report::ReportTasks;
use crate::decide::run::{Call, RunTask};
use crate::decide::stop::StopTask;
use crate::fold::fold;
use crate::keys::ClusterKey;
use crate::observation::{InstanceFacts, Observation, TaskTimes};
use berth_model::arn::DefinitionReference;
use berth_model::name::{ClusterName, Family};
use berth_model::status::TaskStatus;
use berth_model::time::Timestamp;

use super::*;

/// A cluster of one instance, and what its agent has been sent.
struct World {
    state: State,
    sent: Sent,
}

const KEY: InstanceKey = InstanceKey {
    cluster: ClusterKey(1),
    instance: InstanceId::from_bits(7),
};

fn cluster() -> ClusterName {
    ClusterName::parse("prod").unwrap()
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            state: State::default(),
            sent: Sent::default(),
        };
        world.submit(&CreateCluster {
            providers: Vec::new(),
            strategy: Vec::new(),
            name: cluster(),
            tags: Vec::new(),
        });
        let facts = InstanceFacts {
            cpu: berth_model::quantity::CpuUnits(1024),
            memory: berth_model::quantity::MemoryMib(1024),
            ..InstanceFacts::default()
        };
        world.submit(&ConnectInstance {
            cluster: cluster(),
            instance: KEY.instance,
            facts: Arc::new(facts),
            leaving: None,
            via: None,
        });
        world.register();
        world
    }

    /// The next revision, which is what is run from then on.
    fn register(&mut self) {
        let definition = serde_json::json!({
            "family": "web",
            "containerDefinitions": [{"name": "app", "image": "busybox", "memory": 16}],
        });
        self.submit(&RegisterDefinition {
            family: Family::parse("web").unwrap(),
            definition: Arc::new(serde_json::from_value(definition).unwrap()),
            tags: Vec::new(),
        });
    }

    fn submit<C: Command>(&mut self, command: &C) -> C::Outcome {
        let mut memory = Memory::default();
        let mut env = Env::new(
            Timestamp::from_millis(1),
            1 + self.state.task_count() as u64,
            &mut memory,
        );
        let decision = command.decide(&self.state, &mut env).unwrap();
        decision.changes.iter().for_each(|change| fold(&mut self.state, change));
        decision.outcome
    }

    fn run(&mut self) -> TaskId {
        let call = Call::of(cluster(), DefinitionReference::newest(Family::parse("web").unwrap()));
        let launched = self.submit(&RunTask {
            call,
            count: 1,
            constraints: Vec::new(),
            strategies: Vec::new(),
            patience: None,
        });
        launched.tasks[0]
    }

    /// Its agent says that the task is over.
    fn end(&mut self, task: TaskId) {
        let observed = Observation {
            last_status: TaskStatus::Stopped,
            containers: Arc::from([]),
            stop_code: None,
            stopped_reason: None,
            times: TaskTimes::default(),
        };
        self.submit(&ReportTasks {
            instance: KEY,
            reports: vec![(task, Arc::new(observed))],
        });
    }

    fn update(&mut self, touched: &Touched) -> Option<Update<'_>> {
        self.sent.update(&self.state, KEY, touched)
    }

    fn touching(&mut self, task: TaskId) -> Option<Update<'_>> {
        self.update(&Touched {
            tasks: BTreeSet::from([task]),
            all: false,
        })
    }
}

/// The ids and desired statuses of an update.
fn told(update: &Update<'_>) -> Vec<(TaskId, DesiredStatus)> {
    update.tasks.iter().map(|task| (task.id, task.assigned())).collect()
}

#[test]
fn the_first_message_is_the_complete_set_also_when_it_is_empty() {
    let mut world = World::new();
    let update = world.update(&Touched::default()).unwrap();
    assert!(update.complete);
    assert_eq!((update.applies_to, update.results_in), (0, 1));
    assert!(update.tasks.is_empty());
    assert!(world.update(&Touched::default()).is_none(), "nothing has changed");
}

#[test]
fn increments_follow_each_other_and_carry_a_definition_once() {
    let mut world = World::new();
    let first = world.run();
    let update = world.update(&Touched::default()).unwrap();
    assert_eq!(told(&update), [(first, DesiredStatus::Running)]);
    assert_eq!(update.definitions.len(), 1);

    let second = world.run();
    let update = world.touching(second).unwrap();
    assert!(!update.complete);
    assert_eq!((update.applies_to, update.results_in), (1, 2));
    assert_eq!(told(&update), [(second, DesiredStatus::Running)]);
    assert!(update.definitions.is_empty());
    assert!(world.touching(second).is_none(), "it was sent already");

    world.submit(&StopTask {
        cluster: cluster(),
        task: first,
        reason: None,
    });
    let update = world.touching(first).unwrap();
    assert_eq!((update.applies_to, update.results_in), (2, 3));
    assert_eq!(told(&update), [(first, DesiredStatus::Stopped)]);
}

#[test]
fn an_agent_holds_no_more_definitions_than_its_tasks_need_and_a_few() {
    let mut world = World::new();
    world.update(&Touched::default()).unwrap();
    let lasting = world.run();
    let mut held = BTreeSet::new();
    let mut take = |update: &Update<'_>| {
        for definition in &update.definitions {
            assert!(held.insert(definition.id.clone()));
        }
        for task in &update.tasks {
            assert!(held.contains(&task.launch.definition), "{held:?}");
        }
        for id in &update.forgotten_definitions {
            assert!(held.remove(id), "{id} was not held");
        }
        held.len()
    };
    take(&world.touching(lasting).unwrap());
    for _ in 0..40 {
        world.register();
        let task = world.run();
        take(&world.touching(task).unwrap());
        world.end(task);
        assert!(take(&world.touching(task).unwrap()) <= 17);
    }
    let of_lasting = &world
        .state
        .task(TaskKey {
            cluster: KEY.cluster,
            task: lasting,
        })
        .unwrap()
        .launch
        .definition;
    assert!(held.contains(of_lasting), "a task needs it");
}

#[test]
fn an_instance_that_was_deregistered_has_nothing_to_run() {
    let mut world = World::new();
    world.run();
    world.update(&Touched::default()).unwrap();
    world.submit(&DeregisterInstance {
        cluster: cluster(),
        instance: KEY.instance,
        force: true,
    });
    let update = world
        .update(&Touched {
            tasks: BTreeSet::new(),
            all: true,
        })
        .unwrap();
    assert!(update.complete);
    assert_eq!((update.applies_to, update.results_in), (1, 2));
    assert!(update.tasks.is_empty() && update.forgotten.is_empty());
}
