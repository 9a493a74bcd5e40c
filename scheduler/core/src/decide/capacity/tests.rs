use std::time::Duration;

use berth_model::arn::DefinitionReference;
use berth_model::capacity::PROVIDER_ATTRIBUTE;
use berth_model::id::InstanceId;
use berth_model::name::Family;
use berth_model::overrides::TaskOverride;
use berth_model::quantity::{CpuUnits, MemoryMib};
use berth_model::status::LaunchType;
use berth_model::task_definition::capability;
use berth_model::time::Timestamp;
use serde_json::json;

use super::*;
use crate::command::Memory;
use crate::decide::cluster::CreateCluster;
use crate::decide::definition::RegisterDefinition;
use crate::decide::instance::ConnectInstance;
use crate::decide::queue::MAX_QUEUED;
use crate::decide::run::{Call, Failure, Launched, RunTask};
use crate::fold::fold;
use crate::keys::TaskKey;
use crate::observation::InstanceFacts;

const CLUSTER: ClusterKey = ClusterKey(1);

#[derive(Default)]
struct World {
    state: State,
    now: i64,
    memory: Memory,
}

fn provider(text: &str) -> ProviderName {
    ProviderName::parse(text).unwrap()
}

fn cluster() -> ClusterName {
    ClusterName::parse("test").unwrap()
}

fn item(name: &str, base: u32, weight: u32) -> StrategyItem {
    StrategyItem {
        provider: provider(name),
        base,
        weight,
    }
}

fn group(name: &str) -> GroupProvider {
    let raw = RawGroupProvider {
        group: Some(name.to_owned()),
        ..RawGroupProvider::default()
    };
    GroupProvider::parse(&raw).unwrap()
}

impl World {
    fn submit<C: Command>(&mut self, command: &C) -> Result<C::Outcome, Fault> {
        self.now += 10;
        let mut env = Env::new(Timestamp::from_millis(self.now), 7, &mut self.memory);
        let decision = command.decide(&self.state, &mut env)?;
        for change in &decision.changes {
            fold(&mut self.state, change);
        }
        let wrong = crate::invariant::violations(&self.state);
        assert!(wrong.is_empty(), "{wrong:?}");
        Ok(decision.outcome)
    }

    /// A cluster with the providers `web` (its group is `web-group`) and `db`, and those of Fargate.
    fn new() -> Self {
        let mut world = Self::default();
        for (name, of) in [("web", "web-group"), ("db", "db")] {
            let created = world.submit(&CreateCapacityProvider {
                name: ProviderName::of_new(name).unwrap(),
                group: group(of),
                tags: Vec::new(),
            });
            created.unwrap();
        }
        let created = world.submit(&CreateCluster {
            name: cluster(),
            tags: Vec::new(),
            providers: ["web", "db", "FARGATE", "FARGATE_SPOT"].map(provider).to_vec(),
            strategy: Vec::new(),
        });
        created.unwrap();
        world
            .register(json!({"family": "app", "containerDefinitions": [{"name": "app", "image": "a", "memory": 100}]}));
        world
    }

    fn register(&mut self, definition: serde_json::Value) {
        let register = RegisterDefinition {
            family: Family::parse(definition["family"].as_str().unwrap()).unwrap(),
            definition: Arc::new(serde_json::from_value(definition).unwrap()),
            tags: Vec::new(),
        };
        self.submit(&register).unwrap();
    }

    fn connect(&mut self, instance: u128, provider: Option<&str>) {
        let mut facts = InstanceFacts {
            cpu: CpuUnits(4096),
            memory: MemoryMib(1000),
            attributes: [capability::TASK_ENI, capability::TASK_LIMIT]
                .map(|name| (name.to_owned(), None))
                .into(),
            ..InstanceFacts::default()
        };
        if let Some(name) = provider {
            let attributes = &mut facts.attributes;
            attributes.insert(PROVIDER_ATTRIBUTE.to_owned(), Some(name.to_owned()));
        }
        let connected = self.submit(&ConnectInstance {
            cluster: cluster(),
            instance: InstanceId::from_bits(instance),
            facts: Arc::new(facts),
            leaving: None,
            via: None,
        });
        connected.map(drop).unwrap();
    }

    fn run(&mut self, family: &str, count: u32, edit: impl FnOnce(&mut Call)) -> Result<Launched, Fault> {
        self.submit(&run_task(family, count, edit))
    }

    fn run_by(&mut self, strategy: &[StrategyItem], count: u32) -> Result<Launched, Fault> {
        self.run("app", count, |call| call.capacity.strategy = strategy.to_vec())
    }

