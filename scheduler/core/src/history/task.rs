//! The story of a task.

use std::sync::Arc;

use super::{Told, launch_words, stop_words, told};
use crate::change::Change;
use crate::keys::{ClusterKey, TaskKey};
use crate::launch::Placement;
use crate::observation::{ContainerState, Observation};
use crate::target::TargetHealth;

#[expect(clippy::wildcard_enum_match_arm, reason = "other changes are of other subjects")]
pub(super) fn concerns(key: TaskKey, change: &Change) -> bool {
    let is = |cluster: &ClusterKey, task: &berth_model::id::TaskId| *cluster == key.cluster && *task == key.task;
    let among = |cluster: &ClusterKey, placements: &[Placement]| {
        *cluster == key.cluster && placements.iter().any(|placement| placement.task == key.task)
    };
    match change {
        Change::TasksPlaced {
            cluster, placements, ..
        }
        | Change::QueuedTasksPlaced { cluster, placements } => among(cluster, placements),
        Change::TasksQueued { cluster, tasks, .. }
        | Change::TargetsRegistered { cluster, tasks }
        | Change::TargetsDeregistered { cluster, tasks }
        | Change::TasksForgotten { cluster, tasks } => *cluster == key.cluster && tasks.contains(&key.task),
        Change::QueuedTaskEnded { cluster, task, .. }
        | Change::TaskStopRequested { cluster, task, .. }
        | Change::TargetHealthSet { cluster, task, .. }
        | Change::TaskObserved { cluster, task, .. }
        | Change::SessionOpened { cluster, task, .. }
        | Change::SessionEnded { cluster, task, .. }
        | Change::TaskProtectionSet { cluster, task, .. } => is(cluster, task),
        _ => false,
    }
}

/// Remembers what was last seen of the task.
#[derive(Debug)]
pub(super) struct Teller {
    key: TaskKey,
    seen: Option<Arc<Observation>>,
}

impl Teller {
    pub(super) const fn of(key: TaskKey) -> Self {
        Self { key, seen: None }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "other changes are of other subjects")]
    pub(super) fn tell(&mut self, change: &Change) -> Option<Told> {
        let place = |placements: &[Placement]| {
            let placement = placements.iter().find(|placement| placement.task == self.key.task)?;
            Some(placement.instance)
        };
        match change {
            Change::TasksPlaced { launch, placements, .. } => {
                let what = format!("placed on container instance {}", place(placements)?);
                Some(told(what, launch_words(launch)))
            }
            Change::TasksQueued { wait, .. } => {
                let what = format!(
                    "waits for room until {}: {}",
                    wait.deadline.to_rfc3339(),
                    launch_words(&wait.launch)
                );
                Some(told(what, stop_words(None, &reasons(&wait.reason, &wait.detail))))
            }
            Change::QueuedTasksPlaced { placements, .. } => {
                let what = format!("placed on container instance {}", place(placements)?);
                Some(told(what, "there is room now"))
            }
            Change::QueuedTaskEnded { code, reason, .. } => Some(told(
                "ended without a container instance",
                stop_words(Some(*code), reason),
            )),
            Change::TaskStopRequested {
                code,
                reason,
                deregister_by,
                ..
            } => {
                let what = deregister_by.map_or_else(
                    || "is to stop".to_owned(),
                    |by| {
                        format!(
                            "is to stop when its connections are closed, at the latest at {}",
                            by.to_rfc3339()
                        )
                    },
                );
                Some(told(what, stop_words(Some(*code), reason)))
            }
            Change::TargetsRegistered { .. } => Some(told("became a target of its load balancers", "")),
            Change::TargetHealthSet { health, reason, .. } => {
                let word = match health {
                    TargetHealth::Initial => "being checked",
                    TargetHealth::Healthy => "healthy",
                    TargetHealth::Unhealthy => "unhealthy",
                };
                Some(told(format!("as a target it is {word}"), &**reason))
            }
            Change::TargetsDeregistered { .. } => Some(told("is no target any more", "")),
            Change::TaskObserved { observed, .. } => self.observed(observed),
            Change::TaskProtectionSet { until, .. } => Some(match until {
                Some(until) => told(format!("is protected until {}", until.to_rfc3339()), ""),
                None => told("is protected no longer", ""),
            }),
            Change::SessionOpened {
                session,
                container,
                command,
                ..
            } => Some(told(
                format!("command may be run in container {container}: {}", command.join(" ")),
                format!("session {session}"),
            )),
            Change::SessionEnded { session, reason, .. } => {
                Some(told("command is over", format!("session {session}: {reason}")))
            }
            Change::TasksForgotten { .. } => Some(told("was forgotten: it is described no more", "")),
            _ => None,
        }
    }

    fn observed(&mut self, now: &Arc<Observation>) -> Option<Told> {
        let before = self.seen.replace(Arc::clone(now));
        let mut parts = Vec::new();
        if before
            .as_ref()
            .is_none_or(|before| before.last_status != now.last_status)
        {
            parts.push(now.last_status.name().to_owned());
        }
        let mut why = vec![stop_words(
            now.stop_code,
            now.stopped_reason.as_deref().unwrap_or_default(),
        )];
        for container in now.containers.iter() {
            let known = before.iter().flat_map(|before| before.containers.iter());
            let words = container_words(container, known.into_iter().find(|known| known.name == container.name));
            if !words.is_empty() {
                parts.push(format!("container {} {}", container.name, words.join(", ")));
                why.extend(
                    container
                        .reason
                        .as_ref()
                        .map(|reason| format!("{}: {reason}", container.name)),
                );
            }
        }
        why.retain(|reason| !reason.is_empty());
        (!parts.is_empty()).then(|| told(parts.join("; "), why.join("; ")))
    }
}

fn reasons(reason: &str, detail: &str) -> String {
    match detail {
        "" => reason.to_owned(),
        detail => format!("{reason}: {detail}"),
    }
}

/// What is new of a container; ids, digests and times are no news.
fn container_words(now: &ContainerState, before: Option<&ContainerState>) -> Vec<String> {
    use berth_model::status::HealthStatus;
    let mut words = Vec::new();
    if before.is_none_or(|before| before.last != now.last) {
        words.push(now.last.name().to_owned());
    }
    if before.map_or(HealthStatus::Unknown, |before| before.health) != now.health {
        words.push(now.health.name().to_owned());
    }
    if let Some(code) = now
        .exit_code
        .filter(|_| before.is_none_or(|before| before.exit_code != now.exit_code))
    {
        words.push(format!("exit code {code}"));
    }
    if before.map_or(0, |before| before.restarts) != now.restarts {
        words.push(format!("restarted, {} times so far", now.restarts));
    }
    words
}
