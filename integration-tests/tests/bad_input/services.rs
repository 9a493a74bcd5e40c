//! Requests for services that must be refused.

use serde_json::{Value, json};

use super::{Case, case};

const INVALID: &str = "InvalidParameterException";
const CLIENT: &str = "ClientException";
const EITHER: &str = "ClientException|InvalidParameterException";
const UNSUPPORTED: &str = "UnsupportedFeatureException";
const NOT_FOUND: &str = "ServiceNotFoundException";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = creations();
    cases.extend(elsewhere());
    cases.extend(percents());
    cases.extend(load_balancers());
    cases.extend(tags());
    cases.extend(others());
    cases.extend(external());
    cases.extend(task_sets());
    cases
}

/// A CreateService in `here` with further members.
fn create(more: &Value, class: &'static str, says: &str) -> Case {
    let mut input = json!({"cluster": "here", "serviceName": "s", "taskDefinition": "good", "desiredCount": 1});
    for (member, value) in more.as_object().into_iter().flatten() {
        input[member] = value.clone();
    }
    case("CreateService", input, class, says)
}

fn creations() -> Vec<Case> {
    let daemon = |mut more: Value| {
        more["schedulingStrategy"] = "DAEMON".into();
        more
    };
    vec![
        create(&json!({"serviceName": null}), EITHER, "serviceName"),
        create(&json!({"serviceName": "two words"}), INVALID, "two words"),
        create(&json!({"serviceName": "x".repeat(256)}), INVALID, "serviceName"),
        create(&json!({"taskDefinition": null}), EITHER, "taskDefinition"),
        create(&json!({"taskDefinition": "ghost"}), CLIENT, "TaskDefinition not found."),
        create(
            &json!({"taskDefinition": "gone:1"}),
            EITHER,
            "TaskDefinition is inactive",
        ),
        create(
            &json!({"cluster": "ghost"}),
            "ClusterNotFoundException",
            "Cluster not found.",
        ),
        create(&json!({"desiredCount": null}), INVALID, "DesiredCount is missing"),
        create(&json!({"desiredCount": -1}), INVALID, "-1"),
        create(&json!({"desiredCount": 5001}), INVALID, "5001"),
        create(&json!({"schedulingStrategy": "SOME"}), INVALID, "SOME"),
        create(&daemon(json!({})), INVALID, "desired count"),
        create(
            &daemon(json!({"desiredCount": null, "placementStrategy": [{"type": "random"}]})),
            INVALID,
            "placement strategies",
        ),
        create(&json!({"launchType": "MOON"}), INVALID, "launch type should be one of"),
        create(&json!({"healthCheckGracePeriodSeconds": -1}), INVALID, "-1"),
        create(&json!({"clientToken": "x".repeat(37)}), INVALID, "36"),
        create(&json!({"clientToken": "two words"}), INVALID, "clientToken"),
        create(&json!({"propagateTags": "ALL"}), INVALID, "ALL"),
        create(
            &json!({"placementConstraints": vec![json!({"type": "distinctInstance"}); 11]}),
            INVALID,
            "placementConstraints has 11 entries",
        ),
        create(
            &json!({"placementConstraints": [{"type": "memberOf", "expression": "attribute:a =="}]}),
            INVALID,
            "expression",
        ),
        create(
            &json!({"placementStrategy": [{"type": "binpack", "field": "disk"}]}),
            INVALID,
            "disk",
        ),
        create(
            &json!({"availabilityZoneRebalancing": "ENABLED", "placementStrategy": [{"type": "random"}]}),
            INVALID,
            "availabilityZoneRebalancing",
        ),
    ]
}

/// What would be done by something that is not there is refused by name.
fn elsewhere() -> Vec<Case> {
    [
        ("serviceRegistries", json!([{"registryArn": "x"}])),
        ("serviceConnectConfiguration", json!({"enabled": true})),
        ("role", json!("x")),
        ("deploymentController", json!({"type": "CODE_DEPLOY"})),
    ]
    .into_iter()
    .map(|(member, value)| create(&json!({member: value}), UNSUPPORTED, member))
    .collect()
}

