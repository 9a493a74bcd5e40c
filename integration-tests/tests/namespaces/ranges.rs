//! `containerPortRange`: ports of the host in a row.

use anyhow::{Context, Result, ensure};
use berth_integration_tests::cluster::container_of;
use serde_json::{Value, json};

use super::{Hosts, definition, shell};

/// Servers on three ports, each of which says its port, behind a range of TCP and one of UDP.
fn servers() -> Value {
    let mut app = shell(
        "app",
        "for port in 8000 8001 8002; do mkdir -p /tmp/$port; echo $port > /tmp/$port/index.html; \
         httpd -p $port -h /tmp/$port; done; exec sleep 600",
    );
    app["portMappings"] = json!([
        {"containerPortRange": "8000-8002"},
        {"containerPortRange": "5000-5004", "protocol": "udp"},
        {"containerPort": 9000},
    ]);
    definition("ranges", json!([app]), &json!({}))
}

/// The ports of the host behind a range of the container's.
fn host_range(task: &Value, inside: &str) -> Result<(u16, u16)> {
    let bindings = &container_of(task, "app")?["networkBindings"];
    let list = bindings.as_array().context("no bindings")?;
    // Docker may choose another single port for IPv6.
    let of_ipv4 = list.iter().filter(|binding| binding["bindIP"] == "0.0.0.0");
    assert_eq!(of_ipv4.count(), 3, "{bindings}");
    let binding = list.iter().find(|binding| binding["containerPortRange"] == inside);
    let binding = binding.with_context(|| format!("{inside} is not in {bindings}"))?;
    assert_eq!(
        (&binding["hostPort"], &binding["containerPort"]),
        (&Value::Null, &Value::Null)
    );
    let range = binding["hostPortRange"]
        .as_str()
        .and_then(|range| range.split_once('-'));
    let (first, last) = range.with_context(|| format!("no range in {binding}"))?;
    Ok((first.parse()?, last.parse()?))
}

pub(super) fn every_port_of_a_range_is_forwarded_from_ports_in_a_row(bed: &Hosts) -> Result<()> {
    let tasks = bed.running(&servers(), 2)?;
    let mut taken = Vec::new();
    let host = bed.host("a")?.address().to_string();
    for task in &tasks {
        let (first, last) = host_range(task, "8000-8002")?;
        assert_eq!(last - first, 2);
        for (port, page) in (first..=last).zip(["8000\n", "8001\n", "8002\n"]) {
            bed.wait_page("a", &host, port, page)?;
        }
        let (udp_first, udp_last) = host_range(task, "5000-5004")?;
        assert_eq!(udp_last - udp_first, 4);
        let bound = &bed.container(task, "app")?.inspect["NetworkSettings"]["Ports"];
        assert_eq!(bound["5002/udp"][0]["HostPort"], (udp_first + 2).to_string(), "{bound}");
        taken.extend(first..=last);
    }
    let (count, ports) = (taken.len(), taken.clone());
    taken.sort_unstable();
    taken.dedup();
    ensure!(taken.len() == count, "two tasks share ports: {ports:?}");
    bed.stop(&tasks).map(drop)
}
