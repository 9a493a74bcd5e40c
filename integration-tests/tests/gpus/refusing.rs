//! Where a task that asks for GPUs does not run, and what is said of it.

use anyhow::Result;
use berth_integration_tests::cluster::container_of;
use serde_json::json;

use super::{GPUS, Host, attribute, container};

pub(super) fn a_host_without_the_runtime_has_no_gpus_and_is_named_for_it(host: &Host) -> Result<()> {
    let instance = host.instance("lacking")?;
    assert_eq!(attribute(&instance, "berth.capability.gpu"), None);
    assert_eq!(attribute(&instance, "ecs.capability.gpu-driver-version"), None);
    for kind in ["registeredResources", "remainingResources"] {
        let mut resources = instance[kind].as_array().into_iter().flatten();
        assert!(resources.all(|resource| resource["name"] != "GPU"), "{instance}");
    }
    let (reason, detail) = host.refusal("lacking", &json!([container("main", 1)]))?;
    assert_eq!(reason, "ATTRIBUTE");
    assert_eq!(
        detail,
        "the attribute berth.capability.gpu is missing; 1 GPUs are needed, 0 are free, 1 are missing"
    );
    Ok(())
}

pub(super) fn what_is_no_gpu_is_refused_at_placement(host: &Host) -> Result<()> {
    for (kind, attribute) in [
        ("InferenceAccelerator", "berth.capability.inference-accelerator"),
        ("NeuronDevice", "berth.capability.neuron-device"),
    ] {
        let mut main = container("main", 0);
        main["resourceRequirements"] = json!([{"type": kind, "value": "1"}]);
        let (reason, detail) = host.refusal("giving", &json!([main]))?;
        assert_eq!(reason, "ATTRIBUTE");
        assert_eq!(detail, format!("the attribute {attribute} is missing"));
    }
    Ok(())
}

pub(super) fn a_host_that_comes_back_with_fewer_gpus_gives_fewer(host: &Host) -> Result<()> {
    let task = host.running(&json!([container("main", 1)]))?;
    host.restart(&GPUS[1..])?;
    let still = host.cluster.wait_running(std::slice::from_ref(&task.arn))?.remove(0);
    assert_eq!(container_of(&still, "main")?["gpuIds"], json!([GPUS[0]]));
    let (reason, detail) = host.refusal("giving", &json!([container("main", 2)]))?;
    assert_eq!(reason, "RESOURCE:GPU");
    assert_eq!(detail, "2 GPUs are needed, 1 are free, 1 are missing");
    host.stop(&task)?;
    host.restart(&GPUS)?;
    assert_eq!(host.resource("remainingResources")?, json!(GPUS));
    Ok(())
}
