//! Task metadata, and introspection.

use anyhow::{Context, Result, ensure};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::{Seen, wait_until};
use serde_json::{Value, json};

use super::{Hosts, INTROSPECTION, asking, ensure_status, read};

const ASK: &str = r#"
for path in "" /task; do wget -qO- "$ECS_CONTAINER_METADATA_URI_V4$path"; echo; done
wget -qO- "$ECS_CONTAINER_METADATA_URI/task"; echo
ip -4 address show eth0 | sed -n 's/.*inet \([0-9.]*\).*/\1/p'"#;

pub(super) fn a_container_on_the_bridge_is_told_of_itself_and_its_task(hosts: &Hosts) -> Result<()> {
    let mut definition = asking("meta-bridge", ASK);
    definition["containerDefinitions"][0]["portMappings"] = json!([{"containerPort": 80}]);
    let arn = hosts.run("a", &definition, &json!({"group": "service:shop"}))?;
    let lines = hosts.printed("a", &arn)?;
    let (container, task) = (read(lines.first())?, read(lines.get(1))?);
    let real = hosts.cluster.container(&arn, "app")?;
    for (member, value) in [
        ("DockerId", json!(real.id())),
        ("Name", json!("app")),
        (
            "DockerName",
            json!(
                real.inspect["Name"]
                    .as_str()
                    .unwrap_or_default()
                    .trim_start_matches('/')
            ),
        ),
        ("Image", json!("busybox")),
        ("ImageID", real.inspect["Image"].clone()),
        ("Labels", real.inspect["Config"]["Labels"].clone()),
        ("DesiredStatus", json!("RUNNING")),
        ("KnownStatus", json!("RUNNING")),
        ("Limits", json!({"CPU": 10, "Memory": 32})),
        ("Type", json!("NORMAL")),
        (
            "Networks",
            json!([{"NetworkMode": "bridge", "IPv4Addresses": [lines.get(3)]}]),
        ),
    ] {
        // The label of the hash is made last, and not for the container's own eyes.
        let mut told = container[member].clone();
        let mut value = value;
        for labels in [&mut told, &mut value] {
            if let Some(labels) = labels.as_object_mut() {
                labels.remove("berth.spec-hash");
            }
        }
        ensure!(told == value, "{member} is {told}, not {value}");
    }
    ensure!(container["Ports"][0]["ContainerPort"] == 80, "{}", container["Ports"]);
    let described = &hosts.cluster.describe(std::slice::from_ref(&arn))?[0];
    ensure!(
        container["ContainerARN"] == described["containers"][0]["containerArn"],
        "another ARN than the API's"
    );
    for (member, value) in [
        ("TaskARN", json!(arn)),
        ("Cluster", described["clusterArn"].clone()),
        ("Family", json!("meta-bridge")),
        ("Revision", json!("1")),
        ("DesiredStatus", json!("RUNNING")),
        ("AvailabilityZone", json!("bed-1a")),
        ("LaunchType", json!("EC2")),
        ("ServiceName", json!("shop")),
    ] {
        ensure!(task[member] == value, "{member} is {}, not {value}", task[member]);
    }
    ensure!(
        task["PullStartedAt"].is_string() && task["Containers"][0]["Name"] == "app",
        "{task}"
    );
    ensure!(
        read(lines.get(2))?["TaskARN"] == json!(arn),
        "version 3 tells of another task"
    );
    Ok(())
}

pub(super) fn a_container_in_the_hosts_network_is_told_of_itself(hosts: &Hosts) -> Result<()> {
    let lines = hosts.script("meta-host", ASK, &json!({"networkMode": "host"}))?;
    let container = read(lines.first())?;
    ensure!(container["Networks"] == json!([{"NetworkMode": "host"}]), "{container}");
    Ok(())
}

