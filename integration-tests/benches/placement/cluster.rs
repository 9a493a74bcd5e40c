//! A cluster in memory that is as full as it is asked to be.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use berth_model::id::InstanceId;
use berth_model::placement::{Constraint, PackBy, Strategy};
use berth_model::quantity::{CpuUnits, Demand, GpuCount, MemoryMib, PortSet};
use berth_model::time::Timestamp;
use berth_scheduler_core::change::Change;
use berth_scheduler_core::fold::fold;
use berth_scheduler_core::keys::ClusterKey;
use berth_scheduler_core::observation::InstanceFacts;
use berth_scheduler_core::place::{Index, Request, Solution};
use berth_scheduler_core::state::State;

const CLUSTER: ClusterKey = ClusterKey(1);
/// A host: 16 cores and 64 GiB.
const HOST: (u32, u32) = (16 * 1024, 64 * 1024);
/// Tasks of these sizes fill the cluster; requests ask for them as well.
const SIZES: [(u32, u32); 8] = [
    (128, 256),
    (256, 1024),
    (256, 256),
    (512, 2048),
    (512, 512),
    (1024, 4096),
    (1024, 2048),
    (2048, 1024),
];
/// Groups that the requests belong to.
const GROUPS: usize = 16;
/// Copies of the measured requests that are there at the same time, at most.
const KEPT: usize = 4096;

/// A cluster and the tasks that were placed on it.
pub(crate) struct Cluster {
    state: State,
    index: Index,
    /// Those that end first, first.
    kept: VecDeque<(InstanceId, Arc<Request>)>,
    chance: u64,
}

/// The same wish in all sizes, for groups of their own.
pub(crate) fn requests(strategies: &[Strategy], constraints: &[Constraint]) -> Vec<Arc<Request>> {
    (0..GROUPS)
        .map(|number| {
            let size = SIZES[number % SIZES.len()];
            Arc::new(request(
                size,
                strategies.to_vec(),
                constraints.to_vec(),
                &format!("service:s{number}"),
            ))
        })
        .collect()
}

fn request((cpu, memory): (u32, u32), strategies: Vec<Strategy>, constraints: Vec<Constraint>, group: &str) -> Request {
    Request {
        demand: Demand {
            cpu: CpuUnits(cpu),
            memory: MemoryMib(memory),
            ports: PortSet::default(),
            gpus: GpuCount(0),
        },
        required_attributes: Arc::new([]),
        cpu_architecture: None,
        member_of: Arc::new([]),
        constraints,
        strategies,
        group: group.into(),
    }
}

impl Cluster {
    /// A cluster with this share of its CPU taken by tasks of many sizes, here more and there less.
    pub(crate) fn filled(instances: usize, load: u32) -> Self {
        let mut state = State::default();
        for number in 0..instances {
            fold(&mut state, &registered(number));
        }
        let index = Index::of(&state, CLUSTER);
        let mut cluster = Self {
            state,
            index,
            kept: VecDeque::new(),
            chance: 1,
        };
        let wanted = u64::try_from(instances).unwrap_or(0) * u64::from(HOST.0) * u64::from(load) / 100;
        let mut taken = 0;
        let fill: Vec<Request> = SIZES
            .iter()
            .map(|size| request(*size, vec![Strategy::Random], Vec::new(), "service:fill"))
            .collect();
        let pack: Vec<Request> = SIZES
            .iter()
            .map(|size| request(*size, vec![Strategy::Binpack(PackBy::Cpu)], Vec::new(), "service:fill"))
            .collect();
        while taken < wanted {
            let draw = usize::try_from(cluster.draw() % 8).unwrap_or(0);
            // The last part goes where there is room, or random would look for it for long.
            let request = if taken * 10 < wanted * 9 {
                &fill[draw]
            } else {
                &pack[draw]
            };
            let seed = cluster.draw();
            let solution = cluster.index.place(&cluster.state, request, 1, seed);
            if solution.placed.is_empty() {
                break;
            }
            taken += u64::from(request.demand.cpu.0);
        }
        cluster
    }

    pub(crate) fn place(&mut self, request: &Request, copies: u32, seed: u64) -> Solution {
        self.index.place(&self.state, request, copies, seed)
    }

    /// A copy that was placed goes on for a while.
    pub(crate) fn keep(&mut self, instance: InstanceId, request: &Arc<Request>) {
        self.kept.push_back((instance, Arc::clone(request)));
    }

    /// Ends as many copies as were placed, once there are enough; any of them, not the oldest.
    pub(crate) fn end(&mut self, count: usize) {
        for _ in 0..count {
            if self.kept.len() <= KEPT.min(4 * count) {
                return;
            }
            let any = usize::try_from(self.draw()).unwrap_or(0) % self.kept.len();
            if let Some((instance, request)) = self.kept.swap_remove_back(any) {
                self.index.give_back(instance, &request);
            }
        }
    }

    fn draw(&mut self) -> u64 {
        self.chance = self
            .chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.chance >> 33
    }
}

fn registered(number: usize) -> Change {
    let value = |text: String| Some(text);
    let attributes = BTreeMap::from([
        ("zone".to_owned(), value(format!("z{}", number % 3))),
        ("rack".to_owned(), value(format!("r{}", number % 16))),
    ]);
    let facts = InstanceFacts {
        cpu: CpuUnits(HOST.0),
        memory: MemoryMib(HOST.1),
        attributes,
        ..InstanceFacts::default()
    };
    Change::InstanceRegistered {
        cluster: CLUSTER,
        instance: InstanceId::from_bits(u128::try_from(number).unwrap_or(0)),
        facts: Arc::new(facts),
        at: Timestamp::from_millis(0),
    }
}
