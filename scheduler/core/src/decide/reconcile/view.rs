//! A service as its reconciler sees it: everything that a step needs of the state, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_model::id::{DefinitionId, DeploymentId, InstanceId};
use berth_model::placement::parse_strategies;
use berth_model::status::{DesiredStatus, HealthStatus, InstanceStatus, TaskStatus};
use berth_model::time::Timestamp;

use super::cause;
use super::placing::Placing;
use crate::keys::{ClusterKey, InstanceKey, TaskKey};
use crate::place::Request;
use crate::reconcile::{Host, Phase, Presence, TaskView, Timing, View};
use crate::service::Deployment;
use crate::state::{Instance, Service, State, Task};

/// The attribute that names an instance's zone.
pub(super) const ZONE: &str = "ecs.availability-zone";

/// The service as it is. `current` are its deployments that are not INACTIVE.
pub(super) fn of<'s>(
    state: &'s State,
    service: &'s Service,
    current: &'s [Deployment],
    timing: Timing,
    room_since: Option<Timestamp>,
) -> View<'s> {
    let mut looks = Looks {
        state,
        service,
        checks: BTreeMap::new(),
        hosts: BTreeMap::new(),
    };
    let ids = service.live.iter().chain(&service.ended);
    let tasks = ids.filter_map(|task| {
        let key = TaskKey {
            cluster: service.cluster,
            task: *task,
        };
        state.task(key).and_then(|task| looks.task(task))
    });
    View {
        name: &service.name,
        spec: &service.spec,
        // They were checked before they became facts.
        strategies: parse_strategies(&service.spec.strategies).unwrap_or_default(),
        status: service.status,
        deployments: current,
        tasks: tasks.collect(),
        places: if service.is_daemon() {
            places(state, service)
        } else {
            Vec::new()
        },
        zones: if service.spec.zone_rebalancing {
            zones(state, service)
        } else {
            Vec::new()
        },
        presence: presence(state, service.cluster),
        room_since,
        timing,
    }
}

/// The instances that a DAEMON service has a task on: ACTIVE, connected and satisfying its constraints.
#[must_use]
pub fn places(state: &State, service: &Service) -> Vec<InstanceId> {
    eligible(state, service).map(|instance| instance.id).collect()
}

fn eligible<'s>(state: &'s State, service: &'s Service) -> impl Iterator<Item = &'s Arc<Instance>> {
    let requests: Vec<Request> = service
        .primary()
        .and_then(|primary| Placing::of(state, service, primary))
        .map_or_else(Vec::new, |placing| placing.requests(state));
    let instances = state.instances_of(service.cluster);
    instances.filter(move |instance| {
        let mut requests = requests.iter();
        requests.any(|request| crate::place::eligible(instance, request))
    })
}

fn zones(state: &State, service: &Service) -> Vec<Arc<str>> {
    let zones: BTreeSet<&str> = eligible(state, service).filter_map(|instance| zone(instance)).collect();
    zones.into_iter().map(Arc::from).collect()
}

fn zone(instance: &Instance) -> Option<&str> {
    instance.attribute(ZONE).flatten()
}

/// Every instance that is away counts as missed: many that go at once are a storm before the first of them is lost.
fn presence(state: &State, cluster: ClusterKey) -> Presence {
    let known = state.cluster_name(cluster).and_then(|name| state.cluster(name));
    known.map_or_else(Presence::default, |cluster| Presence {
        instances: cluster.instances,
        lost: cluster.disconnected,
    })
}

/// What is looked up once for all tasks.
struct Looks<'s> {
    state: &'s State,
    service: &'s Service,
    /// By definition, its essential containers, and whether one of them has a health check.
    checks: BTreeMap<DefinitionId, (Vec<String>, bool)>,
    hosts: BTreeMap<InstanceId, Host>,
}

