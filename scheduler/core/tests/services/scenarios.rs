//! What the documents of ECS say about cases, and what Berth says where they say nothing.

use berth_model::id::{DeploymentId, InstanceId, TaskId};
use berth_model::placement::RawStrategy;
use berth_model::service::{CircuitBreaker, RolloutState, SchedulingStrategy};
use berth_model::status::HealthStatus;
use berth_scheduler_core::reconcile::{Phase, Place, Step};
use berth_scheduler_core::service::{Rollback, RollbackState};

use crate::check::{converge, settle};
use crate::world::{Release, World, seconds, spec};

/// A service that has come to rest, on so many hosts with room for ten tasks each.
fn steady(desired: u32, minimum: u32, maximum: u32, hosts: usize) -> World {
    let mut world = World::new(spec(desired, 100, 200), hosts, 10, 1);
    converge(&mut world);
    let configuration = &mut world.spec.configuration;
    (configuration.minimum_healthy_percent, configuration.maximum_percent) = (minimum, maximum);
    world
}

/// The same, with a health check in its tasks.
fn steady_checked(desired: u32, minimum: u32, maximum: u32) -> World {
    let mut world = World::new(spec(desired, 100, 200), 4, 10, 1);
    world.has_check = true;
    converge(&mut world);
    let configuration = &mut world.spec.configuration;
    (configuration.minimum_healthy_percent, configuration.maximum_percent) = (minimum, maximum);
    world
}

fn breaker(world: &mut World, rollback: bool) {
    world.spec.configuration.circuit_breaker = CircuitBreaker {
        enable: true,
        rollback,
        ..CircuitBreaker::default()
    };
}

fn launched(step: &Step) -> u32 {
    step.launches.iter().map(|launch| launch.place.count()).sum()
}

fn said(world: &World, text: &str) -> usize {
    world.events.iter().filter(|event| event.contains(text)).count()
}

fn tasks(world: &World) -> Vec<TaskId> {
    world.tasks.keys().copied().collect()
}

fn on(world: &World, host: InstanceId) -> usize {
    let here = |task: &&crate::world::SimTask| task.view.host.id == host && task.view.wanted;
    world.tasks.values().filter(here).count()
}

/// Lets so much time pass, with whatever happens in it.
fn wait(world: &mut World, span: i64) {
    let end = world.now + seconds(span);
    settle(world);
    while let Some(next) = world.next_event().filter(|next| *next <= end) {
        world.advance(next);
        settle(world);
    }
    world.advance(end);
    settle(world);
}

#[test]
fn a_deployment_begins_as_the_documents_say() {
    for (desired, minimum, maximum, stops, launches) in [
        (4, 50, 100, 2, 0),
        (2, 75, 100, 0, 0),
        (4, 100, 200, 0, 4),
        (3, 100, 125, 0, 0),
        (4, 50, 200, 0, 4),
        (4, 0, 100, 4, 0),
        (10, 90, 110, 1, 1),
        (10, 50, 150, 5, 5),
    ] {
        let mut world = steady(desired, minimum, maximum, 4);
        world.deploy(Release::Good);
        let step = world.look();
        assert_eq!(
            (step.stops.len(), launched(&step)),
            (stops, launches),
            "{desired} tasks, {minimum} to {maximum} percent"
        );
        let locked = desired < 4;
        let deadlock = step
            .events
            .iter()
            .any(|event| event.contains("minimumHealthyPercent or maximumPercent"));
        assert_eq!(deadlock, locked, "{desired} tasks, {minimum} to {maximum} percent");
    }
}

#[test]
fn a_task_without_a_check_counts_after_40_seconds() {
    let mut world = World::new(spec(1, 100, 200), 1, 1, 1);
    settle(&mut world);
    while world.tasks.values().any(|task| task.view.phase == Phase::Pending) {
        let next = world.next_event().unwrap();
        world.advance(next);
        settle(&mut world);
    }
    wait(&mut world, 39);
    assert_eq!(world.primary().rollout.state, RolloutState::InProgress);
    wait(&mut world, 1);
    assert_eq!(world.primary().rollout.state, RolloutState::Completed);
    assert_eq!(said(&world, "has reached a steady state."), 1);
    wait(&mut world, 6 * 3600 - 1);
    assert_eq!(said(&world, "has reached a steady state."), 1);
    wait(&mut world, 2);
    assert_eq!(said(&world, "has reached a steady state."), 2);
}

