//! Network modes `awsvpc`, one address a task, and `none`.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Hosts, PAUSE, address, definition, shell};

/// A web server on port 80 that says who it is.
fn web(name: &str, page: &str) -> Value {
    let mut web = shell(
        name,
        &format!("mkdir /tmp/www; echo {page} > /tmp/www/index.html; exec httpd -f -p 80 -h /tmp/www"),
    );
    web["portMappings"] = json!([{"containerPort": 80}]);
    web
}

fn own_address(family: &str, containers: Value) -> Value {
    definition(family, containers, &json!({"networkMode": "awsvpc"}))
}

pub(super) fn tasks_with_the_same_port_are_reached_at_their_own_addresses(bed: &Hosts) -> Result<()> {
    let tasks = bed.running(&own_address("same-port", json!([web("web", "$(hostname -i)")])), 2)?;
    let (first, second) = (address(&tasks[0], "web")?, address(&tasks[1], "web")?);
    ensure!(first != second, "both have {first}");
    for (task, address) in tasks.iter().zip([&first, &second]) {
        ensure!(
            address.starts_with("10.77.0."),
            "{address} is not of the subnet that was set"
        );
        bed.wait_page("a", address, 80, &format!("{address}\n"))?;
        let attachment = &task["attachments"][0];
        assert_eq!(attachment["type"], "ElasticNetworkInterface", "{attachment}");
        assert_eq!(attachment["status"], "ATTACHED", "{attachment}");
        let details = attachment["details"].as_array().context("no details")?;
        let detail = |name: &str| {
            details
                .iter()
                .find(|detail| detail["name"] == name)
                .map(|detail| &detail["value"])
        };
        assert_eq!(detail("privateIPv4Address"), Some(&json!(address)));
        assert_eq!(detail("subnetId"), Some(&json!("any")), "{attachment}");
        let interface = detail("networkInterfaceId").and_then(Value::as_str).unwrap_or_default();
        ensure!(interface.starts_with("eni-") && interface.len() == 21, "{attachment}");
        let interface = &task["containers"][0]["networkInterfaces"][0];
        assert_eq!(interface["attachmentId"], attachment["id"]);
        assert_eq!(
            task["containers"].as_array().map(Vec::len),
            Some(1),
            "the pause container is shown: {task}"
        );
    }
    let ended = bed.stop(&tasks)?;
    assert_eq!(ended[0]["attachments"][0]["status"], "DELETED");
    Ok(())
}

pub(super) fn containers_of_a_task_reach_each_other_at_localhost(bed: &Hosts) -> Result<()> {
    let client = shell(
        "client",
        "until wget -q -O - http://127.0.0.1/; do sleep 0.2; done; exec sleep 600",
    );
    let tasks = bed.running(&own_address("localhost", json!([web("web", "sibling"), client])), 1)?;
    bed.wait_printed(&tasks[0], "client", "sibling")?;
    assert_eq!(address(&tasks[0], "web")?, address(&tasks[0], "client")?);
    bed.stop(&tasks).map(drop)
}

pub(super) fn the_host_publishes_nothing_for_a_task_with_its_own_address(bed: &Hosts) -> Result<()> {
    let tasks = bed.running(&own_address("unpublished", json!([web("web", "hidden")])), 1)?;
    let pause = bed.container(&tasks[0], PAUSE)?;
    for container in [&pause, &bed.container(&tasks[0], "web")?] {
        assert_eq!(container.host_config("PortBindings"), &json!({}));
    }
    assert_eq!(tasks[0]["containers"][0]["networkBindings"], json!([]));
    assert_eq!(pause.host_config("Init"), true);
    bed.stop(&tasks).map(drop)
}

pub(super) fn a_task_without_a_network_has_its_loopback_alone(bed: &Hosts) -> Result<()> {
    let look = shell("app", "echo interfaces: $(ls /sys/class/net); exec sleep 600");
    let none = definition("no-network", json!([look]), &json!({"networkMode": "none"}));
    let tasks = bed.running(&none, 1)?;
    bed.wait_printed(&tasks[0], "app", "interfaces: lo")?;
    let app = &tasks[0]["containers"][0];
    assert_eq!(app["networkBindings"], json!([]), "{app}");
    bed.stop(&tasks).map(drop)
}

pub(super) fn a_network_configuration_belongs_to_tasks_with_their_own_address(bed: &Hosts) -> Result<()> {
    let with = bed
        .cluster
        .register(&own_address("configured", json!([web("web", "x")])))?;
    let without = bed
        .cluster
        .register(&definition("unconfigured", json!([web("web", "x")]), &json!({})))?;
    let configuration = json!({"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}});
    for (definition, configuration, says) in [
        (
            &with,
            Value::Null,
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        ),
        (
            &with,
            json!({"awsvpcConfiguration": {"subnets": []}}),
            "subnets can not be empty.",
        ),
        (
            &without,
            configuration,
            "Network Configuration is not valid for the given networkMode of this task definition.",
        ),
    ] {
        let mut input = json!({"cluster": bed.cluster.name(), "taskDefinition": definition});
        if !configuration.is_null() {
            input["networkConfiguration"] = configuration;
        }
        let Err(refused) = bed.cluster.ecs().call("RunTask", &input) else {
            anyhow::bail!("{input} was not refused");
        };
        let refused = format!("{refused:#}");
        ensure!(
            refused.contains("InvalidParameterException") && refused.contains(says),
            "{input}: {refused}"
        );
    }
    Ok(())
}