impl Looks<'_> {
    fn task(&mut self, task: &Task) -> Option<TaskView> {
        let deployment = task.launch.service.as_ref()?.deployment;
        let (health, has_check) = self.health(task, deployment);
        let phase = match task.last {
            TaskStatus::Provisioning | TaskStatus::Pending | TaskStatus::Activating => Phase::Pending,
            TaskStatus::Running => Phase::Running,
            TaskStatus::Deactivating | TaskStatus::Stopping | TaskStatus::Deprovisioning => Phase::Stopping,
            TaskStatus::Stopped => Phase::Stopped,
        };
        let has_failed = phase == Phase::Stopped || health == HealthStatus::Unhealthy;
        let cause = has_failed.then(|| cause::of(task)).flatten();
        Some(TaskView {
            id: task.id,
            deployment,
            host: self.host(task.instance),
            cpu: task.launch.demand.cpu,
            memory: task.launch.demand.memory,
            phase,
            wanted: task.desired == DesiredStatus::Running,
            health,
            has_check,
            target: task.target.clone(),
            created_at: task.launch.created_at,
            running_since: task.times.started,
            ended_at: task.stopped_at,
            protected_until: task.protected_until,
            stop_code: task.stop.as_ref().and_then(|stop| stop.code),
            cause: cause.map(Arc::from),
        })
    }

    /// What the checks of the task say together: those of its containers, and those of its load balancers.
    fn health(&mut self, task: &Task, deployment: DeploymentId) -> (HealthStatus, bool) {
        let (containers, has_check) = self.container_health(task);
        if self.service.load_balancers_of(deployment).is_empty() {
            return (containers, has_check);
        }
        let target = task
            .target
            .as_ref()
            .map(|target| target.health)
            .unwrap_or_default()
            .into();
        match has_check {
            true => (worse(containers, target), true),
            false => (target, true),
        }
    }

    fn container_health(&mut self, task: &Task) -> (HealthStatus, bool) {
        let id = &task.launch.definition;
        if !self.checks.contains_key(id) {
            let registered = self.state.definition(id);
            let containers = registered.map_or(&[][..], |known| &known.definition.container_definitions);
            let essential = containers.iter().filter(|container| container.is_essential());
            let has_check = essential.clone().any(|container| container.health_check.is_some());
            let names = essential.map(|container| container.name.clone()).collect();
            self.checks.insert(id.clone(), (names, has_check));
        }
        let Some((essential, has_check)) = self.checks.get(id) else {
            return (HealthStatus::Unknown, false);
        };
        (
            task.health(|name| essential.iter().any(|known| known == name)),
            *has_check,
        )
    }

    fn host(&mut self, id: InstanceId) -> Host {
        if let Some(host) = self.hosts.get(&id) {
            return host.clone();
        }
        let key = InstanceKey {
            cluster: self.service.cluster,
            instance: id,
        };
        let instance = self.state.instance(key);
        let draining = instance.is_none_or(|instance| instance.status != InstanceStatus::Active);
        let away = instance.filter(|instance| !instance.connected);
        let host = Host {
            id,
            zone: instance.and_then(zone).map(Arc::from),
            free_cpu: instance.map(Instance::free_cpu).unwrap_or_default(),
            free_memory: instance.map(Instance::free_memory).unwrap_or_default(),
            draining,
            has_replicas: draining && self.service.is_daemon() && self.has_replicas(key),
            // Who does not know since when has known it for long.
            disconnected_since: away.map(|instance| instance.disconnected_at.unwrap_or_default()),
        };
        self.hosts.insert(id, host.clone());
        host
    }

    /// Whether tasks of services that are no DAEMON run on the instance.
    fn has_replicas(&self, key: InstanceKey) -> bool {
        self.state.live_tasks_on(key).any(|task| {
            let service = task.launch.service_key(key.cluster);
            let known = service.and_then(|service| self.state.service(&service));
            known.is_some_and(|service| !service.is_daemon())
        })
    }
}

/// Bad news from one of two, else good news only from both.
const fn worse(one: HealthStatus, other: HealthStatus) -> HealthStatus {
    match (one, other) {
        (HealthStatus::Unhealthy, _) | (_, HealthStatus::Unhealthy) => HealthStatus::Unhealthy,
        (HealthStatus::Healthy, HealthStatus::Healthy) => HealthStatus::Healthy,
        (HealthStatus::Unknown, _) | (_, HealthStatus::Unknown) => HealthStatus::Unknown,
    }
}
