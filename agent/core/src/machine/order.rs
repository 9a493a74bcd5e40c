//! The order of the containers of a task: a link needs its target running, `volumesFrom` needs it created. Stops go
//! the other way round.

use berth_model::task_definition::Link;

use crate::container::{Container, Phase};
use crate::failure::ErrorName;
use crate::spec::TaskSpec;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Running,
    Created,
}

/// For each container the places of those that it needs.
#[derive(Debug, Clone)]
pub(super) struct Order {
    needs: Vec<Vec<(usize, Need)>>,
}

/// Whether a container's turn has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    Shut,
    /// It can never open, for the reason.
    Never(String),
}

impl Order {
    pub(super) fn of(spec: &TaskSpec) -> Self {
        let needs = spec.containers().iter().map(|container| {
            let links = container
                .links
                .iter()
                .map(|text| (Link::parse(text).container, Need::Running));
            let sources = container
                .volumes_from
                .iter()
                .filter_map(|from| from.source_container.as_deref());
            links
                .chain(sources.map(|source| (source, Need::Created)))
                .filter_map(|(name, need)| Some((spec.position(name)?, need)))
                .collect()
        });
        Self { needs: needs.collect() }
    }

    /// Whether the container at the place may be created.
    pub(super) fn gate(&self, at: usize, containers: &[Container]) -> Gate {
        let mut gate = Gate::Open;
        for (other, need) in self.needs.get(at).into_iter().flatten() {
            let Some(container) = containers.get(*other) else {
                continue;
            };
            let (met, missed) = match need {
                Need::Running => (
                    container.phase == Phase::Running || container.started_at.is_some(),
                    "was never started",
                ),
                Need::Created => (container.runtime_id.is_some(), "was never created"),
            };
            if met {
                continue;
            }
            if container.phase == Phase::Stopped {
                let words = format!("container '{}', which it needs, {missed}", container.name);
                return Gate::Never(ErrorName::Dependency.reason(&words));
            }
            gate = Gate::Shut;
        }
        gate
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
