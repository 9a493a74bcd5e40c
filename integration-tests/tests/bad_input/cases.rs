//! Requests other than registrations that must be refused. Messages are those of ECS where it is known to have one.

use serde_json::{Value, json};

use super::{Case, case};

const CLIENT: &str = "ClientException";
const INVALID: &str = "InvalidParameterException";
const NO_CLUSTER: &str = "ClusterNotFoundException";
const EITHER: &str = "ClientException|InvalidParameterException";

/// An id in the form of a task's, of no task.
const NOBODY: &str = "0123456789abcdef0123456789abcdef";

/// `here_arn` is the ARN of the cluster `here`.
pub(super) fn cases(here_arn: &str) -> Vec<Case> {
    let mut cases = clusters(here_arn);
    cases.extend(lists());
    cases.extend(definitions());
    cases.extend(runs(here_arn));
    cases.extend(placement());
    cases.extend(tasks(here_arn));
    cases.extend(instances());
    cases.extend(attributes());
    cases
}

fn clusters(here_arn: &str) -> Vec<Case> {
    let tag = |key: &str| json!({"key": key, "value": "v"});
    let many: Vec<Value> = (0..51).map(|at| tag(&format!("key{at}"))).collect();
    let names: Vec<String> = (0..101).map(|at| format!("c{at}")).collect();
    let tagged = |tags: Value| json!({"clusterName": "tagged", "tags": tags});
    let elsewhere = foreign(here_arn);
    vec![
        case(
            "CreateCluster",
            json!({"clusterName": "two words"}),
            INVALID,
            "clusterName",
        ),
        case(
            "CreateCluster",
            json!({"clusterName": "x".repeat(256)}),
            INVALID,
            "clusterName",
        ),
        case("CreateCluster", tagged(json!(many)), INVALID, "tags"),
        case("CreateCluster", tagged(json!([tag("aws:mine")])), INVALID, "aws:mine"),
        case(
            "CreateCluster",
            tagged(json!([tag("a"), tag("a")])),
            INVALID,
            "Duplicate",
        ),
        case("DescribeClusters", json!({"clusters": names}), INVALID, "clusters"),
        case(
            "DescribeClusters",
            json!({"include": ["EVERYTHING"]}),
            INVALID,
            "include",
        ),
        case(
            "DeleteCluster",
            json!({"cluster": "ghost"}),
            NO_CLUSTER,
            "Cluster not found.",
        ),
        case("DeleteCluster", json!({}), EITHER, "cluster"),
        case(
            "ListTasks",
            json!({"cluster": "ghost"}),
            NO_CLUSTER,
            "Cluster not found.",
        ),
        case(
            "ListTasks",
            json!({"cluster": elsewhere}),
            "InvalidParameterException|ClusterNotFoundException",
            "",
        ),
        case(
            "ListTasks",
            json!({"cluster": "arn:aws:ecs:nonsense"}),
            INVALID,
            "arn:aws:ecs:nonsense",
        ),
    ]
}

/// The same ARN of another account.
fn foreign(arn: &str) -> String {
    let mut parts: Vec<&str> = arn.split(':').collect();
    if let Some(account) = parts.get_mut(4) {
        *account = "999999999999";
    }
    parts.join(":")
}

fn lists() -> Vec<Case> {
    let mut cases = Vec::new();
    for operation in [
        "ListClusters",
        "ListContainerInstances",
        "ListTaskDefinitionFamilies",
        "ListTaskDefinitions",
        "ListTasks",
    ] {
        let of = |more: Value| {
            let mut input = more;
            if matches!(operation, "ListContainerInstances" | "ListTasks") {
                input["cluster"] = "here".into();
            }
            input
        };
        cases.push(case(
            operation,
            of(json!({"nextToken": "made up"})),
            INVALID,
            "nextToken",
        ));
        cases.push(case(operation, of(json!({"maxResults": 0})), INVALID, "maxResults"));
        cases.push(case(operation, of(json!({"maxResults": 101})), INVALID, "maxResults"));
    }
    cases.push(case("ListTaskDefinitions", json!({"sort": "UP"}), INVALID, "sort"));
    cases.push(case("ListTaskDefinitions", json!({"status": "SAD"}), INVALID, "status"));
    cases.push(case(
        "ListTaskDefinitionFamilies",
        json!({"status": "SAD"}),
        INVALID,
        "status",
    ));
    cases
}

