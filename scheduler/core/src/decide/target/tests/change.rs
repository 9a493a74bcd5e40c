//! What a service is told after it was created: of its load balancers, and of how its targets are treated.

use super::*;

const OTHER: &str = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/other/http-81";

/// A world whose one task is a healthy target.
fn balanced() -> World {
    let mut world = World::new();
    world.report(TaskStatus::Running);
    world.reconcile();
    world.record(Some(TargetHealth::Healthy), false);
    world.reconcile();
    world
}

#[test]
fn with_other_load_balancers_tasks_are_replaced_and_the_old_stay_in_their_target_group() {
    let mut world = balanced();
    let old = world.task().id;
    world.listen(&[load_balancer(OTHER, 81)]).unwrap();
    assert_eq!(world.listeners(), [OTHER, ARN]);
    world.reconcile();
    let new = world.other(old).id;
    world.report_of(new, TaskStatus::Running);
    world.reconcile();
    let registered = format!("(service web) registered 1 targets in (target-group {OTHER})");
    assert!(world.events().contains(&registered), "{:?}", world.events());
    world.record_of(new, Some(TargetHealth::Healthy), false);
    world.reconcile();
    assert!(world.other(new).deregister_by().is_some(), "it leaves");
    assert_eq!(world.listeners(), [OTHER, ARN], "it has connections");
    world.record_of(old, None, true);
    let deregistered = format!("(service web) deregistered 1 targets in (target-group {ARN})");
    assert!(world.events().contains(&deregistered), "{:?}", world.events());
    assert_eq!(world.listeners(), [OTHER]);
}

#[test]
fn without_load_balancers_new_tasks_are_no_targets_and_the_old_are_drained() {
    let mut world = balanced();
    let old = world.task().id;
    world.listen(&[]).unwrap();
    world.reconcile();
    let new = world.other(old).id;
    world.report_of(new, TaskStatus::Running);
    world.reconcile();
    assert_eq!(world.other(old).target, None);
    assert_eq!(world.other(new).deregister_by(), None, "the other is not healthy yet");
    world.now += 60_000;
    world.reconcile();
    assert!(world.other(new).deregister_by().is_some());
    world.record_of(old, None, true);
    assert_eq!(world.listeners(), Vec::<String>::new());
}

#[test]
fn the_same_load_balancers_change_nothing_and_another_port_of_the_tasks_is_a_deployment() {
    let mut world = balanced();
    assert_eq!(world.listen(&[load_balancer(ARN, 80)]).unwrap(), []);
    let mut moved = load_balancer(ARN, 80);
    moved.container_port = 9090;
    assert_ne!(world.listen(&[moved]).unwrap(), []);
    assert_eq!(world.listeners(), [ARN], "it is the same listener");
}

#[test]
fn a_port_that_something_else_of_the_cluster_listens_on_is_refused() {
    let mut world = balanced();
    let mut api = service("api");
    api.load_balancers = Arc::new([load_balancer(OTHER, 81)]);
    world.submit(&api);
    let refused = world.listen(&[load_balancer(OTHER, 81)]).unwrap_err();
    assert!(refused.message.contains("which service api has already"), "{refused}");
    let renamed = ARN.replace("/web/", "/www/");
    let refused = world.listen(&[load_balancer(&renamed, 80)]).unwrap_err();
    assert!(
        refused.message.contains("until the tasks of that are gone"),
        "{refused}"
    );
    assert_ne!(
        world
            .listen(&[load_balancer(ARN, 80), load_balancer(OTHER, 82)])
            .unwrap(),
        []
    );
}

#[test]
fn load_balancers_that_the_definition_has_no_port_for_are_refused() {
    let mut world = balanced();
    let mut wrong = load_balancer(OTHER, 81);
    wrong.container_port = 1;
    let refused = world.listen(&[wrong]).unwrap_err();
    assert!(refused.message.contains("container port 1 defined"), "{refused}");
}

#[test]
fn tags_of_a_service_say_how_its_targets_are_treated_from_then_on() {
    let mut world = World::new();
    world
        .tag(
            &[
                ("team", "a"),
                ("berth:deregistration-delay", "5s"),
                ("berth:health-check", "tcp"),
            ],
            &[],
        )
        .unwrap();
    assert_eq!(world.spec().deregistration_delay(), std::time::Duration::from_secs(5));
    assert!(world.spec().targets.health_check.is_some());
    assert_eq!(world.tag(&[("team", "a")], &[]).unwrap(), [], "it is there");
    world
        .tag(&[("team", "b")], &["berth:health-check", "berth:deregistration-delay"])
        .unwrap();
    assert_eq!(world.spec().targets, TargetSettings::default());
    let tags: Vec<_> = world
        .spec()
        .tags
        .iter()
        .map(|tag| (tag.key.clone(), tag.value.clone()))
        .collect();
    assert_eq!(tags, [("team".to_owned(), "b".to_owned())]);
}

#[test]
fn tags_that_cannot_be_are_refused_and_change_nothing() {
    let mut world = World::new();
    let before = world.spec();
    let refused = world
        .tag(&[("team", "a"), ("berth:health-check", "udp")], &[])
        .unwrap_err();
    assert!(refused.message.contains("berth:health-check"), "{refused}");
    let keys: Vec<String> = (0..51).map(|at| format!("key-{at}")).collect();
    let many: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "")).collect();
    assert_eq!(world.tag(&many, &[]).unwrap_err().class, FaultClass::LimitExceeded);
    assert_eq!(world.spec(), before);
    world.listen(&[]).unwrap();
    let refused = world.tag(&[("berth:health-check", "tcp")], &[]).unwrap_err();
    assert!(refused.message.contains("has none"), "{refused}");
}