    /// Where tasks are, and whose they are said to be.
    fn places(&self, launched: &Launched) -> Vec<(u128, String)> {
        let mut places: Vec<(u128, String)> = launched
            .tasks
            .iter()
            .map(|task| {
                let key = TaskKey {
                    cluster: CLUSTER,
                    task: *task,
                };
                let task = self.state.task(key).unwrap();
                let provider = task.launch.provider.as_ref();
                let name = provider.map_or_else(String::new, |provider| provider.name.to_string());
                (task.instance.to_bits(), name)
            })
            .collect();
        places.sort();
        places
    }

    fn set(&mut self, providers: &[&str], strategy: &[StrategyItem]) -> Result<(), Fault> {
        self.submit(&SetClusterProviders {
            cluster: cluster(),
            providers: providers.iter().map(|name| provider(name)).collect(),
            strategy: strategy.to_vec(),
        })
    }
}

fn run_task(family: &str, count: u32, edit: impl FnOnce(&mut Call)) -> RunTask {
    let mut call = Call {
        has_network_configuration: family == "fargate",
        ..Call::of(cluster(), DefinitionReference::newest(Family::parse(family).unwrap()))
    };
    edit(&mut call);
    RunTask {
        call,
        count,
        constraints: Vec::new(),
        strategies: Vec::new(),
        patience: None,
    }
}

fn fargate() -> serde_json::Value {
    json!({"family": "fargate", "networkMode": "awsvpc", "cpu": "256", "memory": "512",
        "requiresCompatibilities": ["FARGATE"], "containerDefinitions": [{"name": "app", "image": "a"}]})
}

#[test]
fn tasks_go_to_the_instances_of_their_providers_in_proportion() {
    let mut world = World::new();
    world.connect(1, Some("web"));
    world.connect(2, Some("web-group"));
    world.connect(3, Some("db"));
    world.connect(4, None);
    let launched = world.run_by(&[item("web", 1, 1), item("db", 0, 1)], 5).unwrap();
    assert!(launched.failures.is_empty());
    let places = world.places(&launched);
    let of = |name: &str| places.iter().filter(|(_, provider)| provider == name).count();
    assert_eq!((of("web"), of("db")), (3, 2));
    let stray = places.iter().find(|(instance, name)| match name.as_str() {
        "web" => ![1, 2].contains(instance),
        _ => *instance != 3,
    });
    assert_eq!(stray, None);
}

#[test]
fn where_a_provider_has_no_room_no_other_is_taken() {
    let mut world = World::new();
    world.connect(1, Some("web"));
    world.connect(2, None);
    let launched = world.run_by(&[item("web", 0, 1), item("db", 0, 1)], 4).unwrap();
    assert_eq!(world.places(&launched).len(), 2);
    let explanation = launched.explanation.unwrap().to_string();
    assert_eq!(
        explanation,
        "2 container instances were considered: 2 are not of capacity provider db"
    );
    let reason = |failure: &Failure| match failure {
        Failure::Refused(refusal) => refusal.misfits[0].reason(),
        Failure::Missing(_) | Failure::Changed { .. } => panic!("{failure:?}"),
    };
    let reasons: Vec<_> = launched.failures.iter().map(reason).collect();
    assert_eq!(reasons.len(), 2);
    assert_eq!(reasons[0], "EMPTY CAPACITY PROVIDER");
}

#[test]
fn the_strategy_of_the_cluster_holds_where_nothing_is_said() {
    let mut world = World::new();
    world.connect(1, Some("db"));
    world.connect(2, None);
    world.set(&["db"], &[item("db", 0, 1)]).unwrap();
    let silent = world.run("app", 1, |call| call.capacity.by_default = true).unwrap();
    assert_eq!(world.places(&silent), [(1, "db".to_owned())]);
    let ec2 = world.run("app", 9, |_| {}).unwrap();
    assert!(world.places(&ec2).iter().all(|(_, provider)| provider.is_empty()));
    world.set(&["db"], &[item("db", 0, 0)]).unwrap();
    let fault = world.run("app", 1, |call| call.capacity.by_default = true).unwrap_err();
    assert!(
        fault.message.starts_with(
            "There are no capacity providers with a weight value greater than zero defined in the default capacity \
             provider strategy."
        ),
        "{fault}"
    );
}

