//! Two agents of one host, each with a task that wants the same port of it.

use anyhow::{Result, ensure};
use berth_integration_tests::agent::Settings;
use berth_integration_tests::cluster::{SOON, container_of};
use berth_integration_tests::definition::{definition, shell, with};
use berth_integration_tests::{Seen, wait_until};
use serde_json::json;

use super::Bed;
use super::alone::Alone;

const PORT: u16 = 8600;

pub(super) fn the_second_of_two_tasks_on_one_static_port_waits_for_it_and_says_so_until_the_first_has_gone(
    bed: &Bed,
) -> Result<()> {
    let mappings = json!({"portMappings": [{"containerPort": 80, "hostPort": PORT}]});
    let main = with(shell("main", "exec sleep 600"), &mappings);
    let definition = definition("one-port", json!([main]));
    let first = Alone::start(bed, "a", "port-first", &Settings::default())?;
    let holds = first.run(&definition)?;
    first.wait(&holds, "RUNNING")?;

    // One scheduler places no two tasks on a port: the second is another cluster's.
    let second = Alone::start(bed, "a", "port-second", &Settings::default())?;
    let waits = second.run(&definition)?;
    let words = format!("waits for host port {PORT}/tcp: ");
    wait_until("the second task says what it waits for", SOON, || {
        let task = second.describe(&waits)?;
        let reason = container_of(&task, "main")?["reason"].as_str().unwrap_or_default();
        Ok(Seen::when(
            task["lastStatus"] == "PENDING" && reason.starts_with(&words),
            || task.to_string(),
        ))
    })?;
    ensure!(
        first.container(&holds)?.is_running(),
        "the first task has lost its port"
    );

    first.stop(&holds)?;
    let task = second.wait(&waits, "RUNNING")?;
    let main = container_of(&task, "main")?;
    assert_eq!(main["networkBindings"][0]["hostPort"], PORT, "{task}");
    assert_eq!(main["reason"].as_str().unwrap_or_default(), "", "{task}");
    second.stop(&waits).map(drop)
}
