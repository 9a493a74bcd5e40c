//! How many machines a workload takes: placed exactly, as here, and by looking at a few machines, as others do.
//!
//! The sampling placers are the rules of other schedulers in their plainest form, over the same machines and the same
//! tasks in the same order. They stand here and nowhere else.

use anyhow::{Result, ensure};
use berth_model::placement::{PackBy, Strategy};
use berth_scheduler_core::place::{Index, Request};

use crate::cluster::{self, CLUSTER, Chance, HOST, Size};

/// The cluster on which machines are counted.
const MACHINES: usize = 900;
/// Tasks of the workload.
const TASKS: usize = 4_000;
/// Sizes of its tasks: some lean on the processor, some on memory.
const TASK_SIZES: [Size; 10] = [
    (128, 512),
    (256, 256),
    (256, 2048),
    (512, 1024),
    (512, 6144),
    (1024, 1024),
    (1024, 8192),
    (2048, 2048),
    (4096, 4096),
    (6144, 30 * 1024),
];

/// A way to choose a machine.
#[derive(Debug, Clone, Copy)]
enum Placer {
    /// Of all machines the one on which the least of the resource is left: the index of the scheduler.
    Exact(PackBy),
    /// Of a few machines with room, met by chance, the best by the score.
    Sampled(Few, Score),
    /// Of all machines with room the one with the fewest tasks: Docker Swarm.
    LeastTasks,
    /// Any machine with room.
    Chance,
}

/// How many machines are looked at.
#[derive(Debug, Clone, Copy)]
enum Few {
    /// The power of two choices, and Nomad's limit for batch jobs.
    Two,
    /// The logarithm of the machines: Nomad's limit for services.
    Logarithm,
}

/// Which of them is the best.
#[derive(Debug, Clone, Copy)]
enum Score {
    /// The one with the least memory left, as exact placement chooses.
    LeastMemory,
    /// The one that is fullest by Nomad's formula over both resources.
    Nomad,
}

const PLACERS: [(&str, Placer); 8] = [
    ("exact, least memory left", Placer::Exact(PackBy::Memory)),
    ("exact, least CPU left", Placer::Exact(PackBy::Cpu)),
    (
        "least memory left of log2(n)",
        Placer::Sampled(Few::Logarithm, Score::LeastMemory),
    ),
    ("least memory left of 2", Placer::Sampled(Few::Two, Score::LeastMemory)),
    (
        "Nomad's score of log2(n)",
        Placer::Sampled(Few::Logarithm, Score::Nomad),
    ),
    ("Nomad's score of 2", Placer::Sampled(Few::Two, Score::Nomad)),
    ("any by chance", Placer::Chance),
    ("fewest tasks, of all", Placer::LeastTasks),
];

/// Prints for each way the machines that have tasks in the end, and the smallest cluster that takes the whole workload.
pub(crate) fn print() -> Result<()> {
    let tasks = workload();
    println!();
    println!(
        "{TASKS} tasks of {} sizes in one order, on machines of one size; no way of placing needs fewer than {}:\n",
        TASK_SIZES.len(),
        fewest(&tasks)
    );
    println!("| machine chosen               | in use, of {MACHINES} | smallest cluster |");
    println!("| ---------------------------- | -------------: | ---------------: |");
    for (name, placer) in PLACERS {
        let used = placer.machines_used(&tasks, MACHINES)?;
        ensure!(used.is_some(), "{name} leaves tasks without a machine");
        let smallest = placer.smallest_cluster(&tasks)?;
        println!("| {name:<28} | {:>14} | {smallest:>16} |", used.unwrap_or_default());
    }
    Ok(())
}

fn workload() -> Vec<Size> {
    let mut chance = Chance(7);
    (0..TASKS).map(|_| TASK_SIZES[chance.below(TASK_SIZES.len())]).collect()
}

/// Machines whose CPU and memory together are what the tasks take.
fn fewest(tasks: &[Size]) -> usize {
    let cpu: usize = tasks.iter().map(|(cpu, _)| *cpu as usize).sum();
    let memory: usize = tasks.iter().map(|(_, memory)| *memory as usize).sum();
    cpu.div_ceil(HOST.0 as usize).max(memory.div_ceil(HOST.1 as usize))
}

