//! How tasks end: what stops them, what is reported of it, what never starts.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use berth_integration_tests::cluster::{SOON, container_of};
use berth_integration_tests::{Seen, wait_until};
use serde_json::json;

use super::{OneHost, shell, with};

pub(super) fn an_essential_containers_end_stops_the_others(bed: &OneHost) -> Result<()> {
    let containers = json!([shell("main", "sleep 1; exit 3"), shell("helper", "exec sleep 600")]);
    let (arn, task) = bed.ended("essential", containers)?;
    assert_eq!(task["stopCode"], "EssentialContainerExited", "{task}");
    assert_eq!(task["stoppedReason"], "Essential container in task exited", "{task}");
    assert_eq!(task["desiredStatus"], "STOPPED", "{task}");
    assert_eq!(container_of(&task, "main")?["exitCode"], 3, "{task}");
    ensure!(!bed.container(&arn, "helper")?.is_running(), "the helper runs on");
    Ok(())
}

pub(super) fn another_containers_end_does_not(bed: &OneHost) -> Result<()> {
    let brief = with(shell("brief", "exit 5"), &json!({"essential": false}));
    let (arn, _) = bed.running("inessential", json!([brief, shell("main", "exec sleep 600")]))?;
    wait_until("the brief container's end is reported", SOON, || {
        let task = bed.cluster.describe(std::slice::from_ref(&arn))?.remove(0);
        let brief = container_of(&task, "brief")?;
        Ok(Seen::when(
            brief["exitCode"] == 5 && brief["lastStatus"] == "STOPPED",
            || brief.to_string(),
        ))
    })?;
    let task = bed.cluster.wait_running(std::slice::from_ref(&arn))?.remove(0);
    assert_eq!(container_of(&task, "main")?["lastStatus"], "RUNNING");
    ensure!(bed.container(&arn, "main")?.is_running(), "the main container ended");
    let task = bed.stop(&arn)?;
    assert_eq!(container_of(&task, "brief")?["exitCode"], 5, "{task}");
    Ok(())
}

pub(super) fn exit_codes_are_reported_as_they_are(bed: &OneHost) -> Result<()> {
    for code in [0, 42, 255] {
        let container = shell("main", &format!("exit {code}"));
        let (_, task) = bed.ended("exitcode", json!([container]))?;
        assert_eq!(container_of(&task, "main")?["exitCode"], code, "{task}");
        assert_eq!(task["lastStatus"], "STOPPED");
    }
    Ok(())
}

pub(super) fn a_container_that_ignores_sigterm_is_killed_at_its_stop_timeout(bed: &OneHost) -> Result<()> {
    let stubborn = with(
        shell("stubborn", "trap '' TERM; echo ready; while :; do sleep 1; done"),
        &json!({"stopTimeout": 4}),
    );
    let (arn, _) = bed.running("stubborn", json!([stubborn]))?;
    let container = bed.container(&arn, "stubborn")?;
    bed.host().engine().wait_printed(container.id(), "ready")?;
    let start = Instant::now();
    let task = bed.stop(&arn)?;
    let took = start.elapsed();
    assert_eq!(container_of(&task, "stubborn")?["exitCode"], 137, "{task}");
    ensure!(
        took >= Duration::from_secs(4) && took < Duration::from_secs(30),
        "killed after {took:?}, with a stopTimeout of 4 s where 30 s are the default"
    );
    Ok(())
}

pub(super) fn a_reason_given_to_stop_task_is_reported(bed: &OneHost) -> Result<()> {
    let sleeper = json!([shell("main", "exec sleep 600")]);
    let (arn, _) = bed.running("reason", sleeper.clone())?;
    let input = json!({"cluster": bed.cluster.name(), "task": arn, "reason": "because I can"});
    let answer = bed.cluster.ecs().call("StopTask", &input)?;
    assert_eq!(answer["task"]["desiredStatus"], "STOPPED");
    let task = bed.stopped(&arn)?;
    assert_eq!(task["stoppedReason"], "because I can");
    assert_eq!(task["stopCode"], "UserInitiated");

    let (arn, _) = bed.running("reason", sleeper)?;
    assert_eq!(bed.stop(&arn)?["stoppedReason"], "Task stopped by user");
    Ok(())
}

pub(super) fn a_container_that_runs_out_of_memory_says_so(bed: &OneHost) -> Result<()> {
    // tail keeps the last line, which never ends.
    let greedy = with(shell("greedy", "exec tail /dev/zero"), &json!({"memory": 8}));
    let (_, task) = bed.ended("greedy", json!([greedy]))?;
    let greedy = container_of(&task, "greedy")?;
    assert_eq!(greedy["exitCode"], 137, "{task}");
    let reason = greedy["reason"].as_str().unwrap_or_default();
    ensure!(reason.starts_with("OutOfMemoryError"), "{task}");
    Ok(())
}

pub(super) fn an_image_that_cannot_be_had_fails_the_task(bed: &OneHost) -> Result<()> {
    let missing = with(shell("main", "exit 0"), &json!({"image": "no-such-image:9"}));
    let (arn, task) = bed.ended("noimage", json!([missing]))?;
    assert_eq!(task["stopCode"], "TaskFailedToStart", "{task}");
    let reason = container_of(&task, "main")?["reason"].as_str().unwrap_or_default();
    ensure!(reason.starts_with("CannotPullContainerError"), "{task}");
    ensure!(reason.contains("no-such-image"), "does not name the image: {reason}");
    let left = bed.host().engine().task_containers(&arn)?;
    ensure!(left.is_empty(), "{} containers", left.len());
    Ok(())
}

pub(super) fn a_command_that_does_not_exist_fails_the_task(bed: &OneHost) -> Result<()> {
    let missing = |init: bool| {
        json!([{
            "name": "main", "image": "busybox", "memory": 32,
            "entryPoint": ["/no/such/program"],
            "linuxParameters": {"initProcessEnabled": init},
        }])
    };
    // Docker itself is to start the program, and cannot.
    let (_, task) = bed.ended("noprogram", missing(false))?;
    assert_eq!(task["stopCode"], "TaskFailedToStart", "{task}");
    let reason = &container_of(&task, "main")?["reason"];
    let reason = reason.as_str().unwrap_or_default();
    ensure!(reason.starts_with("CannotStartContainerError"), "{task}");
    ensure!(
        reason.contains("/no/such/program"),
        "does not name the program: {reason}"
    );

    // The init process that Docker starts cannot; like a shell, it ends with 127.
    for containers in [missing(true), json!([shell("main", "no-such-command")])] {
        let (_, task) = bed.ended("nocommand", containers)?;
        assert_eq!(container_of(&task, "main")?["exitCode"], 127, "{task}");
        assert_eq!(task["stopCode"], "EssentialContainerExited", "{task}");
    }
    Ok(())
}
