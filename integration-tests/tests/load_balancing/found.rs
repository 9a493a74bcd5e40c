//! Tasks found without a gateway in between: HAProxy and Prometheus, as Debian has them, with the configurations that
//! the documentation gives.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::daemon::Daemon;
use berth_integration_tests::web::web;
use berth_integration_tests::{Cluster, Seen, http, installed, prometheus, wait_until};
use serde_json::{Value, json};

use super::{Hosts, get};

/// Where the gateways answer DNS, and HTTP of their own.
pub(super) const DNS_PORT: u16 = 53;
pub(super) const HTTP_PORT: u16 = 7780;

/// Where HAProxy and Prometheus are, and where they listen.
const HOST: &str = "b";
const FRONT_PORT: u16 = 8090;
const PROMETHEUS_PORT: u16 = 9090;
/// Of the tasks of a service that A records alone lead to.
const FIXED_PORT: u16 = 18080;

pub(super) fn haproxy_follows_the_tasks_that_srv_records_name(hosts: &Hosts) -> Result<()> {
    let cluster = hosts.cluster();
    let definition = named(&cluster, "srv", &json!({}))?;
    cluster.create_service("srv", &definition, &json!({"desiredCount": 3}))?;
    let mut servers = String::new();
    // UDP leaves room for about a dozen tasks.
    for (backend, port, protocol) in [("udp", FRONT_PORT, ""), ("tcp", FRONT_PORT + 1, "tcp@")] {
        servers += &section(backend, port, protocol, "_http._tcp.srv.balanced.berth", hosts)?;
    }
    let fronts = [hosts.listener(HOST, FRONT_PORT)?, hosts.listener(HOST, FRONT_PORT + 1)?];
    let _haproxy = haproxy(hosts, &servers)?;
    reach_exactly_the_tasks(&cluster, "srv", 3, &fronts)?;
    cluster.update_service("srv", &json!({"desiredCount": 5}))?;
    reach_exactly_the_tasks(&cluster, "srv", 5, &fronts)?;
    let stopped = cluster.service_task_arns("srv")?.pop().context("no task")?;
    cluster.stop(std::slice::from_ref(&stopped))?;
    cluster.wait_stopped(&[stopped])?;
    reach_exactly_the_tasks(&cluster, "srv", 5, &fronts)?;
    cluster.delete_service("srv").map(drop)
}

pub(super) fn haproxy_follows_the_hosts_that_a_records_name(hosts: &Hosts) -> Result<()> {
    let cluster = hosts.cluster();
    let definition = named(&cluster, "fixed", &json!({"hostPort": FIXED_PORT}))?;
    cluster.create_service("fixed", &definition, &json!({"desiredCount": 2}))?;
    let name = format!("fixed.balanced.berth:{FIXED_PORT}");
    let servers = section("hosts", FRONT_PORT, "", &name, hosts)?;
    let fronts = [hosts.listener(HOST, FRONT_PORT)?];
    let _haproxy = haproxy(hosts, &servers)?;
    reach_exactly_the_tasks(&cluster, "fixed", 2, &fronts)?;
    cluster.update_service("fixed", &json!({"desiredCount": 3}))?;
    reach_exactly_the_tasks(&cluster, "fixed", 3, &fronts)?;
    cluster.update_service("fixed", &json!({"desiredCount": 1}))?;
    reach_exactly_the_tasks(&cluster, "fixed", 1, &fronts)?;
    cluster.delete_service("fixed").map(drop)
}

pub(super) fn prometheus_scrapes_the_tasks_that_there_are(hosts: &Hosts) -> Result<()> {
    let cluster = hosts.cluster();
    let definition = named(&cluster, "figures", &json!({}))?;
    cluster.create_service("figures", &definition, &json!({"desiredCount": 2}))?;
    let _prometheus = prometheus(hosts)?;
    let scraped = scraped_exactly(hosts, &cluster, 2)?;
    for target in &scraped {
        ensure!(target["labels"]["service"] == "figures", "{target}");
        let discovered = &target["discoveredLabels"];
        for (label, value) in [
            ("__meta_berth_cluster", cluster.name()),
            ("__meta_berth_container", "web"),
            ("__meta_berth_container_port", "8080"),
            ("__meta_berth_port_name", "http"),
        ] {
            ensure!(discovered[label] == value, "{label}: {target}");
        }
    }
    cluster.update_service("figures", &json!({"desiredCount": 3}))?;
    scraped_exactly(hosts, &cluster, 3)?;
    let stopped = cluster.service_task_arns("figures")?.pop().context("no task")?;
    cluster.stop(&[stopped])?;
    scraped_exactly(hosts, &cluster, 3)?;
    cluster.delete_service("figures").map(drop)
}

