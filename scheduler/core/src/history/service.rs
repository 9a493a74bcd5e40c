//! The story of a service.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_model::id::DeploymentId;
use berth_model::name::ServiceName;
use berth_model::service::SchedulingStrategy;

use super::{Told, launch_words, stop_words, told};
use crate::change::{Change, Entry};
use crate::keys::{ClusterKey, ServiceKey};
use crate::launch::Placement;
use crate::service::{Deployment, Rollout, ServiceSpec};

#[expect(clippy::wildcard_enum_match_arm, reason = "other changes are of other subjects")]
pub(super) fn concerns(key: &ServiceKey, change: &Change, entry: &Entry) -> bool {
    let is = |cluster: &ClusterKey, service: &ServiceName| *cluster == key.cluster && *service == key.service;
    match change {
        Change::ServiceCreated { cluster, service, .. }
        | Change::ServiceUpdated { cluster, service, .. }
        | Change::ServiceStepped { cluster, service, .. }
        | Change::ServiceScalingSet { cluster, service, .. }
        | Change::ServiceScaled { cluster, service, .. }
        | Change::ServiceDeleted { cluster, service }
        | Change::ServiceInactive { cluster, service, .. } => is(cluster, service),
        Change::ServicesForgotten { cluster, services } => services.iter().any(|service| is(cluster, service)),
        Change::TasksPlaced { cluster, launch, .. } => launch
            .service
            .as_ref()
            .is_some_and(|launch| is(cluster, &launch.service)),
        // A step stops only tasks of its service.
        Change::TaskStopRequested { .. } => entry
            .changes
            .iter()
            .any(|step| matches!(step, Change::ServiceStepped { cluster, service, .. } if is(cluster, service))),
        _ => false,
    }
}

/// Remembers what the service was told to be, and how far its deployments were.
#[derive(Debug)]
pub(super) struct Teller {
    key: ServiceKey,
    spec: Option<Arc<ServiceSpec>>,
    rollouts: BTreeMap<DeploymentId, Rollout>,
}

impl Teller {
    pub(super) const fn of(key: ServiceKey) -> Self {
        Self {
            key,
            spec: None,
            rollouts: BTreeMap::new(),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "other changes are of other subjects")]
    pub(super) fn tell(&mut self, change: &Change) -> Vec<Told> {
        match change {
            Change::ServiceCreated { spec, deployment, .. } => {
                self.spec = Some(Arc::clone(spec));
                let begun = deployment.as_ref().and_then(|deployment| self.begun(deployment));
                let mut lines = vec![told(format!("created with {}", count_words(spec)), "")];
                lines.extend(begun);
                lines
            }
            Change::ServiceUpdated { spec, deployments, .. } => {
                let before = self.spec.replace(Arc::clone(spec));
                let what = before.map_or_else(
                    || vec![format!("updated: {}", count_words(spec))],
                    |before| differences(&before, spec),
                );
                let mut lines: Vec<Told> = what.into_iter().map(|what| told(what, "")).collect();
                lines.extend(deployments.iter().flat_map(|deployment| self.begun(deployment)));
                lines
            }
            Change::ServiceStepped {
                deployments, events, ..
            } => {
                // Where nothing is remembered the events say it.
                deployments.iter().for_each(|deployment| {
                    self.rollouts.insert(deployment.id, deployment.rollout.clone());
                });
                let about = format!("(service {}) ", self.key.service);
                let said = |message: &str| message.strip_prefix(about.as_str()).unwrap_or(message).to_owned();
                events.iter().map(|event| told(said(&event.message), "")).collect()
            }
            Change::TasksPlaced { launch, placements, .. } => {
                let place = |one: &Placement| format!("{} on container instance {}", one.task, one.instance);
                let places: Vec<String> = placements.iter().map(place).collect();
                vec![told(format!("placed: {}", places.join(", ")), launch_words(launch))]
            }
            Change::TaskStopRequested { task, code, reason, .. } => {
                vec![told(format!("task {task} is to stop"), stop_words(Some(*code), reason))]
            }
            Change::ServiceScalingSet { scaling, .. } => vec![match scaling {
                Some(scaling) => {
                    let names: Vec<String> = scaling.policies.iter().map(|policy| policy.name.to_string()).collect();
                    let (min, max) = (scaling.capacity.min, scaling.capacity.max);
                    told(format!("scaled between {min} and {max} tasks"), policies(&names))
                }
                None => told("scaled by nothing any more", ""),
            }],
            Change::ServiceScaled { activity, .. } => {
                let what = format!("desired count {} -> {}", activity.did.from, activity.did.to);
                vec![told(what, &*activity.cause)]
            }
            Change::ServiceDeleted { .. } => vec![told("deleted: its tasks are being stopped", "")],
            Change::ServiceInactive { .. } => vec![told("became INACTIVE", "its last task has stopped")],
            Change::ServicesForgotten { .. } => vec![told("was forgotten: it is described no more", "")],
            _ => Vec::new(),
        }
    }

    /// That a user's change began a deployment, or changed how one goes on.
    fn begun(&mut self, deployment: &Deployment) -> Option<Told> {
        let before = self.rollouts.insert(deployment.id, deployment.rollout.clone());
        let is_new = before.is_none() && (deployment.is_primary() || deployment.task_set.is_some());
        let changed = before.is_some_and(|before| before != deployment.rollout);
        (is_new || changed).then(|| {
            let Rollout { state, reason } = &deployment.rollout;
            let what = format!("deployment {} of {}: {state}", deployment.id, deployment.definition);
            told(what, &**reason)
        })
    }
}

fn policies(names: &[String]) -> String {
    match names {
        [] => "without policies".to_owned(),
        names => format!("by policies {}", names.join(", ")),
    }
}

fn count_words(spec: &ServiceSpec) -> String {
    match spec.scheduling {
        SchedulingStrategy::Daemon => "one task on each container instance".to_owned(),
        SchedulingStrategy::Replica => format!("desired count {}", spec.desired),
    }
}

/// What a user changed.
fn differences(before: &ServiceSpec, now: &ServiceSpec) -> Vec<String> {
    let mut lines = Vec::new();
    if before.desired != now.desired {
        lines.push(format!("desired count {} -> {}", before.desired, now.desired));
    }
    let members = [
        ("deploymentConfiguration", before.configuration != now.configuration),
        ("placementConstraints", before.constraints != now.constraints),
        ("placementStrategy", before.strategies != now.strategies),
        (
            "healthCheckGracePeriodSeconds",
            before.health_check_grace_seconds != now.health_check_grace_seconds,
        ),
        (
            "availabilityZoneRebalancing",
            before.zone_rebalancing != now.zone_rebalancing,
        ),
        ("networkConfiguration", before.network != now.network),
        ("health checks and draining of targets", before.targets != now.targets),
        ("lost grace", before.lost_grace_seconds != now.lost_grace_seconds),
        ("tags", before.tags != now.tags),
        ("propagateTags", before.propagate_tags != now.propagate_tags),
        ("enableECSManagedTags", before.managed_tags != now.managed_tags),
    ];
    let changed: Vec<&str> = members
        .into_iter()
        .filter_map(|(name, changed)| changed.then_some(name))
        .collect();
    if !changed.is_empty() {
        lines.push(format!("changed: {}", changed.join(", ")));
    }
    lines
}
