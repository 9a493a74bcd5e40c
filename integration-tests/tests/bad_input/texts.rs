//! The error texts of ECS that clients match on, each with what produces it here, or why nothing does.
//!
//! The list is that of public traces and of clients' code; a text that ECS changes is changed here first.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::files;
use serde_json::{Value, json};

use super::{Alone, Case, case, refuse_all, registration};

const CLIENT: &str = "ClientException";
const INVALID: &str = "InvalidParameterException";
const CLUSTER: &str = "texts";
/// The form of an id that nothing has.
const NOBODY: &str = "0123456789abcdef0123456789abcdef";

/// Where what the scheduler says is written.
const SOURCES: [&str; 3] = ["model/src", "scheduler/src", "scheduler/core/src"];

/// What produces a text.
enum By {
    /// A request, over both wires.
    Request(Case),
    /// A test, in this file, that has the text; it needs hosts.
    Test(&'static str),
    /// Nothing, for this reason.
    Nothing(&'static str),
}

struct Text {
    says: &'static str,
    by: By,
}

/// Sends every request of the table, and looks for every other text where it says.
pub(super) fn check(alone: &Alone) -> Result<()> {
    prepare(alone)?;
    let (mut requests, mut wrong) = (Vec::new(), Vec::new());
    for Text { says, by } in texts() {
        match by {
            By::Request(case) => requests.push(case),
            By::Test(path) => {
                let file = files::workspace().join(path);
                let text = fs::read_to_string(&file).with_context(|| format!("read {path}"))?;
                if !text.contains(says) {
                    wrong.push(format!("{path} has no test of: {says}"));
                }
            }
            By::Nothing(reason) => {
                for source in SOURCES {
                    if said(&files::workspace().join(source), says)? {
                        wrong.push(format!("{source} has, though {reason}: {says}"));
                    }
                }
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    refuse_all(alone, &requests)
}

/// Whether a Rust file under the directory has the text.
fn said(directory: &Path, text: &str) -> Result<bool> {
    let entries = fs::read_dir(directory).with_context(|| format!("read {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        let has = if path.is_dir() {
            said(&path, text)?
        } else {
            path.extension().is_some_and(|kind| kind == "rs") && fs::read_to_string(&path)?.contains(text)
        };
        if has {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A cluster of its own, with a service that is scaled above 0 and one that is gone; and a cluster that is gone.
fn prepare(alone: &Alone) -> Result<()> {
    let call = |operation: &str, input: Value| alone.ecs.call(operation, &input);
    call("CreateCluster", json!({"clusterName": CLUSTER}))?;
    call("CreateCluster", json!({"clusterName": "left"}))?;
    call("DeleteCluster", json!({"cluster": "left"}))?;
    for (service, desired) in [("scaled", 1), ("gone", 0)] {
        call(
            "CreateService",
            json!({"cluster": CLUSTER, "serviceName": service, "taskDefinition": "good", "desiredCount": desired}),
        )?;
    }
    call("DeleteService", json!({"cluster": CLUSTER, "service": "gone"}))?;
    call("RegisterTaskDefinition", fargate(&json!({"family": "addressed"})))?;
    Ok(())
}

/// A definition that Fargate's table has, with other members.
fn fargate(more: &Value) -> Value {
    let mut definition = json!({
        "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "containerDefinitions": [{"name": "main", "image": "busybox"}],
    });
    for (member, value) in more.as_object().into_iter().flatten() {
        definition[member] = value.clone();
    }
    definition
}

/// A text that a request produces.
fn request(operation: &'static str, input: Value, class: &'static str, says: &'static str) -> Text {
    let by = By::Request(case(operation, input, class, says));
    Text { says, by }
}

/// The same of a request in the cluster of this table.
fn here(operation: &'static str, mut input: Value, class: &'static str, says: &'static str) -> Text {
    input["cluster"] = CLUSTER.into();
    request(operation, input, class, says)
}

/// A registration of the good definition with members of its container replaced.
fn container(more: &Value, says: &'static str) -> Text {
    let mut definition = registration::good("spoilt");
    for (member, value) in more.as_object().into_iter().flatten() {
        definition["containerDefinitions"][0][member] = value.clone();
    }
    request("RegisterTaskDefinition", definition, CLIENT, says)
}

/// The same with members of the definition replaced.
fn task(more: &Value, class: &'static str, says: &'static str) -> Text {
    let mut definition = registration::good("spoilt");
    for (member, value) in more.as_object().into_iter().flatten() {
        definition[member] = value.clone();
    }
    request("RegisterTaskDefinition", definition, class, says)
}

fn test(says: &'static str, path: &'static str) -> Text {
    let by = By::Test(path);
    Text { says, by }
}

fn nothing(says: &'static str, reason: &'static str) -> Text {
    let by = By::Nothing(reason);
    Text { says, by }
}

fn texts() -> Vec<Text> {
    let mut texts = clusters_and_services();
    texts.extend(tasks());
    texts.extend(definitions());
    texts.extend(registrations());
    texts.extend(others());
    texts
}

fn clusters_and_services() -> Vec<Text> {
    const NO_SERVICE: &str = "ServiceNotFoundException";
    const CODE_DEPLOY: &str = "a service with deploymentController CODE_DEPLOY cannot be created";
    let create = |more: Value| {
        let mut input = json!({"serviceName": "other", "taskDefinition": "good", "desiredCount": 1});
        for (member, value) in more.as_object().into_iter().flatten() {
            input[member] = value.clone();
        }
        input
    };
    vec![
        request(
            "ListTasks",
            json!({"cluster": "ghost"}),
            "ClusterNotFoundException",
            "Cluster not found.",
        ),
        request(
            "RunTask",
            json!({"cluster": "left", "taskDefinition": "good"}),
            "ClusterNotFoundException",
            "The referenced cluster was inactive.",
        ),
        here(
            "UpdateService",
            json!({"service": "ghost", "desiredCount": 1}),
            NO_SERVICE,
            "Service not found.",
        ),
        here(
            "UpdateService",
            json!({"service": "gone", "desiredCount": 1}),
            "ServiceNotActiveException",
            "Service was not ACTIVE.",
        ),
        here(
            "CreateService",
            create(json!({"serviceName": "scaled", "desiredCount": 2})),
            INVALID,
            "Creation of service was not idempotent.",
        ),
        here(
            "DeleteService",
            json!({"service": "scaled"}),
            INVALID,
            "The service cannot be stopped while it is scaled above 0.",
        ),
        here(
            "CreateService",
            create(json!({"launchType": "EC2", "capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]})),
            INVALID,
            "Specify either Launch Type or Capacity Provider Strategy, but not both.",
        ),
        here(
            "CreateService",
            create(json!({"launchType": "MOON"})),
            INVALID,
            "launch type should be one of [EC2,FARGATE,EXTERNAL]",
        ),
        test(
            "No rollback candidate was found to run the rollback.",
            "integration-tests/tests/services/releases.rs",
        ),
        test(
            "Service deployment rolled back because the circuit breaker threshold was exceeded.",
            "scheduler/core/tests/services/scenarios.rs",
        ),
        nothing(
            "does not have an associated load balancer.",
            "a gateway is the load balancer of every target group",
        ),
        nothing(
            "Unable to update task definition on services with a CODE_DEPLOY",
            CODE_DEPLOY,
        ),
        nothing(
            "Cannot force a new deployment on services with a CODE_DEPLOY",
            CODE_DEPLOY,
        ),
    ]
}

fn tasks() -> Vec<Text> {
    let run = |more: Value, says| {
        let mut input = json!({"taskDefinition": "good"});
        for (member, value) in more.as_object().into_iter().flatten() {
            input[member] = value.clone();
        }
        here("RunTask", input, INVALID, says)
    };
    let network = |subnets: &[&str]| json!({"awsvpcConfiguration": {"subnets": subnets}});
    let serverless = |member: &str, value: Value| {
        json!({
            "taskDefinition": "addressed", "launchType": "FARGATE", "networkConfiguration": network(&["subnet-1"]),
            member: value,
        })
    };
    vec![
        here(
            "StopTask",
            json!({"task": NOBODY}),
            INVALID,
            "The referenced task was not found.",
        ),
        nothing(
            "The referenced task was already stopped.",
            "a task that is stopped is answered as it is, as by ECS today",
        ),
        here("DescribeTasks", json!({"tasks": []}), INVALID, "Tasks cannot be empty."),
        here(
            "RunTask",
            json!({"taskDefinition": "ghost"}),
            CLIENT,
            "TaskDefinition not found.",
        ),
        here(
            "RunTask",
            json!({"taskDefinition": "gone:1"}),
            "ClientException|InvalidParameterException",
            "TaskDefinition is inactive",
        ),
        run(json!({}), "No Container Instances were found in your cluster."),
        run(
            json!({"overrides": {"containerOverrides": [{"name": "ghost"}]}}),
            "Override for container named ghost is not a container in the TaskDefinition.",
        ),
        run(
            json!({"taskDefinition": "addressed", "launchType": "FARGATE"}),
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        ),
        run(
            json!({"taskDefinition": "addressed", "launchType": "FARGATE", "networkConfiguration": network(&[])}),
            "subnets can not be empty.",
        ),
        run(
            json!({"placementConstraints": [{"type": "distinctInstance", "expression": "attribute:a exists"}]}),
            "distinctInstance expression should not be specified.",
        ),
        run(
            serverless("placementStrategy", json!([{"type": "random"}])),
            "Placement strategies are not supported with FARGATE launch type.",
        ),
        run(
            serverless("placementConstraints", json!([{"type": "distinctInstance"}])),
            "Placement constraints are not supported with FARGATE launch type.",
        ),
        run(
            json!({"taskDefinition": "arn:aws:ecs:us-east-1:999999999999:task-definition/good:1"}),
            "AccountIDs mismatch",
        ),
        nothing(
            "ECS was unable to assume the role",
            "roles are not assumed here: what vends credentials to tasks is asked by agents",
        ),
        nothing("Your account is currently blocked.", "accounts are not blocked here"),
    ]
}

fn definitions() -> Vec<Text> {
    const DELETED: &str = "integration-tests/tests/golden/expected/DeleteTaskDefinitions.json";
    vec![
        request(
            "DescribeTaskDefinition",
            json!({"taskDefinition": "ghost"}),
            CLIENT,
            "Unable to describe task definition.",
        ),
        request(
            "DescribeTaskDefinition",
            json!({"taskDefinition": "good:foo"}),
            INVALID,
            "Invalid revision number. Number: foo",
        ),
        request(
            "DeregisterTaskDefinition",
            json!({"taskDefinition": "good"}),
            CLIENT,
            "Revision is missing.",
        ),
        request(
            "DeleteTaskDefinitions",
            json!({"taskDefinitions": vec!["good:1"; 11]}),
            INVALID,
            "Size of TaskDefinition references list cannot exceed 10",
        ),
        request(
            "DeleteTaskDefinitions",
            json!({"taskDefinitions": []}),
            INVALID,
            "size of TaskDefinition references list must be greater than 0",
        ),
        test("The specified task definition is still in ACTIVE status. ", DELETED),
        test(
            "The specified task definition identifier is invalid. Specify a valid name or ARN and try again.",
            DELETED,
        ),
        test(
            "The specified task definition does not exist. Specify a valid account, family, revision and try again.",
            DELETED,
        ),
    ]
}

fn registrations() -> Vec<Text> {
    const ROLES: &str = "images are pulled and logs written with what the host may do";
    let mut twice = registration::good("spoilt")["containerDefinitions"][0].clone();
    twice["portMappings"] = json!([{"containerPort": 80}, {"containerPort": 80}]);
    let awsvpc = |mode: &str| {
        let mut definition =
            json!({"networkMode": mode, "containerDefinitions": [{"name": "main", "image": "busybox"}]});
        definition["containerDefinitions"][0]["memory"] = 32.into();
        definition["containerDefinitions"][0]["portMappings"] = json!([{"containerPort": 80, "hostPort": 8080}]);
        definition
    };
    vec![
        container(&json!({"image": ""}), "Container.image should not be null or empty."),
        container(
            &json!({"image": "busy box"}),
            "Container.image contains invalid characters.",
        ),
        container(&json!({"name": ""}), "Container.name should not be null or empty."),
        container(&json!({"name": "a/b"}), "Container.name contains invalid characters."),
        container(
            &json!({"memory": null}),
            "Invalid setting for container 'main'. At least one of 'memory' or 'memoryReservation' must be specified.",
        ),
        // ECS goes on with its guide, and this scheduler with the rule.
        task(&json!({"cpu": "lots"}), CLIENT, "Invalid 'cpu' setting for task. "),
        task(&json!({"memory": "-5"}), CLIENT, "Invalid 'memory' setting for task. "),
        task(
            &fargate(&json!({"cpu": "256", "memory": "8192"})),
            CLIENT,
            "No Fargate configuration exists for given values.",
        ),
        container(
            &json!({"mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}]}),
            "Unknown volume 'data'.",
        ),
        task(
            &json!({"volumes": [{"name": "data", "host": {"sourcePath": ""}}]}),
            CLIENT,
            "host.sourcePath should not be blank.",
        ),
        task(
            &json!({"containerDefinitions": [twice]}),
            INVALID,
            "Container port 80 is used in more than one port mapping for container main",
        ),
        task(
            &awsvpc("awsvpc"),
            CLIENT,
            "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
        ),
        task(
            &awsvpc("host"),
            CLIENT,
            "When networkMode=host, the host ports and container ports in port mappings must match.",
        ),
        task(
            &json!({"placementConstraints": [{"type": "distinctInstance"}]}),
            CLIENT,
            "constraint.type 'distinctInstance' is not supported.",
        ),
        container(
            &json!({"command": ["x".repeat(65536)]}),
            "Max allowed length is '65536' bytes.",
        ),
        nothing(
            "Tags can not be empty.",
            "a list without elements is one that is not given, which gRPC cannot tell apart",
        ),
        nothing(
            "Fargate requires task definition to have execution role ARN to support ECR images.",
            ROLES,
        ),
        nothing(
            "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
            ROLES,
        ),
    ]
}

fn others() -> Vec<Text> {
    let attribute = json!([{"name": "a", "value": "b", "targetId": NOBODY}]);
    vec![
        here(
            "DescribeContainerInstances",
            json!({"containerInstances": []}),
            CLIENT,
            "Container Instances cannot be empty.",
        ),
        here(
            "UpdateContainerInstancesState",
            json!({"containerInstances": [NOBODY], "status": "ASLEEP"}),
            INVALID,
            "Container instance status should be one of [ACTIVE, DRAINING]",
        ),
        here(
            "PutAttributes",
            json!({"attributes": attribute}),
            "TargetNotFoundException",
            "Could not find 0123456789abcdef0123456789abcdef",
        ),
        here(
            "DeleteAttributes",
            json!({"attributes": attribute}),
            "TargetNotFoundException",
            "Could not find 0123456789abcdef0123456789abcdef",
        ),
        here(
            "PutAttributes",
            json!({"attributes": []}),
            INVALID,
            "attributes can not be empty",
        ),
        here(
            "ListAttributes",
            json!({"targetType": "task"}),
            INVALID,
            "targetType must be container-instance",
        ),
        request(
            "TagResource",
            json!({"resourceArn": "nonsense", "tags": [{"key": "a", "value": "b"}]}),
            INVALID,
            "The ARN provided is invalid.",
        ),
        request(
            "CreateCapacityProvider",
            json!({"name": "aws-mine", "autoScalingGroupProvider": {"autoScalingGroupArn": "group"}}),
            CLIENT,
            "The specified capacity provider name is invalid. Up to 255 characters are allowed, including letters (upper \
             and lowercase), numbers, underscores, and hyphens. The name cannot be prefixed with \"aws\", \"ecs\", or \
             \"fargate\".",
        ),
        test(
            "Found running tasks on the instance.",
            "integration-tests/tests/deregister.rs",
        ),
        test("Rate exceeded", "scheduler/src/auth/replay.rs"),
        test(
            "The specified task set does not exist.",
            "integration-tests/tests/aws_cli/boto3/task_sets.py",
        ),
        test(
            "Container instance type changes are not supported.",
            "integration-tests/tests/aws_cli/boto3/submissions.py",
        ),
        test(
            "The execute command failed because execute command was not enabled",
            "integration-tests/tests/exec/commands.rs",
        ),
        test(
            "The execute command failed due to an internal error. Try again later.",
            "scheduler/core/src/decide/session/tests.rs",
        ),
        test(
            "Unable to start new execute sessions because the maximum session limit of",
            "scheduler/src/sessions.rs",
        ),
        nothing(
            "a valid taskRoleArn is not being used",
            "sessions are made by the agent, which needs no role of the task's",
        ),
    ]
}
