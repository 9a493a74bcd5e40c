//! The figures of clusters and services, counted from the state when somebody asks. Nothing here has a label for a task or
//! an instance: what grows with them would be Prometheus' memory.

use berth_daemon::metrics::Page;
use berth_model::service::RolloutState;
use berth_model::status::{ClusterStatus, InstanceStatus, TaskStatus};
use berth_model::time::Timestamp;
use berth_proto::v1::{Amount, ClusterUsage, Percent, Used};
use berth_scheduler_core::state::{Cluster, Service, State};

use crate::api;
use crate::api::describe::service::{counts as service_counts, desired};
use crate::drive::scaling;
use crate::nodes::Registry;

const BYTES_PER_MIB: f64 = 1024.0 * 1024.0;

/// One cluster.
#[derive(Debug)]
pub(super) struct Counted {
    name: String,
    usage: ClusterUsage,
    /// In the order of all statuses.
    instances: Vec<u64>,
    away: u64,
    /// In the order of all statuses.
    tasks: Vec<u64>,
    waiting: u64,
    services: Vec<CountedService>,
}

/// One service.
#[derive(Debug)]
struct CountedService {
    name: String,
    desired: u64,
    running: u64,
    pending: u64,
    deployments: u64,
    failed: bool,
    /// In percent, as far as known.
    cpu: Option<f64>,
    memory: Option<f64>,
}

/// Counts all clusters that were not deleted. Takes as long as the state is large: not for an asynchronous thread.
pub(super) fn count(state: &State, nodes: &Registry, now: Timestamp) -> Vec<Counted> {
    let active = state
        .clusters()
        .filter(|cluster| cluster.status == ClusterStatus::Active);
    active.map(|cluster| count_one(state, nodes, cluster, now)).collect()
}

fn count_one(state: &State, nodes: &Registry, cluster: &Cluster, now: Timestamp) -> Counted {
    let mut instances = vec![0; InstanceStatus::ALL.len()];
    let mut away = 0;
    for instance in state.instances_of(cluster.key) {
        note(&mut instances, InstanceStatus::ALL, instance.status);
        away += u64::from(instance.is_away());
    }
    let mut tasks = vec![0; TaskStatus::ALL.len()];
    for task in state.tasks_of(cluster.key, None) {
        note(&mut tasks, TaskStatus::ALL, task.last);
    }
    let waiting = state
        .queue()
        .tasks_of(cluster.key, None)
        .filter(|task| task.is_waiting());
    let services = state.services_of(cluster.key).filter(|service| service.is_active());
    Counted {
        name: cluster.name.to_string(),
        usage: api::usage_of_cluster(nodes, state, cluster.key),
        instances,
        away,
        tasks,
        waiting: waiting.map(|_| 1).sum(),
        services: services
            .map(|service| count_service(state, nodes, service, now))
            .collect(),
    }
}

fn note<S: Copy + PartialEq>(counts: &mut [u64], all: &[S], status: S) {
    let at = all.iter().position(|one| *one == status);
    if let Some(count) = at.and_then(|at| counts.get_mut(at)) {
        *count += 1;
    }
}

fn count_service(state: &State, nodes: &Registry, service: &Service, now: Timestamp) -> CountedService {
    let counts = service_counts(state, service, None);
    let (cpu, memory) = scaling::utilization(state, service, nodes, now);
    let failed = |state: RolloutState| state == RolloutState::Failed;
    CountedService {
        name: service.name.to_string(),
        desired: desired(state, service).into(),
        running: counts.running.into(),
        pending: counts.pending.into(),
        deployments: u64::try_from(service.current().count()).unwrap_or(u64::MAX),
        failed: service.primary().is_some_and(|primary| failed(primary.rollout.state)),
        cpu,
        memory,
    }
}

/// Tells all of it, family by family.
pub(super) fn tell(page: &mut Page, clusters: &[Counted]) {
    tell_capacity(page, clusters);
    tell_counts(page, clusters);
    tell_services(page, clusters);
}

