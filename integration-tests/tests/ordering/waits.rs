//! A port of the host that somebody else has.

use anyhow::Result;
use berth_integration_tests::cluster::{SOON, container_of};
use berth_integration_tests::{Seen, wait_until};
use serde_json::{Value, json};

use super::{OneHost, shell, with};

/// A container that no agent knows takes the port. Returns its id.
fn take(bed: &OneHost, port: u16) -> Result<String> {
    let spec = json!({
        "Image": "busybox",
        "Cmd": ["sleep", "600"],
        "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": port.to_string()}]}},
    });
    bed.engine().run(&format!("takes-{port}"), &spec)
}

/// Runs a task that wants the port, and waits until it says that it waits for it.
fn wants(bed: &OneHost, port: u16) -> Result<String> {
    let mapping = json!({"portMappings": [{"containerPort": 80, "hostPort": port}]});
    let containers = json!([with(shell("app", "exec sleep 600"), &mapping)]);
    let arn = bed.run(&format!("wants-{port}"), &containers)?;
    let words = format!("waits for host port {port}/tcp: ");
    wait_until("the task waits for the port", SOON, || {
        let task = bed.describe(&arn)?;
        let waits = task["lastStatus"] == "PENDING" && reason(&task)?.starts_with(&words);
        Ok(Seen::when(waits, || task.to_string()))
    })?;
    Ok(arn)
}

fn reason(task: &Value) -> Result<String> {
    Ok(container_of(task, "app")?["reason"]
        .as_str()
        .unwrap_or_default()
        .to_owned())
}

pub(super) fn a_start_waits_for_a_port_that_is_taken_and_says_so(bed: &OneHost) -> Result<()> {
    let taker = take(bed, 8481)?;
    let arn = wants(bed, 8481)?;
    bed.engine().remove(&taker)?;
    let task = bed.running(&arn)?;
    assert_eq!(reason(&task)?, "", "it waits no more: {task}");
    assert_eq!(
        container_of(&task, "app")?["networkBindings"][0]["hostPort"],
        8481,
        "{task}"
    );
    bed.stop(&arn)?;
    Ok(())
}

pub(super) fn a_task_that_waits_for_a_port_can_be_stopped(bed: &OneHost) -> Result<()> {
    let taker = take(bed, 8482)?;
    let arn = wants(bed, 8482)?;
    let task = bed.stop(&arn)?;
    assert_eq!(task["stoppedReason"], "Task stopped by user", "{task}");
    bed.engine().remove(&taker)?;
    Ok(())
}
