//! What containers share: directories of the host, volumes of the task, links.

use anyhow::{Context, Result, ensure};
use berth_integration_tests::cluster::{SOON, container_of};
use berth_integration_tests::{Seen, wait_until};
use serde_json::json;

use super::{OneHost, definition, shell, with};

pub(super) fn a_host_volume_shows_the_hosts_directory(bed: &OneHost) -> Result<()> {
    let dir = bed.bed.data_dir("volume");
    std::fs::create_dir_all(&dir).context("make a directory on the host")?;
    std::fs::write(dir.join("from-host"), "hello").context("write to it")?;
    let reader = with(
        shell("reader", "cat /mnt/from-host; echo back > /mnt/from-task"),
        &json!({"mountPoints": [{"sourceVolume": "shared", "containerPath": "/mnt"}]}),
    );
    let prisoner = with(
        shell("prisoner", "touch /mnt/forbidden || exit 7"),
        &json!({
            "essential": false,
            "mountPoints": [{"sourceVolume": "shared", "containerPath": "/mnt", "readOnly": true}],
        }),
    );
    let mut definition = definition("hostvolume", json!([reader]));
    definition["volumes"] = json!([{"name": "shared", "host": {"sourcePath": dir}}]);
    let arn = bed.cluster.run_one(&definition)?;
    bed.stopped(&arn)?;
    assert_eq!(bed.printed(&arn, "reader")?, "hello");
    let back = std::fs::read_to_string(dir.join("from-task")).context("read what it wrote")?;
    assert_eq!(back, "back\n");

    definition["containerDefinitions"] = json!([with(prisoner, &json!({"essential": true}))]);
    let arn = bed.cluster.run_one(&definition)?;
    let task = bed.stopped(&arn)?;
    assert_eq!(container_of(&task, "prisoner")?["exitCode"], 7);
    Ok(())
}

pub(super) fn a_tasks_volume_is_shared_through_volumes_from_and_goes_with_the_task(bed: &OneHost) -> Result<()> {
    let writer = with(
        shell("writer", "echo shared > /data/file; exec sleep 600"),
        &json!({"mountPoints": [{"sourceVolume": "scratch", "containerPath": "/data"}]}),
    );
    let reader = with(
        shell(
            "reader",
            "until grep shared /data/file; do sleep 1; done; exec sleep 600",
        ),
        &json!({"volumesFrom": [{"sourceContainer": "writer"}]}),
    );
    let mut definition = definition("taskvolume", json!([reader, writer]));
    definition["volumes"] = json!([{"name": "scratch", "host": {}}]);
    let arns = bed.cluster.run(&bed.cluster.register(&definition)?, 2, &json!({}))?;
    bed.cluster.wait_running(&arns)?;
    let mut sources = Vec::new();
    for arn in &arns {
        wait_until("the reader reads what the writer wrote", SOON, || {
            let printed = bed.printed(arn, "reader")?;
            Ok(Seen::when(printed.ends_with("shared\n"), || printed))
        })?;
        let writer = bed.container(arn, "writer")?;
        let mounts = writer.inspect["Mounts"].as_array().context("no mounts")?;
        let mount = mounts.iter().find(|mount| mount["Destination"] == "/data");
        sources.push(mount.context("no /data")?["Source"].clone());
    }
    ensure!(sources[0] != sources[1], "two tasks share {}", sources[0]);
    for arn in &arns {
        bed.stop(arn)?;
    }
    Ok(())
}

pub(super) fn a_link_reaches_the_other_container_by_its_alias(bed: &OneHost) -> Result<()> {
    let web = json!({"name": "web", "image": "my-demo", "memory": 32, "essential": false, "stopTimeout": 5});
    let client = json!({
        "name": "client",
        "image": "curl",
        "memory": 32,
        "links": ["web:site"],
        "command": ["for try in $(seq 60); do curl http://site/ && exit 0; sleep 1; done; exit 9"],
    });
    let (arn, task) = bed.ended("links", json!([client, web]))?;
    let printed = bed.printed(&arn, "client")?;
    assert_eq!(container_of(&task, "client")?["exitCode"], 0, "{printed}");
    ensure!(printed.ends_with("It works!\n"), "{printed}");
    Ok(())
}
