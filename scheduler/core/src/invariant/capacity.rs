//! What is true of capacity providers.

use berth_model::name::ProviderName;
use berth_model::status::ClusterStatus;

use crate::state::State;

/// Clusters have only providers that there are, their strategies name only those, and no instance is of two.
pub(super) fn check(state: &State, wrong: &mut Vec<String>) {
    let exists = |name: &ProviderName| name.is_fargate() || state.capacity_provider(name).is_some();
    for cluster in state
        .clusters()
        .filter(|cluster| cluster.status == ClusterStatus::Active)
    {
        for name in cluster.providers.iter().filter(|name| !exists(name)) {
            wrong.push(format!(
                "cluster {} has provider {name}, which does not exist",
                cluster.name
            ));
        }
        for item in &cluster.default_strategy {
            if !cluster.providers.contains(&item.provider) {
                wrong.push(format!(
                    "the strategy of cluster {} names {}, which it does not have",
                    cluster.name, item.provider
                ));
            }
        }
    }
    for provider in state.capacity_providers() {
        let others = state.capacity_providers().filter(|other| other.name != provider.name);
        for other in others
            .filter(|other| other.is_called(provider.name.as_str()) || other.is_called(provider.group.group_name()))
        {
            wrong.push(format!(
                "instances of provider {} are of {} too",
                provider.name, other.name
            ));
        }
    }
}
