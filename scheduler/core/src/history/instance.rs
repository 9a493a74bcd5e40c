//! The story of a container instance.

use std::collections::BTreeMap;

use berth_model::id::TaskId;
use berth_model::status::TaskStatus;

use super::{Told, launch_words, stop_words, told};
use crate::change::{Change, Entry};
use crate::keys::{ClusterKey, InstanceKey};
use crate::launch::Placement;

#[expect(clippy::wildcard_enum_match_arm, reason = "other changes are of other subjects")]
pub(super) fn concerns(key: InstanceKey, change: &Change, entry: &Entry) -> bool {
    let among = |cluster: &ClusterKey, placements: &[Placement]| {
        *cluster == key.cluster && placements.iter().any(|placement| placement.instance == key.instance)
    };
    match change {
        Change::InstanceRegistered { cluster, instance, .. }
        | Change::InstanceConnection { cluster, instance, .. }
        | Change::InstanceStatusSet { cluster, instance, .. }
        | Change::InstanceAttributesSet { cluster, instance, .. } => {
            *cluster == key.cluster && *instance == key.instance
        }
        Change::TasksPlaced {
            cluster, placements, ..
        }
        | Change::QueuedTasksPlaced { cluster, placements } => among(cluster, placements),
        // Of tasks on it only its own agent speaks.
        Change::TaskObserved { cluster, .. } => {
            let agent = entry.by.strip_prefix("agent ");
            *cluster == key.cluster && agent.is_some_and(|agent| *agent == key.instance.to_string())
        }
        _ => false,
    }
}

/// Remembers how far its tasks were.
#[derive(Debug)]
pub(super) struct Teller {
    key: InstanceKey,
    tasks: BTreeMap<TaskId, TaskStatus>,
}

impl Teller {
    pub(super) const fn of(key: InstanceKey) -> Self {
        Self {
            key,
            tasks: BTreeMap::new(),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "other changes are of other subjects")]
    pub(super) fn tell(&mut self, change: &Change) -> Option<Told> {
        let tasks = |placements: &[Placement]| {
            let here = placements
                .iter()
                .filter(|placement| placement.instance == self.key.instance);
            let ids: Vec<TaskId> = here.map(|placement| placement.task).collect();
            match &ids[..] {
                [only] => format!("got task {only}"),
                several => {
                    let ids: Vec<String> = several.iter().map(TaskId::to_string).collect();
                    format!("got {} tasks: {}", several.len(), ids.join(", "))
                }
            }
        };
        match change {
            Change::InstanceRegistered { facts, .. } => {
                let mut what = format!("registered with {} CPU units and {} MiB", facts.cpu, facts.memory);
                if !facts.gpus.is_empty() {
                    what += &format!(", {} GPUs", facts.gpus.len());
                }
                let versions = [("agent", &facts.agent_version), ("Docker", &facts.docker_version)];
                for (of, version) in versions.into_iter().filter(|(_, version)| !version.is_empty()) {
                    what += &format!(", {of} {version}");
                }
                Some(told(what, ""))
            }
            Change::InstanceConnection { connected, via, .. } => {
                let what = if *connected {
                    "its agent connected"
                } else {
                    "its agent is away"
                };
                let at = via.map_or_else(String::new, |via| format!("at scheduler {via}"));
                Some(told(what, at))
            }
            Change::InstanceStatusSet { status, leaving, .. } => {
                Some(told(format!("became {status}"), leaving.as_deref().unwrap_or_default()))
            }
            Change::InstanceAttributesSet { attributes, .. } => {
                let written = attributes.iter().map(|(name, value)| match value {
                    Some(value) => format!("{name}={value}"),
                    None => name.clone(),
                });
                let written: Vec<String> = written.collect();
                let what = match written.is_empty() {
                    true => "has no attributes from operators any more".to_owned(),
                    false => format!("has from operators the attributes {}", written.join(", ")),
                };
                Some(told(what, ""))
            }
            Change::TasksPlaced { launch, placements, .. } => Some(told(tasks(placements), launch_words(launch))),
            Change::QueuedTasksPlaced { placements, .. } => Some(told(tasks(placements), "waited for room")),
            Change::TaskObserved { task, observed, .. } => {
                let status = observed.last_status;
                let before = self.tasks.insert(*task, status);
                let is_news = matches!(status, TaskStatus::Running | TaskStatus::Stopped) && before != Some(status);
                is_news.then(|| {
                    let reason = observed.stopped_reason.as_deref().unwrap_or_default();
                    told(format!("task {task} {status}"), stop_words(observed.stop_code, reason))
                })
            }
            _ => None,
        }
    }
}
