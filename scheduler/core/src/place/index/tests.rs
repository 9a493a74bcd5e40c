use std::collections::BTreeMap;
use std::sync::Arc;

use berth_model::capacity::PROVIDER_ATTRIBUTE;
use berth_model::gpu::{ContainerGpus, GpuId};
use berth_model::id::{DefinitionId, DefinitionRevision, InstanceId, TaskId};
use berth_model::name::{ClusterName, Family, ProviderName};
use berth_model::overrides::TaskOverride;
use berth_model::placement::{Constraint, PackBy, SpreadKey, Strategy as Placing};
use berth_model::quantity::{CpuUnits, Demand, GpuCount, HostPort, MemoryMib, PortSet, Protocol};
use berth_model::query::Expression;
use berth_model::status::{InstanceStatus, LaunchType, TaskStatus};
use berth_model::time::Timestamp;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::change::Change;
use crate::fold::fold;
use crate::keys::InstanceKey;
use crate::launch::{Launch, Placement};
use crate::observation::{InstanceFacts, Observation, TaskTimes};
use crate::place::{Pool, capacity, choices};
use crate::state::State;

const CLUSTER: ClusterKey = ClusterKey(1);

/// What happens between two placements, over small sets so that things meet.
#[derive(Debug, Clone)]
enum Step {
    Place {
        wish: Wish,
        count: u32,
        seed: u64,
    },
    End {
        nth: usize,
    },
    Connection {
        instance: u128,
        connected: bool,
    },
    Status {
        instance: u128,
        status: InstanceStatus,
    },
    Register {
        instance: u128,
        host: Host,
    },
    /// An operator says of the zone what its agent does not, or takes it back.
    Attribute {
        instance: u128,
        zone: Option<&'static str>,
    },
}

#[derive(Debug, Clone)]
struct Host {
    cpu: u32,
    memory: u32,
    zone: Option<&'static str>,
    provider: Option<&'static str>,
    name: u32,
    /// The attribute; what the devices themselves are counted by is apart from it.
    gpu: bool,
    gpus: u32,
    /// Port 80 is the host's own.
    reserves: bool,
}

#[derive(Debug, Clone)]
struct Wish {
    cpu: u32,
    memory: u32,
    ports: Vec<u16>,
    group: &'static str,
    strategies: Vec<Placing>,
    expressions: Vec<&'static str>,
    distinct: bool,
    needs_gpu: bool,
    gpus: u32,
    provider: Option<&'static str>,
}

fn host() -> impl Strategy<Value = Host> {
    let zone = select(vec![None, Some("a"), Some("b"), Some("c")]);
    let gpus = prop_oneof![3 => Just(0_u32), 1 => 1_u32..5];
    let reserves = prop::bool::weighted(0.2);
    let provider = select(vec![None, None, Some("web"), Some("web-group"), Some("FARGATE")]);
    let host = (
        0_u32..6,
        0_u32..6,
        zone,
        0_u32..80,
        any::<bool>(),
        gpus,
        reserves,
        provider,
    );
    host.prop_map(|(cpu, memory, zone, name, gpu, gpus, reserves, provider)| Host {
        provider,
        cpu: cpu * 256,
        memory: memory * 300,
        zone,
        name,
        gpu,
        gpus,
        reserves,
    })
}

fn strategy() -> impl Strategy<Value = Placing> {
    prop_oneof![
        3 => Just(Placing::Binpack(PackBy::Cpu)),
        3 => Just(Placing::Binpack(PackBy::Memory)),
        3 => Just(Placing::Spread(SpreadKey::Instance)),
        3 => Just(Placing::Spread(SpreadKey::Attribute("zone".to_owned()))),
        1 => Just(Placing::Spread(SpreadKey::Attribute("host".to_owned()))),
        1 => Just(Placing::Spread(SpreadKey::Attribute("gpu".to_owned()))),
        2 => Just(Placing::Random),
    ]
}

