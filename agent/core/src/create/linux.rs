//! `linuxParameters` and `systemControls`.

use std::collections::BTreeMap;

use berth_model::task_definition::ContainerDefinition;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

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

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LinuxParameters {
    capabilities: Option<Capabilities>,
    devices: Vec<DeviceParameter>,
    init_process_enabled: Option<bool>,
    shared_memory_size: Option<i32>,
    tmpfs: Vec<TmpfsParameter>,
    max_swap: Option<i32>,
    swappiness: Option<i32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Capabilities {
    add: Vec<String>,
    drop: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeviceParameter {
    host_path: String,
    container_path: Option<String>,
    #[serde(default)]
    permissions: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TmpfsParameter {
    container_path: String,
    size: i32,
    #[serde(default)]
    mount_options: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct SystemControl {
    namespace: String,
    value: String,
}

/// Adds what the container says under `linuxParameters` and `systemControls`.
pub(super) fn apply(container: &ContainerDefinition, host: &mut HostSettings) -> Result<(), String> {
    if let Some(parameters) = member::<LinuxParameters>(container, "linuxParameters")? {
        apply_parameters(parameters, container, host)?;
    }
    if let Some(controls) = member::<Vec<SystemControl>>(container, "systemControls")? {
        host.sysctls = controls
            .into_iter()
            .map(|control| (control.namespace, control.value))
            .collect::<BTreeMap<_, _>>();
    }
    Ok(())
}

fn member<T: DeserializeOwned>(container: &ContainerDefinition, name: &str) -> Result<Option<T>, String> {
    let Some(value) = container.rest.get(name).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    T::deserialize(value.clone())
        .map(Some)
        .map_err(|error| format!("{name} cannot be read: {error}"))
}

fn apply_parameters(
    parameters: LinuxParameters,
    container: &ContainerDefinition,
    host: &mut HostSettings,
) -> Result<(), String> {
    let capabilities = parameters.capabilities.unwrap_or_default();
    host.capabilities_added = capabilities.add;
    host.capabilities_dropped = capabilities.drop;
    host.devices = parameters.devices.into_iter().map(device).collect::<Result<_, _>>()?;
    host.init = parameters.init_process_enabled.unwrap_or(true);
    host.shm_size = parameters.shared_memory_size.map(|mib| i64::from(mib) * MIB);
    host.tmpfs = parameters.tmpfs.into_iter().map(tmpfs).collect();
    if let Some(swap) = parameters.max_swap {
        let memory = container
            .memory
            .ok_or_else(|| format!("linuxParameters.maxSwap is {swap}, which needs a hard limit in 'memory'"))?;
        host.memory_swap = Some((i64::from(memory) + i64::from(swap)) * MIB);
        host.memory_swappiness = parameters.swappiness.map(i64::from);
    }
    Ok(())
}

fn device(parameter: DeviceParameter) -> Result<Device, String> {
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
        container_path: parameter.container_path.unwrap_or_else(|| parameter.host_path.clone()),
        host_path: parameter.host_path,
        permissions: if given.is_empty() { "rwm".to_owned() } else { given },
    })
}

fn tmpfs(parameter: TmpfsParameter) -> Tmpfs {
    let size = format!("size={}m", parameter.size);
    let options: Vec<String> = parameter.mount_options.into_iter().chain([size]).collect();
    Tmpfs {
        container_path: parameter.container_path,
        options: options.join(","),
    }
}
