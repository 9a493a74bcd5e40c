//! A service that is scaled, in simulated time: whatever the load, its count keeps its bounds, its steps and its
//! cooldowns, no deployment loses tasks to it, and what is steady comes to rest.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

mod world;

use berth_scheduler_core::scaling::ScalingActivity;
use proptest::prelude::*;

use self::world::{World, policy};

/// What the tasks together have to do over the minutes, in percent of what one of them reserves.
#[derive(Debug, Clone, Copy)]
enum Load {
    Steady(f64),
    /// From one to the other at a minute.
    Step(f64, f64, i64),
    /// Around a value, up and down by so much, within so many minutes.
    Wave(f64, f64, i64),
    /// Up by so much each minute.
    Ramp(f64, f64),
}

impl Load {
    #[expect(clippy::cast_precision_loss, reason = "minutes are few")]
    fn at(self, minute: i64) -> f64 {
        match self {
            Self::Steady(load) => load,
            Self::Step(before, after, at) => {
                if minute < at {
                    before
                } else {
                    after
                }
            }
            Self::Wave(middle, by, length) => {
                let turn = minute as f64 / length as f64 * std::f64::consts::TAU;
                (middle + by * turn.sin()).max(0.0)
            }
            Self::Ramp(begin, by) => (begin + by * minute as f64).max(0.0),
        }
    }
}

fn load() -> impl Strategy<Value = Load> {
    let load = || 0.0..900.0;
    prop_oneof![
        load().prop_map(Load::Steady),
        (load(), load(), 5_i64..120).prop_map(|(before, after, at)| Load::Step(before, after, at)),
        (load(), load(), 10_i64..180).prop_map(|(middle, by, length)| Load::Wave(middle, by, length)),
        (load(), -10.0..10.0).prop_map(|(begin, by)| Load::Ramp(begin, by)),
    ]
}

/// Oldest first.
fn activities(world: &World) -> Vec<ScalingActivity> {
    world.service().activities.iter().rev().cloned().collect()
}

/// Fewer tasks only when the change before has had the time to show its effect.
fn check_cooldowns(activities: &[ScalingActivity]) {
    for pair in activities.windows(2) {
        let [before, after] = pair else { continue };
        if after.did.to < after.did.from {
            assert!(after.did.at >= before.did.end(), "{pair:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_load_breaks_bounds_steps_cooldowns_or_deployments(
        load in load(),
        (min, room, begin) in (0_i64..4, 1_i64..12, 0_u32..10),
        steps in prop::option::of((1_i64..4, 1_i64..4)),
        deploys in prop::collection::btree_set(5_i64..180, 0..3),
        silent in prop::collection::btree_set(0_i64..180, 0..10),
    ) {
        let max = min + room;
        let mut world = World::new(begin);
        world.scale(min, max, policy(60.0, steps));
        world.look();
        for minute in 0..180 {
            if deploys.contains(&minute) {
                world.deploy();
            }
            let before = (world.desired(), world.service().is_deploying());
            world.minute(load.at(minute), !silent.contains(&minute));
            let desired = world.desired();
            if !before.1 {
                prop_assert!((min..=max).contains(&i64::from(desired)), "{desired} at minute {minute}");
            }
            let (out, fewer) = steps.unwrap_or((i64::MAX, i64::MAX));
            let change = i64::from(desired) - i64::from(before.0);
            prop_assert!(change <= out && -change <= fewer || !(min..=max).contains(&i64::from(before.0)));
        }
        check_cooldowns(&activities(&world));
        for activity in activities(&world) {
            prop_assert!(!(activity.did.to < activity.did.from && world.deployed_at(activity.did.at)), "{activity:?}");
        }
    }

    #[test]
    fn a_steady_load_brings_the_service_to_rest(load in 1.0..600.0, begin in 1_u32..12) {
        let mut world = World::new(begin);
        world.scale(1, 12, policy(60.0, None));
        for _ in 0..120 {
            world.minute(load, true);
        }
        let before = activities(&world).len();
        let rest = world.desired();
        for _ in 0..120 {
            world.minute(load, true);
        }
        prop_assert_eq!(activities(&world).len(), before, "it flaps: {:?}", activities(&world));
        let value = load / f64::from(rest);
        prop_assert!(value <= 60.0 || rest == 12, "{value} with {rest} tasks");
        let fewer = load / f64::from(rest.max(2) - 1);
        prop_assert!(fewer > 60.0 * 0.9 || rest == 1, "{fewer} with one of {rest} tasks less");
    }
}

#[test]
fn a_service_follows_a_load_that_rises_and_falls() {
    let mut world = World::new(2);
    world.scale(2, 10, policy(50.0, None));
    for minute in 0..90 {
        world.minute(Load::Step(60.0, 300.0, 10).at(minute), true);
    }
    assert_eq!(world.desired(), 6, "{:?}", activities(&world));
    let out = activities(&world)[0].clone();
    assert_eq!(out.did.from, 2);
    assert!(
        out.cause
            .starts_with("policy cpu: ECSServiceAverageCPUUtilization has been above 50 for 3 minutes; at "),
        "{}",
        out.cause
    );
    let said: Vec<_> = world
        .service()
        .events
        .iter()
        .map(|event| event.message.to_string())
        .collect();
    let says = "(service web) Message: Successfully set desired count to 6. Waiting for change to be fulfilled by ecs. Cause: policy cpu: ";
    assert!(said.iter().any(|said| said.starts_with(says)), "{said:?}");
    for _ in 0..60 {
        world.minute(60.0, true);
    }
    assert_eq!(world.desired(), 2, "{:?}", activities(&world));
}

#[test]
fn what_is_not_measured_takes_no_tasks_away() {
    let mut world = World::new(6);
    world.scale(1, 10, policy(50.0, None));
    for minute in 0..120 {
        // Each window of fifteen minutes misses one.
        world.minute(10.0, minute % 10 > 0);
    }
    assert_eq!(world.desired(), 6);
    for _ in 0..20 {
        world.minute(10.0, true);
    }
    assert_eq!(world.desired(), 1);
}

#[test]
fn a_deployment_that_does_not_end_keeps_its_tasks_and_may_get_more() {
    let mut world = World::new(4);
    world.scale(1, 10, policy(50.0, None));
    world.deploy_what_does_not_start();
    for _ in 0..40 {
        world.minute(10.0, true);
    }
    assert_eq!(world.desired(), 4);
    for _ in 0..10 {
        world.minute(400.0, true);
    }
    assert_eq!(world.desired(), 8);
}
