//! What to do about an error, where that is known. Never guesses: no hint is better than a wrong one.

use crate::api::CallError;

/// The next step for whoever reads `error`, met while working with `cluster`.
pub(crate) fn for_error(error: &anyhow::Error, cluster: Option<&str>) -> Option<String> {
    match error.downcast_ref::<CallError>()? {
        CallError::Unreachable { .. } => Some(
            "start the scheduler, or name another with --scheduler or BERTH_SCHEDULER; \
             `berth dev` starts one on this machine"
                .to_owned(),
        ),
        CallError::Deadline { .. } => {
            Some("the call may still take effect; --timeout sets how long to wait".to_owned())
        }
        CallError::Fault { class, message } => for_fault(class, message, cluster),
        CallError::Credentials(_) | CallError::Tls(_) => None,
        CallError::Refused { message, .. } => {
            is_foreign(message).then(|| "what listens there does not speak as a scheduler does; the URL of one that speaks TLS begins with https://".to_owned())
        }
    }
}

/// tonic's words where HTTP/2, or gRPC in it, is not spoken.
fn is_foreign(message: &str) -> bool {
    message.contains("h2 protocol error") || message.contains("grpc-status header missing")
}

fn for_fault(class: &str, message: &str, cluster: Option<&str>) -> Option<String> {
    match class {
        "ClusterNotFoundException" => {
            let name = cluster.unwrap_or("default");
            Some(if name.starts_with("arn:") {
                "`berth clusters list` shows the clusters there are".to_owned()
            } else {
                format!("create it with `berth clusters create {name}`")
            })
        }
        "MissingAuthenticationTokenException" => Some(
            "the scheduler wants to know who calls: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or on its host make the \
             first access key with `berth --master-key-file /var/lib/berth-scheduler/master.key access-keys create ops --admin`"
                .to_owned(),
        ),
        "UnrecognizedClientException" => Some(
            "the access key does not exist, is disabled or has ended, or is of another scheduler: `berth access-keys list`"
                .to_owned(),
        ),
        "ExpiredTokenException" => Some("make another session with `berth access-keys session`".to_owned()),
        "AccessDeniedException" => {
            Some("`berth access-keys show ID` shows what an access key may do, `set-policy` changes it".to_owned())
        }
        "ClusterContainsTasksException" => {
            Some("stop them first: `berth ps` lists them, `berth stop` stops them".to_owned())
        }
        "ClusterContainsContainerInstancesException" => {
            Some("deregister them first: `berth instances` lists them".to_owned())
        }
        "ClusterContainsServicesException" => {
            Some("delete them first: `berth services list` lists them, `berth services delete` deletes them".to_owned())
        }
        "ServiceNotFoundException" => Some("`berth services list` shows the services there are".to_owned()),
        "ResourceNotFoundException" if message.starts_with("Schedule ") => {
            Some("`berth schedules list` shows the schedules there are".to_owned())
        }
        "ClientException" if message.contains("while it has Schedules") => Some(
            "delete them first: `berth schedules list` lists them, `berth schedules delete` deletes them".to_owned(),
        ),
        "InvalidParameterException" | "ValidationException" if message.contains("leave berth-at out") => {
            Some("leave --at out".to_owned())
        }
        "InvalidParameterException" if message.contains("while it is scaled above 0") => {
            Some("`berth services delete --force` stops its tasks".to_owned())
        }
        // ECS has no class of its own for it, and two texts.
        "ClientException"
            if message.contains("Unable to describe task definition")
                || message.contains("TaskDefinition not found") =>
        {
            Some("`berth task-definitions list` shows those that are registered".to_owned())
        }
        _ => None,
    }
}
