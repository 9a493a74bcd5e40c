//! The rules of `linuxParameters` and `systemControls` (ECS API, LinuxParameters and SystemControl).

use super::container::ContainerRules;
use crate::fault::{Fault, shortened};
use crate::task_definition::capability::CAPABILITIES;
use crate::task_definition::{Device, LinuxParameters, NetworkMode, Tmpfs};

const PERMISSIONS: [&str; 3] = ["read", "write", "mknod"];
const SWAPPINESS: std::ops::RangeInclusive<i32> = 0..=100;
const NOT_NEGATIVE: std::ops::RangeInclusive<i32> = 0..=i32::MAX;
const POSITIVE: std::ops::RangeInclusive<i32> = 1..=i32::MAX;
/// Kernel settings that each IPC namespace has for itself, beside those that begin with `fs.mqueue.`.
const OF_IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

impl ContainerRules<'_> {
    pub(super) fn check_linux(&self) -> Result<(), Fault> {
        if let Some(parameters) = &self.container.linux_parameters {
            self.check_parameters(parameters)?;
        }
        for (at, control) in self.container.system_controls.iter().enumerate() {
            let name = control.namespace.as_deref().unwrap_or_default();
            let of_network = name.starts_with("net.");
            let of_ipc = name.starts_with("fs.mqueue.") || OF_IPC.contains(&name);
            if !of_network && !of_ipc {
                return Err(self.fault(format_args!(
                    "'systemControls[{at}].namespace' is '{}', it must begin with 'net.' or 'fs.mqueue.' or be one of [{}].",
                    shortened(name),
                    OF_IPC.join(", ")
                )));
            }
            if control.value.as_deref().unwrap_or_default().is_empty() {
                return Err(self.fault(format_args!("'systemControls[{at}].value' of '{name}' must be given.")));
            }
            if of_network && self.definition.network_mode() == NetworkMode::Host {
                return Err(self.fault(format_args!(
                    "'systemControls[{at}].namespace' is '{name}', which is not supported with networkMode 'host'."
                )));
            }
            if of_ipc && self.definition.ipc_mode.as_deref() == Some("host") {
                return Err(self.fault(format_args!(
                    "'systemControls[{at}].namespace' is '{name}', which is not supported with ipcMode 'host'."
                )));
            }
        }
        Ok(())
    }

    fn check_parameters(&self, parameters: &LinuxParameters) -> Result<(), Fault> {
        if let Some(capabilities) = &parameters.capabilities {
            for (member, names) in [("add", &capabilities.add), ("drop", &capabilities.drop)] {
                let unknown = names.iter().find(|name| !CAPABILITIES.contains(&name.as_str()));
                if let Some(name) = unknown {
                    return Err(self.fault(format_args!(
                        "'linuxParameters.capabilities.{member}' has '{}', it should be one of [{}].",
                        shortened(name),
                        CAPABILITIES.join(", ")
                    )));
                }
            }
        }
        for (at, device) in parameters.devices.iter().enumerate() {
            self.check_device(at, device)?;
        }
        for (at, tmpfs) in parameters.tmpfs.iter().enumerate() {
            self.check_tmpfs(at, tmpfs)?;
        }
        self.within(
            "linuxParameters.sharedMemorySize",
            parameters.shared_memory_size,
            &POSITIVE,
        )?;
        self.within("linuxParameters.maxSwap", parameters.max_swap, &NOT_NEGATIVE)?;
        self.within("linuxParameters.swappiness", parameters.swappiness, &SWAPPINESS)?;
        if let Some(swap) = parameters.max_swap
            && self.container.memory.is_none()
        {
            return Err(self.fault(format_args!(
                "'linuxParameters.maxSwap' is {swap}, which needs a hard limit in 'memory'."
            )));
        }
        Ok(())
    }

    fn check_device(&self, at: usize, device: &Device) -> Result<(), Fault> {
        let container_path = device.container_path.as_deref().unwrap_or("/");
        for (member, path) in [
            ("hostPath", device.host_path.as_str()),
            ("containerPath", container_path),
        ] {
            if !path.starts_with('/') {
                return Err(self.fault(format_args!(
                    "'linuxParameters.devices[{at}].{member}' is '{}', it must be an absolute path.",
                    shortened(path)
                )));
            }
        }
        match device
            .permissions
            .iter()
            .find(|permission| !PERMISSIONS.contains(&permission.as_str()))
        {
            Some(permission) => Err(self.fault(format_args!(
                "'linuxParameters.devices[{at}].permissions' has '{}', it should be one of [read, write, mknod].",
                shortened(permission)
            ))),
            None => Ok(()),
        }
    }

    fn check_tmpfs(&self, at: usize, tmpfs: &Tmpfs) -> Result<(), Fault> {
        if !tmpfs.container_path.starts_with('/') {
            return Err(self.fault(format_args!(
                "'linuxParameters.tmpfs[{at}].containerPath' is '{}', it must be an absolute path.",
                shortened(&tmpfs.container_path)
            )));
        }
        self.within(
            &format!("linuxParameters.tmpfs[{at}].size"),
            Some(tmpfs.size),
            &POSITIVE,
        )?;
        // They become one list; a comma would smuggle in a size of its own.
        match tmpfs
            .mount_options
            .iter()
            .find(|option| option.is_empty() || option.contains(','))
        {
            Some(option) => Err(self.fault(format_args!(
                "'linuxParameters.tmpfs[{at}].mountOptions' has '{}', each must be one option.",
                shortened(option)
            ))),
            None => Ok(()),
        }
    }
}
