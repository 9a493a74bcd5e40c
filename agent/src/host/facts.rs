//! What the agent tells the scheduler of its host once, with the Hello.

use berth_model::gpu::GpuId;
use berth_model::task_definition::capability;
use berth_proto::agent::v1::{HostAttribute, HostFacts};

use super::{LogDrivers, usage};
use crate::config::Config;
use crate::docker::DockerInfo;
use crate::gpus::Gpus;
use crate::host_policy::Guard;

pub(super) const BYTES_PER_MIB: u64 = 1024 * 1024;
const UNITS_PER_CORE: u32 = 1024;
/// The oldest version of Docker's API that ECS names in attributes.
const OLDEST_API: u32 = 17;
const API_PREFIX: &str = "com.amazonaws.ecs.capability.docker-remote-api.1.";
/// The version of NVIDIA's driver follows.
const NVIDIA_DRIVER_PREFIX: &str = "ecs.capability.nvidia-driver-version.";
/// The version of NVIDIA's driver is its value.
const GPU_DRIVER: &str = "ecs.capability.gpu-driver-version";
/// Gets credentials for ECR.
const ECR_HELPER: &str = "docker-credential-ecr-login";
/// Where a virtual machine of EC2 says which it is.
const ASSET_TAG: &str = "/sys/devices/virtual/dmi/id/board_asset_tag";

/// The facts, from the settings, Docker and the host; `limits_tasks` is whether tasks can be held to limits here.
pub(crate) fn facts(config: &Config, docker: &DockerInfo, limits_tasks: bool, gpus: Option<&Gpus>) -> HostFacts {
    let host_mib = usage::memory_mib().unwrap_or(u64::MAX);
    let mib = host_mib.min(docker.memory_bytes / BYTES_PER_MIB);
    let usable = u32::try_from(mib)
        .unwrap_or(u32::MAX)
        .saturating_sub(config.reserved_memory_mib);
    let ports = |ports: &[u16]| ports.iter().copied().map(u32::from).collect();
    HostFacts {
        cpu_units: config.cpu_units.unwrap_or(docker.cores.saturating_mul(UNITS_PER_CORE)),
        memory_mib: config.memory_mib.unwrap_or(usable),
        reserved_tcp_ports: ports(&config.reserved_tcp_ports),
        reserved_udp_ports: ports(&config.reserved_udp_ports),
        attributes: attributes(config, docker, limits_tasks, gpus),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        docker_version: docker.version.clone(),
        ec2_instance_id: ec2_instance_id(),
        // Each stream finds it out anew.
        address: String::new(),
        gpu_ids: gpus.map_or_else(Vec::new, |gpus| gpus.ids.iter().map(GpuId::to_string).collect()),
    }
}

/// The operator's attributes, the platform, and what this agent can do: nothing that it cannot.
fn attributes(config: &Config, docker: &DockerInfo, limits_tasks: bool, gpus: Option<&Gpus>) -> Vec<HostAttribute> {
    let with = |name: &str, value: &str| HostAttribute {
        name: name.to_owned(),
        value: Some(value.to_owned()),
    };
    let capability = |name: String| HostAttribute { name, value: None };
    let api = docker
        .api_version
        .split_once('.')
        .and_then(|(_, minor)| minor.parse::<u32>().ok())
        .unwrap_or(0);
    let mut attributes = vec![
        with("ecs.os-type", "linux"),
        with("ecs.os-family", "LINUX"),
        with("ecs.cpu-architecture", architecture()),
    ];
    attributes.extend((OLDEST_API..=api).map(|minor| capability(format!("{API_PREFIX}{minor}"))));
    let drivers = LogDrivers::of(config);
    let named = |driver| capability(format!("{}{driver}", capability::LOG_DRIVER_PREFIX));
    attributes.extend(drivers.names(docker).map(named));
    let drivers = docker.volume_drivers.iter();
    attributes.extend(drivers.map(|driver| capability(format!("{}{driver}", capability::VOLUME_DRIVER_PREFIX))));
    let able = [
        (capability::LINUX_PARAMETERS, true),
        (capability::SYSTEM_CONTROLS, true),
        (capability::CONTAINER_ORDERING, true),
        (capability::RESTART_POLICY, true),
        (capability::HEALTH_CHECK, true),
        (capability::REPOSITORY_CREDENTIALS, true),
        (capability::ECR_AUTH, has_program(ECR_HELPER)),
        (capability::SECRETS, true),
        (capability::SECRETS_MANAGER, true),
        (capability::LOG_SECRETS, true),
        (capability::LOG_SECRETS_MANAGER, true),
        (capability::ENVIRONMENT_FILES, true),
        (capability::SWAP_LIMIT, docker.swap_limit),
        // The second version of cgroups has none, and Docker leaves it out in silence.
        (capability::SWAPPINESS, docker.cgroup_version == 1),
        (capability::APPARMOR, docker.apparmor),
        (capability::SELINUX, docker.selinux),
        (capability::TASK_ENI, true),
        (capability::PID_IPC, true),
        (capability::PORT_RANGE, true),
        (capability::TASK_LIMIT, limits_tasks),
        (capability::GPU, gpus.is_some()),
        // Where they can have credentials, the driver adds both once they do.
        (capability::TASK_ROLE, config.ignores_task_roles()),
        (capability::TASK_ROLE_HOST, config.ignores_task_roles()),
    ];
    let able = able.into_iter().filter(|(_, able)| *able);
    attributes.extend(able.map(|(name, _)| capability(name.to_owned())));
    attributes.extend(Guard::of(config).attributes().into_iter().map(capability));
    if let Some(version) = gpus.and_then(|gpus| gpus.driver_version.as_deref()) {
        attributes.push(capability(format!("{NVIDIA_DRIVER_PREFIX}{version}")));
        attributes.push(with(GPU_DRIVER, version));
    }
    attributes.extend(config.attributes.iter().map(|own| with(&own.name, &own.value)));
    attributes
}

