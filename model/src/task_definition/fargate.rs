//! What Fargate runs: tasks with an address of their own and one of its sizes (ECS guide, "Fargate task definition
//! differences").

use serde_json::Value;

use super::compatibility::refused;
use super::{ContainerDefinition, NetworkMode, ResourceRequirement, TaskDefinition};
use crate::fault::Fault;

/// The platform that all tasks of Fargate run on.
pub const PLATFORM_VERSION: &str = "1.4.0";
/// What a caller says that means the newest platform.
pub const LATEST: &str = "LATEST";
/// The disk of a task that asks for none, in GiB.
pub const EPHEMERAL_STORAGE_GIB: i64 = 20;

/// CPU units of a task, and the MiB of memory that it may have: the least, the most and the step between.
const SIZES: [(u32, u32, u32, u32); 7] = [
    (256, 512, 2048, 512),
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16_384, 1024),
    (4096, 8192, 30_720, 1024),
    (8192, 16_384, 61_440, 4096),
    (16_384, 32_768, 122_880, 8192),
];

/// Whether there is a size of these figures.
fn is_size(cpu: u32, memory: u32) -> bool {
    // Of the smallest, 1.5 GB is not among those that are listed.
    let listed = |(units, least, most, step): &(u32, u32, u32, u32)| {
        *units == cpu && (*least..=*most).contains(&memory) && memory.is_multiple_of(*step)
    };
    SIZES.iter().any(listed) && (cpu, memory) != (256, 1536)
}

/// The sizes that a task of so many CPU units may have, or how many CPU units there may be, in words.
fn sizes(cpu: u32) -> String {
    match SIZES.iter().find(|(units, ..)| *units == cpu) {
        Some((256, ..)) => "With 256 CPU units memory is one of 512, 1024 and 2048.".to_owned(),
        Some((_, least, most, step)) => {
            format!("With {cpu} CPU units memory is {least} to {most} in steps of {step}.")
        }
        None => {
            let units: Vec<String> = SIZES.iter().map(|(units, ..)| units.to_string()).collect();
            format!("cpu is one of {}.", units.join(", "))
        }
    }
}

/// Checks that Fargate runs tasks of the definition.
///
/// # Errors
/// `ClientException` with ECS's text.
pub fn check(definition: &TaskDefinition) -> Result<(), Fault> {
    if definition.network_mode() != NetworkMode::Awsvpc {
        return Err(Fault::client("Fargate only supports network mode ‘awsvpc’."));
    }
    let level = |name: &str| Fault::client(format!("Fargate requires that '{name}' be defined at the task level."));
    let cpu = definition.task_cpu().ok_or_else(|| level("cpu"))?.0;
    let memory = definition.task_memory().ok_or_else(|| level("memory"))?.0;
    if !is_size(cpu, memory) {
        return Err(Fault::client(format!(
            "No Fargate configuration exists for given values. {cpu} CPU units and {memory} MiB of memory are none. {}",
            sizes(cpu)
        )));
    }
    check_members(definition)?;
    match ephemeral_storage(definition) {
        Some(size) if !(21..=200).contains(&size) => Err(Fault::client(format!(
            "ephemeralStorage.sizeInGiB {size} should be between 21 and 200."
        ))),
        Some(_) | None => Ok(()),
    }
}

/// Checks that the definition has nothing of which a task without a host of its own could make no use (ECS guide, "Fargate
/// task definition differences", parameters that are not valid).
fn check_members(definition: &TaskDefinition) -> Result<(), Fault> {
    let from_host = definition.volumes.iter().any(|volume| volume.source_path().is_some());
    let by_docker = definition
        .volumes
        .iter()
        .any(|volume| volume.docker_volume_configuration.is_some());
    let of_the_task = [
        ("placementConstraints", !definition.placement_constraints.is_empty()),
        ("host.sourcePath for volumes", from_host),
        ("dockerVolumeConfiguration", by_docker),
        ("ipcMode", definition.ipc_mode.is_some()),
        ("pidMode host", definition.pid_mode.as_deref() == Some("host")),
    ];
    let containers = definition.container_definitions.iter();
    let all = of_the_task.into_iter().chain(containers.flat_map(of_container));
    match all.into_iter().find(|(_, given)| *given) {
        Some((member, _)) => Err(refused("Fargate", member)),
        None => Ok(()),
    }
}

