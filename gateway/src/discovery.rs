//! Where tasks are reached, for Prometheus: its HTTP service discovery. Pure.
//!
//! The shape is that of Prometheus ("HTTP SD format"): groups of targets with labels, all of them every time.

mod figures;
mod server;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::endpoints::Table;

pub(crate) use server::{Known, serve};

/// One port of one task. Labels begin with `__meta_`, so that they are there for relabelling and nowhere else.
#[derive(Debug, Serialize, PartialEq, Eq)]
struct Group {
    targets: [String; 1],
    labels: BTreeMap<&'static str, String>,
}

/// Every TCP port of every task that is not about to stop, healthy or not: who is not well has figures too.
fn groups(table: &Table, cluster: &str) -> Vec<Group> {
    let mut groups = Vec::new();
    for service in table.services.values() {
        for endpoint in service.endpoints.iter().filter(|one| one.deregister_by.is_none()) {
            for port in endpoint.ports.iter().filter(|port| port.protocol == "tcp") {
                let at = std::net::SocketAddr::new(endpoint.address, port.host_port);
                let labels = [
                    ("__meta_berth_cluster", cluster.to_owned()),
                    ("__meta_berth_service", service.name.to_string()),
                    ("__meta_berth_task", endpoint.task.to_string()),
                    ("__meta_berth_deployment", endpoint.deployment.to_string()),
                    ("__meta_berth_container_instance", endpoint.instance.to_string()),
                    ("__meta_berth_availability_zone", endpoint.availability_zone.clone()),
                    ("__meta_berth_container", port.container_name.clone()),
                    ("__meta_berth_container_port", port.container_port.to_string()),
                    ("__meta_berth_port_name", port.name.clone()),
                ];
                groups.push(Group {
                    targets: [at.to_string()],
                    labels: labels.into(),
                });
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use berth_proto::gateway::v1::Protocol;

    use super::*;
    use crate::endpoints::tests::{service, table};

    #[test]
    fn every_port_of_a_task_that_stays_is_a_target_with_its_labels() {
        let mut web = service("web", Protocol::Http, 80, &[8001, 8002]);
        web.endpoints[1].deregister_by = Some(1.0);
        let mut metrics = web.endpoints[0].ports[0].clone();
        metrics.container_port = 9100;
        metrics.host_port = 9001;
        metrics.name = "metrics".to_owned();
        let mut udp = metrics.clone();
        udp.protocol = "udp".to_owned();
        web.endpoints[0].ports.extend([metrics, udp]);
        let groups = groups(&table(&[web]), "prod");
        let targets: Vec<&str> = groups.iter().map(|group| group.targets[0].as_str()).collect();
        assert_eq!(targets, ["127.0.0.1:8001", "127.0.0.1:9001"]);
        let labels = &groups[1].labels;
        for (label, value) in [
            ("__meta_berth_cluster", "prod"),
            ("__meta_berth_service", "web"),
            ("__meta_berth_task", "arn:task/8001"),
            ("__meta_berth_container", "app"),
            ("__meta_berth_container_port", "9100"),
            ("__meta_berth_port_name", "metrics"),
        ] {
            assert_eq!(labels[label], value);
        }
    }

    #[test]
    fn nothing_is_an_empty_list() {
        let json = serde_json::to_string(&groups(&Table::default(), "prod")).unwrap();
        assert_eq!(json, "[]");
    }
}
