//! Which GPUs a container gets, and for how long.

use anyhow::{Result, ensure};
use berth_integration_tests::cluster::{SOON, container_of};
use berth_integration_tests::{Seen, wait_until};
use serde_json::{Value, json};

use super::{DRIVER, GPUS, Host, Running, attribute, container};

/// Waits until the container has said what it sees, and gives that.
fn seen(host: &Host, task: &Running, name: &str) -> Result<Option<String>> {
    wait_until("the container has said what it sees", SOON, || {
        Ok(match host.sees(task, name) {
            Ok(seen) => Seen::Done(seen),
            Err(error) => Seen::NotYet(error.to_string()),
        })
    })
}

pub(super) fn a_host_tells_its_gpus_and_their_driver(host: &Host) -> Result<()> {
    assert_eq!(host.resource("registeredResources")?, json!(GPUS));
    assert_eq!(host.resource("remainingResources")?, json!(GPUS));
    let instance = host.instance("giving")?;
    assert_eq!(attribute(&instance, "berth.capability.gpu"), Some(Value::Null));
    let driver = attribute(&instance, "ecs.capability.gpu-driver-version");
    assert_eq!(driver, Some(json!(DRIVER)));
    let named = format!("ecs.capability.nvidia-driver-version.{DRIVER}");
    assert_eq!(attribute(&instance, &named), Some(Value::Null));
    Ok(())
}

pub(super) fn each_task_gets_a_gpu_of_its_own_and_a_third_waits_for_an_end(host: &Host) -> Result<()> {
    let one = json!([container("main", 1)]);
    let first = host.running(&one)?;
    let second = host.running(&one)?;
    for (task, gpu) in [(&first, GPUS[0]), (&second, GPUS[1])] {
        assert_eq!(task.gpus("main")?, json!([gpu]));
        assert_eq!(seen(host, task, "main")?.as_deref(), Some(gpu));
        assert_eq!(host.container(task, "main")?.host_config("Runtime"), "nvidia");
    }
    assert_eq!(host.resource("registeredResources")?, json!(GPUS));
    assert_eq!(host.resource("remainingResources")?, json!([]));

    let (reason, detail) = host.refusal("giving", &one)?;
    assert_eq!(reason, "RESOURCE:GPU");
    assert_eq!(detail, "1 GPUs are needed, 0 are free, 1 are missing");

    host.stop(&first)?;
    assert_eq!(host.resource("remainingResources")?, json!([GPUS[0]]));
    let third = host.running(&one)?;
    assert_eq!(third.gpus("main")?, json!([GPUS[0]]));
    host.stop(&second)?;
    host.stop(&third)
}

pub(super) fn the_containers_of_a_task_share_no_gpu_and_one_without_sees_none(host: &Host) -> Result<()> {
    let task = host.running(&json!([
        container("one", 1),
        container("none", 0),
        container("other", 1)
    ]))?;
    assert_eq!(task.gpus("one")?, json!([GPUS[0]]));
    assert_eq!(task.gpus("other")?, json!([GPUS[1]]));
    assert_eq!(seen(host, &task, "other")?.as_deref(), Some(GPUS[1]));
    assert_eq!(seen(host, &task, "none")?, None);
    assert_eq!(host.container(&task, "none")?.host_config("Runtime"), "runc");
    let without = container_of(&task.task, "none")?;
    ensure!(without.get("gpuIds").is_none_or(|ids| *ids == json!([])), "{without}");
    host.stop(&task)
}

pub(super) fn overrides_ask_for_gpus_that_the_definition_does_not(host: &Host) -> Result<()> {
    let two = json!([{"type": "GPU", "value": "2"}]);
    let overrides = json!({"containerOverrides": [{"name": "main", "resourceRequirements": two}]});
    let task = host.running_with(&json!([container("main", 0)]), &json!({"overrides": overrides}))?;
    assert_eq!(task.gpus("main")?, json!(GPUS));
    assert_eq!(seen(host, &task, "main")?, Some(GPUS.join(",")));
    host.stop(&task)
}

pub(super) fn gpus_stay_with_their_task_over_a_restart_of_the_agent(host: &Host) -> Result<()> {
    let task = host.running(&json!([container("main", 1)]))?;
    let before = host.container(&task, "main")?;
    host.restart(&GPUS)?;
    let again = host.cluster.wait_running(std::slice::from_ref(&task.arn))?.remove(0);
    assert_eq!(container_of(&again, "main")?["gpuIds"], json!([GPUS[0]]));
    assert_eq!(host.container(&task, "main")?.id(), before.id());
    assert_eq!(host.resource("remainingResources")?, json!([GPUS[1]]));
    let other = host.running(&json!([container("main", 1)]))?;
    assert_eq!(other.gpus("main")?, json!([GPUS[1]]));
    host.stop(&task)?;
    host.stop(&other)?;
    assert_eq!(host.resource("remainingResources")?, json!(GPUS));
    Ok(())
}
