//! The agent's files, lost and damaged.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use berth_integration_tests::agent::Settings;
use berth_integration_tests::cluster::{SOON, container_of};
use berth_integration_tests::command::run;
use berth_integration_tests::{Seen, wait_until};

use super::Bed;
use super::alone::{Alone, starts, task};

pub(super) fn records_that_are_lost_cut_or_flipped_are_made_again_from_labels(bed: &Bed) -> Result<()> {
    let directory = bed.bed.data_dir("records");
    fs::create_dir_all(&directory)?;
    let mut alone = Alone::start(bed, "a", "records", &Settings::default())?;
    let mut tasks = Vec::new();
    for family in ["lost", "cut", "flipped", "untouched"] {
        let arn = alone.run(&task(family, &directory))?;
        alone.wait(&arn, "RUNNING")?;
        let id = alone.container(&arn)?.id().to_owned();
        tasks.push((family, arn, id));
    }
    Alone::wait_begun(&directory, tasks.len())?;
    alone.agent.daemon().kill()?;
    for (family, arn, _) in &tasks {
        let id = arn.rsplit('/').next().context("an ARN without an id")?;
        let record = alone.records().join(format!("{id}.json"));
        let mut content = fs::read(&record)?;
        match *family {
            "lost" => fs::remove_file(&record)?,
            "cut" => fs::write(&record, &content[..content.len() / 2])?,
            "flipped" => {
                // In the middle of a text: the file is still JSON.
                let place = content
                    .windows(7)
                    .position(|bytes| bytes == b"busybox")
                    .context("no image")?;
                content[place] ^= 1;
                fs::write(&record, &content)?;
            }
            _ => {}
        }
    }
    alone.start_again(&Settings::default())?;
    wait_until("both damaged records are set aside", SOON, || {
        let names = fs::read_dir(alone.records())?.flatten().map(|entry| entry.file_name());
        let aside = names
            .filter(|name| name.to_string_lossy().ends_with(".corrupt"))
            .count();
        Ok(Seen::when(aside == 2, || aside.to_string()))
    })?;
    for (family, arn, id) in &tasks {
        let task = alone.describe(arn)?;
        assert_eq!(task["lastStatus"], "RUNNING", "{family}: {task}");
        let container = alone.container(arn)?;
        ensure!(
            container.id() == id && container.is_running(),
            "{family}: another container"
        );
        ensure!(
            alone.engine()?.task_containers(arn)?.len() == 1,
            "{family}: more than one"
        );
        let code = alone.stop(arn)?;
        ensure!(code == 7, "{family}: exit code {code}");
    }
    Ok(())
}

pub(super) fn a_task_whose_record_and_containers_are_gone_is_reported_lost(bed: &Bed) -> Result<()> {
    let directory = bed.bed.data_dir("all-lost");
    fs::create_dir_all(&directory)?;
    let mut alone = Alone::start(bed, "a", "all-lost", &Settings::default())?;
    let arn = alone.run(&task("all-lost", &directory))?;
    alone.wait(&arn, "RUNNING")?;
    Alone::wait_begun(&directory, 1)?;
    alone.agent.daemon().kill()?;
    fs::remove_dir_all(alone.records())?;
    alone.engine()?.remove(alone.container(&arn)?.id())?;
    alone.start_again(&Settings::default())?;
    let task = alone.wait(&arn, "STOPPED")?;
    let reason = container_of(&task, "main")?["reason"].as_str().unwrap_or_default();
    ensure!(reason.starts_with("ContainerVanishedError: "), "{task}");
    ensure!(starts(&directory) == 1, "it was started again");
    wait_until("no container is left", SOON, || {
        let left = alone.engine()?.task_containers(&arn)?.len();
        Ok(Seen::when(left == 0, || left.to_string()))
    })
}

/// How long the records cannot be written.
const READ_ONLY: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_secs(60);

/// A directory that cannot be written, not even by root, as long as this lives.
struct ReadOnly(PathBuf);

impl ReadOnly {
    fn make(directory: PathBuf) -> Result<Self> {
        run(
            Command::new("mount").arg("--bind").arg(&directory).arg(&directory),
            DEADLINE,
        )?;
        let bound = Self(directory);
        let mut remount = Command::new("mount");
        remount.args(["-o", "remount,bind,ro"]).arg(&bound.0);
        run(&mut remount, DEADLINE)?;
        Ok(bound)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        // What stays mounted goes with the bed.
        run(Command::new("umount").arg(&self.0), DEADLINE).ok();
    }
}

pub(super) fn an_agent_that_cannot_write_its_records_takes_no_step_until_it_can(bed: &Bed) -> Result<()> {
    let directory = bed.bed.data_dir("read-only");
    fs::create_dir_all(&directory)?;
    let alone = Alone::start(bed, "a", "read-only", &Settings::default())?;
    let runs = alone.run(&task("runs", &directory))?;
    alone.wait(&runs, "RUNNING")?;
    let before = alone.container(&runs)?.id().to_owned();

    let read_only = ReadOnly::make(alone.records())?;
    let waits = alone.run(&task("waits", &directory))?;
    let begun = Instant::now();
    wait_until("nothing is started for a while", DEADLINE, || {
        let task = alone.describe(&waits)?;
        ensure!(task["lastStatus"] == "PENDING", "{task}");
        ensure!(alone.engine()?.task_containers(&waits)?.is_empty(), "started: {task}");
        let instance = alone.instance()?;
        ensure!(instance["agentConnected"] == true, "{instance}");
        Ok(Seen::when(begun.elapsed() >= READ_ONLY, || {
            format!("{:?}", begun.elapsed())
        }))
    })?;
    drop(read_only);

    alone.wait(&waits, "RUNNING")?;
    Alone::wait_begun(&directory, 2)?;
    ensure!(alone.container(&runs)?.id() == before, "another container");
    for arn in [&runs, &waits] {
        let code = alone.stop(arn)?;
        ensure!(code == 7, "exit code {code}");
    }
    Ok(())
}