/// Chains that callers write, and any others.
fn chain() -> impl Strategy<Value = Vec<Placing>> {
    let zone = || Placing::Spread(SpreadKey::Attribute("zone".to_owned()));
    let gpu = || Placing::Spread(SpreadKey::Attribute("gpu".to_owned()));
    let instance = || Placing::Spread(SpreadKey::Instance);
    let pack = Placing::Binpack;
    let usual = select(vec![
        vec![],
        vec![pack(PackBy::Cpu)],
        vec![pack(PackBy::Memory)],
        vec![zone()],
        vec![instance()],
        vec![zone(), instance()],
        vec![zone(), pack(PackBy::Memory)],
        vec![gpu(), zone(), instance(), pack(PackBy::Cpu)],
        vec![Placing::Random],
        vec![zone(), Placing::Random],
        vec![instance(), pack(PackBy::Memory), pack(PackBy::Cpu)],
    ]);
    prop_oneof![3 => usual, 1 => prop::collection::vec(strategy(), 0..4)]
}

fn wish() -> impl Strategy<Value = Wish> {
    let expressions = select(vec![
        vec![],
        vec![],
        vec![],
        vec!["attribute:zone == a"],
        vec!["attribute:zone != b", "attribute:gpu exists"],
        vec!["attribute:host =~ h-1.*"],
        vec!["attribute:host == h-3 or attribute:zone == c"],
        vec!["task:group == web"],
        vec!["not (task:group == db)", "attribute:zone in [a, b]"],
        vec!["task:group == db and attribute:zone == a"],
        vec!["runningTasksCount < 1"],
        vec!["agentVersion >= 1.2.0"],
    ]);
    let provider = select(vec![
        None,
        None,
        None,
        Some("web"),
        Some("FARGATE"),
        Some("FARGATE_SPOT"),
    ]);
    (
        (0_u32..4, 0_u32..4, prop_oneof![4 => Just(0_u32), 1 => 1_u32..4]),
        prop_oneof![4 => Just(vec![]), 1 => subsequence(vec![80, 81, 82], 1..3)],
        select(vec!["web", "db", "batch"]),
        chain(),
        expressions,
        (prop::bool::weighted(0.2), prop::bool::weighted(0.2), provider),
    )
        .prop_map(
            |((cpu, memory, gpus), ports, group, strategies, expressions, (distinct, needs_gpu, provider))| Wish {
                provider,
                cpu: cpu * 100,
                memory: memory * 128,
                ports,
                group,
                strategies,
                expressions,
                distinct,
                needs_gpu,
                gpus,
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    let status = select(vec![InstanceStatus::Active, InstanceStatus::Draining]);
    prop_oneof![
        8 => (wish(), prop_oneof![4 => 1_u32..8, 1 => 8_u32..60], any::<u64>()).prop_map(|(wish, count, seed)| Step::Place { wish, count, seed }),
        4 => (0_usize..64).prop_map(|nth| Step::End { nth }),
        1 => (0_u128..120, any::<bool>()).prop_map(|(instance, connected)| Step::Connection { instance, connected }),
        1 => (0_u128..120, status).prop_map(|(instance, status)| Step::Status { instance, status }),
        1 => (0_u128..120, host()).prop_map(|(instance, host)| Step::Register { instance, host }),
        1 => (0_u128..120, select(vec![None, Some("a"), Some("b")]))
            .prop_map(|(instance, zone)| Step::Attribute { instance, zone }),
    ]
}

fn gpu_id(number: u32) -> GpuId {
    GpuId::parse(&format!("GPU-{number}")).unwrap()
}

const fn tcp(port: u16) -> HostPort {
    HostPort {
        protocol: Protocol::Tcp,
        port,
    }
}

fn register(state: &mut State, instance: u128, host: &Host) {
    let mut attributes = BTreeMap::new();
    attributes.insert("host".to_owned(), Some(format!("h-{}", host.name)));
    if let Some(zone) = host.zone {
        attributes.insert("zone".to_owned(), Some(zone.to_owned()));
    }
    if let Some(provider) = host.provider {
        attributes.insert(PROVIDER_ATTRIBUTE.to_owned(), Some(provider.to_owned()));
    }
    if host.gpu {
        attributes.insert("gpu".to_owned(), None);
    }
    let facts = InstanceFacts {
        cpu: CpuUnits(host.cpu),
        memory: MemoryMib(host.memory),
        gpus: (0..host.gpus).map(gpu_id).collect(),
        attributes,
        agent_version: format!("1.{}.0", host.name % 4),
        reserved_ports: host.reserves.then_some(tcp(80)).into_iter().collect(),
        ..InstanceFacts::default()
    };
    let change = Change::InstanceRegistered {
        cluster: CLUSTER,
        instance: InstanceId::from_bits(instance),
        facts: Arc::new(facts),
        at: Timestamp::from_millis(1),
    };
    fold(state, &change);
}

fn request(wish: &Wish) -> Request {
    let expression = |text: &&str| Constraint::MemberOf(Expression::parse(text).unwrap());
    let mut constraints: Vec<Constraint> = wish.expressions.iter().map(expression).collect();
    constraints.extend(wish.distinct.then_some(Constraint::DistinctInstance));
    let gpu: &[String] = if wish.needs_gpu { &["gpu".to_owned()] } else { &[] };
    Request {
        demand: Demand {
            cpu: CpuUnits(wish.cpu),
            memory: MemoryMib(wish.memory),
            ports: wish.ports.iter().copied().map(tcp).collect::<PortSet>(),
            gpus: GpuCount(wish.gpus),
        },
        required_attributes: gpu.into(),
        cpu_architecture: None,
        pool: wish.provider.map(|name| {
            let group = (name == "web").then(|| "web-group".into());
            Pool::new(ProviderName::parse(name).unwrap(), group)
        }),
        member_of: Arc::new([]),
        constraints,
        strategies: wish.strategies.clone(),
        group: wish.group.into(),
    }
}

struct World {
    state: State,
    tasks: Vec<(TaskId, InstanceId)>,
    next: u128,
}

impl World {
    fn of(hosts: &[(u128, Host)]) -> Self {
        let mut state = State::default();
        fold(
            &mut state,
            &Change::ClusterCreated {
                name: ClusterName::parse("default").unwrap(),
                key: CLUSTER,
                tags: Vec::new(),
            },
        );
        for (instance, host) in hosts {
            register(&mut state, *instance, host);
        }
        Self {
            state,
            tasks: Vec::new(),
            next: 1,
        }
    }

    fn fold_placements(&mut self, request: &Request, instances: &[InstanceId]) {
        let launch = Arc::new(Launch {
            definition: DefinitionId {
                family: Family::parse("f").unwrap(),
                revision: DefinitionRevision(1),
            },
            demand: request.demand.clone(),
            group: Arc::clone(&request.group),
            started_by: None,
            overrides: TaskOverride::default(),
            tags: Vec::new(),
            launch_type: LaunchType::default(),
            provider: None,
            execute_command: false,
            subnet: None,
            client_token: None,
            service: None,
            schedule: None,
            created_at: Timestamp::from_millis(1),
        });
        for instance in instances {
            let task = TaskId::from_bits(self.next);
            self.next += 1;
            self.tasks.push((task, *instance));
            let placement = Placement {
                task,
                instance: *instance,
                gpus: self.deal(*instance, request.demand.gpus),
            };
            let change = Change::TasksPlaced {
                cluster: CLUSTER,
                launch: Arc::clone(&launch),
                placements: vec![placement],
            };
            fold(&mut self.state, &change);
        }
    }

    fn deal(&self, instance: InstanceId, gpus: GpuCount) -> Arc<[ContainerGpus]> {
        let cluster = CLUSTER;
        let free = self
            .state
            .instance(InstanceKey { cluster, instance })
            .unwrap()
            .free_gpus();
        let ids: Vec<GpuId> = free.take(gpus.0 as usize).cloned().collect();
        assert_eq!(ids.len(), gpus.0 as usize, "what was placed does not fit");
        let container = "app".into();
        let given = (!ids.is_empty()).then_some(ContainerGpus { container, ids });
        given.into_iter().collect()
    }

    fn end(&mut self, nth: usize) {
        if self.tasks.is_empty() {
            return;
        }
        let (task, _) = self.tasks.swap_remove(nth % self.tasks.len());
        let observed = Observation {
            last_status: TaskStatus::Stopped,
            containers: Arc::new([]),
            stop_code: None,
            stopped_reason: None,
            times: TaskTimes::default(),
        };
        let change = Change::TaskObserved {
            cluster: CLUSTER,
            task,
            observed: Arc::new(observed),
            at: Timestamp::from_millis(2),
        };
        fold(&mut self.state, &change);
    }
}

#[test]
fn a_port_that_is_taken_is_told_with_the_task_that_holds_it() {
    let host = Host {
        provider: None,
        cpu: 1024,
        memory: 1024,
        zone: None,
        name: 1,
        gpu: false,
        gpus: 0,
        reserves: false,
    };
    let mut world = World::of(&[(1, host.clone()), (2, host)]);
    let wish = Wish {
        provider: None,
        cpu: 1,
        memory: 1,
        ports: vec![443],
        group: "web",
        strategies: Vec::new(),
        expressions: Vec::new(),
        distinct: false,
        needs_gpu: false,
        gpus: 0,
    };
    let request = request(&wish);
    let mut index = Index::of(&world.state, CLUSTER);
    let first = index.place(&world.state, &request, 1, 1);
    world.fold_placements(&request, &first.placed);
    index.catch_up(&world.state);
    let refused = index.place(&world.state, &request, 2, 1).refused.unwrap();
    let [cause] = refused.explanation.causes.as_slice() else {
        panic!("{refused:?}");
    };
    assert_eq!((cause.instances, cause.holder), (2, Some(TaskId::from_bits(1))));
    let (port, task) = ("port 443/tcp taken", TaskId::from_bits(1));
    assert_eq!(
        refused.explanation.to_string(),
        format!(
            "2 container instances were considered: 2 have {port}, {} by task {task}",
            first.placed[0]
        )
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_decision_is_the_scans(
        hosts in prop::collection::vec(host(), 0..100),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let hosts: Vec<(u128, Host)> = (0_u128..).zip(hosts).collect();
        let mut world = World::of(&hosts);
        let mut index = Index::of(&world.state, CLUSTER);
        for step in steps {
            match step {
                Step::Place { wish, count, seed } => {
                    let request = request(&wish);
                    let mut expected = solve(active(&world.state, CLUSTER), &request, count, seed);
                    if let Some(refused) = &mut expected.refused {
                        refused.explanation.complete(&world.state, CLUSTER);
                    }
                    index.catch_up(&world.state);
                    let found = index.place(&world.state, &request, count, seed);
                    prop_assert_eq!(&found, &expected, "{:?}", wish);
                    let choices = choices(active(&world.state, CLUSTER), &request, count, seed);
                    let chosen: Vec<InstanceId> = choices.iter().map(|choice| choice.instance).collect();
                    prop_assert_eq!(&found.placed, &chosen, "{:?}", wish);
                    // Now and then nothing comes of it, as when another writer was first.
                    if seed % 5 > 0 {
                        world.fold_placements(&request, &found.placed);
                    }
                }
                Step::End { nth } => world.end(nth),
                Step::Connection { instance, connected } => fold(
                    &mut world.state,
                    &Change::InstanceConnection {
                        cluster: CLUSTER,
                        instance: InstanceId::from_bits(instance),
                        connected,
                        via: None,
                        at: None,
                    },
                ),
                Step::Status { instance, status } => fold(
                    &mut world.state,
                    &Change::InstanceStatusSet {
                        cluster: CLUSTER,
                        instance: InstanceId::from_bits(instance),
                        status,
                        leaving: None,
                        at: None,
                    },
                ),
                Step::Register { instance, host } => register(&mut world.state, instance, &host),
                Step::Attribute { instance, zone } => fold(
                    &mut world.state,
                    &Change::InstanceAttributesSet {
                        cluster: CLUSTER,
                        instance: InstanceId::from_bits(instance),
                        attributes: Arc::new(zone.map(|zone| ("zone".to_owned(), Some(zone.to_owned()))).into_iter().collect()),
                        at: Timestamp::from_millis(3),
                    },
                ),
            }
        }
    }

    #[test]
    fn what_fits_in_all_is_the_sum_of_what_fits_on_each(
        hosts in prop::collection::vec(host(), 0..20),
        wish in wish(),
        before in 0_u32..20,
    ) {
        const LIMIT: u32 = 2000;
        let hosts: Vec<(u128, Host)> = (0_u128..).zip(hosts).collect();
        let mut world = World::of(&hosts);
        let request = request(&wish);
        let mut index = Index::of(&world.state, CLUSTER);
        let earlier = index.place(&world.state, &request, before, 1).placed;
        world.fold_placements(&request, &earlier);
        index.catch_up(&world.state);
        let capacities = active(&world.state, CLUSTER).map(|instance| capacity(instance, &request, LIMIT));
        let expected = capacities.sum::<u32>().min(LIMIT) as usize;
        // Of what takes nothing, any number fits: so many need not be placed to believe it.
        prop_assume!(expected < LIMIT as usize);
        prop_assert_eq!(index.place(&world.state, &request, LIMIT, 1).placed.len(), expected);
    }
}
