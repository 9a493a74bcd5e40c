//! Volumes that Docker makes: for one task, and for many.

use anyhow::{Context, Result, ensure};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::{Seen, wait_until};
use serde_json::{Value, json};

use super::{OneHost, definition, shell, with};

/// A task of one container with the volume at `/data`.
fn mounting(family: &str, script: &str, volume: &Value) -> Value {
    let main = with(
        shell("main", script),
        &json!({"mountPoints": [{"sourceVolume": volume["name"], "containerPath": "/data"}]}),
    );
    let mut definition = definition(family, json!([main]));
    definition["volumes"] = json!([volume]);
    definition
}

pub(super) fn a_docker_volume_of_the_task_goes_with_it_and_a_shared_one_stays(bed: &OneHost) -> Result<()> {
    let own = json!({"name": "fast", "dockerVolumeConfiguration": {
        "scope": "task",
        "driver": "local",
        "driverOpts": {"type": "tmpfs", "device": "tmpfs", "o": "size=2m"},
        "labels": {"team": "a"},
    }});
    let shared = json!({"name": "common", "dockerVolumeConfiguration": {"scope": "shared", "autoprovision": true}});
    let run = |family: &str, script: &str, volume: &Value| -> Result<(String, String)> {
        let arn = bed.cluster.run_one(&mounting(family, script, volume))?;
        bed.stopped(&arn)?;
        let printed = bed.printed(&arn, "main")?;
        Ok((arn, printed))
    };
    let look = "awk '$2 == \"/data\" { print $3 \",\" $4 }' /proc/mounts; echo kept > /data/file";
    let (arn, printed) = run("fastvolume", look, &own)?;
    let options: Vec<&str> = printed.trim().split(',').collect();
    ensure!(
        options.contains(&"tmpfs") && options.contains(&"size=2048k"),
        "{printed}"
    );
    let id = arn.rsplit('/').next().context("a task id")?;
    let volumes = || bed.host().engine().volumes();
    let of_task = |all: &[String]| all.iter().find(|name| name.contains(id)).cloned();
    let name = of_task(&volumes()?).context("the task has no volume")?;
    ensure!(name.starts_with("ecs-fastvolume-1-fast-"), "{name}");

    run("common", "echo first > /data/file", &shared)?;
    let (last, printed) = run("common", "cat /data/file", &shared)?;
    assert_eq!(printed, "first\n");
    wait_until("the tasks are removed", SOON, || {
        let containers = bed.host().engine().task_containers(&last)?;
        let volume = of_task(&volumes()?);
        Ok(Seen::when(containers.is_empty() && volume.is_none(), || {
            format!("{volume:?}")
        }))
    })?;
    let left = volumes()?;
    ensure!(left.contains(&"common".to_owned()), "{left:?}");
    Ok(())
}

pub(super) fn a_shared_volume_that_does_not_exist_fails_the_task_by_name(bed: &OneHost) -> Result<()> {
    let volume = json!({"name": "nowhere", "dockerVolumeConfiguration": {"scope": "shared"}});
    let arn = bed.cluster.run_one(&mounting("nowhere", "exit 0", &volume))?;
    let task = bed.stopped(&arn)?;
    assert_eq!(task["stopCode"], "TaskFailedToStart", "{task}");
    let reason = task["stoppedReason"].as_str().unwrap_or_default();
    ensure!(
        reason.starts_with("ResourceInitializationError: volume 'nowhere': it is shared, does not exist"),
        "{task}"
    );
    Ok(())
}
