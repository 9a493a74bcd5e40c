mod change;

use berth_model::arn::{DefinitionReference, Resource};
use berth_model::fault::FaultClass;
use berth_model::id::InstanceId;
use berth_model::load_balancer::{GatewayProtocol, LoadBalancer, TargetSettings};
use berth_model::name::{ClusterName, Family, ServiceName};
use berth_model::quantity::{CpuUnits, MemoryMib};
use berth_model::status::{DesiredStatus, StopCode, TaskStatus};
use berth_model::tag::Tag;
use berth_model::time::Timestamp;

use super::*;
use crate::command::Memory;
use crate::decide::cluster::CreateCluster;
use crate::decide::definition::RegisterDefinition;
use crate::decide::instance::ConnectInstance;
use crate::decide::reconcile::ReconcileService;
use crate::decide::report::ReportTasks;
use crate::decide::service::{CreateService, ServiceUpdate, UpdateService};
use crate::decide::stop::StopTask;
use crate::decide::tag::TagResource;
use crate::fold::fold;
use crate::keys::InstanceKey;
use crate::observation::{InstanceFacts, Observation, TaskTimes};
use crate::reconcile::Timing;
use crate::service::ServiceSpec;

const ARN: &str = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/http-80";

/// A cluster with one instance and one service of one task.
struct World {
    state: State,
    now: i64,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            state: State::default(),
            now: 1_000_000,
        };
        let cluster = ClusterName::parse("test").unwrap();
        world.submit(&CreateCluster {
            providers: Vec::new(),
            strategy: Vec::new(),
            name: cluster.clone(),
            tags: Vec::new(),
        });
        let definition = serde_json::json!({"family": "web", "containerDefinitions": [
            {"name": "app", "image": "web", "memory": 64, "portMappings": [{"containerPort": 8080}, {"containerPort": 9090}]}]});
        world.submit(&RegisterDefinition {
            family: Family::parse("web").unwrap(),
            definition: Arc::new(serde_json::from_value(definition).unwrap()),
            tags: Vec::new(),
        });
        world.submit(&ConnectInstance {
            cluster: cluster.clone(),
            instance: InstanceId::from_bits(1),
            facts: Arc::new(InstanceFacts {
                cpu: CpuUnits(1024),
                memory: MemoryMib(1024),
                ..InstanceFacts::default()
            }),
            leaving: None,
            via: None,
        });
        world.submit(&service("web"));
        world.reconcile();
        world
    }

    fn submit<C: Command>(&mut self, command: &C) -> Vec<Change> {
        self.decide(command).unwrap()
    }

    fn decide<C: Command>(&mut self, command: &C) -> Result<Vec<Change>, Fault> {
        self.now += 10;
        let mut memory = Memory::default();
        let seed = u64::try_from(self.now).unwrap();
        let mut env = Env::new(Timestamp::from_millis(self.now), seed, &mut memory);
        let decision = command.decide(&self.state, &mut env)?;
        for change in &decision.changes {
            fold(&mut self.state, change);
        }
        assert_eq!(crate::invariant::violations(&self.state), Vec::<String>::new());
        Ok(decision.changes)
    }

    fn listen(&mut self, load_balancers: &[LoadBalancer]) -> Result<Vec<Change>, Fault> {
        self.decide(&UpdateService {
            cluster: ClusterName::parse("test").unwrap(),
            service: ServiceName::parse("web").unwrap(),
            update: ServiceUpdate {
                load_balancers: Some(load_balancers.into()),
                ..ServiceUpdate::default()
            },
        })
    }

    fn tag(&mut self, set: &[(&str, &str)], remove: &[&str]) -> Result<Vec<Change>, Fault> {
        let tag = |(key, value): &(&str, &str)| Tag {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        };
        self.decide(&TagResource {
            resource: Resource::Service(ClusterName::parse("test").unwrap(), ServiceName::parse("web").unwrap()),
            set: set.iter().map(tag).collect(),
            remove: remove.iter().map(|key| (*key).to_owned()).collect(),
        })
    }

    fn spec(&self) -> Arc<ServiceSpec> {
        Arc::clone(&self.state.services().next().unwrap().spec)
    }

    /// The target groups that gateways listen for.
    fn listeners(&self) -> Vec<String> {
        let service = self.state.services().next().unwrap();
        let listeners = self.state.listeners_of(service).into_iter();
        listeners.map(|one| one.target_group_arn.clone()).collect()
    }

    fn reconcile(&mut self) -> Vec<Change> {
        self.submit(&ReconcileService {
            key: ServiceKey {
                cluster: ClusterKey(1),
                service: ServiceName::parse("web").unwrap(),
            },
            timing: Timing::default(),
        })
    }

    fn task(&self) -> Arc<Task> {
        let tasks: Vec<_> = self.state.tasks_of(ClusterKey(1), None).collect();
        assert_eq!(tasks.len(), 1, "one task");
        Arc::clone(tasks[0])
    }

    /// The one task of the service besides this one.
    fn other(&self, task: TaskId) -> Arc<Task> {
        let tasks = self.state.tasks_of(ClusterKey(1), None);
        let others: Vec<_> = tasks.filter(|other| other.id != task).collect();
        assert_eq!(others.len(), 1, "one other task");
        Arc::clone(others[0])
    }

    fn report(&mut self, last_status: TaskStatus) {
        let task = self.task().id;
        self.report_of(task, last_status);
    }

    fn report_of(&mut self, task: TaskId, last_status: TaskStatus) {
        let observation = Observation {
            last_status,
            containers: Arc::new([]),
            stop_code: None,
            stopped_reason: None,
            times: TaskTimes::default(),
        };
        let reports = vec![(task, Arc::new(observation))];
        self.submit(&ReportTasks {
            instance: InstanceKey {
                cluster: ClusterKey(1),
                instance: InstanceId::from_bits(1),
            },
            reports,
        });
    }

    fn stop(&mut self) {
        let task = self.task().id;
        self.submit(&StopTask {
            cluster: ClusterName::parse("test").unwrap(),
            task,
            reason: None,
        });
    }

    fn record(&mut self, health: Option<TargetHealth>, drained: bool) -> Vec<Change> {
        let task = self.task().id;
        self.record_of(task, health, drained)
    }

    fn record_of(&mut self, task: TaskId, health: Option<TargetHealth>, drained: bool) -> Vec<Change> {
        self.submit(&RecordTargets {
            cluster: ClusterKey(1),
            health: health
                .iter()
                .map(|health| (task, *health, "status 500".into()))
                .collect(),
            drained: if drained { vec![task] } else { Vec::new() },
        })
    }

    fn events(&self) -> Vec<String> {
        let services = self.state.services();
        services
            .flat_map(|service| service.events.iter().map(|event| event.message.to_string()))
            .collect()
    }
}

