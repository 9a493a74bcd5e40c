//! How many instances a capacity provider should have: what its tasks need now, by the rules of placement, and what follows
//! from that by the rules of ECS's managed scaling (ECS guide, "Cluster auto scaling").
//!
//! Pure: the state and the time give a [`Need`], and with what was asked for before a [`Verdict`]. Starts and ends no
//! instance; who calls it tells somebody who does.

mod forecast;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use berth_model::capacity::ManagedScaling;
use berth_model::status::{ClusterStatus, InstanceStatus};
use berth_model::time::Timestamp;

use self::forecast::Forecast;
use crate::decide::reconcile::lacking;
use crate::keys::{ClusterKey, InstanceKey};
use crate::place::Request;
use crate::state::{CapacityProvider, Instance, State};

/// How long there must have been too many instances before some are taken away: ECS's alarm has fifteen periods of a minute.
pub const SURPLUS: Duration = Duration::from_secs(15 * 60);

/// What the tasks of a capacity provider need.
#[derive(Debug, Clone, PartialEq)]
pub struct Need {
    /// The provider.
    pub provider: Arc<CapacityProvider>,
    /// Instances that take tasks: ECS's N.
    pub running: u32,
    /// Those of them that have tasks, but for those of DAEMON services.
    pub used: u32,
    /// Instances that are needed for what runs and what waits: ECS's M.
    pub needed: u32,
    /// Tasks that wait for room on its instances.
    pub waiting: u32,
    /// Those of them that no instance of this kind takes, however many there are.
    pub unplaceable: u32,
    /// Instances without tasks that are not new any more, the oldest first: they may go.
    pub idle: Vec<InstanceKey>,
    /// Instances with tasks.
    pub busy: Vec<InstanceKey>,
}

/// What was asked for before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// How many instances were last asked for, and when that number was first.
    pub asked: Option<(u32, Timestamp)>,
    /// Since when there have been more than are needed.
    pub surplus_since: Option<Timestamp>,
}

/// How many instances there should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// So many.
    pub wanted: u32,
    /// Those that go, where that is fewer than there are: none of them has a task.
    pub remove: Vec<InstanceKey>,
    /// Why, in words.
    pub reason: String,
}

/// What every capacity provider with managed scaling needs, by name.
#[must_use]
pub fn needs(state: &State, now: Timestamp) -> Vec<Need> {
    let scaled = state
        .capacity_providers()
        .filter(|provider| provider.group.scaling.enabled);
    scaled.map(|provider| Need::of(state, provider, now)).collect()
}

/// Tasks that wait and are equal in what they ask.
#[derive(Debug, Clone)]
struct Waiting {
    request: Request,
    count: u32,
}

impl Need {
    fn of(state: &State, provider: &Arc<CapacityProvider>, now: Timestamp) -> Self {
        let mut need = Self {
            provider: Arc::clone(provider),
            running: 0,
            used: 0,
            needed: 0,
            waiting: 0,
            unplaceable: 0,
            idle: Vec::new(),
            busy: Vec::new(),
        };
        let warmup = Duration::from_secs(provider.group.scaling.warmup_seconds.into());
        let clusters = state
            .clusters()
            .filter(|cluster| cluster.status == ClusterStatus::Active && cluster.providers.contains(&provider.name));
        let mut idle: Vec<(Timestamp, InstanceKey)> = Vec::new();
        let mut kind: Option<&Arc<Instance>> = None;
        for cluster in clusters.map(|cluster| cluster.key) {
            let mut running: Vec<(Arc<Instance>, bool)> = Vec::new();
            for instance in state.instances_of(cluster).filter(|one| is_of(one, provider)) {
                if kind.is_none_or(|known| known.registered_at <= instance.registered_at) {
                    kind = Some(instance);
                }
                if instance.status != InstanceStatus::Active {
                    continue;
                }
                let key = InstanceKey {
                    cluster,
                    instance: instance.id,
                };
                let is_used = state.live_tasks_on(key).any(|task| !is_of_daemon(state, cluster, task));
                running.push((Arc::clone(instance), is_used));
                if is_used {
                    need.busy.push(key);
                } else if now >= instance.registered_at + warmup {
                    idle.push((instance.registered_at, key));
                }
            }
            let used = running.iter().filter(|(_, is_used)| *is_used).count();
            need.running += u32::try_from(running.len()).unwrap_or(u32::MAX);
            need.used += u32::try_from(used).unwrap_or(u32::MAX);
            let waiting = waiting(state, cluster, provider);
            need.waiting += waiting.iter().map(|one| one.count).sum::<u32>();
            let forecast = Forecast::of(running, kind, waiting, provider.group.scaling.maximum_step);
            need.needed += forecast.used + forecast.further;
            need.unplaceable += forecast.unplaceable;
        }
        idle.sort();
        need.idle = idle.into_iter().map(|(_, key)| key).collect();
        need
    }

