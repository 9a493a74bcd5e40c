use berth_model::arn::DefinitionReference;
use berth_model::capacity::{GroupProvider, PROVIDER_ATTRIBUTE, RawGroupProvider, RawScaling, StrategyItem};
use berth_model::id::InstanceId;
use berth_model::name::{ClusterName, Family, ProviderName};
use berth_model::quantity::{CpuUnits, MemoryMib};
use serde_json::json;

use super::*;
use crate::command::{Command, Env, Memory};
use crate::decide::capacity::CreateCapacityProvider;
use crate::decide::cluster::CreateCluster;
use crate::decide::definition::RegisterDefinition;
use crate::decide::instance::ConnectInstance;
use crate::decide::run::{Call, RunTask};
use crate::fold::fold;
use crate::launch::CapacityWish;
use crate::observation::InstanceFacts;

struct World {
    state: State,
    now: Timestamp,
}

fn name() -> ProviderName {
    ProviderName::parse("hosts").unwrap()
}

fn cluster() -> ClusterName {
    ClusterName::parse("test").unwrap()
}

impl World {
    /// A cluster with a provider, whose instances have room for two tasks.
    fn new(scaling: RawScaling) -> Self {
        let mut world = Self {
            state: State::default(),
            now: Timestamp::from_millis(1_000_000),
        };
        let raw = RawGroupProvider {
            group: Some("hosts".to_owned()),
            scaling: Some(scaling),
            ..RawGroupProvider::default()
        };
        world.submit(&CreateCapacityProvider {
            name: name(),
            group: GroupProvider::parse(&raw).unwrap(),
            tags: Vec::new(),
        });
        world.submit(&CreateCluster {
            name: cluster(),
            tags: Vec::new(),
            providers: vec![name()],
            strategy: Vec::new(),
        });
        let definition =
            json!({"family": "app", "containerDefinitions": [{"name": "app", "image": "a", "memory": 500}]});
        world.submit(&RegisterDefinition {
            family: Family::parse("app").unwrap(),
            definition: Arc::new(serde_json::from_value(definition).unwrap()),
            tags: Vec::new(),
        });
        world
    }

    fn submit<C: Command>(&mut self, command: &C) -> C::Outcome {
        let mut memory = Memory::default();
        let seed = u64::try_from(self.now.as_millis()).unwrap();
        let mut env = Env::new(self.now, seed, &mut memory);
        let decision = command.decide(&self.state, &mut env).unwrap();
        decision.changes.iter().for_each(|change| fold(&mut self.state, change));
        self.now = self.now + Duration::from_millis(1);
        decision.outcome
    }

    fn connect(&mut self, instance: u128) {
        let facts = InstanceFacts {
            cpu: CpuUnits(1024),
            memory: MemoryMib(1000),
            attributes: [(PROVIDER_ATTRIBUTE.to_owned(), Some("hosts".to_owned()))].into(),
            ..InstanceFacts::default()
        };
        self.submit(&ConnectInstance {
            cluster: cluster(),
            instance: InstanceId::from_bits(instance),
            facts: Arc::new(facts),
            leaving: None,
            via: None,
        });
    }

    fn run(&mut self, count: u32) {
        self.submit(&RunTask {
            call: Call {
                capacity: CapacityWish {
                    strategy: vec![StrategyItem {
                        provider: name(),
                        base: 0,
                        weight: 1,
                    }],
                    by_default: false,
                },
                ..Call::of(cluster(), DefinitionReference::newest(Family::parse("app").unwrap()))
            },
            count,
            constraints: Vec::new(),
            strategies: Vec::new(),
            patience: None,
        });
    }

    fn need(&self) -> Need {
        let mut needs = needs(&self.state, self.now);
        assert_eq!(needs.len(), 1);
        needs.remove(0)
    }

    fn place(&mut self) {
        let shape = self.state.queue().shapes().next().map(|(key, _)| key.clone());
        if let Some(shape) = shape {
            self.submit(&crate::decide::queue::PlaceQueued { shape, count: 256 });
        }
    }
}

fn figures(need: &Need) -> (u32, u32, u32, u32) {
    (need.running, need.used, need.needed, need.waiting)
}

#[test]
fn what_waits_needs_as_many_instances_as_it_fills() {
    let mut world = World::new(RawScaling::default());
    assert_eq!(
        (figures(&world.need()), world.need().reservation()),
        ((0, 0, 0, 0), 100.0)
    );
    world.run(5);
    // Nobody knows yet what an instance has.
    assert_eq!(
        (figures(&world.need()), world.need().reservation()),
        ((0, 0, 1, 5), 200.0)
    );
    world.connect(1);
    assert_eq!(figures(&world.need()), (1, 0, 3, 5));
    world.place();
    assert_eq!(
        (figures(&world.need()), world.need().reservation()),
        ((1, 1, 3, 3), 300.0)
    );
}

