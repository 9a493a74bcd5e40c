//! Traffic that moves to a deployment which is there whole: BLUE_GREEN, CANARY and LINEAR.

use berth_model::id::DeploymentId;
use berth_model::service::{CircuitBreaker, RolloutState, Shift, ShiftStep};
use berth_scheduler_core::reconcile::shift::shares;
use berth_scheduler_core::service::{Rollback, RollbackState};

use crate::check::{converge, settle};
use crate::world::{Random, Release, World, seconds, spec};

const BLUE_GREEN: Shift = Shift {
    step: ShiftStep::AllAtOnce,
    bake_minutes: 10,
};

/// A service of three tasks with a health check that has come to rest, and moves its traffic so.
fn steady(shift: Shift) -> World {
    let mut spec = spec(3, 100, 100);
    spec.configuration.shift = Some(shift);
    spec.configuration.minimum_healthy_percent = 50;
    let mut world = World::new(spec, 4, 10, 1);
    world.has_check = true;
    converge(&mut world);
    world
}

/// Tasks of the deployment that are meant to run.
fn wanted(world: &World, of: DeploymentId) -> usize {
    let wanted = |task: &&crate::world::SimTask| task.view.deployment == of && task.view.wanted;
    world.tasks.values().filter(wanted).count()
}

/// The share of the traffic that the deployment has; none where it goes by tasks.
fn share(world: &World, of: DeploymentId) -> Option<u32> {
    let shares = shares(&world.spec, &world.deployments);
    shares.iter().find(|(id, _)| *id == of).map(|(_, percent)| *percent)
}

/// Lets time pass until something is the case; says how many minutes that took.
fn until(world: &mut World, is: impl Fn(&World) -> bool) -> u64 {
    let begun = world.now;
    for _ in 0..1000 {
        settle(world);
        if is(world) {
            return world.now.since(begun).as_secs() / 60;
        }
        let next = world.next_event().expect("nothing will ever happen again");
        world.advance(next);
    }
    panic!("it never becomes so");
}

#[test]
fn all_tasks_of_the_last_deployment_stay_until_the_next_has_had_all_traffic_for_its_bake_time() {
    let mut world = steady(BLUE_GREEN);
    let blue = world.primary().id;
    let green = world.deploy(Release::Good);
    settle(&mut world);
    assert_eq!((share(&world, blue), share(&world, green)), (Some(100), Some(0)));
    assert_eq!(
        (wanted(&world, blue), wanted(&world, green)),
        (3, 3),
        "though the maximum is 100 percent"
    );
    until(&mut world, |world| share(world, green) == Some(100));
    assert_eq!(share(&world, blue), Some(0));
    assert_eq!((wanted(&world, blue), wanted(&world, green)), (3, 3));
    let baked = until(&mut world, |world| wanted(world, blue) < 3);
    assert_eq!(baked, 10);
    converge(&mut world);
    assert_eq!((wanted(&world, green), world.tasks.len()), (3, 3));
    assert_eq!(world.primary().rollout.state, RolloutState::Completed);
    assert_eq!(share(&world, green), None, "there is nothing to share");
}

#[test]
fn a_canary_has_its_part_before_it_has_all() {
    let mut world = steady(Shift {
        step: ShiftStep::Canary {
            percent: 10,
            bake_minutes: 5,
        },
        bake_minutes: 2,
    });
    let old = world.primary().id;
    let new = world.deploy(Release::Good);
    until(&mut world, |world| share(world, new) == Some(10));
    assert_eq!(share(&world, old), Some(90));
    assert_eq!(until(&mut world, |world| share(world, new) == Some(100)), 5);
    assert_eq!(until(&mut world, |world| wanted(world, old) == 0), 2);
}

