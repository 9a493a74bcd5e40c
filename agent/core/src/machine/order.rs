//! The order of the containers of a task: what each needs of others before it is created. Stops go the other way round.
//!
//! `dependsOn` says what it needs; a link needs its target started, `volumesFrom` needs it created (ECS guide,
//! "Container dependency"), and all need the pause container that holds namespaces for them.

use std::time::Duration;

use berth_model::status::HealthStatus;
use berth_model::task_definition::{Condition, Link};
use berth_model::time::Timestamp;

use crate::container::{Container, Phase};
use crate::failure::ErrorName;
use crate::spec::TaskSpec;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Created,
    Dependency(Condition),
    /// Running, and its address known where it holds the task's.
    Namespaces,
}

/// For each container what it needs of which others, and how long others may wait for it.
#[derive(Debug, Clone)]
pub(super) struct Order {
    needs: Vec<Vec<(usize, Need)>>,
    /// From its start; none where others wait for as long as it takes.
    patience: Vec<Option<Duration>>,
    /// The task has an address of its own.
    addressed: bool,
}

/// Whether a container's turn has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    Shut,
    /// It can never open, for the reason.
    Never(String),
}

/// Whether what one container needs of another is so.
enum Verdict {
    Met,
    NotYet,
    /// It never will be, in words that follow the container's name.
    Never(String),
}

impl Order {
    pub(super) fn of(spec: &TaskSpec) -> Self {
        let needs = spec.containers().iter().enumerate().map(|(at, container)| {
            let pause = spec.pause().filter(|pause| *pause != at);
            let dependencies = container
                .depends_on
                .iter()
                .filter_map(|entry| Some((entry.container_name.as_str(), Need::Dependency(entry.condition()?))));
            let links = container
                .links
                .iter()
                .map(|text| (Link::parse(text).container, Need::Dependency(Condition::Start)));
            let sources = container
                .volumes_from
                .iter()
                .filter_map(|from| from.source_container.as_deref());
            dependencies
                .chain(links)
                .chain(sources.map(|source| (source, Need::Created)))
                .filter_map(|(name, need)| Some((spec.position(name)?, need)))
                .chain(pause.map(|pause| (pause, Need::Namespaces)))
                .collect()
        });
        let patience = spec.containers().iter().map(|container| {
            let seconds = container.start_timeout.and_then(|given| u64::try_from(given).ok());
            seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs)
        });
        Self {
            needs: needs.collect(),
            patience: patience.collect(),
            addressed: spec.pause().is_some_and(|pause| spec.holds_address(pause)),
        }
    }

    /// Whether the container at the place may be created. `since` is when each container was started.
    pub(super) fn gate(
        &self,
        at: usize,
        containers: &[Container],
        since: impl Fn(usize) -> Option<Timestamp>,
        now: Timestamp,
    ) -> Gate {
        let mut gate = Gate::Open;
        for (other, need) in self.needs.get(at).into_iter().flatten() {
            let Some(container) = containers.get(*other) else {
                continue;
            };
            match self.verdict(*other, container, *need, since(*other), now) {
                Verdict::Met => {}
                Verdict::NotYet => gate = Gate::Shut,
                Verdict::Never(words) => {
                    let words = format!("container '{}', which it needs, {words}", container.name);
                    return Gate::Never(ErrorName::Dependency.reason(&words));
                }
            }
        }
        gate
    }

    fn verdict(
        &self,
        at: usize,
        container: &Container,
        need: Need,
        since: Option<Timestamp>,
        now: Timestamp,
    ) -> Verdict {
        let over = container.phase == Phase::Stopped;
        let started = container.started_at.is_some();
        let met = match need {
            Need::Created => container.runtime_id.is_some(),
            Need::Namespaces => {
                container.phase == Phase::Running && (container.task_address().is_some() || !self.addressed)
            }
            Need::Dependency(Condition::Start) => started,
            Need::Dependency(Condition::Complete) => over && started,
            Need::Dependency(Condition::Success) => over && started && container.exit_code == Some(0),
            Need::Dependency(Condition::Healthy) => container.health == Some(HealthStatus::Healthy),
        };
        if met && !(over && need == Need::Dependency(Condition::Healthy)) {
            return Verdict::Met;
        }
        if over {
            return Verdict::Never(missed(container, need));
        }
        let deadline = self.deadline(at, since);
        if let (Need::Dependency(condition), Some(patience)) = (need, self.patience[at])
            && condition != Condition::Start
            && deadline.is_some_and(|deadline| deadline <= now)
        {
            return Verdict::Never(format!(
                "did not reach the condition {condition} within its startTimeout of {} seconds",
                patience.as_secs()
            ));
        }
        Verdict::NotYet
    }

    /// When those that wait for the container, which was started `since`, give up.
    pub(super) fn deadline(&self, at: usize, since: Option<Timestamp>) -> Option<Timestamp> {
        Some(since? + (*self.patience.get(at)?)?)
    }

    /// Whether no container that needs this one is left.
    pub(super) fn may_stop(&self, at: usize, containers: &[Container]) -> bool {
        let needs_it = |needs: &[(usize, Need)]| needs.iter().any(|(other, _)| *other == at);
        self.needs
            .iter()
            .zip(containers)
            .all(|(needs, container)| container.phase == Phase::Stopped || !needs_it(needs))
    }
}

/// What an ended container can no longer give.
fn missed(container: &Container, need: Need) -> String {
    match need {
        Need::Created => "was never created".to_owned(),
        Need::Namespaces => "does not run".to_owned(),
        Need::Dependency(_) if container.started_at.is_none() => "was never started".to_owned(),
        Need::Dependency(condition) => match container.exit_code {
            Some(code) => format!("ended with exit code {code} and can no longer reach the condition {condition}"),
            None => format!("is gone and can no longer reach the condition {condition}"),
        },
    }
}
