//! `berth autoscaling`.

use berth_proto::v1::{ScalingActivity, TargetTracking};

use crate::berth::berth;
use crate::fake::{Fake, service};

#[test]
fn bounds_and_policies_are_asked_for_as_they_are_said() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let words = "autoscaling set web --min 2 --max 10 --cpu 60 --requests 1000 --connections 50 --query-target 7.5 \
                 --scale-out-cooldown 90s --scale-in-cooldown 10m --most-out 3 --most-in 1 --no-scale-in --suspend in";
    let mut words: Vec<&str> = words.split_whitespace().collect();
    words.extend(["--query", "sum(queue_length) / 8"]);
    let ran = berth(&fake.url, &words)?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let state = fake.state();
    let target = &state.scalable_targets[0];
    assert_eq!(
        (
            target.service_namespace(),
            target.resource_id(),
            target.scalable_dimension()
        ),
        ("ecs", "service/default/web", "ecs:service:DesiredCount")
    );
    assert_eq!((target.min_capacity, target.max_capacity), (Some(2), Some(10)));
    let suspended = target.suspended_state.unwrap_or_default();
    assert_eq!(
        (
            suspended.dynamic_scaling_in_suspended,
            suspended.dynamic_scaling_out_suspended
        ),
        (Some(true), Some(false))
    );
    let names: Vec<&str> = state.policies.iter().map(|policy| policy.policy_name()).collect();
    assert_eq!(names, ["cpu", "requests", "connections", "query"]);
    for policy in &state.policies {
        let tracking = policy.target_tracking.clone().unwrap_or_default();
        assert_eq!(policy.policy_type(), "TargetTrackingScaling");
        assert_eq!((tracking.scale_out_cooldown(), tracking.scale_in_cooldown()), (90, 600));
        assert_eq!(
            (tracking.maximum_scale_out_step(), tracking.maximum_scale_in_step()),
            (3, 1)
        );
        assert!(tracking.disable_scale_in());
    }
    let metric = |tracking: &TargetTracking| {
        let predefined = tracking.predefined_metric.clone().unwrap_or_default();
        (predefined.predefined_metric_type().to_owned(), tracking.target_value())
    };
    let metrics: Vec<_> = state
        .policies
        .iter()
        .filter_map(|policy| policy.target_tracking.as_ref())
        .map(metric)
        .collect();
    assert_eq!(metrics[0], ("ECSServiceAverageCPUUtilization".to_owned(), 60.0));
    assert_eq!(metrics[1], ("ALBRequestCountPerTarget".to_owned(), 1000.0));
    let query = state.policies[3].target_tracking.clone().unwrap_or_default();
    let customized = query.customized_metric.unwrap_or_default();
    assert_eq!(
        (customized.namespace(), customized.metric_name()),
        ("Prometheus", "sum(queue_length) / 8")
    );
    assert_eq!(query.target_value, Some(7.5));
    Ok(())
}

#[test]
fn what_says_nothing_changes_nothing() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    for (words, says) in [
        (&["autoscaling", "set", "web"][..], "nothing is set"),
        (
            &["autoscaling", "set", "web", "--min", "1", "--most-in", "1"][..],
            "name one, such as --cpu 60",
        ),
    ] {
        let ran = berth(&fake.url, words)?;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains(says), "{ran:?}");
    }
    assert!(fake.state().scalable_targets.is_empty());
    let ran = berth(&fake.url, &["autoscaling", "set", "web", "--query", "up"])?;
    assert_eq!(ran.code, Some(2), "a query needs a target: {ran:?}");
    Ok(())
}

#[test]
fn services_that_are_scaled_are_listed_from_all_pages_of_the_cluster() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    for name in ["a", "b", "c"] {
        let ran = berth(
            &fake.url,
            &["autoscaling", "set", name, "--min", "1", "--max", "4", "--cpu", "60"],
        )?;
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let ran = berth(&fake.url, &["autoscaling", "list"])?;
    assert_eq!(
        ran.stdout,
        "SERVICE  MIN  MAX  SUSPENDED  POLICIES\n\
         a          1    4  -          cpu at 60\n\
         b          1    4  -          cpu at 60\n\
         c          1    4  -          cpu at 60\n"
    );
    let elsewhere = berth(&fake.url, &["autoscaling", "list", "--cluster", "other"])?;
    assert_eq!(elsewhere.stdout, "SERVICE  MIN  MAX  SUSPENDED  POLICIES\n");
    Ok(())
}

#[test]
fn a_service_is_shown_with_what_is_measured_and_what_was_done() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    berth(
        &fake.url,
        &["autoscaling", "set", "web", "--min", "1", "--max", "4", "--cpu", "60"],
    )?;
    if let Some(web) = fake.state().scaling.get_mut("service/default/web") {
        (web.desired_count, web.running_count) = (3, 2);
        web.verdict = Some("nothing asks for another count".to_owned());
        web.activities = vec![ScalingActivity {
            status_code: "InProgress".to_owned(),
            description: "Setting desired count to 3.".to_owned(),
            cause: "policy cpu: it was busy".to_owned(),
            ..Default::default()
        }];
    }
    let ran = berth(&fake.url, &["autoscaling", "show", "web"])?;
    for line in [
        "Tasks      2 running of 3\n",
        "Bounds     1 to 4\n",
        "Verdict    nothing asks for another count\n",
        "cpu     metric      60   41.2  -         every 0 s  every 0 s  -\n",
        "InProgress  Setting desired count to 3.  policy cpu: it was busy\n",
    ] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
    fake.state().services = vec![service("web", Vec::new())];
    let shown = berth(&fake.url, &["services", "show", "web"])?;
    assert!(
        shown.stdout.contains("1 to 4 tasks; cpu at 60, is 41.2\n"),
        "{}",
        shown.stdout
    );
    Ok(())
}

#[test]
fn a_policy_or_all_of_it_is_deleted() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    berth(
        &fake.url,
        &[
            "autoscaling",
            "set",
            "web",
            "--min",
            "1",
            "--max",
            "4",
            "--cpu",
            "60",
            "--memory",
            "70",
        ],
    )?;
    let ran = berth(&fake.url, &["autoscaling", "delete", "web", "--policy", "cpu"])?;
    assert_eq!(ran.stdout, "policy cpu of web deleted\n");
    let left: Vec<String> = fake.state().scaling["service/default/web"]
        .policies
        .iter()
        .map(|policy| policy.policy_name.clone())
        .collect();
    assert_eq!(left, ["memory"]);
    let ran = berth(&fake.url, &["autoscaling", "delete", "web"])?;
    assert_eq!(ran.stdout, "web is no longer scaled\n");
    let ran = berth(&fake.url, &["autoscaling", "delete", "web"])?;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    Ok(())
}
