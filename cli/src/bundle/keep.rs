//! What may be told of things that have members: everything else is left out, also what is not known yet. Pure.

use serde_json::{Map, Value};

/// What of a value is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// Numbers, truth values, and texts, of which what looks like a secret is taken out.
    Scalar,
    /// These members, each in its shape; of a list, of each of its items.
    Members(&'static [(&'static str, Shape)]),
}

use Shape::{Members, Scalar};

const NAMED: Shape = Members(&[("name", Scalar)]);

/// A container instance (DescribeContainerInstances).
pub(crate) const INSTANCE: Shape = Members(&[
    ("containerInstanceArn", Scalar),
    ("ec2InstanceId", Scalar),
    ("capacityProviderName", Scalar),
    ("version", Scalar),
    (
        "versionInfo",
        Members(&[("agentVersion", Scalar), ("dockerVersion", Scalar)]),
    ),
    ("remainingResources", RESOURCE),
    ("registeredResources", RESOURCE),
    ("status", Scalar),
    ("statusReason", Scalar),
    ("agentConnected", Scalar),
    ("runningTasksCount", Scalar),
    ("pendingTasksCount", Scalar),
    ("registeredAt", Scalar),
    (
        "healthStatus",
        Members(&[
            ("overallStatus", Scalar),
            (
                "details",
                Members(&[
                    ("type", Scalar),
                    ("status", Scalar),
                    ("statusReason", Scalar),
                    ("lastUpdated", Scalar),
                    ("lastStatusChange", Scalar),
                ]),
            ),
        ]),
    ),
]);

const RESOURCE: Shape = Members(&[
    ("name", Scalar),
    ("type", Scalar),
    ("integerValue", Scalar),
    ("stringSetValue", Scalar),
]);

/// A service (DescribeServices).
pub(crate) const SERVICE: Shape = Members(&[
    ("serviceArn", Scalar),
    ("serviceName", Scalar),
    ("status", Scalar),
    ("desiredCount", Scalar),
    ("runningCount", Scalar),
    ("pendingCount", Scalar),
    ("launchType", Scalar),
    ("schedulingStrategy", Scalar),
    ("taskDefinition", Scalar),
    ("createdAt", Scalar),
    ("healthCheckGracePeriodSeconds", Scalar),
    (
        "placementConstraints",
        Members(&[("type", Scalar), ("expression", Scalar)]),
    ),
    ("placementStrategy", Members(&[("type", Scalar), ("field", Scalar)])),
    (
        "deploymentConfiguration",
        Members(&[
            ("maximumPercent", Scalar),
            ("minimumHealthyPercent", Scalar),
            ("strategy", Scalar),
            (
                "deploymentCircuitBreaker",
                Members(&[("enable", Scalar), ("rollback", Scalar)]),
            ),
        ]),
    ),
    (
        "deployments",
        Members(&[
            ("id", Scalar),
            ("status", Scalar),
            ("taskDefinition", Scalar),
            ("desiredCount", Scalar),
            ("runningCount", Scalar),
            ("pendingCount", Scalar),
            ("failedTasks", Scalar),
            ("createdAt", Scalar),
            ("updatedAt", Scalar),
            ("rolloutState", Scalar),
            ("rolloutStateReason", Scalar),
        ]),
    ),
    ("events", Members(&[("createdAt", Scalar), ("message", Scalar)])),
]);

/// A task (DescribeTasks): nothing of its overrides, and of what Docker said of its containers nothing.
pub(crate) const TASK: Shape = Members(&[
    ("taskArn", Scalar),
    ("taskDefinitionArn", Scalar),
    ("containerInstanceArn", Scalar),
    ("group", Scalar),
    ("launchType", Scalar),
    ("lastStatus", Scalar),
    ("desiredStatus", Scalar),
    ("healthStatus", Scalar),
    ("cpu", Scalar),
    ("memory", Scalar),
    ("stopCode", Scalar),
    ("stoppedReason", Scalar),
    ("createdAt", Scalar),
    ("pullStartedAt", Scalar),
    ("pullStoppedAt", Scalar),
    ("startedAt", Scalar),
    ("stoppingAt", Scalar),
    ("stoppedAt", Scalar),
    ("version", Scalar),
    (
        "containers",
        Members(&[
            ("name", Scalar),
            ("image", Scalar),
            ("imageDigest", Scalar),
            ("runtimeId", Scalar),
            ("lastStatus", Scalar),
            ("exitCode", Scalar),
            ("healthStatus", Scalar),
        ]),
    ),
]);

