//! CreateCapacityProvider, UpdateCapacityProvider, DeleteCapacityProvider, their tags, and PutClusterCapacityProviders.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_model::capacity::{GroupProvider, MAX_PROVIDERS, RawGroupProvider, StrategyItem};
use berth_model::fault::{Fault, FaultClass};
use berth_model::name::{ClusterName, ProviderName};
use berth_model::service::ServiceStatus;
use berth_model::status::ClusterStatus;
use berth_model::tag::{MAX_TAGS, Tag};

use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::keys::ClusterKey;
use crate::launch::Launch;
use crate::state::{CapacityProvider, Service, State};

/// Makes a capacity provider (ECS API, CreateCapacityProvider).
#[derive(Debug, Clone)]
pub struct CreateCapacityProvider {
    /// Its name.
    pub name: ProviderName,
    /// Its instances.
    pub group: GroupProvider,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// Changes a capacity provider; what is not said stays as it is (ECS API, UpdateCapacityProvider).
#[derive(Debug, Clone)]
pub struct UpdateCapacityProvider {
    /// Its name.
    pub name: ProviderName,
    /// What is to change.
    pub change: RawGroupProvider,
}

/// Deletes a capacity provider that no cluster has (ECS API, DeleteCapacityProvider).
#[derive(Debug, Clone)]
pub struct DeleteCapacityProvider {
    /// Its name.
    pub name: ProviderName,
}

/// Sets and removes tags of a capacity provider.
#[derive(Debug, Clone)]
pub struct TagCapacityProvider {
    /// Its name.
    pub name: ProviderName,
    /// Tags to add; one that is there gets the value.
    pub set: Vec<Tag>,
    /// Keys of tags to remove; what is not there is no error.
    pub remove: Vec<String>,
}

/// Says which capacity providers a cluster has, and by which strategy tasks go to them where nothing else is said (ECS API,
/// PutClusterCapacityProviders).
#[derive(Debug, Clone)]
pub struct SetClusterProviders {
    /// The cluster.
    pub cluster: ClusterName,
    /// All that it is to have.
    pub providers: Vec<ProviderName>,
    /// The strategy; nothing where there is none.
    pub strategy: Vec<StrategyItem>,
}

impl Command for CreateCapacityProvider {
    type Outcome = ();

    fn decide(&self, state: &State, _env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        if state.capacity_provider(&self.name).is_some() {
            return Err(Fault::client(
                "The specified capacity provider already exists. To change the configuration of an existing capacity \
                 provider, update the capacity provider.",
            ));
        }
        let group = self.group.group_name();
        let is_taken = |known: &Arc<CapacityProvider>| {
            known.group.group_name() == group || known.is_called(self.name.as_str()) || known.name.as_str() == group
        };
        if state.capacity_providers().any(is_taken) {
            return Err(Fault::client(
                "The specified Auto Scaling group ARN is already being used by another capacity provider. Specify a unique \
                 Auto Scaling group ARN and try again.",
            ));
        }
        Ok(set(CapacityProvider {
            name: self.name.clone(),
            group: self.group.clone(),
            tags: self.tags.clone(),
            updated: false,
        }))
    }
}

fn set(provider: CapacityProvider) -> Decision<()> {
    Decision {
        changes: vec![Change::CapacityProviderSet {
            provider: Arc::new(provider),
        }],
        outcome: (),
    }
}

/// The provider of the name, which was made by somebody.
fn made<'s>(state: &'s State, name: &ProviderName, doing: &str) -> Result<&'s Arc<CapacityProvider>, Fault> {
    if name.is_fargate() {
        return Err(Fault::client(format!(
            "The specified capacity provider '{name}' is reserved and cannot be {doing}."
        )));
    }
    state.capacity_provider(name).ok_or_else(|| not_found(name))
}

fn not_found(name: &ProviderName) -> Fault {
    Fault::client(format!(
        "The specified capacity provider '{name}' was not found. Specify a valid name or ARN and try again."
    ))
}

impl Command for UpdateCapacityProvider {
    type Outcome = ();

    fn decide(&self, state: &State, _env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        let known = made(state, &self.name, "updated")?;
        let group = known.group.updated(&self.change)?;
        if group == known.group && known.updated {
            return Ok(Decision::unchanged(()));
        }
        Ok(set(CapacityProvider {
            group,
            updated: true,
            ..CapacityProvider::clone(known)
        }))
    }
}

impl Command for DeleteCapacityProvider {
    type Outcome = Arc<CapacityProvider>;