fn of_container(container: &ContainerDefinition) -> [(&'static str, bool); 10] {
    let linux = container.linux_parameters.as_ref();
    [
        ("links", !container.links.is_empty()),
        ("privileged", container.privileged == Some(true)),
        ("disableNetworking", container.disable_networking == Some(true)),
        ("dnsServers", !container.dns_servers.is_empty()),
        ("dnsSearchDomains", !container.dns_search_domains.is_empty()),
        ("dockerSecurityOptions", !container.docker_security_options.is_empty()),
        (
            "resourceRequirements of type GPU",
            container.resource_requirements.iter().any(ResourceRequirement::is_gpu),
        ),
        ("devices", linux.is_some_and(|linux| !linux.devices.is_empty())),
        ("maxSwap", linux.is_some_and(|linux| linux.max_swap.is_some())),
        ("swappiness", linux.is_some_and(|linux| linux.swappiness.is_some())),
    ]
}

/// The disk that the definition asks for, in GiB; none where it asks for none.
#[must_use]
pub fn ephemeral_storage(definition: &TaskDefinition) -> Option<i64> {
    definition
        .rest
        .get("ephemeralStorage")?
        .get("sizeInGiB")
        .and_then(Value::as_i64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definition(edit: impl FnOnce(&mut Value)) -> TaskDefinition {
        let mut value = json!({
            "family": "web",
            "networkMode": "awsvpc",
            "cpu": "256",
            "memory": "512",
            "requiresCompatibilities": ["FARGATE"],
            "containerDefinitions": [{"name": "app", "image": "a"}],
        });
        edit(&mut value);
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn every_size_that_fargate_lists_is_one_and_no_other() {
        for (cpu, memory) in [
            (256, 512),
            (256, 1024),
            (256, 2048),
            (512, 3072),
            (1024, 8192),
            (4096, 30_720),
            (8192, 20_480),
            (16_384, 122_880),
        ] {
            assert!(is_size(cpu, memory), "{cpu} {memory}");
        }
        for (cpu, memory) in [
            (128, 512),
            (256, 1536),
            (256, 256),
            (512, 1536),
            (1024, 1024),
            (8192, 17_408),
            (16_384, 30_720),
            (300, 512),
        ] {
            assert!(!is_size(cpu, memory), "{cpu} {memory}");
        }
    }

    #[test]
    fn what_fargate_does_not_run_is_refused_when_it_is_registered() {
        for (edit, says) in [
            (
                json!({"networkMode": "bridge"}),
                "Fargate only supports network mode ‘awsvpc’.",
            ),
            (
                json!({"cpu": null}),
                "Fargate requires that 'cpu' be defined at the task level.",
            ),
            (
                json!({"memory": null}),
                "Fargate requires that 'memory' be defined at the task level.",
            ),
            (
                json!({"memory": "600"}),
                "No Fargate configuration exists for given values. 256 CPU units and 600 MiB of memory are none. With 256 \
                 CPU units memory is one of 512, 1024 and 2048.",
            ),
            (
                json!({"cpu": ".25 vCPU", "memory": "8 GB"}),
                "No Fargate configuration exists for given values.",
            ),
            (
                json!({"cpu": "1 vCPU", "memory": "1 GB"}),
                "With 1024 CPU units memory is 2048 to 8192 in steps of 1024.",
            ),
            (
                json!({"volumes": [{"name": "v", "host": {"sourcePath": "/srv"}}]}),
                "Fargate compatible task definitions do not support host.sourcePath for volumes.",
            ),
            (
                json!({"containerDefinitions": [{"name": "app", "image": "a", "privileged": true}]}),
                "Fargate compatible task definitions do not support privileged.",
            ),
            (
                json!({"containerDefinitions": [
                    {"name": "app", "image": "a", "linuxParameters": {"devices": [{"hostPath": "/dev/kvm"}]}}
                ]}),
                "Fargate compatible task definitions do not support devices.",
            ),
            (
                json!({"ipcMode": "host"}),
                "Fargate compatible task definitions do not support ipcMode.",
            ),
            (
                json!({"requiresCompatibilities": ["EXTERNAL"]}),
                "EXTERNAL compatible task definitions do not support networkMode awsvpc.",
            ),
            (
                json!({"ephemeralStorage": {"sizeInGiB": 20}}),
                "ephemeralStorage.sizeInGiB 20 should be between 21 and 200.",
            ),
        ] {
            let asked = definition(|value| {
                for (name, other) in edit.as_object().unwrap() {
                    value[name] = other.clone();
                }
            });
            let fault = asked.validated().unwrap_err();
            assert!(fault.message.contains(says), "{edit}: {fault}");
        }
    }

    #[test]
    fn what_fargate_runs_is_registered() {
        let plain = definition(|_| {}).validated().unwrap();
        assert_eq!(ephemeral_storage(&plain), None);
        let words = definition(|value| {
            value["cpu"] = json!("1 vCPU");
            value["memory"] = json!("3GB");
            value["ephemeralStorage"] = json!({"sizeInGiB": 30});
        });
        let words = words.validated().unwrap();
        assert_eq!(
            (words.cpu.as_deref(), words.memory.as_deref()),
            (Some("1024"), Some("3072"))
        );
        assert_eq!(ephemeral_storage(&words), Some(30));
    }
}
