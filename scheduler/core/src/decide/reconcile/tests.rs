use berth_model::arn::DefinitionReference;
use berth_model::id::InstanceId;
use berth_model::name::{ClusterName, Family, ServiceName};
use berth_model::quantity::{CpuUnits, MemoryMib};
use berth_model::service::{DeploymentController, Scale};
use berth_model::status::{LaunchType, TaskStatus};

use super::*;
use crate::command::Memory;
use crate::decide::cluster::CreateCluster;
use crate::decide::definition::RegisterDefinition;
use crate::decide::instance::ConnectInstance;
use crate::decide::report::ReportTasks;
use crate::decide::service::CreateService;
use crate::decide::task_set::CreateTaskSet;
use crate::fold::fold;
use crate::invariant;
use crate::keys::{ClusterKey, InstanceKey};
use crate::observation::{InstanceFacts, Observation, TaskTimes};
use crate::service::ServiceSpec;

struct World {
    state: State,
    now: i64,
}

impl World {
    fn submit<C: Command>(&mut self, command: &C) {
        self.now += 10;
        let mut memory = Memory::default();
        let seed = self.now.unsigned_abs();
        let mut env = Env::new(Timestamp::from_millis(self.now), seed, &mut memory);
        for change in &command.decide(&self.state, &mut env).unwrap().changes {
            fold(&mut self.state, change);
        }
    }

    fn connect(&mut self, instance: u128, zone: &str) {
        self.submit(&ConnectInstance {
            cluster: cluster(),
            instance: InstanceId::from_bits(instance),
            facts: Arc::new(InstanceFacts {
                cpu: CpuUnits(1024),
                memory: MemoryMib(1024),
                attributes: [(view::ZONE.to_owned(), Some(zone.to_owned()))].into(),
                ..InstanceFacts::default()
            }),
            leaving: None,
            via: None,
        });
    }

    fn reconcile(&mut self) {
        self.submit(&ReconcileService {
            key: ServiceKey {
                cluster: ClusterKey(1),
                service: service(),
            },
            timing: Timing::default(),
        });
    }

    /// All tasks run, and have for a minute.
    fn settle(&mut self) {
        let tasks: Vec<_> = self.state.tasks_of(ClusterKey(1), None).cloned().collect();
        for task in tasks {
            let started = Some(Timestamp::from_millis(self.now));
            let observation = Observation {
                last_status: TaskStatus::Running,
                containers: Arc::new([]),
                stop_code: None,
                stopped_reason: None,
                times: TaskTimes {
                    started,
                    ..TaskTimes::default()
                },
            };
            self.submit(&ReportTasks {
                instance: InstanceKey {
                    cluster: ClusterKey(1),
                    instance: task.instance,
                },
                reports: vec![(task.id, Arc::new(observation))],
            });
        }
        self.now += 60_000;
        self.reconcile();
    }
}

/// A cluster with one host, and a service whose tasks want that much memory.
fn world(memory: u32, spec: ServiceSpec) -> World {
    let mut world = World {
        state: State::default(),
        now: 1_000_000,
    };
    world.submit(&CreateCluster {
        providers: Vec::new(),
        strategy: Vec::new(),
        name: cluster(),
        tags: Vec::new(),
    });
    let definition = serde_json::json!({"family": "web", "containerDefinitions": [
        {"name": "app", "image": "web", "memory": memory}]});
    world.submit(&RegisterDefinition {
        family: Family::parse("web").unwrap(),
        definition: Arc::new(serde_json::from_value(definition).unwrap()),
        tags: Vec::new(),
    });
    world.connect(1, "a");
    world.submit(&CreateService {
        by_default: false,
        cluster: cluster(),
        name: service(),
        definition: (spec.controller == DeploymentController::Ecs).then(web),
        spec,
        load_balancers: Arc::new([]),
        client_token: None,
    });
    world
}

fn cluster() -> ClusterName {
    ClusterName::parse("test").unwrap()
}

fn service() -> ServiceName {
    ServiceName::parse("web").unwrap()
}

fn web() -> DefinitionReference {
    DefinitionReference::newest(Family::parse("web").unwrap())
}

#[test]
fn a_task_that_is_started_to_balance_zones_is_told_as_such() {
    let mut world = world(
        64,
        ServiceSpec {
            zone_rebalancing: true,
            ..ServiceSpec::replicas(2)
        },
    );
    world.reconcile();
    world.settle();
    world.connect(2, "b");
    world.reconcile();
    world.reconcile();
    let service = world.state.services().next().unwrap();
    let events: Vec<_> = service.events.iter().map(|event| &*event.message).collect();
    let moved = "(service web) has started 1 tasks in b to AZ Rebalance: (task ";
    assert!(events.iter().any(|event| event.starts_with(moved)), "{events:#?}");
}

#[test]
fn a_task_set_is_not_placed_where_another_was_in_the_same_step() {
    let mut world = world(
        300,
        ServiceSpec {
            controller: DeploymentController::External,
            ..ServiceSpec::replicas(2)
        },
    );
    for _ in 0..2 {
        world.submit(&CreateTaskSet {
            cluster: cluster(),
            service: service(),
            definition: web(),
            scale: Scale::parse(Some(100.0), None).unwrap(),
            external_id: None,
            load_balancers: Arc::new([]),
            network: None,
            launch_type: LaunchType::Ec2,
            capacity: Vec::new(),
            platform_version: None,
            by_default: false,
            client_token: None,
            tags: Vec::new(),
        });
    }
    // Four are wanted, and three fit.
    world.reconcile();
    assert_eq!(world.state.tasks_of(ClusterKey(1), None).count(), 3);
    assert_eq!(invariant::overcommitted(&world.state), Vec::new());
    let service = world.state.services().next().unwrap();
    let events: Vec<_> = service.events.iter().map(|event| &*event.message).collect();
    let lacks = |event: &&str| event.contains("was unable to place a task");
    assert_eq!(events.iter().filter(|event| lacks(event)).count(), 1, "{events:#?}");
}