fn definitions() -> Vec<Case> {
    let describe =
        |name: &str, class, says: &str| case("DescribeTaskDefinition", json!({"taskDefinition": name}), class, says);
    let deregister =
        |name: &str, class, says: &str| case("DeregisterTaskDefinition", json!({"taskDefinition": name}), class, says);
    vec![
        describe("ghost", CLIENT, "Unable to describe task definition."),
        describe("good:99", CLIENT, "Unable to describe task definition."),
        describe("good:foo", INVALID, "Invalid revision number. Number: foo"),
        case("DescribeTaskDefinition", json!({}), EITHER, "taskDefinition"),
        deregister("good", CLIENT, "Revision is missing."),
        deregister("good:foo", INVALID, "Invalid revision number. Number: foo"),
        deregister(
            "ghost:1",
            CLIENT,
            "The specified task definition does not exist. Specify a valid account, family, revision and try again.",
        ),
        case(
            "DeleteTaskDefinitions",
            json!({"taskDefinitions": []}),
            INVALID,
            "size of TaskDefinition references list must be greater than 0",
        ),
        case(
            "DeleteTaskDefinitions",
            json!({"taskDefinitions": vec!["good:1"; 11]}),
            INVALID,
            "Size of TaskDefinition references list cannot exceed 10",
        ),
    ]
}

/// A RunTask in `here` with further members.
fn run(more: &Value, class: &'static str, says: &str) -> Case {
    let mut input = json!({"cluster": "here", "taskDefinition": "good"});
    for (member, value) in more.as_object().into_iter().flatten() {
        input[member] = value.clone();
    }
    case("RunTask", input, class, says)
}

fn runs(here_arn: &str) -> Vec<Case> {
    let of_container = |more: Value| json!({"overrides": {"containerOverrides": [more]}});
    let capacity = json!([{"capacityProvider": "mine"}]);
    let foreign_definition = foreign(here_arn).replace("cluster/here", "task-definition/good:1");
    let long = of_container(json!({"name": "main", "command": ["x".repeat(8200)]}));
    vec![
        run(
            &json!({}),
            INVALID,
            "No Container Instances were found in your cluster.",
        ),
        run(&json!({"taskDefinition": null}), EITHER, "taskDefinition"),
        run(&json!({"taskDefinition": "ghost"}), CLIENT, "TaskDefinition not found."),
        run(
            &json!({"taskDefinition": "gone:1"}),
            EITHER,
            "TaskDefinition is inactive",
        ),
        run(
            &json!({"taskDefinition": foreign_definition}),
            INVALID,
            "AccountIDs mismatch",
        ),
        run(&json!({"count": 0}), INVALID, "count"),
        run(&json!({"count": 11}), INVALID, "count"),
        run(&json!({"count": -3}), INVALID, "-3"),
        run(&json!({"cluster": "ghost"}), NO_CLUSTER, "Cluster not found."),
        run(
            &json!({"launchType": "MOON"}),
            INVALID,
            "launch type should be one of [EC2",
        ),
        run(
            &json!({"launchType": "EC2", "capacityProviderStrategy": capacity}),
            INVALID,
            "Specify either Launch Type or Capacity Provider Strategy, but not both.",
        ),
        run(
            &of_container(json!({"name": "ghost"})),
            INVALID,
            "Override for container named ghost is not a container in the TaskDefinition.",
        ),
        run(&of_container(json!({"command": ["x"]})), EITHER, "name"),
        run(&of_container(json!({"name": "main", "memory": -1})), EITHER, "memory"),
        run(&long, EITHER, "8192"),
        run(&json!({"clientToken": "x".repeat(65)}), INVALID, "clientToken"),
        run(&json!({"clientToken": "two words"}), INVALID, "clientToken"),
    ]
}

