//! The variables of ecs.config: how those with a meaning here are read, and those without one.
//!
//! Source: the README of amazon-ecs-agent and the developer guide, "Amazon ECS container agent configuration".

use serde_json::Value;

/// As it is.
pub(super) fn text(text: &str) -> Result<Vec<String>, String> {
    Ok(vec![text.to_owned()])
}

/// A JSON list, as `[22, 2375]` and `["json-file"]`.
pub(super) fn json_list(text: &str) -> Result<Vec<String>, String> {
    let rule = || "must be a JSON list, such as [22, 2375] or [\"json-file\"]".to_owned();
    let items: Vec<Value> = serde_json::from_str(text).map_err(|_| rule())?;
    items.iter().map(|item| scalar(item).ok_or_else(rule)).collect()
}

/// A JSON object of strings.
pub(super) fn json_attributes(text: &str) -> Result<Vec<String>, String> {
    let rule = || "must be a JSON object of strings, such as {\"rack\": \"r12\"}".to_owned();
    let members: serde_json::Map<String, Value> = serde_json::from_str(text).map_err(|_| rule())?;
    let attribute = |(name, value): (&String, &Value)| Some(format!("{name}={}", value.as_str()?));
    members
        .iter()
        .map(|member| attribute(member).ok_or_else(rule))
        .collect()
}

/// What Go's `strconv.ParseBool` takes.
pub(super) fn switch(text: &str) -> Result<Vec<String>, String> {
    let truth = match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => "true",
        "0" | "f" | "F" | "false" | "FALSE" | "False" => "false",
        _ => return Err("must be true or false".to_owned()),
    };
    Ok(vec![truth.to_owned()])
}

/// The host and port of a URL, as AWS's SDKs name the metadata service: `http://127.0.0.1:1338/`.
pub(super) fn authority_of_url(text: &str) -> Result<Vec<String>, String> {
    let rule = || "must be a URL such as http://169.254.169.254".to_owned();
    let url: http::Uri = text.parse().map_err(|_| rule())?;
    let is_plain = url.scheme_str() == Some("http") && matches!(url.path(), "" | "/") && url.query().is_none();
    let host = url.host().filter(|_| is_plain).ok_or_else(rule)?;
    Ok(vec![format!("{host}:{}", url.port_u16().unwrap_or(80))])
}

