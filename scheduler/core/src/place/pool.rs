//! The instances of a capacity provider: what each says of itself decides, so that the index tells them apart by class.

use std::sync::Arc;

use berth_model::capacity::PROVIDER_ATTRIBUTE;
use berth_model::name::ProviderName;

use crate::state::Instance;

/// The instances of one capacity provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// The provider.
    provider: ProviderName,
    /// The name of its Auto Scaling group, by which its instances may call it too.
    group: Option<Arc<str>>,
}

impl Pool {
    /// The instances of the provider; `group` is the name of its Auto Scaling group.
    #[must_use]
    pub const fn new(provider: ProviderName, group: Option<Arc<str>>) -> Self {
        Self { provider, group }
    }

    /// The name of the provider.
    #[must_use]
    pub const fn provider(&self) -> &ProviderName {
        &self.provider
    }

    /// Whether the instance is of the provider. One that names none is of both of Fargate's, so that what asks for them
    /// runs on hosts that were not told of them; any other is of one at most.
    #[must_use]
    pub fn has(&self, instance: &Instance) -> bool {
        match instance.attribute(PROVIDER_ATTRIBUTE).flatten() {
            Some(text) => text == self.provider.as_str() || self.group.as_deref() == Some(text),
            None => self.provider.is_fargate(),
        }
    }
}
