//! What gateways say of targets, weighed together. Pure: time is an argument.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_model::id::TaskId;
use berth_scheduler_core::keys::{ClusterKey, TaskKey};
use berth_scheduler_core::target::TargetHealth;

use super::GatewayKey;

/// How long a gateway whose stream has ended is believed to go on with what it knows.
pub(super) const REMEMBERED: Duration = Duration::from_secs(60);
/// How long gateways have to find a scheduler that has just started.
const RETURN: Duration = Duration::from_secs(15);

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
    gateways: BTreeMap<GatewayKey, Gateway>,
}

#[derive(Debug, Default)]
struct Gateway {
    /// When its stream ended; none while it is there.
    left: Option<Instant>,
    said: HashMap<TaskId, BTreeMap<Arc<str>, Saying>>,
}

impl Targets {
    /// A gateway is there. It tells everything again, so that what it said before is put right.
    pub(super) fn arrive(&mut self, key: &GatewayKey) {
        self.gateways.entry(key.clone()).or_default().left = None;
    }

    /// Its stream has ended; it may go on forwarding.
    pub(super) fn leave(&mut self, key: &GatewayKey, now: Instant) {
        if let Some(gateway) = self.gateways.get_mut(key) {
            gateway.left = Some(now);
        }
    }

    /// It forwards nothing any more; gives the targets of which it had said something.
    pub(super) fn part(&mut self, key: &GatewayKey) -> Vec<TaskId> {
        let gateway = self.gateways.remove(key).unwrap_or_default();
        gateway.said.into_keys().collect()
    }

    pub(super) fn hear(&mut self, key: &GatewayKey, said: Said) {
        if let Some(gateway) = self.gateways.get_mut(key) {
            gateway
                .said
                .entry(said.task)
                .or_default()
                .insert(said.group, said.saying);
        }
    }

    /// Drops gateways that have been away for too long; gives the targets of which they had said something.
    pub(super) fn forget(&mut self, now: Instant) -> Vec<(ClusterKey, TaskId)> {
        let is_gone = |gateway: &Gateway| gateway.left.is_some_and(|left| now.duration_since(left) >= REMEMBERED);
        let gone: Vec<GatewayKey> = self
            .gateways
            .iter()
            .filter(|(_, gateway)| is_gone(gateway))
            .map(|(key, _)| key.clone())
            .collect();
        let mut targets = Vec::new();
        for key in gone {
            let gateway = self.gateways.remove(&key).unwrap_or_default();
            targets.extend(gateway.said.into_keys().map(|task| (key.cluster, task)));
        }
        targets
    }

    /// Keeps what was said of these targets alone.
    pub(super) fn retain(&mut self, is_target: impl Fn(TaskKey) -> bool) {
        for (key, gateway) in &mut self.gateways {
            let cluster = key.cluster;
            gateway
                .said
                .retain(|task, _| is_target(TaskKey { cluster, task: *task }));
        }
    }

    /// What the gateways say together of a task as a target of these groups: it is well in a group where any says so,
    /// and not well where none does and one says that it is not; it is well where it is in all of them.
    ///
    /// `started` is when the scheduler began to listen: before gateways could find it nobody can say that there is none.
    pub(super) fn verdict<'g>(
        &self,
        key: TaskKey,
        groups: impl Iterator<Item = &'g str>,
        started: Instant,
        now: Instant,
    ) -> Verdict {
        let gateways: Vec<&Gateway> = self
            .gateways
            .iter()
            .filter(|(gateway, _)| gateway.cluster == key.cluster)
            .map(|(_, gateway)| gateway)
            .collect();
        let mut drained = now.duration_since(started) >= RETURN;
        let mut well = true;
        let mut problem: Option<Arc<str>> = None;
        for group in groups {
            let sayings = || {
                let said = gateways.iter().map(|gateway| gateway.said.get(&key.task));
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
        // One that is away may still forward to it.
        drained &= gateways.iter().all(|gateway| gateway.left.is_none());
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