#[test]
fn traffic_waits_for_tasks_that_are_missing() {
    let mut world = steady(Shift {
        step: ShiftStep::Linear {
            percent: 50,
            bake_minutes: 1,
        },
        bake_minutes: 0,
    });
    let new = world.deploy(Release::Good);
    until(&mut world, |world| share(world, new) == Some(50));
    let task = world
        .tasks
        .iter()
        .find(|(_, task)| task.view.deployment == new)
        .map(|(id, _)| *id)
        .unwrap();
    world.advance(world.now + seconds(59));
    world.crash(task);
    until(&mut world, |world| share(world, new) == Some(100));
    let healthy = world
        .tasks
        .values()
        .filter(|task| task.view.deployment == new && task.view.health == berth_model::status::HealthStatus::Healthy);
    assert_eq!(healthy.count(), 3);
}

#[test]
fn a_release_that_fails_gets_no_traffic_and_costs_none_of_the_tasks_before_it() {
    for release in [Release::CannotStart, Release::Crashes(3), Release::Sick] {
        let mut world = steady(BLUE_GREEN);
        world.spec.configuration.circuit_breaker = CircuitBreaker {
            enable: true,
            rollback: true,
            ..CircuitBreaker::default()
        };
        let blue = world.primary().id;
        let before: Vec<_> = world.tasks.keys().copied().collect();
        let green = world.deploy(release);
        until(&mut world, |world| {
            assert!(share(world, green).is_none_or(|share| share == 0), "{release:?}");
            world.primary().id == blue
        });
        converge(&mut world);
        let after: Vec<_> = world.tasks.keys().copied().collect();
        assert_eq!(after, before, "{release:?}");
    }
}

#[test]
fn a_user_who_goes_back_has_all_traffic_there_at_once() {
    let mut world = steady(BLUE_GREEN);
    let blue = world.primary().id;
    let before: Vec<_> = world.tasks.keys().copied().collect();
    let green = world.deploy(Release::Good);
    until(&mut world, |world| share(world, green) == Some(100));
    world.deployments[0].rollback = Some(Rollback {
        to: None,
        at: world.now,
        reason: "User stopped it.".into(),
        state: RollbackState::Requested,
    });
    settle(&mut world);
    assert_eq!(world.primary().id, blue);
    assert!(
        share(&world, blue).is_none_or(|share| share == 100),
        "{:?}",
        share(&world, blue)
    );
    converge(&mut world);
    let after: Vec<_> = world.tasks.keys().copied().collect();
    assert_eq!(after, before);
}

#[test]
fn a_first_deployment_and_one_of_no_tasks_have_nothing_to_wait_for() {
    let mut first = spec(2, 50, 200);
    first.configuration.shift = Some(BLUE_GREEN);
    let mut world = World::new(first, 2, 10, 1);
    converge(&mut world);
    world.spec.desired = 0;
    converge(&mut world);
    world.deploy(Release::Good);
    converge(&mut world);
}

#[test]
fn whatever_happens_while_traffic_moves_it_comes_to_an_end() {
    for seed in 0..400 {
        let mut random = Random(seed);
        let mut world = steady(Shift {
            step: match random.below(3) {
                0 => ShiftStep::AllAtOnce,
                1 => ShiftStep::Canary {
                    percent: 5,
                    bake_minutes: 1,
                },
                _ => ShiftStep::Linear {
                    percent: 30,
                    bake_minutes: 1,
                },
            },
            bake_minutes: 1,
        });
        world.random = Random(seed);
        for _ in 0..30 {
            let tasks: Vec<_> = world.tasks.keys().copied().collect();
            match world.random.below(6) {
                0 | 1 => {
                    if let Some(task) = world.random.pick(&tasks) {
                        world.crash(task);
                    }
                }
                2 => {
                    world.deploy(Release::Good);
                }
                3 => {
                    let desired = world.random.below(5);
                    world.spec.desired = u32::try_from(desired).unwrap();
                }
                _ => {}
            }
            settle(&mut world);
            let span = world.random.pick(&[1, 20, 70]).unwrap();
            let limit = world.now + seconds(span);
            let to = world.next_event().map_or(limit, |at| at.min(limit));
            world.advance(to);
            settle(&mut world);
            let shares = shares(&world.spec, &world.deployments);
            let sum: u32 = shares.iter().map(|(_, percent)| percent).sum();
            assert!(shares.is_empty() || sum == 100, "seed {seed}: {shares:?}");
        }
        converge(&mut world);
    }
}