#[test]
fn the_breaker_trips_at_its_threshold_and_goes_back() {
    for (desired, maximum, failures) in [(1, 200, 3), (25, 104, 13)] {
        let mut world = steady(desired, 100, maximum, 4);
        breaker(&mut world, true);
        let (good, bad) = (world.primary().id, world.deploy(Release::CannotStart));
        converge(&mut world);
        let failed = world.left.iter().find(|left| left.id == bad).unwrap();
        assert_eq!(failed.failed_tasks, failures, "{desired} tasks");
        assert_eq!(
            failed.rollout.reason.as_ref(),
            "ECS deployment circuit breaker: tasks failed to start."
        );
        let rollback = failed.rollback.as_ref().unwrap();
        assert_eq!(rollback.state, RollbackState::Successful);
        assert_eq!(
            rollback.reason.as_ref(),
            "Service deployment rolled back because the circuit breaker threshold was exceeded."
        );
        assert_eq!(world.primary().id, good);
    }
}

#[test]
fn a_rollback_says_where_it_goes() {
    let mut world = steady(1, 100, 200, 2);
    breaker(&mut world, true);
    let good = world.primary().id;
    world.deploy(Release::CannotStart);
    while world.primary().id != good {
        settle(&mut world);
        let next = world.next_event().unwrap();
        world.advance(next);
        let step = world.look();
        world.apply(&step);
    }
    let reason = format!("ECS deployment circuit breaker: rolling back to deploymentId {good}.");
    let completed = format!("ECS deployment {good} completed.");
    let now = world.primary().rollout.reason.to_string();
    assert!(now == reason || now == completed, "{now}");
}

#[test]
fn a_first_release_that_fails_has_nowhere_to_go_back_to() {
    let mut world = World::new(spec(1, 100, 200), 2, 10, 1);
    breaker(&mut world, true);
    world.deployments.clear();
    world.deploy(Release::CannotStart);
    wait(&mut world, 600);
    let rollback = world.primary().rollback.as_ref().unwrap();
    assert_eq!(rollback.state, RollbackState::Failed);
    assert_eq!(
        rollback.reason.as_ref(),
        "No rollback candidate was found to run the rollback."
    );
    assert_eq!(world.tasks.len(), 0, "it launches nothing more");
}

#[test]
fn what_failed_without_a_way_back_leaves_the_floor_to_the_one_before() {
    let mut world = steady(4, 100, 200, 2);
    breaker(&mut world, false);
    let good = world.primary().id;
    world.deploy(Release::CannotStart);
    wait(&mut world, 600);
    assert_eq!(world.primary().rollout.state, RolloutState::Failed);
    let first = tasks(&world)[0];
    world.crash(first);
    wait(&mut world, 100);
    let of_good = world.tasks.values().filter(|task| task.view.deployment == good).count();
    assert_eq!((of_good, world.tasks.len()), (4, 4));
    world.deploy(Release::Good);
    converge(&mut world);
}

#[test]
fn a_user_stops_a_deployment_and_the_service_goes_back() {
    let mut world = steady(2, 100, 200, 2);
    let good = world.primary().id;
    let stopped = world.deploy(Release::Crashes(1000));
    wait(&mut world, 10);
    world.deployments[0].rollback = Some(Rollback {
        to: None,
        at: world.now,
        reason: "User stopped it.".into(),
        state: RollbackState::Requested,
    });
    converge(&mut world);
    assert_eq!(world.primary().id, good);
    let left = world.left.iter().find(|left| left.id == stopped).unwrap();
    assert_eq!(
        left.rollback.as_ref().map(|rollback| rollback.state),
        Some(RollbackState::Successful)
    );
}

#[test]
fn launches_that_fail_are_tried_less_and_less_and_that_is_said_once() {
    let mut world = World::new(spec(1, 100, 200), 1, 10, 1);
    world.deployments.clear();
    world.deploy(Release::CannotStart);
    wait(&mut world, 4 * 3600);
    let attempts = said(&world, "has started 1 tasks");
    assert!((20..30).contains(&attempts), "{attempts} attempts in four hours");
    assert_eq!(said(&world, "is unable to consistently start tasks successfully."), 1);
    world.deploy(Release::Good);
    wait(&mut world, 60);
    assert!(world.is_steady(), "a new release begins at once");
}

#[test]
fn an_unhealthy_task_is_replaced_before_it_stops_where_there_is_room() {
    let mut world = steady_checked(2, 100, 200);
    let sick = tasks(&world)[0];
    world.report(sick, HealthStatus::Unhealthy);
    let step = world.look();
    assert_eq!((launched(&step), step.stops.len()), (1, 0));
    assert_eq!(step.launches[0].unhealthy_replaced, 1);
    converge(&mut world);
    assert!(!world.tasks.contains_key(&sick));
    assert_eq!(said(&world, "failed container health checks."), 1);
    assert_eq!(
        said(&world, "Amazon ECS replaced 1 tasks due to an unhealthy status."),
        1
    );
}

