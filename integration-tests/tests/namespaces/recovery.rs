//! Pause containers and what they need, when somebody interferes.

use std::sync::PoisonError;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{Hosts, PAUSE, address, arn, definition, shell};

fn own_address(family: &str) -> Value {
    let containers = json!([shell("app", "exec sleep 600")]);
    definition(family, containers, &json!({"networkMode": "awsvpc"}))
}

pub(super) fn a_killed_agent_finds_the_task_at_its_address_and_makes_no_second_pause_container(
    bed: &Hosts,
) -> Result<()> {
    let mut agent = bed.victim.lock().unwrap_or_else(PoisonError::into_inner);
    let arns = bed.start_on("b", &own_address("killed"), 1)?;
    let before = bed.cluster.wait_running(&arns)?.remove(0);
    let engine = bed.host("b")?.engine();
    let containers = |when: &str| -> Result<Vec<String>> {
        let found = engine.task_containers(&arns[0])?;
        ensure!(
            found.len() == 2 && found.iter().all(|one| one.is_running()),
            "{when}: {found:#?}"
        );
        Ok(found.iter().map(|one| one.id().to_owned()).collect())
    };
    let first = containers("before")?;
    agent.daemon().kill()?;
    agent.daemon().start_again()?;
    // A second task shows that the new agent works; only then is it certain that it leaves the first alone.
    let more = bed.start_on("b", &own_address("after"), 1)?;
    let other = bed.cluster.wait_running(&more)?.remove(0);
    let after = bed.cluster.describe(&arns)?.remove(0);
    assert_eq!(after["lastStatus"], "RUNNING", "{after}");
    assert_eq!(address(&after, "app")?, address(&before, "app")?);
    ensure!(
        address(&other, "app")? != address(&before, "app")?,
        "two tasks have one address"
    );
    assert_eq!(containers("after")?, first);
    bed.stop(&[before, other]).map(drop)
}

pub(super) fn the_end_of_the_pause_container_ends_the_task(bed: &Hosts) -> Result<()> {
    let tasks = bed.running(&own_address("unpaused"), 1)?;
    let pause = bed.container(&tasks[0], PAUSE)?;
    bed.host("a")?.engine().signal(pause.id(), "SIGKILL")?;
    let ended = bed.cluster.wait_stopped(&[arn(&tasks[0])?])?.remove(0);
    let reason = ended["stoppedReason"].as_str().unwrap_or_default();
    ensure!(reason.contains("pause container") && reason.contains("137"), "{reason}");
    assert_eq!(ended["stopCode"], "EssentialContainerExited");
    Ok(())
}

pub(super) fn a_pruned_pause_image_and_network_are_made_again(bed: &Hosts) -> Result<()> {
    let _alone = bed.victim.lock().unwrap_or_else(PoisonError::into_inner);
    let engine = bed.host("b")?.engine();
    let run = || -> Result<()> {
        let arns = bed.start_on("b", &own_address("pruned"), 1)?;
        let task = bed.cluster.wait_running(&arns)?.remove(0);
        address(&task, "app")?;
        bed.stop(&[task]).map(drop)
    };
    run()?;
    for container in engine.containers("")? {
        engine.remove(container.id())?;
    }
    engine.remove_image("berth/pause:1")?;
    engine.remove_network("berth")?;
    run()
}
