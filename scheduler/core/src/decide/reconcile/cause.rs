//! Why a task has failed, in words: its container that failed, how, and what that said last.

use berth_model::status::HealthStatus;

use crate::observation::ContainerState;
use crate::state::Task;

/// What there is to say of the task's failure; nothing where its agent has said nothing of it.
pub(super) fn of(task: &Task) -> Option<String> {
    let Some(container) = culprit(&task.containers) else {
        let reason = task.stop.as_ref().map(|stop| &*stop.reason);
        return reason.filter(|reason| !reason.is_empty()).map(str::to_owned);
    };
    let mut cause = format!("container {} {}", container.name, how(container));
    if let Some(tail) = &container.log_tail {
        let lines: Vec<&str> = tail.lines().collect();
        cause.push_str(&format!("; it said last: {}", lines.join(" | ")));
    }
    Some(cause)
}

/// The container that failed by itself. Others of the task are stopped for it, or never start for it: what their agent
/// quotes comes first, then a reason, then any exit code.
fn culprit(containers: &[ContainerState]) -> Option<&ContainerState> {
    let rank = |container: &&ContainerState| {
        let failed = container.exit_code.is_some_and(|code| code != 0);
        [
            container.log_tail.is_some(),
            container.health == HealthStatus::Unhealthy,
            container.reason.is_some() && container.runtime_id.is_some(),
            container.reason.is_some(),
            failed,
            container.exit_code.is_some(),
        ]
        .iter()
        .position(|holds| *holds)
    };
    let ranked = containers
        .iter()
        .filter_map(|container| Some((rank(&container)?, container)));
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, container)| container)
}

fn how(container: &ContainerState) -> String {
    let reason = container.reason.as_deref();
    match (container.exit_code, container.health, reason) {
        (Some(code), _, Some(reason)) => format!("ended with exit code {code}: {reason}"),
        (Some(code), _, None) => format!("ended with exit code {code}"),
        (None, HealthStatus::Unhealthy, _) => "is unhealthy".to_owned(),
        (None, _, Some(reason)) => format!("did not start: {reason}"),
        (None, _, None) => "failed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use berth_model::status::ContainerStatus;

    use super::*;

    fn container(name: &str) -> ContainerState {
        ContainerState {
            name: name.into(),
            last: ContainerStatus::Stopped,
            runtime_id: None,
            image_digest: None,
            exit_code: None,
            reason: None,
            bindings: Vec::new(),
            address: None,
            health: HealthStatus::Unknown,
            restarts: 0,
            log_tail: None,
        }
    }

    fn told(containers: &[ContainerState]) -> String {
        let container = culprit(containers).unwrap();
        format!("{} {}", container.name, how(container))
    }

    #[test]
    fn the_container_that_failed_by_itself_is_named_with_how() {
        let stopped = ContainerState {
            exit_code: Some(143),
            ..container("side")
        };
        let crashed = ContainerState {
            exit_code: Some(3),
            log_tail: Some("boom".into()),
            ..container("app")
        };
        assert_eq!(told(&[stopped.clone(), crashed]), "app ended with exit code 3");
        let unstarted = ContainerState {
            reason: Some("CannotPullContainerError: no such image".into()),
            ..container("app")
        };
        assert_eq!(
            told(&[stopped.clone(), unstarted]),
            "app did not start: CannotPullContainerError: no such image"
        );
        let unhealthy = ContainerState {
            health: HealthStatus::Unhealthy,
            ..container("app")
        };
        assert_eq!(told(&[container("side"), unhealthy]), "app is unhealthy");
        assert_eq!(told(&[stopped]), "side ended with exit code 143");
        assert!(culprit(&[container("app")]).is_none());
    }
}
