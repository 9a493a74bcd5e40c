use berth_model::arn::DefinitionReference;
use berth_model::name::{ClusterName, Family};
use berth_model::placement::{Constraint, PackBy, Strategy};
use berth_model::query::Expression;
use berth_model::time::Timestamp;
use serde_json::json;

use super::*;
use crate::change::Change;
use crate::command::{Command, Env, Memory};
use crate::decide::definition::RegisterDefinition;
use crate::decide::run::Call;
use crate::fold::fold;

const CLUSTER: ClusterKey = ClusterKey(1);

/// Two instances of 1000 MiB in zones a and b, and a definition of 300 MiB.
fn state() -> State {
    let mut state = State::default();
    fold(
        &mut state,
        &Change::ClusterCreated {
            name: ClusterName::parse("default").unwrap(),
            key: CLUSTER,
            tags: Vec::new(),
        },
    );
    for (id, zone) in [(1, "a"), (2, "b")] {
        let attribute = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
        let facts = InstanceFacts {
            cpu: CpuUnits(1024),
            memory: MemoryMib(1000),
            attributes: [
                attribute("ecs.availability-zone", zone),
                attribute("ecs.os-type", "linux"),
            ]
            .into(),
            ..InstanceFacts::default()
        };
        fold(
            &mut state,
            &Change::InstanceRegistered {
                cluster: CLUSTER,
                instance: InstanceId::from_bits(id),
                facts: Arc::new(facts),
                at: Timestamp::from_millis(1),
            },
        );
    }
    let definition = json!({"family": "web", "containerDefinitions": [{"name": "app", "image": "a", "memory": 300}]});
    let register = RegisterDefinition {
        family: Family::parse("web").unwrap(),
        definition: Arc::new(serde_json::from_value(definition).unwrap()),
        tags: Vec::new(),
    };
    submit(&mut state, &register);
    state
}

fn submit<C: Command>(state: &mut State, command: &C) -> C::Outcome {
    let mut memory = Memory::default();
    let mut env = Env::new(Timestamp::from_millis(1), 1, &mut memory);
    let decision = command.decide(state, &mut env).unwrap();
    decision.changes.iter().for_each(|change| fold(state, change));
    decision.outcome
}

fn plan(count: u32, expression: Option<&str>) -> Plan {
    let constraint = |text| Constraint::MemberOf(Expression::parse(text).unwrap());
    Plan {
        run: RunTask {
            call: Call::of(
                ClusterName::parse("default").unwrap(),
                DefinitionReference::newest(Family::parse("web").unwrap()),
            ),
            count,
            constraints: expression.map(constraint).into_iter().collect(),
            strategies: vec![Strategy::Binpack(PackBy::Memory)],
            patience: None,
        },
        explained: 10,
        one_more: None,
    }
}

#[test]
fn a_plan_is_what_run_task_then_does() {
    let mut state = state();
    let plan = plan(5, None);
    let before = state.clone();
    let planned = plan.answer(&state).unwrap();
    assert_eq!(state, before);
    assert_eq!(planned.revision, state.revision());
    assert_eq!((planned.placed.len(), planned.more, planned.explanation), (5, 1, None));
    assert_eq!(planned.choices.len(), 5);
    let outlook = planned.outlook;
    let copies: Vec<u32> = outlook.shares.iter().map(|share| share.copies).collect();
    assert_eq!(copies, [3, 2]);
    assert_eq!((outlook.cluster.before.memory, outlook.cluster.after.memory), (0, 1500));
    let zones: Vec<_> = outlook
        .zones
        .iter()
        .map(|(zone, full)| (zone.as_deref(), full.after.memory))
        .collect();
    assert_eq!(zones, [(Some("a"), 900), (Some("b"), 600)]);

    submit(&mut state, &plan.run);
    let used = |id| {
        let instance = InstanceId::from_bits(id);
        let key = InstanceKey {
            cluster: CLUSTER,
            instance,
        };
        u64::from(state.instance(key).unwrap().used_memory.0)
    };
    for share in outlook.shares {
        assert_eq!(share.fullness.after.memory, used(share.instance.to_bits()));
    }
}

#[test]
fn what_does_not_fit_is_explained_and_counted() {
    let planned = plan(10_000, Some("attribute:ecs.availability-zone == a"))
        .answer(&state())
        .unwrap();
    assert_eq!((planned.placed.len(), planned.more), (3, 0));
    let explanation = planned.explanation.unwrap();
    assert_eq!((explanation.candidates, explanation.eligible), (2, 1));
}

#[test]
fn one_more_instance_brings_what_fits_on_it() {
    let gain = |one_more: OneMore, expression| {
        let plan = Plan {
            one_more: Some(one_more),
            ..plan(1, expression)
        };
        plan.answer(&state()).map(|planned| planned.one_more.unwrap())
    };
    let like = OneMore {
        like: Some(InstanceId::from_bits(2)),
        ..OneMore::default()
    };
    assert_eq!(gain(like.clone(), None).unwrap().copies, 3);
    let in_a = Some("attribute:ecs.availability-zone == a and attribute:ecs.os-type == linux");
    let gained = gain(like, in_a).unwrap();
    assert_eq!((gained.copies, gained.misfits.len()), (0, 1));
    // What all have is taken over, what differs is not.
    let large = OneMore {
        cpu: Some(CpuUnits(1)),
        memory: Some(MemoryMib(6_100)),
        ..OneMore::default()
    };
    assert_eq!(gain(large.clone(), in_a).unwrap().copies, 0);
    let large_in_a = OneMore {
        attributes: [("ecs.availability-zone".to_owned(), Some("a".to_owned()))].into(),
        ..large
    };
    assert_eq!(gain(large_in_a, in_a).unwrap().copies, 20);
    let fault = gain(OneMore::default(), None).unwrap_err();
    assert_eq!(fault.message, "oneMore.cpu must be given where oneMore.like is not.");
    let unknown = OneMore {
        like: Some(InstanceId::from_bits(9)),
        ..OneMore::default()
    };
    assert!(gain(unknown, None).unwrap_err().message.ends_with(" not found."));
}