fn service(name: &str) -> CreateService {
    CreateService {
        by_default: false,
        cluster: ClusterName::parse("test").unwrap(),
        name: ServiceName::parse(name).unwrap(),
        definition: Some(DefinitionReference::newest(Family::parse("web").unwrap())),
        spec: ServiceSpec {
            targets: TargetSettings {
                health_check: None,
                deregistration_delay_seconds: 20,
            },
            ..ServiceSpec::replicas(1)
        },
        load_balancers: Arc::new([load_balancer(ARN, 80)]),
        client_token: None,
    }
}

fn load_balancer(arn: &str, listener_port: u16) -> LoadBalancer {
    LoadBalancer {
        target_group_arn: arn.to_owned(),
        protocol: GatewayProtocol::Http,
        listener_port,
        container_name: "app".to_owned(),
        container_port: 8080,
    }
}

#[test]
fn a_task_becomes_a_target_when_it_runs_and_counts_as_healthy_when_gateways_say_so() {
    let mut world = World::new();
    assert_eq!(world.task().target, None);
    world.report(TaskStatus::Running);
    world.reconcile();
    assert_eq!(
        world.task().target.as_ref().map(|target| target.health),
        Some(TargetHealth::Initial)
    );
    assert!(
        world
            .events()
            .contains(&format!("(service web) registered 1 targets in (target-group {ARN})"))
    );
    world.now += 3_600_000;
    world.reconcile();
    let steady = |world: &World| world.events().iter().any(|event| event.contains("steady state"));
    assert!(!steady(&world), "nobody has found it well");
    world.record(Some(TargetHealth::Healthy), false);
    world.reconcile();
    assert!(steady(&world));
}

