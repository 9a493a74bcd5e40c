//! Changes the count of a service as [`crate::scale`] says: the look at it, and the command.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use berth_model::fault::Fault;
use berth_model::scaling::Metric;
use berth_model::status::{DesiredStatus, TaskStatus};
use berth_model::time::Timestamp;

use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::keys::{ServiceKey, TaskKey};
use crate::scale::{Activity, Reason, Sample, Tracked, Verdict, View};
use crate::scaling::{Scaling, ScalingActivity};
use crate::service::ServiceEvent;
use crate::state::{Service, State};

/// What was measured of a service.
pub type Measured = BTreeMap<Metric, Vec<Sample>>;

/// Gives a service another count, unless it is no longer as it was when that was found out.
#[derive(Debug, Clone)]
pub struct ScaleService {
    /// The service.
    pub key: ServiceKey,
    /// How it was to be scaled then.
    pub scaling: Arc<Scaling>,
    /// Its count then and from now on, and the tasks that ran.
    pub from: u32,
    /// See `from`.
    pub to: u32,
    /// See `from`.
    pub running: u32,
    /// How long another change waits for the effect of this one.
    pub cooldown: Duration,
    /// Why, in words.
    pub cause: Arc<str>,
}

/// The tasks of a service that run and are meant to.
#[must_use]
pub fn running(state: &State, service: &Service) -> u32 {
    let runs = |task: &&berth_model::id::TaskId| {
        let key = TaskKey {
            cluster: service.cluster,
            task: **task,
        };
        let task = state.task(key);
        task.is_some_and(|task| task.last == TaskStatus::Running && task.desired == DesiredStatus::Running)
    };
    u32::try_from(service.live.iter().filter(runs).count()).unwrap_or(u32::MAX)
}

/// How many tasks a service should have by its policies; nothing where nothing scales it.
#[must_use]
pub fn verdict(
    state: &State,
    service: &Service,
    measured: &Measured,
    period: Duration,
    now: Timestamp,
) -> Option<(Verdict, u32)> {
    let scaling = service.scaling.as_ref()?;
    let samples = |metric: &Metric| measured.get(metric).map_or(&[][..], Vec::as_slice);
    let policies: Vec<Tracked<'_>> = scaling
        .policies
        .iter()
        .map(|policy| Tracked {
            name: &policy.name,
            policy: &policy.tracking,
            samples: samples(&policy.tracking.metric),
        })
        .collect();
    let running = running(state, service);
    let view = View {
        desired: service.spec.desired,
        running,
        deploying: service.is_deploying(),
        capacity: scaling.capacity,
        suspended: scaling.suspended,
        policies: &policies,
        last: service.activities.front().map(|activity| activity.did),
        period,
    };
    Some((view.decide(now), running))
}

impl ScaleService {
    /// The command that carries out a verdict; nothing where the count stays.
    #[must_use]
    pub fn by(service: &Service, verdict: &Verdict, running: u32) -> Option<Self> {
        let (cause, cooldown) = match &verdict.reason {
            Reason::Stays(_) => return None,
            Reason::Bounds(_) => (verdict.reason.to_string(), Duration::ZERO),
            Reason::Out(change) | Reason::In(change) => {
                (format!("policy {}: {}", change.policy, verdict.reason), change.cooldown)
            }
        };
        Some(Self {
            key: service.key(),
            scaling: Arc::clone(service.scaling.as_ref()?),
            from: service.spec.desired,
            to: verdict.desired,
            running,
            cooldown,
            cause: cause.into(),
        })
    }
}

impl Command for ScaleService {
    /// Whether the count was changed.
    type Outcome = bool;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<bool>, Fault> {
        let known = state.service(&self.key).filter(|service| service.is_active());
        let Some(service) = known.filter(|service| {
            let same = service.scaling.as_ref() == Some(&self.scaling) && service.spec.desired == self.from;
            same && !(self.to < self.from && service.is_deploying())
        }) else {
            return Ok(Decision::unchanged(false));
        };
        let to = self.scaling.capacity.nearest(self.to);
        if to == self.from {
            return Ok(Decision::unchanged(false));
        }
        let activity = ScalingActivity {
            id: env.draw(),
            did: Activity {
                at: env.now(),
                from: self.from,
                to,
                running: self.running,
                cooldown: self.cooldown,
            },
            cause: Arc::clone(&self.cause),
        };
        let event = ServiceEvent {
            id: env.draw(),
            at: env.now(),
            message: format!(
                "(service {}) Message: Successfully set desired count to {to}. \
                 Waiting for change to be fulfilled by ecs. Cause: {}",
                service.name, self.cause
            )
            .into(),
        };
        let scaled = Change::ServiceScaled {
            cluster: service.cluster,
            service: service.name.clone(),
            activity,
            event,
        };
        Ok(Decision {
            changes: vec![scaled],
            outcome: true,
        })
    }
}
