//! Capacity providers that were made; those of Fargate always are and are not kept.

use std::sync::Arc;

use berth_model::capacity::{GroupProvider, PROVIDER_ATTRIBUTE};
use berth_model::name::ProviderName;
use berth_model::tag::Tag;
use serde::{Deserialize, Serialize};

use super::{Instance, State};

/// A capacity provider of an Auto Scaling group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapacityProvider {
    /// Its name.
    pub name: ProviderName,
    /// Its instances, and how many of them there are to be.
    pub group: GroupProvider,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// Whether it was updated since it was made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub updated: bool,
}

impl CapacityProvider {
    /// Whether an instance that names so its provider is of this one.
    #[must_use]
    pub fn is_called(&self, text: &str) -> bool {
        text == self.name.as_str() || text == self.group.group_name()
    }
}

impl State {
    /// A capacity provider that was made.
    #[must_use]
    pub fn capacity_provider(&self, name: &ProviderName) -> Option<&Arc<CapacityProvider>> {
        self.providers.get(name)
    }

    /// The capacity providers that were made, by name.
    pub fn capacity_providers(&self) -> impl Iterator<Item = &Arc<CapacityProvider>> {
        self.providers.values()
    }

    /// The capacity provider of an instance: none where it names none that there is.
    #[must_use]
    pub fn provider_of(&self, instance: &Instance) -> Option<ProviderName> {
        let text = instance.attribute(PROVIDER_ATTRIBUTE).flatten()?;
        let by_name = ProviderName::parse(text)
            .ok()
            .filter(|name| name.is_fargate() || self.providers.contains_key(name));
        by_name.or_else(|| {
            let mut providers = self.providers.values();
            let of_group = providers.find(|provider| provider.is_called(text));
            of_group.map(|provider| provider.name.clone())
        })
    }
}