/// Whether the agent's `PATH` has the program.
fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
}

/// As ECS names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        other => other,
    }
}

fn ec2_instance_id() -> String {
    let tag = std::fs::read_to_string(ASSET_TAG).unwrap_or_default();
    let tag = tag.trim();
    if tag.starts_with("i-") {
        tag.to_owned()
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::docker;

    fn facts_of(flags: &[&str]) -> HostFacts {
        let given = ["berth-agent", "--scheduler", "http://a:1", "--cluster", "prod"];
        let config = Config::load(given.iter().chain(flags).map(std::ffi::OsString::from)).unwrap();
        facts(&config, &docker(), false, None)
    }

    #[test]
    fn the_reserve_is_taken_off_what_docker_and_the_host_both_have() {
        let facts = facts_of(&["--reserved-memory", "100"]);
        assert_eq!((facts.cpu_units, facts.memory_mib), (2048, 900));
        assert_eq!(facts.reserved_tcp_ports, [22, 2375, 2376, 51678, 51679, 51680]);
        let given = facts_of(&["--memory", "700", "--cpu-units", "512"]);
        assert_eq!((given.cpu_units, given.memory_mib), (512, 700));
    }

    #[test]
    fn privileged_containers_are_for_an_operator_to_allow() {
        let has = |flags: &[&str]| {
            facts_of(flags)
                .attributes
                .iter()
                .any(|one| one.name == capability::PRIVILEGED)
        };
        assert!(!has(&[]) && !has(&["--disable-privileged"]) && has(&["--disable-privileged=false"]));
    }

    #[test]
    fn tasks_with_a_role_come_where_they_have_credentials_or_are_to_run_without() {
        let has = |flags: &[&str]| {
            let facts = facts_of(flags);
            let has = |name: &str| facts.attributes.iter().any(|one| one.name == name);
            has(capability::TASK_ROLE) && has(capability::TASK_ROLE_HOST)
        };
        assert!(!has(&[]) && has(&["--ignore-task-roles"]));
        // Not before it is known that they reach the endpoint.
        assert!(!has(&["--ignore-task-roles", "--credentials-file", "/c.json"]));
    }

    #[test]
    fn only_what_the_agent_can_do_is_advertised() {
        let facts = facts_of(&["--attribute", "rack=r1"]);
        let value = |name: &str| {
            facts
                .attributes
                .iter()
                .find(|attribute| attribute.name == name)
                .map(|a| a.value.as_deref())
        };
        assert_eq!(value("ecs.os-type"), Some(Some("linux")));
        assert_eq!(value("rack"), Some(Some("r1")));
        assert_eq!(value("com.amazonaws.ecs.capability.logging-driver.syslog"), Some(None));
        assert_eq!(value("com.amazonaws.ecs.capability.logging-driver.awslogs"), Some(None));
        assert_eq!(value("com.amazonaws.ecs.capability.docker-remote-api.1.41"), Some(None));
        assert_eq!(value(capability::REPOSITORY_CREDENTIALS), Some(None));
        assert_eq!(value(capability::TASK_ENI), Some(None));
        assert_eq!(value(capability::PID_IPC), Some(None));
        assert_eq!(value(capability::PORT_RANGE), Some(None));
        assert_eq!(value("ecs.capability.docker-plugin.local"), Some(None));
        assert_eq!(value(capability::APPARMOR), Some(None));
        for absent in [
            "com.amazonaws.ecs.capability.docker-remote-api.1.42",
            "com.amazonaws.ecs.capability.logging-driver.gcplogs",
            capability::SWAP_LIMIT,
            capability::SWAPPINESS,
            capability::SELINUX,
            capability::GPU,
            capability::TASK_LIMIT,
            capability::TASK_ROLE,
            capability::TASK_ROLE_HOST,
        ] {
            assert_eq!(value(absent), None, "{absent}");
        }
    }

    #[test]
    fn gpus_are_told_with_their_driver() {
        let given = ["berth-agent", "--scheduler", "http://a:1", "--cluster", "prod"];
        let config = Config::load(given.map(std::ffi::OsString::from)).unwrap();
        let gpus = Gpus::of("nvidia", Some("535.104.12"), &["GPU-a", "GPU-b"]);
        let facts = facts(&config, &docker(), false, Some(&gpus));
        assert_eq!(facts.gpu_ids, ["GPU-a", "GPU-b"]);
        let has = |name: &str, value: Option<&str>| {
            let mut all = facts.attributes.iter();
            all.any(|one| one.name == name && one.value.as_deref() == value)
        };
        assert!(has(capability::GPU, None));
        assert!(has("ecs.capability.nvidia-driver-version.535.104.12", None));
        assert!(has("ecs.capability.gpu-driver-version", Some("535.104.12")));
    }
}
