//! `healthCheck`: what it finds is told of the container and of its task.

use std::fs;

use anyhow::Result;
use berth_integration_tests::cluster::{SOON, container_of};
use berth_integration_tests::{Seen, wait_until};
use serde_json::json;

use super::{OneHost, sharing, shell, with};

pub(super) fn a_check_that_passes_fails_and_passes_again_is_reported(bed: &OneHost) -> Result<()> {
    let directory = bed.directory("health")?;
    let ready = directory.join("ready");
    // A check that fails in the start period says nothing; one that passes ends it.
    let check = json!({"healthCheck": {
        "command": ["CMD-SHELL", "test -f /shared/ready"], "interval": 5, "timeout": 5, "retries": 1, "startPeriod": 300,
    }});
    let containers = json!([
        with(shell("app", "exec sleep 600"), &check),
        shell("unchecked", "exec sleep 600"),
    ]);
    let arn = bed.cluster.run_one(&sharing("health", &directory, containers))?;
    let task = bed.running(&arn)?;
    assert_eq!(
        task["healthStatus"], "UNKNOWN",
        "before a check has said anything: {task}"
    );
    let becomes = |status: &str| {
        wait_until(&format!("the task is {status}"), SOON, || {
            let task = bed.describe(&arn)?;
            let both = task["healthStatus"] == status && container_of(&task, "app")?["healthStatus"] == status;
            Ok(Seen::when(both, || task["healthStatus"].to_string()))
        })
    };
    fs::write(&ready, "")?;
    becomes("HEALTHY")?;
    fs::remove_file(&ready)?;
    becomes("UNHEALTHY")?;
    fs::write(&ready, "")?;
    becomes("HEALTHY")?;
    let task = bed.describe(&arn)?;
    assert_eq!(task["lastStatus"], "RUNNING", "a check alone stops nothing: {task}");
    assert_eq!(container_of(&task, "unchecked")?["healthStatus"], "UNKNOWN", "{task}");
    bed.stop(&arn)?;
    Ok(())
}
