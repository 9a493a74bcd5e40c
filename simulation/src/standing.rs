//! What operators set up to stay: each thing is asked for once, and nobody asks for its end. Whoever was told that it is there
//! finds it, whatever happened meanwhile.

use std::sync::Arc;

use berth_model::account::SettingName;
use berth_model::arn::Resource;
use berth_model::capacity::{GroupProvider, ManagedScaling};
use berth_model::id::ProviderName;
use berth_model::tag::Tag;
use berth_scheduler_core::decide::account::SetAccountSetting;
use berth_scheduler_core::decide::capacity::CreateCapacityProvider;
use berth_scheduler_core::decide::tag::TagResource;
use berth_scheduler_core::state::State;

use crate::ask::{Answer, Ask, Waits};
use crate::mutant::Mutant;
use crate::random::Random;
use crate::workload::{cluster, name};

/// What is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// A tag of the cluster.
    Tag,
    /// A capacity provider.
    Provider,
    /// An account setting of one principal.
    Setting,
}

impl Standing {
    /// One of them.
    pub(crate) fn any(random: &mut Random) -> Self {
        [Self::Tag, Self::Provider, Self::Setting][random.below(3)]
    }

    /// The command of the request of this number.
    pub(crate) fn ask(self, number: u64, waits: Waits, mutant: Option<Mutant>) -> Ask {
        match self {
            Self::Tag => {
                let command = TagResource {
                    resource: Resource::Cluster(cluster()),
                    set: vec![tag(number)],
                    remove: Vec::new(),
                };
                Ask::new(command, waits, mutant, |()| Answer::Done)
            }
            Self::Provider => {
                let command = CreateCapacityProvider {
                    name: provider(number),
                    group: GroupProvider {
                        group: "group".to_owned(),
                        scaling: ManagedScaling::default(),
                        termination_protection: false,
                        draining: true,
                    },
                    tags: Vec::new(),
                };
                Ask::new(command, waits, mutant, |()| Answer::Done)
            }
            Self::Setting => {
                let command = SetAccountSetting {
                    name: SettingName::ContainerInsights,
                    principal: Some(principal(number)),
                    value: Some(Arc::from("enabled")),
                };
                Ask::new(command, waits, mutant, |()| Answer::Done)
            }
        }
    }

    /// Whether what the request of this number was for is there.
    pub(crate) fn stands(self, state: &State, number: u64) -> bool {
        match self {
            Self::Tag => state
                .cluster(&cluster())
                .is_some_and(|cluster| cluster.tags.contains(&tag(number))),
            Self::Provider => state.capacity_provider(&provider(number)).is_some(),
            Self::Setting => state.account_setting(SettingName::ContainerInsights, &principal(number)) == "enabled",
        }
    }
}

fn tag(number: u64) -> Tag {
    Tag {
        key: format!("told-{number}"),
        value: number.to_string(),
    }
}

fn provider(number: u64) -> ProviderName {
    name(&format!("hosts-{number}"), ProviderName::parse)
}

fn principal(number: u64) -> Arc<str> {
    Arc::from(format!("arn:aws:iam::000000000000:user/u{number}"))
}