/// What a service with task sets cannot say itself, and what only the scheduler's own deployments have.
fn external() -> Vec<Case> {
    let external = |mut more: Value| {
        more["deploymentController"] = json!({"type": "EXTERNAL"});
        more
    };
    let alone = |mut more: Value| {
        more["taskDefinition"] = Value::Null;
        external(more)
    };
    let breaker = json!({"deploymentCircuitBreaker": {"enable": true, "rollback": true}});
    vec![
        create(&json!({"deploymentController": {"type": "SOME"}}), INVALID, "SOME"),
        create(&external(json!({})), INVALID, "taskDefinition cannot be specified"),
        create(
            &alone(json!({"launchType": "EC2"})),
            INVALID,
            "launchType cannot be specified",
        ),
        create(
            &alone(json!({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"]}}})),
            INVALID,
            "networkConfiguration cannot be specified",
        ),
        create(
            &alone(json!({"schedulingStrategy": "DAEMON", "desiredCount": null})),
            INVALID,
            "schedulingStrategy DAEMON is not supported with the EXTERNAL deployment controller",
        ),
        create(
            &alone(json!({"deploymentConfiguration": breaker})),
            INVALID,
            "deploymentConfiguration.deploymentCircuitBreaker is not supported",
        ),
        create(
            &alone(json!({"availabilityZoneRebalancing": "ENABLED"})),
            INVALID,
            "availabilityZoneRebalancing ENABLED is not supported",
        ),
    ]
}

/// Requests for task sets.
fn task_sets() -> Vec<Case> {
    let of = |operation: &'static str, more: Value, class: &'static str, says: &str| {
        let mut input = json!({"cluster": "here", "service": "ghost", "taskSet": "ecs-svc/1234567890123456789", "scale": {"value": 1.0}});
        for (member, value) in more.as_object().into_iter().flatten() {
            input[member] = value.clone();
        }
        case(operation, input, class, says)
    };
    let create = |more: Value, class, says: &str| {
        let mut input = json!({"cluster": "here", "service": "ghost", "taskDefinition": "good"});
        for (member, value) in more.as_object().into_iter().flatten() {
            input[member] = value.clone();
        }
        case("CreateTaskSet", input, class, says)
    };
    vec![
        create(json!({"cluster": null}), EITHER, "cluster"),
        create(json!({"service": null}), EITHER, "service"),
        create(json!({"taskDefinition": null}), EITHER, "taskDefinition"),
        create(json!({}), NOT_FOUND, "Service not found."),
        create(
            json!({"scale": {"value": 100.5}}),
            INVALID,
            "scale.value 100.5 should be between 0 and 100.",
        ),
        create(
            json!({"scale": {"value": 1.0, "unit": "TASKS"}}),
            INVALID,
            "scale.unit 'TASKS' should be one of [PERCENT].",
        ),
        create(
            json!({"serviceRegistries": [{"registryArn": "x"}]}),
            UNSUPPORTED,
            "serviceRegistries",
        ),
        create(
            json!({"cluster": "ghost"}),
            "ClusterNotFoundException",
            "Cluster not found.",
        ),
        of("UpdateTaskSet", json!({}), NOT_FOUND, "Service not found."),
        of("UpdateTaskSet", json!({"taskSet": null}), EITHER, "taskSet"),
        of("UpdateTaskSet", json!({"scale": null}), EITHER, "scale"),
        of(
            "UpdateTaskSet",
            json!({"taskSet": "one"}),
            INVALID,
            "Invalid identifier: taskSet 'one'",
        ),
        of(
            "UpdateTaskSet",
            json!({"scale": {"value": -1.0}}),
            INVALID,
            "scale.value -1",
        ),
        of("DeleteTaskSet", json!({"scale": null}), NOT_FOUND, "Service not found."),
        case(
            "DescribeTaskSets",
            json!({"cluster": "here", "service": "ghost", "include": ["ALL"]}),
            INVALID,
            "ALL",
        ),
        case(
            "UpdateServicePrimaryTaskSet",
            json!({"cluster": "here", "service": "ghost", "primaryTaskSet": "ecs-svc/1234567890123456789"}),
            NOT_FOUND,
            "Service not found.",
        ),
    ]
}

fn load_balancers() -> Vec<Case> {
    const GROUP: &str = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/s/http-80";
    let with = |edits: Value| {
        let mut one = json!({"targetGroupArn": GROUP, "containerName": "main", "containerPort": 80});
        for (member, value) in edits.as_object().into_iter().flatten() {
            one[member] = value.clone();
        }
        json!({"loadBalancers": [one]})
    };
    let tagged = |key: &str, value: &str| {
        let mut request = with(json!({}));
        request["tags"] = json!([{"key": key, "value": value}]);
        request
    };
    let foreign = GROUP.replace("000000000000", "999999999999");
    vec![
        create(
            &with(json!({"targetGroupArn": "x"})),
            INVALID,
            "loadBalancers[0].targetGroupArn 'x'",
        ),
        create(&with(json!({"targetGroupArn": foreign})), INVALID, "999999999999"),
        create(
            &with(json!({"targetGroupArn": null})),
            INVALID,
            "targetGroupArn can not be empty",
        ),
        create(&with(json!({"containerName": ""})), INVALID, "containerName"),
        create(&with(json!({"containerPort": 0})), INVALID, "containerPort 0"),
        create(
            &with(json!({"containerPort": null})),
            INVALID,
            "containerPort is missing",
        ),
        create(&with(json!({"loadBalancerName": "classic"})), INVALID, "classic"),
        create(&with(json!({"containerName": "ghost"})), INVALID, "ghost"),
        create(
            &with(json!({"containerPort": 81})),
            INVALID,
            "container port 81 defined",
        ),
        create(&tagged("berth:health-check", "udp"), INVALID, "berth:health-check"),
        create(&tagged("berth:lost-grace", "8d"), INVALID, "berth:lost-grace"),
        create(
            &tagged("berth:deregistration-delay", "2h"),
            INVALID,
            "berth:deregistration-delay",
        ),
        create(
            &json!({"tags": [{"key": "berth:health-check", "value": "tcp"}]}),
            INVALID,
            "loadBalancers",
        ),
    ]
}

fn percents() -> Vec<Case> {
    let configured = |configuration: Value, class, says: &str| {
        create(&json!({"deploymentConfiguration": configuration}), class, says)
    };
    let breaker = |breaker: Value, says: &str| configured(json!({"deploymentCircuitBreaker": breaker}), INVALID, says);
    vec![
        configured(
            json!({"minimumHealthyPercent": 101}),
            INVALID,
            "minimumHealthyPercent 101",
        ),
        configured(json!({"maximumPercent": 99}), INVALID, "maximumPercent 99"),
        configured(
            json!({"minimumHealthyPercent": 100, "maximumPercent": 100}),
            INVALID,
            "will block deployments",
        ),
        configured(
            json!({"strategy": "BLUE_GREEN", "canaryConfiguration": {"canaryPercent": 10}}),
            INVALID,
            "canaryConfiguration",
        ),
        configured(
            json!({"strategy": "CANARY", "canaryConfiguration": {"canaryPercent": 101}}),
            INVALID,
            "canaryPercent 101",
        ),
        configured(
            json!({"strategy": "LINEAR", "linearConfiguration": {"stepBakeTimeInMinutes": -1}}),
            INVALID,
            "stepBakeTimeInMinutes -1",
        ),
        configured(
            json!({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1441}),
            INVALID,
            "bakeTimeInMinutes 1441",
        ),
        configured(
            json!({"strategy": "BLUE_GREEN", "lifecycleHooks": [{"hookTargetArn": "x"}]}),
            UNSUPPORTED,
            "lifecycleHooks",
        ),
        configured(json!({"strategy": "SUDDEN"}), INVALID, "SUDDEN"),
        breaker(json!({"enable": true}), "rollback"),
        breaker(
            json!({"enable": true, "rollback": true, "thresholdConfiguration": {"type": "SOME", "value": 1}}),
            "SOME",
        ),
        breaker(
            json!({"enable": true, "rollback": true, "thresholdConfiguration": {"type": "COUNT", "value": 0}}),
            "thresholdConfiguration.value 0",
        ),
    ]
}

fn tags() -> Vec<Case> {
    const SERVICE: &str = "arn:aws:ecs:us-east-1:000000000000:service/here/ghost";
    let of_nobody = |kind: &str| format!("arn:aws:ecs:us-east-1:000000000000:{kind}/here/{}", "0".repeat(32));
    let tag = |arn: &str, tags: Value, class, says| {
        let input = json!({"resourceArn": arn, "tags": tags});
        case("TagResource", input, class, says)
    };
    let one = || json!([{"key": "a", "value": "b"}]);
    vec![
        case("TagResource", json!({"tags": one()}), EITHER, "resourceArn"),
        tag("nonsense", one(), INVALID, "The ARN provided is invalid."),
        tag(
            &SERVICE.replace("000000000000", "999999999999"),
            one(),
            INVALID,
            "AccountIDs",
        ),
        tag(SERVICE, one(), "ResourceNotFoundException", "ghost"),
        tag(
            &SERVICE.replace("here", "nowhere"),
            one(),
            "ClusterNotFoundException",
            "Cluster not found.",
        ),
        tag(
            "arn:aws:ecs:us-east-1:000000000000:task-definition/good",
            one(),
            EITHER,
            "Revision is missing.",
        ),
        tag(
            "arn:aws:ecs:us-east-1:000000000000:task-definition/good:99",
            one(),
            "ResourceNotFoundException",
            "there is no task definition good:99",
        ),
        tag(
            &of_nobody("task"),
            one(),
            "ResourceNotFoundException",
            "cluster here has no task",
        ),
        tag(
            &of_nobody("container-instance"),
            one(),
            "ResourceNotFoundException",
            "cluster here has no container instance",
        ),
        tag(SERVICE, json!([]), INVALID, "tags can not be empty"),
        tag(SERVICE, json!([{"key": "aws:x"}]), INVALID, "aws:x"),
        case(
            "UntagResource",
            json!({"resourceArn": SERVICE, "tagKeys": []}),
            INVALID,
            "tagKeys can not be empty",
        ),
        case(
            "ListTagsForResource",
            json!({"resourceArn": SERVICE}),
            "ResourceNotFoundException",
            "ghost",
        ),
    ]
}

fn others() -> Vec<Case> {
    let in_here = |mut input: Value| {
        input["cluster"] = "here".into();
        input
    };
    let many: Vec<String> = (0..11).map(|at| format!("s{at}")).collect();
    vec![
        case(
            "UpdateService",
            in_here(json!({"service": "ghost", "desiredCount": 1})),
            NOT_FOUND,
            "Service not found.",
        ),
        case("UpdateService", in_here(json!({"desiredCount": 1})), EITHER, "service"),
        case(
            "UpdateService",
            in_here(json!({"service": "ghost", "loadBalancers": [{"targetGroupArn": "x"}]})),
            INVALID,
            "loadBalancers[0]",
        ),
        case(
            "UpdateService",
            in_here(json!({"service": "arn:aws:ecs:nonsense"})),
            INVALID,
            "arn:aws:ecs:nonsense",
        ),
        case(
            "DeleteService",
            in_here(json!({"service": "ghost"})),
            NOT_FOUND,
            "Service not found.",
        ),
        case(
            "DescribeServices",
            in_here(json!({"services": []})),
            INVALID,
            "Services cannot be empty.",
        ),
        case(
            "DescribeServices",
            in_here(json!({"services": many})),
            INVALID,
            "services",
        ),
        case(
            "DescribeServices",
            in_here(json!({"services": ["s"], "include": ["ALL"]})),
            INVALID,
            "include",
        ),
        case("ListServices", in_here(json!({"maxResults": 0})), INVALID, "maxResults"),
        case(
            "ListServices",
            in_here(json!({"nextToken": "made up"})),
            INVALID,
            "nextToken",
        ),
        case(
            "ListServices",
            in_here(json!({"schedulingStrategy": "SOME"})),
            INVALID,
            "SOME",
        ),
        case(
            "ListTasks",
            in_here(json!({"serviceName": "ghost"})),
            NOT_FOUND,
            "Service not found.",
        ),
        case(
            "ListServiceDeployments",
            in_here(json!({"service": "ghost"})),
            NOT_FOUND,
            "Service not found.",
        ),
        case(
            "ListServiceDeployments",
            in_here(json!({"service": "ghost", "status": ["SAD"]})),
            INVALID,
            "SAD",
        ),
        case(
            "DescribeServiceDeployments",
            json!({"serviceDeploymentArns": []}),
            INVALID,
            "serviceDeploymentArns",
        ),
        case(
            "DescribeServiceDeployments",
            json!({"serviceDeploymentArns": ["nonsense"]}),
            INVALID,
            "nonsense",
        ),
        case(
            "DescribeServiceRevisions",
            json!({"serviceRevisionArns": ["nonsense"]}),
            INVALID,
            "nonsense",
        ),
        case(
            "StopServiceDeployment",
            json!({"serviceDeploymentArn": "nonsense"}),
            INVALID,
            "nonsense",
        ),
        case("StopServiceDeployment", json!({}), EITHER, "serviceDeploymentArn"),
    ]
}
