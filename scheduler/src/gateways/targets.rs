//! What gateways say of targets, weighed together. Pure: time is an argument.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use berth_model::id::TaskId;
use berth_proto::gateway::v1::TargetState;
use berth_scheduler_core::keys::{ClusterKey, TaskKey};
use berth_scheduler_core::target::TargetHealth;

use super::GatewayKey;
use super::streams::{Stream, Streams, Via};

/// Characters of a reason that are kept.
const MAX_REASON: usize = 200;

/// What one gateway says of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) task: TaskId,
    /// The target group's ARN.
    pub(crate) group: Arc<str>,
    pub(crate) saying: Saying,
}

/// How a target is, for one gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Saying {
    /// No check has ended.
    Initial,
    Healthy,
    /// Why, in words.
    Unhealthy(Arc<str>),
    /// It leaves and has connections.
    Draining,
    /// It leaves and has none.
    Drained,
}

impl Saying {
    /// What is said on the wire; nothing where that is a state of a newer version.
    pub(crate) fn read(state: TargetState, reason: &str) -> Option<Self> {
        match state {
            TargetState::Initial => Some(Self::Initial),
            TargetState::Healthy => Some(Self::Healthy),
            TargetState::Unhealthy => {
                let reason: String = reason.chars().take(MAX_REASON).collect();
                Some(Self::Unhealthy(reason.into()))
            }
            TargetState::Draining => Some(Self::Draining),
            TargetState::Drained => Some(Self::Drained),
            TargetState::Unspecified => None,
        }
    }
}

/// What gateways say of a target together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// None where they have not found out: what was known stays.
    pub(crate) health: Option<(TargetHealth, Arc<str>)>,
    /// Whether no gateway can have a connection to it.
    pub(crate) drained: bool,
}

/// What all gateways have said.
#[derive(Debug, Default)]
pub(super) struct Targets {
    pub(super) streams: Streams<Sayings>,
}

/// What one gateway says, by task and target group.
pub(super) type Sayings = HashMap<TaskId, BTreeMap<Arc<str>, Saying>>;

impl Targets {
    /// A gateway forwards nothing any more; gives the targets of which it had said something.
    pub(super) fn part(&mut self, key: &GatewayKey) -> BTreeSet<TaskId> {
        self.streams
            .part(key)
            .into_iter()
            .flat_map(HashMap::into_keys)
            .collect()
    }

    pub(super) fn hear(&mut self, key: &GatewayKey, via: Via, said: Said) {
        if let Some(sayings) = self.streams.said_mut(key, via) {
            sayings.entry(said.task).or_default().insert(said.group, said.saying);
        }
    }

    /// What a gateway says of some targets by one way.
    pub(super) fn said(&self, key: &GatewayKey, via: Via, tasks: impl Iterator<Item = TaskId>) -> Vec<Said> {
        let Some(sayings) = self.streams.said(key, via) else {
            return Vec::new();
        };
        let groups = tasks.filter_map(|task| Some((task, sayings.get(&task)?)));
        let said = groups.flat_map(|(task, groups)| {
            groups.iter().map(move |(group, saying)| Said {
                task,
                group: Arc::clone(group),
                saying: saying.clone(),
            })
        });
        said.collect()
    }

    /// Drops gateways that have been away for too long; gives the targets of which they had said something.
    pub(super) fn forget(&mut self, now: Instant) -> Vec<(ClusterKey, TaskId)> {
        let gone = self.streams.forget(now).into_iter();
        gone.flat_map(|(key, sayings)| sayings.into_keys().map(move |task| (key.cluster, task)))
            .collect()
    }

    /// Keeps what was said of these targets alone.
    pub(super) fn retain(&mut self, is_target: impl Fn(TaskKey) -> bool) {
        for (key, sayings) in self.streams.iter_mut() {
            let cluster = key.cluster;
            sayings.retain(|task, _| is_target(TaskKey { cluster, task: *task }));
        }
    }

    /// What the gateways say together of a task as a target of these groups: it is well in a group where any says so,
    /// and not well where none does and one says that it is not; it is well where it is in all of them.
    ///
    /// Without a gateway it is drained: whether all are known is for the caller to say.
    pub(super) fn verdict<'g>(&self, key: TaskKey, groups: impl Iterator<Item = &'g str>) -> Verdict {
        let streams: Vec<&Stream<Sayings>> = self
            .streams
            .iter()
            .filter(|(gateway, _)| gateway.cluster == key.cluster)
            .flat_map(|(_, streams)| streams)
            .collect();
        // One that is away may still forward to it.
        let mut drained = streams.iter().all(|stream| stream.is_there());
        let mut well = true;
        let mut problem: Option<Arc<str>> = None;
        for group in groups {
            let sayings = || {
                let said = streams.iter().map(|stream| stream.said.get(&key.task));
                said.map(|said| said.and_then(|groups| groups.get(group)))
            };
            drained &= sayings().all(|saying| saying == Some(&Saying::Drained));
            if sayings().any(|saying| saying == Some(&Saying::Healthy)) {
                continue;
            }
            well = false;
            let bad = sayings().find_map(|saying| match saying {
                Some(Saying::Unhealthy(reason)) => Some(Arc::clone(reason)),
                _ => None,
            });
            problem = problem.or(bad);
        }
        let health = match (problem, well) {
            (Some(reason), _) => Some((TargetHealth::Unhealthy, reason)),
            (None, true) => Some((TargetHealth::Healthy, Arc::default())),
            (None, false) => None,
        };
        Verdict { health, drained }
    }
}

#[cfg(test)]
mod tests;
