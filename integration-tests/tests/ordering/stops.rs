//! How tasks of several containers stop.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use berth_integration_tests::cluster::container_of;
use serde_json::json;

use super::{OneHost, moment, shell, with};

/// Takes a second to end when it is told to.
const TAKES_A_SECOND: &str = "trap 'sleep 1; exit 5' TERM; echo ready; while :; do sleep 60 & wait; done";
const DEAF: &str = "trap '' TERM; echo ready; while :; do sleep 1; done";

fn all_ready(bed: &OneHost, arn: &str, names: &[&str]) -> Result<()> {
    names
        .iter()
        .try_for_each(|name| bed.engine().wait_printed(bed.container(arn, name)?.id(), "ready"))
}

pub(super) fn containers_stop_against_the_order_of_starts(bed: &OneHost) -> Result<()> {
    let time = json!({"stopTimeout": 10});
    let after = |name: &str, first: &str| {
        with(
            with(shell(name, TAKES_A_SECOND), &time),
            &json!({"dependsOn": [{"containerName": first, "condition": "START"}]}),
        )
    };
    let containers = json!([
        after("front", "app"),
        after("app", "db"),
        with(shell("db", TAKES_A_SECOND), &time)
    ]);
    let arn = bed.run("reverse", &containers)?;
    bed.running(&arn)?;
    all_ready(bed, &arn, &["front", "app", "db"])?;
    let task = bed.stop(&arn)?;
    let ends: Result<Vec<String>> = ["front", "app", "db"]
        .iter()
        .map(|name| Ok(moment(&bed.container(&arn, name)?, "FinishedAt")))
        .collect();
    let ends = ends?;
    ensure!(ends.is_sorted(), "front, app and db ended at {ends:?}");
    for name in ["front", "app", "db"] {
        assert_eq!(container_of(&task, name)?["exitCode"], 5, "{task}");
    }
    Ok(())
}

pub(super) fn each_container_has_its_own_time_to_stop(bed: &OneHost) -> Result<()> {
    let containers = json!([
        with(shell("brief", DEAF), &json!({"stopTimeout": 2})),
        with(shell("long", TAKES_A_SECOND), &json!({"stopTimeout": 120})),
    ]);
    let arn = bed.run("granular", &containers)?;
    bed.running(&arn)?;
    all_ready(bed, &arn, &["brief", "long"])?;
    let begun = Instant::now();
    let task = bed.stop(&arn)?;
    let took = begun.elapsed();
    assert_eq!(container_of(&task, "brief")?["exitCode"], 137, "killed: {task}");
    assert_eq!(container_of(&task, "long")?["exitCode"], 5, "ended by itself: {task}");
    // Far from the other's time, on a machine that does much else too.
    ensure!(
        took >= Duration::from_secs(2) && took < Duration::from_secs(90),
        "{took:?}"
    );
    Ok(())
}

pub(super) fn a_process_that_heeds_no_signal_ends_at_once_under_an_init(bed: &OneHost) -> Result<()> {
    // As the first process of its container `sleep` would not even notice SIGTERM, and be killed in the end: 137.
    let container = with(
        shell("main", "echo ready; exec sleep 600"),
        &json!({"stopTimeout": 120}),
    );
    let arn = bed.run("init", &json!([container]))?;
    bed.running(&arn)?;
    all_ready(bed, &arn, &["main"])?;
    let task = bed.stop(&arn)?;
    assert_eq!(container_of(&task, "main")?["exitCode"], 143, "{task}");
    Ok(())
}
