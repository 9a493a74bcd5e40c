//! What a task definition asks for and no host has is refused when a task is to be placed, and named.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{OneHost, definition, shell, with};

pub(super) fn what_no_host_has_is_refused_at_placement_by_name(bed: &OneHost) -> Result<()> {
    for (members, attribute) in [
        (
            json!({"resourceRequirements": [{"type": "GPU", "value": "1"}]}),
            "berth.capability.gpu",
        ),
        (
            json!({"logConfiguration": {"logDriver": "gcplogs"}}),
            "com.amazonaws.ecs.capability.logging-driver.gcplogs",
        ),
        (
            json!({"firelensConfiguration": {"type": "fluentbit"}}),
            "ecs.capability.firelens.fluentd",
        ),
    ] {
        let main = with(shell("main", "exit 0"), &members);
        bed.refused_for(&definition("unfit", json!([main])), attribute)?;
    }
    let mut volume = definition("unfit", json!([shell("main", "exit 0")]));
    volume["volumes"] =
        json!([{"name": "v", "dockerVolumeConfiguration": {"scope": "shared", "driver": "rexray/ebs"}}]);
    bed.refused_for(&volume, "ecs.capability.docker-plugin.rexray/ebs")
}

pub(super) fn overrides_may_ask_for_what_the_host_has_not(bed: &OneHost) -> Result<()> {
    let registered = bed
        .cluster
        .register(&definition("overreach", json!([shell("main", "exit 0")])))?;
    let input = json!({
        "cluster": bed.cluster.name(),
        "taskDefinition": registered,
        "overrides": {"containerOverrides": [
            {"name": "main", "resourceRequirements": [{"type": "GPU", "value": "1"}]}]},
    });
    let answer = bed.cluster.ecs().call("RunTask", &input)?;
    let detail = answer["failures"][0]["detail"].as_str().context("no failure")?;
    let missing = "the attribute berth.capability.gpu is missing; 1 GPUs are needed, 0 are free, 1 are missing";
    ensure!(detail.starts_with(missing), "{detail}");
    Ok(())
}
