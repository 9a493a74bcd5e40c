//! Chains of strategies, and constraints of requests and definitions.

use super::*;

fn in_rack(id: u128, zone: &str, rack: Option<&str>) -> Arc<Instance> {
    let mut instance = instance(id, zone);
    let racked = Arc::make_mut(&mut Arc::make_mut(&mut instance).facts);
    racked
        .attributes
        .extend(rack.map(|rack| ("rack".to_owned(), Some(rack.to_owned()))));
    instance
}

fn with_group(mut instance: Arc<Instance>, group: &str) -> Arc<Instance> {
    Arc::make_mut(&mut instance).groups.insert(group.into(), 1);
    instance
}

fn by(attribute: &str) -> Strategy {
    Strategy::Spread(SpreadKey::Attribute(attribute.to_owned()))
}

fn member_of(text: &str) -> Expression {
    Expression::parse(text).unwrap()
}

/// Where copies go that must satisfy the expression.
fn placed_where(expression: &str, cluster: &[Arc<Instance>], copies: u32) -> Vec<u128> {
    let request = Request {
        constraints: vec![Constraint::MemberOf(member_of(expression))],
        ..request(&demand(10, 10))
    };
    placed(&solve(cluster, &request, copies, 1))
}

#[test]
fn each_of_five_strategies_decides_what_those_before_it_leave() {
    let mut cluster = [
        in_rack(1, "a", Some("r1")),
        in_rack(2, "a", Some("r2")),
        in_rack(3, "b", Some("r1")),
        in_rack(4, "b", Some("r3")),
    ];
    Arc::make_mut(&mut cluster[1]).used_cpu = CpuUnits(100);
    Arc::make_mut(&mut cluster[3]).used_memory = MemoryMib(100);
    let request = Request {
        strategies: vec![
            by("ecs.availability-zone"),
            by("rack"),
            Strategy::Spread(SpreadKey::Instance),
            Strategy::Binpack(PackBy::Memory),
            Strategy::Binpack(PackBy::Cpu),
        ],
        ..request(&demand(10, 10))
    };
    // By memory, by CPU, by rack, by zone and instance, by rack and memory.
    assert_eq!(placed(&solve(&cluster, &request, 5, 1)), [4, 2, 1, 3, 4]);
}

#[test]
fn a_spread_over_an_attribute_takes_instances_without_it_for_one_value() {
    let cluster = [
        in_rack(1, "a", None),
        in_rack(2, "a", None),
        in_rack(3, "a", Some("r1")),
    ];
    let request = Request {
        strategies: vec![by("rack")],
        ..request(&demand(10, 10))
    };
    assert_eq!(placed(&solve(&cluster, &request, 4, 1)), [1, 3, 1, 3]);
}

#[test]
fn a_spread_over_zones_goes_on_by_what_is_packed() {
    let mut cluster = [instance(1, "a"), instance(2, "a"), instance(3, "b"), instance(4, "b")];
    Arc::make_mut(&mut cluster[1]).used_memory = MemoryMib(500);
    Arc::make_mut(&mut cluster[3]).used_memory = MemoryMib(500);
    let request = Request {
        strategies: vec![by("ecs.availability-zone"), Strategy::Binpack(PackBy::Memory)],
        ..request(&demand(10, 250))
    };
    assert_eq!(placed(&solve(&cluster, &request, 6, 1)), [2, 4, 2, 4, 1, 3]);
}

#[test]
fn chance_chooses_within_what_a_spread_leaves_and_nothing_after_it_counts() {
    let mut cluster: Vec<_> = (0..20).map(|id| instance(id, "a")).collect();
    cluster.push(instance(20, "b"));
    let request = |last: Vec<Strategy>| Request {
        strategies: [vec![by("ecs.availability-zone"), Strategy::Random], last].concat(),
        ..request(&demand(10, 10))
    };
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let ends = placed(&solve(&cluster, &request(Vec::new()), 2, seed));
        assert_eq!(ends.iter().filter(|id| **id == 20).count(), 1, "{ends:?}");
        let packed = request(vec![Strategy::Binpack(PackBy::Cpu)]);
        assert_eq!(placed(&solve(&cluster, &packed, 2, seed)), ends);
        seen.extend(ends);
    }
    assert!(seen.len() > 10, "{seen:?}");
}

#[test]
fn a_group_draws_tasks_to_its_instances_or_keeps_them_away() {
    let cluster = [
        instance(1, "a"),
        with_group(instance(2, "a"), "service:db"),
        with_group(instance(3, "b"), "service:cache"),
    ];
    assert_eq!(placed_where("task:group == service:db", &cluster, 3), [2, 2, 2]);
    assert_eq!(placed_where("task:group =~ service:.*", &cluster, 2), [2, 3]);
    assert_eq!(placed_where("not (task:group == service:db)", &cluster, 2), [1, 3]);
    assert_eq!(placed_where("task:group !exists", &cluster, 2), [1, 1]);
    assert_eq!(placed_where("task:group == service:web", &cluster, 1), []);
}

#[test]
fn constraints_of_the_definition_and_of_the_request_hold_together() {
    let cluster = [
        with_group(instance(1, "a"), "family:web"),
        instance(2, "a"),
        instance(3, "b"),
        instance(4, "a"),
    ];
    let request = Request {
        member_of: Arc::new([member_of("attribute:ecs.availability-zone == a")]),
        constraints: vec![
            Constraint::DistinctInstance,
            Constraint::MemberOf(member_of("runningTasksCount == 0")),
        ],
        ..request(&demand(10, 10))
    };
    let solution = solve(&cluster, &request, 3, 1);
    assert_eq!(placed(&solution), [2, 4]);
}
