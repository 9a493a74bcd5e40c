//! A cluster in memory that is as full as it is asked to be.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use berth_model::id::{DefinitionId, DefinitionRevision, InstanceId, TaskId};
use berth_model::name::{ClusterName, Family};
use berth_model::overrides::TaskOverride;
use berth_model::placement::{Constraint, Strategy};
use berth_model::quantity::{CpuUnits, Demand, GpuCount, HostPort, MemoryMib, PortSet};
use berth_model::status::LaunchType;
use berth_model::time::Timestamp;
use berth_scheduler_core::change::Change;
use berth_scheduler_core::fold::fold;
use berth_scheduler_core::keys::ClusterKey;
use berth_scheduler_core::launch::{Launch, Placement};
use berth_scheduler_core::observation::InstanceFacts;
use berth_scheduler_core::place::Request;
use berth_scheduler_core::state::State;

pub(crate) const CLUSTER: ClusterKey = ClusterKey(1);
/// A host: 16 cores and 64 GiB.
pub(crate) const HOST: Size = (16 * 1024, 64 * 1024);
/// Tasks of these sizes fill the cluster; requests ask for them as well.
pub(crate) const SIZES: [Size; 8] = [
    (128, 256),
    (256, 1024),
    (256, 256),
    (512, 2048),
    (512, 512),
    (1024, 4096),
    (1024, 2048),
    (2048, 1024),
];
/// The most CPU units that one of them takes.
pub(crate) const LARGEST: u32 = 2048;
/// Groups that the requests belong to.
const GROUPS: usize = 16;

/// CPU units and MiB of memory.
pub(crate) type Size = (u32, u32);

/// The same wish in all sizes, for groups of their own.
pub(crate) fn requests(strategies: &[Strategy], constraints: &[Constraint]) -> Vec<Request> {
    let request = |number: usize| {
        let group = format!("service:s{number}");
        request(SIZES[number % SIZES.len()], strategies, constraints, &group)
    };
    (0..GROUPS).map(request).collect()
}

pub(crate) fn request(
    (cpu, memory): Size,
    strategies: &[Strategy],
    constraints: &[Constraint],
    group: &str,
) -> Request {
    Request {
        demand: demand((cpu, memory)),
        required_attributes: Arc::new([]),
        cpu_architecture: None,
        pool: None,
        member_of: Arc::new([]),
        constraints: constraints.to_vec(),
        strategies: strategies.to_vec(),
        group: group.into(),
    }
}

fn demand((cpu, memory): Size) -> Demand {
    Demand {
        cpu: CpuUnits(cpu),
        memory: MemoryMib(memory),
        ports: PortSet::default(),
        gpus: GpuCount(0),
    }
}

/// A cluster without tasks.
pub(crate) fn empty(instances: usize) -> Result<State> {
    let mut state = State::default();
    let created = Change::ClusterCreated {
        name: ClusterName::parse("default")?,
        key: CLUSTER,
        tags: Vec::new(),
    };
    fold(&mut state, &created);
    for number in 0..instances {
        fold(&mut state, &registered(number));
    }
    Ok(state)
}

/// The same cluster with this share of its CPU taken by tasks of many sizes, here more and there less. What an instance
/// has of them is one task in the state.
pub(crate) fn filled(empty: &State, instances: usize, load: u32) -> Result<State> {
    let mut state = empty.clone();
    for (number, taken) in fill(instances, load).into_iter().enumerate() {
        if taken != (0, 0) {
            fold(&mut state, &placed(number, number, demand(taken))?);
        }
    }
    Ok(state)
}

/// The same cluster with a task on every instance that holds the host port and takes nothing else.
pub(crate) fn holding(filled: &State, instances: usize, port: HostPort) -> Result<State> {
    let mut state = filled.clone();
    for number in 0..instances {
        let mut demand = demand((0, 0));
        demand.ports.insert(port);
        fold(&mut state, &placed(instances + number, number, demand)?);
    }
    Ok(state)
}

/// What is taken of each instance.
fn fill(instances: usize, load: u32) -> Vec<Size> {
    let mut chance = Chance(1);
    let mut taken = vec![(0, 0); instances];
    let mut missing = u64::try_from(instances).unwrap_or(0) * u64::from(HOST.0) * u64::from(load) / 100;
    while missing > 0 {
        let (cpu, memory) = SIZES[chance.below(SIZES.len())];
        // By chance, and from there on the first with room: there always is one below 100 %.
        let start = chance.below(instances);
        let fits = |at: &usize| {
            let (used_cpu, used_memory) = taken[*at];
            used_cpu + cpu <= HOST.0 && used_memory + memory <= HOST.1
        };
        let Some(at) = (start..instances).chain(0..start).find(fits) else {
            break;
        };
        taken[at].0 += cpu;
        taken[at].1 += memory;
        missing = missing.saturating_sub(u64::from(cpu));
    }
    taken
}

/// Numbers that look random and are the same in every run.
#[derive(Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    /// One of so many.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % count.max(1)
    }
}

fn id(number: usize) -> InstanceId {
    InstanceId::from_bits(u128::try_from(number).unwrap_or(0))
}

fn registered(number: usize) -> Change {
    let attributes = BTreeMap::from([
        ("zone".to_owned(), Some(format!("z{}", number % 3))),
        ("rack".to_owned(), Some(format!("r{}", number % 16))),
    ]);
    let facts = InstanceFacts {
        cpu: CpuUnits(HOST.0),
        memory: MemoryMib(HOST.1),
        attributes,
        ..InstanceFacts::default()
    };
    Change::InstanceRegistered {
        cluster: CLUSTER,
        instance: id(number),
        facts: Arc::new(facts),
        at: Timestamp::from_millis(0),
    }
}

fn placed(task: usize, number: usize, demand: Demand) -> Result<Change> {
    let launch = Launch {
        definition: DefinitionId {
            family: Family::parse("fill")?,
            revision: DefinitionRevision(1),
        },
        demand,
        group: "service:fill".into(),
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
        created_at: Timestamp::from_millis(0),
    };
    Ok(Change::TasksPlaced {
        cluster: CLUSTER,
        launch: Arc::new(launch),
        placements: vec![Placement {
            task: TaskId::from_bits(u128::try_from(task)? + 1),
            instance: id(number),
            gpus: Arc::new([]),
        }],
    })
}