#[test]
fn unhealthy_tasks_stop_one_at_a_time_where_there_is_none() {
    let mut world = steady_checked(3, 100, 100);
    for task in tasks(&world) {
        world.report(task, HealthStatus::Unhealthy);
    }
    let step = world.look();
    assert_eq!((launched(&step), step.stops.len()), (0, 1));
    assert_eq!(step.stops[0].reason.as_ref(), "Task failed container health checks");
    converge(&mut world);
}

#[test]
fn a_failed_check_within_the_grace_does_not_count() {
    let mut world = steady_checked(1, 100, 200);
    world.spec.health_check_grace_seconds = 600;
    let task = tasks(&world)[0];
    world.report(task, HealthStatus::Unhealthy);
    let grace_ends = world.tasks[&task].view.running_since.unwrap() + seconds(600);
    let step = world.look();
    assert_eq!((launched(&step), step.wake), (0, Some(grace_ends)));
    world.now = grace_ends;
    assert_eq!(launched(&world.look()), 1);
}

#[test]
fn a_draining_host_is_emptied_by_starting_first() {
    let mut world = steady(4, 100, 200, 2);
    let (host, elsewhere) = (InstanceId::from_bits(1), InstanceId::from_bits(2));
    assert_eq!(on(&world, host), 2);
    world.hosts.get_mut(&host).unwrap().draining = true;
    let step = world.look();
    assert_eq!((launched(&step), step.stops.len()), (2, 0));
    converge(&mut world);
    assert_eq!((on(&world, host), on(&world, elsewhere)), (0, 4));
}

#[test]
fn tasks_of_a_lost_host_are_replaced_after_the_grace_and_the_older_stay_when_it_returns() {
    let mut world = steady(3, 100, 200, 3);
    let before = tasks(&world);
    let host = InstanceId::from_bits(1);
    world.hosts.get_mut(&host).unwrap().away_since = Some(world.now);
    let step = world.look();
    assert_eq!(launched(&step), 0);
    assert_eq!(step.wake, Some(world.now + seconds(60)));
    wait(&mut world, 120);
    assert_eq!(
        world.tasks.len(),
        4,
        "one is replaced, and the lost one is not forgotten"
    );
    world.hosts.get_mut(&host).unwrap().away_since = None;
    converge(&mut world);
    assert_eq!(tasks(&world), before);
}

#[test]
fn a_service_says_itself_how_long_a_host_may_be_away() {
    for (grace, after_a_minute, after_ten) in [(Some(0), 4, 4), (Some(300), 3, 4), (Some(3600), 3, 3), (None, 4, 4)] {
        let mut world = steady(3, 100, 200, 3);
        world.spec.lost_grace_seconds = grace;
        let host = InstanceId::from_bits(1);
        world.hosts.get_mut(&host).unwrap().away_since = Some(world.now);
        wait(&mut world, 100);
        assert_eq!(world.tasks.len(), after_a_minute, "{grace:?}");
        wait(&mut world, 500);
        assert_eq!(world.tasks.len(), after_ten, "{grace:?}");
    }
}

#[test]
fn nothing_is_replaced_when_most_hosts_are_lost_at_once() {
    let mut world = steady(5, 100, 200, 5);
    for host in 1..=3 {
        world.hosts.get_mut(&InstanceId::from_bits(host)).unwrap().away_since = Some(world.now);
    }
    wait(&mut world, 600);
    assert_eq!(world.tasks.len(), 5);
    assert_eq!(said(&world, "3 of 5 are lost, too many at once."), 1);
    world.hosts.get_mut(&InstanceId::from_bits(1)).unwrap().away_since = None;
    wait(&mut world, 100);
    assert_eq!(said(&world, "has started 2 tasks"), 1, "two of five are no storm");
}

#[test]
fn protected_tasks_outlast_a_scale_in() {
    let mut world = steady(3, 100, 200, 3);
    let until = world.now + seconds(100);
    for task in world.tasks.values_mut() {
        task.view.protected_until = Some(until);
    }
    world.spec.desired = 1;
    wait(&mut world, 99);
    assert_eq!(world.tasks.len(), 3);
    assert_eq!(
        said(
            &world,
            "The number of protected tasks are more than the desired count of tasks."
        ),
        1
    );
    converge(&mut world);
    assert_eq!(world.tasks.len(), 1);
}

