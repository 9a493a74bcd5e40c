//! What operators set up to stay: each thing is asked for once, and nobody asks for its end. Whoever was told that it is there
//! finds it, whatever happened meanwhile.

use std::sync::Arc;
use std::time::Duration;

use berth_model::account::SettingName;
use berth_model::arn::Resource;
use berth_model::capacity::{GroupProvider, ManagedScaling};
use berth_model::name::{ProviderName, UserName};
use berth_model::policy::Policy;
use berth_model::tag::Tag;
use berth_scheduler_core::decide::access_key::CreateAccessKey;
use berth_scheduler_core::decide::account::SetAccountSetting;
use berth_scheduler_core::decide::capacity::CreateCapacityProvider;
use berth_scheduler_core::decide::membership::CreateJoinToken;
use berth_scheduler_core::decide::tag::TagResource;
use berth_scheduler_core::state::State;
use berth_trust::{Fingerprint, Role};

use crate::ask::{Answer, Ask, Waits};
use crate::mutant::Mutant;
use crate::random::Random;
use crate::workload::{cluster, name};

/// Of a join token: longer than any world.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// What is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// A tag of the cluster.
    Tag,
    /// A capacity provider.
    Provider,
    /// An account setting of one principal.
    Setting,
    /// An access key.
    AccessKey,
    /// A join token.
    JoinToken,
}

impl Standing {
    /// One of them.
    pub(crate) fn any(random: &mut Random) -> Self {
        const ALL: [Standing; 5] = [
            Standing::Tag,
            Standing::Provider,
            Standing::Setting,
            Standing::AccessKey,
            Standing::JoinToken,
        ];
        ALL[random.below(ALL.len())]
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
            Self::AccessKey => {
                let command = CreateAccessKey {
                    user: user(number),
                    policy: Arc::new(Policy::everything()),
                    master: Arc::from("master"),
                };
                Ask::new(command, waits, mutant, |_| Answer::Done)
            }
            Self::JoinToken => {
                let command = CreateJoinToken {
                    cluster: cluster(),
                    role: Role::Instance,
                    secret: secret(number),
                    attributes: Arc::from([]),
                    uses: 1,
                    lifetime: LIFETIME,
                    by: Arc::from("simulation"),
                };
                Ask::new(command, waits, mutant, |_| Answer::Done)
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
            Self::AccessKey => state.access_keys().any(|key| key.user == user(number)),
            Self::JoinToken => state.join_tokens().any(|token| token.secret == secret(number)),
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

fn user(number: u64) -> UserName {
    name(&format!("u{number}"), UserName::parse)
}

/// The hash of a join token's secret.
fn secret(number: u64) -> Fingerprint {
    Fingerprint::of(&number.to_be_bytes())
}
