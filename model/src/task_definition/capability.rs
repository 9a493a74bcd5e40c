//! The attributes that an instance must have to run a definition: ECS derives `requiresAttributes` from its content.
//!
//! An agent advertises what it can do under these names; placement refuses an instance that lacks one and names it.
//! Names beginning with `ecs.` or `com.amazonaws.` are those of the ECS agent; `berth.` ones stand where it has none.

use super::{ContainerDefinition, NetworkMode, TaskDefinition};

/// Prefix of log drivers: the driver's name follows.
pub const LOG_DRIVER_PREFIX: &str = "com.amazonaws.ecs.capability.logging-driver.";
/// `privileged`.
pub const PRIVILEGED: &str = "com.amazonaws.ecs.capability.privileged-container";
/// `dependsOn`.
pub const CONTAINER_ORDERING: &str = "ecs.capability.container-ordering";
/// `healthCheck`.
pub const HEALTH_CHECK: &str = "ecs.capability.container-health-check";
/// `restartPolicy`.
pub const RESTART_POLICY: &str = "ecs.capability.container-restart-policy";
/// Network mode `awsvpc`.
pub const TASK_ENI: &str = "ecs.capability.task-eni";
/// Task-level `cpu` and `memory`, which limit all containers together.
pub const TASK_LIMIT: &str = "ecs.capability.task-cpu-mem-limit";
/// `pidMode` and `ipcMode`.
pub const PID_IPC: &str = "ecs.capability.pid-ipc-namespace-sharing";
/// `containerPortRange`.
pub const PORT_RANGE: &str = "ecs.capability.network.container-port-range";
/// `secrets` that are parameters of Systems Manager or files.
pub const SECRETS: &str = "ecs.capability.secrets.ssm.environment-variables";
/// `secrets` of Secrets Manager.
pub const SECRETS_MANAGER: &str = "ecs.capability.secrets.asm.environment-variables";
/// `logConfiguration.secretOptions` that are parameters of Systems Manager or files.
pub const LOG_SECRETS: &str = "ecs.capability.secrets.ssm.bootstrap.log-driver";
/// `logConfiguration.secretOptions` of Secrets Manager.
pub const LOG_SECRETS_MANAGER: &str = "ecs.capability.secrets.asm.bootstrap.log-driver";
/// `environmentFiles`.
pub const ENVIRONMENT_FILES: &str = "ecs.capability.env-files.s3";
/// `repositoryCredentials`.
pub const REPOSITORY_CREDENTIALS: &str = "ecs.capability.private-registry-authentication.secretsmanager";
/// Images of Amazon ECR, with credentials from its helper. No definition needs it: other credentials do as well.
pub const ECR_AUTH: &str = "com.amazonaws.ecs.capability.ecr-auth";
/// `taskRoleArn`.
pub const TASK_ROLE: &str = "com.amazonaws.ecs.capability.task-iam-role";
/// `taskRoleArn` in network mode `host`.
pub const TASK_ROLE_HOST: &str = "com.amazonaws.ecs.capability.task-iam-role-network-host";
/// `firelensConfiguration`.
pub const FIRELENS: &str = "ecs.capability.firelens.fluentd";
/// Prefix of volume drivers: the driver's name follows.
pub const VOLUME_DRIVER_PREFIX: &str = "ecs.capability.docker-plugin.";
/// `efsVolumeConfiguration`.
pub const EFS: &str = "ecs.capability.efs";
/// `linuxParameters`.
pub const LINUX_PARAMETERS: &str = "berth.capability.linux-parameters";
/// `linuxParameters.maxSwap`.
pub const SWAP_LIMIT: &str = "berth.capability.swap-limit";
/// `linuxParameters.swappiness`, where `maxSwap` gives it a meaning.
pub const SWAPPINESS: &str = "berth.capability.swappiness";
/// `dockerSecurityOptions` that name an AppArmor profile.
pub const APPARMOR: &str = "com.amazonaws.ecs.capability.apparmor";
/// `dockerSecurityOptions` that set an SELinux label.
pub const SELINUX: &str = "com.amazonaws.ecs.capability.selinux";
/// `resourceRequirements` of type GPU.
pub const GPU: &str = "berth.capability.gpu";
/// Prefix of operating systems other than Linux, which no agent has: the family's name follows.
pub const OS_FAMILY_PREFIX: &str = "berth.capability.os-family.";
/// `systemControls`.
pub const SYSTEM_CONTROLS: &str = "berth.capability.system-controls";

/// Network mode `host`.
pub const HOST_NETWORK: &str = "berth.capability.host-network";
/// `pidMode` `host`.
pub const HOST_PID: &str = "berth.capability.host-pid";
/// `ipcMode` `host`.
pub const HOST_IPC: &str = "berth.capability.host-ipc";
/// Volumes that are directories of the host. Which directories only the host judges.
pub const HOST_PATHS: &str = "berth.capability.host-paths";
/// `linuxParameters.devices`. Which devices only the host judges.
pub const DEVICES: &str = "berth.capability.devices";
/// Prefix of capabilities of Linux that not every container has: the capability's name follows.
pub const LINUX_CAPABILITY_PREFIX: &str = "berth.capability.linux-capability.";

