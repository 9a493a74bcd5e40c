//! `dependsOn` and `startTimeout`.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use berth_integration_tests::cluster::container_of;
use berth_integration_tests::ecs::Fault;
use serde_json::{Value, json};

use super::{OneHost, moment, shell, with};

fn on(name: &str, condition: &str) -> Value {
    json!({"containerName": name, "condition": condition})
}

pub(super) fn every_condition_is_met_before_the_container_is_created(bed: &OneHost) -> Result<()> {
    let side = json!({"essential": false});
    let check = json!({"healthCheck": {"command": ["CMD-SHELL", "test -f /tmp/ready"], "interval": 5, "timeout": 2}});
    let containers = json!([
        with(
            shell("app", "exec sleep 600"),
            &json!({"dependsOn": [on("init", "SUCCESS"), on("job", "COMPLETE"), on("db", "HEALTHY"), on("cache", "START")]})
        ),
        with(shell("init", "sleep 1"), &side),
        with(shell("job", "sleep 1; exit 3"), &side),
        with(shell("db", "sleep 1; touch /tmp/ready; exec sleep 600"), &check),
        with(
            shell("cache", "exec sleep 600"),
            &json!({"dependsOn": [on("init", "START")]})
        ),
    ]);
    let arn = bed.run("conditions", &containers)?;
    let task = bed.running(&arn)?;
    assert_eq!(task["healthStatus"], "HEALTHY", "{task}");
    assert_eq!(container_of(&task, "init")?["exitCode"], 0, "{task}");
    assert_eq!(container_of(&task, "job")?["exitCode"], 3, "{task}");
    assert_eq!(container_of(&task, "db")?["healthStatus"], "HEALTHY", "{task}");
    assert_eq!(container_of(&task, "cache")?["healthStatus"], "UNKNOWN", "{task}");
    let created = moment(&bed.container(&arn, "app")?, "Created");
    for (name, what) in [
        ("init", "FinishedAt"),
        ("job", "FinishedAt"),
        ("cache", "StartedAt"),
        ("db", "StartedAt"),
    ] {
        let before = moment(&bed.container(&arn, name)?, what);
        ensure!(
            before <= created,
            "app was created at {created}, {name} {what} is {before}"
        );
    }
    let cache = moment(&bed.container(&arn, "cache")?, "Created");
    let init = moment(&bed.container(&arn, "init")?, "StartedAt");
    ensure!(init <= cache, "cache was created at {cache}, init started at {init}");
    bed.stop(&arn)?;
    Ok(())
}

pub(super) fn a_dependency_that_fails_fails_what_needs_its_success(bed: &OneHost) -> Result<()> {
    let containers = json!([
        with(
            shell("app", "exec sleep 600"),
            &json!({"dependsOn": [on("init", "SUCCESS")]})
        ),
        with(shell("init", "exit 9"), &json!({"essential": false})),
    ]);
    let arn = bed.run("unsuccessful", &containers)?;
    let task = bed.stopped(&arn)?;
    assert_eq!(task["stopCode"], "TaskFailedToStart", "{task}");
    let app = container_of(&task, "app")?;
    assert_eq!(app["exitCode"], 143, "{task}");
    let reason = app["reason"].as_str().unwrap_or_default();
    ensure!(reason.starts_with("TaskDependencyError: container 'init'"), "{reason}");
    ensure!(reason.contains("exit code 9") && reason.contains("SUCCESS"), "{reason}");
    assert_eq!(task["stoppedReason"], app["reason"]);
    assert_eq!(container_of(&task, "init")?["exitCode"], 9, "{task}");
    ensure!(
        bed.engine().task_containers(&arn)?.len() == 1,
        "what could never start was created"
    );
    Ok(())
}

pub(super) fn a_dependency_that_takes_too_long_fails_what_waits_for_it(bed: &OneHost) -> Result<()> {
    let containers = json!([
        with(
            shell("app", "exec sleep 600"),
            &json!({"dependsOn": [on("slow", "COMPLETE")]})
        ),
        with(
            shell("slow", "exec sleep 600"),
            &json!({"essential": false, "startTimeout": 5})
        ),
    ]);
    let begun = Instant::now();
    let arn = bed.run("impatient", &containers)?;
    let task = bed.stopped(&arn)?;
    let took = begun.elapsed();
    let reason = container_of(&task, "app")?["reason"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    ensure!(
        reason.starts_with("TaskDependencyError: ") && reason.contains("COMPLETE") && reason.contains("5 seconds"),
        "{task}"
    );
    ensure!(took >= Duration::from_secs(5), "after {took:?}");
    assert_eq!(task["stopCode"], "TaskFailedToStart", "{task}");
    ensure!(!bed.container(&arn, "slow")?.is_running(), "the dependency runs on");
    Ok(())
}

pub(super) fn an_order_that_goes_round_in_a_circle_is_refused(bed: &OneHost) -> Result<()> {
    let containers = json!([
        with(shell("a", "true"), &json!({"dependsOn": [on("b", "START")]})),
        with(shell("b", "true"), &json!({"links": ["c"]})),
        with(shell("c", "true"), &json!({"volumesFrom": [{"sourceContainer": "a"}]})),
    ]);
    let definition = json!({"family": "circle", "containerDefinitions": containers});
    let refused = bed.cluster.register(&definition);
    let fault = refused.err().and_then(|error| error.downcast::<Fault>().ok());
    let fault = fault.ok_or_else(|| anyhow::anyhow!("not refused"))?;
    assert_eq!((fault.status, fault.class.as_str()), (400, "ClientException"));
    ensure!(fault.message.contains("depends on itself"), "{fault}");
    Ok(())
}