#[test]
fn what_fits_on_no_instance_asks_for_none() {
    let mut world = World::new(RawScaling::default());
    world.connect(1);
    let large = json!({"family": "app", "containerDefinitions": [{"name": "app", "image": "a", "memory": 4000}]});
    world.submit(&RegisterDefinition {
        family: Family::parse("app").unwrap(),
        definition: Arc::new(serde_json::from_value(large).unwrap()),
        tags: Vec::new(),
    });
    world.run(2);
    let need = world.need();
    assert_eq!((figures(&need), need.unplaceable), ((1, 0, 0, 2), 2));
    let (verdict, _) = need.judge(Standing::default(), world.now);
    assert_eq!(verdict.wanted, 1);
    assert!(
        verdict
            .reason
            .ends_with("2 of the tasks fit on no instance of this kind."),
        "{}",
        verdict.reason
    );
}

#[test]
fn a_number_that_was_asked_for_is_not_asked_for_again_and_more() {
    let scaling = RawScaling {
        minimum_step: Some(4),
        ..RawScaling::default()
    };
    let mut world = World::new(scaling);
    world.run(3);
    let (first, standing) = world.need().judge(Standing::default(), world.now);
    assert_eq!(first.wanted, 4, "one is needed, four is the least step");
    world.connect(1);
    world.place();
    // One has come, one more is needed: the others are on their way.
    assert_eq!(figures(&world.need()), (1, 1, 2, 1));
    let (second, standing) = world.need().judge(standing, world.now);
    assert_eq!(second.wanted, 4);
    // They never came.
    let later = world.now + Duration::from_secs(301);
    let (third, _) = world.need().judge(standing, later);
    assert_eq!(third.wanted, 5);
}

#[test]
fn room_is_kept_where_the_target_is_below_all() {
    let scaling = RawScaling {
        target_capacity: Some(50),
        maximum_step: Some(3),
        ..RawScaling::default()
    };
    let mut world = World::new(scaling);
    (1..=4).for_each(|instance| world.connect(instance));
    world.run(8);
    assert_eq!(figures(&world.need()), (4, 4, 4, 0));
    let (verdict, standing) = world.need().judge(Standing::default(), world.now);
    assert_eq!(verdict.wanted, 7, "8 at a target of 50 %, three at a time");
    let (verdict, _) = world.need().judge(standing, world.now + Duration::from_secs(1));
    assert_eq!(verdict.wanted, 8);
}

#[test]
fn only_idle_instances_go_and_only_after_a_while() {
    let mut world = World::new(RawScaling::default());
    (1..=4).for_each(|instance| world.connect(instance));
    world.run(2);
    let mut standing = Standing::default();
    let mut now = world.now;
    let mut steps = 0;
    let verdict = loop {
        let need = Need {
            ..needs(&world.state, now).remove(0)
        };
        let (verdict, next) = need.judge(standing, now);
        standing = next;
        if !verdict.remove.is_empty() {
            break verdict;
        }
        assert_eq!(verdict.wanted, 4);
        now = now + Duration::from_secs(60);
        steps += 1;
        assert!(steps < 60, "the surplus never goes");
    };
    assert_eq!(steps, 15);
    let busy = world.need().busy;
    assert_eq!(verdict.wanted, 4 - u32::try_from(verdict.remove.len()).unwrap());
    assert_eq!(verdict.remove.len() + busy.len(), 4);
    assert!(verdict.remove.iter().all(|key| !busy.contains(key)));
}

#[test]
fn a_new_instance_is_left_alone() {
    let mut world = World::new(RawScaling::default());
    world.connect(1);
    let standing = Standing {
        asked: None,
        surplus_since: Some(Timestamp::from_millis(0)),
    };
    let early = world.now + Duration::from_secs(200);
    let need = needs(&world.state, early).remove(0);
    assert_eq!(need.judge(standing, early).0.wanted, 1);
    let late = world.now + Duration::from_secs(2000);
    let need = needs(&world.state, late).remove(0);
    assert_eq!(need.judge(standing, late).0.wanted, 0);
}

#[test]
fn a_provider_without_managed_scaling_has_no_needs() {
    let scaling = RawScaling {
        status: Some("DISABLED".to_owned()),
        ..RawScaling::default()
    };
    let world = World::new(scaling);
    assert_eq!(needs(&world.state, world.now), []);
}
