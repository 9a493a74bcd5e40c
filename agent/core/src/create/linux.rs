//! `linuxParameters` and `systemControls`.

use berth_model::task_definition::{self, ContainerDefinition, LinuxParameters};
use serde::Serialize;

use super::{HostSettings, MIB};

/// A device of the host inside the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// The path on the host.
    pub host_path: String,
    /// The path inside.
    pub container_path: String,
    /// Of `r`, `w` and `m`.
    pub permissions: String,
}

/// A file system in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tmpfs {
    /// The path inside.
    pub container_path: String,
    /// Mount options, the size among them.
    pub options: String,
}

/// Adds what the container says under `linuxParameters` and `systemControls`.
pub(super) fn apply(container: &ContainerDefinition, host: &mut HostSettings) -> Result<(), String> {
    if let Some(parameters) = &container.linux_parameters {
        apply_parameters(parameters, container, host)?;
    }
    host.sysctls = container
        .system_controls
        .iter()
        .map(|control| {
            (
                control.namespace.clone().unwrap_or_default(),
                control.value.clone().unwrap_or_default(),
            )
        })
        .collect();
    Ok(())
}

fn apply_parameters(
    parameters: &LinuxParameters,
    container: &ContainerDefinition,
    host: &mut HostSettings,
) -> Result<(), String> {
    if let Some(capabilities) = &parameters.capabilities {
        host.capabilities_added.clone_from(&capabilities.add);
        host.capabilities_dropped.clone_from(&capabilities.drop);
    }
    host.devices = parameters.devices.iter().map(device).collect::<Result<_, _>>()?;
    host.init = parameters.init_process_enabled.unwrap_or(host.init);
    host.shm_size = parameters.shared_memory_size.map(|mib| i64::from(mib) * MIB);
    host.tmpfs = parameters.tmpfs.iter().map(tmpfs).collect();
    if let Some(swap) = parameters.max_swap {
        let memory = container
            .memory
            .ok_or_else(|| format!("linuxParameters.maxSwap is {swap}, which needs a hard limit in 'memory'"))?;
        host.memory_swap = Some((i64::from(memory) + i64::from(swap)) * MIB);
        host.memory_swappiness = parameters.swappiness.map(i64::from);
    }
    Ok(())
}

fn device(parameter: &task_definition::Device) -> Result<Device, String> {
    let letter = |permission: &String| match permission.as_str() {
        "read" => Ok('r'),
        "write" => Ok('w'),
        "mknod" => Ok('m'),
        other => Err(format!(
            "linuxParameters.devices.permissions has '{other}', it should be one of [read, write, mknod]"
        )),
    };
    let given: String = parameter.permissions.iter().map(letter).collect::<Result<_, _>>()?;
    Ok(Device {
        container_path: parameter
            .container_path
            .as_ref()
            .unwrap_or(&parameter.host_path)
            .clone(),
        host_path: parameter.host_path.clone(),
        permissions: if given.is_empty() { "rwm".to_owned() } else { given },
    })
}

fn tmpfs(parameter: &task_definition::Tmpfs) -> Tmpfs {
    let size = format!("size={}m", parameter.size);
    let options: Vec<String> = parameter.mount_options.iter().cloned().chain([size]).collect();
    Tmpfs {
        container_path: parameter.container_path.clone(),
        options: options.join(","),
    }
}
