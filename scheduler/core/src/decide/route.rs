//! Which instances tasks go to: what a caller says of launch type and capacity providers, and what its cluster says where
//! the caller does not.

use std::time::Duration;

use berth_model::capacity::{StrategyItem, has_weight, split};
use berth_model::fault::Fault;
use berth_model::status::LaunchType;
use berth_model::task_definition::{TaskDefinition, compatibility, fargate};

use super::capacity::check_associated;
use crate::launch::{CapacityWish, Provider, launches_on};
use crate::state::{Cluster, State};

/// How long tasks wait for instances that managed scaling adds (ECS guide, "Cluster auto scaling").
const SCALING_PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Where tasks go, as far as that is not placement's to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    /// What they are said to be launched on.
    pub(super) launch_type: LaunchType,
    /// How they are divided among capacity providers; nothing where they are not.
    pub(super) strategy: Vec<StrategyItem>,
}

/// Tasks that go the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// How many.
    pub(super) count: u32,
    /// Their capacity provider, where they have one.
    pub(super) provider: Option<Provider>,
}

impl Route {
    /// Where a caller's tasks go.
    ///
    /// # Errors
    /// ECS's `InvalidParameterException` for a strategy that names what the cluster does not have, or that gives tasks to
    /// nobody.
    pub(super) fn of(cluster: &Cluster, launch_type: LaunchType, wish: &CapacityWish) -> Result<Self, Fault> {
        let is_default = wish.strategy.is_empty() && wish.by_default;
        let strategy = match is_default {
            true => &cluster.default_strategy,
            false => &wish.strategy,
        };
        if strategy.is_empty() {
            return Ok(Self::as_was(launch_type, &[]));
        }
        check_associated(&cluster.providers, strategy)?;
        if !has_weight(strategy) {
            let (whose, remedy) = match is_default {
                true => (
                    "defined in the default capacity provider strategy",
                    "Update the cluster's default capacity provider strategy or specify a valid capacity provider strategy",
                ),
                false => (
                    "defined in the capacity provider strategy",
                    "Specify a valid capacity provider strategy",
                ),
            };
            return Err(Fault::invalid(format!(
                "There are no capacity providers with a weight value greater than zero {whose}. At least one capacity \
                 provider must have a weight value greater than zero specified. {remedy} and try again."
            )));
        }
        Ok(Self::as_was(launch_type, strategy))
    }

    /// Where tasks go by what was checked before.
    pub(super) fn as_was(launch_type: LaunchType, strategy: &[StrategyItem]) -> Self {
        Self {
            launch_type: launches_on(launch_type, strategy),
            strategy: strategy.to_vec(),
        }
    }

    /// Checks that tasks of the definition can go that way.
    ///
    /// # Errors
    /// ECS's `InvalidParameterException` for what Fargate does not run or does not let a caller choose.
    pub(super) fn check(
        &self,
        definition: &TaskDefinition,
        constraints: usize,
        strategies: usize,
    ) -> Result<(), Fault> {
        let required = &definition.requires_compatibilities;
        match self.launch_type {
            LaunchType::Ec2 => Ok(()),
            LaunchType::External if !required.is_empty() && required.iter().all(|name| name == "FARGATE") => {
                Err(unfit(LaunchType::External))
            }
            LaunchType::External => match compatibility::check_external(definition) {
                Ok(()) => Ok(()),
                Err(fault) => Err(because(LaunchType::External, &fault)),
            },
            LaunchType::Fargate if !required.is_empty() && !required.iter().any(|name| name == "FARGATE") => {
                Err(unfit(LaunchType::Fargate))
            }
            LaunchType::Fargate => {
                fargate::check(definition).map_err(|fault| because(LaunchType::Fargate, &fault))?;
                if strategies > 0 {
                    return Err(Fault::invalid(
                        "Placement strategies are not supported with FARGATE launch type.",
                    ));
                }
                if constraints > 0 {
                    return Err(Fault::invalid(
                        "Placement constraints are not supported with FARGATE launch type.",
                    ));
                }
                Ok(())
            }
        }
    }

    /// `count` tasks, each part with its provider, where the providers have so many tasks `before`.
    pub(super) fn parts(&self, state: &State, before: &[u32], count: u32) -> Vec<Part> {
        if self.strategy.is_empty() {
            return vec![Part { count, provider: None }];
        }
        let counts = split(&self.strategy, before, count);
        let parts = self.strategy.iter().zip(counts).filter(|(_, count)| *count > 0);
        parts
            .map(|(item, count)| Part {
                count,
                provider: Some(provider(state, item)),
            })
            .collect()
    }
}

fn unfit(launch_type: LaunchType) -> Fault {
    Fault::invalid(format!(
        "Task definition does not support launch_type {}.",
        launch_type.name()
    ))
}

fn because(launch_type: LaunchType, fault: &Fault) -> Fault {
    Fault::invalid(format!("{} {}", unfit(launch_type).message, fault.message))
}

/// The provider of a part of a strategy, with what tells its instances.
pub(super) fn provider(state: &State, item: &StrategyItem) -> Provider {
    let known = state.capacity_provider(&item.provider);
    Provider {
        name: item.provider.clone(),
        group: known.map(|known| known.group.group_name().into()),
    }
}

impl Part {
    /// How long its tasks wait for room although nobody asks for it: instances come when tasks wait for them.
    pub(super) fn patience(&self, state: &State) -> Option<Duration> {
        let known = state.capacity_provider(&self.provider.as_ref()?.name)?;
        known.group.scaling.enabled.then_some(SCALING_PATIENCE)
    }
}