impl Placer {
    /// The machines that have a task in the end; nothing if the tasks do not all fit.
    fn machines_used(self, tasks: &[Size], machines: usize) -> Result<Option<usize>> {
        match self {
            Self::Exact(by) => exact(tasks, machines, by),
            Self::Sampled(..) | Self::LeastTasks | Self::Chance => Ok(self.simulate(tasks, machines)),
        }
    }

    /// The smallest cluster that takes all tasks, found by halves.
    fn smallest_cluster(self, tasks: &[Size]) -> Result<usize> {
        let (mut low, mut high) = (fewest(tasks), MACHINES);
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.machines_used(tasks, middle)? {
                Some(_) => high = middle,
                None => low = middle + 1,
            }
        }
        Ok(high)
    }

    fn simulate(self, tasks: &[Size], machines: usize) -> Option<usize> {
        let mut cluster = vec![Machine { free: HOST, tasks: 0 }; machines];
        let mut order: Vec<usize> = (0..machines).collect();
        let mut chance = Chance(11);
        for task in tasks {
            let chosen = self.choose(&cluster, &mut order, &mut chance, *task)?;
            let machine = &mut cluster[chosen];
            machine.free = (machine.free.0 - task.0, machine.free.1 - task.1);
            machine.tasks += 1;
        }
        Some(cluster.iter().filter(|machine| machine.tasks > 0).count())
    }

    fn choose(self, cluster: &[Machine], order: &mut [usize], chance: &mut Chance, task: Size) -> Option<usize> {
        let (limit, score) = match self {
            Self::LeastTasks => {
                let fitting = (0..cluster.len()).filter(|at| cluster[*at].takes(task));
                return fitting.min_by_key(|at| cluster[*at].tasks);
            }
            Self::Sampled(Few::Logarithm, score) => (cluster.len().ilog2().max(2) as usize, score),
            Self::Sampled(Few::Two, score) => (2, score),
            Self::Exact(_) | Self::Chance => (1, Score::LeastMemory),
        };
        // A shuffle that goes on only until enough machines with room were met.
        let mut met: Vec<usize> = Vec::with_capacity(limit);
        for at in 0..order.len() {
            order.swap(at, at + chance.below(order.len() - at));
            if cluster[order[at]].takes(task) {
                met.push(order[at]);
            }
            if met.len() == limit {
                break;
            }
        }
        let score = |at: &usize| cluster[*at].score(score, task);
        met.into_iter().max_by(|one, other| score(one).total_cmp(&score(other)))
    }
}

/// The index, asked for one task after the other.
fn exact(tasks: &[Size], machines: usize, by: PackBy) -> Result<Option<usize>> {
    let state = cluster::empty(machines)?;
    let mut index = Index::of(&state, CLUSTER);
    let request = |size: &Size| cluster::request(*size, &[Strategy::Binpack(by)], &[], "service:all");
    let requests: Vec<(Size, Request)> = TASK_SIZES.iter().map(|size| (*size, request(size))).collect();
    let mut used = std::collections::BTreeSet::new();
    for task in tasks {
        let Some((_, request)) = requests.iter().find(|(size, _)| size == task) else {
            continue;
        };
        match index.place(&state, request, 1, 0).placed.first() {
            Some(instance) => used.insert(*instance),
            None => return Ok(None),
        };
    }
    Ok(Some(used.len()))
}

#[derive(Debug, Clone)]
struct Machine {
    free: Size,
    tasks: u32,
}

impl Machine {
    fn takes(&self, task: Size) -> bool {
        self.free.0 >= task.0 && self.free.1 >= task.1
    }

    /// The higher, the better it is for the task.
    fn score(&self, score: Score, task: Size) -> f64 {
        let share = |free: u32, task: u32, size: u32| f64::from(free - task) / f64::from(size);
        match score {
            Score::LeastMemory => -f64::from(self.free.1),
            Score::Nomad => {
                let cpu = share(self.free.0, task.0, HOST.0);
                let memory = share(self.free.1, task.1, HOST.1);
                20.0 - (10_f64.powf(cpu) + 10_f64.powf(memory))
            }
        }
    }
}