/// Names of capabilities in `linuxParameters` (ECS API, KernelCapabilities).
pub const CAPABILITIES: [&str; 39] = [
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// Capabilities that Docker gives every container: to add one of them adds nothing (Docker, "Runtime privilege and Linux
/// capabilities").
pub const OF_EVERY_CONTAINER: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Members of a task, beside those that are typed, that say how its containers run.
const TASK_MEMBERS: [(&str, &str); 4] = [
    ("taskRoleArn", TASK_ROLE),
    ("proxyConfiguration", "ecs.capability.aws-appmesh"),
    ("inferenceAccelerators", "berth.capability.inference-accelerator"),
    ("enableFaultInjection", "ecs.capability.fault-injection"),
];

/// The same of a container.
const CONTAINER_MEMBERS: [(&str, &str); 2] = [
    ("firelensConfiguration", FIRELENS),
    ("credentialSpecs", "berth.capability.credential-specs"),
];

/// Kinds of volumes by the member that makes them.
const VOLUME_MEMBERS: [(&str, &str); 4] = [
    ("efsVolumeConfiguration", EFS),
    ("fsxWindowsFileServerVolumeConfiguration", "berth.capability.fsx-volume"),
    ("s3filesVolumeConfiguration", "berth.capability.s3files-volume"),
    ("configuredAtLaunch", "berth.capability.volume-configured-at-launch"),
];

/// The names of all attributes that the definition needs, sorted, each once.
#[must_use]
pub fn required_by(definition: &TaskDefinition) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut need = |condition: bool, name: &str| {
        if condition {
            names.push(name.to_owned());
        }
    };
    need(definition.network_mode() == NetworkMode::Awsvpc, TASK_ENI);
    need(definition.cpu.is_some() || definition.memory.is_some(), TASK_LIMIT);
    need(definition.pid_mode.is_some() || definition.ipc_mode.is_some(), PID_IPC);
    need(definition.network_mode() == NetworkMode::Host, HOST_NETWORK);
    need(definition.pid_mode.as_deref() == Some("host"), HOST_PID);
    need(definition.ipc_mode.as_deref() == Some("host"), HOST_IPC);
    let platform = definition.runtime_platform.as_ref();
    let family = platform.and_then(|platform| platform.operating_system_family.as_deref());
    if let Some(family) = family.filter(|family| *family != "LINUX") {
        need(true, &format!("{OS_FAMILY_PREFIX}{family}"));
    }
    for (member, name) in TASK_MEMBERS {
        need(given(definition.rest.get(member)), name);
    }
    let role = given(definition.rest.get("taskRoleArn"));
    need(role && definition.network_mode() == NetworkMode::Host, TASK_ROLE_HOST);
    for volume in &definition.volumes {
        need(volume.source_path().is_some(), HOST_PATHS);
        for (member, name) in VOLUME_MEMBERS {
            need(given(volume.rest.get(member)), name);
        }
        if let Some(docker) = &volume.docker_volume_configuration {
            need(true, &format!("{VOLUME_DRIVER_PREFIX}{}", docker.driver()));
        }
    }
    for container in &definition.container_definitions {
        of_container(container, &mut need);
    }
    names.sort_unstable();
    names.dedup();
    names
}

fn of_container(container: &ContainerDefinition, need: &mut impl FnMut(bool, &str)) {
    need(container.privileged == Some(true), PRIVILEGED);
    let ranges = container
        .port_mappings
        .iter()
        .any(|mapping| mapping.container_port_range.is_some());
    need(ranges, PORT_RANGE);
    need(!container.depends_on.is_empty(), CONTAINER_ORDERING);
    need(container.restart_policy.is_some(), RESTART_POLICY);
    need(container.health_check.is_some(), HEALTH_CHECK);
    need(!container.environment_files.is_empty(), ENVIRONMENT_FILES);
    need(container.repository_credentials.is_some(), REPOSITORY_CREDENTIALS);
    for secret in &container.secrets {
        need(
            true,
            if secret.is_of_secrets_manager() {
                SECRETS_MANAGER
            } else {
                SECRETS
            },
        );
    }
    if let Some(log) = &container.log_configuration {
        need(true, &format!("{LOG_DRIVER_PREFIX}{}", log.log_driver));
        for secret in &log.secret_options {
            need(
                true,
                if secret.is_of_secrets_manager() {
                    LOG_SECRETS_MANAGER
                } else {
                    LOG_SECRETS
                },
            );
        }
    }
    if let Some(linux) = &container.linux_parameters {
        need(true, LINUX_PARAMETERS);
        need(!linux.devices.is_empty(), DEVICES);
        for name in linux.capabilities.iter().flat_map(|capabilities| &capabilities.add) {
            if !OF_EVERY_CONTAINER.contains(&name.as_str()) {
                need(true, &format!("{LINUX_CAPABILITY_PREFIX}{name}"));
            }
        }
        need(linux.max_swap.is_some(), SWAP_LIMIT);
        need(linux.max_swap.is_some() && linux.swappiness.is_some(), SWAPPINESS);
    }
    need(!container.system_controls.is_empty(), SYSTEM_CONTROLS);
    for option in &container.docker_security_options {
        // Docker leaves both out in silence where the host has neither.
        need(option.starts_with("apparmor"), APPARMOR);
        need(option.starts_with("label"), SELINUX);
    }
    for requirement in &container.resource_requirements {
        need(requirement.is_gpu(), GPU);
        need(requirement.kind == "NeuronDevice", "berth.capability.neuron-device");
        need(
            requirement.kind == "InferenceAccelerator",
            "berth.capability.inference-accelerator",
        );
    }
    for (member, name) in CONTAINER_MEMBERS {
        need(given(container.rest.get(member)), name);
    }
}

/// Whether a member says anything: an empty list does not.
fn given(member: Option<&serde_json::Value>) -> bool {
    use serde_json::Value;
    match member {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Bool(true) | Value::Number(_) | Value::Object(_)) => true,
    }
}
