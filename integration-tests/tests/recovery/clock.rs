//! A host whose clock is set while its agent runs: libfaketime gives the agent's process a clock of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use berth_integration_tests::agent::Settings;
use serde_json::Value;

use super::Bed;
use super::alone::{Alone, exit_code, starts, task};

/// How far each step takes the clock from the true time, in seconds.
const STEPS: [i64; 3] = [3600, -3600, 0];

pub(super) fn a_clock_that_is_set_forth_and_back_ends_no_task_and_holds_none_up(bed: &Bed) -> Result<()> {
    let directory = bed.bed.data_dir("clock");
    fs::create_dir_all(&directory)?;
    let clock = directory.join("clock");
    set(&clock, 0)?;
    let mut settings = Settings::default();
    let environment = [
        ("LD_PRELOAD", faketime()?),
        ("FAKETIME_TIMESTAMP_FILE", clock.clone()),
        ("FAKETIME_NO_CACHE", "1".into()),
        // A step moves the time of day; how long something takes stays as it is.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.display().to_string()));
    settings.environment.extend(environment);

    let alone = Alone::start(bed, "a", "clock", &settings)?;
    let stays = alone.run(&task("clock-stays", &directory))?;
    alone.wait(&stays, "RUNNING")?;
    Alone::wait_begun(&directory, 1)?;
    for (at, step) in STEPS.into_iter().enumerate() {
        set(&clock, step)?;
        let goes = alone.run(&task("clock-goes", &directory))?;
        let running = alone.wait(&goes, "RUNNING")?;
        ensure!(is_of_the_clock(&running, step)?, "by another clock: {running}");
        Alone::wait_begun(&directory, at + 2)?;
        // The clock goes back while the agent waits for the end, by which it knows how long that may take.
        alone.order_stop(&goes)?;
        set(&clock, step - 3600)?;
        let ended = alone.wait(&goes, "STOPPED")?;
        ensure!(exit_code(&ended)? == 7, "{ended}");
    }
    let task = alone.describe(&stays)?;
    assert_eq!(task["lastStatus"], "RUNNING", "{task}");
    ensure!(alone.container(&stays)?.is_running(), "{task}");
    ensure!(alone.stop(&stays)? == 7, "it ended in another way");
    ensure!(
        starts(&directory) == STEPS.len() + 1,
        "started {} times",
        starts(&directory)
    );
    Ok(())
}

/// Sets the agent's clock to so many seconds after the true time.
fn set(clock: &Path, seconds: i64) -> Result<()> {
    let beside = clock.with_extension("next");
    fs::write(&beside, format!("{seconds:+}\n"))?;
    Ok(fs::rename(beside, clock)?)
}

/// Whether the times that the agent tells are those of a clock so many seconds off.
fn is_of_the_clock(task: &Value, seconds: i64) -> Result<bool> {
    let told = task["pullStartedAt"]
        .as_f64()
        .with_context(|| format!("no time: {task}"))?;
    let here = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "an hour's seconds")]
    let off = told - here - seconds as f64;
    Ok(off.abs() < 600.0)
}

fn faketime() -> Result<PathBuf> {
    let libraries = fs::read_dir("/usr/lib")?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut found = libraries.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    let found = found.find(|library| library.exists());
    found.context("no libfaketime: `make test` installs the package faketime")
}
