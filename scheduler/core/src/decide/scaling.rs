//! RegisterScalableTarget, DeregisterScalableTarget, PutScalingPolicy and DeleteScalingPolicy: how a service is to be
//! scaled. That it is, is [`scale`].

pub mod scale;

use std::sync::Arc;

use berth_model::fault::{Fault, FaultClass};
use berth_model::name::{ClusterName, PolicyName, ServiceName};
use berth_model::scaling::{Capacity, Suspended, TargetTracking};

use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::keys::ServiceKey;
use crate::scaling::{Scaling, ScalingPolicy};
use crate::state::{Service, State};

/// Policies of a service, at most (Application Auto Scaling quotas, "Scaling policies per scalable target").
const MAX_POLICIES: usize = 50;

/// Says between how many tasks a service is scaled; members that are absent stay as they are.
#[derive(Debug, Clone)]
pub struct RegisterScalableTarget {
    /// Its cluster.
    pub cluster: ClusterName,
    /// The service.
    pub service: ServiceName,
    /// At least so many tasks.
    pub min: Option<i64>,
    /// At most so many.
    pub max: Option<i64>,
    /// Whether policies take no tasks away.
    pub scale_in_suspended: Option<bool>,
    /// Whether they add none.
    pub scale_out_suspended: Option<bool>,
    /// Whether scheduled actions do nothing.
    pub scheduled_suspended: Option<bool>,
}

/// Ends the scaling of a service, with all its policies. Its count stays as it is.
#[derive(Debug, Clone)]
pub struct DeregisterScalableTarget {
    /// Its cluster.
    pub cluster: ClusterName,
    /// The service.
    pub service: ServiceName,
}

/// Makes or replaces a policy.
#[derive(Debug, Clone)]
pub struct PutScalingPolicy {
    /// Its cluster.
    pub cluster: ClusterName,
    /// The service.
    pub service: ServiceName,
    /// The policy's name.
    pub name: PolicyName,
    /// What it asks.
    pub tracking: TargetTracking,
}

/// Deletes a policy.
#[derive(Debug, Clone)]
pub struct DeleteScalingPolicy {
    /// Its cluster.
    pub cluster: ClusterName,
    /// The service.
    pub service: ServiceName,
    /// The policy's name.
    pub name: PolicyName,
}

/// What tells a scalable target from all others, in the words of faults.
#[must_use]
pub fn described(cluster: &ClusterName, service: &ServiceName) -> String {
    format!(
        "service namespace: ecs, resource ID: service/{cluster}/{service}, scalable dimension: ecs:service:DesiredCount"
    )
}

/// The service, where it is one that can be scaled.
fn found<'s>(state: &'s State, cluster: &ClusterName, service: &ServiceName) -> Option<&'s Service> {
    let key = ServiceKey {
        cluster: state.active_cluster(cluster).ok()?.key,
        service: service.clone(),
    };
    state.service(&key).filter(|service| service.is_active())
}

/// The service and how it is scaled.
fn scaled<'s>(
    state: &'s State,
    cluster: &ClusterName,
    service: &ServiceName,
    missing: &str,
) -> Result<(&'s Service, &'s Arc<Scaling>), Fault> {
    found(state, cluster, service)
        .and_then(|service| Some((service, service.scaling.as_ref()?)))
        .ok_or_else(|| {
            let which = described(cluster, service);
            Fault::new(FaultClass::ObjectNotFound, format!("{missing} for {which}"))
        })
}

/// The change to another way of scaling; none where it stays as it is.
fn set(service: &Service, scaling: Option<Scaling>) -> Vec<Change> {
    if service.scaling.as_deref() == scaling.as_ref() {
        return Vec::new();
    }
    vec![Change::ServiceScalingSet {
        cluster: service.cluster,
        service: service.name.clone(),
        scaling: scaling.map(Arc::new),
    }]
}

