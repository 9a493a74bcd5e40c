use std::time::Instant;

use super::super::streams::REMEMBERED;
use super::*;

const GROUP: &str = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/http-80";
const OTHER: &str = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/rpc/http2-81";

fn gateway(id: &str) -> GatewayKey {
    GatewayKey {
        cluster: ClusterKey(1),
        id: id.into(),
    }
}

fn task() -> TaskKey {
    TaskKey {
        cluster: ClusterKey(1),
        task: TaskId::from_bits(7),
    }
}

fn unhealthy() -> Saying {
    Saying::Unhealthy("status 500".into())
}

/// Gateways that say so of the task in the first group, and what follows.
fn verdict(says: &[Option<Saying>]) -> Verdict {
    let mut targets = Targets::default();
    for (nth, saying) in says.iter().enumerate() {
        let key = gateway(&nth.to_string());
        targets.streams.arrive(&key, Via::Here);
        if let Some(saying) = saying {
            hear(&mut targets, &key, GROUP, saying);
        }
    }
    targets.verdict(task(), [GROUP].into_iter())
}

fn hear(targets: &mut Targets, key: &GatewayKey, group: &str, saying: &Saying) {
    let said = Said {
        task: task().task,
        group: group.into(),
        saying: saying.clone(),
    };
    targets.hear(key, Via::Here, said);
}

fn health(verdict: &Verdict) -> Option<TargetHealth> {
    verdict.health.as_ref().map(|(health, _)| *health)
}

#[test]
fn a_target_is_well_where_any_gateway_says_so() {
    let cases: [(&[Option<Saying>], Option<TargetHealth>); 6] = [
        (&[], None),
        (&[None, Some(Saying::Initial)], None),
        (&[Some(Saying::Healthy), Some(unhealthy())], Some(TargetHealth::Healthy)),
        (
            &[Some(Saying::Initial), Some(unhealthy())],
            Some(TargetHealth::Unhealthy),
        ),
        (&[Some(unhealthy()), Some(unhealthy())], Some(TargetHealth::Unhealthy)),
        (&[Some(Saying::Healthy), None], Some(TargetHealth::Healthy)),
    ];
    for (says, expected) in cases {
        assert_eq!(health(&verdict(says)), expected, "{says:?}");
    }
    let reason = verdict(&[Some(unhealthy())]).health.map(|(_, reason)| reason);
    assert_eq!(reason.as_deref(), Some("status 500"));
}

#[test]
fn a_target_of_two_groups_is_well_where_it_is_in_both() {
    let mut targets = Targets::default();
    let key = gateway("a");
    targets.streams.arrive(&key, Via::Here);
    hear(&mut targets, &key, GROUP, &Saying::Healthy);
    let look = |targets: &Targets| health(&targets.verdict(task(), [GROUP, OTHER].into_iter()));
    assert_eq!(look(&targets), None);
    hear(&mut targets, &key, OTHER, &unhealthy());
    assert_eq!(look(&targets), Some(TargetHealth::Unhealthy));
    hear(&mut targets, &key, OTHER, &Saying::Healthy);
    assert_eq!(look(&targets), Some(TargetHealth::Healthy));
}

#[test]
fn a_target_is_drained_when_every_gateway_says_so() {
    assert!(verdict(&[]).drained, "nobody forwards");
    assert!(verdict(&[Some(Saying::Drained), Some(Saying::Drained)]).drained);
    assert!(!verdict(&[Some(Saying::Drained), Some(Saying::Draining)]).drained);
    assert!(
        !verdict(&[Some(Saying::Drained), None]).drained,
        "one has not heard of it yet"
    );
}

#[test]
fn a_gateway_that_is_away_may_still_forward_for_a_while() {
    let left = Instant::now();
    let mut targets = Targets::default();
    let (here, away) = (gateway("here"), gateway("away"));
    for key in [&here, &away] {
        targets.streams.arrive(key, Via::Here);
        hear(&mut targets, key, GROUP, &Saying::Drained);
    }
    let drained = |targets: &Targets| targets.verdict(task(), [GROUP].into_iter()).drained;
    assert!(drained(&targets));
    targets.streams.leave(&away, Via::Here, left);
    assert!(!drained(&targets));
    assert_eq!(targets.forget(left + REMEMBERED / 2), []);
    assert_eq!(targets.forget(left + REMEMBERED), [(ClusterKey(1), task().task)]);
    assert!(drained(&targets));
}

#[test]
fn a_gateway_that_said_goodbye_holds_nobody_up() {
    let mut targets = Targets::default();
    let (here, parted) = (gateway("here"), gateway("parted"));
    for (key, saying) in [(&here, Saying::Drained), (&parted, Saying::Draining)] {
        targets.streams.arrive(key, Via::Here);
        hear(&mut targets, key, GROUP, &saying);
    }
    let drained = |targets: &Targets| targets.verdict(task(), [GROUP].into_iter()).drained;
    assert!(!drained(&targets));
    assert_eq!(targets.part(&parted), [task().task].into());
    assert!(drained(&targets));
}

#[test]
fn what_a_gateway_says_counts_by_whatever_way_it_is_heard() {
    let now = Instant::now();
    let other = Via::Other(berth_scheduler_core::keys::ReplicaId(2));
    let mut targets = Targets::default();
    let (here, there) = (gateway("here"), gateway("there"));
    targets.streams.arrive(&here, Via::Here);
    hear(&mut targets, &here, GROUP, &Saying::Drained);
    targets.streams.arrive(&there, other);
    let say = |targets: &mut Targets, via, saying: &Saying| {
        let said = Said {
            task: task().task,
            group: GROUP.into(),
            saying: saying.clone(),
        };
        targets.hear(&there, via, said);
    };
    say(&mut targets, other, &Saying::Draining);
    let drained = |targets: &Targets| targets.verdict(task(), [GROUP].into_iter()).drained;
    assert!(!drained(&targets));
    say(&mut targets, other, &Saying::Drained);
    assert!(drained(&targets));
    // It moves here, and has not said yet what it knows.
    targets.streams.leave(&there, other, now);
    targets.streams.arrive(&there, Via::Here);
    assert!(!drained(&targets));
    say(&mut targets, Via::Here, &Saying::Drained);
    assert!(drained(&targets));
}

#[test]
fn what_was_said_of_tasks_that_are_no_targets_is_dropped() {
    let mut targets = Targets::default();
    let key = gateway("a");
    targets.streams.arrive(&key, Via::Here);
    hear(&mut targets, &key, GROUP, &Saying::Healthy);
    targets.retain(|key| key == task());
    let look = |targets: &Targets| health(&targets.verdict(task(), [GROUP].into_iter()));
    assert_eq!(look(&targets), Some(TargetHealth::Healthy));
    targets.retain(|_| false);
    assert_eq!(look(&targets), None);
}
