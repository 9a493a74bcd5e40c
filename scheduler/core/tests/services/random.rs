//! Many services and what may happen to them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use berth_model::id::{InstanceId, TaskId};
use berth_model::service::{CircuitBreaker, DeploymentConfiguration, RolloutState, SchedulingStrategy, ServiceStatus};
use berth_model::status::HealthStatus;

use crate::check::{converge, settle};
use crate::world::{Random, Release, World, seconds, spec};

/// Worlds of each test; a seed is a world's number.
const WORLDS: u64 = 600;

/// Runs the test in many worlds, and names the one in which it fails.
fn in_many_worlds(test: impl Fn(u64)) {
    for seed in 0..WORLDS {
        let sound = catch_unwind(AssertUnwindSafe(|| test(seed)));
        assert!(sound.is_ok(), "in the world of seed {seed}: see above");
    }
}

fn random_world(seed: u64) -> World {
    let mut random = Random(seed);
    let desired = u32::try_from(random.below(7)).unwrap();
    let minimum = random.pick(&[0, 50, 75, 100]).unwrap();
    let maximum = random.pick(&[100, 125, 150, 200]).unwrap();
    let mut spec = spec(desired, minimum, maximum);
    spec.configuration.circuit_breaker = CircuitBreaker {
        enable: random.one_in(2),
        rollback: random.one_in(2),
        reset_on_healthy_task: !random.one_in(4),
        ..CircuitBreaker::default()
    };
    spec.zone_rebalancing = random.one_in(2);
    spec.health_check_grace_seconds = random.pick(&[0, 0, 30]).unwrap();
    if random.one_in(4) {
        spec.scheduling = SchedulingStrategy::Daemon;
        spec.configuration.maximum_percent = 100;
    }
    spec.lost_grace_seconds = [None, None, Some(0), Some(20), Some(300)][usize::try_from(seed % 5).unwrap()];
    let hosts = 1 + random.below(6);
    let slots = 1 + random.below(5);
    let mut world = World::new(spec, 0, 0, random.next());
    world.has_check = random.one_in(2);
    for host in 0..hosts {
        world.add_host(Some(["a", "b", "c"][host % 3]), slots);
    }
    world
}

/// Something happens to the service.
fn disturb(world: &mut World) {
    let tasks: Vec<TaskId> = world.tasks.keys().copied().collect();
    let hosts: Vec<InstanceId> = world.hosts.keys().copied().collect();
    let task = world.random.pick(&tasks).unwrap_or(TaskId::from_bits(0));
    let host = world.random.pick(&hosts).unwrap();
    let now = world.now;
    match world.random.below(12) {
        0 | 1 => world.crash(task),
        2 => world.report(task, HealthStatus::Unhealthy),
        3 => world.report(task, HealthStatus::Healthy),
        4 => {
            let draining = world.random.one_in(2);
            let host = world.hosts.get_mut(&host).unwrap();
            if host.draining && !draining {
                world.room_since = Some(now);
            }
            host.draining = draining;
        }
        5 | 6 => {
            let host = world.hosts.get_mut(&host).unwrap();
            host.away_since = match host.away_since {
                None => Some(now),
                Some(_) => {
                    world.room_since = Some(now);
                    None
                }
            };
        }
        7 => {
            let releases = [
                Release::Good,
                Release::Good,
                Release::CannotStart,
                Release::Crashes(5),
                Release::Sick,
            ];
            let release = world.random.pick(&releases).unwrap();
            world.deploy(release);
        }
        8 | 9 => world.spec.desired = u32::try_from(world.random.below(9)).unwrap(),
        10 => {
            let until = now + seconds(60);
            if let Some(task) = world.tasks.get_mut(&task) {
                task.view.protected_until = Some(until);
            }
        }
        _ => {
            if world.hosts.len() < 8 {
                world.add_host(Some("d"), 3);
            }
        }
    }
}

