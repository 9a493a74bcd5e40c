//! Traffic that moves to a deployment which is there whole: BLUE_GREEN, CANARY and LINEAR.

use berth_model::id::{DeploymentId, InstanceId, TaskId};
use berth_model::service::{CircuitBreaker, Percent, RolloutState, Shift, ShiftStep};
use berth_model::status::HealthStatus;
use berth_scheduler_core::reconcile::Phase;
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
fn share(world: &World, of: DeploymentId) -> Option<Percent> {
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
    assert_eq!(
        (share(&world, blue), share(&world, green)),
        (Some(Percent::ALL), Some(Percent::default()))
    );
    assert_eq!(
        (wanted(&world, blue), wanted(&world, green)),
        (3, 3),
        "though the maximum is 100 percent"
    );
    until(&mut world, |world| share(world, green) == Some(Percent::ALL));
    assert_eq!(share(&world, blue), Some(Percent::default()));
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
    let (part, rest) = (Percent::parse(0.5).unwrap(), Percent::parse(99.5).unwrap());
    let mut world = steady(Shift {
        step: ShiftStep::Canary {
            percent: part,
            bake_minutes: 5,
        },
        bake_minutes: 2,
    });
    let old = world.primary().id;
    let new = world.deploy(Release::Good);
    until(&mut world, |world| share(world, new) == Some(part));
    assert_eq!(share(&world, old), Some(rest));
    assert_eq!(until(&mut world, |world| share(world, new) == Some(Percent::ALL)), 5);
    assert_eq!(until(&mut world, |world| wanted(world, old) == 0), 2);
}

