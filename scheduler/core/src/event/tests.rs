use std::slice::from_ref;
use std::time::Duration;

use berth_model::arn::DefinitionReference;
use berth_model::name::{ClusterName, Family};
use berth_model::quantity::{CpuUnits, MemoryMib};
use berth_model::status::{DesiredStatus, TaskStatus};

use super::*;
use crate::change::Entry;
use crate::command::{Command, Env, Memory};
use crate::decide::cluster::CreateCluster;
use crate::decide::definition::RegisterDefinition;
use crate::decide::instance::{ConnectInstance, SetConnection};
use crate::decide::protection::SetProtection;
use crate::decide::queue::EndOverdue;
use crate::decide::reconcile::ReconcileService;
use crate::decide::report::ReportTasks;
use crate::decide::run::{Call, RunTask};
use crate::decide::service::CreateService;
use crate::decide::stop::StopTask;
use crate::keys::{InstanceKey, ServiceKey, TaskKey};
use crate::observation::{InstanceFacts, Observation, TaskTimes};
use crate::reconcile::Timing;
use crate::service::ServiceSpec;

const CLUSTER: ClusterKey = ClusterKey(1);
const KEY: InstanceKey = InstanceKey {
    cluster: CLUSTER,
    instance: InstanceId::from_bits(7),
};

/// A state, and what was told of the last command.
#[derive(Default)]
struct World {
    state: State,
    now: i64,
    told: Vec<Event>,
}

fn cluster() -> ClusterName {
    ClusterName::parse("prod").unwrap()
}

fn service() -> ServiceKey {
    ServiceKey {
        cluster: CLUSTER,
        service: ServiceName::parse("api").unwrap(),
    }
}

fn definition() -> DefinitionReference {
    DefinitionReference::newest(Family::parse("web").unwrap())
}

impl World {
    /// A cluster without instances, and a definition.
    fn new() -> Self {
        let mut world = Self::default();
        world.submit(&CreateCluster {
            providers: Vec::new(),
            strategy: Vec::new(),
            name: cluster(),
            tags: Vec::new(),
        });
        assert!(world.told.is_empty(), "ECS has no event of it");
        let definition = serde_json::json!({
            "family": "web",
            "containerDefinitions": [{"name": "app", "image": "busybox", "memory": 16, "cpu": 64}],
        });
        world.submit(&RegisterDefinition {
            family: Family::parse("web").unwrap(),
            definition: Arc::new(serde_json::from_value(definition).unwrap()),
            tags: Vec::new(),
        });
        world
    }

    fn with_instance(cpu: u32) -> Self {
        let mut world = Self::new();
        world.connect(cpu);
        world
    }

    fn submit<C: Command>(&mut self, command: &C) -> C::Outcome {
        self.now += 1000;
        let mut memory = Memory::default();
        let at = Timestamp::from_millis(self.now);
        let mut env = Env::new(at, self.now.unsigned_abs(), &mut memory);
        let decision = command.decide(&self.state, &mut env).unwrap();
        let record = Record {
            v: Record::FORMAT,
            revision: self.state.revision().next(),
            entries: vec![Entry {
                at,
                by: "somebody".into(),
                changes: decision.changes,
            }],
        };
        self.told.clear();
        tell(&mut self.state, &record, |_, event| self.told.push(event));
        decision.outcome
    }

    fn connect(&mut self, cpu: u32) {
        self.submit(&ConnectInstance {
            cluster: cluster(),
            instance: KEY.instance,
            facts: Arc::new(InstanceFacts {
                cpu: CpuUnits(cpu),
                memory: MemoryMib(1024),
                ..InstanceFacts::default()
            }),
            leaving: None,
            via: None,
        });
    }

    fn run(&mut self, patience: Option<Duration>) -> TaskId {
        let call = Call::of(cluster(), definition());
        let launched = self.submit(&RunTask {
            call,
            count: 1,
            constraints: Vec::new(),
            strategies: Vec::new(),
            patience,
        });
        launched.tasks[0]
    }