#[test]
fn a_strategy_names_only_what_its_cluster_has() {
    let mut world = World::new();
    world.connect(1, Some("db"));
    world.set(&["web"], &[]).unwrap();
    let fault = world.run_by(&[item("db", 0, 1)], 1).unwrap_err();
    assert_eq!(fault.class, FaultClass::InvalidParameter);
    assert!(
        fault.message.starts_with(
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated"
        ),
        "{fault}"
    );
    let unknown = world.set(&["web", "cache"], &[]).unwrap_err();
    assert_eq!(
        unknown.message,
        "The specified capacity provider 'cache' was not found. Specify a valid name or ARN and try again."
    );
    let many: Vec<ProviderName> = (0..21).map(|at| provider(&format!("p{at}"))).collect();
    let fault = world
        .submit(&SetClusterProviders {
            cluster: cluster(),
            providers: many,
            strategy: Vec::new(),
        })
        .unwrap_err();
    assert_eq!(
        fault.message,
        "The maximum number of capacity providers per cluster has been exceeded."
    );
}

#[test]
fn a_provider_in_use_is_neither_taken_from_its_cluster_nor_deleted() {
    let mut world = World::new();
    world.connect(1, Some("web"));
    world.run_by(&[item("web", 0, 1)], 1).unwrap();
    let fault = world.set(&["db"], &[]).unwrap_err();
    assert_eq!(
        (fault.class, &*fault.message),
        (
            FaultClass::ResourceInUse,
            "The specified capacity provider is in use and cannot be removed."
        )
    );
    let delete = |name: &str| DeleteCapacityProvider { name: provider(name) };
    assert_eq!(
        world.submit(&delete("ghost")).unwrap_err().message,
        "The specified capacity provider does not exist. Specify a valid name or ARN and try again."
    );
    let fault = world.submit(&delete("db")).unwrap_err();
    assert_eq!(
        fault.message,
        "The capacity provider cannot be deleted because it is associated with cluster: test. Remove the capacity \
         provider from the cluster and try again."
    );
    world.set(&["web"], &[]).unwrap();
    world.submit(&delete("db")).unwrap();
    assert!(world.state.capacity_provider(&provider("db")).is_none());
    let fault = world.submit(&delete("FARGATE")).unwrap_err();
    assert!(fault.message.contains("is reserved and cannot be deleted"), "{fault}");
}

#[test]
fn names_and_groups_of_providers_are_their_own() {
    let mut world = World::new();
    let mut create = |name: &str, of: &str| {
        world.submit(&CreateCapacityProvider {
            name: provider(name),
            group: group(of),
            tags: Vec::new(),
        })
    };
    let fault = create("web", "other").unwrap_err();
    assert!(
        fault
            .message
            .starts_with("The specified capacity provider already exists."),
        "{fault}"
    );
    for (name, of) in [
        ("third", "web-group"),
        ("third", "db"),
        ("web-group", "other"),
        ("third", "web"),
    ] {
        let fault = create(name, of).unwrap_err();
        assert!(
            fault
                .message
                .starts_with("The specified Auto Scaling group ARN is already being used"),
            "{name} {of}: {fault}"
        );
    }
    create("third", "third-group").unwrap();
}

#[test]
fn fargate_is_what_names_no_provider_and_can_give_an_address() {
    let mut world = World::new();
    world.register(fargate());
    world.connect(1, Some("web"));
    world.connect(2, None);
    world.connect(3, Some("FARGATE_SPOT"));
    let by_type = world
        .run("fargate", 1, |call| call.launch_type = LaunchType::Fargate)
        .unwrap();
    assert_eq!(world.places(&by_type), [(2, String::new())]);
    let strategy = [item("FARGATE", 0, 1), item("FARGATE_SPOT", 0, 1)];
    let by_strategy = world
        .run("fargate", 2, |call| call.capacity.strategy = strategy.to_vec())
        .unwrap();
    assert_eq!(
        world.places(&by_strategy),
        [(3, "FARGATE_SPOT".to_owned())],
        "2 is full"
    );
    let launch = world.state.tasks_of(CLUSTER, None).last().unwrap().launch.launch_type;
    assert_eq!(launch, LaunchType::Fargate);
}

#[test]
fn the_parts_of_a_call_share_hosts_that_name_no_provider_and_take_no_more_than_they_have() {
    let mut world = World::new();
    world.register(fargate());
    world.connect(1, None);
    world.connect(2, None);
    world.connect(3, Some("FARGATE"));
    world.connect(4, Some("FARGATE_SPOT"));
    let strategy = [item("FARGATE", 0, 1), item("FARGATE_SPOT", 0, 1)];
    let launched = world
        .run("fargate", 8, |call| call.capacity.strategy = strategy.to_vec())
        .unwrap();
    let places = world.places(&launched);
    let hosts: Vec<u128> = places.iter().map(|(instance, _)| *instance).collect();
    assert_eq!(hosts, [1, 2, 3, 4], "each has room for one");
    for (named, provider) in [(3, "FARGATE"), (4, "FARGATE_SPOT")] {
        assert!(places.contains(&(named, provider.to_owned())), "{places:?}");
    }
    assert!(!launched.failures.is_empty());
    assert_eq!(crate::invariant::overcommitted(&world.state), []);
}