pub(super) fn a_container_with_an_address_of_its_own_is_told_it(hosts: &Hosts) -> Result<()> {
    let lines = hosts.script("meta-awsvpc", ASK, &json!({"networkMode": "awsvpc"}))?;
    let container = read(lines.first())?;
    let network = &container["Networks"][0];
    ensure!(
        network["NetworkMode"] == "awsvpc" && network["IPv4Addresses"] == json!([lines.get(3)]),
        "{network}, the address is {:?}",
        lines.get(3)
    );
    ensure!(
        network["IPv4SubnetCIDRBlock"].is_string() && network["MACAddress"].is_string(),
        "{network}"
    );
    Ok(())
}

pub(super) fn statistics_are_those_of_docker(hosts: &Hosts) -> Result<()> {
    let arn = hosts.run("a", &asking("meta-stats", ""), &json!({}))?;
    hosts.printed("a", &arn)?;
    let own = hosts.environment(&arn, "ECS_CONTAINER_METADATA_URI_V4")?;
    let path = own.strip_prefix("http://169.254.170.2").context("another address")?;
    let ask = |path: &str| hosts.ask("a", super::ENDPOINT, "GET", path);
    let stats: Value = wait_until("statistics are there", SOON, || {
        let answer = ask(&format!("{path}/stats"))?;
        Ok(match answer.status {
            200 => Seen::Done(serde_json::from_slice(&answer.body)),
            _ => Seen::NotYet(answer.text()),
        })
    })??;
    ensure!(
        stats["cpu_stats"]["cpu_usage"]["total_usage"]
            .as_u64()
            .is_some_and(|time| time > 0)
            && stats["memory_stats"]["limit"] == 32 << 20
            && stats["memory_stats"]["usage"].as_u64().is_some_and(|bytes| bytes > 0)
            && stats["networks"]["eth0"]["rx_bytes"].is_u64(),
        "{stats:#}"
    );
    let all: Value = serde_json::from_slice(&ask(&format!("{path}/task/stats"))?.body)?;
    let id = stats["id"].as_str().context("no id")?;
    ensure!(all[id]["name"] == stats["name"], "{all}");
    Ok(())
}

pub(super) fn a_task_is_told_its_tags(hosts: &Hosts) -> Result<()> {
    let ask = r#"wget -qO- "$ECS_CONTAINER_METADATA_URI_V4/taskWithTags""#;
    let tags = json!({"tags": [{"key": "team", "value": "shop"}]});
    let arn = hosts.run("a", &asking("meta-tags", ask), &tags)?;
    let task = read(hosts.printed("a", &arn)?.first())?;
    ensure!(task["TaskTags"] == json!({"team": "shop"}), "{}", task["TaskTags"]);
    Ok(())
}

pub(super) fn those_on_the_host_are_told_of_all_tasks(hosts: &Hosts) -> Result<()> {
    let arn = hosts.run("a", &asking("introspected", ""), &json!({}))?;
    hosts.printed("a", &arn)?;
    let ask = |path: &str| -> Result<Value> {
        let answer = hosts.ask("a", INTROSPECTION, "GET", path)?;
        ensure_status(&answer, 200)?;
        Ok(serde_json::from_slice(&answer.body)?)
    };
    let metadata = ask("/v1/metadata")?;
    let instance = hosts.cluster.instance_of("a")?;
    ensure!(
        metadata["Cluster"] == "endpoint" && metadata["ContainerInstanceArn"] == instance["containerInstanceArn"],
        "{metadata}"
    );
    let all = ask("/v1/tasks")?;
    let tasks = all["Tasks"].as_array().context("no tasks")?;
    ensure!(tasks.iter().any(|task| task["Arn"] == json!(arn)), "{all}");
    let id = hosts.cluster.container(&arn, "app")?.id().to_owned();
    for query in [
        format!("taskarn={arn}"),
        format!("dockerid={id}"),
        format!("dockerid={}", &id[..12]),
    ] {
        ensure!(ask(&format!("/v1/tasks?{query}"))?["Arn"] == json!(arn), "{query}");
    }
    ensure!(ask("/")?["AvailableCommands"].is_array(), "no list of paths");
    // Loopback is the host's own.
    let outside = std::net::SocketAddr::from((hosts.host("a")?.address(), INTROSPECTION.port()));
    ensure!(
        std::net::TcpStream::connect(outside).is_err(),
        "introspection listens on {outside}"
    );
    Ok(())
}
