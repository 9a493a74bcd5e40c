//! `aws application-autoscaling`, as users of ECS type it.

use anyhow::{Result, ensure};

use super::{CLUSTER, Demo, text};

const TRACKING: &str = r#"{"TargetValue": 60, "PredefinedMetricSpecification":
    {"PredefinedMetricType": "ECSServiceAverageMemoryUtilization"}, "ScaleInCooldown": 60}"#;

pub(super) fn a_service_is_scaled_through_the_cli(demo: &Demo) -> Result<()> {
    let aws = &demo.aws;
    let definition = r#"[{"name": "main", "image": "busybox", "memory": 16, "command": ["sleep", "600"]}]"#;
    aws.ecs(&[
        "register-task-definition",
        "--family",
        "typed",
        "--container-definitions",
        definition,
    ])?;
    let service = [
        "create-service",
        "--cluster",
        CLUSTER,
        "--service-name",
        "typed",
        "--task-definition",
        "typed",
    ];
    aws.ecs(&[&service[..], &["--desired-count", "0"]].concat())?;
    let resource = format!("service/{CLUSTER}/typed");
    let typed = |operation: &str, more: &[&str]| {
        let mut args = vec![operation, "--service-namespace", "ecs", "--resource-id", &resource];
        args.extend(["--scalable-dimension", "ecs:service:DesiredCount"]);
        args.extend(more);
        aws.autoscaling(&args)
    };
    typed(
        "register-scalable-target",
        &["--min-capacity", "0", "--max-capacity", "3"],
    )?;
    let policy = ["--policy-name", "memory", "--policy-type", "TargetTrackingScaling"];
    let configuration = ["--target-tracking-scaling-policy-configuration", TRACKING];
    let put = typed("put-scaling-policy", &[&policy[..], &configuration].concat())?;
    ensure!(text(&put, "/PolicyARN")?.ends_with(":policyName/memory"), "{put}");

    let targets = [
        "describe-scalable-targets",
        "--service-namespace",
        "ecs",
        "--resource-ids",
        &resource,
    ];
    let targets = aws.autoscaling(&targets)?;
    assert_eq!(targets["ScalableTargets"][0]["MaxCapacity"], 3, "{targets}");
    let policies = typed("describe-scaling-policies", &[])?;
    let described = &policies["ScalingPolicies"][0]["TargetTrackingScalingPolicyConfiguration"];
    assert_eq!(
        (&described["ScaleOutCooldown"], &described["ScaleInCooldown"]),
        (&300.into(), &60.into())
    );
    let activities = typed("describe-scaling-activities", &[])?;
    ensure!(activities["ScalingActivities"].is_array(), "{activities}");

    let wrong = [
        "register-scalable-target",
        "--service-namespace",
        "dynamodb",
        "--resource-id",
        "table/x",
    ];
    let wrong = [
        &wrong[..],
        &["--scalable-dimension", "dynamodb:table:ReadCapacityUnits"],
    ]
    .concat();
    let failed = aws.autoscaling_fails(&wrong)?;
    let says = "(ValidationException) when calling the RegisterScalableTarget operation: Unsupported service namespace";
    ensure!(failed.stderr.contains(says), "{}", failed.stderr);

    typed("delete-scaling-policy", &["--policy-name", "memory"])?;
    typed("deregister-scalable-target", &[])?;
    aws.ecs(&["delete-service", "--cluster", CLUSTER, "--service", "typed", "--force"])?;
    Ok(())
}
