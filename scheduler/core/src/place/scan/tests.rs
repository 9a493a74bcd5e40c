use std::sync::Arc;

use berth_model::gpu::GpuId;
use berth_model::id::InstanceId;
use berth_model::placement::Constraint;
use berth_model::quantity::{CpuUnits, Demand, GpuCount, HostPort, MemoryMib, PortSet, Protocol};
use berth_model::query::Expression;
use berth_model::time::Timestamp;

use super::super::solve;
use super::*;
use crate::observation::InstanceFacts;

mod chains;

fn instance(id: u128, zone: &str) -> Arc<Instance> {
    let facts = InstanceFacts {
        cpu: CpuUnits(1024),
        memory: MemoryMib(1000),
        reserved_ports: PortSet::from_iter([tcp(22)]),
        attributes: [("ecs.availability-zone".to_owned(), Some(zone.to_owned()))].into(),
        ..InstanceFacts::default()
    };
    Arc::new(Instance::new(
        InstanceId::from_bits(id),
        Arc::new(facts),
        Timestamp::default(),
    ))
}

fn tcp(port: u16) -> HostPort {
    HostPort {
        protocol: Protocol::Tcp,
        port,
    }
}

fn demand(cpu: u32, memory: u32) -> Demand {
    Demand {
        cpu: CpuUnits(cpu),
        memory: MemoryMib(memory),
        ports: PortSet::default(),
        gpus: GpuCount(0),
    }
}

fn request(demand: &Demand) -> Request {
    Request {
        demand: demand.clone(),
        required_attributes: Arc::new([]),
        cpu_architecture: None,
        pool: None,
        member_of: Arc::new([]),
        constraints: Vec::new(),
        strategies: Vec::new(),
        group: "family:web".into(),
    }
}

fn placed(solution: &Solution) -> Vec<u128> {
    solution.placed.iter().map(|id| id.to_bits()).collect()
}

fn reasons(solution: &Solution) -> Vec<(u128, Vec<&'static str>)> {
    let texts = |refusal: &Refusal| refusal.misfits.iter().map(Misfit::reason).collect();
    let listed = listed(solution).iter();
    let mut reasons: Vec<_> = listed
        .map(|refusal| (refusal.instance.to_bits(), texts(refusal)))
        .collect();
    reasons.sort_unstable();
    reasons
}

fn listed(solution: &Solution) -> &[Refusal] {
    solution.refused.as_ref().map_or(&[], |refused| &refused.listed)
}

#[test]
fn without_a_strategy_tasks_spread_over_zones_then_instances() {
    let cluster = [instance(1, "a"), instance(2, "a"), instance(3, "b")];
    let demand = demand(10, 10);
    let solution = solve(&cluster, &request(&demand), 6, 1);
    assert_eq!(placed(&solution), [1, 3, 2, 3, 1, 3]);
    assert_eq!(solution.refused, None);
}

#[test]
fn binpack_leaves_the_least_and_goes_on_when_full() {
    let mut cluster = [instance(1, "a"), instance(2, "a")];
    Arc::make_mut(&mut cluster[1]).used_memory = MemoryMib(500);
    let demand = demand(0, 250);
    let request = Request {
        strategies: vec![Strategy::Binpack(PackBy::Memory)],
        ..request(&demand)
    };
    let solution = solve(&cluster, &request, 4, 1);
    assert_eq!(placed(&solution), [2, 2, 1, 1]);
}

