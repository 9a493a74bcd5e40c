//! Clusters as tables.

use berth_proto::ecs::v1::Cluster;

use super::table::{maybe, number, status, text};
use super::{Table, capacity};
use crate::output::Presentation;

pub(crate) fn list(clusters: &[Cluster]) -> Presentation {
    let mut table = Table::with_headings(["CLUSTER", "STATUS", "INSTANCES", "RUNNING", "PENDING"]);
    for cluster in clusters {
        table.row([
            text(cluster.cluster_name()),
            status(cluster.status.as_deref()),
            number(cluster.registered_container_instances_count()),
            number(cluster.running_tasks_count()),
            number(cluster.pending_tasks_count()),
        ]);
    }
    Presentation::default().table(&table)
}

pub(crate) fn one(cluster: Option<&Cluster>) -> Presentation {
    let mut table = Table::pairs();
    if let Some(cluster) = cluster {
        table.pair("Cluster", text(cluster.cluster_name()));
        table.pair("ARN", maybe(cluster.cluster_arn.as_deref()));
        table.pair("Status", status(cluster.status.as_deref()));
        let instances = cluster.registered_container_instances_count();
        table.pair("Container instances", text(instances));
        table.pair("Running tasks", text(cluster.running_tasks_count()));
        table.pair("Pending tasks", text(cluster.pending_tasks_count()));
        table.pair("Active services", text(cluster.active_services_count()));
        if !cluster.capacity_providers.is_empty() {
            table.pair("Capacity providers", text(cluster.capacity_providers.join(", ")));
        }
        let default = &cluster.default_capacity_provider_strategy;
        if !default.is_empty() {
            table.pair("Default strategy", text(capacity::strategy(default)));
        }
    }
    Presentation::default().table(&table)
}
