//! A Docker that hangs.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use berth_integration_tests::agent::Settings;
use berth_integration_tests::{Seen, wait_until};

use super::Bed;
use super::alone::{Alone, starts, task};

/// How soon it is told that Docker hangs, while it still does.
const TOLD: Duration = Duration::from_secs(45);
const FROZEN: Duration = Duration::from_secs(60);

pub(super) fn a_docker_that_hangs_is_told_costs_no_heartbeat_and_no_task(bed: &Bed) -> Result<()> {
    let directory = bed.bed.data_dir("hang");
    fs::create_dir_all(&directory)?;
    let alone = Alone::start(bed, "b", "hang", &Settings::default())?;
    let stays = alone.run(&task("stays", &directory))?;
    let goes = alone.run(&task("goes", &directory))?;
    for arn in [&stays, &goes] {
        alone.wait(arn, "RUNNING")?;
    }
    Alone::wait_begun(&directory, 2)?;
    health_becomes(&alone, "OK")?;
    let begun = Instant::now();
    alone.engine()?.daemon().freeze()?;
    let result = while_frozen(&alone, &goes, begun);
    alone.engine()?.daemon().resume()?;
    result?;
    health_becomes(&alone, "OK")?;
    alone.wait(&goes, "STOPPED")?;
    let task = alone.wait(&stays, "RUNNING")?;
    ensure!(alone.container(&stays)?.is_running(), "{task}");
    alone.stop(&stays)?;
    ensure!(starts(&directory) == 2, "started {} times", starts(&directory));
    Ok(())
}

fn while_frozen(alone: &Alone<'_>, goes: &str, begun: Instant) -> Result<()> {
    alone.order_stop(goes)?;
    health_becomes(alone, "IMPAIRED")?;
    wait_until("it was frozen for long enough", FROZEN + TOLD, || {
        let instance = alone.instance()?;
        if instance["agentConnected"] != true {
            return Ok(Seen::Done(Err(anyhow::anyhow!("disconnected: {instance}"))));
        }
        Ok(if begun.elapsed() < FROZEN {
            Seen::NotYet(format!("{:?}", begun.elapsed()))
        } else {
            Seen::Done(Ok(()))
        })
    })?
}

fn health_becomes(alone: &Alone<'_>, status: &str) -> Result<()> {
    wait_until(&format!("the instance is {status}"), TOLD, || {
        let instance = alone.instance()?;
        let health = &instance["healthStatus"];
        let details = health["details"].as_array().cloned().unwrap_or_default();
        let runtime = details.iter().find(|detail| detail["type"] == "CONTAINER_RUNTIME");
        let is = runtime.is_some_and(|detail| detail["status"] == status);
        Ok(Seen::when(is, || health.to_string()))
    })
}