#[test]
fn what_does_not_fit_is_refused_with_its_dimension_and_shortfall() {
    let mut cluster = [instance(1, "a"), instance(2, "a"), instance(3, "a")];
    Arc::make_mut(&mut cluster[0]).used_cpu = CpuUnits(1000);
    Arc::make_mut(&mut cluster[1]).used_memory = MemoryMib(960);
    Arc::make_mut(&mut cluster[2]).connected = false;
    let demand = demand(100, 100);
    let solution = solve(&cluster, &request(&demand), 1, 1);
    assert_eq!(
        reasons(&solution),
        [
            (1, vec!["RESOURCE:CPU"]),
            (2, vec!["RESOURCE:MEMORY"]),
            (3, vec!["AGENT"])
        ]
    );
    // Two fifths are missing here, three quarters of the CPU there, and an agent is worse.
    let closest = &listed(&solution)[0];
    let says = closest.misfits[0].to_string();
    assert_eq!(says, "100 MiB of memory are needed, 40 are free, 60 are missing");
}

#[test]
fn partial_placement_explains_what_is_left() {
    let cluster = [instance(1, "a")];
    let demand = demand(400, 10);
    let solution = solve(&cluster, &request(&demand), 5, 1);
    assert_eq!(placed(&solution), [1, 1]);
    assert_eq!(listed(&solution)[0].misfits, [Misfit::Cpu { needed: 400, free: 224 }]);
}

#[test]
fn a_fixed_port_goes_once_to_an_instance_and_never_to_a_reserved_one() {
    let cluster = [instance(1, "a"), instance(2, "a")];
    let mut web = demand(1, 1);
    web.ports.insert(tcp(80));
    let solution = solve(&cluster, &request(&web), 3, 1);
    assert_eq!(placed(&solution), [1, 2]);
    assert_eq!(
        reasons(&solution),
        [(1, vec!["RESOURCE:PORTS"]), (2, vec!["RESOURCE:PORTS"])]
    );
    let mut ssh = demand(1, 1);
    ssh.ports.insert(tcp(22));
    let solution = solve(&cluster, &request(&ssh), 1, 1);
    assert_eq!(
        listed(&solution)[0].misfits[0].to_string(),
        "port 22/tcp is reserved by the host"
    );
}

#[test]
fn gpus_are_counted_as_what_no_task_has() {
    let id = |number: u32| GpuId::parse(&format!("GPU-{number}")).unwrap();
    let mut cluster = [instance(1, "a"), instance(2, "a"), instance(3, "a")];
    for (at, gpus) in [(0, 3), (1, 2)] {
        let instance = Arc::make_mut(&mut cluster[at]);
        Arc::make_mut(&mut instance.facts).gpus = (0..gpus).map(id).collect();
    }
    Arc::make_mut(&mut cluster[1]).used_gpus.insert(id(0));
    // A host that came back with other GPUs than its tasks have has all of these free.
    Arc::make_mut(&mut cluster[0]).used_gpus.insert(id(7));
    let demand = Demand {
        gpus: GpuCount(1),
        ..demand(1, 1)
    };
    let solution = solve(&cluster, &request(&demand), 5, 1);
    assert_eq!(placed(&solution), [1, 2, 1, 1]);
    let gpu = vec!["RESOURCE:GPU"];
    assert_eq!(reasons(&solution), [(1, gpu.clone()), (2, gpu.clone()), (3, gpu)]);
    let says = listed(&solution)[1].misfits[0].to_string();
    assert_eq!(says, "1 GPUs are needed, 0 are free, 1 are missing");
}

#[test]
fn distinct_instance_counts_tasks_of_the_group_and_of_the_call() {
    let mut cluster = [instance(1, "a"), instance(2, "a"), instance(3, "a")];
    Arc::make_mut(&mut cluster[0]).groups.insert("family:web".into(), 1);
    let demand = demand(1, 1);
    let request = Request {
        constraints: vec![Constraint::DistinctInstance],
        ..request(&demand)
    };
    let solution = solve(&cluster, &request, 3, 1);
    assert_eq!(placed(&solution), [2, 3]);
    assert_eq!(listed(&solution).len(), 3);
}

