//! Case by case, over random views, and over hours of load.

use std::sync::LazyLock;

use berth_model::scaling::{Metric, PredefinedMetric, RawTracking};
use proptest::prelude::*;

use super::*;

const MINUTE: i64 = 60_000;
const NOW: i64 = 100 * MINUTE;

fn now() -> Timestamp {
    Timestamp::from_millis(NOW)
}

fn name() -> &'static PolicyName {
    static NAME: LazyLock<PolicyName> = LazyLock::new(|| PolicyName::parse("cpu").unwrap());
    &NAME
}

fn policy(target: f64) -> TargetTracking {
    let raw = RawTracking {
        target: Some(target),
        ..RawTracking::default()
    };
    TargetTracking::checked(Metric::Predefined(PredefinedMetric::Cpu), &raw).unwrap()
}

/// A sample a minute, the newest last, the last one half a minute ago.
fn samples(values: &[f64]) -> Vec<Sample> {
    let at = |age: usize| Timestamp::from_millis(NOW - MINUTE / 2 - i64::try_from(age).unwrap() * MINUTE);
    let newest_first = values.iter().rev().enumerate();
    newest_first
        .map(|(age, value)| Sample {
            at: at(age),
            value: *value,
            whole: true,
        })
        .collect()
}

fn view<'v>(count: u32, policies: &'v [Tracked<'v>]) -> View<'v> {
    View {
        desired: count,
        running: count,
        deploying: false,
        capacity: Capacity { min: 1, max: 20 },
        suspended: Suspended::default(),
        policies,
        last: None,
        period: PERIOD,
    }
}

fn check(view: &View<'_>, desired: u32, says: &str) {
    let verdict = view.decide(now());
    assert_eq!((verdict.desired, verdict.reason.to_string().as_str()), (desired, says));
}

fn activity(from: u32, to: u32, running: u32, minutes_ago: i64) -> Activity {
    Activity {
        at: Timestamp::from_millis(NOW - minutes_ago * MINUTE),
        from,
        to,
        running,
        cooldown: Duration::from_secs(300),
    }
}

#[test]
fn three_minutes_above_the_target_add_what_brings_the_metric_back() {
    let (policy, samples) = (policy(50.0), samples(&[70.0, 80.0, 100.0]));
    let policies = [Tracked {
        name: name(),
        policy: &policy,
        samples: &samples,
    }];
    let says =
        "ECSServiceAverageCPUUtilization has been above 50 for 3 minutes; at 100.0 with 4 running tasks it takes 8";
    check(&view(4, &policies), 8, says);
    let fewer = samples[..2].to_vec();
    let policies = [Tracked {
        name: name(),
        policy: &policy,
        samples: &fewer,
    }];
    assert_eq!(view(4, &policies).decide(now()).desired, 4, "two minutes do not");
}

#[test]
fn fifteen_minutes_well_below_take_away_what_the_busiest_of_them_does_not_need() {
    let policy = policy(50.0);
    let mut values = [10.0; 15];
    values[4] = 20.0;
    let samples = samples(&values);
    let policies = [Tracked {
        name: name(),
        policy: &policy,
        samples: &samples,
    }];
    let says =
        "ECSServiceAverageCPUUtilization has been below 45 for 15 minutes; at 20.0 with 10 running tasks it takes 4";
    check(&view(10, &policies), 4, says);
    let deploying = View {
        deploying: true,
        ..view(10, &policies)
    };
    check(
        &deploying,
        10,
        "a deployment goes on, during which no tasks are taken away",
    );
    let gap: Vec<Sample> = samples.iter().skip(1).copied().collect();
    let policies = [Tracked {
        name: name(),
        policy: &policy,
        samples: &gap,
    }];
    let says = "ECSServiceAverageCPUUtilization is known of 14 of the last 15 periods of 1 minute, and all are needed for fewer tasks";
    check(&view(10, &policies), 10, says);
}

#[test]
fn any_policy_adds_and_all_must_agree_to_take_away() {
    let (low, high) = (policy(50.0), policy(50.0));
    let (idle, busy, middling) = (samples(&[5.0; 15]), samples(&[100.0; 15]), samples(&[48.0; 15]));
    let pair = |second| {
        [
            Tracked {
                name: name(),
                policy: &low,
                samples: &idle,
            },
            Tracked {
                name: name(),
                policy: &high,
                samples: second,
            },
        ]
    };
    assert_eq!(view(4, &pair(&busy)).decide(now()).desired, 8);
    assert_eq!(view(4, &pair(&middling)).decide(now()).desired, 4);
    assert_eq!(view(4, &pair(&idle)).decide(now()).desired, 1);
}

#[test]
fn steps_and_bounds_limit_a_change() {
    let mut stepping = policy(10.0);
    (stepping.most_out, stepping.most_in) = (Some(2), Some(3));
    let (busy, idle) = (samples(&[100.0; 15]), samples(&[0.0; 15]));
    let tracked = |samples| {
        [Tracked {
            name: name(),
            policy: &stepping,
            samples,
        }]
    };
    assert_eq!(view(4, &tracked(&busy)).decide(now()).desired, 6);
    assert_eq!(view(19, &tracked(&busy)).decide(now()).desired, 20);
    check(&view(20, &tracked(&busy)), 20, "it may have 1 to 20 tasks");
    assert_eq!(view(10, &tracked(&idle)).decide(now()).desired, 7);
    check(&view(0, &tracked(&idle)), 1, "it must have 1 to 20 tasks");
    check(&view(25, &tracked(&busy)), 20, "it must have 1 to 20 tasks");
}

#[test]
fn during_a_cooldown_only_more_than_was_added_adds_to_it() {
    let policy = policy(50.0);
    let (same, more) = (samples(&[100.0; 3]), samples(&[100.0, 100.0, 150.0]));
    let cooling = |samples, minutes_ago| {
        let policies = [Tracked {
            name: name(),
            policy: &policy,
            samples,
        }];
        View {
            last: Some(activity(4, 8, 4, minutes_ago)),
            ..view(8, &policies)
        }
        .decide(now())
    };
    // Of the four that ran then each was twice as busy as it should be: the four that were added are for that.
    let verdict = cooling(&same, 2);
    assert_eq!(verdict.desired, 8);
    assert_eq!(
        verdict.reason.to_string(),
        "the last change is to show its effect until 1970-01-01T01:43:00.000Z"
    );
    assert_eq!(cooling(&more, 2).desired, 12);
    assert_eq!(cooling(&same, 6).desired, 16);
}

#[test]
fn tasks_are_added_though_others_were_just_taken_away_and_not_the_other_way_round() {
    let policy = policy(50.0);
    let (busy, idle) = (samples(&[100.0; 15]), samples(&[10.0; 15]));
    let after = |samples, last| {
        let policies = [Tracked {
            name: name(),
            policy: &policy,
            samples,
        }];
        View {
            last: Some(last),
            ..view(5, &policies)
        }
        .decide(now())
        .desired
    };
    assert_eq!(after(&busy, activity(8, 5, 8, 1)), 10);
    assert_eq!(after(&idle, activity(8, 5, 8, 1)), 5);
    assert_eq!(after(&idle, activity(3, 5, 3, 1)), 5);
    assert_eq!(after(&idle, activity(8, 5, 8, 6)), 1);
}

#[test]
fn what_does_not_run_is_not_measured() {
    let policy = policy(50.0);
    let busy = samples(&[100.0; 3]);
    let policies = [Tracked {
        name: name(),
        policy: &policy,
        samples: &busy,
    }];
    let starting = View {
        running: 0,
        ..view(4, &policies)
    };
    check(&starting, 4, "no task runs that could be measured");
}

#[test]
fn samples_that_are_not_whole_add_tasks_and_take_none_away() {
    let policy = policy(50.0);
    let partly = |values: &[f64]| {
        let mut samples = samples(values);
        samples[1].whole = false;
        samples
    };
    let decided = |samples: &[Sample]| {
        let policies = [Tracked {
            name: name(),
            policy: &policy,
            samples,
        }];
        view(4, &policies).decide(now())
    };
    assert_eq!(decided(&partly(&[100.0; 3])).desired, 8);
    let idle = decided(&partly(&[10.0; 15]));
    assert_eq!(idle.desired, 4);
    assert!(
        matches!(idle.reason, Reason::Stays(Obstacle::Unknown { known: 14, .. })),
        "{idle:?}"
    );
}

#[test]
fn what_is_suspended_is_not_done() {
    let policy = policy(50.0);
    let (busy, idle) = (samples(&[100.0; 15]), samples(&[10.0; 15]));
    let decided = |samples: &[Sample], scale_in, scale_out| {
        let policies = [Tracked {
            name: name(),
            policy: &policy,
            samples,
        }];
        let suspended = Suspended {
            scale_in,
            scale_out,
            scheduled: false,
        };
        View {
            suspended,
            ..view(4, &policies)
        }
        .decide(now())
        .desired
    };
    assert_eq!([decided(&busy, true, false), decided(&busy, false, true)], [8, 4]);
    assert_eq!([decided(&idle, true, false), decided(&idle, false, true)], [4, 1]);
}

#[test]
fn periods_are_as_long_as_they_are_said_to_be() {
    let policy = policy(50.0);
    let second = |age: i64, value| Sample {
        at: Timestamp::from_millis(NOW - age * 1000 - 500),
        value,
        whole: true,
    };
    let samples: Vec<Sample> = (0..15).map(|age| second(age, 10.0)).collect();
    let policies = [Tracked {
        name: name(),
        policy: &policy,
        samples: &samples,
    }];
    let seconds = View {
        period: Duration::from_secs(1),
        ..view(4, &policies)
    };
    let says = "ECSServiceAverageCPUUtilization has been below 45 for 15 s; at 10.0 with 4 running tasks it takes 1";
    check(&seconds, 1, says);
    assert_eq!(
        view(4, &policies).decide(now()).desired,
        4,
        "a quarter of a minute is not one of an hour"
    );
}

fn tracking() -> impl Strategy<Value = (TargetTracking, Vec<Sample>)> {
    let value = prop_oneof![8 => 0.0..200.0, 1 => Just(f64::NAN)];
    let sample = (0_i64..20 * MINUTE, value).prop_map(|(age, value)| Sample {
        at: Timestamp::from_millis(NOW - age),
        value,
        whole: age % 7 > 0,
    });
    let steps = (prop::option::of(1_u32..5), prop::option::of(1_u32..5));
    let samples = prop::collection::vec(sample, 0..60);
    (1.0..150.0, any::<bool>(), steps, samples).prop_map(|(target, disable_scale_in, steps, samples)| {
        let policy = TargetTracking {
            disable_scale_in,
            most_out: steps.0,
            most_in: steps.1,
            ..policy(target)
        };
        (policy, samples)
    })
}

proptest! {
    #[test]
    fn a_verdict_keeps_its_bounds_and_steps_and_gives_its_reason(
        tracked in prop::collection::vec(tracking(), 0..4),
        (desired, running) in (0_u32..40, 0_u32..40),
        (min, room) in (0_u32..10, 0_u32..20),
        deploying in any::<bool>(),
        last in prop::option::of((0_u32..20, 0_u32..20, 0_u32..20, 0_i64..10)),
    ) {
        let policies: Vec<Tracked<'_>> =
            tracked.iter().map(|(policy, samples)| Tracked { name: name(), policy, samples }).collect();
        let capacity = Capacity { min, max: min + room };
        let view = View {
            desired,
            running,
            deploying,
            capacity,
            suspended: Suspended::default(),
            period: PERIOD,
            policies: &policies,
            last: last.map(|(from, to, running, ago)| activity(from, to, running, ago)),
        };
        let verdict = view.decide(now());
        let inside = (capacity.min..=capacity.max).contains(&desired);
        if inside {
            prop_assert!((capacity.min..=capacity.max).contains(&verdict.desired));
        }
        match &verdict.reason {
            Reason::Bounds(_) => prop_assert!(!inside && verdict.desired == capacity.nearest(desired)),
            Reason::Out(change) => {
                prop_assert!(verdict.desired > desired && verdict.desired <= change.needed);
                let step = policies.iter().map(|tracked| tracked.policy.most_out.unwrap_or(u32::MAX)).max();
                prop_assert!(verdict.desired - desired <= step.unwrap_or(0));
            }
            Reason::In(change) => {
                prop_assert!(verdict.desired < desired && verdict.desired >= change.needed.min(desired));
                prop_assert!(!deploying, "fewer tasks during a deployment");
                let of = |tracked: &&Tracked<'_>| !tracked.policy.disable_scale_in;
                let step = policies.iter().filter(of).map(|tracked| tracked.policy.most_in.unwrap_or(u32::MAX)).min();
                prop_assert!(desired - verdict.desired <= step.unwrap_or(0));
            }
            Reason::Stays(_) => prop_assert_eq!(verdict.desired, desired),
        }
        prop_assert!(!verdict.reason.to_string().is_empty());
    }

    /// Under a steady load the count comes to rest, with the metric at its target or below, and not far below.
    #[test]
    fn a_steady_load_brings_the_count_to_rest(load in 1.0..900.0, begin in 1_u32..20, target in 20.0..80.0) {
        let policy = policy(target);
        let capacity = Capacity { min: 1, max: 20 };
        let (mut desired, mut last, mut changes) = (begin, None, Vec::new());
        let mut history: Vec<Sample> = Vec::new();
        for minute in 0..240_i64 {
            let now = Timestamp::from_millis(minute * MINUTE);
            // What was asked for a minute ago runs.
            let running = desired;
            history.push(Sample { at: now, value: load / f64::from(running), whole: true });
            let policies = [Tracked { name: name(), policy: &policy, samples: &history }];
            let view = View { last, running, capacity, ..view(desired, &policies) };
            let verdict = view.decide(now);
            if verdict.desired != desired {
                changes.push((minute, verdict.desired));
                let cooldown = Duration::from_secs(300);
                last = Some(Activity { at: now, from: desired, to: verdict.desired, running, cooldown });
                desired = verdict.desired;
            }
        }
        prop_assert!(changes.iter().all(|(minute, _)| *minute < 120), "{changes:?}");
        let value = load / f64::from(desired);
        prop_assert!(value <= target || desired == capacity.max, "{value} with {desired} tasks");
        // One task fewer would be too few, or the metric is not well below.
        let fewer = load / f64::from(desired.max(2) - 1);
        let snug = fewer > target || value >= target * WELL_BELOW || desired == capacity.min;
        prop_assert!(snug, "{value} with {desired} tasks of {target}");
    }
}
