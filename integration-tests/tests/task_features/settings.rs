//! What a container definition sets reaches Docker and the container.

use anyhow::{Result, ensure};
use berth_integration_tests::cluster::container_of;
use berth_integration_tests::docker::NAME_LABEL;
use serde_json::json;

use super::{OneHost, definition, shell, with};

pub(super) fn environment_command_and_entry_point_reach_the_container(bed: &OneHost) -> Result<()> {
    let (arn, _) = bed.ended(
        "environment",
        json!([{
            "name": "printer",
            "image": "busybox",
            "memory": 32,
            "environment": [{"name": "GREETING", "value": "two  words"}, {"name": "EMPTY", "value": ""}],
            "entryPoint": ["sh", "-c", "echo \"$0|$1|$GREETING|${EMPTY-unset}\""],
            "command": ["first", "second argument"],
        }]),
    )?;
    assert_eq!(bed.printed(&arn, "printer")?, "first|second argument|two  words|\n");
    Ok(())
}

pub(super) fn overrides_replace_the_command_and_merge_the_environment(bed: &OneHost) -> Result<()> {
    let script = "echo \"$FIRST $SECOND $THIRD\"";
    let printer = with(
        shell("printer", "echo not this"),
        &json!({"environment": [{"name": "FIRST", "value": "1"}, {"name": "SECOND", "value": "2"}]}),
    );
    let definition = bed.cluster.register(&definition("overrides", json!([printer])))?;
    let overrides = json!({"overrides": {"containerOverrides": [{
        "name": "printer",
        "command": [script],
        "environment": [{"name": "SECOND", "value": "two"}, {"name": "THIRD", "value": "three"}],
        "memory": 48,
    }]}});
    let arns = bed.cluster.run(&definition, 1, &overrides)?;
    let task = bed.stopped(&arns[0])?;
    assert_eq!(bed.printed(&arns[0], "printer")?, "1 two three\n");
    let container = bed.container(&arns[0], "printer")?;
    assert_eq!(container.host_config("Memory"), 48 << 20);
    let echoed = &task["overrides"]["containerOverrides"][0];
    assert_eq!(
        (&echoed["name"], &echoed["command"]),
        (&json!("printer"), &json!([script]))
    );
    Ok(())
}

pub(super) fn cpu_memory_and_reservation_reach_docker(bed: &OneHost) -> Result<()> {
    let limited = with(
        shell("limited", "exec sleep 600"),
        &json!({"cpu": 256, "memory": 96, "memoryReservation": 48}),
    );
    let reserved = json!({
        "name": "reserved", "image": "busybox", "memoryReservation": 24,
        "command": ["sleep", "600"], "stopTimeout": 1,
    });
    let (arn, task) = bed.running("limits", json!([limited, reserved]))?;
    let limited = bed.container(&arn, "limited")?;
    assert_eq!(limited.host_config("CpuShares"), 256);
    assert_eq!(limited.host_config("Memory"), 96 << 20);
    assert_eq!(limited.host_config("MemoryReservation"), 48 << 20);
    let reserved = bed.container(&arn, "reserved")?;
    // ECS: no CPU units are two shares, the least that Linux knows; a reservation alone is no limit.
    assert_eq!(reserved.host_config("CpuShares"), 2);
    assert_eq!(reserved.host_config("Memory"), 0);
    assert_eq!(reserved.host_config("MemoryReservation"), 24 << 20);
    // What the task takes from its instance: the reservations where there are any.
    assert_eq!((&task["cpu"], &task["memory"]), (&json!("256"), &json!("72")));
    bed.stop(&arn).map(drop)
}

pub(super) fn every_container_carries_the_labels_of_its_task(bed: &OneHost) -> Result<()> {
    let labelled = with(
        shell("labelled", "exec sleep 600"),
        &json!({"dockerLabels": {"team": "a"}}),
    );
    let (arn, _) = bed.running("labels", json!([labelled]))?;
    let container = bed.container(&arn, "labelled")?;
    assert_eq!(container.label(NAME_LABEL), "labelled");
    assert_eq!(container.label("com.amazonaws.ecs.task-definition-family"), "labels");
    assert_eq!(container.label("com.amazonaws.ecs.task-definition-version"), "1");
    ensure!(
        container.label("com.amazonaws.ecs.cluster").contains("features"),
        "cluster: {}",
        container.label("com.amazonaws.ecs.cluster")
    );
    assert_eq!(container.label("team"), "a");
    bed.stop(&arn).map(drop)
}

pub(super) fn image_digests_are_reported(bed: &OneHost) -> Result<()> {
    let (arn, task) = bed.running("digest", json!([shell("main", "exec sleep 600")]))?;
    let main = container_of(&task, "main")?;
    let container = bed.container(&arn, "main")?;
    assert_eq!(main["runtimeId"], json!(container.id()));
    // An image that was loaded and not pulled has no digest but its id.
    assert_eq!(main["imageDigest"], container.inspect["Image"]);
    bed.stop(&arn).map(drop)
}

pub(super) fn a_definition_that_was_written_for_aws_runs_as_it_stands(bed: &OneHost) -> Result<()> {
    let printer = with(
        shell(
            "printer",
            "echo \"credentials: ${AWS_CONTAINER_CREDENTIALS_RELATIVE_URI-none}\"",
        ),
        &json!({"logConfiguration": {"logDriver": "awslogs", "options": {
            "awslogs-group": "/ecs/printer",
            "awslogs-region": "eu-central-1",
            "awslogs-stream-prefix": "ecs",
            "awslogs-create-group": "true",
            "mode": "non-blocking",
            "max-buffer-size": "4m",
        }}}),
    );
    let mut definition = definition("written-for-aws", json!([printer]));
    for role in ["taskRoleArn", "executionRoleArn"] {
        definition[role] = json!("arn:aws:iam::123456789012:role/written-for-aws");
    }
    let arn = bed.cluster.run_one(&definition)?;
    let task = bed.stopped(&arn)?;
    assert_eq!(container_of(&task, "printer")?["exitCode"], 0, "{task}");
    assert_eq!(bed.printed(&arn, "printer")?, "credentials: none\n");
    let container = bed.container(&arn, "printer")?;
    let log = &container.inspect["HostConfig"]["LogConfig"];
    ensure!(
        log["Type"] != "awslogs" && log["Config"]["mode"] == "non-blocking",
        "{log}"
    );
    let input = json!({"taskDefinition": task["taskDefinitionArn"]});
    let told = bed.cluster.ecs().call("DescribeTaskDefinition", &input)?;
    let told = &told["taskDefinition"]["containerDefinitions"][0]["logConfiguration"];
    assert_eq!(told["options"]["awslogs-group"], "/ecs/printer", "{told}");
    Ok(())
}
