//! Somebody else has a hand on the containers.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use berth_integration_tests::agent::Settings;
use berth_integration_tests::cluster::{SOON, container_of};
use berth_integration_tests::{Seen, wait_until};
use serde_json::Value;

use super::Bed;
use super::alone::{Alone, exit_code, task};

/// The longest that interference may go unnoticed.
const NOTICED: Duration = Duration::from_secs(30);

/// An agent that has not asked Docker about a run yet takes one that began within a second of its own start for it.
const TOLD_APART: Duration = Duration::from_millis(1500);

/// A cluster with a running task.
fn running<'b>(bed: &'b Bed, name: &str) -> Result<(Alone<'b>, String)> {
    let directory = bed.bed.data_dir("interference").join(name);
    fs::create_dir_all(&directory)?;
    let alone = Alone::start(bed, "a", name, &Settings::default())?;
    let arn = alone.run(&task(name, &directory))?;
    alone.wait(&arn, "RUNNING")?;
    Alone::wait_begun(&directory, 1)?;
    Ok((alone, arn))
}

fn reason(task: &Value) -> Result<String> {
    Ok(container_of(task, "main")?["reason"]
        .as_str()
        .unwrap_or_default()
        .to_owned())
}

pub(super) fn a_container_that_somebody_removes_is_told_as_vanished(bed: &Bed) -> Result<()> {
    let (alone, arn) = running(bed, "removed")?;
    alone.engine()?.remove(alone.container(&arn)?.id())?;
    let begun = Instant::now();
    let task = alone.wait(&arn, "STOPPED")?;
    ensure!(begun.elapsed() < NOTICED, "after {:?}", begun.elapsed());
    assert_eq!(task["stopCode"], "EssentialContainerExited", "{task}");
    // Where the look comes between the end and the removal, the exit code is known.
    let reason = reason(&task)?;
    let code = container_of(&task, "main")?["exitCode"].as_i64();
    ensure!(
        reason.starts_with("ContainerVanishedError: ") || code == Some(137),
        "{task}"
    );
    Ok(())
}

pub(super) fn a_container_that_somebody_stops_ends_its_task(bed: &Bed) -> Result<()> {
    let (alone, arn) = running(bed, "stopped")?;
    alone.engine()?.act(alone.container(&arn)?.id(), "stop")?;
    let begun = Instant::now();
    let task = alone.wait(&arn, "STOPPED")?;
    ensure!(begun.elapsed() < NOTICED, "after {:?}", begun.elapsed());
    assert_eq!(task["stopCode"], "EssentialContainerExited", "{task}");
    assert_eq!(exit_code(&task)?, 7, "{task}");
    Ok(())
}

pub(super) fn a_container_that_somebody_restarts_ends_its_task_and_runs_no_more(bed: &Bed) -> Result<()> {
    let (alone, arn) = running(bed, "restarted")?;
    alone.engine()?.act(alone.container(&arn)?.id(), "restart")?;
    let begun = Instant::now();
    let task = alone.wait(&arn, "STOPPED")?;
    ensure!(begun.elapsed() < NOTICED, "after {:?}", begun.elapsed());
    assert_eq!(task["stopCode"], "EssentialContainerExited", "{task}");
    wait_until("the container runs no more", NOTICED, || {
        let container = alone.container(&arn)?;
        Ok(Seen::when(!container.is_running(), || {
            container.started_at().to_owned()
        }))
    })
}

pub(super) fn a_container_restarted_while_the_agent_is_away_is_ended_in_good_order(bed: &Bed) -> Result<()> {
    let (mut alone, arn) = running(bed, "restarted-away")?;
    let began = Instant::now();
    alone.agent.daemon().kill()?;
    wait_until("another run is told from this one by when it began", SOON, || {
        let age = began.elapsed();
        Ok(Seen::when(age > TOLD_APART, || format!("{age:?}")))
    })?;
    alone.engine()?.act(alone.container(&arn)?.id(), "restart")?;
    alone.start_again(&Settings::default())?;
    let task = alone.wait(&arn, "STOPPED")?;
    assert_eq!(task["stopCode"], "EssentialContainerExited", "{task}");
    ensure!(reason(&task)?.starts_with("DockerStateError: "), "{task}");
    ensure!([7, 143].contains(&exit_code(&task)?), "{task}");
    ensure!(!alone.container(&arn)?.is_running(), "it runs on");
    Ok(())
}

pub(super) fn a_container_that_somebody_pauses_is_told_and_can_be_stopped(bed: &Bed) -> Result<()> {
    let (alone, arn) = running(bed, "paused")?;
    let id = alone.container(&arn)?.id().to_owned();
    alone.engine()?.act(&id, "pause")?;
    let told = |wanted: bool| {
        wait_until("whether it is paused is told", NOTICED, || {
            let task = alone.describe(&arn)?;
            let right = task["lastStatus"] == "RUNNING" && reason(&task)?.starts_with("is paused") == wanted;
            Ok(Seen::when(right, || task.to_string()))
        })
    };
    told(true)?;
    alone.engine()?.act(&id, "unpause")?;
    told(false)?;
    alone.engine()?.act(&id, "pause")?;
    told(true)?;
    let code = alone.stop(&arn)?;
    ensure!([7, 137].contains(&code), "exit code {code}");
    Ok(())
}