fn tell_capacity(page: &mut Page, clusters: &[Counted]) {
    let gauge = |page: &mut Page, name, help: &str, of: &dyn Fn(&ClusterUsage) -> Option<f64>| {
        let mut family = page.gauge(name, help);
        for cluster in clusters {
            if let Some(value) = of(&cluster.usage) {
                family.value(&[("cluster", &cluster.name)], value);
            }
        }
    };
    let ratio = |percent: Option<Percent>, part: fn(Percent) -> Option<f64>| Some(part(percent?)? / 100.0);
    let cpu: fn(Percent) -> Option<f64> = |percent| percent.cpu;
    let memory: fn(Percent) -> Option<f64> = |percent| percent.memory;
    let units = |amount: Option<Amount>| amount.map(|amount| amount.cpu_units as f64);
    let bytes = |amount: Option<Amount>| amount.map(|amount| amount.memory_mib as f64 * BYTES_PER_MIB);
    gauge(
        page,
        "berth_cluster_cpu_reservation_ratio",
        "ECS's CPUReservation as a part of 1: CPU that tasks reserve, of what ACTIVE and DRAINING instances registered.",
        &|usage| ratio(usage.reservation, cpu),
    );
    gauge(
        page,
        "berth_cluster_memory_reservation_ratio",
        "ECS's MemoryReservation as a part of 1.",
        &|usage| ratio(usage.reservation, memory),
    );
    gauge(
        page,
        "berth_cluster_cpu_utilization_ratio",
        "ECS's CPUUtilization as a part of 1: CPU that tasks use, of what ACTIVE and DRAINING instances registered.",
        &|usage| ratio(usage.utilization, cpu),
    );
    gauge(
        page,
        "berth_cluster_memory_utilization_ratio",
        "ECS's MemoryUtilization as a part of 1.",
        &|usage| ratio(usage.utilization, memory),
    );
    gauge(
        page,
        "berth_cluster_cpu_registered_units",
        "CPU units of ACTIVE and DRAINING instances, 1024 a core.",
        &|usage| units(usage.registered),
    );
    gauge(
        page,
        "berth_cluster_cpu_reserved_units",
        "CPU units that tasks reserve.",
        &|usage| units(usage.reserved),
    );
    gauge(
        page,
        "berth_cluster_cpu_used_units",
        "CPU units that tasks use.",
        &|usage| usage.used.as_ref().and_then(|used: &Used| used.cpu_units),
    );
    gauge(
        page,
        "berth_cluster_memory_registered_bytes",
        "Memory of ACTIVE and DRAINING instances.",
        &|usage| bytes(usage.registered),
    );
    gauge(
        page,
        "berth_cluster_memory_reserved_bytes",
        "Memory that tasks reserve.",
        &|usage| bytes(usage.reserved),
    );
    gauge(
        page,
        "berth_cluster_memory_used_bytes",
        "Memory that tasks use.",
        &|usage| usage.used.as_ref().map(|used| used.memory_bytes as f64),
    );
    gauge(
        page,
        "berth_cluster_instances_measured",
        "Instances whose agents have told what they use.",
        &|usage| Some(usage.telling.into()),
    );
}

fn tell_counts(page: &mut Page, clusters: &[Counted]) {
    let mut family = page.gauge("berth_cluster_instances", "Container instances by status.");
    for cluster in clusters {
        for (status, count) in InstanceStatus::ALL.iter().zip(&cluster.instances) {
            family.count(&[("cluster", &cluster.name), ("status", status.name())], *count);
        }
    }
    let mut family = page.gauge(
        "berth_cluster_instances_disconnected",
        "Container instances of the cluster whose agents have no stream to any scheduler.",
    );
    for cluster in clusters {
        family.count(&[("cluster", &cluster.name)], cluster.away);
    }
    let mut family = page.gauge(
        "berth_cluster_tasks",
        "Tasks by last status; those that have stopped for as long as they can be described.",
    );
    for cluster in clusters {
        for (status, count) in TaskStatus::ALL.iter().zip(&cluster.tasks) {
            family.count(&[("cluster", &cluster.name), ("status", status.name())], *count);
        }
    }
    let mut family = page.gauge(
        "berth_cluster_tasks_waiting",
        "Tasks that wait for room on an instance.",
    );
    for cluster in clusters {
        family.count(&[("cluster", &cluster.name)], cluster.waiting);
    }
}

fn tell_services(page: &mut Page, clusters: &[Counted]) {
    let gauge = |page: &mut Page, name, help: &str, of: &dyn Fn(&CountedService) -> Option<f64>| {
        let mut family = page.gauge(name, help);
        for cluster in clusters {
            for service in &cluster.services {
                if let Some(value) = of(service) {
                    family.value(&[("cluster", &cluster.name), ("service", &service.name)], value);
                }
            }
        }
    };
    gauge(
        page,
        "berth_service_desired_tasks",
        "Tasks that the service should have.",
        &|service| Some(service.desired as f64),
    );
    gauge(
        page,
        "berth_service_running_tasks",
        "Tasks of the service that are RUNNING.",
        &|service| Some(service.running as f64),
    );
    gauge(
        page,
        "berth_service_pending_tasks",
        "Tasks of the service that are on their way to RUNNING.",
        &|service| Some(service.pending as f64),
    );
    gauge(
        page,
        "berth_service_deployments",
        "Deployments of the service that are not over: 1 when nothing is being changed.",
        &|service| Some(service.deployments as f64),
    );
    gauge(
        page,
        "berth_service_deployment_failed",
        "Whether the service's newest deployment has failed: 1 or 0.",
        &|service| Some(f64::from(u8::from(service.failed))),
    );
    gauge(
        page,
        "berth_service_cpu_utilization_ratio",
        "ECS's CPUUtilization of a service as a part of 1: CPU that its tasks use, of what they reserve.",
        &|service| service.cpu.map(|percent| percent / 100.0),
    );
    gauge(
        page,
        "berth_service_memory_utilization_ratio",
        "ECS's MemoryUtilization of a service as a part of 1.",
        &|service| service.memory.map(|percent| percent / 100.0),
    );
}
