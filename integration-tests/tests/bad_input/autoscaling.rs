//! Requests of Application Auto Scaling that must be refused, with one class and text on both wires.

use anyhow::{Result, bail, ensure};
use berth_integration_tests::ecs::{SCALING_PREFIX, fault};
use berth_integration_tests::grpc::{self, Client};
use berth_proto::v1;
use serde_json::{Value, json};

use super::{Alone, Case, case, encode};

const INVALID: &str = "ValidationException";
const NOT_FOUND: &str = "ObjectNotFoundException";

/// Sends all cases over both wires and reports all that went wrong together.
pub(super) fn refuse_all(alone: &Alone) -> Result<()> {
    alone.ecs.call(
        "CreateService",
        &json!({"cluster": "here", "serviceName": "scaled", "taskDefinition": "good", "desiredCount": 0}),
    )?;
    let register = with(&json!({"MinCapacity": 0, "MaxCapacity": 2}));
    alone.ecs.call_scaling("RegisterScalableTarget", &register)?;
    let client = Client::new(alone.ecs.address())?;
    let mut wrong = Vec::new();
    for case in cases() {
        let target = format!("{SCALING_PREFIX}{}", case.operation);
        let refused = fault(&alone.ecs.send(Some(&target), case.input.to_string().as_bytes())?)?;
        wrong.extend(case.complaint("JSON", &refused.class, &refused.message));
        let path = format!("/berth.v1.AutoScaling/{}", case.operation);
        match client.call(&path, message(case.operation, &case.input)?)? {
            Ok(_) => wrong.push(format!("gRPC {} {} succeeded", case.operation, case.input)),
            Err(status) => {
                let class = grpc::fault_class(&status);
                wrong.extend(case.complaint("gRPC", class, status.message()));
                if status.message() != refused.message {
                    wrong.push(format!(
                        "{} says '{}' and '{}'",
                        case.operation,
                        refused.message,
                        status.message()
                    ));
                }
            }
        }
        alone.check_serves()?;
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    alone.ecs.call_scaling("DeregisterScalableTarget", &with(&json!({})))?;
    Ok(())
}

/// What names the service, with further members.
fn with(more: &Value) -> Value {
    let mut input = json!({
        "ServiceNamespace": "ecs", "ResourceId": "service/here/scaled", "ScalableDimension": "ecs:service:DesiredCount",
    });
    for (member, value) in more.as_object().into_iter().flatten() {
        input[member] = value.clone();
    }
    input
}

fn cases() -> Vec<Case> {
    let mut cases = targets();
    cases.extend(policies());
    cases
}

fn targets() -> Vec<Case> {
    let register = |more: Value, says| case("RegisterScalableTarget", with(&more), INVALID, says);
    vec![
        case(
            "RegisterScalableTarget",
            json!({}),
            INVALID,
            "ServiceNamespace can not be empty.",
        ),
        register(json!({"ServiceNamespace": "rds"}), "Unsupported service namespace"),
        register(
            json!({"ScalableDimension": "ecs:service:Other"}),
            "Unsupported service namespace",
        ),
        register(
            json!({"ResourceId": "scaled"}),
            "ResourceId 'scaled' must be service/CLUSTER/SERVICE.",
        ),
        register(json!({"ResourceId": "service/he re/x"}), "clusterName"),
        register(
            json!({"ResourceId": "service/here/ghost"}),
            "ECS service doesn't exist: service/here/ghost",
        ),
        register(
            json!({"MinCapacity": -1}),
            "MinCapacity is -1; it must be between 0 and 5000.",
        ),
        register(json!({"MaxCapacity": 5001}), "MaxCapacity is 5001"),
        register(
            json!({"MinCapacity": 3}),
            "Maximum capacity cannot be less than minimum capacity",
        ),
        register(json!({"Tags": {"a": "b"}}), "Tags is not supported by this scheduler."),
        case(
            "DeregisterScalableTarget",
            with(&json!({"ResourceId": "service/here/ghost"})),
            NOT_FOUND,
            "No scalable target found for service namespace: ecs, resource ID: service/here/ghost",
        ),
        case(
            "DescribeScalableTargets",
            json!({}),
            INVALID,
            "ServiceNamespace can not be empty.",
        ),
        case(
            "DescribeScalableTargets",
            json!({"ServiceNamespace": "ecs", "MaxResults": 0}),
            INVALID,
            "maxResults 0",
        ),
        case(
            "DescribeScalingActivities",
            with(&json!({"IncludeNotScaledActivities": true})),
            INVALID,
            "IncludeNotScaledActivities is not supported",
        ),
    ]
}

fn policies() -> Vec<Case> {
    let put = |name: &str, tracking: Value, says| {
        let more = json!({
            "PolicyName": name, "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": tracking,
        });
        case("PutScalingPolicy", with(&more), INVALID, says)
    };
    let cpu = json!({"PredefinedMetricType": "ECSServiceAverageCPUUtilization"});
    let metric = |specification: Value| json!({"TargetValue": 1, "PredefinedMetricSpecification": specification});
    let query = |specification: Value| json!({"TargetValue": 1, "CustomizedMetricSpecification": specification});
    vec![
        case(
            "PutScalingPolicy",
            with(&json!({})),
            INVALID,
            "PolicyType can not be empty.",
        ),
        case(
            "PutScalingPolicy",
            with(&json!({"PolicyName": "p", "PolicyType": "StepScaling"})),
            INVALID,
            "PolicyType 'StepScaling' should be one of [TargetTrackingScaling].",
        ),
        put("", metric(cpu.clone()), "PolicyName can not be empty."),
        put("a\nb", metric(cpu.clone()), "PolicyName"),
        put(
            "p",
            json!({"TargetValue": 1}),
            "Exactly one of PredefinedMetricSpecification",
        ),
        put(
            "p",
            metric(json!({"PredefinedMetricType": "Other"})),
            "PredefinedMetricType 'Other' should be one of",
        ),
        put(
            "p",
            json!({"PredefinedMetricSpecification": cpu}),
            "TargetValue must be given.",
        ),
        put(
            "p",
            json!({"TargetValue": -3, "PredefinedMetricSpecification": cpu}),
            "TargetValue is -3; it must be a number greater than 0.",
        ),
        put(
            "p",
            json!({"TargetValue": 1, "ScaleInCooldown": 90_000, "PredefinedMetricSpecification": cpu}),
            "ScaleInCooldown is 90000; it must be between 0 and 86400.",
        ),
        put(
            "p",
            metric(
                json!({"PredefinedMetricType": "ALBRequestCountPerTarget", "ResourceLabel": "app/x/1/targetgroup/y/2"}),
            ),
            "ResourceLabel 'app/x/1/targetgroup/y/2' must end with",
        ),
        put(
            "p",
            query(json!({"Namespace": "AWS/ECS", "MetricName": "x"})),
            "should be one of [Prometheus]",
        ),
        put(
            "p",
            query(json!({"Namespace": "Prometheus", "MetricName": "up"})),
            "knows no Prometheus",
        ),
        put(
            "p",
            query(json!({"Metrics": [{"Id": "a"}]})),
            "CustomizedMetricSpecification.Metrics is not supported",
        ),
        case(
            "DeleteScalingPolicy",
            with(&json!({"PolicyName": "p"})),
            NOT_FOUND,
            "No scaling policy 'p' found for service namespace: ecs",
        ),
    ]
}

fn message(operation: &str, input: &Value) -> Result<Vec<u8>> {
    match operation {
        "RegisterScalableTarget" => encode::<v1::RegisterScalableTargetRequest>(input),
        "DeregisterScalableTarget" => encode::<v1::DeregisterScalableTargetRequest>(input),
        "DescribeScalableTargets" => encode::<v1::DescribeScalableTargetsRequest>(input),
        "PutScalingPolicy" => encode::<v1::PutScalingPolicyRequest>(input),
        "DeleteScalingPolicy" => encode::<v1::DeleteScalingPolicyRequest>(input),
        "DescribeScalingActivities" => encode::<v1::DescribeScalingActivitiesRequest>(input),
        _ => bail!("no message for {operation}"),
    }
}