impl Command for RegisterScalableTarget {
    type Outcome = ServiceKey;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<ServiceKey>, Fault> {
        let (cluster, name) = (&self.cluster, &self.service);
        let service = found(state, cluster, name).ok_or_else(|| {
            Fault::new(
                FaultClass::Validation,
                format!("ECS service doesn't exist: service/{cluster}/{name}"),
            )
        })?;
        if service.is_daemon() {
            return Err(Fault::new(
                FaultClass::Validation,
                format!(
                    "ECS service service/{cluster}/{name} is of scheduling strategy DAEMON, which has no desired count."
                ),
            ));
        }
        let known = service.scaling.as_deref();
        let bound = |given: Option<i64>, known: Option<u32>, member: &str| {
            given.or(known.map(i64::from)).ok_or_else(|| {
                Fault::invalid(format!(
                    "{member} must be given when a scalable target is registered for the first time."
                ))
            })
        };
        let capacity = Capacity::checked(
            bound(self.min, known.map(|known| known.capacity.min), "MinCapacity")?,
            bound(self.max, known.map(|known| known.capacity.max), "MaxCapacity")?,
        )?;
        let mut scaling = known.cloned().unwrap_or_else(|| Scaling {
            id: env.draw(),
            capacity,
            suspended: Suspended::default(),
            policies: Vec::new(),
            created_at: env.now(),
        });
        scaling.capacity = capacity;
        let suspended = &mut scaling.suspended;
        for (member, given) in [
            (&mut suspended.scale_in, self.scale_in_suspended),
            (&mut suspended.scale_out, self.scale_out_suspended),
            (&mut suspended.scheduled, self.scheduled_suspended),
        ] {
            *member = given.unwrap_or(*member);
        }
        Ok(Decision {
            changes: set(service, Some(scaling)),
            outcome: service.key(),
        })
    }
}

impl Command for DeregisterScalableTarget {
    type Outcome = ();

    fn decide(&self, state: &State, _env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        let (service, _) = scaled(state, &self.cluster, &self.service, "No scalable target found")?;
        Ok(Decision {
            changes: set(service, None),
            outcome: (),
        })
    }
}

impl Command for PutScalingPolicy {
    type Outcome = ServiceKey;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<ServiceKey>, Fault> {
        let missing = "No scalable target registered";
        let (service, known) = scaled(state, &self.cluster, &self.service, missing)?;
        let mut scaling = Scaling::clone(known);
        let metric = &self.tracking.metric;
        let others = scaling.policies.iter().filter(|policy| policy.name != self.name);
        if others.into_iter().any(|policy| policy.tracking.metric == *metric) {
            return Err(Fault::new(
                FaultClass::Validation,
                format!("Only one TargetTrackingScaling policy for a given metric specification is allowed: {metric}."),
            ));
        }
        let before = scaling.policies.iter_mut().find(|policy| policy.name == self.name);
        if let Some(policy) = before {
            policy.tracking = self.tracking.clone();
        } else {
            if scaling.policies.len() >= MAX_POLICIES {
                return Err(Fault::new(
                    FaultClass::LimitExceeded,
                    format!("The scalable target has {MAX_POLICIES} scaling policies, no more are allowed."),
                ));
            }
            scaling.policies.push(ScalingPolicy {
                name: self.name.clone(),
                id: env.draw(),
                tracking: self.tracking.clone(),
                created_at: env.now(),
            });
            scaling.policies.sort_by(|one, other| one.name.cmp(&other.name));
        }
        Ok(Decision {
            changes: set(service, Some(scaling)),
            outcome: service.key(),
        })
    }
}

impl Command for DeleteScalingPolicy {
    type Outcome = ();

    fn decide(&self, state: &State, _env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        let missing = format!("No scaling policy '{}' found", self.name);
        let (service, known) = scaled(state, &self.cluster, &self.service, &missing)?;
        if known.policy(&self.name).is_none() {
            let which = described(&self.cluster, &self.service);
            return Err(Fault::new(FaultClass::ObjectNotFound, format!("{missing} for {which}")));
        }
        let mut scaling = Scaling::clone(known);
        scaling.policies.retain(|policy| policy.name != self.name);
        Ok(Decision {
            changes: set(service, Some(scaling)),
            outcome: (),
        })
    }
}