    fn decide(&self, state: &State, _env: &mut Env<'_>) -> Result<Decision<Arc<CapacityProvider>>, Fault> {
        if !self.name.is_fargate() && state.capacity_provider(&self.name).is_none() {
            return Err(Fault::client(
                "The specified capacity provider does not exist. Specify a valid name or ARN and try again.",
            ));
        }
        let known = made(state, &self.name, "deleted")?;
        let has = |cluster: &&crate::state::Cluster| {
            cluster.status == ClusterStatus::Active && cluster.providers.contains(&self.name)
        };
        if let Some(cluster) = state.clusters().find(has) {
            return Err(Fault::client(format!(
                "The capacity provider cannot be deleted because it is associated with cluster: {}. Remove the capacity \
                 provider from the cluster and try again.",
                cluster.name
            )));
        }
        Ok(Decision {
            changes: vec![Change::CapacityProviderDeleted {
                name: self.name.clone(),
            }],
            outcome: Arc::clone(known),
        })
    }
}

impl Command for TagCapacityProvider {
    type Outcome = ();

    fn decide(&self, state: &State, _env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        let known = made(state, &self.name, "tagged")?;
        let mut tags = known.tags.clone();
        tags.retain(|tag| !self.remove.contains(&tag.key));
        for tag in &self.set {
            match tags.iter_mut().find(|known| known.key == tag.key) {
                Some(known) => known.value.clone_from(&tag.value),
                None => tags.push(tag.clone()),
            }
        }
        if tags.len() > MAX_TAGS {
            return Err(Fault::new(
                FaultClass::LimitExceeded,
                format!(
                    "Capacity provider {} would have {} tags, at most {MAX_TAGS} are allowed.",
                    self.name,
                    tags.len()
                ),
            ));
        }
        if tags == known.tags {
            return Ok(Decision::unchanged(()));
        }
        Ok(set(CapacityProvider {
            tags,
            ..CapacityProvider::clone(known)
        }))
    }
}

impl Command for SetClusterProviders {
    type Outcome = ();

    fn decide(&self, state: &State, _env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        let cluster = state.active_cluster(&self.cluster)?;
        check(state, &self.providers, &self.strategy)?;
        let gone = |name: &&ProviderName| !self.providers.contains(name);
        for name in cluster.providers.iter().filter(gone) {
            if is_in_use(state, cluster.key, name) {
                return Err(Fault::new(
                    FaultClass::ResourceInUse,
                    "The specified capacity provider is in use and cannot be removed.",
                ));
            }
        }
        if *cluster.providers == *self.providers && *cluster.default_strategy == *self.strategy {
            return Ok(Decision::unchanged(()));
        }
        Ok(Decision {
            changes: vec![Change::ClusterProvidersSet {
                cluster: cluster.key,
                providers: self.providers.clone(),
                strategy: self.strategy.clone(),
            }],
            outcome: (),
        })
    }
}

/// Checks what a cluster is to have.
///
/// # Errors
/// ECS's fault for a provider that does not exist, too many of them, or a strategy that names another.
pub(super) fn check(state: &State, providers: &[ProviderName], strategy: &[StrategyItem]) -> Result<(), Fault> {
    if providers.len() > MAX_PROVIDERS {
        return Err(Fault::invalid(
            "The maximum number of capacity providers per cluster has been exceeded.",
        ));
    }
    let mut seen = BTreeSet::new();
    for name in providers {
        if !name.is_fargate() && state.capacity_provider(name).is_none() {
            let class = FaultClass::InvalidParameter;
            return Err(Fault::new(class, not_found(name).message));
        }
        if !seen.insert(name) {
            return Err(Fault::invalid(format!(
                "capacityProviders names capacity provider '{name}' more than once."
            )));
        }
    }
    check_associated(providers, strategy)
}

/// Checks that a strategy names only providers that its cluster has.
///
/// # Errors
/// ECS's `InvalidParameterException`.
pub(super) fn check_associated(providers: &[ProviderName], strategy: &[StrategyItem]) -> Result<(), Fault> {
    match strategy.iter().all(|item| providers.contains(&item.provider)) {
        true => Ok(()),
        false => Err(Fault::invalid(
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the \
             cluster. Associate the capacity provider with the cluster or specify a valid capacity provider and try again.",
        )),
    }
}

/// Whether a service of the cluster goes by the provider, or a task that has not stopped went to it.
fn is_in_use(state: &State, cluster: ClusterKey, name: &ProviderName) -> bool {
    let mut services = state
        .services_of(cluster)
        .filter(|service| service.status != ServiceStatus::Inactive);
    let has = |launch: &Launch| launch.provider.as_ref().is_some_and(|provider| provider.name == *name);
    let mut waiting = state.queue().tasks_of(cluster, None).filter(|task| task.is_waiting());
    let mut live = state.tasks_of(cluster, None).filter(|task| !task.is_stopped());
    let names = |items: &[StrategyItem]| items.iter().any(|item| item.provider == *name);
    let of_sets = |service: &Service| service.task_sets().any(|(_, set)| names(&set.capacity));
    services.any(|service| names(&service.spec.capacity) || of_sets(service))
        || waiting.any(|task| has(&task.wait.launch))
        || live.any(|task| has(&task.launch))
}

#[cfg(test)]
mod tests;
