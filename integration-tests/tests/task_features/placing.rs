//! What a definition says of the host that its tasks are for.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{OneHost, definition, shell};

fn with_platform(platform: &Value) -> Value {
    let mut definition = definition("platform", json!([shell("main", "exit 0")]));
    definition["runtimePlatform"] = platform.clone();
    definition
}

pub(super) fn a_task_for_another_processor_or_system_is_refused_by_name(bed: &OneHost) -> Result<()> {
    let (own, other, missing) = match std::env::consts::ARCH {
        "aarch64" => ("ARM64", "X86_64", "x86_64"),
        _ => ("X86_64", "ARM64", "arm64"),
    };
    let own = json!({"cpuArchitecture": own, "operatingSystemFamily": "LINUX"});
    let arn = bed.cluster.run_one(&with_platform(&own))?;
    bed.stopped(&arn)?;
    let other = with_platform(&json!({"cpuArchitecture": other}));
    bed.refused_for(&other, &format!("ecs.cpu-architecture={missing}"))?;
    let windows = with_platform(&json!({"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}));
    bed.refused_for(&windows, "berth.capability.os-family.WINDOWS_SERVER_2022_CORE")
}

pub(super) fn the_constraints_of_a_definition_hold_for_its_tasks(bed: &OneHost) -> Result<()> {
    let bound_to = |host: &str| {
        let mut definition = definition("bound", json!([shell("main", "exit 0")]));
        let expression = format!("attribute:host == {host}");
        definition["placementConstraints"] = json!([{"type": "memberOf", "expression": expression}]);
        definition
    };
    let arn = bed.cluster.run_one(&bound_to("a"))?;
    bed.stopped(&arn)?;
    let elsewhere = bed.cluster.register(&bound_to("b"))?;
    let input = json!({"cluster": bed.cluster.name(), "taskDefinition": elsewhere});
    let answer = bed.cluster.ecs().call("RunTask", &input)?;
    ensure!(answer["tasks"] == json!([]), "it was placed: {answer}");
    let reason = &answer["failures"][0]["reason"];
    assert_eq!(reason, "MemberOf placement constraint unsatisfied.", "{answer}");
    Ok(())
}