/// A level of the ECS agent's log.
pub(super) fn level(text: &str) -> Result<Vec<String>, String> {
    let level = match text.to_ascii_lowercase().as_str() {
        "crit" | "error" => "error",
        "warn" => "warn",
        "info" => "info",
        "debug" => "debug",
        "none" => "off",
        _ => return Err("must be one of crit, error, warn, info, debug, none".to_owned()),
    };
    Ok(vec![level.to_owned()])
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Variables of the ECS agent that change nothing here, and why.
const WITHOUT_MEANING: &[(&str, &[&str])] = &[
    (
        "the scheduler's address is the setting scheduler",
        &["ECS_BACKEND_HOST", "ECS_BACKEND_PORT"],
    ),
    (
        "the agent keeps its state under state-dir, always",
        &["ECS_CHECKPOINT", "ECS_DATADIR", "ECS_HOST_DATA_DIR"],
    ),
    (
        "usage is read from cgroups, see usage-interval",
        &[
            "ECS_DISABLE_METRICS",
            "ECS_POLL_METRICS",
            "ECS_POLLING_METRICS_WAIT_DURATION",
            "ECS_ENABLE_RUNTIME_STATS",
        ],
    ),
    (
        "log lines go to standard error; the journal keeps them",
        &[
            "ECS_LOGFILE",
            "ECS_LOGLEVEL_ON_INSTANCE",
            "ECS_LOG_DRIVER",
            "ECS_LOG_OPTS",
            "ECS_LOG_ROLLOVER_TYPE",
            "ECS_LOG_OUTPUT_FORMAT",
            "ECS_LOG_MAX_FILE_SIZE_MB",
            "ECS_LOG_MAX_ROLL_COUNT",
            "ECS_AUDIT_LOGFILE",
            "ECS_AUDIT_LOGFILE_DISABLED",
        ],
    ),
    (
        "credentials are served where credentials-file or credentials-command is set",
        &[
            "ECS_ENABLE_TASK_IAM_ROLE",
            "ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST",
            "ECS_ALTERNATE_CREDENTIAL_PROFILE",
        ],
    ),
    (
        "packages bring new versions",
        &["ECS_UPDATES_ENABLED", "ECS_UPDATE_DOWNLOAD_DIR"],
    ),
    (
        "the agent asks Docker and the host",
        &[
            "ECS_SELINUX_CAPABLE",
            "ECS_APPARMOR_CAPABLE",
            "ECS_DETAILED_OS_FAMILY",
            "ECS_INSTANCE_IP_COMPATIBILITY",
        ],
    ),
    (
        "this is how the agent always works",
        &[
            "ECS_PULL_DEPENDENT_CONTAINERS_UPFRONT",
            "ECS_PROPAGATE_TASK_MEMORY_LIMIT_CGROUPV2",
            "ECS_ENABLE_TASK_ENI",
            "ECS_EXTERNAL",
        ],
    ),
    (
        "only images that tasks have used are removed",
        &[
            "ECS_ENABLE_UNTRACKED_IMAGE_CLEANUP",
            "ECS_EXCLUDE_UNTRACKED_IMAGE",
            "NON_ECS_IMAGE_MINIMUM_CLEANUP_AGE",
            "NONECS_NUM_CONTAINERS_DELETE_PER_CYCLE",
        ],
    ),
    (
        "there is no such thing here",
        &[
            "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION_JITTER",
            "ECS_CONTAINER_INSTANCE_TAGS",
            "ECS_CONTAINER_INSTANCE_PROPAGATE_TAGS_FROM",
            "ECS_EXCLUDE_IPV6_PORTBINDING",
            "ECS_SHARED_VOLUME_MATCH_FULL_CONFIG",
            "ECS_ENABLE_CONTAINER_METADATA",
            "ECS_WARM_POOLS_CHECK",
            "ECS_ENABLE_PROMETHEUS_METRICS",
            "ECS_DISABLE_DOCKER_HEALTH_CHECK",
            "ECS_AGENT_HEALTHCHECK_HOST",
            "ECS_ENABLE_INF_SUPPORT",
            "ECS_ENABLE_HIGH_DENSITY_ENI",
            "ECS_CNI_PLUGINS_PATH",
            "ECS_AWSVPC_BLOCK_IMDS",
            "ECS_AWSVPC_ADDITIONAL_LOCAL_ROUTES",
            "ECS_PAUSE_LABELS",
            "ECS_EBSTA_SUPPORTED",
            "ECS_VOLUME_PLUGIN_CAPABILITIES",
            "ECS_ENABLE_FIRELENS_ASYNC",
            "ECS_FSX_WINDOWS_FILE_SERVER_SUPPORTED",
            "ECS_GMSA_SUPPORTED",
            "ECS_DISABLE_TASK_METADATA_AZ",
            "ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE",
            "ECS_SKIP_LOCALHOST_TRAFFIC_FILTER",
            "ECS_ALLOW_OFFHOST_INTROSPECTION_ACCESS",
            "ECS_OFFHOST_INTROSPECTION_INTERFACE_NAME",
            "ECS_AGENT_CONFIG_FILE_PATH",
            "ECS_AGENT_LABELS",
            "ECS_AGENT_APPARMOR_PROFILE",
            "ECS_AGENT_PID_NAMESPACE_HOST",
        ],
    ),
    (
        "the agent that runs this one in a container sets it",
        &[
            "ECS_CONTAINER_METADATA_URI",
            "ECS_CONTAINER_METADATA_URI_V4",
            "ECS_AGENT_URI",
            "ECS_CONTAINER_METADATA_FILE",
        ],
    ),
];

/// Why a variable changes nothing here.
pub(super) fn without_meaning(variable: &str) -> Option<&'static str> {
    let found = WITHOUT_MEANING
        .iter()
        .find(|(_, variables)| variables.contains(&variable));
    found.map(|(why, _)| *why)
}

/// The names of all that change nothing.
pub(super) fn names_without_meaning() -> impl Iterator<Item = String> {
    let all = WITHOUT_MEANING.iter().flat_map(|(_, variables)| variables.iter());
    all.map(|variable| (*variable).to_owned())
}
