//! CreateCluster, UpdateCluster and DeleteCluster.

use std::sync::Arc;

use berth_model::account::SettingName;
use berth_model::capacity::StrategyItem;
use berth_model::cluster::{ClusterSettings, ClusterUpdate, ContainerInsights};
use berth_model::fault::{Fault, FaultClass};
use berth_model::name::{ClusterName, ProviderName};
use berth_model::service::ServiceStatus;
use berth_model::status::ClusterStatus;
use berth_model::tag::Tag;

use super::capacity;
use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::keys::ClusterKey;
use crate::state::State;

/// Makes a cluster. One that is ACTIVE stays as it is, one that is INACTIVE comes back empty (ECS API, CreateCluster).
#[derive(Debug, Clone)]
pub struct CreateCluster {
    /// Its name.
    pub name: ClusterName,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// The capacity providers that its tasks may go to.
    pub providers: Vec<ProviderName>,
    /// By which strategy they do, where nothing else is said.
    pub strategy: Vec<StrategyItem>,
}

/// Makes a cluster with settings; one that is ACTIVE keeps those that it has.
#[derive(Debug, Clone)]
pub struct CreateConfiguredCluster {
    /// The cluster.
    pub cluster: CreateCluster,
    /// What is not given is as account settings have it.
    pub settings: ClusterUpdate,
    /// Who asks, as account settings know it.
    pub principal: Arc<str>,
}

/// Changes the settings of a cluster that are given.
#[derive(Debug, Clone)]
pub struct UpdateCluster {
    /// Its name.
    pub name: ClusterName,
    /// The settings.
    pub update: ClusterUpdate,
}

/// Turns an empty cluster INACTIVE.
#[derive(Debug, Clone)]
pub struct DeleteCluster {
    /// Its name.
    pub name: ClusterName,
}

impl Command for CreateCluster {
    type Outcome = ();

    fn decide(&self, state: &State, _env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        let known = state.cluster(&self.name);
        if let Some(cluster) = known.filter(|cluster| cluster.status == ClusterStatus::Active) {
            let says = !self.providers.is_empty() || !self.strategy.is_empty();
            if says && (cluster.providers != self.providers || cluster.default_strategy != self.strategy) {
                return Err(Fault::invalid(
                    "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
                ));
            }
            return Ok(Decision::unchanged(()));
        }
        capacity::check(state, &self.providers, &self.strategy)?;
        // A name that comes back keeps its number: its old tasks and instances are its history.
        let key = known.map_or_else(|| next_key(state), |cluster| cluster.key);
        let created = Change::ClusterCreated {
            name: self.name.clone(),
            key,
            tags: self.tags.clone(),
        };
        let mut changes = vec![created];
        if !self.providers.is_empty() {
            changes.push(Change::ClusterProvidersSet {
                cluster: key,
                providers: self.providers.clone(),
                strategy: self.strategy.clone(),
            });
        }
        Ok(Decision { changes, outcome: () })
    }
}

fn next_key(state: &State) -> ClusterKey {
    ClusterKey(state.cluster_names.get_max().map_or(1, |(last, _)| last.0 + 1))
}

impl Command for CreateConfiguredCluster {
    type Outcome = ();

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        let mut decision = self.cluster.decide(state, env)?;
        let insights = state.account_setting(SettingName::ContainerInsights, &self.principal);
        let defaults = ClusterSettings {
            container_insights: ContainerInsights::from_name(insights).unwrap_or_default(),
            ..ClusterSettings::default()
        };
        let settings = self.settings.applied(&defaults);
        if !decision.changes.is_empty() && settings != ClusterSettings::default() {
            decision.changes.push(Change::ClusterUpdated {
                name: self.cluster.name.clone(),
                settings,
            });
        }
        Ok(decision)
    }
}

impl Command for UpdateCluster {
    type Outcome = ();

    fn decide(&self, state: &State, _env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        let cluster = state.active_cluster(&self.name)?;
        let settings = self.update.applied(&cluster.settings);
        if settings == cluster.settings {
            return Ok(Decision::unchanged(()));
        }
        let updated = Change::ClusterUpdated {
            name: self.name.clone(),
            settings,
        };
        Ok(Decision {
            changes: vec![updated],
            outcome: (),
        })
    }
}

impl Command for DeleteCluster {
    type Outcome = ();

    fn decide(&self, state: &State, _env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        let cluster = state.cluster(&self.name).ok_or_else(Fault::cluster_not_found)?;
        if cluster.status == ClusterStatus::Inactive {
            return Ok(Decision::unchanged(()));
        }
        if cluster.instances > 0 {
            return Err(Fault::new(
                FaultClass::ClusterContainsContainerInstances,
                "The Cluster cannot be deleted while Container Instances are active or draining.",
            ));
        }
        if state
            .services_of(cluster.key)
            .any(|service| service.status != ServiceStatus::Inactive)
        {
            return Err(Fault::new(
                FaultClass::ClusterContainsServices,
                "The Cluster cannot be deleted while Services are active.",
            ));
        }
        let schedules = state.schedules().count(cluster.key);
        if schedules > 0 {
            return Err(Fault::client(format!(
                "The Cluster cannot be deleted while it has Schedules: it has {schedules}."
            )));
        }
        if cluster.live > 0 {
            return Err(Fault::new(
                FaultClass::ClusterContainsTasks,
                "The Cluster cannot be deleted while Tasks are active.",
            ));
        }
        let deleted = Change::ClusterDeleted {
            name: self.name.clone(),
        };
        Ok(Decision {
            changes: vec![deleted],
            outcome: (),
        })
    }
}