#[test]
fn traffic_waits_for_tasks_that_are_missing() {
    let mut world = steady(Shift {
        step: ShiftStep::Linear {
            percent: Percent::whole(50),
            bake_minutes: 1,
        },
        bake_minutes: 0,
    });
    let new = world.deploy(Release::Good);
    until(&mut world, |world| share(world, new) == Some(Percent::whole(50)));
    let task = world
        .tasks
        .iter()
        .find(|(_, task)| task.view.deployment == new)
        .map(|(id, _)| *id)
        .unwrap();
    world.advance(world.now + seconds(59));
    world.crash(task);
    until(&mut world, |world| share(world, new) == Some(Percent::ALL));
    let healthy = world
        .tasks
        .values()
        .filter(|task| task.view.deployment == new && task.view.health == HealthStatus::Healthy);
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
            assert!(
                share(world, green).is_none_or(|share| share == Percent::default()),
                "{release:?}"
            );
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
    until(&mut world, |world| share(world, green) == Some(Percent::ALL));
    world.deployments[0].rollback = Some(Rollback {
        to: None,
        at: world.now,
        reason: "User stopped it.".into(),
        state: RollbackState::Requested,
    });
    settle(&mut world);
    assert_eq!(world.primary().id, blue);
    assert!(
        share(&world, blue).is_none_or(|share| share == Percent::ALL),
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

/// Of the last deployment, as long as it has traffic, there are as many tasks that may stay as the service wants, where the
/// ceiling, its own pauses after failures and the hosts allow it.
fn whoever_has_traffic_is_whole(world: &World, seed: u64) {
    let shares = shares(&world.spec, &world.deployments);
    let has_traffic = |id: DeploymentId| {
        shares
            .iter()
            .any(|(of, percent)| *of == id && *percent > Percent::default())
    };
    let Some(last) = world
        .deployments
        .iter()
        .find(|one| !one.is_primary() && has_traffic(one.id))
    else {
        return;
    };
    let of_last = |task: &&crate::world::SimTask| task.view.deployment == last.id && task.view.wanted;
    let fit = |task: &&crate::world::SimTask| {
        !world.hosts[&task.view.host.id].draining && task.view.health != HealthStatus::Unhealthy
    };
    let there = world.tasks.values().filter(of_last).count();
    let fit = world.tasks.values().filter(of_last).filter(fit).count();
    let used = world
        .tasks
        .values()
        .filter(|task| task.view.phase < Phase::Stopping)
        .count();
    let (desired, ceiling) = (world.spec.desired, world.spec.configuration.ceiling(world.spec.desired));
    let waits = last.back_off.is_some_and(|back_off| back_off.until > world.now);
    let goes_back = world.deployments.iter().any(|one| one.rollback.is_some());
    let cannot = there == 0 || waits || goes_back || u32::try_from(used).unwrap() >= ceiling;
    assert!(
        cannot || u32::try_from(fit).unwrap() >= desired,
        "seed {seed}: {fit} of {desired} tasks of the deployment that has the traffic, {used} of {ceiling} in all"
    );
}

#[test]
fn tasks_that_end_are_replaced_as_long_as_their_deployment_has_traffic() {
    let mut world = steady(Shift {
        step: ShiftStep::Canary {
            percent: Percent::whole(10),
            bake_minutes: 5,
        },
        bake_minutes: 5,
    });
    let old = world.primary().id;
    let new = world.deploy(Release::Good);
    until(&mut world, |world| share(world, new) == Some(Percent::whole(10)));
    let crash = |world: &mut World| {
        let of_old = |(_, task): &(&TaskId, &crate::world::SimTask)| task.view.deployment == old && task.view.wanted;
        let task = *world.tasks.iter().find(of_old).unwrap().0;
        world.crash(task);
        settle(world);
    };
    crash(&mut world);
    until(&mut world, |world| wanted(world, old) == 3);
    assert_eq!(share(&world, old), Some(Percent::whole(90)));
    until(&mut world, |world| share(world, new) == Some(Percent::ALL));
    assert_eq!((wanted(&world, old), wanted(&world, new)), (3, 3));
    crash(&mut world);
    let next = world.next_event().unwrap();
    world.advance(next);
    settle(&mut world);
    assert_eq!(wanted(&world, old), 2, "it is only there to go back to");
    converge(&mut world);
}

#[test]
fn a_host_that_drains_while_traffic_moves_takes_one_task_at_a_time_from_who_has_it() {
    let mut world = steady(Shift {
        step: ShiftStep::Canary {
            percent: Percent::whole(10),
            bake_minutes: 60,
        },
        bake_minutes: 0,
    });
    let old = world.primary().id;
    let new = world.deploy(Release::Good);
    until(&mut world, |world| share(world, new) == Some(Percent::whole(10)));
    let hosts: Vec<InstanceId> = world.hosts.keys().copied().collect();
    let on = |world: &World, drains: bool| {
        let of_old = |task: &&crate::world::SimTask| task.view.deployment == old && task.view.wanted;
        let tasks = world.tasks.values().filter(of_old);
        tasks
            .filter(|task| world.hosts[&task.view.host.id].draining == drains)
            .count()
    };
    for host in &hosts[..3] {
        world.hosts.get_mut(host).unwrap().draining = true;
    }
    let healthy = |world: &World| {
        let of_old = |task: &&crate::world::SimTask| {
            task.view.deployment == old && task.view.wanted && task.view.health == HealthStatus::Healthy
        };
        world.tasks.values().filter(of_old).count()
    };
    until(&mut world, |world| {
        assert!(healthy(world) >= 2, "{} healthy", healthy(world));
        on(world, true) == 0 && healthy(world) == 3
    });
    assert_eq!(share(&world, old), Some(Percent::whole(90)));
}

#[test]
fn whatever_happens_while_traffic_moves_it_comes_to_an_end() {
    for seed in 0..400 {
        let mut random = Random(seed);
        let mut world = steady(Shift {
            step: match random.below(3) {
                0 => ShiftStep::AllAtOnce,
                1 => ShiftStep::Canary {
                    percent: Percent::whole(5),
                    bake_minutes: 1,
                },
                _ => ShiftStep::Linear {
                    percent: Percent::whole(30),
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
                4 => {
                    let host = InstanceId::from_bits(1 + u128::from(world.random.next() % 4));
                    let host = world.hosts.get_mut(&host).unwrap();
                    host.draining = !host.draining;
                    world.room_since = Some(world.now);
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
            let sum: u32 = shares.iter().map(|(_, percent)| percent.tenths()).sum();
            assert!(
                shares.is_empty() || sum == Percent::ALL.tenths(),
                "seed {seed}: {shares:?}"
            );
            whoever_has_traffic_is_whole(&world, seed);
        }
        for host in world.hosts.values_mut() {
            host.draining = false;
        }
        world.room_since = Some(world.now);
        converge(&mut world);
    }
}