    /// ECS's CapacityProviderReservation: needed by running, in percent.
    #[must_use]
    pub fn reservation(&self) -> f64 {
        match (self.needed, self.running) {
            (0, 0) => 100.0,
            (_, 0) => 200.0,
            (needed, running) => f64::from(needed) / f64::from(running) * 100.0,
        }
    }

    /// How many instances there should be, and what to remember of it.
    #[must_use]
    pub fn judge(&self, before: Standing, now: Timestamp) -> (Verdict, Standing) {
        let ManagedScaling {
            target_capacity,
            minimum_step,
            maximum_step,
            warmup_seconds,
            ..
        } = self.provider.group.scaling;
        let ideal = u64::from(self.needed) * 100;
        let ideal = u32::try_from(ideal.div_ceil(u64::from(target_capacity.max(1)))).unwrap_or(u32::MAX);
        let warmup = Duration::from_secs(warmup_seconds.into());
        // Those that were asked for and may still come.
        let coming = before
            .asked
            .filter(|(asked, since)| *asked > self.running && now < *since + warmup)
            .map(|(asked, _)| asked);
        let expected = coming.unwrap_or(self.running);
        let mut surplus_since = None;
        let mut remove = Vec::new();
        let wanted = if ideal > expected {
            let step = (ideal - expected).clamp(minimum_step, maximum_step);
            expected.saturating_add(step)
        } else if ideal < self.running && coming.is_none() {
            let since = before.surplus_since.unwrap_or(now);
            surplus_since = Some(since);
            if now >= since + SURPLUS {
                let most = (self.running - ideal).min(maximum_step);
                remove.extend(self.idle.iter().take(usize::try_from(most).unwrap_or(usize::MAX)));
            }
            self.running - u32::try_from(remove.len()).unwrap_or(u32::MAX)
        } else {
            expected
        };
        let asked = match before.asked {
            Some((asked, since)) if asked == wanted => Some((asked, since)),
            Some(_) | None => Some((wanted, now)),
        };
        let verdict = Verdict {
            wanted,
            remove,
            reason: self.reason(ideal),
        };
        (verdict, Standing { asked, surplus_since })
    }

    fn reason(&self, ideal: u32) -> String {
        let mut reason = format!(
            "{} of {} instances are in use, {} tasks wait for room: {} instances are needed, {ideal} at a target capacity \
             of {} %.",
            self.used, self.running, self.waiting, self.needed, self.provider.group.scaling.target_capacity
        );
        if self.unplaceable > 0 {
            reason.push_str(&format!(
                " {} of the tasks fit on no instance of this kind.",
                self.unplaceable
            ));
        }
        reason
    }
}

fn is_of(instance: &Instance, provider: &CapacityProvider) -> bool {
    let name = instance.attribute(berth_model::capacity::PROVIDER_ATTRIBUTE).flatten();
    name.is_some_and(|name| provider.is_called(name))
}

fn is_of_daemon(state: &State, cluster: ClusterKey, task: &crate::state::Task) -> bool {
    let service = task.launch.service_key(cluster);
    let known = service.and_then(|service| state.service(&service));
    known.is_some_and(|service| service.is_daemon())
}

/// What waits for room on the provider's instances: tasks of RunTask, and those that services lack as there is none.
fn waiting(state: &State, cluster: ClusterKey, provider: &CapacityProvider) -> Vec<Waiting> {
    let is_its = |request: &Request| {
        let pool = request.pool.as_ref();
        pool.is_some_and(|pool| *pool.provider() == provider.name)
    };
    let shapes = state.queue().by_age(cluster).map(|(_, shape)| Waiting {
        request: Request::clone(&shape.request),
        count: u32::try_from(shape.len()).unwrap_or(u32::MAX),
    });
    let services = state.services_of(cluster).flat_map(|service| lacking(state, service));
    let services = services.map(|(request, count)| Waiting { request, count });
    shapes.chain(services).filter(|one| is_its(&one.request)).collect()
}