/// A task definition (DescribeTaskDefinition): of its environment and its secrets the names.
pub(crate) const DEFINITION: Shape = Members(&[
    ("taskDefinitionArn", Scalar),
    ("family", Scalar),
    ("revision", Scalar),
    ("status", Scalar),
    ("networkMode", Scalar),
    ("cpu", Scalar),
    ("memory", Scalar),
    ("requiresAttributes", NAMED),
    (
        "containerDefinitions",
        Members(&[
            ("name", Scalar),
            ("image", Scalar),
            ("cpu", Scalar),
            ("memory", Scalar),
            ("memoryReservation", Scalar),
            ("essential", Scalar),
            ("environment", NAMED),
            ("secrets", NAMED),
            ("privileged", Scalar),
            ("startTimeout", Scalar),
            ("stopTimeout", Scalar),
            (
                "portMappings",
                Members(&[
                    ("containerPort", Scalar),
                    ("hostPort", Scalar),
                    ("protocol", Scalar),
                    ("name", Scalar),
                ]),
            ),
            (
                "dependsOn",
                Members(&[("containerName", Scalar), ("condition", Scalar)]),
            ),
            ("logConfiguration", Members(&[("logDriver", Scalar)])),
        ]),
    ),
]);

/// Who signs certificates (DescribeAuthorities).
pub(crate) const AUTHORITY: Shape = Members(&[("signs", Scalar), ("expiresAt", Scalar), ("members", Scalar)]);

/// Who has joined (ListMembers).
pub(crate) const MEMBER: Shape = Members(&[
    ("role", Scalar),
    ("cluster", Scalar),
    ("id", Scalar),
    ("tokenId", Scalar),
    ("joinedAt", Scalar),
    ("expiresAt", Scalar),
]);

/// With what hosts join (ListJoinTokens), which tells ids and no secrets.
pub(crate) const JOIN_TOKEN: Shape = Members(&[
    ("tokenId", Scalar),
    ("role", Scalar),
    ("cluster", Scalar),
    ("status", Scalar),
    ("usesLeft", Scalar),
    ("createdAt", Scalar),
    ("expiresAt", Scalar),
]);

/// What Docker says of itself (`/info`): nothing of proxies, registries and swarms.
pub(crate) const DOCKER: Shape = Members(&[
    ("ServerVersion", Scalar),
    ("Containers", Scalar),
    ("ContainersRunning", Scalar),
    ("Images", Scalar),
    ("Driver", Scalar),
    ("LoggingDriver", Scalar),
    ("CgroupDriver", Scalar),
    ("CgroupVersion", Scalar),
    ("KernelVersion", Scalar),
    ("OperatingSystem", Scalar),
    ("Architecture", Scalar),
    ("NCPU", Scalar),
    ("MemTotal", Scalar),
    ("DockerRootDir", Scalar),
    ("LiveRestoreEnabled", Scalar),
    ("DefaultRuntime", Scalar),
    ("SecurityOptions", Scalar),
    ("Warnings", Scalar),
]);

/// What of the value is in its shape.
pub(crate) fn keep(value: &Value, shape: Shape) -> Value {
    match (value, shape) {
        (Value::Array(items), shape) => items.iter().map(|item| keep(item, shape)).collect(),
        (Value::Object(members), Members(known)) => {
            let kept = known.iter().filter_map(|(name, shape)| {
                let value = members.get(*name)?;
                Some(((*name).to_owned(), keep(value, *shape)))
            });
            Value::Object(kept.collect::<Map<String, Value>>())
        }
        (Value::String(text), Scalar) => Value::String(super::scrub::line(text)),
        (Value::Null | Value::Bool(_) | Value::Number(_), Scalar) => value.clone(),
        // Not what it is known as: whatever it is, it is not told.
        (Value::Object(_), Scalar)
        | (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_), Members(_)) => Value::Null,
    }
}

/// Settings of the agent whose values are told; of the others it is told that they are set.
const AGENT_SETTINGS: [&str; 32] = [
    "scheduler",
    "cluster",
    "join-token-file",
    "address",
    "state-dir",
    "reserved-memory",
    "reserved-port",
    "memory",
    "cpu-units",
    "log-drivers",
    "task-cpu-mem-limit",
    "cgroup-root",
    "task-cgroup",
    "disable-privileged",
    "allow-host-namespace",
    "allow-host-path",
    "allow-device",
    "allow-capability",
    "docker",
    "parallel-starts",
    "parallel-pulls",
    "image-pull-behavior",
    "disk-clean-percent",
    "disk-low-percent",
    "disk-refuse-percent",
    "endpoint-address",
    "ignore-task-roles",
    "introspection-address",
    "metrics-address",
    "usage-interval",
    "log",
    "log-format",
];

