use berth_scheduler_core::keys::{ClusterKey, TaskKey};
use tokio_util::sync::CancellationToken;

use super::super::loads::GroupLoad;
use super::super::targets::Saying;
use super::super::{Changes, Handle};
use super::*;

const GROUP: &str = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/http-80";
const CLUSTER: ClusterKey = ClusterKey(1);
const B: ReplicaId = ReplicaId(2);

/// Two schedulers: gateways are at the one, and the other listens.
struct World {
    teller: Arc<Registry>,
    hears: Arc<Registry>,
    listener: Listener,
}

impl World {
    fn new() -> Self {
        let teller = Arc::new(Registry::default());
        Self {
            listener: teller.listen(),
            teller,
            hears: Arc::default(),
        }
    }

    /// Tells what is new; gives in how many parts.
    fn tell(&self) -> usize {
        let mut news = self.listener.take();
        let mut parts = 0;
        loop {
            let told = self.listener.tell(&mut news);
            if told.is_empty() {
                return parts;
            }
            parts += 1;
            self.hears.hear_other(B, told);
        }
    }

    fn drained(&self, task: u128) -> bool {
        let key = TaskKey {
            cluster: CLUSTER,
            task: TaskId::from_bits(task),
        };
        self.hears.verdict(key, [GROUP].into_iter()).drained
    }

    fn open(&self) -> Option<u64> {
        self.hears.load(CLUSTER, &[GROUP]).map(|load| load.open)
    }
}

fn key(id: &str) -> GatewayKey {
    GatewayKey {
        cluster: CLUSTER,
        id: id.into(),
    }
}

fn arrive(registry: &Registry, id: &str) -> Handle {
    let handle = Handle {
        changes: Arc::new(Changes::default()),
        end: CancellationToken::new(),
        let_go: Some(CancellationToken::new()),
    };
    registry.arrive(&key(id), handle.clone());
    handle
}

fn say(registry: &Registry, id: &str, task: u128, saying: Saying) {
    let said = Said {
        task: TaskId::from_bits(task),
        group: GROUP.into(),
        saying,
    };
    registry.hear(&key(id), vec![said]);
}

#[test]
fn what_a_gateway_says_to_one_scheduler_another_knows() {
    let world = World::new();
    assert!(world.drained(1), "nobody is there");
    let handle = arrive(&world.teller, "a");
    say(&world.teller, "a", 1, Saying::Draining);
    let load = GroupLoad { open: 7, requests: 0 };
    world.teller.hear_load(&key("a"), [(Arc::from(GROUP), load)].into());
    assert_eq!(world.tell(), 1);
    assert_eq!((world.drained(1), world.open()), (false, Some(7)));
    say(&world.teller, "a", 1, Saying::Drained);
    assert!(!world.drained(1), "not told yet");
    world.tell();
    assert!(world.drained(1));
    assert_eq!(world.tell(), 0, "nothing is told twice");

    world.teller.leave(&key("a"), &handle);
    world.tell();
    assert!(!world.drained(1), "it may go on");
    arrive(&world.hears, "a");
    say(&world.hears, "a", 1, Saying::Drained);
    assert!(world.drained(1), "it is here now");
}

#[test]
fn a_gateway_that_says_goodbye_to_one_scheduler_holds_nobody_up_at_another() {
    let world = World::new();
    let handle = arrive(&world.teller, "a");
    say(&world.teller, "a", 1, Saying::Draining);
    world.tell();
    assert!(!world.drained(1));
    world.teller.part(&key("a"), &handle);
    world.tell();
    assert!(world.drained(1));
    let dirty = world.hears.take_dirty();
    assert!(dirty[&CLUSTER].contains(&TaskId::from_bits(1)), "it is looked at again");
}

#[test]
fn who_begins_to_listen_is_told_all_that_is_known_in_parts() {
    let world = World::new();
    arrive(&world.teller, "a");
    for task in 0..10_000 {
        say(&world.teller, "a", task, Saying::Drained);
    }
    arrive(&world.teller, "b");
    let late = World {
        listener: world.teller.listen(),
        ..World::new()
    };
    // Of the second nothing is known of any target.
    assert_eq!(late.tell(), 3);
    assert!(!late.drained(9_999));
    say(&world.teller, "b", 9_999, Saying::Drained);
    late.tell();
    assert!(late.drained(9_999) && !late.drained(9_998));
}

#[test]
fn gateways_that_are_not_named_again_are_gone_and_those_of_a_lost_scheduler_away() {
    let world = World::new();
    arrive(&world.teller, "a");
    say(&world.teller, "a", 1, Saying::Drained);
    world.tell();
    world.hears.heard_all(B, Revision(5), 1, Some(&[key("a")].into()));
    assert!(world.drained(1));
    world.hears.observe_others(Some(&[B].into()));
    assert!(!world.hears.hears_all(Revision(5)), "just started");
    world.hears.lose(B);
    assert!(!world.drained(1), "it may be anywhere");
    world.hears.heard_all(B, Revision(6), 0, Some(&BTreeSet::new()));
    assert!(world.drained(1));
}

#[test]
fn gateways_are_let_go_once_and_only_those_that_know_another_scheduler() {
    let registry = Registry::default();
    let gone = |handle: &Handle| handle.let_go.as_ref().is_some_and(CancellationToken::is_cancelled);
    let handles = ["a", "b", "c"].map(|id| arrive(&registry, id));
    let alone = Handle {
        let_go: None,
        ..arrive(&registry, "alone")
    };
    registry.arrive(&key("alone"), alone);
    registry.let_go(2);
    assert_eq!(handles.iter().filter(|handle| gone(handle)).count(), 2);
    registry.let_go(5);
    assert_eq!(handles.iter().filter(|handle| gone(handle)).count(), 3);
    let back = arrive(&registry, "a");
    registry.let_go(5);
    assert!(!gone(&back), "the others would not have it");
}