#[test]
fn constraints_and_attributes_name_what_is_missing() {
    let cluster = [instance(1, "a"), instance(2, "b")];
    let demand = demand(1, 1);
    let expression = Expression::parse("attribute:ecs.availability-zone == c").unwrap();
    let request = Request {
        constraints: vec![Constraint::MemberOf(expression)],
        required_attributes: Arc::new(["ecs.capability.task-eni".to_owned()]),
        ..request(&demand)
    };
    let solution = solve(&cluster, &request, 1, 1);
    let expected = vec!["ATTRIBUTE", "MemberOf placement constraint unsatisfied."];
    assert_eq!(reasons(&solution), [(1, expected.clone()), (2, expected)]);
}

#[test]
fn random_is_decided_by_the_seed() {
    let cluster: Vec<_> = (0..20).map(|id| instance(id, "a")).collect();
    let demand = demand(1, 1);
    let request = Request {
        strategies: vec![Strategy::Random],
        ..request(&demand)
    };
    let with = |seed| placed(&solve(&cluster, &request, 10, seed));
    assert_eq!(with(5), with(5));
    assert_ne!(with(5), with(6));
}

#[test]
fn a_scan_that_goes_on_places_as_a_new_one_would() {
    let cluster: Vec<_> = (0..7)
        .map(|id| instance(id, ["a", "b", "c"][id as usize % 3]))
        .collect();
    let demand = demand(100, 120);
    let at_once = solve(&cluster, &request(&demand), 20, 1);
    let mut scan = Scan::new(&cluster, request(&demand));
    let in_parts: Vec<_> = [3, 1, 6, 10]
        .into_iter()
        .flat_map(|count| scan.place(count, 1).placed)
        .collect();
    assert_eq!(at_once.placed, in_parts);
}

#[test]
fn a_choice_is_told_with_its_numbers_and_the_runner_up() {
    let mut cluster = [instance(1, "a"), instance(2, "a"), instance(3, "b")];
    Arc::make_mut(&mut cluster[0]).groups.insert("family:web".into(), 1);
    Arc::make_mut(&mut cluster[1]).used_memory = MemoryMib(400);
    let demand = demand(100, 100);
    let request = Request {
        strategies: vec![
            Strategy::Spread(SpreadKey::Attribute("ecs.availability-zone".to_owned())),
            Strategy::Binpack(PackBy::Memory),
        ],
        ..request(&demand)
    };
    let choices = choices(&cluster, &request, 2, 1);
    let score = |zone: &str, tasks, memory| {
        let attribute = "ecs.availability-zone".to_owned();
        let value = Some(zone.to_owned());
        let (cpu, most) = (1024, false);
        vec![
            Criterion::Domain {
                attribute,
                value,
                tasks,
            },
            Criterion::Packed {
                by: PackBy::Memory,
                free: memory,
            },
            Criterion::Free { most, cpu, memory },
        ]
    };
    let id = InstanceId::from_bits;
    assert_eq!(choices[0].instance, id(3));
    assert_eq!(choices[0].score, score("b", 0, 1000));
    // The second of the first copy is the first of the second.
    let second = RunnerUp {
        instance: id(2),
        score: score("a", 1, 600),
    };
    assert_eq!(choices[0].runner_up, Some(second.clone()));
    assert_eq!(choices[0].decided, Decided::Criterion(0));
    assert_eq!(
        (choices[1].instance, &choices[1].score),
        (second.instance, &second.score)
    );
    assert_eq!(choices[1].decided, Decided::Criterion(1));
}

#[test]
fn it_is_told_where_there_was_nothing_to_compare() {
    let decided = |cluster: &[Arc<Instance>], strategy| {
        let request = Request {
            strategies: vec![strategy],
            ..request(&demand(1, 1))
        };
        choices(cluster, &request, 1, 7)[0].decided
    };
    let two = [instance(1, "a"), instance(2, "a")];
    assert_eq!(decided(&two[..1], Strategy::Random), Decided::Alone);
    assert_eq!(decided(&two, Strategy::Random), Decided::Chance);
    assert_eq!(decided(&two, Strategy::Binpack(PackBy::Cpu)), Decided::Id);
}