fn placement() -> Vec<Case> {
    let constraint = |constraint: Value| json!({"placementConstraints": [constraint]});
    let strategy = |strategy: Value| json!({"placementStrategy": [strategy]});
    let deep = format!("{}attribute:a exists{}", "(".repeat(5000), ")".repeat(5000));
    vec![
        run(
            &constraint(json!({"type": "memberOf", "expression": "attribute:a == "})),
            INVALID,
            "expression",
        ),
        run(
            &constraint(json!({"type": "memberOf", "expression": deep})),
            INVALID,
            "expression",
        ),
        run(&constraint(json!({"type": "memberOf"})), INVALID, "expression"),
        run(
            &constraint(json!({"type": "distinctInstance", "expression": "x"})),
            INVALID,
            "distinctInstance expression should not be specified.",
        ),
        run(&constraint(json!({"type": "besideOf"})), INVALID, "besideOf"),
        run(&strategy(json!({"type": "tower", "field": "cpu"})), INVALID, "tower"),
        run(&strategy(json!({"type": "binpack", "field": "disk"})), INVALID, "disk"),
        run(&strategy(json!({"type": "spread"})), INVALID, "field"),
        run(
            &json!({"placementStrategy": vec![json!({"type": "random"}); 6]}),
            INVALID,
            "placementStrategy has 6 entries, at most 5 are allowed.",
        ),
        run(
            &json!({"placementConstraints": vec![json!({"type": "distinctInstance"}); 11]}),
            INVALID,
            "placementConstraints has 11 entries, at most 10 are allowed.",
        ),
    ]
}

fn tasks(here_arn: &str) -> Vec<Case> {
    let task_arn = |cluster: &str| {
        let stem = here_arn.replace("cluster/here", "task");
        format!("{stem}/{cluster}/{NOBODY}")
    };
    let many = vec![NOBODY; 101];
    let in_here = |mut input: Value| {
        input["cluster"] = "here".into();
        input
    };
    let stop = |task: &str, says: &str| case("StopTask", in_here(json!({"task": task})), INVALID, says);
    let protect = |mut input: Value, says: &str| {
        input["protectionEnabled"] = true.into();
        case("UpdateTaskProtection", in_here(input), INVALID, says)
    };
    let start = |instances: Value, says: &str| {
        let input = json!({"taskDefinition": "good", "containerInstances": instances});
        case("StartTask", in_here(input), EITHER, says)
    };
    let versions = |versions: Value, says: &str| {
        let input = json!({
            "taskDefinition": "good", "containerInstances": [NOBODY, NOBODY], "containerInstanceVersions": versions,
        });
        case("StartTask", in_here(input), INVALID, says)
    };
    vec![
        versions(
            json!([7]),
            "containerInstanceVersions has 1 entries; it must have one for each of the 2 containerInstances.",
        ),
        versions(json!([7, -1]), "containerInstanceVersions has -1;"),
        stop(NOBODY, "The referenced task was not found."),
        stop(&task_arn("here"), "The referenced task was not found."),
        stop(&task_arn("there"), "there"),
        stop("arn:aws:ecs:nonsense", "arn:aws:ecs:nonsense"),
        case("StopTask", in_here(json!({})), EITHER, "task"),
        case(
            "DescribeTasks",
            in_here(json!({"tasks": []})),
            INVALID,
            "Tasks cannot be empty.",
        ),
        case("DescribeTasks", in_here(json!({"tasks": many})), INVALID, "tasks"),
        case(
            "DescribeTasks",
            in_here(json!({"tasks": [task_arn("there")]})),
            INVALID,
            "there",
        ),
        case(
            "DescribeTasks",
            in_here(json!({"tasks": [NOBODY], "include": ["ALL"]})),
            INVALID,
            "include",
        ),
        case(
            "ListTasks",
            in_here(json!({"desiredStatus": "SLEEPING"})),
            INVALID,
            "SLEEPING",
        ),
        case("ListTasks", in_here(json!({"launchType": "MOON"})), INVALID, "MOON"),
        case(
            "ListTasks",
            in_here(json!({"startedBy": "me", "family": "good"})),
            INVALID,
            "startedBy",
        ),
        protect(json!({"tasks": []}), "Tasks cannot be empty."),
        protect(json!({"tasks": vec![NOBODY; 11]}), "tasks"),
        protect(json!({"tasks": [NOBODY], "expiresInMinutes": 0}), "expiresInMinutes 0"),
        protect(
            json!({"tasks": [NOBODY], "expiresInMinutes": 2881}),
            "expiresInMinutes 2881",
        ),
        case(
            "UpdateTaskProtection",
            in_here(json!({"tasks": [NOBODY]})),
            INVALID,
            "protectionEnabled",
        ),
        case("GetTaskProtection", in_here(json!({"tasks": many})), INVALID, "tasks"),
        start(json!([]), "ontainer"),
        start(json!(vec![NOBODY; 11]), "containerInstances"),
    ]
}

