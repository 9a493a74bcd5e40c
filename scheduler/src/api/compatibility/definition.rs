//! The members of a task definition, each with a sample that is registered and described.

use berth_model::task_definition::{TaskDefinition, capability};
use berth_proto::ecs::v1 as ecs;
use serde_json::{Value, json};

use super::table;
use crate::api::request::convert;

/// What becomes of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// As in ECS.
    Yes,
    /// It does something else than in ECS, which the note says.
    Differs,
    /// It is kept and told, and does nothing.
    Kept,
    /// It needs something of a host that no agent has: placement says so.
    Refused,
}

use Held::{Differs, Kept, Refused, Yes};

/// A member, what becomes of it, a sample, and what there is to say.
type Row = (&'static str, Held, &'static str, &'static str);

const HOST_FILES: &str = "from files of the host, under the names that they have at AWS";

const TASK: &[Row] = &[
    ("family", Yes, r#""web""#, ""),
    (
        "taskRoleArn",
        Differs,
        r#""arn:aws:iam::1:role/x""#,
        "needs an agent with credentials for roles, or with `ignore-task-roles`",
    ),
    (
        "executionRoleArn",
        Kept,
        r#""arn:aws:iam::1:role/x""#,
        "what the agent may do is a matter of its host",
    ),
    (
        "networkMode",
        Differs,
        r#""host""#,
        "`awsvpc` is an address of the task on a bridge of its host",
    ),
    ("containerDefinitions", Yes, "null", ""),
    (
        "volumes",
        Differs,
        r#"[{"name": "data", "host": {"sourcePath": "/srv"}}]"#,
        "`host` and `dockerVolumeConfiguration`; all others are refused at placement",
    ),
    (
        "placementConstraints",
        Yes,
        r#"[{"type": "memberOf", "expression": "attribute:a exists"}]"#,
        "",
    ),
    (
        "requiresCompatibilities",
        Differs,
        r#"["EC2"]"#,
        "`FARGATE` with any log driver; `compatibilities` says what the definition could run on",
    ),
    ("cpu", Yes, r#""256""#, ""),
    ("memory", Yes, r#""512""#, ""),
    ("pidMode", Yes, r#""task""#, ""),
    ("ipcMode", Yes, r#""none""#, ""),
    (
        "proxyConfiguration",
        Refused,
        r#"{"type": "APPMESH", "containerName": "main", "properties": [{"name": "a", "value": "b"}]}"#,
        "",
    ),
    (
        "inferenceAccelerators",
        Refused,
        r#"[{"deviceName": "d", "deviceType": "eia1.medium"}]"#,
        "",
    ),
    (
        "ephemeralStorage",
        Kept,
        r#"{"sizeInGiB": 30}"#,
        "a task has what its host's disk has",
    ),
    (
        "runtimePlatform",
        Differs,
        r#"{"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"}"#,
        "Linux; any other operating system is refused at placement",
    ),
    ("enableFaultInjection", Refused, "true", ""),
];

const CONTAINER: &[Row] = &[
    ("name", Yes, r#""main""#, ""),
    ("image", Yes, r#""busybox:1""#, ""),
    (
        "repositoryCredentials",
        Differs,
        r#"{"credentialsParameter": "arn:aws:secretsmanager:x"}"#,
        HOST_FILES,
    ),
    ("cpu", Yes, "10", ""),
    ("memory", Yes, "64", ""),
    ("memoryReservation", Yes, "32", ""),
    ("links", Yes, r#"["side:other"]"#, ""),
    (
        "portMappings",
        Yes,
        r#"[{"containerPort": 80, "hostPort": 8080, "protocol": "tcp", "name": "http"}]"#,
        "",
    ),
    ("essential", Yes, "true", ""),
    (
        "restartPolicy",
        Yes,
        r#"{"enabled": true, "ignoredExitCodes": [3], "restartAttemptPeriod": 60}"#,
        "",
    ),
    ("entryPoint", Yes, r#"["/bin/sh"]"#, ""),
    ("command", Yes, r#"["true"]"#, ""),
    ("environment", Yes, r#"[{"name": "A", "value": "b"}]"#, ""),
    (
        "environmentFiles",
        Differs,
        r#"[{"value": "arn:aws:s3:::b/a.env", "type": "s3"}]"#,
        HOST_FILES,
    ),
    (
        "mountPoints",
        Yes,
        r#"[{"sourceVolume": "data", "containerPath": "/data", "readOnly": true}]"#,
        "",
    ),
    (
        "volumesFrom",
        Yes,
        r#"[{"sourceContainer": "side", "readOnly": true}]"#,
        "",
    ),
    (
        "linuxParameters",
        Differs,
        r#"{"initProcessEnabled": true, "capabilities": {"add": ["NET_ADMIN"]}}"#,
        "the init process is on unless `initProcessEnabled` is false",
    ),
    (
        "secrets",
        Differs,
        r#"[{"name": "KEY", "valueFrom": "parameter"}]"#,
        HOST_FILES,
    ),
    (
        "dependsOn",
        Yes,
        r#"[{"containerName": "side", "condition": "START"}]"#,
        "",
    ),
    ("startTimeout", Yes, "30", ""),
    ("stopTimeout", Yes, "300", ""),
    (
        "versionConsistency",
        Kept,
        r#""enabled""#,
        "all containers of a task run the image that its host has pulled",
    ),
    ("hostname", Yes, r#""inside""#, ""),
    ("user", Yes, r#""1000:1000""#, ""),
    ("workingDirectory", Yes, r#""/tmp""#, ""),
    ("disableNetworking", Yes, "true", ""),
    ("privileged", Yes, "true", ""),
    ("readonlyRootFilesystem", Yes, "true", ""),
    ("dnsServers", Yes, r#"["10.0.0.2"]"#, ""),
    ("dnsSearchDomains", Yes, r#"["example.org"]"#, ""),
    (
        "extraHosts",
        Yes,
        r#"[{"hostname": "db", "ipAddress": "10.0.0.3"}]"#,
        "",
    ),
    ("dockerSecurityOptions", Yes, r#"["no-new-privileges"]"#, ""),
    ("interactive", Yes, "true", ""),
    ("pseudoTerminal", Yes, "true", ""),
    ("dockerLabels", Yes, r#"{"team": "a"}"#, ""),
    (
        "ulimits",
        Yes,
        r#"[{"name": "nofile", "softLimit": 10, "hardLimit": 20}]"#,
        "",
    ),
    (
        "logConfiguration",
        Differs,
        r#"{"logDriver": "json-file", "options": {"max-size": "1m"}}"#,
        "any driver of the host's Docker; `awslogs` is its default driver, unless the agent's `log-drivers` names it: then Docker's own",
    ),
    (
        "healthCheck",
        Yes,
        r#"{"command": ["CMD", "true"], "interval": 10, "timeout": 3, "retries": 2, "startPeriod": 5}"#,
        "",
    ),
    (
        "systemControls",
        Yes,
        r#"[{"namespace": "net.core.somaxconn", "value": "1024"}]"#,
        "",
    ),
    (
        "resourceRequirements",
        Differs,
        r#"[{"type": "GPU", "value": "1"}]"#,
        "`GPU`; all others are refused at placement",
    ),
    ("firelensConfiguration", Refused, r#"{"type": "fluentbit"}"#, ""),
    ("credentialSpecs", Refused, r#"["credentialspec:x"]"#, ""),
];

pub(super) fn section() -> String {
    let rows = |rows: &'static [Row]| {
        rows.iter().map(|(name, held, _, note)| {
            let there = match held {
                Yes => "yes",
                Differs => "differs",
                Kept => "kept",
                Refused => "no",
            };
            [format!("`{name}`"), there.to_owned(), (*note).to_owned()]
        })
    };
    format!(
        "## Members of a task definition\n\n`kept` is stored, told and without effect, as are members that ECS may get later. \
         `no` is registered, and refused when tasks are placed: the definition requires an attribute that no agent has. \
         `docs/task-definitions.md` says more.\n\n### The task\n\n{}\n### The containers\n\n{}",
        table(["member", "there", "notes"], rows(TASK)),
        table(["member", "there", "notes"], rows(CONTAINER)),
    )
}

/// A definition of two containers and a volume, with a member of the task or of the first container.
fn document(of_task: bool, member: Option<(&str, &Value)>) -> Value {
    let mut document = json!({
        "family": "web",
        "volumes": [{"name": "data"}],
        "containerDefinitions": [
            {"name": "main", "image": "busybox", "memory": 64},
            {"name": "side", "image": "busybox", "memory": 64, "essential": false},
        ],
    });
    if let Some((name, value)) = member {
        match of_task {
            true => document[name] = value.clone(),
            false => document["containerDefinitions"][0][name] = value.clone(),
        }
    }
    document
}

/// The definition as RegisterTaskDefinition reads it.
fn registered(document: &Value) -> TaskDefinition {
    let request: ecs::RegisterTaskDefinitionRequest = serde_json::from_value(document.clone()).unwrap();
    let read: TaskDefinition = convert(&request).unwrap();
    read.validated().unwrap_or_else(|fault| panic!("{document}: {fault}"))
}

/// Whether all that is given stands in what is described.
fn stands_in(given: &Value, described: &Value) -> bool {
    match (given, described) {
        (Value::Object(given), Value::Object(described)) => given
            .iter()
            .all(|(name, value)| described.get(name).is_some_and(|found| stands_in(value, found))),
        (Value::Array(given), Value::Array(described)) => {
            given.len() == described.len() && given.iter().zip(described).all(|(one, other)| stands_in(one, other))
        }
        (given, described) => given == described,
    }
}

fn samples() -> impl Iterator<Item = (bool, &'static str, Held, Value)> {
    let rows = |of_task: bool, rows: &'static [Row]| {
        rows.iter()
            .map(move |(name, held, sample, _)| (of_task, *name, *held, serde_json::from_str(sample).unwrap()))
    };
    rows(true, TASK)
        .chain(rows(false, CONTAINER))
        .filter(|(.., sample): &(_, _, _, Value)| !sample.is_null())
}

#[test]
fn every_member_comes_back_as_it_was_registered() {
    for (of_task, name, _, sample) in samples() {
        let document = document(of_task, Some((name, &sample)));
        let definition = registered(&document);
        let shape: ecs::TaskDefinition = convert(&definition).unwrap();
        let described = serde_json::to_value(&shape).unwrap();
        assert!(stands_in(&document, &described), "{name}: {described}");
    }
}

#[test]
fn what_is_refused_needs_what_else_is_not_needed() {
    let plain = capability::required_by(&registered(&document(true, None)));
    for (of_task, name, held, sample) in samples() {
        let definition = registered(&document(of_task, Some((name, &sample))));
        let needs = capability::required_by(&definition) != plain;
        match held {
            Refused => assert!(needs, "{name} is said to be refused, and is not"),
            Kept => assert!(!needs, "{name} is said to be kept, and needs something of a host"),
            Yes | Differs => {}
        }
    }
}

/// Members whose own members are names that the caller chooses.
const MAPS: [&str; 4] = ["dockerLabels", "driverOpts", "labels", "options"];

/// Gives every object a member that ECS may get later.
fn with_later(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (_, value) in members.iter_mut().filter(|(name, _)| !MAPS.contains(&name.as_str())) {
                with_later(value);
            }
            members.insert("later".to_owned(), json!({"a": [1, null]}));
        }
        Value::Array(items) => items.iter_mut().for_each(with_later),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What no sample of the tables has: objects within objects.
fn nested() -> impl Iterator<Item = (bool, &'static str, Held, Value)> {
    [
        (
            true,
            "volumes",
            json!([{"name": "data", "host": {"sourcePath": "/srv"}}]),
        ),
        (
            true,
            "volumes",
            json!([{"name": "data", "dockerVolumeConfiguration": {"scope": "task", "labels": {"a": "b"}}}]),
        ),
        (
            true,
            "volumes",
            json!([{"name": "data", "efsVolumeConfiguration":
            {"fileSystemId": "fs-1", "authorizationConfig": {"iam": "ENABLED"}}}]),
        ),
        (
            true,
            "volumes",
            json!([{"name": "data", "fsxWindowsFileServerVolumeConfiguration":
            {"fileSystemId": "fs-1", "rootDirectory": "share",
             "authorizationConfig": {"credentialsParameter": "arn:x", "domain": "example.org"}}}]),
        ),
        (
            true,
            "proxyConfiguration",
            json!({"containerName": "side", "properties": [{"name": "ProxyIngressPort", "value": "80"}]}),
        ),
        (
            false,
            "linuxParameters",
            json!({
                "capabilities": {"add": ["NET_ADMIN"]},
                "devices": [{"hostPath": "/dev/null"}],
                "tmpfs": [{"containerPath": "/run", "size": 8}],
            }),
        ),
        (
            false,
            "logConfiguration",
            json!({"logDriver": "json-file", "secretOptions": [{"name": "tag", "valueFrom": "parameter"}]}),
        ),
        (
            false,
            "repositoryCredentials",
            json!({"credentialsParameter": "parameter"}),
        ),
        (false, "environment", json!([{"name": "A", "value": "b"}])),
        (false, "portMappings", json!([{"containerPort": 80}])),
        (
            false,
            "volumesFrom",
            json!([{"sourceContainer": "side", "readOnly": true}]),
        ),
    ]
    .into_iter()
    .map(|(of_task, name, sample)| (of_task, name, Yes, sample))
}

#[test]
fn members_that_nobody_knows_come_back_wherever_they_stand() {
    for (of_task, name, _, sample) in samples().chain(nested()) {
        let mut document = document(of_task, Some((name, &sample)));
        with_later(&mut document);
        let shape: ecs::TaskDefinition = convert(&registered(&document)).unwrap();
        let described = serde_json::to_value(&shape).unwrap();
        assert!(stands_in(&document, &described), "{name}: {document}\n{described}");
    }
}

/// The members of a message of the wire, as JSON has them.
fn members(message: &str) -> Vec<String> {
    const PROTO: &str = include_str!("../../../../proto/proto/berth/ecs/v1/task_definition.proto");
    let begin = PROTO.find(&format!("message {message} {{")).unwrap();
    let body = PROTO[begin..].split("\n}").next().unwrap();
    let fields = body.lines().filter_map(|line| line.trim().strip_suffix(';'));
    let names = fields.filter_map(|field| field.split(" = ").next()?.split(' ').next_back());
    let camel = |name: &str| {
        let mut parts = name.split('_');
        let first = parts.next().unwrap_or_default().to_owned();
        let rest = parts.map(|part| part[..1].to_uppercase() + &part[1..]);
        first + &rest.collect::<String>()
    };
    names.filter(|name| *name != "unknown_members").map(camel).collect()
}

#[test]
fn every_member_of_the_wire_is_in_the_table() {
    let listed = |rows: &[Row]| {
        let mut names: Vec<String> = rows.iter().map(|(name, ..)| (*name).to_owned()).collect();
        names.sort();
        names
    };
    for (message, rows) in [
        ("RegisterTaskDefinitionRequest", TASK),
        ("ContainerDefinition", CONTAINER),
    ] {
        let mut of_wire = members(message);
        // Tags are no part of a definition.
        of_wire.retain(|name| name != "tags");
        of_wire.sort();
        assert_eq!(of_wire, listed(rows), "{message}");
    }
}