#[test]
fn what_a_refused_call_would_have_placed_takes_no_room() {
    let mut world = World::new();
    world.register(fargate());
    world.connect(1, None);
    world.connect(2, None);
    let strategy = [item("FARGATE", 0, 1), item("FARGATE_SPOT", 0, 1)];
    let by_strategy = |call: &mut Call| call.capacity.strategy = strategy.to_vec();
    let too_many = RunTask {
        patience: Some(Duration::from_secs(60)),
        ..run_task("fargate", MAX_QUEUED + 10, by_strategy)
    };
    world.submit(&too_many).unwrap_err();
    world.connect(3, None);
    world.connect(4, None);
    let launched = world.run("fargate", 4, by_strategy).unwrap();
    assert_eq!(launched.tasks.len(), 4, "{:?}", launched.failures);
}

#[test]
fn fargate_takes_only_what_it_runs() {
    let mut world = World::new();
    world.register(fargate());
    world.connect(1, None);
    let fault = world
        .run("app", 1, |call| call.launch_type = LaunchType::Fargate)
        .unwrap_err();
    assert!(
        fault
            .message
            .starts_with("Task definition does not support launch_type FARGATE."),
        "{fault}"
    );
    let mut run = |strategies: Vec<berth_model::placement::Strategy>, memory: Option<&str>| {
        let overrides = TaskOverride {
            memory: memory.map(str::to_owned),
            ..TaskOverride::default()
        };
        let call = Call {
            overrides,
            launch_type: LaunchType::Fargate,
            has_network_configuration: true,
            ..Call::of(
                cluster(),
                DefinitionReference::newest(Family::parse("fargate").unwrap()),
            )
        };
        world.submit(&RunTask {
            call,
            count: 1,
            constraints: Vec::new(),
            strategies,
            patience: None,
        })
    };
    let fault = run(vec![berth_model::placement::Strategy::Random], None).unwrap_err();
    assert_eq!(
        fault.message,
        "Placement strategies are not supported with FARGATE launch type."
    );
    let fault = run(Vec::new(), Some("600")).unwrap_err();
    assert!(
        fault
            .message
            .contains("No Fargate configuration exists for given values."),
        "{fault}"
    );
    assert_eq!(run(Vec::new(), None).unwrap().tasks.len(), 1);
}

#[test]
fn tasks_wait_for_the_instances_that_managed_scaling_adds() {
    let mut world = World::new();
    world.connect(1, Some("db"));
    let change = RawGroupProvider {
        scaling: Some(berth_model::capacity::RawScaling::default()),
        ..RawGroupProvider::default()
    };
    world
        .submit(&UpdateCapacityProvider {
            name: provider("web"),
            change,
        })
        .unwrap();
    let launched = world.run_by(&[item("web", 0, 1)], 3).unwrap();
    assert_eq!((launched.tasks.len(), launched.failures.len()), (3, 0));
    let shape = world.state.queue().shapes().next().unwrap().0.clone();
    assert_eq!(world.state.queue().shape(&shape).unwrap().len(), 3);
    let place = crate::decide::queue::PlaceQueued { shape, count: 10 };
    assert_eq!(
        world.submit(&place).unwrap(),
        0,
        "what there is belongs to another provider"
    );
    world.connect(2, Some("web-group"));
    assert_eq!(world.submit(&place).unwrap(), 3);
    let names = world
        .state
        .tasks_of(CLUSTER, None)
        .map(|task| task.launch.provider.clone().unwrap().name);
    assert!(names.into_iter().all(|name| name == provider("web")));
}

#[test]
fn instances_tell_which_provider_they_are_of() {
    let mut world = World::new();
    for (instance, text, is) in [
        (1, Some("web"), Some("web")),
        (2, Some("web-group"), Some("web")),
        (3, Some("FARGATE"), Some("FARGATE")),
        (4, Some("nobody"), None),
        (5, None, None),
    ] {
        world.connect(instance, text);
        let key = crate::keys::InstanceKey {
            cluster: CLUSTER,
            instance: InstanceId::from_bits(instance),
        };
        let known = world.state.instance(key).unwrap();
        assert_eq!(world.state.provider_of(known), is.map(provider), "{text:?}");
    }
}
