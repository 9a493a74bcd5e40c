//! How histories make, scale, delete and promote task sets.

use berth_model::fault::Fault;
use berth_model::id::DeploymentId;
use berth_model::service::{DeploymentController, Scale};
use berth_model::status::LaunchType;
use berth_scheduler_core::decide::service::CreateService;
use berth_scheduler_core::decide::task_set::{CreateTaskSet, DeleteTaskSet, Named, SetPrimaryTaskSet, UpdateTaskSet};
use berth_scheduler_core::service::ServiceSpec;
use proptest::prelude::*;

use super::History;
use super::request::{call, cluster, create_service, load_balancers, service};

/// What is done with a service that somebody else deploys.
#[derive(Debug, Clone)]
pub(super) enum Act {
    CreateService { desired: u32 },
    Create { percent: f64, balanced: bool },
    Update { nth: usize, percent: f64 },
    Delete { nth: usize, force: bool },
    Promote { nth: usize },
}

pub(super) fn act() -> impl Strategy<Value = Act> {
    let percent = || prop_oneof![Just(0.0), Just(100.0), 0.0..100.0];
    prop_oneof![
        1 => (0_u32..5).prop_map(|desired| Act::CreateService { desired }),
        3 => (percent(), any::<bool>()).prop_map(|(percent, balanced)| Act::Create { percent, balanced }),
        2 => (0_usize..6, percent()).prop_map(|(nth, percent)| Act::Update { nth, percent }),
        1 => (0_usize..6, any::<bool>()).prop_map(|(nth, force)| Act::Delete { nth, force }),
        1 => (0_usize..6).prop_map(|nth| Act::Promote { nth }),
    ]
}

impl History {
    pub(super) fn deploy(&mut self, act: &Act) -> Result<(), Fault> {
        match *act {
            Act::CreateService { desired } => {
                let own = create_service(desired, false, false, false);
                let command = CreateService {
                    definition: None,
                    spec: ServiceSpec {
                        controller: DeploymentController::External,
                        ..own.spec.clone()
                    },
                    ..own
                };
                self.submit(&command).map(drop)
            }
            Act::Create { percent, balanced } => {
                let command = CreateTaskSet {
                    cluster: cluster(),
                    service: service().service,
                    definition: call().definition,
                    scale: Scale::parse(Some(percent), None)?,
                    external_id: Some("x".to_owned()),
                    load_balancers: load_balancers(balanced),
                    network: None,
                    launch_type: LaunchType::Ec2,
                    capacity: Vec::new(),
                    platform_version: None,
                    by_default: false,
                    client_token: None,
                    tags: Vec::new(),
                };
                let (key, id) = self.submit(&command)?;
                let known = self.state.service(&key).unwrap();
                assert!(known.task_sets().any(|(deployment, _)| deployment.id == id));
                Ok(())
            }
            Act::Update { nth, percent } => {
                let command = UpdateTaskSet {
                    named: self.nth_task_set(nth),
                    scale: Scale::parse(Some(percent), None)?,
                };
                self.submit(&command).map(drop)
            }
            Act::Delete { nth, force } => {
                let command = DeleteTaskSet {
                    named: self.nth_task_set(nth),
                    force,
                };
                self.submit(&command).map(drop)
            }
            Act::Promote { nth } => {
                let named = self.nth_task_set(nth);
                let set = named.set;
                let key = self.submit(&SetPrimaryTaskSet { named })?;
                let primary = self.state.service(&key).and_then(|known| known.primary());
                assert_eq!(primary.map(|primary| primary.id), Some(set));
                Ok(())
            }
        }
    }

    /// The one of the number, the last where there are fewer; of no task set where there is none.
    fn nth_task_set(&self, nth: usize) -> Named {
        let known = self.state.service(&service());
        let sets: Vec<DeploymentId> = known.map_or_else(Vec::new, |known| {
            known.task_sets().map(|(deployment, _)| deployment.id).collect()
        });
        let set = sets.get(nth).or_else(|| sets.last());
        Named {
            cluster: cluster(),
            service: service().service,
            set: set.copied().unwrap_or(DeploymentId::from_random(0)),
        }
    }
}