#[test]
fn scale_in_takes_from_the_zone_that_has_most() {
    let mut world = World::new(spec(6, 100, 200), 0, 0, 1);
    let hosts = [("a", 10), ("a", 10), ("b", 10)].map(|(zone, slots)| world.add_host(Some(zone), slots));
    converge(&mut world);
    world.spec.desired = 4;
    converge(&mut world);
    assert_eq!(hosts.map(|host| on(&world, host)), [1, 1, 2]);
}

/// Where nine tasks, three on each of a large and a small host of one zone and a smaller of another, are when four are
/// left.
fn left_of_nine(strategies: &[(&str, &str)]) -> [usize; 3] {
    let mut world = World::new(spec(9, 100, 200), 0, 0, 1);
    let strategy = |(kind, field): &(&str, &str)| RawStrategy {
        kind: Some((*kind).to_owned()),
        field: Some((*field).to_owned()),
    };
    world.spec.strategies = strategies.iter().map(strategy).collect();
    let hosts = [("a", 10), ("a", 6), ("b", 4)].map(|(zone, slots)| world.add_host(Some(zone), slots));
    converge(&mut world);
    assert_eq!(hosts.map(|host| on(&world, host)), [3, 3, 3]);
    // One at a time and all at once are the same.
    for desired in [8, 4] {
        world.spec.desired = desired;
        converge(&mut world);
    }
    hosts.map(|host| on(&world, host))
}

#[test]
fn scale_in_empties_what_has_most_room_where_tasks_are_packed() {
    let zone = ("spread", "attribute:ecs.availability-zone");
    assert_eq!(left_of_nine(&[("binpack", "memory")]), [0, 1, 3]);
    assert_eq!(left_of_nine(&[("binpack", "cpu"), zone]), [0, 1, 3]);
    assert_eq!(left_of_nine(&[zone, ("binpack", "memory")]), [0, 2, 2]);
    assert_eq!(
        left_of_nine(&[("spread", "instanceId"), ("binpack", "memory")]),
        left_of_nine(&[]),
        "what is spread over instances leaves nothing to pack"
    );
}

#[test]
fn zones_are_balanced_by_starting_first() {
    let mut world = World::new(spec(4, 100, 200), 0, 0, 1);
    let first = world.add_host(Some("a"), 10);
    world.spec.zone_rebalancing = true;
    converge(&mut world);
    let second = world.add_host(Some("b"), 10);
    wait(&mut world, 300);
    assert_eq!((on(&world, first), on(&world, second)), (2, 2));
    assert_eq!(
        said(
            &world,
            "is not AZ balanced with 4 tasks in a, 0 tasks in b. AZ Rebalancing in progress."
        ),
        1
    );
    assert_eq!(said(&world, "has started 1 tasks in b to AZ Rebalance:"), 2);
    assert_eq!(
        said(&world, "has stopped 1 running tasks in a due to AZ rebalancing:"),
        2
    );
    assert_eq!(said(&world, "is AZ balanced with 2 tasks in a, 2 tasks in b."), 1);
}

#[test]
fn a_full_cluster_is_updated_by_stopping_what_the_floor_spares() {
    let mut world = World::new(spec(4, 50, 200), 2, 2, 1);
    converge(&mut world);
    world.deploy(Release::Good);
    settle(&mut world);
    let running = world.tasks.values().filter(|task| task.view.wanted).count();
    assert_eq!(running, 2, "half of them make room");
    converge(&mut world);
}

#[test]
fn room_that_appears_ends_the_wait_for_it() {
    let mut world = World::new(spec(2, 100, 200), 1, 1, 1);
    wait(&mut world, 3600);
    assert_eq!(
        said(&world, "was unable to place a task"),
        1,
        "the same is not said again"
    );
    assert_eq!(launched(&world.look()), 0);
    world.now = world.now + seconds(1);
    world.add_host(None, 1);
    assert_eq!(world.look().launches[0].place, Place::Anywhere(1));
    converge(&mut world);
}

#[test]
fn a_daemon_comes_to_each_host_and_leaves_a_draining_one_last() {
    let mut daemon = spec(0, 0, 100);
    daemon.scheduling = SchedulingStrategy::Daemon;
    let mut world = World::new(daemon, 2, 10, 1);
    converge(&mut world);
    let joined = world.add_host(None, 10);
    converge(&mut world);
    assert_eq!(on(&world, joined), 1);
    world.hosts.get_mut(&joined).unwrap().draining = true;
    converge(&mut world);
    assert_eq!(on(&world, joined), 0);

    let primary: DeploymentId = world.deploy(Release::Good);
    converge(&mut world);
    assert!(world.tasks.values().all(|task| task.view.deployment == primary));
}