#[test]
fn a_target_that_fails_its_checks_is_replaced_with_the_reason() {
    let mut world = World::new();
    world.report(TaskStatus::Running);
    world.reconcile();
    world.record(Some(TargetHealth::Unhealthy), false);
    let changes = world.reconcile();
    let launches = changes
        .iter()
        .any(|change| matches!(change, Change::TasksPlaced { .. }));
    assert!(launches, "the one in its place comes first: {changes:?}");
    let said = format!("is unhealthy in (target-group {ARN}) due to (reason status 500)");
    assert!(
        world.events().iter().any(|event| event.contains(&said)),
        "{:?}",
        world.events()
    );
}

#[test]
fn the_same_health_is_no_news() {
    let mut world = World::new();
    assert_eq!(
        world.record(Some(TargetHealth::Healthy), false),
        [],
        "it is no target yet"
    );
    world.report(TaskStatus::Running);
    world.reconcile();
    assert_eq!(world.record(Some(TargetHealth::Healthy), false).len(), 1);
    assert_eq!(world.record(Some(TargetHealth::Healthy), false), []);
}

#[test]
fn a_target_that_stops_goes_on_until_its_connections_are_gone() {
    let mut world = World::new();
    world.report(TaskStatus::Running);
    world.reconcile();
    assert_eq!(world.record(None, true), [], "it does not leave");
    world.stop();
    let task = world.task();
    assert_eq!(
        (task.last, task.desired),
        (TaskStatus::Deactivating, DesiredStatus::Stopped)
    );
    assert_eq!(task.assigned(), DesiredStatus::Running, "its agent is not told yet");
    world.report(TaskStatus::Running);
    assert_eq!(world.task().last, TaskStatus::Deactivating);
    world.record(None, true);
    let task = world.task();
    assert_eq!((task.assigned(), &task.target), (DesiredStatus::Stopped, &None));
    assert_eq!(
        task.stop.as_ref().and_then(|stop| stop.code),
        Some(StopCode::UserInitiated)
    );
    assert!(
        world
            .events()
            .contains(&format!("(service web) deregistered 1 targets in (target-group {ARN})"))
    );
}

#[test]
fn a_target_that_stops_is_let_go_of_when_its_time_is_up() {
    let mut world = World::new();
    world.report(TaskStatus::Running);
    world.reconcile();
    world.stop();
    world.now += 19_900;
    world.record(None, false);
    assert_eq!(world.task().assigned(), DesiredStatus::Running);
    world.now += 100;
    world.record(None, false);
    assert_eq!(world.task().assigned(), DesiredStatus::Stopped);
}

#[test]
fn a_task_that_ends_by_itself_is_no_target_any_more() {
    let mut world = World::new();
    world.report(TaskStatus::Running);
    world.reconcile();
    world.stop();
    world.report(TaskStatus::Stopped);
    assert_eq!(world.task().target, None);
    assert_eq!(world.state.deregistering().count(), 0);
}

#[test]
fn two_services_cannot_listen_on_one_port() {
    let world = World::new();
    let mut memory = Memory::default();
    let mut env = Env::new(Timestamp::from_millis(world.now), 7, &mut memory);
    let fault = service("other").decide(&world.state, &mut env).unwrap_err();
    assert!(
        fault.message.contains("port 80, which service web has"),
        "{}",
        fault.message
    );
}
