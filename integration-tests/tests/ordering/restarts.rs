//! `restartPolicy`, by ECS's rule. Its shortest period is a minute, and so these are the longest tests of their suite.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use berth_integration_tests::cluster::{SOON, container_of};
use berth_integration_tests::{Seen, wait_until};
use serde_json::{Value, json};

use super::{OneHost, sharing, shell, with};

const PERIOD: Duration = Duration::from_secs(60);

/// Ends with the exit code that stands in `/shared/exit`, once, as soon as there is one.
const ENDS_WHEN_TOLD: &str =
    "until [ -f /shared/exit ]; do sleep 0.2; done; code=$(cat /shared/exit); rm /shared/exit; exit $code";

/// Leaves in `/shared` what each run is told of its container.
const ASKS: &str = r#"(until wget -qO /shared/asking "$ECS_CONTAINER_METADATA_URI_V4"; do sleep 0.5; done
mv /shared/asking /shared/told) &
"#;

fn task(bed: &OneHost, name: &str) -> Result<(std::path::PathBuf, String)> {
    let directory = bed.directory(name)?;
    let policy = json!({"restartPolicy": {"enabled": true, "ignoredExitCodes": [7], "restartAttemptPeriod": 60}});
    let containers = json!([with(shell("app", &format!("{ASKS}{ENDS_WHEN_TOLD}")), &policy)]);
    let arn = bed.cluster.run_one(&sharing(name, &directory, containers))?;
    bed.running(&arn)?;
    Ok((directory, arn))
}

fn end(directory: &Path, code: i32) -> Result<()> {
    let beside = directory.join("next");
    fs::write(&beside, code.to_string())?;
    fs::rename(beside, directory.join("exit"))?;
    Ok(())
}

/// Waits until the container was told that it has been started again so often.
fn is_told(directory: &Path, restarts: u32) -> Result<()> {
    wait_until("the container is told how often it was started again", SOON, || {
        let told = fs::read_to_string(directory.join("told")).unwrap_or_default();
        let count = serde_json::from_str::<Value>(&told).map(|told| told["RestartCount"] == json!(restarts));
        Ok(Seen::when(count.unwrap_or(false), || told))
    })
}

/// Waits until what ran at `begun` has run for as long as a restart asks for.
fn wait_period(begun: Instant) -> Result<()> {
    wait_until("the containers have run for the period", PERIOD + SOON, || {
        let ran = begun.elapsed();
        Ok(Seen::when(ran > PERIOD, || format!("{ran:?}")))
    })
}

/// Whether the stop comes before the restart, in the middle of it or after it: nothing runs in the end.
pub(super) fn a_task_that_is_stopped_while_its_container_restarts_stays_stopped(bed: &OneHost) -> Result<()> {
    let tasks = ["restart-stop-1", "restart-stop-2", "restart-stop-3"]
        .iter()
        .map(|name| task(bed, name))
        .collect::<Result<Vec<_>>>()?;
    wait_period(Instant::now())?;
    for (directory, arn) in &tasks {
        let before = bed.container(arn, "app")?;
        end(directory, 3)?;
        wait_until("the run has ended", SOON, || {
            let now = bed.container(arn, "app")?;
            let ended = !now.is_running() || now.started_at() != before.started_at();
            Ok(Seen::when(ended, || now.inspect["State"].to_string()))
        })?;
        let stopped = bed.stop(arn)?;
        assert_eq!(stopped["stopCode"], "UserInitiated", "{stopped}");
        ensure!(!bed.container(arn, "app")?.is_running(), "it runs on: {stopped}");
        assert_eq!(bed.engine().task_containers(arn)?.len(), 1, "{stopped}");
    }
    Ok(())
}

fn stops_with(bed: &OneHost, arn: &str, code: i32) -> Result<Value> {
    let task = bed.stopped(arn)?;
    assert_eq!(task["stopCode"], "EssentialContainerExited", "{task}");
    assert_eq!(container_of(&task, "app")?["exitCode"], code, "{task}");
    Ok(task)
}

pub(super) fn a_container_is_started_again_in_its_place_and_its_task_runs_on(bed: &OneHost) -> Result<()> {
    let (ignored, ignored_arn) = task(bed, "restart-ignored")?;
    let (brief, brief_arn) = task(bed, "restart-brief")?;
    let (again, arn) = task(bed, "restart")?;
    let begun = Instant::now();
    let first = bed.container(&arn, "app")?;
    is_told(&again, 0)?;

    // It has not run for the period.
    end(&brief, 3)?;
    stops_with(bed, &brief_arn, 3)?;

    wait_period(begun)?;
    end(&ignored, 7)?;
    end(&again, 3)?;
    let second = wait_until("the container runs again", SOON, || {
        let container = bed.container(&arn, "app")?;
        Ok(
            if container.is_running() && container.started_at() != first.started_at() {
                Seen::Done(container)
            } else {
                Seen::NotYet(container.started_at().to_owned())
            },
        )
    })?;
    assert_eq!(second.id(), first.id(), "another container");
    is_told(&again, 1)?;
    let task = bed.describe(&arn)?;
    assert_eq!(task["lastStatus"], "RUNNING", "{task}");
    assert_eq!(container_of(&task, "app")?["lastStatus"], "RUNNING", "{task}");
    stops_with(bed, &ignored_arn, 7)?;

    // Its second run has not lasted for the period.
    end(&again, 4)?;
    let task = stops_with(bed, &arn, 4)?;
    ensure!(task["startedAt"].is_number(), "{task}");
    Ok(())
}