/// Variables of the scheduler and the gateway whose values are told.
const VARIABLES: [&str; 22] = [
    "BERTH_LISTEN",
    "BERTH_METRICS_LISTEN",
    "BERTH_AUTH",
    "BERTH_ADVERTISE",
    "BERTH_TLS",
    "BERTH_TLS_NAME",
    "BERTH_ALLOW_PLAINTEXT",
    "BERTH_CA_CERT",
    "BERTH_CA_KEY",
    "BERTH_CERTIFICATE_HOURS",
    "BERTH_JOIN_TOKEN_FILE",
    "BERTH_SCHEDULER",
    "BERTH_CLUSTER",
    "BERTH_DATA_DIR",
    "BERTH_REGION",
    "BERTH_STOPPED_TASK_RETENTION",
    "BERTH_LOST_INSTANCE_GRACE",
    "BERTH_SCALING_PERIOD",
    "BERTH_HISTORY_DAYS",
    "BERTH_HISTORY_SIZE",
    "BERTH_LOG_FORMAT",
    "BERTH_LOG",
];

/// What `berth-agent --check-config` prints, with the values of those settings alone that may be told.
pub(crate) fn agent_settings(report: &str) -> String {
    let told = report.lines().map(|line| {
        let name = line.split_whitespace().next().unwrap_or_default();
        match AGENT_SETTINGS.contains(&name) {
            true => format!("{line}\n"),
            false if line.trim_end().ends_with("default") => format!("{name}  (default)\n"),
            false => format!("{name}  (set, not told)\n"),
        }
    });
    told.collect()
}

/// A file of variables, with the values of those alone that may be told.
pub(crate) fn variables(file: &str) -> String {
    let set = file
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let told = set.map(|line| match line.split_once('=') {
        Some((name, _)) if VARIABLES.contains(&name) => format!("{line}\n"),
        Some((name, _)) => format!("{name}=(set, not told)\n"),
        None => "(a line that is no setting)\n".to_owned(),
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_a_definition_names_are_kept_and_values_are_not() {
        let definition = json!({
            "family": "web",
            "containerDefinitions": [{
                "name": "web", "image": "nginx", "memory": 64, "command": ["--token", "planted"],
                "environment": [{"name": "DB", "value": "planted"}],
                "secrets": [{"name": "KEY", "valueFrom": "planted"}],
                "logConfiguration": {"logDriver": "splunk", "options": {"splunk-token": "planted"}},
                "dockerLabels": {"a": "planted"},
            }],
            "something": {"new": "planted"},
        });
        let kept = keep(&definition, DEFINITION);
        assert_eq!(
            kept,
            json!({
                "family": "web",
                "containerDefinitions": [{
                    "name": "web", "image": "nginx", "memory": 64,
                    "environment": [{"name": "DB"}], "secrets": [{"name": "KEY"}],
                    "logConfiguration": {"logDriver": "splunk"},
                }],
            })
        );
    }

    #[test]
    fn of_a_task_neither_overrides_nor_what_containers_said_is_kept() {
        let task = json!({
            "taskArn": "arn:aws:ecs:us-east-1:000000000000:task/prod/1", "lastStatus": "STOPPED",
            "stoppedReason": "Essential container exited, password=planted",
            "overrides": {"containerOverrides": [{"environment": [{"name": "A", "value": "planted"}]}]},
            "containers": [{"name": "web", "exitCode": 1, "reason": "planted"}],
        });
        let text = keep(&task, TASK).to_string();
        assert!(!text.contains("planted"), "{text}");
        assert!(
            text.contains("\"exitCode\":1") && text.contains("Essential container exited"),
            "{text}"
        );
    }

    #[test]
    fn what_is_not_of_the_shape_that_is_known_is_not_told() {
        assert_eq!(
            keep(&json!({"name": {"deep": "planted"}}), NAMED),
            json!({"name": null})
        );
        assert_eq!(keep(&json!("planted"), NAMED), Value::Null);
    }

    #[test]
    fn settings_that_are_not_listed_are_told_as_set() {
        let report = "cluster              prod          /etc/berth/agent.toml\n\
                      registry-auth-data   (set, not shown)  BERTH_REGISTRY_AUTH_DATA\n\
                      credentials-command  get,--key,planted /etc/berth/agent.toml\n\
                      docker-config        (that of the agent's user)  default\n";
        let told = agent_settings(report);
        assert!(
            !told.contains("planted") && told.contains("cluster              prod"),
            "{told}"
        );
        assert!(
            told.contains("credentials-command  (set, not told)\ndocker-config  (default)\n"),
            "{told}"
        );
        let file = "# a comment\nBERTH_REGION=eu-west-1\nBERTH_JOURNAL=etcd://u:planted@h/\n\nplanted\n";
        let told = variables(file);
        assert_eq!(
            told,
            "BERTH_REGION=eu-west-1\nBERTH_JOURNAL=(set, not told)\n(a line that is no setting)\n"
        );
    }
}