/// A web server whose tasks say at `/who` which container they are, and have a figure for Prometheus.
fn named(cluster: &Cluster, family: &str, port: &Value) -> Result<String> {
    let name = web(
        cluster,
        family,
        family,
        "hostname > /www/who && echo here 1 > /www/metrics &&",
    )?;
    let Some(host_port) = port.get("hostPort") else {
        return Ok(name);
    };
    let input = json!({"taskDefinition": name});
    let mut definition = cluster.ecs().call("DescribeTaskDefinition", &input)?["taskDefinition"].clone();
    definition["containerDefinitions"][0]["portMappings"][0]["hostPort"] = host_port.clone();
    let containers = &definition["containerDefinitions"];
    cluster.register(&json!({"family": family, "containerDefinitions": containers}))
}

/// A listener of HAProxy whose servers are what the name has.
fn section(called: &str, port: u16, protocol: &str, name: &str, hosts: &Hosts) -> Result<String> {
    let (gateway, own) = (hosts.listener("a", DNS_PORT)?, hosts.listener(HOST, port)?);
    Ok(format!(
        "
resolvers berth-{called}
    nameserver gateway {protocol}{gateway}
    hold nx 1s
    hold obsolete 5s

listen {called}
    mode http
    bind {own}
    timeout client 10s
    timeout server 10s
    timeout connect 1s
    balance roundrobin
    option redispatch 1
    retries 3
    default-server check inter 2s init-addr none
    server-template web 5 {name} resolvers berth-{called}
"
    ))
}

fn haproxy(hosts: &Hosts, sections: &str) -> Result<Daemon> {
    let configuration = hosts.bed.data_dir("haproxy.cfg");
    let global = "global\n    maxconn 200\n";
    fs::write(&configuration, format!("{global}{sections}")).context("write haproxy.cfg")?;
    let arguments = ["-db".into(), "-f".into(), configuration.into_os_string()];
    installed::start(&hosts.bed, HOST, "haproxy", arguments.into())
}

fn prometheus(hosts: &Hosts) -> Result<Daemon> {
    let discovery = hosts.listener("a", HTTP_PORT)?;
    let own = hosts.listener(HOST, PROMETHEUS_PORT)?;
    prometheus::start(&hosts.bed, HOST, discovery, own)
}

/// Waits until as many requests in a row as reach every server twice are answered by so many tasks of the service, all
/// of them, and by nobody else.
fn reach_exactly_the_tasks(cluster: &Cluster, service: &str, count: usize, fronts: &[SocketAddr]) -> Result<()> {
    wait_until(&format!("HAProxy reaches {count} tasks"), SOON, || {
        let tasks: BTreeSet<String> = cluster
            .service_tasks(service)?
            .iter()
            .filter(|task| task["lastStatus"] == "RUNNING")
            .filter_map(|task| task["containers"][0]["runtimeId"].as_str())
            // A container's host name.
            .map(|id| id.chars().take(12).collect())
            .collect();
        if tasks.len() != count {
            return Ok(Seen::NotYet(format!("running: {tasks:?}")));
        }
        for front in fronts {
            let answers: Result<BTreeSet<String>> = (0..2 * count)
                .map(|_| get(*front, "/who").map(|who| who.trim().to_owned()))
                .collect();
            match answers {
                Ok(answered) if answered == tasks => {}
                Ok(answered) => return Ok(Seen::NotYet(format!("{front}: {answered:?} of {tasks:?}"))),
                Err(error) => return Ok(Seen::NotYet(format!("{error:#}"))),
            }
        }
        Ok(Seen::Done(()))
    })
}

/// Waits until Prometheus scrapes so many tasks, all of the service, from the addresses where they are; its targets.
fn scraped_exactly(hosts: &Hosts, cluster: &Cluster, count: usize) -> Result<Vec<Value>> {
    let prometheus = hosts.listener(HOST, PROMETHEUS_PORT)?;
    wait_until(&format!("Prometheus scrapes {count} tasks"), SOON, || {
        let tasks: BTreeSet<String> = cluster.service_task_arns("figures")?.into_iter().collect();
        let listed = match http::tcp(prometheus, &http::request("GET", "/api/v1/targets", &[], b"")) {
            Ok(answer) => answer.text(),
            Err(error) => return Ok(Seen::NotYet(format!("{error:#}"))),
        };
        let Ok(listed) = serde_json::from_str::<Value>(&listed) else {
            return Ok(Seen::NotYet(listed));
        };
        let targets = listed["data"]["activeTargets"].as_array().cloned().unwrap_or_default();
        let found: BTreeSet<String> = targets
            .iter()
            .filter(|target| target["health"] == "up")
            .filter_map(|target| target["discoveredLabels"]["__meta_berth_task"].as_str())
            .map(str::to_owned)
            .collect();
        let is = found == tasks && targets.len() == count && tasks.len() == count;
        Ok(if is {
            Seen::Done(targets)
        } else {
            Seen::NotYet(listed.to_string())
        })
    })
}