fn instances() -> Vec<Case> {
    let update = |instances: Value, status: &str, says: &str| {
        let input = json!({"cluster": "here", "containerInstances": instances, "status": status});
        case("UpdateContainerInstancesState", input, EITHER, says)
    };
    let list = |more: Value| {
        let mut input = more;
        input["cluster"] = "here".into();
        input
    };
    vec![
        case(
            "DescribeContainerInstances",
            json!({"cluster": "here", "containerInstances": []}),
            CLIENT,
            "Container Instances cannot be empty.",
        ),
        update(
            json!([NOBODY]),
            "GONE",
            "Container instance status should be one of [ACTIVE",
        ),
        update(json!([]), "DRAINING", "ontainer"),
        case(
            "ListContainerInstances",
            list(json!({"filter": "attribute:"})),
            INVALID,
            "filter",
        ),
        case("ListContainerInstances", list(json!({"status": "SAD"})), INVALID, "SAD"),
        case(
            "DeregisterContainerInstance",
            json!({"cluster": "here", "containerInstance": NOBODY}),
            EITHER,
            "",
        ),
        case(
            "DeregisterContainerInstance",
            json!({"cluster": "here"}),
            EITHER,
            "containerInstance",
        ),
    ]
}

fn attributes() -> Vec<Case> {
    let one = json!({"name": "stack", "value": "prod", "targetId": NOBODY});
    let with = |more: Value| {
        let mut attribute = one.clone();
        for (member, value) in more.as_object().into_iter().flatten() {
            attribute[member] = value.clone();
        }
        json!({"cluster": "here", "attributes": [attribute]})
    };
    let mut cases = Vec::new();
    for operation in ["PutAttributes", "DeleteAttributes"] {
        let of = |more: Value, class, says: &str| case(operation, with(more), class, says);
        cases.extend([
            of(
                json!({}),
                "TargetNotFoundException",
                &format!("Could not find {NOBODY}"),
            ),
            of(
                json!({"targetId": "no such host"}),
                "TargetNotFoundException",
                "Could not find no such host",
            ),
            of(
                json!({"targetType": "cluster"}),
                INVALID,
                "targetType must be container-instance",
            ),
            of(
                json!({"name": "two words"}),
                INVALID,
                "attributes[0].name 'two words' must have a name",
            ),
            of(json!({"name": "ecs.os-type"}), INVALID, "the agent itself sets these"),
            of(
                json!({"value": " x"}),
                INVALID,
                "attributes[0].value ' x' must have a value",
            ),
            case(
                operation,
                json!({"cluster": "here", "attributes": []}),
                INVALID,
                "attributes can not be empty",
            ),
            case(
                operation,
                json!({"cluster": "here", "attributes": vec![one.clone(); 11]}),
                INVALID,
                "attributes has 11 entries, at most 10 are allowed.",
            ),
            case(
                operation,
                json!({"cluster": "ghost", "attributes": [one.clone()]}),
                NO_CLUSTER,
                "Cluster not found.",
            ),
        ]);
    }
    let list = |mut input: Value, says: &str| {
        input["cluster"] = "here".into();
        case("ListAttributes", input, INVALID, says)
    };
    cases.extend([
        list(json!({}), "targetType must be container-instance"),
        list(json!({"targetType": "task"}), "targetType must be container-instance"),
        list(
            json!({"targetType": "container-instance", "attributeValue": "x"}),
            "attributeValue is given without attributeName",
        ),
        list(
            json!({"targetType": "container-instance", "nextToken": "made up"}),
            "nextToken",
        ),
    ]);
    cases
}
