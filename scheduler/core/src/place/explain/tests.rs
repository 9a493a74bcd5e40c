use std::sync::Arc;

use berth_model::placement::Constraint;
use berth_model::quantity::{CpuUnits, GpuCount, HostPort, MemoryMib, PortSet, Protocol};
use berth_model::query::Expression;
use berth_model::time::Timestamp;

use super::*;
use crate::observation::InstanceFacts;
use crate::place::{Request, solve};
use crate::state::Instance;

const WEB: HostPort = HostPort {
    protocol: Protocol::Tcp,
    port: 443,
};

/// An instance with so much free, of 1024 each.
fn instance(id: u128, stack: &str, free_cpu: u32, free_memory: u32) -> Arc<Instance> {
    let facts = InstanceFacts {
        cpu: CpuUnits(1024),
        memory: MemoryMib(1024),
        attributes: [("stack".to_owned(), Some(stack.to_owned()))].into(),
        ..InstanceFacts::default()
    };
    let mut instance = Instance::new(InstanceId::from_bits(id), Arc::new(facts), Timestamp::default());
    instance.used_cpu = CpuUnits(1024 - free_cpu);
    instance.used_memory = MemoryMib(1024 - free_memory);
    Arc::new(instance)
}

fn request(cpu: u32, memory: u32, expression: Option<&str>) -> Request {
    let constraint = |text| Constraint::MemberOf(Expression::parse(text).unwrap());
    Request {
        demand: Demand {
            cpu: CpuUnits(cpu),
            memory: MemoryMib(memory),
            ports: PortSet::default(),
            gpus: GpuCount(0),
        },
        required_attributes: Arc::new([]),
        cpu_architecture: None,
        pool: None,
        member_of: Arc::new([]),
        constraints: expression.map(constraint).into_iter().collect(),
        strategies: Vec::new(),
        group: "family:web".into(),
    }
}

fn explain(cluster: &[Arc<Instance>], request: &Request) -> Explanation {
    solve(cluster, request, 1, 1).refused.unwrap().explanation
}

/// The text with ids as short as they are in these tests.
fn words(explanation: &Explanation) -> String {
    explanation.to_string().replace(&"0".repeat(31), "i-")
}

#[test]
fn instances_are_counted_by_what_is_in_the_way_with_the_smallest_shortfall() {
    let cluster = [
        instance(1, "test", 1024, 1024),
        instance(2, "prod", 500, 400),
        instance(3, "prod", 500, 472),
        instance(4, "prod", 60, 1024),
    ];
    let explanation = explain(&cluster, &request(100, 512, Some("attribute:stack == prod")));
    assert_eq!((explanation.candidates, explanation.eligible), (4, 3));
    assert_eq!(
        words(&explanation),
        "4 container instances were considered: 1 does not satisfy attribute:stack == prod; \
         of the other 3: 1 lacks 100 CPU units, the closest, i-4, lacks 40; \
         2 lack 512 MiB of memory, the closest, i-3, lacks 40"
    );
    // 40 of 512 are less than 40 of 100.
    let closest = explanation.closest.as_ref().unwrap();
    assert_eq!(closest.instance, InstanceId::from_bits(3));
    assert_eq!(
        explanation.summary(),
        "no container instance met all of its requirements. The closest matching (container-instance \
         00000000000000000000000000000003) has insufficient memory available."
    );
}

#[test]
fn the_summary_has_the_words_of_ecs_for_each_kind_of_lack() {
    let mut deaf = instance(1, "prod", 1024, 1024);
    Arc::make_mut(&mut deaf).connected = false;
    let mut taken = instance(1, "prod", 1024, 1024);
    Arc::make_mut(&mut taken).used_ports.take(WEB);
    let mut with_port = request(1, 1, None);
    with_port.demand.ports.insert(WEB);
    let mut with_attribute = request(1, 1, None);
    with_attribute.required_attributes = Arc::new(["gpu".to_owned()]);
    for (instance, request, words) in [
        (
            instance(1, "prod", 0, 9),
            request(1, 1, None),
            "has insufficient CPU units available.",
        ),
        (
            instance(1, "prod", 9, 0),
            request(1, 1, None),
            "has insufficient memory available.",
        ),
        (taken, with_port, "is already using a port required by your task."),
        (
            instance(1, "prod", 9, 9),
            with_attribute,
            "is missing an attribute required by your task.",
        ),
        (deaf, request(1, 1, None), "encountered error \"AGENT\"."),
        (
            instance(1, "prod", 9, 9),
            request(1, 1, Some("attribute:stack == test")),
            "encountered error \"MemberOf placement constraint unsatisfied.\".",
        ),
    ] {
        let summary = explain(&[instance], &request).summary();
        assert!(summary.ends_with(words), "{summary}");
    }
    let summary = explain(&[], &request(1, 1, None)).summary();
    assert_eq!(
        summary,
        "no container instance met all of its requirements. Reason: No Container Instances were found in your cluster."
    );
}

#[test]
fn only_so_many_instances_are_listed_and_the_closest_is_the_first() {
    let cluster: Vec<_> = (0..300_u32).map(|id| instance(id.into(), "prod", 9, id)).collect();
    let solution = solve(&cluster, &request(0, 1000, None), 1, 1);
    let refused = solution.refused.unwrap();
    assert_eq!(refused.explanation.candidates, 300);
    assert_eq!(refused.listed.len(), crate::place::LISTED);
    assert_eq!(refused.listed[0].instance, InstanceId::from_bits(299));
    assert_eq!(refused.listed[1].instance, InstanceId::from_bits(0));
    assert_eq!(refused.explanation.causes[0].misfit.missing(), Some(701));
}