    fn report(&mut self, task: TaskId, last_status: TaskStatus) {
        let observed = Observation {
            last_status,
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

    fn create_service(&mut self) {
        self.submit(&CreateService {
            by_default: false,
            cluster: cluster(),
            name: service().service,
            definition: Some(definition()),
            spec: ServiceSpec::replicas(1),
            load_balancers: Arc::new([]),
            client_token: None,
        });
    }

    fn reconcile(&mut self) {
        self.submit(&ReconcileService {
            key: service(),
            timing: Timing::default(),
        });
    }

    fn subjects(&self) -> Vec<Subject> {
        self.told.iter().map(|event| event.subject.clone()).collect()
    }

    /// What was said of the service, by EventBridge's names.
    fn names(&self) -> Vec<&'static str> {
        let names = self.told.iter().filter_map(|event| match &event.subject {
            Subject::Service(said) => Some(said.action.name()),
            Subject::Deployment(deployed) => Some(deployed.name.name()),
            Subject::Task(_) | Subject::Instance(_) => None,
        });
        names.collect()
    }

    fn statuses(&self, task: TaskId) -> (TaskStatus, DesiredStatus) {
        let key = TaskKey { cluster: CLUSTER, task };
        let known = self.state.task(key).unwrap();
        (known.last, known.desired)
    }
}

#[test]
fn an_instance_is_told_of_when_it_comes_goes_or_has_other_resources() {
    let mut world = World::with_instance(1024);
    let instance = Subject::Instance(KEY.instance);
    assert_eq!(world.subjects(), from_ref(&instance));
    world.connect(1024);
    assert_eq!(world.subjects(), [], "it is there already");
    for connected in [false, true] {
        world.submit(&SetConnection {
            key: KEY,
            connected,
            via: None,
        });
        assert_eq!(world.subjects(), from_ref(&instance), "{connected}");
    }
    world.connect(2048);
    assert_eq!(world.subjects(), [instance]);
}

#[test]
fn a_task_is_told_of_once_a_step_and_its_instance_when_resources_change() {
    let mut world = World::with_instance(1024);
    let task = world.run(None);
    let (of_task, of_instance) = (Subject::Task(task), Subject::Instance(KEY.instance));
    assert_eq!(world.subjects(), [of_task.clone(), of_instance.clone()]);
    world.report(task, TaskStatus::Running);
    assert_eq!(
        world.subjects(),
        from_ref(&of_task),
        "counts alone are no event of the instance"
    );
    world.report(task, TaskStatus::Running);
    assert_eq!(world.subjects(), [], "it is known");
    world.submit(&StopTask {
        cluster: cluster(),
        task,
        reason: None,
    });
    assert_eq!(world.statuses(task), (TaskStatus::Running, DesiredStatus::Stopped));
    assert_eq!(world.subjects(), from_ref(&of_task));
    world.report(task, TaskStatus::Stopped);
    assert_eq!(world.subjects(), [of_task, of_instance]);
}

#[test]
fn protecting_a_task_is_no_event() {
    let mut world = World::with_instance(1024);
    world.create_service();
    world.reconcile();
    let task = world.state.tasks_of(CLUSTER, None).next().unwrap().id;
    world.submit(&SetProtection {
        cluster: cluster(),
        tasks: vec![task],
        span: Some(Duration::from_secs(60)),
    });
    assert_eq!(world.subjects(), []);
}

#[test]
fn a_task_that_waits_for_room_is_told_of_when_it_begins_and_when_it_ends() {
    let mut world = World::new();
    let task = world.run(Some(Duration::from_secs(60)));
    assert_eq!(world.subjects(), [Subject::Task(task)]);
    world.now += 60_000;
    world.submit(&EndOverdue);
    assert_eq!(world.subjects(), [Subject::Task(task)]);
}

#[test]
fn a_deployment_is_told_of_when_it_begins_and_when_it_has_completed() {
    let mut world = World::with_instance(1024);
    world.create_service();
    assert_eq!(world.names(), ["SERVICE_DEPLOYMENT_IN_PROGRESS"]);
    let Subject::Deployment(deployed) = &world.told[0].subject else {
        panic!("{:?}", world.told)
    };
    let reason = format!("ECS deployment {} in progress.", deployed.deployment);
    assert_eq!((&*deployed.reason, deployed.name.severity()), (&*reason, "INFO"));
    world.reconcile();
    assert_eq!(world.names(), ["BERTH_SERVICE_MESSAGE"], "that a task was started");
    let task = world.state.tasks_of(CLUSTER, None).next().unwrap().id;
    world.report(task, TaskStatus::Running);
    world.now += 60_000;
    world.reconcile();
    let names = world.names();
    assert!(names.contains(&"SERVICE_STEADY_STATE"), "{names:?}");
    assert!(names.contains(&"SERVICE_DEPLOYMENT_COMPLETED"), "{names:?}");
    world.now += 60_000;
    world.reconcile();
    assert_eq!(world.names(), [""; 0], "nothing is told twice");
}

#[test]
fn a_task_that_finds_no_instance_is_told_of_with_what_is_lacking() {
    let says = |world: &World, lacking| {
        let failures = world.subjects().into_iter().filter_map(|subject| match subject {
            Subject::Service(said) => Some(said.action),
            Subject::Deployment(_) | Subject::Task(_) | Subject::Instance(_) => None,
        });
        let failures: Vec<Action> = failures.collect();
        assert_eq!(failures, [Action::PlacementFailure { reason: lacking }]);
        assert_eq!(failures[0].severity(), "ERROR");
    };
    let mut world = World::new();
    world.create_service();
    world.reconcile();
    says(&world, None);
    world.connect(32);
    world.now += 600_000;
    world.reconcile();
    says(&world, Some("RESOURCE:CPU"));
}

#[test]
fn an_id_is_a_uuid_that_follows_from_the_journal() {
    let event = |revision, place, millis| Event {
        position: Position {
            revision: Revision(revision),
            place,
        },
        at: Timestamp::from_millis(millis),
        by: "somebody".into(),
        cluster: CLUSTER,
        subject: Subject::Instance(KEY.instance),
    };
    let id = event(4711, 3, 1_795_232_146_123).id();
    assert_eq!(id, event(4711, 3, 1_795_232_146_123).id());
    let lengths: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
    assert_eq!(&id[14..15], "4", "{id}");
    assert!("89ab".contains(&id[19..20]), "{id}");
    let mut others = std::collections::BTreeSet::from([id]);
    for (revision, place, millis) in [
        (4712, 3, 1_795_232_146_123),
        (4711, 4, 1_795_232_146_123),
        (4711, 3, 1_795_232_146_124),
    ] {
        assert!(others.insert(event(revision, place, millis).id()));
    }
}

#[test]
fn kinds_are_named_as_eventbridge_names_them_and_in_short() {
    for kind in DetailType::ALL {
        assert_eq!(DetailType::from_name(kind.name()), Some(kind));
        assert_eq!(DetailType::from_name(kind.short()), Some(kind));
    }
    assert_eq!(DetailType::from_name("tasks"), None);
}