/// Lets time pass to the next thing that happens, or to so many seconds from now.
fn pass(world: &mut World, at_most: i64) {
    let limit = world.now + seconds(at_most);
    let to = world.next_event().map_or(limit, |at| at.min(limit));
    world.advance(to);
}

fn trouble(world: &mut World, disturbances: usize) {
    settle(world);
    for _ in 0..disturbances {
        if world.random.one_in(3) {
            disturb(world);
        }
        let at_most = world.random.pick(&[0, 1, 5, 30, 100]).unwrap();
        pass(world, at_most);
        settle(world);
    }
}

/// Ends all trouble.
fn heal(world: &mut World) {
    for host in world.hosts.values_mut() {
        (host.draining, host.away_since, host.slots) = (false, None, 20);
    }
    world.room_since = Some(world.now);
    for id in world.tasks.keys().copied().collect::<Vec<_>>() {
        let deployment = world.tasks[&id].view.deployment;
        if world.release_of(deployment) != Release::Sick {
            world.report(id, HealthStatus::Healthy);
        }
    }
}

#[test]
fn no_trouble_leads_below_the_floor_or_above_the_ceiling_and_all_of_it_ends() {
    in_many_worlds(|seed| {
        let mut world = random_world(seed);
        trouble(&mut world, 60);
        heal(&mut world);
        // A release that does not run, or bounds between which nothing can be replaced, do not end by themselves.
        world.deploy(Release::Good);
        let configuration = &mut world.spec.configuration;
        (configuration.minimum_healthy_percent, configuration.maximum_percent) = match world.spec.scheduling {
            SchedulingStrategy::Replica => (50, 200),
            SchedulingStrategy::Daemon => (0, 100),
        };
        converge(&mut world);
        assert!(
            world
                .events
                .iter()
                .any(|event| event.ends_with("has reached a steady state."))
        );
    });
}

#[test]
fn a_release_that_fails_is_rolled_back_and_none_that_runs_is_harmed() {
    in_many_worlds(|seed| {
        let mut world = random_world(seed);
        heal(&mut world);
        world.spec.desired = world.spec.desired.max(1);
        world.spec.configuration = DeploymentConfiguration {
            minimum_healthy_percent: world.random.pick(&[50, 100]).unwrap(),
            maximum_percent: 200,
            circuit_breaker: CircuitBreaker {
                enable: true,
                rollback: true,
                ..CircuitBreaker::default()
            },
            shift: None,
            rolling_bake_minutes: 0,
        };
        if world.spec.scheduling == SchedulingStrategy::Daemon {
            world.spec.configuration.minimum_healthy_percent = 0;
            world.spec.configuration.maximum_percent = 100;
        }
        converge(&mut world);
        let good = world.primary().id;
        let mut releases = vec![Release::CannotStart, Release::Crashes(30)];
        if world.has_check {
            releases.push(Release::Sick);
        }
        let release = world.random.pick(&releases).unwrap();
        let bad = world.deploy(release);
        converge(&mut world);
        assert_eq!(world.primary().id, good, "{release:?} is rolled back");
        let failed = world.left.iter().find(|deployment| deployment.id == bad).unwrap();
        assert_eq!(failed.rollout.state, RolloutState::Failed);
        let event = format!("(service web) (deployment {bad}) deployment failed: tasks failed to start.");
        assert_eq!(world.events.iter().filter(|said| **said == event).count(), 1);
    });
}

#[test]
fn a_deleted_service_comes_to_its_end() {
    in_many_worlds(|seed| {
        let mut world = random_world(seed);
        trouble(&mut world, 20);
        world.status = ServiceStatus::Draining;
        for host in world.hosts.values_mut() {
            host.away_since = None;
        }
        for _ in 0..200 {
            settle(&mut world);
            if world.status == ServiceStatus::Inactive {
                break;
            }
            let next = world.next_event().expect("tasks that stop are on their way");
            world.advance(next);
        }
        assert_eq!((world.status, world.tasks.len()), (ServiceStatus::Inactive, 0));
    });
}
