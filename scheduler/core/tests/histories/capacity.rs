//! Capacity providers in histories: two that can be made, and instances that name them whether they are or not.

use std::sync::Arc;
use std::time::Duration;

use berth_model::capacity::{GroupProvider, PROVIDER_ATTRIBUTE, RawGroupProvider, RawScaling, StrategyItem};
use berth_model::fault::Fault;
use berth_model::name::ProviderName;
use berth_model::time::Timestamp;
use berth_scheduler_core::decide::capacity::{
    CreateCapacityProvider, DeleteCapacityProvider, SetClusterProviders, UpdateCapacityProvider,
};
use berth_scheduler_core::decide::run::{Call, RunTask};
use berth_scheduler_core::decide::service::{ServiceUpdate, UpdateService};
use berth_scheduler_core::fleet::{Standing, needs};
use berth_scheduler_core::invariant;
use berth_scheduler_core::launch::CapacityWish;
use berth_scheduler_core::observation::InstanceFacts;
use proptest::prelude::*;

use super::History;
use super::request::{call, cluster, fargate_call, register_fargate, run_task, service};

/// What is done with capacity providers; the first of two is meant where a choice is false.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Create {
        second: bool,
    },
    Scale {
        second: bool,
        enabled: bool,
    },
    Delete {
        second: bool,
    },
    /// The cluster gets these, and a strategy of as many weights.
    Assign {
        which: [bool; 2],
        weights: Option<[u32; 2]>,
    },
    Run {
        count: u32,
        base: u32,
        weights: [u32; 2],
    },
    /// By a strategy of both of Fargate's providers, which share hosts that name none.
    RunFargate {
        count: u32,
        waits: bool,
    },
    /// Without a word of capacity, so that the cluster's strategy holds.
    RunByDefault {
        count: u32,
    },
    /// The service goes by a strategy from now on.
    Divide {
        weights: [u32; 2],
    },
    /// How many instances there should be is found out.
    Judge,
}

pub(super) fn act() -> impl Strategy<Value = Act> {
    let weights = || prop::array::uniform2(0_u32..3);
    prop_oneof![
        2 => any::<bool>().prop_map(|second| Act::Create { second }),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(second, enabled)| Act::Scale { second, enabled }),
        1 => any::<bool>().prop_map(|second| Act::Delete { second }),
        3 => (prop::array::uniform2(prop::bool::weighted(0.8)), prop::option::of(weights()))
            .prop_map(|(which, weights)| Act::Assign { which, weights }),
        4 => (1_u32..6, 0_u32..3, weights()).prop_map(|(count, base, weights)| Act::Run { count, base, weights }),
        4 => (1_u32..8, any::<bool>()).prop_map(|(count, waits)| Act::RunFargate { count, waits }),
        1 => (1_u32..4).prop_map(|count| Act::RunByDefault { count }),
        2 => weights().prop_map(|weights| Act::Divide { weights }),
        1 => Just(Act::Judge),
    ]
}

fn name(second: bool) -> ProviderName {
    ProviderName::parse(if second { "spare" } else { "web" }).unwrap()
}

/// An instance of the number: the first names no provider, the second one, the third the group of the other.
pub(super) fn placed(instance: u128, facts: Arc<InstanceFacts>) -> Arc<InstanceFacts> {
    let text = match instance {
        2 => "web",
        3 => "spare-group",
        _ => return facts,
    };
    let mut facts = InstanceFacts::clone(&facts);
    let attributes = &mut facts.attributes;
    attributes.insert(PROVIDER_ATTRIBUTE.to_owned(), Some(text.to_owned()));
    Arc::new(facts)
}

fn strategy(base: u32, weights: [u32; 2]) -> Vec<StrategyItem> {
    let item = |(second, weight)| StrategyItem {
        provider: name(second),
        base: if second { 0 } else { base },
        weight,
    };
    [false, true].into_iter().zip(weights).map(item).collect()
}

fn group(second: bool) -> GroupProvider {
    let raw = RawGroupProvider {
        group: Some(if second { "spare-group" } else { "web-group" }.to_owned()),
        ..RawGroupProvider::default()
    };
    GroupProvider::parse(&raw).unwrap()
}

fn by(strategy: Vec<StrategyItem>, by_default: bool) -> Call {
    Call {
        capacity: CapacityWish { strategy, by_default },
        ..call()
    }
}

impl History {
    pub(super) fn act(&mut self, act: &Act) -> Result<(), Fault> {
        match act {
            Act::Create { second } => self.submit(&CreateCapacityProvider {
                name: name(*second),
                group: group(*second),
                tags: Vec::new(),
            }),
            Act::Scale { second, enabled } => self.submit(&UpdateCapacityProvider {
                name: name(*second),
                change: RawGroupProvider {
                    scaling: Some(RawScaling {
                        status: Some(if *enabled { "ENABLED" } else { "DISABLED" }.to_owned()),
                        ..RawScaling::default()
                    }),
                    ..RawGroupProvider::default()
                },
            }),
            Act::Delete { second } => self.submit(&DeleteCapacityProvider { name: name(*second) }).map(drop),
            Act::Assign { which, weights } => {
                let chosen = [false, true].into_iter().zip(which).filter(|(_, chosen)| **chosen);
                let mut providers: Vec<ProviderName> = chosen.map(|(second, _)| name(second)).collect();
                let mut strategy = weights.map_or_else(Vec::new, |weights| strategy(0, weights));
                strategy.retain(|item| providers.contains(&item.provider));
                providers.extend(fargate_call().capacity.strategy.into_iter().map(|item| item.provider));
                self.submit(&SetClusterProviders {
                    cluster: cluster(),
                    providers,
                    strategy,
                })
            }
            Act::Run { count, base, weights } => self.run_call(*count, by(strategy(*base, *weights), false), None),
            Act::RunFargate { count, waits } => {
                self.submit(&register_fargate())?;
                let patience = waits.then_some(Duration::from_secs(60));
                self.run_call(*count, fargate_call(), patience)
            }
            Act::RunByDefault { count } => self.run_call(*count, by(Vec::new(), true), None),
            Act::Divide { weights } => self
                .submit(&UpdateService {
                    cluster: cluster(),
                    service: service().service,
                    update: ServiceUpdate {
                        capacity: Some(strategy(0, *weights)),
                        ..ServiceUpdate::default()
                    },
                })
                .map(drop),
            Act::Judge => {
                self.judge();
                Ok(())
            }
        }
    }

    fn run_call(&mut self, count: u32, call: Call, patience: Option<Duration>) -> Result<(), Fault> {
        let before = invariant::overcommitted(&self.state);
        let run = RunTask {
            call,
            patience,
            ..run_task(count, false, false)
        };
        let launched = self.submit(&run)?;
        assert!(launched.tasks.len() <= usize::try_from(count).unwrap());
        assert_eq!(
            before,
            invariant::overcommitted(&self.state),
            "the parts of a strategy took more than there was"
        );
        Ok(())
    }

    /// No task runs on an instance of another provider than its own, and what is asked of fleets is within reason.
    fn judge(&mut self) {
        let now = Timestamp::from_millis(self.now);
        for need in needs(&self.state, now) {
            assert!(need.used <= need.running);
            let (verdict, standing) = need.judge(Standing::default(), now);
            assert!(verdict.remove.is_empty(), "there was no surplus before");
            assert!(verdict.wanted >= need.running);
            assert_eq!(need.judge(standing, now).0, verdict, "the same is asked for twice");
        }
    }
}
