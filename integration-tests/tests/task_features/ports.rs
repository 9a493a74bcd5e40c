//! Ports: fixed ones, ones that the host chooses, UDP, and one that is taken.

use std::net::UdpSocket;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::cluster::{SOON, container_of};
use berth_integration_tests::{Seen, wait_until};
use serde_json::{Value, json};

use super::{OneHost, definition, shell, with};

/// The host port of a container's only binding.
fn host_port(task: &Value, name: &str) -> Result<u16> {
    let bindings = &container_of(task, name)?["networkBindings"];
    let port = bindings[0]["hostPort"].as_u64();
    port.and_then(|port| u16::try_from(port).ok())
        .with_context(|| format!("no host port in {bindings}"))
}

fn web(name: &str, container_port: u16, host_port: Option<u16>) -> Value {
    let mut mapping = json!({"containerPort": container_port});
    if let Some(port) = host_port {
        mapping["hostPort"] = port.into();
    }
    json!({
        "name": name, "image": "my-demo", "memory": 32, "stopTimeout": 5,
        "portMappings": [mapping],
    })
}

pub(super) fn a_fixed_port_is_served_and_reported(bed: &OneHost) -> Result<()> {
    let (arn, task) = bed.running("fixed", json!([web("web", 80, Some(8081))]))?;
    let binding = json!({"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 8081, "protocol": "tcp"});
    let bindings = &container_of(&task, "web")?["networkBindings"];
    ensure!(
        bindings.as_array().is_some_and(|list| list.contains(&binding)),
        "{binding} is not in {bindings}"
    );
    wait_until("the page is served", SOON, || {
        let page = bed.page(8081, "/")?;
        Ok(Seen::when(page == "It works!\n", || page))
    })?;
    bed.stop(&arn).map(drop)
}

pub(super) fn a_port_left_to_the_host_is_chosen_and_reported(bed: &OneHost) -> Result<()> {
    let containers = json!([web("zero", 80, Some(0)), web("absent", 80, None)]);
    let (arn, task) = bed.running("dynamic", containers)?;
    let (zero, absent) = (host_port(&task, "zero")?, host_port(&task, "absent")?);
    ensure!(zero != absent, "both were given {zero}");
    for port in [zero, absent] {
        ensure!(port >= 32768, "{port} is not of the dynamic range");
        wait_until("the page is served", SOON, || {
            let page = bed.page(port, "/")?;
            Ok(Seen::when(page == "It works!\n", || page))
        })?;
    }
    bed.stop(&arn).map(drop)
}

pub(super) fn a_udp_port_carries_datagrams(bed: &OneHost) -> Result<()> {
    // BusyBox has no server for UDP; the kernel counts what arrives in the container's namespace for nobody.
    let count = "awk '$1 == \"Udp:\" && $3 + 0 > 0 { found = 1 } END { exit !found }' /proc/net/snmp";
    let sink = with(
        shell(
            "sink",
            &format!("until {count}; do sleep 1; done; echo arrived; exec sleep 600"),
        ),
        &json!({"portMappings": [{"containerPort": 7000, "hostPort": 7001, "protocol": "udp"}]}),
    );
    let (arn, task) = bed.running("udp", json!([sink]))?;
    let binding = &container_of(&task, "sink")?["networkBindings"][0];
    assert_eq!(
        (&binding["protocol"], &binding["hostPort"]),
        (&json!("udp"), &json!(7001))
    );
    assert_eq!(bed.printed(&arn, "sink")?, "", "a datagram arrived before one was sent");
    let socket = UdpSocket::bind("0.0.0.0:0").context("bind")?;
    wait_until("a datagram arrives", SOON, || {
        // An answer to the last one, that nobody listens, is no failure of this one.
        socket.send_to(b"berth", bed.at(7001)).ok();
        let printed = bed.printed(&arn, "sink")?;
        Ok(Seen::when(printed == "arrived\n", || printed))
    })?;
    bed.stop(&arn).map(drop)
}

pub(super) fn two_tasks_on_one_fixed_port_are_refused_for_their_ports(bed: &OneHost) -> Result<()> {
    let definition = bed
        .cluster
        .register(&definition("taken", json!([web("web", 80, Some(8082))])))?;
    let input = json!({"cluster": bed.cluster.name(), "taskDefinition": definition, "count": 2});
    let answer = bed.cluster.ecs().call("RunTask", &input)?;
    let placed = answer["tasks"].as_array().map_or(0, Vec::len);
    assert_eq!(
        (placed, &answer["failures"][0]["reason"]),
        (1, &json!("RESOURCE:PORTS")),
        "{answer}"
    );
    let again = bed.cluster.ecs().call("RunTask", &input)?;
    assert_eq!(again["tasks"], json!([]), "{again}");
    assert_eq!(again["failures"][0]["reason"], "RESOURCE:PORTS", "{again}");
    let arn = answer["tasks"][0]["taskArn"].as_str().context("no ARN")?;
    bed.stop(arn).map(drop)
}

pub(super) fn a_port_is_free_again_when_its_task_has_stopped(bed: &OneHost) -> Result<()> {
    for _ in 0..2 {
        let (arn, _) = bed.running("reused", json!([web("web", 80, Some(8083))]))?;
        bed.stop(&arn)?;
    }
    Ok(())
}
