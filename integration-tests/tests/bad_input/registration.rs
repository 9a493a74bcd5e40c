//! Task definitions that must not be registered. Messages are those of ECS where it is known to have one.

use serde_json::{Value, json};

use super::{Case, case};

const CLIENT: &str = "ClientException";
const EITHER: &str = "ClientException|InvalidParameterException";

/// A definition that can be registered, to spoil.
pub(super) fn good(family: &str) -> Value {
    json!({
        "family": family,
        "containerDefinitions": [{"name": "main", "image": "busybox", "memory": 32}],
    })
}

/// The good definition with members of its container replaced.
fn container(more: &Value) -> Value {
    let mut definition = good("spoilt");
    merge(&mut definition["containerDefinitions"][0], more);
    definition
}

/// The good definition with members replaced.
fn task(more: &Value) -> Value {
    let mut definition = good("spoilt");
    merge(&mut definition, more);
    definition
}

fn merge(into: &mut Value, more: &Value) {
    for (member, value) in more.as_object().into_iter().flatten() {
        into[member] = value.clone();
    }
}

/// Two good containers with members of the second replaced.
fn pair(more: &Value) -> Value {
    let mut definition = good("spoilt");
    let mut second = json!({"name": "second", "image": "busybox", "memory": 32});
    merge(&mut second, more);
    let first = definition["containerDefinitions"][0].clone();
    definition["containerDefinitions"] = json!([first, second]);
    definition
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = names_and_images();
    cases.extend(sizes());
    cases.extend(ports());
    cases.extend(references());
    cases.extend(the_whole());
    cases
}

fn refuse(input: Value, class: &'static str, says: &str) -> Case {
    case("RegisterTaskDefinition", input, class, says)
}

fn names_and_images() -> Vec<Case> {
    let long = "x".repeat(256);
    vec![
        refuse(task(&json!({"family": null})), CLIENT, "family"),
        refuse(task(&json!({"family": ""})), CLIENT, "family"),
        refuse(task(&json!({"family": "two words"})), CLIENT, "two words"),
        refuse(task(&json!({"family": long})), CLIENT, "family"),
        refuse(
            container(&json!({"image": ""})),
            CLIENT,
            "Container.image should not be null or empty.",
        ),
        refuse(
            container(&json!({"image": null})),
            CLIENT,
            "Container.image should not be null or empty.",
        ),
        refuse(
            container(&json!({"image": "busy box"})),
            CLIENT,
            "Container.image contains invalid characters.",
        ),
        refuse(
            container(&json!({"name": ""})),
            CLIENT,
            "Container.name should not be null or empty.",
        ),
        refuse(
            container(&json!({"name": "a/b"})),
            CLIENT,
            "Container.name contains invalid characters.",
        ),
        refuse(pair(&json!({"name": "main"})), CLIENT, "main"),
    ]
}

fn sizes() -> Vec<Case> {
    vec![
        refuse(
            container(&json!({"memory": null})),
            CLIENT,
            "Invalid setting for container 'main'. At least one of 'memory' or 'memoryReservation' must be specified.",
        ),
        refuse(container(&json!({"memory": -5})), CLIENT, "memory"),
        refuse(container(&json!({"memory": 0})), CLIENT, "memory"),
        refuse(
            container(&json!({"memory": 32, "memoryReservation": 64})),
            CLIENT,
            "memoryReservation",
        ),
        refuse(container(&json!({"cpu": -1})), CLIENT, "cpu"),
        refuse(container(&json!({"stopTimeout": -1})), CLIENT, "stopTimeout"),
        refuse(task(&json!({"cpu": "lots"})), CLIENT, "Invalid 'cpu' setting for task."),
        refuse(
            task(&json!({"memory": "-5"})),
            CLIENT,
            "Invalid 'memory' setting for task.",
        ),
        refuse(task(&json!({"memory": "8"})), CLIENT, "memory"),
    ]
}

fn ports() -> Vec<Case> {
    let mapping = |mapping: Value| container(&json!({"portMappings": [mapping]}));
    let twice = json!([{"containerPort": 80}, {"containerPort": 80}]);
    vec![
        refuse(mapping(json!({"containerPort": 70000})), EITHER, "70000"),
        refuse(mapping(json!({"containerPort": -1})), EITHER, "containerPort"),
        refuse(mapping(json!({"containerPort": 0})), EITHER, "containerPort"),
        refuse(mapping(json!({"hostPort": 80})), EITHER, "containerPort"),
        refuse(
            mapping(json!({"containerPort": 80, "hostPort": 65536})),
            EITHER,
            "65536",
        ),
        refuse(
            mapping(json!({"containerPort": 80, "protocol": "sctp"})),
            EITHER,
            "protocol",
        ),
        refuse(
            container(&json!({"portMappings": twice})),
            "InvalidParameterException",
            "Container port 80 is used in more than one port mapping for container main",
        ),
        refuse(
            {
                let mut spoilt = mapping(json!({"containerPort": 80, "hostPort": 81}));
                spoilt["networkMode"] = "host".into();
                spoilt
            },
            CLIENT,
            "When networkMode=host, the host ports and container ports in port mappings must match.",
        ),
    ]
}

fn references() -> Vec<Case> {
    let mount = json!({"mountPoints": [{"sourceVolume": "ghost", "containerPath": "/mnt"}]});
    let volume = |host: Value| task(&json!({"volumes": [{"name": "data", "host": host}]}));
    let mut circle = pair(&json!({"links": ["main"]}));
    circle["containerDefinitions"][0]["links"] = json!(["second"]);
    vec![
        refuse(container(&mount), CLIENT, "Unknown volume 'ghost'."),
        refuse(container(&json!({"links": ["ghost"]})), CLIENT, "ghost"),
        refuse(
            container(&json!({"volumesFrom": [{"sourceContainer": "ghost"}]})),
            CLIENT,
            "ghost",
        ),
        refuse(circle, CLIENT, "depends on itself"),
        refuse(
            volume(json!({"sourcePath": ""})),
            CLIENT,
            "host.sourcePath should not be blank.",
        ),
        refuse(volume(json!({"sourcePath": "not/absolute"})), CLIENT, "sourcePath"),
    ]
}

fn the_whole() -> Vec<Case> {
    let one = |at: usize| json!({"name": format!("c{at}"), "image": "busybox", "memory": 8});
    let eleven: Vec<Value> = (0..11).map(one).collect();
    let huge = container(&json!({"command": ["x".repeat(70_000)]}));
    let constraint = |constraint: Value| task(&json!({"placementConstraints": [constraint]}));
    vec![
        refuse(
            task(&json!({"containerDefinitions": []})),
            CLIENT,
            "Container list cannot be empty.",
        ),
        refuse(
            task(&json!({"containerDefinitions": null})),
            CLIENT,
            "Container list cannot be empty.",
        ),
        refuse(task(&json!({"containerDefinitions": eleven})), CLIENT, "11"),
        refuse(container(&json!({"essential": false})), CLIENT, "essential"),
        refuse(huge, CLIENT, "Max allowed length is '65536' bytes."),
        refuse(task(&json!({"networkMode": "mesh"})), CLIENT, "networkMode"),
        refuse(
            task(&json!({"requiresCompatibilities": ["MOON"]})),
            CLIENT,
            "requiresCompatibilities",
        ),
        refuse(
            constraint(json!({"type": "distinctInstance"})),
            CLIENT,
            "constraint.type 'distinctInstance' is not supported.",
        ),
        refuse(
            constraint(json!({"type": "memberOf", "expression": "attribute:ecs.os-type =="})),
            CLIENT,
            "expression",
        ),
    ]
}
