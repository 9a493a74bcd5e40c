use berth_model::arn::DefinitionReference;
use berth_model::id::{Family, InstanceId};
use berth_model::overrides::TaskOverride;
use berth_model::status::{LaunchType, TaskStatus};
use berth_model::time::Timestamp;
use berth_scheduler_core::command::{Command, Env, Memory};
use berth_scheduler_core::decide::cluster::CreateCluster;
use berth_scheduler_core::decide::definition::RegisterDefinition;
use berth_scheduler_core::decide::instance::{ConnectInstance, DeregisterInstance};
use berth_scheduler_core::decide::report::ReportTasks;
use berth_scheduler_core::decide::run::{Call, RunTask};
use berth_scheduler_core::decide::stop::StopTask;
use berth_scheduler_core::fold::fold;
use berth_scheduler_core::keys::ClusterKey;
use berth_scheduler_core::observation::{InstanceFacts, Observation, TaskTimes};

use super::*;

/// A cluster of one instance, and what its agent has been sent.
struct World {
    state: State,
    sent: Sent,
    namespace: Namespace,
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
            namespace: Namespace::new("us-east-1", "000000000000").unwrap(),
        };
        world.submit(&CreateCluster {
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
        let call = Call {
            cluster: cluster(),
            definition: DefinitionReference {
                family: Family::parse("web").unwrap(),
                revision: None,
            },
            overrides: TaskOverride::default(),
            group: None,
            started_by: None,
            tags: Vec::new(),
            propagate_definition_tags: false,
            launch_type: LaunchType::Ec2,
            has_network_configuration: false,
            client_token: None,
            schedule: None,
        };
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

    fn update(&mut self, touched: &Touched) -> Option<Assignments> {
        let place = Place {
            state: &self.state,
            key: KEY,
            cluster: &cluster(),
            namespace: &self.namespace,
        };
        self.sent.update(&place, touched)
    }

    fn touching(&mut self, task: TaskId) -> Option<Assignments> {
        self.update(&Touched {
            tasks: BTreeSet::from([task]),
            all: false,
        })
    }
}

/// The ids and desired statuses of a message.
fn assigned(message: &Assignments) -> Vec<(&str, &str)> {
    let id = |arn: &'_ str| arn.rsplit_once('/').map_or(0, |(head, _)| head.len() + 1);
    let tasks = message.assignments.iter();
    tasks
        .map(|a| (&a.task_arn[id(&a.task_arn)..], a.desired_status.as_str()))
        .collect()
}

#[test]
fn the_first_message_is_the_complete_set_also_when_it_is_empty() {
    let mut world = World::new();
    let message = world.update(&Touched::default()).unwrap();
    assert!(message.complete);
    assert_eq!((message.applies_to, message.results_in), (0, 1));
    assert!(message.assignments.is_empty());
    assert_eq!(world.update(&Touched::default()), None, "nothing has changed");
}

#[test]
fn increments_follow_each_other_and_carry_a_definition_once() {
    let mut world = World::new();
    let first = world.run();
    let message = world.update(&Touched::default()).unwrap();
    assert_eq!(assigned(&message), [(first.to_string().as_str(), "RUNNING")]);
    assert_eq!(message.task_definitions.len(), 1);

    let second = world.run();
    let message = world.touching(second).unwrap();
    assert!(!message.complete);
    assert_eq!((message.applies_to, message.results_in), (1, 2));
    assert_eq!(assigned(&message), [(second.to_string().as_str(), "RUNNING")]);
    assert!(message.task_definitions.is_empty());
    assert_eq!(world.touching(second), None, "it was sent already");

    world.submit(&StopTask {
        cluster: cluster(),
        task: first,
        reason: None,
    });
    let message = world.touching(first).unwrap();
    assert_eq!((message.applies_to, message.results_in), (2, 3));
    assert_eq!(assigned(&message), [(first.to_string().as_str(), "STOPPED")]);
}

#[test]
fn an_agent_holds_no_more_definitions_than_its_tasks_need_and_a_few() {
    let mut world = World::new();
    world.update(&Touched::default()).unwrap();
    let lasting = world.run();
    let mut held = BTreeSet::new();
    let mut take = |message: &Assignments| {
        for definition in &message.task_definitions {
            assert!(held.insert(definition.task_definition_arn.clone().unwrap()));
        }
        for assignment in &message.assignments {
            assert!(held.contains(&assignment.task_definition_arn), "{held:?}");
        }
        for arn in &message.forgotten_task_definition_arns {
            assert!(held.remove(arn), "{arn} was not held");
        }
        held.len()
    };
    let first = world.touching(lasting).unwrap();
    take(&first);
    for _ in 0..40 {
        world.register();
        let task = world.run();
        take(&world.touching(task).unwrap());
        world.end(task);
        assert!(take(&world.touching(task).unwrap()) <= 17);
    }
    let of_lasting = &first.task_definitions[0].task_definition_arn;
    assert!(held.contains(of_lasting.as_ref().unwrap()), "a task needs it");
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
    let message = world
        .update(&Touched {
            tasks: BTreeSet::new(),
            all: true,
        })
        .unwrap();
    assert!(message.complete);
    assert_eq!((message.applies_to, message.results_in), (1, 2));
    assert!(message.assignments.is_empty() && message.forgotten_task_arns.is_empty());
}
